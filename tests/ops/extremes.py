"""Inputs at the edges of a floating-point dtype, and value and first two derivatives at them."""

from __future__ import annotations

import warnings

import numpy as np

import tinygrad_cnn as tg

LARGE = {np.float64: (1e4, 1e300), np.float32: (1e4, 3e38)}
TINY = {
    np.float64: (0.0, 5e-324, 1e-310, 1e-300, 1e-160, 1e-16, 1e-8),
    np.float32: (0.0, 1e-45, 1e-40, 1e-38, 1e-20, 1e-8, 1e-4),
}


def both_signs(values):
    return [sign * v for v in values for sign in (1, -1)]


def derivatives(f, *points, scale=1.0, wanted=None):
    """f, its gradients for a cotangent of `scale`, and the gradients of their sum; no warning is let pass.

    The gradients are also taken without recording, which must give the same bits.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        xs = [tg.Tensor(p, requires_grad=True) for p in points]
        wanted = xs if wanted is None else [xs[i] for i in wanted]
        y = f(*xs)
        u = np.full(y.shape, scale, y.dtype)
        first = tg.gradients(y, wanted, u, create_graph=True)
        plain = tg.gradients(f(*xs), wanted, u)
        total = sum((g.sum() for g in first), tg.Tensor(np.zeros((), y.dtype)))
        second = [None] * len(wanted)
        if total.requires_grad:
            second = tg.gradients(total, wanted, allow_unused=True)
    for g, p in zip(first, plain, strict=True):
        np.testing.assert_array_equal(g.numpy(), p.numpy())
    zero = [np.zeros_like(x.numpy()) for x in wanted]
    return (
        y.numpy(),
        [g.numpy() for g in first],
        [z if h is None else h.numpy() for z, h in zip(zero, second, strict=True)],
    )
