"""``numpy.fft`` of arrays. Tensors are real, so what is being differentiated is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as _np

from ..wrapping import refusing as _refusing

if TYPE_CHECKING:  # the names are those of NumPy

    def __getattr__(name: str) -> Any: ...


_WHY = (
    "Tensors are real, and the transform is complex; multiply by matrices of cosines and sines: with t = 2 np.pi "
    "np.outer(k, n) / N, the parts of fft(x) are np.cos(t) @ x and -np.sin(t) @ x"
)

for _name in dir(_np.fft):
    _value = getattr(_np.fft, _name)
    if not _name.startswith("_"):
        globals()[_name] = _refusing(_value, __name__, _WHY) if callable(_value) else _value
