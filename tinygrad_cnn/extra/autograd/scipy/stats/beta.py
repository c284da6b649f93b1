"""The beta distribution: functions of (x, a, b, loc, scale)."""

from __future__ import annotations

from typing import Any

from scipy.stats import beta as _scipy

from ... import numpy as np
from ...wrapping import recording as _recorded
from .. import special
from ._made import located


def _logpdf(x: Any, a: Any, b: Any) -> Any:
    inside = (x >= 0) & (x <= 1)
    safe = np.where(inside, x, 0.5)
    density = special.xlogy(a - 1, safe) + special.xlog1py(b - 1, -safe) - special.betaln(a, b)
    return np.where(inside, density, -np.inf)


logpdf = _recorded(_scipy.logpdf, __name__, located(_logpdf, "logpdf"))
pdf = _recorded(_scipy.pdf, __name__, located(lambda x, a, b: np.exp(_logpdf(x, a, b)), "pdf"))
cdf = _recorded(_scipy.cdf, __name__, located(lambda x, a, b: special.betainc(a, b, np.clip(x, 0, 1))))

__all__ = ["cdf", "logpdf", "pdf"]
