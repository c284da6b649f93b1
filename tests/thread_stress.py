"""Threads that train, compile, save, load and check gradients of their own; their results are those of one thread.

``python -m tests.thread_stress ROUNDS THREADS`` prints each difference, and its status says whether there was one. Threads
change every microsecond, and the first round starts right after the import, when functions of ops are still to be generated.
"""

from __future__ import annotations

import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import tinygrad_cnn as tg
from tinygrad_cnn import nn


def trained(seed: int, folder: Path) -> list[Any]:
    """The losses of a small convolutional network and its weights, which went through a file of its own."""
    rng = np.random.default_rng(seed)
    x, labels = rng.standard_normal((12, 2, 6, 6), np.float32), rng.integers(0, 3, 12)
    model = nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4), nn.GELU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(36, 3)
    )
    for p in model.parameters():
        p.copy_(rng.standard_normal(p.shape, np.float32) / 4)
    optimizer = tg.optim.Adam(model.parameters(), lr=0.01)
    history = tg.fit(
        model, (x, labels), tg.cross_entropy, optimizer, epochs=4, batch_size=6, shuffle=False, progress=False
    )
    path = folder / f"{threading.get_ident()}-{seed}.npz"
    tg.save(path, model.state_dict())
    return [np.array(history["loss"]), tg.load(path)]


def compiled(seed: int, folder: Path) -> list[Any]:
    """A compiled function that branches on a value, called while its leaf is updated."""
    rng = np.random.default_rng(seed)
    w = tg.Tensor(rng.standard_normal((5, 5), np.float32), requires_grad=True)

    @tg.compile
    def step(x: Any) -> Any:
        y = (x @ w).tanh()
        y = y * 2 if float(y.numpy().sum()) > 0 else y.exp()
        loss = (y * y).sum()
        w.grad = None
        loss.backward()
        with tg.no_grad():
            w.copy_(w.numpy() - 0.01 * w.grad.numpy())
        return loss

    return [step(tg.Tensor(rng.standard_normal((3, 5), np.float32))).item() for _ in range(12)] + [w.numpy().copy()]


def derived(seed: int, folder: Path) -> list[Any]:
    """Derivatives of functions: second order, forward, batched, through a checkpoint and with a hook."""
    rng = np.random.default_rng(seed)
    x, seen = rng.standard_normal(6), []

    def f(x: Any) -> Any:
        return (tg.softmax(x) * tg.sin(x * x)).sum()

    leaf = tg.Tensor(x, requires_grad=True)
    leaf.register_hook(lambda g: seen.append(g.numpy().copy()))
    tg.checkpoint(f, leaf).backward()
    return [
        tg.grad(f)(x), tg.hessian(f)(x), tg.jacobian(lambda x: tg.cumsum(tg.exp(x)))(x), tg.jvp(f, (x,), (x + 1,)),
        tg.vmap(tg.grad(f))(rng.standard_normal((4, 6))), leaf.grad, seen,
    ]  # fmt: skip


def checked(seed: int, folder: Path) -> list[Any]:
    """Gradients against finite differences, and a graph that refuses values which were overwritten."""
    rng = np.random.default_rng(seed)
    good = tg.testing.gradcheck(
        lambda x, w: tg.conv2d(x, w, padding=1), rng.random((1, 2, 3, 3)), rng.random((2, 2, 2, 2)), rng=0
    )
    leaf = tg.Tensor(rng.standard_normal(4), requires_grad=True)
    y = (leaf * leaf).sum()
    leaf.copy_(np.ones(4))
    try:
        y.backward()
    except RuntimeError:
        return [bool(good), "refused"]
    return [bool(good), "a gradient of overwritten values"]


def assigned(seed: int, folder: Path) -> list[Any]:
    """Assignments to elements, whose old memory views still have."""
    rng = np.random.default_rng(seed)
    x, found = tg.Tensor(rng.standard_normal(6), requires_grad=True), []
    for _ in range(20):
        y = x * 2
        view = y[:2]
        y[1:3] = x[:2] * x[:2]
        try:
            found.append((view + 1).numpy())
        except RuntimeError:
            found.append("out of date")
        del view
        y.sum().backward()
    return [*found, x.grad]


WORK: list[Callable[[int, Path], list[Any]]] = [trained, compiled, derived, checked, assigned]


def plain(value: Any) -> Any:
    """Bytes, shapes and dtypes in place of arrays and Tensors."""
    if isinstance(value, dict):
        return {name: plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    if isinstance(value, tg.Tensor):
        value = value.numpy()
    return (value.dtype.str, value.shape, value.tobytes()) if isinstance(value, np.ndarray) else value


def all_of(number: int, folder: Path) -> list[Any]:
    """What one thread computes: all kinds of work, from another kind on in each thread."""
    order = [(number + i) % len(WORK) for i in range(len(WORK))]
    found = {i: plain(WORK[i](number, folder)) for i in order}
    return [found[i] for i in range(len(WORK))]


def one_round(folder: Path, count: int) -> list[str]:
    """All threads at once, then one after another: a line for each difference."""
    barrier, results = threading.Barrier(count), [None] * count

    def run(number: int) -> None:
        barrier.wait()
        try:
            results[number] = all_of(number, folder)
        except BaseException as error:
            results[number] = f"{type(error).__name__}: {error}"

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines = []
    for number, found in enumerate(results):
        expected = all_of(number, folder)
        if not isinstance(found, list):
            lines.append(f"thread {number}: {found}")
        else:
            lines += [f"thread {number}: {w.__name__}" for w, a, b in zip(WORK, found, expected, strict=True) if a != b]
    return lines


def main() -> int:
    """Run the rounds that the command line asks for."""
    sys.setswitchinterval(1e-6)
    lines = []
    with tempfile.TemporaryDirectory() as folder:
        rounds, threads = map(int, sys.argv[1:])
        for _ in range(rounds):
            lines += one_round(Path(folder), threads)
    print(*lines, f"{len(lines)} differences", sep="\n")
    return bool(lines)


if __name__ == "__main__":
    sys.exit(main())
