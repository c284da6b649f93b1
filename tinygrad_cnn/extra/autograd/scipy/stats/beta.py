"""The beta distribution: functions of (x, a, b, loc, scale)."""

from __future__ import annotations

from typing import Any

from scipy.stats import beta as _scipy

from ... import numpy as np
from .. import special
from ._made import functions, located

__all__ = ["cdf", "logpdf", "pdf"]


def _logpdf(x: Any, a: Any, b: Any) -> Any:
    inside = (x >= 0) & (x <= 1)
    safe = np.where(inside, x, 0.5)
    density = special.xlogy(a - 1, safe) + special.xlog1py(b - 1, -safe) - special.betaln(a, b)
    return np.where(inside, density, -np.inf)


globals().update(
    functions(
        __name__, _scipy, logpdf=located(_logpdf, "logpdf"), pdf=located(lambda x, a, b: np.exp(_logpdf(x, a, b)), "pdf"),
        cdf=located(lambda x, a, b: special.betainc(a, b, np.clip(x, 0, 1))),
    )
)  # fmt: skip
