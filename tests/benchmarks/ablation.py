"""What each line of `kernels/table.py` gains: its kernel beside the definition, and whole steps without it.

    python -m tests.benchmarks.ablation                            about five minutes
    python -m tests.benchmarks.ablation --lines 'softmax*,where'   some ops
    python -m tests.benchmarks.ablation --no-steps                 without whole steps: half a minute

A line names the row on whose arrays the kernel is measured: one of `rows.py`, or of FUNCTIONS below. "gain" is the time of the
definition over that of the kernel, in eager calls. "steps" are the times of training steps that call the op, without the
kernel over those with it, eager and compiled. A line earns its place by a gain of 1.3 (1.5 if Numba has the op, too), or by 3 %
of a step; the last lines of the output name those that do not, with the reasons that the table gives. Another line measures a
module of convolutions, `pointwise`, beside the one that would take its work.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from contextlib import contextmanager, nullcontext
from fnmatch import fnmatch
from functools import partial
from statistics import median
from typing import Any

import numpy as np

import tinygrad_cnn as tg
from tinygrad_cnn.core.acceleration import accelerate
from tinygrad_cnn.core.graph import Op
from tinygrad_cnn.kernels.conv import convolution, kn2row
from tinygrad_cnn.kernels.table import LINES as OWN

from .rows import BY_NAME, SIDES

GAIN, GAIN_BESIDE_NUMBA, STEP = 1.3, 1.5, 1.03

STEPS = ("notebook-2", "notebook-64", "perceptron", "mnist", "residual", "net-resnet18-train-8", "net-vit-train-1",
         "net-mobilenet-train-1", "net-unet-train-4")  # fmt: skip

Call = tuple[tuple[Any, ...], dict[str, Any]]


def differentiated(f: Callable[..., Any], *shapes: tuple[int, ...], last: bool = False) -> Callable[[], Any]:
    """A call of a function of random arrays and of its gradients."""
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(shape, np.float32) for shape in shapes]
    if last:
        arrays = [np.ascontiguousarray(np.moveaxis(a, 1, -1)).swapaxes(-1, 1) if a.ndim == 4 else a for a in arrays]
    leaves = [tg.Tensor(a, requires_grad=True) for a in arrays]
    return lambda: tg.gradients(f(*leaves).sum(), leaves, allow_unused=True)


IMAGES, MATRIX = (32, 64, 32, 32), (1024, 1024)

FUNCTIONS: dict[str, Callable[[], Callable[[], Any]]] = {
    "average-pool": partial(differentiated, lambda x: tg.avg_pool2d(x, 2), IMAGES),
    "batch-norm-clip": partial(differentiated, tg.nn.Sequential(tg.nn.BatchNorm2d(64), tg.nn.ReLU6()).eval(), IMAGES),
    "batch-norm-eval": partial(differentiated, lambda x, m, v: tg.batch_norm(x, m, v * v + 1), IMAGES, (64,), (64,)),
    "batch-norm-eval-conv": partial(
        differentiated, tg.nn.Sequential(tg.nn.BatchNorm2d(16), tg.nn.Conv2d(16, 16, 3)).eval(), (32, 16, 32, 32)
    ),
    "bce": partial(
        differentiated,
        lambda x: tg.binary_cross_entropy_with_logits(x, np.float32(0.3) * np.ones(MATRIX, "f4")),
        MATRIX,
    ),
    "bias-images": partial(differentiated, lambda x, b: x + b, IMAGES, (64, 1, 1)),
    "cube": partial(differentiated, lambda x: x**3, MATRIX),
    "elu": partial(differentiated, tg.elu, MATRIX),
    "erf": partial(differentiated, tg.erf, MATRIX),
    "hardswish": partial(differentiated, tg.nn.functional.hardswish, MATRIX),
    "leaky-relu": partial(differentiated, tg.leaky_relu, MATRIX),
    "max": partial(differentiated, lambda x: x.max(axis=1), MATRIX),
    "mean": partial(differentiated, lambda x: x.mean(axis=0), MATRIX),
    "mse": partial(differentiated, lambda x: tg.mse(x, np.zeros(MATRIX, "f4")), MATRIX),
    "norm": partial(differentiated, lambda x: tg.norm(x, axis=1), MATRIX),
    "pointwise": partial(differentiated, tg.conv2d, IMAGES, (64, 64, 1, 1), last=True),
    "relu": partial(differentiated, tg.relu, MATRIX),
    "relu6": partial(differentiated, tg.relu6, MATRIX),
    "resample": partial(differentiated, lambda x: tg.interpolate(x, scale_factor=2, mode="bilinear"), (8, 16, 32, 32)),
    "softmax-10": partial(differentiated, lambda x: tg.softmax(x, axis=1) ** 2, (16384, 10)),
    "softplus": partial(differentiated, tg.softplus, MATRIX),
    "transposed": partial(differentiated, lambda x: x.T * 2, MATRIX),
}
"""Work for kernels of which no row of `rows.py` has the arrays."""


def built(row: str) -> Callable[[], Any]:
    """The call of a row, eager and with one thread."""
    tg.set_num_threads(1)
    return FUNCTIONS[row]() if row in FUNCTIONS else SIDES["eager"].build(BY_NAME[row].work, BY_NAME[row].problem())


@contextmanager
def attached(op: Op, prepare: Any) -> Any:
    """The op with another kernel."""
    before, how = op.prepare, {"along": op.along, "in_place": op.in_place}
    accelerate(op.function, prepare, **how)
    try:
        yield before
    finally:
        accelerate(op.function, before, **how)


def declined(out: Any, *inputs: Any, **params: Any) -> None:
    """The kernel of an op that has none."""


def calls(op: Op, call: Callable[[], Any]) -> list[Call]:
    """The calls of an op within a call: its arrays as they are there, and in their order in memory."""
    found: list[Call] = []
    prepare: Any = op.prepare

    def record(out: Any, *inputs: Any, **params: Any) -> Any:
        found.append((tuple(a.copy("K") if isinstance(a, np.ndarray) else a for a in inputs), params))
        return prepare(out, *inputs, **params)

    with attached(op, record):
        call()
    return found


def seconds(call: Callable[[], Any], least: float) -> float:
    """The median time of calls that take so many seconds together, and of three at least."""
    times: list[float] = []
    while sum(times) < least or len(times) < 3:
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return median(times)


def gain(op: Op, found: Sequence[Call]) -> float:
    """The time of the definition over that of the kernel, for all these calls."""
    spent = {op.raw: 0.0, op.run: 0.0}
    for inputs, params in found:
        for how in (op.raw, op.run, op.raw, op.run):
            spent[how] += seconds(partial(how, *inputs, **params), 0.005)
    return spent[op.raw] / spent[op.run]


def slowed(op: Op, row: str, side: str) -> float:
    """The time of a step without the kernel over that with it."""
    call = SIDES[side].build(BY_NAME[row].work, BY_NAME[row].problem())
    times: dict[bool, list[float]] = {True: [], False: []}
    for without in (True, False) * 3:
        with attached(op, declined if without else op.prepare):
            for _ in range(4):  # a program is prepared anew
                call()
            times[without].append(seconds(call, 0.05))
    return min(times[True]) / min(times[False])


@contextmanager
def without_pointwise() -> Any:
    """Convolutions whose filters are single pixels are computed as others are."""
    before = convolution.pointwise
    convolution.pointwise = kn2row
    convolution.method.cache_clear()
    try:
        yield
    finally:
        convolution.pointwise = before
        convolution.method.cache_clear()


def of_pointwise(made: dict[str, Callable[[], Any]]) -> str:
    """The times of eager calls without `kernels/conv/pointwise.py` over those with it."""
    found = []
    for row in ("pointwise", *(row for row in made if "mobilenet" in row)):
        times: dict[bool, list[float]] = {True: [], False: []}
        for without in (True, False) * 3:
            with without_pointwise() if without else nullcontext():
                made[row]()
                times[without].append(seconds(made[row], 0.1))
        found.append(f"{row} {min(times[True]) / min(times[False]):.2f}")
    return ", ".join(found)


def main() -> None:
    """Print a line for each line of the table, and then those that gain too little."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lines", default="*", metavar="PATTERNS", help="which ops, with * and ?")
    parser.add_argument("--steps", nargs="*", default=STEPS, metavar="ROW", help="which steps; none with --no-steps")
    parser.add_argument("--no-steps", dest="steps", action="store_const", const=())
    arguments = parser.parse_args()
    tg.keep_freed_memory()
    asked = arguments.lines.split(",")
    lines = [line for line in OWN if any(fnmatch(line.op.name, pattern) for pattern in asked)]
    made = {row: built(row) for row in dict.fromkeys([*(line.row for line in lines), *arguments.steps])}
    weak: list[str] = []
    print(f"{'op':28} {'row':24} gain (table)  steps", flush=True)
    for line in lines:
        measured = gain(line.op, found) if (found := calls(line.op, made[line.row])) else 0.0
        steps = [row for row in arguments.steps if calls(line.op, made[row])]
        ratios = {f"{row} {side}": slowed(line.op, row, side) for row in steps for side in ("eager", "compiled")}
        told = ", ".join(f"{name} {ratio:.2f}" for name, ratio in ratios.items() if abs(ratio - 1) >= 0.02)
        print(f"{line.op.name:28} {line.row:24} {measured:5.2f} ({line.gain:g})  {told}", flush=True)
        if measured < least(line.op) and max(ratios.values(), default=0) < STEP:
            weak.append(f"{line.op.name}: {line.why or 'no reason given'}")
    if any(fnmatch("pointwise", pattern) for pattern in asked):
        print(f"pointwise.py: {of_pointwise(made | {'pointwise': built('pointwise')})}", flush=True)
    print("\n".join(["below the limits:", *weak] if weak else ["each earns its place"]))


def least(op: Op) -> float:
    """The gain for which a line of the op stays."""
    return GAIN_BESIDE_NUMBA if op in _of_numba() else GAIN


def _of_numba() -> set[Op]:
    """The ops that Numba's kernels compute."""
    if not SIDES["numba"].installed:
        return set()
    from tinygrad_cnn.extra.numba.attached import KERNELS

    return {function.op for function, _ in KERNELS}


if __name__ == "__main__":
    main()
