"""Dropout: Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting", JMLR 2014.

In docstrings, g is the incoming gradient and x' the gradient with respect to x.
"""

from __future__ import annotations

import math

import numpy as np

from ..core.graph import Array, Tensor, op
from .compare import greater
from .elementwise import mul, where
from .geometry import LAYOUTS
from .random import Seed, generator
from .real import probability

__all__ = ["alpha_dropout", "dropout", "dropout1d", "dropout2d", "dropout3d", "feature_alpha_dropout"]


@op(differentiable=False)
def keep_mask(x: Array, *, p: float, spatial: int, rng: Seed) -> Array:
    """y = 0 with probability p, else 1 / (1 - p), with one draw for each element, or for all of the last `spatial` axes.

    No gradient. The draws do not depend on x's dtype, so float32 and float64 networks drop the same elements.
    """
    x = np.asarray(x)
    y = np.empty_like(x, np.result_type(x, 1.0), shape=mask_shape(x.shape, spatial))  # in the memory order of x
    y[...] = survivors(generator(rng), y.shape, p) * y.dtype.type(1 / (1 - p) if p < 1 else 0)
    return y


def mask_shape(shape: tuple[int, ...], spatial: int) -> tuple[int, ...]:
    """`shape` with size 1 on the last `spatial` axes."""
    return shape[: len(shape) - spatial] + (1,) * spatial


def survivors(rng: np.random.Generator, shape: tuple[int, ...], p: float) -> np.ndarray:
    """False with probability p, to 2^-40: one random byte for each element, and 32 bits more if that byte equals the bound."""
    bound, rest = divmod(round(p * 2.0**40), 1 << 32)
    size = math.prod(shape)
    words = rng.integers(0, (1 << 64) - 1, -(-size // 8), np.uint64, endpoint=True)
    draws = words.view(np.uint8)[:size]
    kept = draws >= bound
    if rest:
        undecided = np.flatnonzero(draws == bound)
        kept[undecided] = rng.integers(0, 1 << 32, undecided.size, np.uint32) >= rest
    return kept.reshape(shape)


def _dropped(name: str, x: Array, p: float, training: bool, spatial: int, rng: Seed) -> Tensor:
    p = probability(name, "p", p)
    return mul(x, keep_mask(x, p=p, spatial=spatial, rng=rng)) if training and p else x


def dropout(x: Array, p: float = 0.5, training: bool = True, rng: Seed = None) -> Tensor:
    """y = x m / (1 - p), with each m zero with probability p and else one.   x' = g m / (1 - p).

    The scale keeps the mean, so outside training nothing is scaled: y is x, as for p = 0. p = 1 gives zeros.

    Args:
        x: any shape.
        p: the probability that an element is dropped.
        training: drop elements; if False, x is returned.
        rng: a generator or a seed; the library's generator by default.

    Raises:
        ValueError: if `p` is not from 0 to 1.

    >>> import numpy as np, tinygrad_cnn as tg
    >>> sorted(set(tg.dropout(tg.ones(100), 0.5, rng=0).tolist()))
    [0.0, 2.0]
    """
    return _dropped("dropout", x, p, training, 0, rng)


def dropout2d(x: Array, p: float = 0.5, training: bool = True, rng: Seed = None) -> Tensor:
    """:func:`dropout` of whole channels of images (N, C, H, W): dropping single pixels has little effect, as neighbours agree.

    Tompson et al., "Efficient object localization using convolutional networks", arXiv:1411.4280.

    Raises:
        ValueError: if x does not have 3 axes (C, H, W) or 4, or `p` is not from 0 to 1.
    """
    return _dropped_channels("dropout2d", x, p, training, 2, rng)


def dropout1d(x: Array, p: float = 0.5, training: bool = True, rng: Seed = None) -> Tensor:
    """:func:`dropout2d` of signals (N, C, L) or (C, L)."""
    return _dropped_channels("dropout1d", x, p, training, 1, rng)


def dropout3d(x: Array, p: float = 0.5, training: bool = True, rng: Seed = None) -> Tensor:
    """:func:`dropout2d` of volumes (N, C, D, H, W) or (C, D, H, W)."""
    return _dropped_channels("dropout3d", x, p, training, 3, rng)


def _dropped_channels(name: str, x: Array, p: float, training: bool, ndim: int, rng: Seed) -> Tensor:
    if np.ndim(x) not in (ndim + 1, ndim + 2):
        axes = LAYOUTS[ndim]
        raise ValueError(f"{name}: `x` has shape {np.shape(x)}; it must be (N, C, {axes}) or (C, {axes})")
    return _dropped(name, x, p, training, ndim, rng)


SATURATED = -1.7580993408473766
"""What selu approaches for negative inputs."""


def alpha_dropout(x: Array, p: float = 0.5, training: bool = False, rng: Seed = None) -> Tensor:
    """y = a x + b, or a s + b with probability p, where s = -1.758 is the limit of selu.   x' = a g, or 0.

    a = 1 / sqrt((1 - p) (1 + p s^2)) and b = -a p s keep mean 0 and variance 1, so it goes with selu. Outside training y is x;
    p = 1 gives zeros. Klambauer et al., "Self-normalizing neural networks", arXiv:1706.02515.

    Args:
        x, p, rng: as for :func:`dropout`.
        training: whether elements are dropped; False by default, as in PyTorch.

    Raises:
        ValueError: if `p` is not from 0 to 1.
    """
    return _alpha_dropped("alpha_dropout", x, p, training, 0, rng)


def feature_alpha_dropout(x: Array, p: float = 0.5, training: bool = False, rng: Seed = None) -> Tensor:
    """:func:`alpha_dropout` of whole channels of x (N, C, ...).

    Raises:
        ValueError: if x has fewer than two axes, or `p` is not from 0 to 1.
    """
    if np.ndim(x) < 2:
        raise ValueError(f"feature_alpha_dropout: `x` has shape {np.shape(x)}; it must be (N, C, ...)")
    return _alpha_dropped("feature_alpha_dropout", x, p, training, np.ndim(x) - 2, rng)


def _alpha_dropped(name: str, x: Array, p: float, training: bool, spatial: int, rng: Seed) -> Tensor:
    p = probability(name, "p", p)
    if not training or not p:
        return x  # type: ignore[no-any-return]
    kept = greater(keep_mask(x, p=p, spatial=spatial, rng=rng), 0)
    a = 1 / math.sqrt((1 - p) * (1 + p * SATURATED**2)) if p < 1 else 0.0
    return where(kept, mul(x, a), a * SATURATED) + -a * p * SATURATED
