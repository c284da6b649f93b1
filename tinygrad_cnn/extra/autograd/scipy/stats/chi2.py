"""The chi-squared distribution: functions of (x, df, loc, scale)."""

from __future__ import annotations

import math
from typing import Any

from scipy.stats import chi2 as _scipy

from ... import numpy as np
from ...wrapping import recording as _recorded
from .. import special
from ._made import located


def _logpdf(x: Any, df: Any) -> Any:
    half, inside = df / 2, x >= 0
    safe = np.where(inside, x, 1.0)
    density = special.xlogy(half - 1, safe / 2) - safe / 2 - special.gammaln(half) - math.log(2)
    return np.where(inside, density, -np.inf)


logpdf = _recorded(_scipy.logpdf, __name__, located(_logpdf, "logpdf"))
pdf = _recorded(_scipy.pdf, __name__, located(lambda x, df: np.exp(_logpdf(x, df)), "pdf"))
cdf = _recorded(_scipy.cdf, __name__, located(lambda x, df: special.gammainc(df / 2, np.maximum(x, 0) / 2)))

__all__ = ["cdf", "logpdf", "pdf"]
