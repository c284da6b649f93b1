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
