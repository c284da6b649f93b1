"""Two checkouts of this repository beside each other, row by row: `python -m tests.benchmarks.checkouts ../other`.

Each side has a process for the whole of a row, and they take turns, so that what disturbs one disturbs the other. Rows and
problems are those of this checkout; the other one brings only its package. The line of a row has the median times, their
ratio (this checkout over the other), and the ratio of the fastest calls, which noise moves less.
"""

from __future__ import annotations

import argparse
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from multiprocessing.connection import Client, Listener
from pathlib import Path
from typing import Any

import pytest

from .measure import PAUSE, peak_memory
from .record import machine
from .rows import BY_NAME, ROWS, SIDES, Row

HERE = Path(__file__).resolve().parents[2]

START = """
import sys
sys.path.insert(0, {package!r})
import tinygrad_cnn
assert tinygrad_cnn.__file__.startswith({package!r}), tinygrad_cnn.__file__
sys.path[0] = {here!r}
from tests.benchmarks.checkouts import serve
serve({address!r})
"""


class Checkout:
    """A process that runs calls with the package of one checkout."""

    def __init__(self, path: Path) -> None:
        with Listener() as listener:
            code = START.format(package=str(path), here=str(HERE), address=listener.address)
            self.process = subprocess.Popen([sys.executable, "-c", code])
            self.connection = listener.accept()

    def ask(self, *request: Any) -> Any:
        """The answer to a request of :func:`serve`."""
        self.connection.send(request)
        return self.connection.recv()

    def close(self) -> None:
        """End the process."""
        self.connection.send(None)
        self.process.wait()


def serve(address: Any) -> None:
    """Answer requests: build a row's call, time it for some seconds, or tell the peak of the memory that it takes."""
    call: Callable[[], Any] | None = None
    with Client(address) as connection:
        while request := connection.recv():
            what, *arguments = request
            if what == "build":
                name, side, threads = arguments
                SIDES[side].load().set_threads(threads)
                try:
                    SIDES[side].begin()
                    call = SIDES[side].build(BY_NAME[name].work, BY_NAME[name].problem())
                    _warm(call)
                    connection.send(None)
                except (AttributeError, TypeError) as missing:  # a name or a keyword that this checkout lacks
                    connection.send(str(missing))
            elif what == "time" and call is not None:
                connection.send(_times(call, *arguments))
            elif what == "memory":
                connection.send(peak_memory(*arguments).median)


def _seconds(call: Callable[[], Any]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def _warm(call: Callable[[], Any], seconds: float = 1.0) -> None:
    """Twenty calls; fewer, but five, of a step that takes long."""
    spent = 0.0
    for i in range(20):
        if i >= 5 and spent > seconds:
            break
        spent += _seconds(call)


def _times(call: Callable[[], Any], seconds: float) -> list[float]:
    """The first call of a turn finds cold caches and sleeping threads, and does not count."""
    _seconds(call)
    found = [_seconds(call)]
    while sum(found) < seconds:
        found.append(_seconds(call))
    return found


def compare(paths: list[Path], row: Row, side: str, threads: int, turns: int, seconds: float) -> list[list[float]]:
    """The times of a row's calls with the package of each path; none where a package lacks what the row needs."""
    if row.group == "memory":
        return [[_asked(path, "memory", row.name, side)] for path in paths]
    checkouts = [Checkout(path) for path in paths]
    missing = [checkout.ask("build", row.name, side, threads) for checkout in checkouts]
    times: list[list[float]] = [[] for _ in paths]
    for turn in range(0 if any(missing) else turns):
        for i in (0, 1) if turn % 2 else (1, 0):
            time.sleep(PAUSE)
            times[i] += checkouts[i].ask("time", seconds)
    for checkout in checkouts:
        checkout.close()
    return times


def _lacking(row: Row) -> str:
    """Why a row cannot run here, or an empty string."""
    try:
        row.problem()
    except pytest.skip.Exception as skipped:
        return str(skipped)
    return ""


def _asked(path: Path, *request: Any) -> Any:
    checkout = Checkout(path)
    answer = checkout.ask(*request)
    checkout.close()
    return answer


def import_time(path: Path, modules: str, turns: int = 15) -> list[float]:
    """Seconds in which a new interpreter imports the modules, whose bytecode is there, beyond those that it takes to start."""
    with tempfile.TemporaryDirectory() as bytecode:
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": bytecode}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        run = partial(subprocess.run, cwd=path, check=True, env=environment)
        load = [sys.executable, "-c", f"import {modules}"]
        run(load)
        found = []
        for _ in range(turns):
            empty = _seconds(partial(run, [sys.executable, "-c", "pass"]))
            found.append(_seconds(partial(run, load)) - empty)
        return found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("other", type=Path, help="a checkout of the version to compare with")
    parser.add_argument("--rows", nargs="*", default=[row.name for row in ROWS], choices=BY_NAME, metavar="ROW")
    parser.add_argument("--threads", nargs="*", type=int, default=[1, 2])
    parser.add_argument("--turns", type=int, default=6, help="turns of each side")
    parser.add_argument("--seconds", type=float, default=0.5, help="how long a turn takes")
    arguments = parser.parse_args()
    paths = [HERE, arguments.other.resolve()]
    print(f"{machine()}; milliseconds or MiB, this checkout beside the other", flush=True)
    ratios = []
    for name in arguments.rows:
        row = BY_NAME[name]
        if reason := _lacking(row):
            print(f"{name:28} left out: {reason}", flush=True)
            continue
        for side in dict.fromkeys(ours for ours, _ in row.targets):
            for threads in arguments.threads if row.group != "memory" else arguments.threads[-1:]:
                ours, theirs = compare(paths, row, side, threads, arguments.turns, arguments.seconds)
                if not ours or not theirs or not min(*ours, *theirs):  # a peak within the memory that imports took
                    print(f"{name:28} left out: one of the two cannot run it, or takes too little memory", flush=True)
                    continue
                ratio = statistics.median(ours) / statistics.median(theirs)
                ratios.append(ratio)
                unit = 2**20 if row.group == "memory" else 1e-3
                print(
                    f"{name:28} {side:9} {threads} thread{'s' if threads > 1 else ' '} {statistics.median(ours) / unit:9.3f}"
                    f" {statistics.median(theirs) / unit:9.3f}   {ratio:5.3f}   fastest {min(ours) / min(theirs):5.3f}",
                    flush=True,
                )
    print(f"geometric mean {math.exp(statistics.fmean(map(math.log, ratios))):.3f}")
    for modules in ("tinygrad_cnn", "numpy"):
        ours, theirs = (statistics.median(import_time(path, modules)) * 1e3 for path in paths)
        print(f"import {modules:21} {ours:32.1f} {theirs:9.1f}   {ours / theirs:5.3f}", flush=True)


if __name__ == "__main__":
    main()
