"""Random programs whose leaves change places from call to call, each built twice from one seed: eagerly and compiled.

In each call, an argument or a variable outside is one of a few leaves, the same leaf as another argument, a constant, or the
result of an op outside. Gradients are wanted of all leaves or of some, inside the function or after it. `compare` looks at
results, at all gradients, and at what was kept of earlier calls.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import tinygrad_cnn as tg

SHAPE = (3, 4)
CALLS = 14

Values = list[Any]


def _assigned(a, b):
    y = a * 1
    y[0] = b[1]
    return y


OPS: dict[str, Callable[..., Any]] = {
    "add": lambda a, b, c, k: a + b,
    "sub": lambda a, b, c, k: a - b,
    "mul": lambda a, b, c, k: a * b,
    "tanh": lambda a, b, c, k: tg.tanh(a),
    "relu": lambda a, b, c, k: tg.relu(a),
    "outside": lambda a, b, c, k: a * c,
    "number": lambda a, b, c, k: a * k,
    "matmul": lambda a, b, c, k: a @ tg.transpose(b) @ a,
    "sum": lambda a, b, c, k: a + b.sum(axis=0),
    "where": lambda a, b, c, k: tg.where(a > 0, a, b),
    "detach": lambda a, b, c, k: a + b.detach(),
    "assign": lambda a, b, c, k: _assigned(a, b),
    "join": lambda a, b, c, k: tg.concatenate([a[1:], b[:1]]),
}
WALKS = ("none", "backward", "backward twice", "all", "some", "in turn")


class Program:
    """A function, and calls of it that a generator of its own draws."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.count = int(rng.integers(1, 4))
        self.ops = [(str(rng.choice([*OPS])), *map(int, rng.integers(100, size=2))) for _ in range(rng.integers(2, 9))]
        self.walk = str(rng.choice(WALKS))
        self.keeps = bool(rng.integers(2))
        self.rng = rng
        self.pool = [tg.Tensor(rng.standard_normal(SHAPE), requires_grad=i < 3) for i in range(5)]
        self.outside = [self.any(), self.any()]
        self.turn, self.number = 0, 1.0

    def any(self) -> Any:
        """One of the leaves and constants."""
        return self.pool[self.rng.integers(len(self.pool))]

    def function(self, *args: Any) -> Any:
        """The loss, or with gradients of it."""
        values = list(args)
        for name, i, j in self.ops:
            a, b = values[i % len(values)], values[j % len(values)]
            values.append(OPS[name](a, b, self.outside[j % 2], self.number))
        loss = (values[-1] * values[len(values) // 2]).mean()
        walk = ("backward", "all", "some")[self.turn % 3] if self.walk == "in turn" else self.walk
        if walk == "none" or not loss.requires_grad:
            return [loss]
        if walk.startswith("backward"):
            if walk == "backward twice":
                loss.backward(retain_graph=True)
            loss.backward()
            return [loss]
        leaves = [*{id(t): t for t in (*args, *self.outside) if t.requires_grad}.values()]
        if walk == "some":
            leaves = leaves[self.turn % 2 :: 2] or leaves[:1]
        return [loss, *(tg.gradients(loss, leaves, allow_unused=True) if leaves else ())]

    def argument(self, i: int, others: Values, moves: bool) -> Any:
        """The i-th argument of a call."""
        kind = self.rng.integers(10)
        if kind == 0:
            return self.any() * 2.0
        if kind == 1:
            return tg.Tensor(self.rng.standard_normal(SHAPE), requires_grad=bool(self.rng.integers(2)))
        if kind == 2 and others:
            return others[0]
        return self.any() if moves else self.pool[i]

    def run(self, wrap: Callable[[Any], Any]) -> Values:
        """What can be seen of all calls."""
        function, rng = wrap(self.function), self.rng
        seen: Values = []
        kept: Values = []
        for call in range(CALLS):
            self.turn = call if rng.integers(2) else 0
            self.number = 2.0 if rng.integers(8) == 0 else 1.0
            if rng.integers(10) == 0:
                self.outside[rng.integers(2)] = self.any()
            moves = not rng.integers(4)
            args: Values = []
            for i in range(self.count):
                args.append(self.argument(i, args, moves))
            if rng.integers(12) == 0:
                leaf = self.pool[rng.integers(3)]
                leaf.requires_grad_(not leaf.requires_grad)
            if rng.integers(6) == 0:
                self.any().copy_(rng.standard_normal(SHAPE))
            found = function(*args)
            if self.walk == "none" and found[0].requires_grad and rng.integers(4):
                found[0].backward()
            leaves = [*self.pool, *(a for a in args if a.is_leaf)]
            grads = [leaf.grad for leaf in leaves]
            seen.append([_bits(v) for v in [*found, *grads]])
            if self.keeps:
                kept += [*found, *grads]
            if rng.integers(3) == 0:
                for leaf in self.pool:
                    leaf.grad = None
        return [*seen, [_bits(v) for v in kept]]


def _bits(value: Any) -> Any:
    return None if value is None else (value.shape, value.dtype, value.requires_grad, value.numpy().tobytes())


def compare(seed: int) -> str | None:
    """What the compiled program does otherwise, or None."""
    eager, compiled = Program(seed).run(lambda f: f), Program(seed).run(tg.compile)
    for call, (a, b) in enumerate(zip(eager, compiled, strict=True)):
        if a != b:
            what = f"call {call}" if call < CALLS else "what was kept"
            return f"seed {seed}: {what} differs"
    return None
