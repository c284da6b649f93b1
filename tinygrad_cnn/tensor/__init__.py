"""The Tensor: its operators and methods, NumPy's protocols, and memory sharing through DLPack."""

import sys
from types import ModuleType
from typing import Any, NoReturn

from ..names import explain_tensor_names
from ..names.modules import explain_imports
from .data import get_default_dtype, set_default_dtype
from .tensor import Tensor, _rebuild

__all__ = ["Tensor", "_rebuild", "get_default_dtype", "set_default_dtype"]

explain_tensor_names(Tensor)
explain_imports()


class _Module(ModuleType):
    def __call__(self, *_: Any, **__: Any) -> NoReturn:
        raise TypeError("tg.tensor is a module; use tg.Tensor(data), which is what torch.tensor(data) is in PyTorch")


sys.modules[__name__].__class__ = _Module
