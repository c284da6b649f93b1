"""``scipy.optimize`` itself: give it ``value_and_grad(f)`` with ``jac=True``."""

from scipy import optimize as _optimize

globals().update({name: getattr(_optimize, name) for name in _optimize.__all__})
