"""Bundle adjustment in JAX: the errors of one observation, and their derivatives, for all observations by `vmap`."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from gradbench import wrap

from tests.benchmarks.gradbench.evals import ba

jax.config.update("jax_enable_x64", True)


def rotated(rotation, x):
    """Rodrigues' formula; the limit where the angle is 0."""
    square = rotation @ rotation
    still = square == 0
    square = jnp.where(still, 1, square)
    angle = jnp.sqrt(square)
    cosine, sine = jnp.where(still, 1, jnp.cos(angle)), jnp.where(still, 1, jnp.sin(angle) / angle)
    return x * cosine + jnp.cross(rotation, x) * sine + rotation * ((rotation @ x) * ((1 - cosine) / square))


def error(camera, point, weight, feature):
    """The two weighted errors of an observation."""
    x = rotated(camera[:3], point - camera[3:6])
    flat = x[:2] / x[2]
    r = flat @ flat
    return weight * (flat * (1 + r * (camera[9] + camera[10] * r)) * camera[6] + camera[7:9] - feature)


@jax.jit
def errors(cameras, points, weights, features, observed):
    found = jax.vmap(error)(cameras[observed[0]], points[observed[1]], weights, features)
    return found, 1 - weights * weights


@jax.jit
def matrix(cameras, points, weights, features, observed):
    """Where rows begin, columns and values of the sparse matrix."""
    n, m, p = len(cameras), len(points), len(weights)
    blocks = jax.vmap(jax.jacrev(error, (0, 1, 2)))(cameras[observed[0]], points[observed[1]], weights, features)
    values = jnp.concatenate([blocks[0], blocks[1], blocks[2][:, :, None]], axis=2)
    own = 11 * n + 3 * m + jnp.arange(p)
    places = [
        11 * observed[0][:, None] + jnp.arange(11),
        11 * n + 3 * observed[1][:, None] + jnp.arange(3),
        own[:, None],
    ]
    columns = jnp.broadcast_to(jnp.concatenate(places, axis=1)[:, None], values.shape)
    starts = jnp.concatenate([jnp.arange(2 * p + 1) * 15, 2 * p * 15 + 1 + jnp.arange(p)])
    return starts, jnp.concatenate([columns.ravel(), own]), jnp.concatenate([values.ravel(), -2 * weights])


def read(given):
    *tensors, observed = ba.read(given)
    return *(jnp.asarray(a.numpy()) for a in tensors), tuple(map(jnp.asarray, observed))


@wrap.multiple_runs(pre=read, post=ba.write_errors)
def objective(given):
    return errors(*given)


@wrap.multiple_runs(pre=read, post=ba.write_matrix)
def jacobian(given):
    return matrix(*given)
