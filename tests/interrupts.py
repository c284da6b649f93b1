"""KeyboardInterrupt at random times: ``python -m tests.interrupts [COUNT] [LOOP ...]`` prints what each loop left changed.

An interrupt may fall anywhere into a step, also into the methods of a context manager. Afterwards every variable of the context
must have its default value again, no tracer may be active, and NumPy must warn as before.
"""

from __future__ import annotations

import random
import signal
import sys
from collections.abc import Callable
from contextvars import ContextVar, copy_context
from itertools import cycle
from time import perf_counter
from typing import Any

import numpy as np

import tinygrad_cnn as tg
from tinygrad_cnn import nn, optim
from tinygrad_cnn.core import tracing
from tinygrad_cnn.ops import replaced
from tinygrad_cnn.scope import Scoped

SHORTEST = 5e-6
"""Seconds from the start of a step to the earliest interrupt."""


def variables() -> dict[str, ContextVar[Any]]:
    """Every context variable of a module of the library, and their values outside of all blocks."""
    found: dict[str, Any] = {}
    for path, module in list(sys.modules.items()):
        if path.startswith("tinygrad_cnn"):
            for name, value in list(vars(module).items()):
                if isinstance(value, Scoped | ContextVar):
                    found[f"{path}.{name}"] = value.variable if isinstance(value, Scoped) else value
    return found


def changed(known: dict[str, ContextVar[Any]], before: dict[str, Any], errors: dict[str, str]) -> list[str]:
    """The names of what is not as it was."""
    wrong = [name for name, variable in known.items() if variable.get(None) != before[name]]
    watchers = [tracer for tracer in tracing.watchers if tracer is not replaced.looking]
    wrong += [f"watchers: {watchers}"] if watchers else []
    return wrong + ([f"errstate: {np.geterr()}"] if np.geterr() != errors else [])


OPTIMIZERS: dict[str, Callable[..., Any]] = {
    name: getattr(optim, name)
    for name in optim.__all__
    if isinstance(getattr(optim, name), type) and issubclass(getattr(optim, name), optim.Optimizer)
    and getattr(optim, name) not in (optim.Optimizer, optim.LBFGS)
}  # fmt: skip


def _network() -> tuple[Any, Any, Any]:
    model = nn.Sequential(
        nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.Dropout(0.5), nn.Flatten(), nn.Linear(18, 3)
    )
    return model, tg.randn(4, 1, 5, 5), tg.Tensor(np.array([0, 1, 2, 0]))


def optimizers() -> Callable[[], object]:
    """Training steps, with each optimizer in turn."""
    model, x, y = _network()
    parameters = [p for p in model.parameters() if p.ndim > 1]
    matrices = [p for p in parameters if p.ndim == 2]
    turns = cycle([make(matrices if name == "Muon" else parameters, lr=1e-3) for name, make in OPTIMIZERS.items()])

    def step() -> None:
        optimizer = next(turns)
        optimizer.zero_grad()
        tg.cross_entropy(model(x), y).backward()
        optimizer.step()

    return step


def lbfgs() -> Callable[[], object]:
    """Steps of L-BFGS with a line search."""
    w = tg.randn(3, requires_grad=True)
    optimizer = optim.LBFGS([w], max_iter=2, line_search_fn="strong_wolfe")

    def closure() -> Any:
        optimizer.zero_grad()
        loss = ((w - 1) ** 2).sum()
        loss.backward()
        return loss

    return lambda: optimizer.step(closure)


def evaluation() -> Callable[[], object]:
    """Steps with blocks of no_grad and enable_grad, one in the other, and as decorators."""
    model, x, _ = _network()

    @tg.no_grad()
    def measured() -> Any:
        return model(x)

    def step() -> None:
        measured()
        with tg.no_grad():
            with tg.enable_grad():
                (x * 2).sum()
            with tg.no_grad():
                (x + 1).sum()

    return step


