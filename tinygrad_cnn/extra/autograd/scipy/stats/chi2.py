"""The chi-squared distribution: functions of (x, df, loc, scale)."""

from __future__ import annotations

import math
from typing import Any

from scipy.stats import chi2 as _scipy

from ... import numpy as np
from .. import special
from ._made import functions, located

__all__ = ["cdf", "logpdf", "pdf"]


def _logpdf(x: Any, df: Any) -> Any:
    half, inside = df / 2, x >= 0
    safe = np.where(inside, x, 1.0)
    density = special.xlogy(half - 1, safe / 2) - safe / 2 - special.gammaln(half) - math.log(2)
    return np.where(inside, density, -np.inf)


globals().update(
    functions(
        __name__, _scipy, logpdf=located(_logpdf, "logpdf"), pdf=located(lambda x, df: np.exp(_logpdf(x, df)), "pdf"),
        cdf=located(lambda x, df: special.gammainc(df / 2, np.maximum(x, 0) / 2)),
    )
)  # fmt: skip
