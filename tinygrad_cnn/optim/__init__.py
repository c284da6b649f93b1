"""Optimizers, learning-rate schedules, gradient clipping and averaged weights, with PyTorch's names and arithmetic."""

from ..core.remedies import publish
from . import lr_scheduler
from .adadelta import Adadelta
from .adafactor import Adafactor
from .adagrad import Adagrad
from .adam import Adam, AdamW
from .adamax import Adamax
from .asgd import ASGD
from .batch_statistics import update_bn
from .clip import clip_grad_norm_, clip_grad_value_
from .ema import EMA
from .lbfgs import LBFGS
from .lion import Lion
from .lr_scheduler import (
    ChainedScheduler,
    CyclicLR,
    LambdaLR,
    LRScheduler,
    MultiplicativeLR,
    OneCycleLR,
    ReduceLROnPlateau,
    SequentialLR,
)
from .lr_scheduler.curves import *
from .muon import Muon
from .nadam import NAdam
from .optimizer import Optimizer
from .radam import RAdam
from .rmsprop import RMSprop
from .rprop import Rprop
from .sgd import SGD

__all__ = [
    "ASGD", "EMA", "LBFGS", "SGD", "Adadelta", "Adafactor", "Adagrad", "Adam", "AdamW", "Adamax", "ChainedScheduler",
    "CyclicLR", "LRScheduler", "LambdaLR", "Lion", "MultiplicativeLR", "Muon", "NAdam", "OneCycleLR", "Optimizer", "RAdam",
    "RMSprop", "ReduceLROnPlateau", "Rprop", "SequentialLR", "clip_grad_norm_", "clip_grad_value_", "lr_scheduler",
    "update_bn",
]  # fmt: skip
__all__ += lr_scheduler.curves.__all__


def __dir__() -> list[str]:
    """Public names only."""
    return list(__all__)


publish(globals())
