"""What `compile` costs: the time of the first calls and of later ones, and memory between and during the calls.

    python -m tests.benchmarks.compiling              about half a minute

Every line is measured in a process of its own. Memory is the resident set over what it was when the library had been loaded,
"held" after the last call and "peak" at any time (on Linux). PyTorch's lines are left out where it is not installed.
"""

from __future__ import annotations

import time
from pathlib import Path
from statistics import median

from .measure import isolated, peak_bytes
from .rows import BY_NAME, SIDES

ROWS = ("notebook-2", "notebook-64", "mnist", "residual")
CALLS = 31
FIRST = 5
"""How many calls are shown one by one."""


def main() -> None:
    """Measure, and print two tables."""
    titles = [f"{ordinal + 1}." for ordinal in range(FIRST)]
    print(f"| training step | eager | {' | '.join(titles)} | later |\n" + "| --- " * (FIRST + 3) + "|")
    for name in ROWS:
        eager = median(isolated(seconds, name, "eager")[3:])
        compiled = isolated(seconds, name, "compiled")
        times = [eager, *compiled[:FIRST], median(compiled[FIRST:])]
        print(f"| {BY_NAME[name].title} | {' | '.join(f'{1e3 * t:.3g} ms' for t in times)} |", flush=True)
    sides = [side for side in ("eager", "compiled", "pytorch") if SIDES[side].installed]
    titles = [f"{SIDES[side].title}: {what}" for side in sides for what in ("held", "peak")]
    print(f"\n| training step | {' | '.join(titles)} |\n" + "| --- " * (1 + len(titles)) + "|")
    for name in ROWS[2:]:
        cells = [f"{bytes_ / 2**20:.0f} MiB" for side in sides for bytes_ in isolated(memory, name, side)]
        print(f"| {BY_NAME[name].title} | {' | '.join(cells)} |", flush=True)


def seconds(name: str, side: str) -> list[float]:
    """How long each call takes."""
    row = BY_NAME[name]
    call = SIDES[side].build(row.work, row.problem())
    found = []
    for _ in range(CALLS):
        began = time.perf_counter()
        call()
        found.append(time.perf_counter() - began)
    return found


def memory(name: str, side: str) -> tuple[float, float]:
    """Bytes after all calls, and at the peak."""
    row = BY_NAME[name]
    SIDES[side].load()
    held, peak = _held_bytes(), peak_bytes()
    call = SIDES[side].build(row.work, row.problem())
    for _ in range(CALLS):
        call()
    return _held_bytes() - held, peak_bytes() - peak


def _held_bytes() -> float:
    """The resident set of this process."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith("VmRSS")) * 1024


if __name__ == "__main__":
    main()
