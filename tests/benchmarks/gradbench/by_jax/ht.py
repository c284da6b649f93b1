"""Hand tracking in JAX; the Jacobian by one direction for each parameter and two for the points' own coordinates."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from gradbench import wrap

from tests.benchmarks.gradbench.evals import ht

jax.config.update("jax_enable_x64", True)


def about(angles):
    """The matrices (2, bones, 4, 4) that turn by angles (2, bones) about the two axes."""
    return ht.FIXED + jnp.cos(angles)[..., None, None] * ht.COSINES + jnp.sin(angles)[..., None, None] * ht.SINES


def turned(rotation):
    """Rodrigues' formula; no rotation if the angle is below 0.0001."""
    square = rotation @ rotation
    small = square < 1e-8
    angle = jnp.sqrt(jnp.where(small, 1, square))
    k = ((rotation / angle) @ ht.CROSS.reshape(3, 9)).reshape(3, 3)
    return jnp.where(small, jnp.eye(3), jnp.eye(3) + jnp.sin(angle) * k + (1 - jnp.cos(angle)) * (k @ k))


def found(theta, us, hand):
    """The errors of all points."""
    angles = (theta[6:] @ hand.bends).reshape(2, -1)
    turns, whole = about(angles), turned(theta[:3])
    moved = hand.relatives @ (turns[1] @ turns[0])
    if hand.mirrored:
        whole = whole * jnp.array([-1.0, 1.0, 1.0])
    absolute = [whole @ moved[hand.levels[0][0], :3]]
    for own, parents in hand.levels[1:]:
        absolute.append(absolute[-1][parents] @ moved[own])
    moves = jnp.concatenate(absolute) @ hand.inverses
    which = ht.corners(us, hand)
    at = moves.swapaxes(0, 1).reshape(3, -1) @ ht.skin(which, hand)
    at = at.reshape(3, *which.shape) if which.size <= hand.positions.shape[1] else at[:, which]
    if us.size:
        at = (at * jnp.concatenate([us.T, 1 - us.sum(axis=1)[None]])).sum(axis=1)
    return (hand.points - at - theta[3:6, None]).T.reshape(-1)


@partial(jax.jit, static_argnums=3)
def value(theta, us, arrays, hand):
    return found(theta, us, replace(hand, **arrays))


@partial(jax.jit, static_argnums=3)
def slopes(theta, us, arrays, hand):
    hand = replace(hand, **arrays)
    of_theta, of_us = jax.jacfwd(lambda t, u: found(t, us + u, hand), (0, 1))(theta, jnp.zeros(2))
    return jnp.concatenate([of_us, of_theta] if us.size else [of_theta], axis=1)


def read(given):
    theta, us, hand = ht.read(given)
    hand = replace(hand, relatives=hand.relatives.numpy(), inverses=hand.inverses.numpy(), points=hand.points.numpy())
    arrays = {name: jnp.asarray(a) for name, a in vars(hand).items() if isinstance(a, np.ndarray)}
    return jnp.asarray(theta.numpy()), jnp.asarray(us.numpy()), arrays, hand


@wrap.multiple_runs(pre=read, post=lambda y: y.tolist())
def objective(given):
    return value(*given)


@wrap.multiple_runs(pre=read, post=lambda y: y.tolist())
def jacobian(given):
    return slopes(*given)
