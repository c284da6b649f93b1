"""Optimizers: PyTorch's argument names, defaults and update equations, in place on NumPy arrays."""

from .adam import Adam
from .optimizer import Optimizer
from .rmsprop import RMSprop
from .sgd import SGD

__all__ = ["SGD", "Adam", "Optimizer", "RMSprop"]
