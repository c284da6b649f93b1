"""The Dirichlet distribution: functions of (x, alpha)."""

from __future__ import annotations

from typing import Any

from scipy.stats import dirichlet as _scipy

from ... import numpy as np
from ...wrapping import recording as _recorded
from .. import special

rvs = _scipy.rvs


def _logpdf(x: Any, alpha: Any) -> Any:
    rows = np.shape(x)[0]
    if rows == np.shape(alpha)[0] - 1:  # SciPy completes the last one
        x = np.concatenate([x, 1 - np.sum(x, 0, keepdims=True)])
    powers = np.reshape(alpha - 1, (-1,) + (1,) * (np.ndim(x) - 1))
    return np.sum(special.xlogy(powers, x), 0) + special.gammaln(np.sum(alpha)) - np.sum(special.gammaln(alpha))


logpdf = _recorded(_scipy.logpdf, __name__, _logpdf)
pdf = _recorded(_scipy.pdf, __name__, lambda x, alpha: np.exp(_logpdf(x, alpha)))

__all__ = ["logpdf", "pdf", "rvs"]
