"""More of NumPy, composed of ops: differences, polynomials, statistics, and reductions that skip NaN."""

from ..core.composite import accept_lists
from ..core.graph import numpy_ops
from . import difference, nan, polynomial, statistics

__all__ = ["difference", "nan", "polynomial", "statistics"]

for name in __all__:
    accept_lists(vars(globals()[name]), numpy_ops)
