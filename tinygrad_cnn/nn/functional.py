"""Another name of :mod:`tinygrad_cnn.functional`, for ``import tinygrad_cnn.nn.functional as F``: it is the same module."""

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:

    def __getattr__(name: str) -> Any: ...


sys.modules[__name__] = import_module("..functional", __package__)
