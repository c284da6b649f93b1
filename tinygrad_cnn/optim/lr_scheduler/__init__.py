"""Schedules of the learning rate, with PyTorch's names, arguments and values."""

from ...core.remedies import publish
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


publish(globals())
