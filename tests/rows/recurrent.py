"""Rows for ops/recurrent.py, against steps that are written out."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_cnn.ops import recurrent as ops
from tinygrad_cnn.testing.cases import Arg, Case


def sigmoid(x: NDArray[Any]) -> NDArray[Any]:
    """1 / (1 + e^-x)."""
    return np.asarray(1 / (1 + np.exp(-x)))


def steps(
    into: NDArray[Any], w: NDArray[Any], h: Any, c: Any = None, b: Any = None, p: Any = None, *, kind: str, reverse: bool
) -> NDArray[Any]:  # fmt: skip
    """One step after the other."""
    ys = []
    for x in into[::-1] if reverse else into:
        inner, outer = (np.split(a, ops.GATES[kind], 1) for a in (x, h @ w.T + (0 if b is None else b)))
        if kind == "gru":
            r, z = sigmoid(inner[0] + outer[0]), sigmoid(inner[1] + outer[1])
            h = (1 - z) * np.tanh(inner[2] + r * outer[2]) + z * h
        elif kind == "lstm":
            i, f, g, o = (a + b for a, b in zip(inner, outer, strict=True))
            c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
            h = sigmoid(o) * np.tanh(c) @ (np.eye(c.shape[1]) if p is None else p.T)
        else:
            h = (np.tanh if kind == "rnn_tanh" else lambda a: np.maximum(a, 0))(inner[0] + outer[0])
        ys.append(h if c is None else np.concatenate([h, c], 1))
    return np.stack(ys[::-1] if reverse else ys)


def row(kind: str, reverse: bool, bias: bool = True, projected: int = 0) -> Case:
    """A row of two examples, three steps and two hidden numbers."""
    size, state = 2 * ops.GATES[kind], projected or 2
    args = [Arg((3, 2, size)), Arg((size, state)), Arg((2, state))]
    more = [Arg((2, 2))] if kind == "lstm" else []
    more += [Arg((size,))] if bias else []
    more += [Arg((state, 2))] if projected else []

    def call(f: Any) -> Any:
        def with_places(into: Any, w: Any, h: Any, *rest: Any) -> Any:
            given = list(rest)
            c = given.pop(0) if kind == "lstm" else None
            b = given.pop(0) if bias else None
            return f(into, w, h, c, b, *given, kind=kind, reverse=reverse)

        return with_places

    return Case(ops.recurrence, (*args, *more), steps, {}, order=2, fixed=True, via=call)


CASES = [
    row("rnn_tanh", False), row("gru", False), row("gru", True, False), row("lstm", False), row("lstm", True, False),
    row("lstm", False, True, 1), row("rnn_relu", True, False),
    row("lstm", True, False, 2),
]  # fmt: skip
