"""Student's t distribution: functions of (x, df, loc, scale)."""

from __future__ import annotations

from typing import Any

from scipy.stats import t as _scipy

from ... import numpy as np
from .. import special
from ._made import functions, located

__all__ = ["cdf", "logcdf", "logpdf", "pdf"]


def _logpdf(x: Any, df: Any) -> Any:
    half = df / 2
    return -special.betaln(half, 0.5) - 0.5 * np.log(df) - (half + 0.5) * np.log1p(x * x / df)


globals().update(
    functions(
        __name__, _scipy, logpdf=located(_logpdf, "logpdf"), pdf=located(lambda x, df: np.exp(_logpdf(x, df)), "pdf"),
        cdf=located(lambda x, df: special.stdtr(df, x)), logcdf=located(lambda x, df: np.log(special.stdtr(df, x))),
    )
)  # fmt: skip
