"""Dropout layers."""

from __future__ import annotations

from ..ops.dropout import alpha_dropout, dropout, dropout1d, dropout2d, dropout3d, feature_alpha_dropout
from ..ops.real import probability
from .layer import Layer

__all__ = ["AlphaDropout", "Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "FeatureAlphaDropout"]


class _Dropout(Layer, shown="p={p}, inplace={inplace}"):
    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        probability(type(self).__name__, "p", p)
        self.p, self.inplace = p, inplace


class Dropout(_Dropout, function=dropout):
    """In training, zero each element with probability p and scale the others by 1 / (1 - p); in evaluation, y = x.

    See :func:`~tinygrad_cnn.dropout`. `inplace` is accepted as in PyTorch and changes nothing.

    >>> import tinygrad_cnn as tg
    >>> from tinygrad_cnn import nn
    >>> layer = nn.Dropout(0.5)
    >>> sorted(set(layer(tg.ones(100)).tolist()))
    [0.0, 2.0]
    >>> set(layer.eval()(tg.ones(100)).tolist())
    {1.0}
    """


class Dropout1d(_Dropout, function=dropout1d):
    """:class:`Dropout` of whole channels of signals (N, C, L) or (C, L)."""


class Dropout2d(_Dropout, function=dropout2d):
    """:class:`Dropout` of whole channels of images (N, C, H, W) or (C, H, W)."""


class Dropout3d(_Dropout, function=dropout3d):
    """:class:`Dropout` of whole channels of volumes (N, C, D, H, W) or (C, D, H, W)."""


class AlphaDropout(_Dropout, function=alpha_dropout):
    """:class:`Dropout` that keeps the mean 0 and the variance 1 of :class:`SELU`: :func:`~tinygrad_cnn.alpha_dropout`."""


class FeatureAlphaDropout(_Dropout, function=feature_alpha_dropout):
    """:class:`AlphaDropout` of whole channels of x (N, C, ...)."""
