"""``scipy.optimize`` itself: give it ``value_and_grad(f)`` with ``jac=True``."""

from typing import TYPE_CHECKING, Any

from scipy import optimize as _optimize

if TYPE_CHECKING:  # the names are those of SciPy

    def __getattr__(name: str) -> Any: ...


globals().update({name: getattr(_optimize, name) for name in _optimize.__all__})
