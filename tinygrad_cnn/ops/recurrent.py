"""Recurrent networks: the steps of a whole sequence as one op, and the backward pass through time as its rule.

A step computes act(into_t + w h), where `into` is what the inputs give for all steps, by one product. From the values of the
gates it is known for all steps at once by what a gradient is multiplied in the step back.

In docstrings, g is the incoming gradient. References: Elman, "Finding structure in time" (1990); Hochreiter and Schmidhuber,
"Long short-term memory" (1997); Cho et al., arXiv:1406.1078; Sak et al., arXiv:1402.1128 (projections); Werbos,
"Backpropagation through time" (1990).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
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

CHUNK = 1 << 14
"""Elements of a gate whose factors are computed at once, so that they stay in the cache."""


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
    if kind == "lstm":
        return _lstm_forward(inputs, reverse)
    into, w, h, _, b, _ = inputs
    steps, n, size = into.shape
    hidden = size // GATES[kind]
    a, states = np.array(into), np.empty((steps, n, hidden), into.dtype)
    if b is not None and kind != "gru":
        a += b
    more = np.empty((steps, n, hidden), into.dtype) if kind == "gru" else None
    left, term = np.array(w.T, order="C"), np.empty((n, size), into.dtype)
    for t in reversed(range(steps)) if reverse else range(steps):
        own = a[t]
        np.matmul(h, left, term)
        if kind == "gru":
            h = _gru_step(own, term, b, h, more[t], states[t], hidden)  # type: ignore[index]
            continue
        own += term
        h = np.maximum(own, 0, out=states[t]) if kind == "rnn_relu" else np.tanh(own, states[t])
        own[...] = h
    gates = a.reshape(steps, n, -1, hidden)
    return states, gates if more is None else np.concatenate([gates, more[:, :, None]], 2)


def _lstm_forward(inputs: Sequence[Any], reverse: bool) -> tuple[np.ndarray, np.ndarray]:
    """The states (L, N, P + H) and the gates (L, N, 4, H), whose memory is (L, 4, N, H): a step goes over it in one run."""
    into, w, h, c, b, p = inputs
    steps, n, size = into.shape
    hidden = size // 4
    # sigmoid(x) = tanh(x / 2) / 2 + 1 / 2. Whole arrays, as broadcasting costs more than the product.
    factor, shift = np.full((2, 4, n, hidden), 0.5, into.dtype)
    factor[2], shift[2] = 1, 0
    into = into if b is None else into + b
    a = np.empty((steps, 4, n, hidden), into.dtype)
    np.multiply(into.reshape(steps, n, 4, hidden).swapaxes(1, 2), factor, a)
    states = np.empty((steps, n, h.shape[1] + hidden), into.dtype)
    hs, cells = states[:, :, :-hidden], states[:, :, -hidden:]
    left = np.array(w.reshape(4, hidden, -1).swapaxes(1, 2), order="C")  # (4, P, H)
    left[[0, 1, 3]] *= 0.5
    term, product = np.empty((4, n, hidden), into.dtype), np.empty((n, hidden), into.dtype)
    for t in reversed(range(steps)) if reverse else range(steps):
        own, cell = a[t], cells[t]
        np.matmul(h, left, term)
        own += term
        np.tanh(own, own)
        own *= factor
        own += shift
        i, f, new, o = own
        np.multiply(f, c, cell)
        cell += np.multiply(i, new, product)
        c, h = cell, hs[t]
        np.tanh(cell, product)
        if p is None:
            np.multiply(o, product, h)
        else:
            product *= o
            h[...] = product @ p.T
    return states, a.swapaxes(1, 2)


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
        g = np.ascontiguousarray(g, np.result_type(g, gates))
        found = _back(g, np.ascontiguousarray(y), ordered, gates, kind, reverse)
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

    def factors(some: slice) -> Factors:
        return _factors(kind, gates[some], before[some], y[some], hidden)

    if not isinstance(g, np.ndarray):
        dinto, inside, outer, dh, dc = _walk_ops(g, w, p, factors(slice(None)), kind, reverse, hidden)
    elif kind == "lstm":
        inside, outer, dh, dc = _walk_lstm(g, w, p, gates, before[:, :, -hidden:], y[:, :, -hidden:], reverse)
        dinto = inside
    else:
        dinto, inside, outer, dh = _walk_arrays(g, w, factors, kind, reverse, hidden)
        dc = None
    steps, n, size = get_shape(into)
    rows = reshape(inside, shape=(steps * n, size))
    states = before[:, :, : get_shape(h)[1]]
    dw = matmul(swapaxes(rows, 0, 1), reshape(states, shape=(steps * n, -1)))
    db = None if b is None else total(rows, axis=0)
    dp = None
    if p is not None:
        m = tanh(y[:, :, -hidden:]) * gates[:, :, 3]
        dp = matmul(swapaxes(reshape(outer, shape=(steps * n, -1)), 0, 1), reshape(m, shape=(steps * n, hidden)))
    return dinto, dw, dh, dc, db, dp


def _parts(steps: int, size: int, reverse: bool) -> list[slice]:
    """Runs of steps, in the order of a walk back; their factors, of `size` elements a step and gate, stay in the cache."""
    few = max(1, CHUNK // max(1, size))
    parts = [slice(start, min(start + few, steps)) for start in range(0, steps, few)]
    return parts if reverse else parts[::-1]


def _walk_arrays(
    g: np.ndarray, w: Any, factors: Callable[[slice], Factors], kind: str, reverse: bool, hidden: int
) -> tuple[Any, Any, Any, Any]:
    """The gradients of the inputs and of w h for all steps (L, N, gates H), of the states, and of the state before."""
    steps, n, _ = g.shape
    outer, inside = g.copy(), np.empty((steps, n, GATES[kind], hidden), g.dtype)
    dinto = np.empty_like(inside) if kind == "gru" else inside
    dh, term, w = np.zeros((n, hidden), g.dtype), np.empty((n, hidden), g.dtype), np.asarray(w, g.dtype)
    for part in _parts(steps, n * hidden, reverse):
        here = factors(part)
        multiplied = here.gates if here.hidden is None else here.hidden
        for k in range(len(multiplied)) if reverse else reversed(range(len(multiplied))):
            own, da = outer[part.start + k], inside[part.start + k]
            own += dh
            np.multiply(own[:, None], multiplied[k], da)
            np.matmul(da.reshape(n, -1), w, dh)
            if kind == "gru":
                dh += np.multiply(own, here.keep[k], term)
        if kind == "gru":
            np.multiply(outer[part, :, None], here.gates, dinto[part])
    shape = (steps, n, -1)
    return dinto.reshape(shape), inside.reshape(shape), outer, dh


def _walk_lstm(
    g: np.ndarray, w: Any, p: Any, gates: np.ndarray, before: Any, cells: np.ndarray, reverse: bool
) -> tuple[Any, Any, Any, Any]:
    """The gradients of w h for all steps (L, N, 4 H), with p of the states (L, N, P), and of the state and the cell before.

    `before` and `cells` are the cells before and after each step. The products are those of :func:`_factors`.
    """
    steps, n, hidden = cells.shape
    gates = gates.swapaxes(1, 2)  # (L, 4, N, H)
    outside, later = g[:, :, :-hidden], g[:, :, -hidden:]
    outer = None if p is None else np.empty(outside.shape, g.dtype)
    of_cells, inside = later.any(), np.empty((steps, n, 4, hidden), g.dtype)
    by_gate = inside.swapaxes(1, 2)
    dh, dc, term = np.zeros(outside.shape[1:], g.dtype), np.zeros((n, hidden), g.dtype), np.empty((n, hidden), g.dtype)
    w, p = np.asarray(w, g.dtype), None if p is None else np.asarray(p, g.dtype)
    for part in _parts(steps, n * hidden, reverse):
        i, f, new, o = gates[part].swapaxes(0, 1)
        factors, cell = np.empty((len(i), 4, n, hidden), g.dtype), np.empty((len(i), n, hidden), g.dtype)
        of_i, of_f, of_new, of_o = factors.swapaxes(0, 1)
        for gate, factor in ((i, of_i), (f, of_f), (o, of_o)):
            np.subtract(1, gate, factor)
            factor *= gate
        t = np.tanh(cells[part])
        of_i *= new
        of_f *= before[part]
        of_o *= t
        for value, by, factor in ((new, i, of_new), (t, o, cell)):
            np.multiply(value, value, factor)
            np.subtract(1, factor, factor)
            factor *= by
        for k in range(len(i)) if reverse else reversed(range(len(i))):
            at = part.start + k
            da, by = by_gate[at], factors[k]
            back = np.add(outside[at], dh, dh if outer is None else outer[at])
            if p is not None:
                back = back @ p
            if of_cells:
                dc += later[at]
            dc += np.multiply(back, cell[k], term)
            np.multiply(dc, by[:3], da[:3])
            np.multiply(back, by[3], da[3])
            dc *= f[k]
            np.matmul(inside[at].reshape(n, -1), w, dh)
    return inside.reshape(steps, n, -1), outer, dh, dc


def _walk_ops(g: Any, w: Any, p: Any, here: Factors, kind: str, reverse: bool, hidden: int) -> tuple[Any, ...]:
    """The same by ops, for every kind."""
    steps, n, size = get_shape(g)
    multiplied = here.gates if here.hidden is None else here.hidden
    states = size - hidden * (kind == "lstm")
    dh: Any = 0.0
    dc: Any = 0.0
    insides, outers = [], []
    for t in range(steps) if reverse else reversed(range(steps)):
        own = g[t, :, :states] + dh
        back = own if p is None else matmul(own, p)
        if kind == "lstm":
            dc = dc + g[t, :, states:] + back * here.cell[t]
            da = stack([*(dc * multiplied[t, :, k] for k in range(3)), back * multiplied[t, :, 3]], axis=1)
            dc = dc * here.keep[t]
        else:
            da = expand_dims(back, 1) * multiplied[t]
        da = reshape(da, shape=(n, -1))
        dh = matmul(da, w)
        dh = dh + own * here.keep[t] if kind == "gru" else dh
        insides.append(da)
        outers.append(own)
    if not reverse:
        insides.reverse()
        outers.reverse()
    inside, outer = stack(insides), stack(outers)
    dinto: Any = inside
    if kind == "gru":
        dinto = reshape(expand_dims(outer, 2) * here.gates, shape=(steps, n, -1))
    return dinto, inside, outer, dh, dc if kind == "lstm" else None


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
