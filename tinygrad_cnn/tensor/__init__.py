"""The Tensor: its operators and methods, creation functions, NumPy's protocols, and memory sharing through DLPack."""

import sys
from types import ModuleType
from typing import Any, NoReturn

from ..names import answer_tensor
from ..names.modules import answer_imports
from .data import get_default_dtype, set_default_dtype
from .tensor import Tensor, _rebuild

__all__ = ["Tensor", "_rebuild", "get_default_dtype", "set_default_dtype"]

answer_tensor(Tensor)
answer_imports()


class _Module(ModuleType):
    def __call__(self, *_: Any, **__: Any) -> NoReturn:
        raise TypeError("tg.tensor is a module; use tg.Tensor(data), which is what torch.tensor(data) is in PyTorch")


sys.modules[__name__].__class__ = _Module
