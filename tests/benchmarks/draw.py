"""Two pictures: the ratios with their targets, and cost against work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .curves import CURVES
from .record import Record
from .rows import ROWS, SIDES

MET, MISSED, FREE = "#0072b2", "#d55e00", "#8a8f98"
COLOURS = {"eager": "#56b4e9", "compiled": "#0072b2", "pytorch": "#d55e00"}
INK, FAINT = "#22262b", "#d9dce1"

Bar = tuple[str, str, float, float | None]
"""Peer, label, ratio, target."""


def ratios(record: Record, path: Path) -> None:
    """A bar for every ratio, from 1 to where it is, on a logarithmic axis, with a mark at its target."""
    bars = _bars(record)
    if not bars:
        return
    plt = _pyplot()
    peers = list(dict.fromkeys(bar[0] for bar in bars))
    figure, axes = plt.subplots(figsize=(11, 1.7 + 0.25 * len(bars) + 0.4 * len(peers)))
    y, places = 0.0, []
    beyond = axes.get_yaxis_transform()
    for peer in peers:
        axes.text(-0.012, y, f"beside {SIDES[peer].title}", transform=beyond, weight="bold", va="center", ha="right")
        for _, label, ratio, target in (bar for bar in bars if bar[0] == peer):
            y += 1
            colour = FREE if target is None else MET if ratio <= target else MISSED
            axes.barh(y, ratio - 1, left=1, height=0.7, color=colour, zorder=2)
            if target is not None:
                axes.plot([target] * 2, [y - 0.45, y + 0.45], color=INK, linewidth=2.5, zorder=3, solid_capstyle="butt")
            axes.text(1.01, y, f"{ratio:.2f}", transform=beyond, va="center", color=colour, weight="bold", size=9)
            places.append((y, label))
        y += 1.6
    values = [value for bar in bars for value in bar[2:] if value is not None]
    left, right = min(0.5, *values) * 0.8, max(2.0, *values) * 1.2
    axes.set(xscale="log", ylim=(y - 0.8, -0.8), xlim=(left, right))
    axes.set_yticks(*zip(*places, strict=True), size=9)
    axes.set_xlabel("our time or memory / theirs, logarithmic: bars to the left of 1 are better")
    ticks = [x for x in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10) if left < x < right]
    axes.set_xticks(ticks, [f"{x:g}" for x in ticks])
    axes.axvline(1, color=INK, linewidth=0.8, zorder=1)
    axes.spines["left"].set_visible(False)
    handles = [plt.Rectangle((0, 0), 1, 1, color=colour) for colour in (MET, MISSED)]
    handles.append(plt.Line2D([], [], color=INK, linewidth=2.5))
    labels = ["target met", "target missed", "target"]
    axes.legend(handles, labels, ncols=3, loc="lower right", bbox_to_anchor=(1, 1), frameon=False)
    _save(figure, [axes], path, grid="x")


def _bars(record: Record) -> list[Bar]:
    """In the order of the sides, and for each in that of the rows."""
    bars = []
    for row in ROWS:
        for (ours, peer), target in row.targets.items():
            outcome = record.of(row.name, peer)
            if outcome and ours in outcome.figures:
                label = f"{'memory: ' * (row.group == 'memory')}{row.title}, {SIDES[ours].title}"
                bars.append((peer, label, outcome.ratio(ours), target))
    return sorted(bars, key=lambda bar: list(SIDES).index(bar[0]))


def costs(record: Record, path: Path) -> None:
    """A panel for every curve: dashed lines for one thread where there are also some for two."""
    curves = [curve for curve in CURVES if f"{curve.name} {curve.threads[-1]}" in record.curves]
    if not curves:
        return
    plt = _pyplot()
    from matplotlib.ticker import EngFormatter, LogLocator

    figure, panels = plt.subplots(1, len(curves), figsize=(5 * len(curves), 4.2), squeeze=False)
    for axes, curve in zip(panels[0], curves, strict=True):
        for n in curve.threads:
            for side, points in record.curves.get(f"{curve.name} {n}", {}).items():
                values = [work / seconds if curve.per_second else seconds for work, seconds in points]
                most = n == curve.threads[-1]
                label = SIDES[side].title if most else "_"
                style = {"linestyle": "-" if most else "--", "markerfacecolor": COLOURS[side] if most else "white"}
                axes.plot(
                    [work for work, _ in points], values, marker="o", ms=4, color=COLOURS[side], label=label, **style
                )
        if len(curve.threads) > 1:
            axes.plot([], [], "--", color=FREE, label="on one thread")
        axes.set(xscale="log", yscale="log", xlabel=curve.axis)
        axes.set_title(f"{curve.title}: {'images per second' if curve.per_second else 'time'}", size=10, loc="left")
        sizes = [size for size, _ in next(iter(record.curves[f"{curve.name} {curve.threads[-1]}"].values()))]
        axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=12))
        axes.yaxis.set_major_formatter(EngFormatter(unit="" if curve.per_second else "s"))
        axes.legend(frameon=False, fontsize=9)
    _save(figure, list(panels[0]), path, grid="both")


def _pyplot() -> Any:
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    return pyplot


def _save(figure: Any, panels: list[Any], path: Path, grid: str) -> None:
    for axes in panels:
        axes.minorticks_off()
        axes.grid(axis=grid, color=FAINT, linewidth=0.7, zorder=0)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(length=0)
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
