"""Measure every row beside every peer that is installed, and write the tables of this machine.

    python -m tests.benchmarks                        everything, about ten minutes
    python -m tests.benchmarks --rows 'conv*,adam'    some rows; what was measured before of the others stays
    python -m tests.benchmarks --rows nothing         no row: write the tables again

Unset OPENBLAS_CORETYPE and OPENBLAS_L2_SIZE for this command if they are set: they slow NumPy down. Nothing else should run
on the machine: a second thread becomes many times slower when it does, on either side. The command looks for that, repeats
what was disturbed, and says so where it was disturbed every time.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from fnmatch import fnmatch
from pathlib import Path

from . import report
from .measure import Effort, Outcome, compare, isolated, peak_memory
from .record import Record, read, save
from .rows import ROWS, SIDES, Row

DOCS = Path("docs")

RECORD = "performance.json"
"""The file of what was measured, beside the page with its tables."""

TRIES = 3
"""How often a row that was disturbed is measured."""

SLOWER = 1.5
"""The machine is busy when the fixed work takes so many times its best."""


def main() -> None:
    """Measure, write, and print the tables."""
    args = _arguments()
    record = read(args.out / RECORD)
    if os.getloadavg()[0] > 0.5:
        print(f"The machine is busy, its load is {os.getloadavg()[0]:.1f}: figures may be off.")
    failed = _rows(args, record)
    report.write(record, args.out / "performance.md")
    print("\n" + report.tables(record))
    if failed:
        raise SystemExit(f"not measured, for the reasons above: {', '.join(failed)}")


def _rows(args: argparse.Namespace, record: Record) -> list[str]:
    """Measure what is asked for, keep each outcome at once, and return what failed."""
    peers = [peer for peer in args.peers.split(",") if _present(peer)]
    effort = Effort(turns=2, seconds=0.1) if args.quick else Effort()
    effort = replace(effort, apart=args.apart, threads=args.threads)
    quiet: dict[int | None, list[float]] = {}
    failed = []
    asked = [(row, peer) for row in ROWS if _matches(row.name, args.rows) for peer in row.peers if peer in peers]
    for row, peer in asked:
        try:
            outcome = _memory(row, peer) if row.group == "memory" else _undisturbed(row, peer, effort, quiet)
        except Exception as error:  # a library that cannot do it here, or sides that disagree: the others are measured
            failed.append(f"{row.name} beside {SIDES[peer].title}")
            print(f"{failed[-1]}: {type(error).__name__}: {error}", flush=True)
            continue
        record.add(outcome)
        save(record, args.out / RECORD)
        figures = [f"{SIDES[side].title} {report.show(figure, row)}" for side, figure in outcome.figures.items()]
        print(f"{row.name}: {', '.join(figures)}", flush=True)
    return failed


def _undisturbed(row: Row, peer: str, effort: Effort, quiet: dict[int | None, list[float]]) -> Outcome:
    """The least disturbed of some tries. `quiet` holds how long the fixed work took in all of them, by number of threads."""
    found = []
    threads = effort.threads or (row.threads[0] if len(row.threads) == 1 else None)
    calibrations = quiet.setdefault(threads, [])
    for _ in range(TRIES):
        with _blas_threads(threads):
            outcome: Outcome = isolated(compare, row.name, peer, effort)
        calibrations += outcome.calibration
        found.append(outcome)
        if max(outcome.calibration) <= SLOWER * min(calibrations):
            return outcome
        print(f"{row.name} beside {SIDES[peer].title}: the machine was busy, once more", flush=True)
    return replace(min(found, key=lambda outcome: max(outcome.calibration)), disturbed=True)


def _memory(row: Row, peer: str) -> Outcome:
    return Outcome(row.name, peer, {side: isolated(peak_memory, row.name, side) for side in (*row.ours(peer), peer)})


def _matches(name: str, patterns: str) -> bool:
    return any(fnmatch(name, pattern) for pattern in patterns.split(","))


def _present(peer: str) -> bool:
    if peer not in SIDES:
        raise SystemExit(f"--peers: {peer!r} is none of {', '.join(SIDES)}")
    if not SIDES[peer].installed:
        print(f"{SIDES[peer].title} is not installed: its rows are skipped. See tests/benchmarks/requirements.txt")
    return SIDES[peer].installed


@contextmanager
def _blas_threads(n: int | None) -> Iterator[None]:
    """Processes started meanwhile have so many threads in BLAS, which reads this once, when it is loaded."""
    names = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
    before = {name: os.environ.get(name) for name in names}
    if n is not None:
        os.environ.update(dict.fromkeys(names, str(n)))
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m tests.benchmarks", description="Measure beside other libraries.")
    names = ", ".join([row.name for row in ROWS])
    peers = ",".join(dict.fromkeys(peer for row in ROWS for peer in row.peers))
    parser.add_argument("--rows", default="*", metavar="PATTERNS", help=f"which rows, with * and ?, of: {names}")
    parser.add_argument("--peers", default=peers, metavar="NAMES", help=f"beside whom, of: {peers}")
    parser.add_argument(
        "--quick", action="store_true", help="fewer and shorter turns: a first look, not a figure to quote"
    )
    parser.add_argument(
        "--apart",
        action="store_true",
        help="each side in a process of its own, with its library's defaults; else in one that keeps freed memory",
    )
    parser.add_argument("--threads", type=int, metavar="N", help="for both sides; by default those of each row")
    parser.add_argument(
        "--out",
        type=Path,
        default=DOCS,
        metavar="FOLDER",
        help=f"gets performance.md and {RECORD}",
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
