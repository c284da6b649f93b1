"""What `compile` costs: the time of the capture, of the audits and of a replay, and memory between and during the calls.

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

ROWS = ("notebook-64", "mnist", "residual")
AUDITS = (2, 3, 5, 9, 17)
CALLS = 31  # the next audit is call 33


def main() -> None:
    """Measure, and print two tables."""
    print("| training step | eager | capture | audit | replay |\n" + "| --- " * 5 + "|")
    for name in ROWS:
        eager = isolated(seconds, name, "eager")
        first, *compiled = isolated(seconds, name, "compiled")
        audits = median(compiled[call - 2] for call in AUDITS)
        replay = median(compiled[AUDITS[-1] :])
        times = " | ".join(f"{1e3 * t:.3g} ms" for t in (median(eager[3:]), first, audits, replay))
        print(f"| {BY_NAME[name].title} | {times} |", flush=True)
    sides = [side for side in ("eager", "compiled", "pytorch") if SIDES[side].installed]
    titles = [f"{SIDES[side].title}: {what}" for side in sides for what in ("held", "peak")]
    print(f"\n| training step | {' | '.join(titles)} |\n" + "| --- " * (1 + len(titles)) + "|")
    for name in ROWS[1:]:
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
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith("VmRSS")) * 1024


if __name__ == "__main__":
    main()
