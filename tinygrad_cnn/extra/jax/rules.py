"""Rules of optimizers that ask for the values of numbers: the same arithmetic on arrays of JAX."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from typing import Any

import jax.numpy as jnp

from ...optim import Adafactor, RAdam, muon, radam, rules
from ...optim.state import STEP
from .array import Array, held
from .definitions import helper, here
from .trees import plain

Options = Mapping[str, Any]
State = MutableMapping[str, Any]


@helper(RAdam.update)
def radam_update(_: RAdam, p: Array, g: Array, state: State, group: Options, new: Any, t: Array, u: Array) -> None:
    (beta1, beta2), m, v = plain(group["betas"]), state["exp_avg"], state["exp_avg_sq"]
    d = here(rules.direction)(p, g, group, out=t)
    average = here(rules.moving_average)
    average(m, group["betas"][0], d, out=u)
    average(v, group["betas"][1], d, out=u, square=True)
    if group["decoupled_weight_decay"]:
        here(rules.decay)(p, group)
    n = _number(state, p)
    slow, fast = n * -jnp.log(beta2), n * -jnp.log(beta1)  # beta^n = exp(-these)
    longest = 2 / (1 - beta2) - 1
    few = n * (1 - slow / 6 + slow**3 / 360 - slow**5 / 15120) + (longest + 2 / jnp.log(beta2))  # without cancellation
    length = jnp.where(slow < 0.5, few, longest - 2 * n / jnp.expm1(slow))
    is_steady = length > radam.STEADY
    ratio = _ratio(jnp.where(is_steady, length, radam.STEADY + 1)) / _ratio(longest)
    rate = plain(group["lr"]) / -jnp.expm1(-fast)
    steady = m.value / (jnp.sqrt(v.value) + plain(group["eps"])) * (rate * jnp.sqrt(-jnp.expm1(-slow) * ratio))
    p[...] = Array((p.value - jnp.where(is_steady, steady, m.value * rate)).astype(p.value.dtype))


def _ratio(length: Any) -> Any:
    return (length - 4) * (length - 2) / length


@helper(Adafactor.update)
def adafactor_update(
    _: Adafactor, p: Array, g: Array, state: State, group: Options, new: Any, t: Array, u: Array
) -> None:
    if not p.size:
        return
    n, value, grad = _number(state, p), p.value, g.value
    eps1, eps2 = plain(group["eps"])
    share = n ** plain(group["beta2_decay"])
    eps1 = float(jnp.finfo(value.dtype).eps) if eps1 is None else eps1
    lr = jnp.maximum(eps2, _rms(value)) * jnp.minimum(plain(group["lr"]), 1 / jnp.sqrt(n))
    square = grad * grad
    if p.ndim > 1:
        rows, columns = state["row_var"].value, state["col_var"].value
        rows = (rows + share * (_mean(square, -1) - rows)).astype(rows.dtype)
        columns = (columns + share * (_mean(square, -2) - columns)).astype(columns.dtype)
        state["row_var"][...], state["col_var"][...] = Array(rows), Array(columns)
        v = rows * columns / jnp.maximum(_mean(rows, -2), eps1)
    else:
        v = state["variance"].value
        v = (v + share * (square - v)).astype(v.dtype)
        state["variance"][...] = Array(v)
    s = grad / jnp.sqrt(jnp.maximum(v, eps1 * eps1))
    s = s * (lr / jnp.maximum(1, _rms(s) / plain(group["d"])))
    here(rules.decay)(p, group)
    p[...] = Array((p.value + s if group["maximize"] else p.value - s).astype(value.dtype))


def _mean(a: Any, axis: int) -> Any:
    return a.mean(axis, keepdims=True, dtype=held(jnp.promote_types(a.dtype, jnp.float32))).astype(a.dtype)


def _rms(a: Any) -> Any:
    return jnp.sqrt(jnp.square(a).mean(dtype=held(jnp.promote_types(a.dtype, jnp.float32))))


@helper(muon.orthogonalized)
def orthogonalized(s: Array, coefficients: tuple[float, float, float], steps: int, eps: float) -> Array:
    """A matrix with the singular vectors of `s` and singular values near 1."""
    a, b, c = plain(coefficients)
    x = jnp.asarray(s.value, jnp.promote_types(s.value.dtype, jnp.float32))
    wide = x if x.shape[0] <= x.shape[1] else x.T
    wide = wide / jnp.maximum(jnp.sqrt(jnp.square(wide).sum()), plain(eps))
    for _ in range(steps):
        gram = wide @ wide.T
        wide = a * wide + (b * gram + c * (gram @ gram)) @ wide
    return Array(wide if x.shape[0] <= x.shape[1] else wide.T)


def _number(state: State, p: Array) -> Any:
    """The number of the step, as a floating-point one."""
    return jnp.asarray(plain(state[STEP]), jnp.promote_types(p.value.dtype, jnp.float32))
