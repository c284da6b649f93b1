"""The Tensor: its operators and methods, how one is made, NumPy called on it, and memory shared with other libraries."""

from .tensor import Tensor, _rebuild, get_default_dtype, set_default_dtype

__all__ = ["Tensor", "_rebuild", "get_default_dtype", "set_default_dtype"]
