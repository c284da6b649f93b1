"""The multivariate normal distribution: functions of (x, mean, cov)."""

from __future__ import annotations

import math
from typing import Any

import numpy as onp
from scipy.stats import multivariate_normal as _scipy

from ... import numpy as np
from ...core import getval
from ...extend import defvjp, primitive
from ...wrapping import recording as _recorded


def _matrix(cov: Any, size: int) -> Any:
    """The covariance matrix, of which SciPy takes a number or the diagonal, too."""
    return cov * np.eye(size) if np.ndim(cov) == 0 else np.diag(cov) if np.ndim(cov) == 1 else cov


_SINGULAR = 1e6 * float(onp.finfo(float).eps)
"""The eigenvalues below this part of the largest one are taken for 0, as in SciPy."""


@primitive
def _log_volume(cov: Any) -> Any:
    """The sum of the logarithms of the eigenvalues that are not 0. Its gradient is the pseudoinverse."""
    found = onp.linalg.eigvalsh(cov)
    return onp.log(found[found > _SINGULAR * onp.abs(found).max()]).sum()


defvjp(_log_volume, lambda ans, cov: lambda g: g * np.linalg.pinv(cov, _SINGULAR))


def _logpdf(x: Any, mean: Any = None, cov: Any = 1.0, allow_singular: bool = False) -> Any:
    shape = np.shape(mean) or np.shape(cov)[:1] or np.shape(x)[-1:]
    size = shape[0] if shape else 1
    if size == 1 and np.shape(x)[-1:] != (1,):
        x = np.asarray(x)[..., None]
    away = np.reshape(x - (0.0 if mean is None else mean), (-1, size))
    if allow_singular:
        matrix = _matrix(cov, size)
        squares = np.reshape(np.sum(away @ np.linalg.pinv(matrix, _SINGULAR) * away, 1), np.shape(x)[:-1])
        eigenvalues, basis = onp.linalg.eigh(getval(matrix))
        least = _SINGULAR * onp.abs(eigenvalues).max()
        outside = onp.linalg.norm(getval(away) @ basis[:, onp.abs(eigenvalues) <= least], axis=-1) >= least
        rank = onp.sum(onp.abs(eigenvalues) > least)
        density = -0.5 * (rank * math.log(2 * math.pi) + squares + _log_volume(matrix))
        return np.where(onp.reshape(outside, np.shape(squares)), -np.inf, density)
    factor = np.linalg.cholesky(_matrix(cov, size))
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
