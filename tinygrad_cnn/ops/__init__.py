"""The primitive ops, by family. Importing this package declares all of them."""

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
    linalg,
    matmul,
    normalization,
    pool,
    random,
    rearrange,
    reduce,
    resize,
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
    "linalg",
    "matmul",
    "normalization",
    "pool",
    "random",
    "rearrange",
    "reduce",
    "regression",
    "resize",
    "scan",
    "shape",
    "softmax",
    "sort",
    "transcendental",
]

for name in __all__:
    accept_lists(vars(globals()[name]), numpy_ops)
