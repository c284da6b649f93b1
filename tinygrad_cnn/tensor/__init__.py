"""The Tensor: its operators and methods, NumPy's protocols, and memory sharing through DLPack."""

from ..ops.data import get_default_dtype, set_default_dtype
from .tensor import Tensor, _rebuild

__all__ = ["Tensor", "_rebuild", "get_default_dtype", "set_default_dtype"]
