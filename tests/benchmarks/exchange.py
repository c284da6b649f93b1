"""What a step of training on many ranks takes: a model of it, fitted to measurements here and checked against slow messages.

    mpiexec -n 4 python -m mpi4py -m tests.benchmarks.exchange              times of the sum over ranks, as JSON
    python -m tests.benchmarks.exchange --fit 2,3,4,8                       runs that for each number, and fits the model
    python -m tests.benchmarks.exchange --check 2,4,8                       the same with an injected latency and bandwidth
    python -m tests.benchmarks.exchange --overlap                           steps that send during backward, and after it
    python -m tests.benchmarks.exchange --overlap --bandwidth 0             the same over the network as it is
    python -m tests.benchmarks.exchange --predict                           the table of tests/benchmarks/history.md

The model: a rank computes its shards one after the other, then the sum over ranks has two phases, in each of which a rank sends
and receives N - 1 messages with the (N - 1) / N part of a contribution of B bytes:

    step = ceil(S / N) t + 2 (a + (N - 1) o + B (N - 1) / (N b)) + u

with t seconds for a shard, a the latency, o what a message takes of the processor, b the bandwidth, u the update. A small
contribution goes to every rank as a whole, in one phase.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from tinygrad_cnn.extra.distributed.contribution import SMALL

SIZES = [1 << 10, 1 << 16, 1 << 20, 1 << 22, 1 << 24]
"""Bytes of a contribution."""
ROUNDS = 20


def predicted(ranks: int, size: float, latency: float, message: float, bandwidth: float) -> float:
    """Seconds for the sum over ranks of contributions of `size` bytes."""
    phases, messages, volume = terms(ranks, size)
    return phases * latency + messages * message + volume / bandwidth


def terms(ranks: int, size: float) -> tuple[float, float, float]:
    """How many phases the sum over ranks has, how many messages a rank receives in them, and how many bytes."""
    if size * (ranks - 1) <= SMALL:  # every rank gets everything
        return 1, ranks - 1, size * (ranks - 1)
    return 2, 2 * (ranks - 1), 2 * size * (ranks - 1) / ranks


def step(
    ranks: int, shards: int, shard: float, size: float, update: float, network: tuple[float, float, float]
) -> float:
    """Seconds for a step."""
    return math.ceil(shards / ranks) * shard + (predicted(ranks, size, *network) if ranks > 1 else 0) + update


class Slow:
    """A communicator over which every message takes a latency, and all messages of a rank share a bandwidth."""

    def __init__(self, comm: Any, latency: float, bandwidth: float) -> None:
        self._comm, self._latency, self._bandwidth = comm, latency, bandwidth
        self.rank, self.size = comm.rank, comm.size
        self._busy = 0.0  # until when the line to this rank is taken

    def post(self, sends: Sequence[Any], receives: Sequence[Any]) -> Any:
        """Post, and note when the messages would have arrived."""
        now = time.perf_counter()
        self._busy = max(now, self._busy) + sum(buffer.nbytes for _, buffer in receives) / self._bandwidth
        return self._comm.post(sends, receives), self._busy + self._latency if receives else now

    def __getattr__(self, name: str) -> Any:
        return getattr(self._comm, name)

    def wait(self, posted: Any) -> None:
        """Wait for the messages, and until they would have arrived."""
        inner, due = posted
        self._comm.wait(inner)
        time.sleep(max(0.0, due - time.perf_counter()))


def _measure(latency: float, bandwidth: float) -> None:
    import tinygrad_cnn as tg
    from tinygrad_cnn.extra.distributed.contribution import AllReduce, Layout

    world = tg.distributed.World(64)
    comm: Any = Slow(world.comm, latency, bandwidth) if bandwidth else world.comm
    times = {}
    for size in SIZES:
        layout = Layout([np.empty(size // 4, np.float32)])
        total = AllReduce(comm, world.size)
        out, seconds = layout.empty(), []
        for _ in range(ROUNDS):
            own = {node: tuple(np.ones_like(part) for part in layout.empty()) for node in total.own}
            world.any(False)  # all begin together
            began = time.perf_counter()
            total.over_ranks(own, out)
            seconds.append(time.perf_counter() - began)
        assert (out[0] == world.size).all()
        times[size] = float(np.min(seconds) if not bandwidth else np.median(seconds))
    if world.rank == 0:
        print(json.dumps(times))


def _measured(ranks: int, latency: float = 0.0, bandwidth: float = 0.0) -> dict[int, float]:
    return {int(size): seconds for size, seconds in json.loads(_run(ranks, latency, bandwidth)).items()}


def _run(ranks: int, latency: float, bandwidth: float, *options: str) -> str:
    """The last line that this program prints, on so many ranks."""
    mpiexec = shutil.which("mpiexec", path=f"{Path(sys.executable).parent}:/usr/bin") or "mpiexec"
    program = [sys.executable, "-m", "mpi4py", "-m", "tests.benchmarks.exchange", "--latency", str(latency)]
    command = [mpiexec, "-n", str(ranks), *program, "--bandwidth", str(bandwidth), *options]
    return subprocess.run(command, capture_output=True, encoding="utf-8", check=True).stdout.strip().splitlines()[-1]


NETWORKS = {"the MNIST CNN": 16, "784-2048-2048-10": 64, "784-1024-...-1024-10": 64}
"""Networks for --overlap, and how many images each of two ranks has."""


def _network(name: str) -> Any:
    from tinygrad_cnn import nn

    if name == "the MNIST CNN":
        return nn.models.MnistCNN()
    widths = [784, 2048, 2048] if "2048" in name else [784, *[1024] * 7]
    hidden = [layer for a, b in pairwise(widths) for layer in (nn.Linear(a, b), nn.ReLU())]
    return nn.Sequential(nn.Flatten(), *hidden, nn.Linear(widths[-1], 10))


def _steps(name: str, compile: bool, latency: float, bandwidth: float) -> None:
    """Seconds of a step, without its update, whose gradients are sent during the backward pass and after it, in turns."""
    import tinygrad_cnn as tg
    from tinygrad_cnn.extra.distributed import step as module

    tg.set_num_threads(1)
    tg.manual_seed(0)
    model = _network(name)
    pays, turns = module.several_buckets, {}
    for early in (True, False):
        world = tg.distributed.World(2)
        if bandwidth:
            world.comm = Slow(world.comm, latency, bandwidth)
        module.several_buckets = pays if early else lambda arrays: False
        world.start(model=model)
        turns[early] = world, lambda x, y: tg.cross_entropy(model(x), y)
    rng, n = np.random.default_rng(0), 2 * NETWORKS[name]
    batch = rng.normal(size=(n, 1, 28, 28)).astype(np.float32), rng.integers(0, 10, n)
    times: dict[bool, list[float]] = {True: [], False: []}
    for _ in range(ROUNDS):
        bits = set()
        for early, (world, loss) in turns.items():
            world.any(False)
            began = time.perf_counter()
            world.step(loss, batch, compile=compile)
            times[early].append(time.perf_counter() - began)
            bits.add(b"".join(p.grad.numpy().tobytes() for p in model.parameters()))
        assert len(bits) == 1
    if world.rank == 0:
        print(json.dumps([float(np.median(times[early][4:])) for early in (False, True)]))


def _overlap(bandwidth: float | None) -> None:
    networks = {"400 Mbit/s, 2 ms": (2e-3, 5e7), "1 Gbit/s": (5e-5, 1.25e8), "10 Gbit/s": (2e-5, 1.25e9)}
    if bandwidth == 0:
        networks = {"this network": (0.0, 0.0)}
    print("| network | " + " | ".join(networks) + f" |\n{'| --- ' * (1 + len(networks))}|")
    for name in NETWORKS:
        for compile in (False, True):
            cells = []
            for latency, rate in networks.values():
                options = ["--network", name, *["--compile"] * compile]
                after, during = json.loads(_run(2, latency, rate, *options))
                cells.append(f"{after * 1e3:.1f}, {during * 1e3:.1f}: {1 - during / after:+.0%}")
            print(f"| {name}, {'compiled' if compile else 'as written'} | {' | '.join(cells)} |", flush=True)


def _fit(numbers: list[int]) -> None:
    """With more ranks than cores a phase takes another latency, and the cores share the messages and bytes of all ranks."""
    cores = os.cpu_count() or 1
    measured = {n: _measured(n) for n in numbers}

    def columns(n: int, size: int) -> np.ndarray:
        phases, messages, volume = terms(n, size)
        crowd = max(1.0, n / cores)
        return np.array([phases * (n <= cores), phases * (n > cores), messages * crowd, volume * crowd])

    pairs = [(n, size, seconds) for n, found in measured.items() for size, seconds in found.items()]
    rows = np.array([columns(n, size) / seconds for n, size, seconds in pairs])  # so that relative errors count alike
    solution = _non_negative(rows, np.ones(len(rows)))
    latency, crowded, message, per_byte = solution
    print(
        f"latency {latency * 1e6:.0f} us, {crowded * 1e6:.0f} us with more ranks than cores; {message * 1e6:.0f} us a message; "
        f"{1 / per_byte / 1e9:.2f} GB/s\n"
    )
    _table(measured, lambda n, size: float(columns(n, size) @ solution))


def _non_negative(rows: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Least squares, leaving out what would become negative."""
    kept = [*range(rows.shape[1])]
    while True:
        solution = np.linalg.lstsq(rows[:, kept], times, rcond=None)[0]
        if (solution >= 0).all():
            full = np.zeros(rows.shape[1])
            full[kept] = solution
            return full
        del kept[int(solution.argmin())]


