"""The determinant by minors in JAX, by the same levels as ours."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from gradbench import wrap

from tests.benchmarks.gradbench.evals import det

jax.config.update("jax_enable_x64", True)


def determinant(a):
    value = jnp.ones(1)
    for row, (columns, without, signs) in enumerate(det.minors(a.shape[0])):
        value = (a[row][columns] * value[without] * signs).sum(axis=1)
    return value[0]


value, slope = jax.jit(determinant), jax.jit(jax.grad(determinant))


def read(given):
    return jnp.asarray(det.read(given)[0].numpy())


@wrap.multiple_runs(pre=read, post=float)
def primal(given):
    return value(given)


@wrap.multiple_runs(pre=read, post=lambda y: y.ravel().tolist())
def gradient(given):
    return slope(given)
