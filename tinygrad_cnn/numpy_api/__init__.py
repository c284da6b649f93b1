"""NumPy in full: functions that make Tensors, those composed of ops, and what NumPy does when it is called on a Tensor."""

from ..core.registry import above, numpy_ops
from ..ops.composite import accept_lists
from . import creation, difference, join, matrix_functions, nan, polynomial, products, select, statistics
from .dispatch import array_function, array_ufunc
from .dlpack import export

__all__ = [
    "creation",
    "difference",
    "join",
    "matrix_functions",
    "nan",
    "polynomial",
    "products",
    "select",
    "statistics",
]

for name in __all__:
    accept_lists(vars(globals()[name]), numpy_ops)

vars(above).update(array_ufunc=array_ufunc, array_function=array_function, dlpack=export)
