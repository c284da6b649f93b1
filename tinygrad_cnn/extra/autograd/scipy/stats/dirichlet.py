"""The Dirichlet distribution: functions of (x, alpha)."""

from __future__ import annotations

from typing import Any

from scipy.stats import dirichlet as _scipy

from ... import numpy as np
from .. import special
from ._made import functions

__all__ = ["logpdf", "pdf", "rvs"]

rvs = _scipy.rvs


def _logpdf(x: Any, alpha: Any) -> Any:
    rows = np.shape(x)[0]
    if rows == np.shape(alpha)[0] - 1:  # SciPy completes the last one
        x = np.concatenate([x, 1 - np.sum(x, 0, keepdims=True)])
    powers = np.reshape(alpha - 1, (-1,) + (1,) * (np.ndim(x) - 1))
    return np.sum(special.xlogy(powers, x), 0) + special.gammaln(np.sum(alpha)) - np.sum(special.gammaln(alpha))


globals().update(functions(__name__, _scipy, logpdf=_logpdf, pdf=lambda x, alpha: np.exp(_logpdf(x, alpha))))
