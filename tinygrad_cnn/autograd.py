"""Derivatives as function calls, by the name of their namespace: ``tinygrad_cnn.autograd.grad``."""

from typing import TYPE_CHECKING

from .names import answering
from .transforms.autograd import *
from .transforms.autograd import __all__ as __all__

if not TYPE_CHECKING:  # a checker would take every name for an attribute
    __getattr__ = answering("tinygrad_cnn.autograd", "torch.autograd")
