"""``scipy.optimize`` itself: give it ``value_and_grad(f)`` with ``jac=True``."""

from scipy import optimize as _optimize
from scipy.optimize import *

__all__ = list(_optimize.__all__)  # noqa: PLE0605
