"""The normal distribution: functions of (x, loc, scale)."""

from __future__ import annotations

import math
from typing import Any

from scipy.stats import norm as _scipy

from ... import numpy as np
from .. import special
from ._made import functions, located

__all__ = ["cdf", "logcdf", "logpdf", "logsf", "pdf", "sf"]


def _logpdf(x: Any) -> Any:
    return -0.5 * (x * x + math.log(2 * math.pi))


globals().update(
    functions(
        __name__, _scipy, logpdf=located(_logpdf, "logpdf"), pdf=located(lambda x: np.exp(_logpdf(x)), "pdf"),
        cdf=located(lambda x: special.ndtr(x)), logcdf=located(lambda x: special.log_ndtr(x)),
        sf=located(lambda x: special.ndtr(-x)), logsf=located(lambda x: special.log_ndtr(-x)),
    )
)  # fmt: skip
