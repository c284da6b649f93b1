"""Student's t distribution: functions of (x, df, loc, scale)."""

from __future__ import annotations

from typing import Any

from scipy.stats import t as _scipy

from ... import numpy as np
from ...wrapping import recording as _recorded
from .. import special
from ._made import located


def _logpdf(x: Any, df: Any) -> Any:
    half = df / 2
    return -special.betaln(half, 0.5) - 0.5 * np.log(df) - (half + 0.5) * np.log1p(x * x / df)


logpdf = _recorded(_scipy.logpdf, __name__, located(_logpdf, "logpdf"))
pdf = _recorded(_scipy.pdf, __name__, located(lambda x, df: np.exp(_logpdf(x, df)), "pdf"))
cdf = _recorded(_scipy.cdf, __name__, located(lambda x, df: special.stdtr(df, x)))
logcdf = _recorded(_scipy.logcdf, __name__, located(lambda x, df: np.log(special.stdtr(df, x))))

__all__ = ["cdf", "logcdf", "logpdf", "pdf"]
