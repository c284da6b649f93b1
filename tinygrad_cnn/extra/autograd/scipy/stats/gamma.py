"""The gamma distribution: functions of (x, a, loc, scale)."""

from __future__ import annotations

from typing import Any

from scipy.stats import gamma as _scipy

from ... import numpy as np
from .. import special
from ._made import functions, located

__all__ = ["cdf", "logpdf", "pdf"]


def _logpdf(x: Any, a: Any) -> Any:
    inside = x >= 0
    safe = np.where(inside, x, 1.0)
    return np.where(inside, special.xlogy(a - 1, safe) - safe - special.gammaln(a), -np.inf)


globals().update(
    functions(
        __name__, _scipy, logpdf=located(_logpdf, "logpdf"), pdf=located(lambda x, a: np.exp(_logpdf(x, a)), "pdf"),
        cdf=located(lambda x, a: special.gammainc(a, np.maximum(x, 0))),
    )
)  # fmt: skip
