"""The multivariate normal distribution: functions of (x, mean, cov)."""

from __future__ import annotations

import math
from typing import Any

from scipy.stats import multivariate_normal as _scipy

from ... import numpy as np
from ...wrapping import recording as _recorded


def _matrix(cov: Any, size: int) -> Any:
    """The covariance matrix, of which SciPy takes a number or the diagonal, too."""
    return cov * np.eye(size) if np.ndim(cov) == 0 else np.diag(cov) if np.ndim(cov) == 1 else cov


def _logpdf(x: Any, mean: Any = None, cov: Any = 1.0, allow_singular: bool = False) -> Any:
    if allow_singular:
        raise TypeError("multivariate_normal: `allow_singular` has no derivative; leave it out")
    shape = np.shape(mean) or np.shape(cov)[:1] or np.shape(x)[-1:]
    size = shape[0] if shape else 1
    if size == 1 and np.shape(x)[-1:] != (1,):
        x = np.asarray(x)[..., None]
    factor = np.linalg.cholesky(_matrix(cov, size))
    away = np.reshape(x - (0.0 if mean is None else mean), (-1, size))
    scaled = np.linalg.solve(factor, away.T)
    squares = np.reshape(np.sum(scaled * scaled, 0), np.shape(x)[:-1])
    return -0.5 * (size * math.log(2 * math.pi) + squares) - np.sum(np.log(np.diagonal(factor)))


def _entropy(mean: Any = None, cov: Any = 1.0) -> Any:
    shape = np.shape(mean) or np.shape(cov)[:1]
    size = shape[0] if shape else 1
    return 0.5 * size * (1 + math.log(2 * math.pi)) + 0.5 * np.linalg.slogdet(_matrix(cov, size))[1]


logpdf = _recorded(_scipy.logpdf, __name__, _logpdf)
entropy = _recorded(_scipy.entropy, __name__, _entropy)
pdf = _recorded(
    _scipy.pdf,
    __name__,
    lambda x, mean=None, cov=1.0, allow_singular=False: np.exp(_logpdf(x, mean, cov, allow_singular)),
)

__all__ = ["entropy", "logpdf", "pdf"]
