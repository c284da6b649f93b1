"""Every primitive op, by family. Importing this package declares them all."""

from ..core.graph import numpy_ops
from ..core.operands import accept_lists
from . import (
    activation,
    adaptive_pool,
    compare,
    conv,
    conv_transpose,
    dropout,
    einsum,
    elementwise,
    gather,
    index,
    linalg,
    matmul,
    pool,
    random,
    rearrange,
    reduce,
    resize,
    scan,
    shape,
    softmax,
    sort,
    standardize,
    transcendental,
)
from .losses import classification, distance, regression

__all__ = [
    "activation", "adaptive_pool", "classification", "compare", "conv", "conv_transpose", "distance", "dropout", "einsum",
    "elementwise", "gather", "index", "linalg", "matmul", "pool", "random", "rearrange", "reduce", "regression", "resize",
    "scan", "shape", "softmax", "sort", "standardize", "transcendental",
]  # fmt: skip

for name in __all__:
    accept_lists(vars(globals()[name]), numpy_ops)
