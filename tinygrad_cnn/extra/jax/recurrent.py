"""Recurrent networks: the steps of a sequence as a scan, which is compiled once whatever its length."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from ...ops import recurrent
from ...ops.elementwise import astype
from .definitions import helper, row
from .errors import JaxError


@row(recurrent.recurrence, by_jax=True)
def recurrence(
    into: Any, w: Any, h: Any, c: Any = None, b: Any = None, p: Any = None, *, kind: str, reverse: bool = False
) -> Any:
    """The states of all steps, and their gates, which the op keeps for its rules: one `lax.scan`.

    into (L, N, gates H), w (gates H, P), h (N, P), c (N, H), p (P, H): shapes are those of the op.
    """
    dtype = jnp.result_type(*[a for a in (into, w, h, c, b, p) if a is not None])
    if dtype.kind == "c":
        raise JaxError(
            "recurrence: the inputs are complex, and its rules hold for real ones: compose it of real(z) and imag(z)"
        )
    into, w, h, c, b, p = (a if a is None else jnp.asarray(a, dtype) for a in (into, w, h, c, b, p))
    n, hidden = h.shape[0], into.shape[2] // recurrent.GATES[kind]

    def lstm(state: Any, own: Any) -> Any:
        h, c = state
        a = (own + _affine(h, w, b)).reshape(n, 4, hidden)
        i, f, o = (jax.nn.sigmoid(a[:, k]) for k in (0, 1, 3))
        new = jnp.tanh(a[:, 2])
        c = f * c + i * new
        m = o * jnp.tanh(c)
        h = m if p is None else m @ p.T
        return (h, c), (jnp.concatenate([h, c], 1), jnp.stack([i, f, new, o], 1))

    def gru(h: Any, own: Any) -> Any:
        inner, outer = own.reshape(n, 3, hidden), _affine(h, w, b).reshape(n, 3, hidden)
        r, z = (jax.nn.sigmoid(inner[:, k] + outer[:, k]) for k in range(2))
        new = jnp.tanh(inner[:, 2] + r * outer[:, 2])
        h = new + z * (h - new)
        return h, (h, jnp.stack([r, z, new, outer[:, 2]], 1))

    def rnn(h: Any, own: Any) -> Any:
        a = own + _affine(h, w, b)
        h = jnp.tanh(a) if kind == "rnn_tanh" else jnp.where(a > 0, a, 0)
        return h, (h, h[:, None])

    step, start = {"lstm": (lstm, (h, c)), "gru": (gru, h)}.get(kind, (rnn, h))
    _, (states, gates) = lax.scan(step, start, into, reverse=reverse)
    return states, gates


def _affine(h: Any, w: Any, b: Any) -> Any:
    return h @ w.T if b is None else h @ w.T + b


@helper(recurrent._recurrence_vjp)
def recurrence_vjp(
    g: Any, y: Any, into: Any, w: Any, h: Any, c: Any, b: Any, p: Any, gates: Any, kind: str, reverse: bool,
    needs: Sequence[bool],
) -> tuple[Any, ...]:  # fmt: skip
    """The gradients within a function, by ops, so that they have derivatives again."""
    given = into, w, h, c, b, p
    found = recurrent._back(g, None, given, None, kind, reverse)
    wanted = zip(found, needs, given, strict=True)
    return tuple([None if own is None or not needed else astype(own, a.dtype) for own, needed, a in wanted])
