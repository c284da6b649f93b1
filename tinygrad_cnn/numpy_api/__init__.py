"""NumPy in full: functions that make Tensors, those composed of ops, and what NumPy does when it is called on a Tensor.

Only creation is imported with the package. The rest is imported when a name of it is used, or NumPy is called on a Tensor.
"""

from importlib import import_module
from typing import Any

from ..core.registry import above


def _ufunc(*given: Any) -> Any:
    return import_module(".dispatch", __name__).array_ufunc(*given)


def _function(*given: Any) -> Any:
    return import_module(".dispatch", __name__).array_function(*given)


def _dlpack(*given: Any, **options: Any) -> Any:
    return import_module(".dlpack", __name__).export(*given, **options)


vars(above).update(array_ufunc=_ufunc, array_function=_function, dlpack=_dlpack)
