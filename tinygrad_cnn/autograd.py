"""Derivatives as function calls, by the name of their namespace: ``tinygrad_cnn.autograd.grad``."""

from .transforms.autograd import *
from .transforms.autograd import __all__ as __all__
