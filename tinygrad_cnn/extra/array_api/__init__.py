"""Python's array API standard, 2024.12, for Tensors: the namespace that ``x.__array_namespace__()`` returns.

It has every name of the standard, as the standard has it: float64 is the default dtype, and results are Tensors. Derivatives
are recorded wherever the library has them, and a function without them is an error if a Tensor requires a gradient.

(https://data-apis.org/array-api/2024.12)

>>> import tinygrad_cnn as tg
>>> x = tg.Tensor([3.0, 4.0], requires_grad=True)
>>> xp = x.__array_namespace__()
>>> xp.linalg.vector_norm(x).backward()
>>> x.grad
Tensor([0.6, 0.8], dtype=float32)
"""

from __future__ import annotations

from typing import Any

import numpy as _np

from . import fft as fft
from . import linalg as linalg
from .creation import *
from .dtypes import DTYPES as _DTYPES
from .dtypes import Info as _Info
from .dtypes import astype, can_cast, finfo, iinfo, isdtype, result_type
from .functions import *

__array_api_version__ = "2024.12"

globals().update(_DTYPES)
e, inf, nan, newaxis, pi = _np.e, _np.inf, _np.nan, None, _np.pi


def __array_namespace_info__() -> _Info:
    """What this namespace can do: capabilities, the device, dtypes."""
    return _Info()


_VERSIONS = ("2021.12", "2022.12", "2023.12", "2024.12")


def _namespace(api_version: str | None = None) -> Any:
    """This module. ValueError for a version of the standard that it does not have."""
    import sys

    if api_version not in (None, *_VERSIONS):
        raise ValueError(
            f"__array_namespace__: version {api_version!r} of the array API is not here; {', '.join(_VERSIONS)} are"
        )
    return sys.modules[__name__]


def __getattr__(name: str) -> Any:
    if name == "special":  # where SciPy looks for functions of its own, with SCIPY_ARRAY_API=1
        try:
            from .. import special
        except ModuleNotFoundError as error:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}: {error}") from error
        return special
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    *_DTYPES, "__array_api_version__", "__array_namespace_info__", "astype", "can_cast", "e", "fft", "finfo", "iinfo", "inf",
    "isdtype", "linalg", "nan", "newaxis", "pi", "result_type",
]  # fmt: skip
__all__ += creation.__all__  # type: ignore[name-defined]
__all__ += functions.__all__  # type: ignore[name-defined]


def __dir__() -> list[str]:
    """The names of the standard."""
    return sorted(__all__)
