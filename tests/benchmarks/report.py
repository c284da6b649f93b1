"""Markdown tables of what was measured."""

from __future__ import annotations

from pathlib import Path

from .measure import Figure, Outcome
from .record import Record
from .rows import BY_NAME, ROWS, SIDES, Row

NETWORK_SIDES = ("both", "pytorch", "pytorch-last")

START, END = "<!-- measured -->", "<!-- end of measured -->"


def write(record: Record, path: Path) -> None:
    """Replace what is between the marks in a page by the tables, or make a page of them."""
    found = f"### {record.processor}\n\n{tables(record)}\n" if record.outcomes else ""
    measured = f"{START}\n\n{found}{END}"
    text = f"{measured}\n"
    if path.exists() and START in (page := path.read_text(encoding="utf-8")):
        before, rest = page.split(START)
        text = before + measured + rest.split(END)[1]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def tables(record: Record) -> str:
    """Every table that has a row."""
    parts = [f"{record.machine}; {record.day}.\n"]
    for heading, group, peers in (
        ("Ops and optimizers", "ops", ["pytorch"]),
        ("Training steps", "steps", ["pytorch", "numpy"]),
        ("Peak memory of a training step", "memory", ["pytorch"]),
    ):
        parts += _beside(record, heading, [row for row in ROWS if row.group == group], peers)
    parts += _networks(record)
    if any(outcome.disturbed for outcome in record.outcomes.values()):
        parts.append("† measured while the machine had other work to do\n")
    return "\n".join(parts)


def _beside(record: Record, heading: str, rows: list[Row], peers: list[str]) -> list[str]:
    """Times of all sides, then the ratios. Our times are those beside the first peer; each ratio is of one process."""
    pairs = list(dict.fromkeys(pair for row in rows for pair in row.targets if pair[1] in peers))
    sides = list(dict.fromkeys([ours for ours, _ in pairs] + peers))
    lines = []
    for row in rows:
        outcomes = [outcome for peer in peers if (outcome := record.of(row.name, peer))]
        if not outcomes:
            continue
        figures: dict[str, Figure] = {}
        for outcome in outcomes:
            figures = outcome.figures | figures
        times = [show(figures[side], row) if side in figures else "-" for side in sides]
        ratios = [_ratio(row, ours, record.of(row.name, peer), peer) for ours, peer in pairs]
        lines.append([row.title, *times, *ratios])
    heads = [SIDES[side].title for side in sides] + [f"{SIDES[a].title} / {SIDES[b].title}" for a, b in pairs]
    return [f"#### {heading}\n", *_grid(["", *heads], lines)] if lines else []


FORMS = ("inductor", "jax")


def _networks(record: Record) -> list[str]:
    """A table for each number of threads: our times beside PyTorch's in both memory formats, and the ratio to the faster;
    then what a compiler of the whole network takes."""
    parts = []
    for threads in (1, 2):
        lines = []
        for row in ROWS:
            outcome = record.of(row.name, "pytorch")
            if row.group != f"networks-{threads}" or outcome is None:
                continue
            alone = record.of(f"{row.name}-numpy", "pytorch")
            cells = [show(outcome.figures[side], row) if side in outcome.figures else "-" for side in NETWORK_SIDES]
            cells.append(_ratio(row, "both", outcome, "pytorch"))
            if threads == 1:
                cells.append(_ratio(BY_NAME[alone.row], "compiled", alone, "pytorch") if alone else "-")
                cells += _frozen(record, row)
                for peer in FORMS:
                    found = record.of(row.name, peer)
                    cells.append(
                        f"{show(found.figures[peer], row)}: {_ratio(row, 'both', found, peer)}" if found else "-"
                    )
            lines.append([row.title, *cells])
        heads = [*(SIDES[side].title for side in NETWORK_SIDES), "with Numba / PyTorch's faster"]
        if threads == 1:
            heads += ["NumPy alone / PyTorch's faster", SIDES["frozen-numba"].title, SIDES["pytorch-frozen"].title]
            heads += [SIDES[peer].title for peer in FORMS]
        title = f"#### Networks, {'one thread' if threads == 1 else 'two threads'}\n"
        parts += [title, *_grid(["", *heads], lines)] if lines else []
    return parts


def _frozen(record: Record, row: Row) -> list[str]:
    """Our frozen model's time with its ratio to PyTorch's faster format; and the faster of PyTorch's frozen ones."""
    row = BY_NAME.get(f"{row.name}-frozen", row)
    plain = record.of(row.name, "pytorch")
    found = [outcome for peer in ("pytorch-frozen", "pytorch-frozen-last") if (outcome := record.of(row.name, peer))]
    if plain is None or not found or (ours := "frozen-numba") not in plain.figures:
        return ["-", "-"]
    faster = max(found, key=lambda outcome: outcome.ratio(ours))
    return [
        f"{show(outcome.figures[side], row)}: {_ratio(row, ours, outcome, outcome.peer)}"
        for outcome, side in ((plain, ours), (faster, faster.peer))
    ]


def _grid(heads: list[str], lines: list[list[str]]) -> list[str]:
    return ["\n".join(f"| {' | '.join(cells)} |" for cells in (heads, ["---"] * len(heads), *lines)) + "\n"]


def _ratio(row: Row, ours: str, outcome: Outcome | None, peer: str) -> str:
    """The ratio and its target; a ratio that misses it is bold."""
    if outcome is None or ours not in outcome.figures or (ours, peer) not in row.targets:
        return "-"
    ratio, target = outcome.ratio(ours), row.targets[ours, peer]
    shown = f"{ratio:.2f}" if target is None or ratio <= target else f"**{ratio:.2f}**"
    aim = "" if target is None else f" (≤ {target:g})"
    return shown + aim + (" †" if outcome.disturbed else "")


def show(figure: Figure, row: Row) -> str:
    """With its unit, and for times the spread."""
    if row.group == "memory":
        return f"{figure.median / 2**20:.0f} MiB"
    unit, size = next(scale for scale in (("s", 1.0), ("ms", 1e-3), ("µs", 0.0)) if figure.median >= scale[1])
    value = figure.median / (size or 1e-6)
    return f"{value:.{max(0, 3 - len(str(int(value))))}f} {unit} ({figure.spread:.0%})"
