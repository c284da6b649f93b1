"""Ops with wrong rules, for tests that must notice them."""

from __future__ import annotations

import numpy as np

import tinygrad_cnn as tg


def values(a):
    """An array, or that of a Tensor."""
    return a.numpy() if isinstance(a, tg.Tensor) else a


def wrong(rule, value=lambda a: a * a):
    """An op of one input, y = a^2 unless told otherwise, with the given rule."""

    @tg.op(elementwise=True)
    def broken(a):
        return value(a)

    broken.vjp(a=rule)
    return broken


def off_by(index, factor):
    """An op y = a^2 whose gradient is off by a factor in one element."""

    def rule(g, a):
        scale = np.ones(a.shape, a.dtype)
        scale[index] = factor
        return 2 * g * a * scale

    return wrong(rule)


def selecting(value, share):
    """An op whose value is an element of its input or its magnitude, with the gradient ``share(signs of those it may be)``."""

    @tg.op
    def broken(a):
        return np.asarray(value(a))

    def rule(g, a):
        plain = values(a)
        chosen = np.where(np.abs(plain) == np.abs(value(plain)), np.sign(plain) * np.sign(value(plain)), 0)
        return g * share(chosen).astype(plain.dtype)

    broken.vjp(a=rule)
    return broken