def transforms() -> Callable[[], object]:
    """vmap of grad, forward mode, a Hessian, checkpoint, implicit differentiation, detect_anomaly, and assignments."""
    w, x = tg.randn(3, requires_grad=True), tg.randn(4, 3)

    def loss(w: Any, x: Any) -> Any:
        return (tg.tanh(w * x) ** 2).sum()

    solve = tg.implicit(lambda a: np.sqrt(a), lambda y, a: y * y - a) if hasattr(tg, "implicit") else None

    def assigned(x: Any) -> Any:
        y = x.copy()
        view = y[1:]
        y[0] = 1.0
        return y.sum() if view is not None else y

    def step() -> None:
        tg.vmap(tg.grad(loss), (None, 0))(w, x)
        tg.jvp(lambda x: loss(w, x), (x,), (x,))
        tg.hessian(lambda w: loss(w, x))(w)
        tg.checkpoint(loss, w, x).backward()
        tg.checkpoint(lambda w: tg.dropout(w, 0.5).sum(), w).backward()
        tg.gradients(tg.gradients(loss(w, x), w, create_graph=True)[0].sum(), w)
        with tg.detect_anomaly():
            loss(w, x).backward()
        assigned(x)
        if solve is not None:
            solve(tg.ones(2, requires_grad=True) + 1).sum().backward()

    return step


def kernels() -> Callable[[], object]:
    """Ops that let NumPy's errors pass in their kernels, and NumPy's linear algebra."""
    many, x, w = tg.randn(64, 64, requires_grad=True), tg.randn(2, 8, 9, 9), tg.randn(8, 1, 3, 3, requires_grad=True)
    a = tg.Tensor(np.eye(3) + np.arange(9.0).reshape(3, 3) / 9, requires_grad=True)
    scores, ignored = tg.randn(4, 3, requires_grad=True), tg.Tensor(np.full(4, -100))

    def step() -> None:
        (tg.gelu(many).sum() + tg.linalg.norm(many) + many.mean(0).sum()).backward()
        tg.conv2d(x, w, groups=8).sum().backward()
        (
            tg.linalg.inv(a).sum() + tg.linalg.solve(a, a).sum() + tg.linalg.det(a) + tg.linalg.svdvals(a).sum()
        ).backward()
        tg.linalg.eigh(a @ a.T)[0].sum().backward()
        tg.cross_entropy(scores, ignored).backward()

    return step


def fitting() -> Callable[[], object]:
    """``fit`` and ``evaluate``."""
    model, x, y = _network()
    optimizer = optim.Adam(model.parameters())
    return lambda: tg.fit(model, (x, y), optimizer=optimizer, loss=tg.cross_entropy, epochs=1, progress=False)


def compiled() -> Callable[[], object]:
    """A compiled step."""
    model, x, y = _network()
    optimizer = optim.Adam(model.parameters())

    @tg.compile
    def step(x: Any, y: Any) -> Any:
        optimizer.zero_grad()
        loss = tg.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    return lambda: step(x, y)


def frozen() -> Callable[[], object]:
    """A frozen model with a changed weight: it is prepared anew."""
    model, x, _ = _network()
    model.eval()
    f = tg.compile(model, freeze=True)

    def step() -> Any:
        model[1].bias.copy_(model[1].bias)
        return f(x)

    return step


EAGER = {
    "optimizers": optimizers, "lbfgs": lbfgs, "evaluation": evaluation, "transforms": transforms, "kernels": kernels,
    "fit": fitting,
}  # fmt: skip
LOOPS = EAGER | {"compiled": compiled, "frozen": frozen}


def interrupted(loop: str, count: int, seed: int = 0) -> list[str]:
    """What was changed after an interrupt, for `count` interrupts of a loop."""
    step, draw = LOOPS[loop](), random.Random(seed)
    for _ in range(5):
        start = perf_counter()
        step()
    longest = max(3e-4, 2 * (perf_counter() - start))
    known, errors, found = variables(), np.geterr(), []
    before = {name: variable.get(None) for name, variable in known.items()}
    outside = copy_context()

    def interrupt() -> None:
        after = draw.uniform(SHORTEST, longest)
        try:
            signal.setitimer(signal.ITIMER_REAL, after)
            latest = perf_counter() + after + 0.02
            while perf_counter() < latest:  # a finalizer may swallow the interrupt
                step()
        except KeyboardInterrupt:
            pass

    def follow() -> None:
        interrupt()
        found.extend(changed(known, before, errors))

    old = signal.signal(signal.SIGALRM, signal.default_int_handler)
    try:
        for _ in range(count):
            outside.copy().run(follow)  # so that each begins as the first did
            tracing.watchers[:] = [tracer for tracer in tracing.watchers if tracer is replaced.looking]
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)
    return found


def main(count: int = 1000, *loops: str) -> None:
    for loop in loops or LOOPS:
        found = interrupted(loop, count)
        print(f"{loop}: {len(found)} of {count}", *sorted(set(found)), sep="\n    ", flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]), *sys.argv[2:])
