"""More of NumPy, composed of ops: joins, products, choices, differences, polynomials, statistics and so on."""

from ..core.composite import accept_lists
from ..core.graph import numpy_ops
from . import difference, join, matrix_functions, nan, polynomial, products, select, statistics

__all__ = ["difference", "join", "matrix_functions", "nan", "polynomial", "products", "select", "statistics"]

for name in __all__:
    accept_lists(vars(globals()[name]), numpy_ops)