def _check(numbers: list[int], latency: float, bandwidth: float) -> None:
    print(f"injected: latency {latency * 1e6:.0f} us, bandwidth {bandwidth / 1e6:.0f} MB/s\n")
    _table({n: _measured(n, latency, bandwidth) for n in numbers}, lambda n, s: predicted(n, s, latency, 0, bandwidth))


def _table(measured: dict[int, dict[int, float]], model: Any) -> None:
    print("| bytes | " + " | ".join(f"{n} ranks, ms: measured, model" for n in measured) + " |")
    print("| --- " * (1 + len(measured)) + "|")
    for size in SIZES:
        cells = [f"{measured[n][size] * 1e3:.2f}, {model(n, size) * 1e3:.2f}" for n in measured]
        print(f"| {size:,} | {' | '.join(cells)} |")


def _predict(shard: float, size: float, update: float) -> None:
    networks = {"10 Gbit/s, 20 us": (20e-6, 3e-6, 1.25e9), "100 Gbit/s, 2 us": (2e-6, 1e-6, 12.5e9)}
    print(
        "| ranks = shards | "
        + " | ".join(f"{name}: exchange, of the step" for name in networks)
        + " |\n"
        + "| --- " * 3
        + "|"
    )
    for ranks in (2, 4, 8, 16, 32, 64, 128, 256):
        cells = []
        for network in networks.values():
            whole, exchange = step(ranks, ranks, shard, size, update, network), predicted(ranks, size, *network)
            cells.append(f"{exchange * 1e3:.2f} ms, {exchange / whole:.0%}")
        print(f"| {ranks} | {' | '.join(cells)} |")


