"""The Poisson distribution: functions of (k, mu, loc). They are differentiated by mu."""

from __future__ import annotations

from typing import Any

from scipy.stats import poisson as _scipy

from ... import numpy as np
from ...trees import recorded
from ...wrapping import recording as _recorded
from .. import special


def _count(k: Any, loc: Any) -> Any:
    if recorded(k) or recorded(loc):
        raise TypeError("poisson: `k` and `loc` are whole numbers, which have no derivative; differentiate by `mu`")
    return np.asarray(k) - loc


def _logpmf(k: Any, mu: Any, loc: Any = 0) -> Any:
    n = _count(k, loc)
    whole = (n >= 0) & (np.floor(n) == n)
    safe = np.where(whole, n, 0)
    return np.where(whole, special.xlogy(safe, mu) - special.gammaln(safe + 1.0) - mu, -np.inf)


def _cdf(k: Any, mu: Any, loc: Any = 0) -> Any:
    n = np.floor(_count(k, loc))
    return np.where(n >= 0, special.gammaincc(np.maximum(n, 0) + 1.0, mu), 0.0)


logpmf = _recorded(_scipy.logpmf, __name__, _logpmf)
pmf = _recorded(_scipy.pmf, __name__, lambda k, mu, loc=0: np.exp(_logpmf(k, mu, loc)))
cdf = _recorded(_scipy.cdf, __name__, _cdf)

__all__ = ["cdf", "logpmf", "pmf"]
