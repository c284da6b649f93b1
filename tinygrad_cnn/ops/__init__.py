"""Every primitive op, by family. Importing this package declares them all."""

from ..core.graph import numpy_ops
from ..core.operands import accept_lists
from . import (
    activation,
    adaptive_pool,
    affine,
    compare,
    conv,
    conv_transpose,
    dropout,
    einsum,
    elementwise,
    gather,
    index,
    join,
    linalg,
    matmul,
    normalization,
    pool,
    random,
    rearrange,
    reduce,
    resize,
    rounding,
    scan,
    shape,
    softmax,
    sort,
    transcendental,
)
from .losses import classification, distance, regression

__all__ = [
    "activation",
    "adaptive_pool",
    "affine",
    "classification",
    "compare",
    "conv",
    "conv_transpose",
    "distance",
    "dropout",
    "einsum",
    "elementwise",
    "gather",
    "index",
    "join",
    "linalg",
    "matmul",
    "normalization",
    "pool",
    "random",
    "rearrange",
    "reduce",
    "regression",
    "resize",
    "rounding",
    "scan",
    "shape",
    "softmax",
    "sort",
    "transcendental",
]

for name in __all__:
    accept_lists(vars(globals()[name]), numpy_ops)
