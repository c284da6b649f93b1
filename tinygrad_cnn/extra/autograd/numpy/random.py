"""``numpy.random``. A distribution that depends on what is being differentiated is refused: draws pass no gradient."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as _np

from ..wrapping import refusing as _refusing

if TYPE_CHECKING:  # the names are those of NumPy

    def __getattr__(name: str) -> Any: ...


_WHY = "draws pass no gradient to their parameters; draw standard numbers, and shift and scale them"

for _name in dir(_np.random):
    _value = getattr(_np.random, _name)
    if not _name.startswith("_"):
        _is_function = callable(_value) and not isinstance(_value, type)
        globals()[_name] = _refusing(_value, __name__, _WHY) if _is_function else _value
