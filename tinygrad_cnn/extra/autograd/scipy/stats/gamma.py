"""The gamma distribution: functions of (x, a, loc, scale)."""

from __future__ import annotations

from typing import Any

from scipy.stats import gamma as _scipy

from ... import numpy as np
from ...wrapping import recording as _recorded
from .. import special
from ._made import located


def _logpdf(x: Any, a: Any) -> Any:
    inside = x >= 0
    safe = np.where(inside, x, 1.0)
    return np.where(inside, special.xlogy(a - 1, safe) - safe - special.gammaln(a), -np.inf)


logpdf = _recorded(_scipy.logpdf, __name__, located(_logpdf, "logpdf"))
pdf = _recorded(_scipy.pdf, __name__, located(lambda x, a: np.exp(_logpdf(x, a)), "pdf"))
cdf = _recorded(_scipy.cdf, __name__, located(lambda x, a: special.gammainc(a, np.maximum(x, 0))))

__all__ = ["cdf", "logpdf", "pdf"]
