"""The normal distribution: functions of (x, loc, scale)."""

from __future__ import annotations

import math
from typing import Any

from scipy.stats import norm as _scipy

from ... import numpy as np
from ...wrapping import recording as _recorded
from .. import special
from ._made import located


def _logpdf(x: Any) -> Any:
    return -0.5 * (x * x + math.log(2 * math.pi))


logpdf = _recorded(_scipy.logpdf, __name__, located(_logpdf, "logpdf"))
pdf = _recorded(_scipy.pdf, __name__, located(lambda x: np.exp(_logpdf(x)), "pdf"))
cdf = _recorded(_scipy.cdf, __name__, located(lambda x: special.ndtr(x)))
logcdf = _recorded(_scipy.logcdf, __name__, located(lambda x: special.log_ndtr(x)))
sf = _recorded(_scipy.sf, __name__, located(lambda x: special.ndtr(-x)))
logsf = _recorded(_scipy.logsf, __name__, located(lambda x: special.log_ndtr(-x)))

__all__ = ["cdf", "logcdf", "logpdf", "logsf", "pdf", "sf"]
