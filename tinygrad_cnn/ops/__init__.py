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
    einsum,
    elementwise,
    index,
    label,
    linalg,
    loss,
    matrix,
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

__all__ = [
    "activation",
    "adaptive_pool",
    "affine",
    "compare",
    "conv",
    "conv_transpose",
    "einsum",
    "elementwise",
    "index",
    "label",
    "linalg",
    "loss",
    "matrix",
    "normalization",
    "pool",
    "random",
    "rearrange",
    "reduce",
    "resize",
    "scan",
    "shape",
    "softmax",
    "sort",
    "transcendental",
]

for name in __all__:
    accept_lists(vars(globals()[name]), numpy_ops)
