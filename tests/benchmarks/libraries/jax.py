"""JAX: the whole step in one `jax.jit`, weights and state donated."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from .. import networks
from ..problems import Problem
from . import jax_nn


def notebook(p: Problem) -> Callable[[], float]:
    """Gradient descent."""

    def loss(w: list[Any], x: Any, target: Any, key: Any) -> Any:
        hidden = jax.nn.relu(_conv(x, w[0], w[1], 2, 1)).reshape(x.shape[0], 1024)
        return jnp.mean(((hidden @ w[2] + w[3]) @ w[4] + w[5] - target) ** 2)

    def descent(w: list[Any], g: list[Any], state: None) -> tuple[list[Any], None]:
        return [a - 1e-4 * b for a, b in zip(w, g, strict=True)], state

    return _train(loss, descent, None, p)


def mnist(p: Problem) -> Callable[[], float]:
    """Dropout and Adam."""

    def dropped(x: Any, rate: float, key: Any) -> Any:
        return jnp.where(jax.random.bernoulli(key, 1 - rate, x.shape), x / (1 - rate), 0) if p.dropout else x

    def loss(w: list[Any], x: Any, target: Any, key: Any) -> Any:
        first, second = jax.random.split(key)
        h = jax.nn.relu(_conv(jax.nn.relu(_conv(x, w[0], w[1])), w[2], w[3]))
        h = lax.reduce_window(h, -jnp.inf, lax.max, (1, 1, 2, 2), (1, 1, 2, 2), "VALID")
        h = dropped(h, 0.25, first).reshape(x.shape[0], 9216)
        h = dropped(jax.nn.relu(h @ w[4].T + w[5]), 0.5, second)
        scores = jax.nn.log_softmax(h @ w[6].T + w[7])
        return -jnp.mean(jnp.take_along_axis(scores, target[:, None], 1))

    def adam(w: list[Any], g: list[Any], state: Any) -> tuple[list[Any], Any]:
        t, m, v = state
        t = t + 1
        m = [0.9 * a + 0.1 * b for a, b in zip(m, g, strict=True)]
        v = [0.999 * a + 0.001 * b * b for a, b in zip(v, g, strict=True)]
        first, second = 1 - 0.9**t, 1 - 0.999**t
        w = [a - 1e-3 / first * b / (jnp.sqrt(c / second) + 1e-8) for a, b, c in zip(w, m, v, strict=True)]
        return w, (t, m, v)

    zeros = [jnp.zeros(a.shape) for a in p.weights]
    return _train(loss, adam, (jnp.float32(0), zeros, [a.copy() for a in zeros]), p)


def network(p: Problem) -> Callable[[], Any]:
    """A step with momentum, or the scores in evaluation."""
    model = getattr(networks, p.network)(jax_nn.library)
    weights = [jnp.array(a) for a in networks.initial(model.named_parameters())]
    if not p.options["training"]:
        model.eval()
        infer, x = jax.jit(partial(jax_nn.call, model)), jnp.array(p.x)
        return lambda: np.asarray(infer(weights, x))

    def loss(w: list[Any], x: Any, target: Any, key: Any) -> Any:
        scores = jax.nn.log_softmax(jax_nn.call(model, w, x), 1)
        return -jnp.mean(jnp.take_along_axis(scores, target[:, None], 1))

    def momentum(w: list[Any], g: list[Any], state: list[Any]) -> tuple[list[Any], list[Any]]:
        state = [0.9 * a + b for a, b in zip(state, g, strict=True)]
        return [a - 1e-2 * b for a, b in zip(w, state, strict=True)], state

    return _train(loss, momentum, [jnp.zeros_like(a) for a in weights], replace(p, weights=weights))


def _conv(x: Any, w: Any, b: Any, stride: int = 1, padding: int = 0) -> Any:
    return lax.conv_general_dilated(x, w, (stride, stride), [(padding, padding)] * 2) + b[:, None, None]


def _train(loss: Callable[..., Any], update: Callable[..., Any], state: Any, p: Problem) -> Callable[[], float]:
    @partial(jax.jit, donate_argnums=(0, 1, 2))
    def step(w: Any, state: Any, key: Any, x: Any, target: Any) -> Any:
        key, draw = jax.random.split(key)
        value, g = jax.value_and_grad(loss)(w, x, target, draw)
        return value, (*update(w, g, state), key)

    held = ([jnp.array(a) for a in p.weights], state, jax.random.key(0))
    x, target = jnp.array(p.x), jnp.array(p.target)

    def call() -> float:
        nonlocal held
        value, held = step(*held, x, target)
        return float(value)

    return call
