"""``numpy.fft``, whose functions record."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as _np

from ..wrapping import wrapped as _wrapped

if TYPE_CHECKING:  # the names are those of NumPy

    def __getattr__(name: str) -> Any: ...


globals().update(_wrapped({name: getattr(_np.fft, name) for name in dir(_np.fft)}, __name__))
