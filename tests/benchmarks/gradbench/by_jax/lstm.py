"""The recurrent network with diagonal weights in JAX: its layers as a loop, its characters as a scan."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from gradbench import wrap

from tests.benchmarks.gradbench.evals import lstm

jax.config.update("jax_enable_x64", True)


def loss(main, extra, state, sequence):
    layers, width = main.shape[0] // 2, extra.shape[1]
    gates = main.reshape(layers, 2, 4, width)

    def step(carry, given):
        after = []
        for (hidden, cell), (w, b) in zip(carry, gates, strict=True):
            forget, out = jax.nn.sigmoid(given * w[0] + b[0]), jax.nn.sigmoid(given * w[2] + b[2])
            cell = cell * forget + jax.nn.sigmoid(hidden * w[1] + b[1]) * jnp.tanh(hidden * w[3] + b[3])
            given = out * jnp.tanh(cell)
            after.append((given, cell))
        return after, given

    start = [(state[2 * i], state[2 * i + 1]) for i in range(layers)]
    y = jax.lax.scan(step, start, sequence[:-1] * extra[0])[1] * extra[1] + extra[2]
    y = y - jnp.log(jnp.exp(y).sum(axis=1, keepdims=True) + 2)
    return -(sequence[1:] * y).sum() / y.size


value = jax.jit(loss)


@jax.jit
def slope(*given):
    return jnp.concatenate([g.ravel() for g in jax.grad(loss, (0, 1))(*given)])


def read(given):
    return [jnp.asarray(a.numpy()) for a in lstm.read(given)]


@wrap.multiple_runs(pre=read, post=float)
def objective(given):
    return value(*given)


@wrap.multiple_runs(pre=read, post=lambda y: y.tolist())
def jacobian(given):
    return slope(*given)
