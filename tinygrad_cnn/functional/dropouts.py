"""Dropout: Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting", JMLR 2014."""

from __future__ import annotations

import numpy as np

from ..core.graph import Array
from ..ops.random import Seed, keep_mask
from ..ops.real import probability
from ..tensor import Tensor

__all__ = ["dropout", "dropout2d"]


def _dropped(name: str, x: Array, p: float, training: bool, spatial: int, rng: Seed) -> Tensor:
    probability(name, "p", p)
    y: Tensor = x * keep_mask(x, p=p, spatial=spatial, rng=rng) if training and p else x
    return y


def dropout(x: Array, p: float = 0.5, training: bool = True, rng: Seed = None) -> Tensor:
    """y = x m / (1 - p), with each m zero with probability p and else one.   x' = g m / (1 - p).

    The scale keeps the mean, so nothing need be done when not training: y is x, as for p = 0. p = 1 gives zeros.

    Args:
        x: any shape.
        p: the probability that an element is dropped.
        training: drop elements; else x is returned.
        rng: a generator or a seed; the library's own by default.

    Raises:
        ValueError: if `p` is not from 0 to 1.

    >>> import numpy as np, tinygrad_cnn as tg
    >>> sorted(set(tg.dropout(tg.ones(100), 0.5, rng=0).tolist()))
    [0.0, 2.0]
    """
    return _dropped("dropout", x, p, training, 0, rng)


def dropout2d(x: Array, p: float = 0.5, training: bool = True, rng: Seed = None) -> Tensor:
    """:func:`dropout` of whole channels of images (N, C, H, W): neighbouring pixels are too alike to be dropped alone.

    Tompson et al., "Efficient object localization using convolutional networks", arXiv:1411.4280.

    Raises:
        ValueError: if x does not have 3 axes (C, H, W) or 4, or `p` is not from 0 to 1.
    """
    if np.ndim(x) not in (3, 4):
        raise ValueError(f"dropout2d: `x` has shape {np.shape(x)}; it must be (N, C, H, W) or (C, H, W)")
    return _dropped("dropout2d", x, p, training, 2, rng)
