"""Schedules of the learning rate, with PyTorch's names, arguments and values."""

from typing import TYPE_CHECKING

from ...names import answering
from . import curves
from .base import LRScheduler
from .compose import ChainedScheduler, SequentialLR
from .curves import *
from .function import LambdaLR
from .one_cycle import OneCycleLR
from .plateau import ReduceLROnPlateau

__all__ = ["ChainedScheduler", "LRScheduler", "LambdaLR", "OneCycleLR", "ReduceLROnPlateau", "SequentialLR"]
__all__ += curves.__all__

if not TYPE_CHECKING:  # a checker would take every name for an attribute
    __getattr__ = answering("tinygrad_cnn.optim.lr_scheduler", "torch.optim.lr_scheduler")
