"""Training over MPI: what sharding and ranks cost, and PyTorch's DistributedDataParallel over gloo in the same setting.

    python -m tests.benchmarks.distributed                        about three minutes
    python -m tests.benchmarks.distributed --pytorch PYTHON       with PyTorch from another environment
    python -m tests.benchmarks.distributed --ranks 1,2,4,8        the times of more ranks than there are cores, too

Every process has one thread. A time is the least of all steps of a training but the first ones: by the clock, and of the
processor that rank 0 has used, which other work on the machine disturbs less. Needs mpi4py and an `mpiexec`; PyTorch is
left out where it is missing. The quiet machine of `tests.benchmarks` holds.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

NETWORKS = {
    "mnist": ("the MNIST CNN, 128 images", 128, (1, 28, 28)),
    "residual": ("ResNet-8, 64 images", 64, (3, 32, 32)),
}
WARM_UP = 6
HERE = Path(__file__).parents[2]


def main() -> None:
    """Measure, and print a table for each network."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pytorch", default=sys.executable, help="a Python that has PyTorch (default: this one)")
    parser.add_argument("--ranks", default="1,2", help="numbers of ranks (default: 1,2)")
    parser.add_argument("--steps", type=int, default=30, help="steps of each training (default: 30)")
    parser.add_argument(
        "--turns", type=int, default=3, help="trainings of each kind, of which the fastest counts (default: 3)"
    )
    parser.add_argument("--worker", choices=["ours", "pytorch"], help=argparse.SUPPRESS)
    parser.add_argument("--network", choices=NETWORKS, help="one network (default: all)")
    parser.add_argument("--shards", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.worker:
        (_ours if given.worker == "ours" else _pytorch)(given.network, given.shards, given.steps)
        return
    ranks = [int(n) for n in given.ranks.split(",")]
    for network in [given.network] if given.network else NETWORKS:
        heads = ("", "ms for a step", "of plain fit", "ms of the processor", "of plain fit")
        print(f"\n{NETWORKS[network][0]}\n\n| {' | '.join(heads)} |\n{'| --- ' * len(heads)}|")
        kinds: dict[str, tuple[Any, ...]] = {"plain fit": ("ours", 0, 1), "one shard": ("ours", 1, 1)}
        kinds |= {f"8 shards, ranks: {n}": ("ours", 8, n) for n in ranks}
        kinds |= {
            f"PyTorch, DistributedDataParallel over gloo, processes: {n}": ("pytorch", 0, n) for n in ranks if n < 3
        }
        times: dict[str, list[list[float]]] = {kind: [] for kind in kinds}
        for _ in range(given.turns):  # in turns, so that a slow minute of the machine concerns all
            for kind, (worker, shards, n) in kinds.items():
                seconds = _run(worker, network, shards, n, given)
                if seconds is not None:
                    times[kind].append(seconds)
        plain = np.min(times["plain fit"], axis=0)
        for kind, measured in times.items():
            if measured:
                cells = [f"{t * 1e3:.2f} | {t / p:.2f}" for t, p in zip(np.min(measured, axis=0), plain, strict=True)]
                print(f"| {kind} | {' | '.join(cells)} |", flush=True)


def _run(worker: str, network: str, shards: int, ranks: int, given: argparse.Namespace) -> list[float] | None:
    arguments = [
        "-m",
        "tests.benchmarks.distributed",
        "--worker",
        worker,
        "--network",
        network,
        "--shards",
        str(shards),
    ]
    arguments += ["--steps", str(given.steps)]
    one = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    environment = {**os.environ, "PYTHONPATH": str(HERE), **(one if worker == "pytorch" else {})}
    if worker == "ours":
        mpiexec = (
            shutil.which("mpiexec", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}") or "mpiexec"
        )
        launch = [mpiexec, "-n", str(ranks), sys.executable, "-m", "mpi4py"] if ranks > 1 else [sys.executable]
        text = subprocess.run(
            [*launch, *arguments], env=environment, cwd=HERE, capture_output=True, encoding="utf-8", check=True
        ).stdout
        return list(json.loads(text.strip().splitlines()[-1]))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(ranks)}
    processes = [
        subprocess.Popen(
            [given.pytorch, *arguments], env={**environment, "RANK": str(rank)}, cwd=HERE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, encoding="utf-8",
        )
        for rank in range(ranks)
    ]  # fmt: skip
    outputs = [process.communicate()[0] for process in processes]
    return list(json.loads(outputs[0])) if processes[0].returncode == 0 else None


def _batch(network: str) -> tuple[np.ndarray, np.ndarray]:
    _, images, shape = NETWORKS[network]
    rng = np.random.default_rng(0)
    return rng.normal(size=(images, *shape)).astype(np.float32), rng.integers(0, 10, images)


def _ours(network: str, shards: int, steps: int) -> None:
    import tinygrad_cnn as tg
    from tinygrad_cnn import nn

    tg.set_num_threads(1)
    tg.manual_seed(0)
    model = nn.models.MnistCNN() if network == "mnist" else nn.models.ResNet(3, 10, blocks=(1, 1, 1))
    optimizer = tg.optim.Adam(model.parameters())
    stamps: list[tuple[float, float]] = []

    class Clock(tg.training.Callback):
        def on_step_end(self, run: Any) -> None:
            stamps.append((time.perf_counter(), time.process_time()))

    world = tg.distributed.World(shards) if shards else None
    batches = [_batch(network)] * steps
    tg.fit(
        model, batches, tg.cross_entropy, optimizer, epochs=1, progress=False, callbacks=[Clock()], distributed=world
    )
    if world is None or world.rank == 0:
        print(json.dumps(np.diff(stamps, axis=0)[WARM_UP:].min(axis=0).tolist()))


def _pytorch(network: str, _: int, steps: int) -> None:
    import torch
    from torch import nn
    from torch.nn import functional as F
    from torch.nn.parallel import DistributedDataParallel

    class Block(nn.Module):
        def __init__(self, before: int, after: int, stride: int) -> None:
            super().__init__()
            self.conv1 = nn.Conv2d(before, after, 3, stride, 1, bias=False)
            self.conv2 = nn.Conv2d(after, after, 3, 1, 1, bias=False)
            self.bn1, self.bn2 = nn.BatchNorm2d(after), nn.BatchNorm2d(after)
            short = (nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after))
            self.short = nn.Identity() if before == after else nn.Sequential(*short)

        def forward(self, x: Any) -> Any:
            return F.relu(self.short(x) + self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))))

    if network == "mnist":
        model = nn.Sequential(
            nn.Conv2d(1, 32, 3), nn.ReLU(), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.25),
            nn.Flatten(), nn.Linear(9216, 128), nn.ReLU(), nn.Dropout(0.5), nn.Linear(128, 10),
        )  # fmt: skip
    else:
        model = nn.Sequential(
            nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU(), Block(16, 16, 1), Block(16, 32, 2),
            Block(32, 64, 2), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10),
        )  # fmt: skip
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo")
    rank, size = torch.distributed.get_rank(), torch.distributed.get_world_size()
    wrapped = DistributedDataParallel(model)
    optimizer = torch.optim.Adam(wrapped.parameters())
    x, y = (torch.from_numpy(a).chunk(size)[rank] for a in _batch(network))
    stamps = []
    for _ in range(steps):
        loss = F.cross_entropy(wrapped(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        loss.item()
        stamps.append((time.perf_counter(), time.process_time()))
    torch.distributed.destroy_process_group()
    if rank == 0:
        print(json.dumps(np.diff(stamps, axis=0)[WARM_UP:].min(axis=0).tolist()))


if __name__ == "__main__":
    main()
