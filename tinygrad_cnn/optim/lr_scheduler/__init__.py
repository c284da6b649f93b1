"""Schedules of the learning rate, with PyTorch's names, arguments and values."""

from typing import TYPE_CHECKING

from ...names import explaining_getattr
from . import curves
from .base import LRScheduler
from .compose import ChainedScheduler, SequentialLR
from .curves import *
from .cyclic import CyclicLR
from .function import LambdaLR, MultiplicativeLR
from .one_cycle import OneCycleLR
from .plateau import ReduceLROnPlateau

__all__ = [
    "ChainedScheduler", "CyclicLR", "LRScheduler", "LambdaLR", "MultiplicativeLR", "OneCycleLR", "ReduceLROnPlateau",
    "SequentialLR",
]  # fmt: skip
__all__ += curves.__all__

if not TYPE_CHECKING:  # a checker would take every name for an attribute
    __getattr__ = explaining_getattr("tinygrad_cnn.optim.lr_scheduler", "torch.optim.lr_scheduler")
