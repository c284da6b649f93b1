"""Recurrent networks: RNN, GRU and LSTM, step by step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ....core.graph import Array
from ....ops import activation as a
from ....ops import elementwise as e
from ....ops import matmul as m
from ....ops import shape as s
from ....ops.index import getitem
from ....ops.transcendental import sigmoid, tanh
from .base import Weight, bounded, dtype_of, reads, refuse, values

ACTIVATIONS: dict[str, Callable[..., Any]] = {
    "affine": lambda x, alpha=1.0, beta=0.0: e.add(e.mul(x, alpha), beta),
    "elu": lambda x, alpha=1.0: a.elu(x, alpha),
    "hardsigmoid": lambda x, alpha=0.2, beta=0.5: a.hardtanh(e.add(e.mul(x, alpha), beta), min_val=0.0, max_val=1.0),
    "leakyrelu": lambda x, alpha=0.01: a.leaky_relu(x, alpha),
    "relu": lambda x: a.relu(x),
    "scaledtanh": lambda x, alpha=1.0, beta=1.0: e.mul(tanh(e.mul(x, beta)), alpha),
    "sigmoid": lambda x: sigmoid(x),
    "softplus": lambda x: a.softplus(x),
    "softsign": lambda x: a.softsign(x),
    "tanh": lambda x: tanh(x),
    "thresholdedrelu": lambda x, alpha=1.0: a.threshold(x, alpha, 0.0),
}
TAKES = {"affine": 2, "elu": 1, "hardsigmoid": 2, "leakyrelu": 1, "scaledtanh": 2, "thresholdedrelu": 1}


def _functions(names: Sequence[str], alpha: Sequence[float], beta: Sequence[float]) -> list[Callable[..., Any]]:
    found, alphas, betas = [], list(alpha), list(beta)
    for name in names:
        low = name.lower()
        refuse(
            low not in ACTIVATIONS, f"`activations` has {name!r}; it must be one of {', '.join(sorted(ACTIVATIONS))}"
        )
        takes, more = TAKES.get(low, 0), {}
        if takes and alphas:
            more["alpha"] = alphas.pop(0)
        if takes > 1 and betas:
            more["beta"] = betas.pop(0)
        found.append(_with(ACTIVATIONS[low], more))
    return found


def _with(function: Callable[..., Any], more: dict[str, float]) -> Callable[..., Any]:
    return lambda x: function(x, **more)


def _recurrent(
    kind: str, defaults: Sequence[str], x: Any, w: Any, r: Any, b: Any, lengths: Any, states: Sequence[Any], peephole: Any,
    activations: Any, activation_alpha: Any, activation_beta: Any, clip: Any, direction: str, layout: int, more: dict[str, Any],
) -> Any:  # fmt: skip
    x = s.swapaxes(x, 0, 1) if layout else x
    steps, batch, _ = np.shape(x)
    directions, hidden = np.shape(r)[0], np.shape(r)[-1]
    refuse(
        directions != (2 if direction == "bidirectional" else 1), f"`direction` is {direction!r} but R is {np.shape(r)}"
    )
    bounded([steps, batch, hidden], kind)
    each = len(defaults)
    functions = _functions(activations or list(defaults) * directions, activation_alpha or (), activation_beta or ())
    refuse(
        len(functions) != each * directions,
        f"`activations` has {len(functions)} names; it must have {each * directions}",
    )
    count = None if lengths is None else values(lengths)
    outputs, finals = [], []
    for i in range(directions):
        own: Any = (slice(None), i) if layout else i
        zero = np.zeros((batch, hidden), dtype_of(x))
        start = [zero if state is None else getitem(state, index=own) for state in states]
        backward = i == 1 or direction == "reverse"
        cell = CELLS[kind](
            w[i], r[i], None if b is None else b[i], None if peephole is None else peephole[i],
            functions[each * i : each * i + each], clip, more, hidden,
        )  # fmt: skip
        ys, end = _run(cell, x, start, backward, count)
        outputs.append(ys)
        finals.append(end)
    y = s.stack(outputs, 1)  # (steps, directions, batch, hidden)
    last = [s.stack([final[j] for final in finals], 0) for j in range(len(states))]
    if layout:
        y = s.transpose(y, axes=(2, 0, 1, 3))
        last = [s.swapaxes(h, 0, 1) for h in last]
    return y, *last


def _run(cell: Any, x: Any, state: list[Any], backward: bool, lengths: Any) -> tuple[Any, list[Any]]:
    steps, ys = np.shape(x)[0], []
    for t in reversed(range(steps)) if backward else range(steps):
        new = cell(x[t], *state)
        if lengths is not None and (lengths <= t).any():
            live = (t < lengths)[:, None]
            ys.append(e.where(live, new[0], 0))
            new = [e.where(live, now, before) for now, before in zip(new, state, strict=True)]
        else:
            ys.append(new[0])
        state = list(new)
    return s.stack(ys[::-1] if backward else ys, 0), state


def _clipped(x: Any, clip: Any) -> Any:
    return x if not clip else e.clip(x, -clip, clip)


def _rnn_cell(w: Any, r: Any, b: Any, p: Any, f: Any, clip: Any, more: Any, hidden: int) -> Any:
    bias = None if b is None else e.add(b[:hidden], b[hidden:])

    def cell(x: Any, h: Any) -> Any:
        return (f[0](_clipped(e.add(m.linear(x, w, bias), m.linear(h, r)), clip)),)

    return cell


def _gru_cell(w: Any, r: Any, b: Any, p: Any, f: Any, clip: Any, more: Any, hidden: int) -> Any:
    wb, rb = (None, None) if b is None else (b[: 3 * hidden], b[3 * hidden :])

    def cell(x: Any, h: Any) -> Any:
        inner = m.linear(x, w, wb)
        if more["linear_before_reset"]:
            outer = m.linear(h, r, rb)
        else:
            outer = m.linear(h, r[: 2 * hidden], None if rb is None else rb[: 2 * hidden])
        gates = f[0](_clipped(e.add(inner[:, : 2 * hidden], outer[:, : 2 * hidden]), clip))
        z, reset = gates[:, :hidden], gates[:, hidden:]
        if more["linear_before_reset"]:
            into = e.mul(reset, outer[:, 2 * hidden :])
        else:
            into = m.linear(e.mul(reset, h), r[2 * hidden :], None if rb is None else rb[2 * hidden :])
        new = f[1](_clipped(e.add(inner[:, 2 * hidden :], into), clip))
        return (e.add(e.mul(e.sub(1, z), new), e.mul(z, h)),)

    return cell


def _lstm_cell(w: Any, r: Any, b: Any, p: Any, f: Any, clip: Any, more: Any, hidden: int) -> Any:
    bias = None if b is None else e.add(b[: 4 * hidden], b[4 * hidden :])

    def cell(x: Any, h: Any, c: Any) -> Any:
        total = e.add(m.linear(x, w, bias), m.linear(h, r))
        i, o, forget, new = (total[:, j * hidden : (j + 1) * hidden] for j in range(4))
        if p is not None:
            i, forget = e.add(i, e.mul(p[:hidden], c)), e.add(forget, e.mul(p[2 * hidden :], c))
        i, forget = f[0](_clipped(i, clip)), f[0](_clipped(forget, clip))
        forget = e.sub(1, i) if more["input_forget"] else forget
        c = e.add(e.mul(forget, c), e.mul(i, f[1](_clipped(new, clip))))
        o = o if p is None else e.add(o, e.mul(p[hidden : 2 * hidden], c))
        return e.mul(f[0](_clipped(o, clip)), f[2](c)), c

    return cell


CELLS = {"RNN": _rnn_cell, "GRU": _gru_cell, "LSTM": _lstm_cell}
Names = Sequence[str] | None
Floats = Sequence[float] | None


@reads("RNN")
def _rnn(
    x: Array, w: Weight, r: Weight, b: Weight = None, sequence_lens: Array = None, initial_h: Array = None, *,
    activation_alpha: Floats = None, activation_beta: Floats = None, activations: Names = None, clip: float | None = None,
    direction: str = "forward", hidden_size: int | None = None, layout: int = 0,
) -> Any:  # fmt: skip
    return _recurrent(
        "RNN", ("Tanh",), x, w, r, b, sequence_lens, [initial_h], None, activations, activation_alpha, activation_beta, clip,
        direction, layout, {},
    )  # fmt: skip


@reads("GRU")
def _gru(
    x: Array, w: Weight, r: Weight, b: Weight = None, sequence_lens: Array = None, initial_h: Array = None, *,
    activation_alpha: Floats = None, activation_beta: Floats = None, activations: Names = None, clip: float | None = None,
    direction: str = "forward", hidden_size: int | None = None, layout: int = 0, linear_before_reset: int = 0,
) -> Any:  # fmt: skip
    return _recurrent(
        "GRU", ("Sigmoid", "Tanh"), x, w, r, b, sequence_lens, [initial_h], None, activations, activation_alpha,
        activation_beta, clip, direction, layout, {"linear_before_reset": linear_before_reset},
    )  # fmt: skip


@reads("LSTM")
def _lstm(
    x: Array, w: Weight, r: Weight, b: Weight = None, sequence_lens: Array = None, initial_h: Array = None,
    initial_c: Array = None, p: Weight = None, *, activation_alpha: Floats = None, activation_beta: Floats = None,
    activations: Names = None, clip: float | None = None, direction: str = "forward", hidden_size: int | None = None,
    input_forget: int = 0, layout: int = 0,
) -> Any:  # fmt: skip
    return _recurrent(
        "LSTM", ("Sigmoid", "Tanh", "Tanh"), x, w, r, b, sequence_lens, [initial_h, initial_c], p, activations,
        activation_alpha, activation_beta, clip, direction, layout, {"input_forget": input_forget},
    )  # fmt: skip
