"""Recurrent networks: the steps of a whole sequence as one op, and the backward pass through time as its rule.

A step computes act(into_t + w h), where `into` is what the inputs give for all steps, by one product. From the values of the
gates it is known for all steps at once by what a gradient is multiplied in the step back.

In docstrings, g is the incoming gradient. References: Elman, "Finding structure in time" (1990); Hochreiter and Schmidhuber,
"Long short-term memory" (1997); Cho et al., arXiv:1406.1078; Sak et al., arXiv:1402.1128 (projections); Werbos,
"Backpropagation through time" (1990).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ..core.graph import Array, op
from .activation import relu
from .elementwise import astype, where
from .matmul import linear, matmul
from .reduce import sum as total
from .shape import concatenate, expand_dims, get_shape, reshape, stack, swapaxes
from .transcendental import sigmoid, tanh

__all__: list[str] = []

GATES = {"rnn_tanh": 1, "rnn_relu": 1, "gru": 3, "lstm": 4}
"""The gates of each kind. Those of a GRU are reset, update and new, those of an LSTM input, forget, cell and output."""


@op(residuals=["gates"])
def recurrence(
    into: Array,
    w: Array,
    h: Array,
    c: Array = None,
    b: Array = None,
    p: Array = None,
    *,
    kind: str,
    reverse: bool = False,
) -> Any:
    """y = the states of all steps: (L, N, H), or for an LSTM h and c beside each other, (L, N, P + H).

    into: (L, N, gates H).   w: (gates H, P), p: (P, H) or None for P = H.   h: (N, P), c: (N, H), the states before.
    rnn: h = act(into + w h + b).   gru: r, z = sigmoid(...), n = tanh(into_n + r (w_n h + b_n)), h = n + z (h - n).
    lstm: i, f, o = sigmoid(...), c = f c + i tanh(into_g + w_g h + b_g), h = p (o tanh(c)).
    With `reverse`, the first step is that of the last input.

    The gradients go back through time: each step's gradients are those of its gates, and g plus w' of the step after.
    """
    wide = [
        a if a is None else np.asarray(a, np.result_type(into, np.float32), order="C") for a in (into, w, h, c, b, p)
    ]
    y, gates = _forward(wide, kind, reverse)
    dtype = np.result_type(np.float16, *(a for a in (into, w, h, c, b, p) if a is not None))
    return y.astype(dtype, copy=False), gates


def _forward(inputs: Sequence[Any], kind: str, reverse: bool) -> tuple[np.ndarray, np.ndarray]:
    """The states, and the values of the gates (L, N, gates, H); for a GRU also w_n h + b_n."""
    into, w, h, c, b, p = inputs
    steps, n, size = into.shape
    hidden = size // GATES[kind]
    a, states = np.array(into), np.empty((steps, n, h.shape[1] + (0 if c is None else hidden)), into.dtype)
    if b is not None and kind != "gru":
        a += b
    more = np.empty((steps, n, hidden), into.dtype) if kind == "gru" else None
    left, term = np.array(w.T, order="C"), np.empty((n, size), into.dtype)
    factor, shift = _half(kind, hidden, into.dtype)
    if factor is not None:  # sigmoid(x) = tanh(x / 2) / 2 + 1 / 2
        a *= factor
        left *= factor
    product = np.empty((n, hidden), into.dtype)
    for t in reversed(range(steps)) if reverse else range(steps):
        own, y = a[t], states[t]
        np.matmul(h, left, term)
        if kind == "gru":
            h = _gru_step(own, term, b, h, more[t], y, hidden)  # type: ignore[index]
            continue
        own += term
        if kind == "rnn_relu":
            h = np.maximum(own, 0, out=own)
            y[...] = h
            continue
        np.tanh(own, own)
        if kind == "rnn_tanh":
            h = own
            y[...] = h
            continue
        own *= factor
        own += shift
        i, f, new, o = (own[:, k * hidden : (k + 1) * hidden] for k in range(4))
        cell = y[:, -hidden:]
        np.multiply(f, c, cell)
        cell += np.multiply(i, new, product)
        c = cell
        m = np.multiply(o, np.tanh(cell, product), product)
        h = m.copy() if p is None else m @ p.T
        y[:, :-hidden] = h
    gates = a.reshape(steps, n, -1, hidden)
    return states, gates if more is None else np.concatenate([gates, more[:, :, None]], 2)


def _half(kind: str, hidden: int, dtype: Any) -> tuple[Any, Any]:
    """1 / 2 for the gates that are sigmoids, 1 for others; 1 / 2 and 0."""
    if kind != "lstm":
        return None, None
    factor = np.repeat(np.array([0.5, 0.5, 1, 0.5], dtype), hidden)
    return factor, np.repeat(np.array([0.5, 0.5, 0, 0.5], dtype), hidden)


def _gru_step(a: np.ndarray, term: np.ndarray, b: Any, h: Any, more: Any, y: np.ndarray, hidden: int) -> np.ndarray:
    if b is not None:
        term += b
    two = a[:, : 2 * hidden]
    two += term[:, : 2 * hidden]
    two *= 0.5
    np.tanh(two, two)
    two *= 0.5
    two += 0.5
    more[...] = term[:, 2 * hidden :]
    new = a[:, 2 * hidden :]
    new += a[:, :hidden] * more
    np.tanh(new, new)
    np.subtract(h, new, y)
    y *= a[:, hidden : 2 * hidden]
    y += new
    return y


class Factors(NamedTuple):
    """What gradients are multiplied with in a step back, for all steps: that of h or m for the gates (L, N, gates, H); for an
    LSTM that of h for the cell, and that of the cell for the one before; for a GRU that of h for the state before, and those
    of h for what w gives."""

    gates: Any
    cell: Any = None
    keep: Any = None
    hidden: Any = None


def _factors(kind: str, gates: Any, before: Any, states: Any, hidden: int) -> Factors:
    """Arrays or Tensors. `before` are the states before each step."""
    each = [gates[:, :, k] for k in range(get_shape(gates)[2])]
    if kind == "rnn_tanh":
        return Factors(1 - gates * gates)
    if kind == "rnn_relu":
        return Factors(where(gates > 0, gates * 0 + 1, gates * 0))
    if kind == "gru":
        r, z, new, inner = each
        slope = (1 - z) * (1 - new * new)
        first, second = slope * inner * r * (1 - r), (before - new) * z * (1 - z)
        return Factors(stack([first, second, slope], axis=2), None, z, stack([first, second, slope * r], axis=2))
    i, f, new, o = each
    t = tanh(states[:, :, -hidden:])
    factors = [new * i * (1 - i), before[:, :, -hidden:] * f * (1 - f), i * (1 - new * new), t * o * (1 - o)]
    return Factors(stack(factors, axis=2), o * (1 - t * t), f)


@recurrence.joint_vjp("into", "w", "h", "c", "b", "p")
def _recurrence_vjp(
    g: Array, y: Array, into: Array, w: Array, h: Array, c: Array, b: Array, p: Array, gates: Array, kind: str, reverse: bool,
    needs: Sequence[bool],
) -> tuple[Any, ...]:  # fmt: skip
    given: Any = into, w, h, c, b, p
    if isinstance(getattr(gates, "_array", None), np.ndarray):  # a tracer that does not look into a rule of arrays
        g, y, gates = (np.asarray(a) for a in (g, y, gates))
        given = tuple([a if a is None else np.asarray(a) for a in given])
    if hasattr(g, "_node"):
        found = _back(g, None, given, None, kind, reverse)
    else:  # in C order, so that sums have the same bits wherever the values lie
        ordered = [a if a is None else np.ascontiguousarray(a) for a in given]
        found = _back(
            np.ascontiguousarray(g), np.ascontiguousarray(y), ordered, np.ascontiguousarray(gates), kind, reverse
        )
    return tuple([
        None if own is None or not needed else astype(own, a.dtype) for own, needed, a in zip(found, needs, given, strict=True)
    ])  # fmt: skip


def _back(g: Any, y: Any, given: Sequence[Any], gates: Any, kind: str, reverse: bool) -> tuple[Any, ...]:
    """The gradients of the inputs: through arrays, or without gates through Tensors, by ops alone."""
    into, w, h, c, b, p = given
    hidden = get_shape(into)[2] // GATES[kind]
    if gates is None:
        y, gates = steps_by_ops(given, kind, reverse)
    start = h if c is None else concatenate([h, c], axis=1)
    start = reshape(start, shape=(1, *get_shape(start)))
    before = concatenate([y[1:], start] if reverse else [start, y[:-1]], axis=0)
    factors = _factors(kind, gates, before, y, hidden)
    walk = _walk_arrays if isinstance(g, np.ndarray) else _walk_ops
    inside, outer, dh, dc = walk(g, w, p, factors, kind, reverse, hidden)
    steps, n, size = get_shape(into)
    dinto = inside
    if kind == "gru":  # `outer` are the gradients of the states
        dinto = reshape(expand_dims(outer, 2) * factors.gates, shape=(steps, n, size))
    rows = reshape(inside, shape=(steps * n, size))
    states = before[:, :, : get_shape(h)[1]]
    dw = matmul(swapaxes(rows, 0, 1), reshape(states, shape=(steps * n, -1)))
    db = None if b is None else total(rows, axis=0)
    dp = None
    if p is not None:
        m = gates[:, :, 3] * tanh(y[:, :, -hidden:])
        dp = matmul(swapaxes(reshape(outer, shape=(steps * n, -1)), 0, 1), reshape(m, shape=(steps * n, hidden)))
    return dinto, dw, dh, dc, db, dp


def _walk_arrays(
    g: np.ndarray, w: Any, p: Any, factors: Factors, kind: str, reverse: bool, hidden: int
) -> tuple[Any, Any, Any, Any]:
    """The gradients of w h for all steps (L, N, gates H), those of the states, and those of the states before."""
    dtype = np.result_type(g, factors.gates)
    steps, n, *_ = g.shape
    per = factors.gates.shape[2]
    multiplied = factors.gates if factors.hidden is None else factors.hidden
    inside, outer = (
        np.empty((steps, n, per, hidden), dtype),
        np.array(g[:, :, : g.shape[2] - hidden * (kind == "lstm")], dtype),
    )
    dh, dc = np.zeros(outer.shape[1:], dtype), np.zeros((n, hidden), dtype)
    term, w, p = np.empty((n, hidden), dtype), np.asarray(w, dtype), None if p is None else np.asarray(p, dtype)
    for t in range(steps) if reverse else reversed(range(steps)):
        own, da = outer[t], inside[t]
        own += dh
        back = own
        if kind == "lstm":
            back = own if p is None else own @ p
            dc += g[t, :, -hidden:]
            dc += np.multiply(back, factors.cell[t], term)
            np.multiply(dc[:, None], multiplied[t, :, :3], da[:, :3])
            np.multiply(back, multiplied[t, :, 3], da[:, 3])
            dc *= factors.keep[t]
        else:
            np.multiply(back[:, None], multiplied[t], da)
        np.matmul(da.reshape(n, -1), w, dh)
        if kind == "gru":
            dh += np.multiply(own, factors.keep[t], term)
    return inside.reshape(steps, n, -1), outer, dh, dc if kind == "lstm" else None


def _walk_ops(
    g: Any, w: Any, p: Any, factors: Factors, kind: str, reverse: bool, hidden: int
) -> tuple[Any, Any, Any, Any]:
    """The same by ops."""
    steps, n, size = get_shape(g)
    multiplied = factors.gates if factors.hidden is None else factors.hidden
    states = size - hidden * (kind == "lstm")
    dh: Any = 0.0
    dc: Any = 0.0
    inside, outer = [], []
    for t in range(steps) if reverse else reversed(range(steps)):
        own = g[t, :, :states] + dh
        back = own if p is None else matmul(own, p)
        if kind == "lstm":
            dc = dc + g[t, :, states:] + back * factors.cell[t]
            da = stack([*(dc * multiplied[t, :, k] for k in range(3)), back * multiplied[t, :, 3]], axis=1)
            dc = dc * factors.keep[t]
        else:
            da = expand_dims(back, 1) * multiplied[t]
        da = reshape(da, shape=(n, -1))
        dh = matmul(da, w)
        dh = dh + own * factors.keep[t] if kind == "gru" else dh
        inside.append(da)
        outer.append(own)
    if not reverse:
        inside.reverse()
        outer.reverse()
    return stack(inside), stack(outer), dh, dc if kind == "lstm" else None


def steps_by_ops(given: Sequence[Any], kind: str, reverse: bool) -> tuple[Any, Any]:
    """The states of all steps and the values of the gates, by ops."""
    into, w, h, c, b, p = given
    steps, n, size = get_shape(into)
    hidden = size // GATES[kind]
    states, gates = [], []
    for t in reversed(range(steps)) if reverse else range(steps):
        inner, outer = (reshape(a, shape=(n, -1, hidden)) for a in (into[t], linear(h, w, b)))
        if kind == "gru":
            r, z = (sigmoid(inner[:, k] + outer[:, k]) for k in range(2))
            new = tanh(inner[:, 2] + r * outer[:, 2])
            h = new + z * (h - new)
            own = [r, z, new, outer[:, 2]]
        elif kind == "lstm":
            a = inner + outer
            i, f, o = (sigmoid(a[:, k]) for k in (0, 1, 3))
            new = tanh(a[:, 2])
            c = f * c + i * new
            m = o * tanh(c)
            h = m if p is None else linear(m, p)
            own = [i, f, new, o]
        else:
            h = (relu if kind == "rnn_relu" else tanh)(inner[:, 0] + outer[:, 0])
            own = [h]
        states.append(h if c is None else concatenate([h, c], axis=1))
        gates.append(stack(own, axis=1))
    if reverse:
        states.reverse()
        gates.reverse()
    return stack(states), stack(gates)