def main() -> None:
    """Do what the options say."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fit", help="numbers of ranks to measure and fit")
    parser.add_argument("--check", help="numbers of ranks to measure with slow messages")
    parser.add_argument("--overlap", action="store_true", help="measure steps with and without overlap, on two ranks")
    parser.add_argument("--network", choices=NETWORKS, help=argparse.SUPPRESS)
    parser.add_argument("--compile", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--predict", action="store_true", help="what the model says of many ranks")
    parser.add_argument("--latency", type=float, default=2e-3, help="seconds, of slow messages (default: 0.002)")
    parser.add_argument("--bandwidth", type=float, help="bytes a second, of slow messages (default: 5e7)")
    parser.add_argument("--shard", type=float, default=0.02, help="seconds that a shard takes (default: 0.02)")
    parser.add_argument("--bytes", type=float, default=4.8e6, help="of a contribution (default: the MNIST CNN's 4.8e6)")
    parser.add_argument("--update", type=float, default=4e-3, help="seconds that the update takes (default: 0.004)")
    given = parser.parse_args()
    if given.fit:
        _fit([int(n) for n in given.fit.split(",")])
    elif given.check:
        _check([int(n) for n in given.check.split(",")], given.latency, given.bandwidth or 5e7)
    elif given.network:
        _steps(given.network, given.compile, given.latency, given.bandwidth or 0.0)
    elif given.overlap:
        _overlap(given.bandwidth)
    elif given.predict:
        _predict(given.shard, given.bytes, given.update)
    else:
        _measure(given.latency, given.bandwidth or 0.0)


if __name__ == "__main__":
    main()
