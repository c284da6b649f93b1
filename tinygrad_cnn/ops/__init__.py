"""The primitive ops, by family. Importing this package declares all of them."""

from ..core import keywords
from ..core.composite import accept_lists
from ..core.registry import numpy_ops
from ..names.keywords import answer, foreign
from . import (
    activation,
    adaptive_pool,
    affine,
    attention,
    compare,
    conv,
    conv_transpose,
    decomposition,
    dropout,
    einsum,
    elementwise,
    gather,
    grid_sample,
    index,
    linalg,
    masked,
    matmul,
    normalization,
    parts,
    pool,
    random,
    rearrange,
    reduce,
    resize,
    rounding,
    running,
    scan,
    scatter,
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
    "attention",
    "classification",
    "compare",
    "conv",
    "conv_transpose",
    "decomposition",
    "distance",
    "dropout",
    "einsum",
    "elementwise",
    "gather",
    "grid_sample",
    "index",
    "linalg",
    "masked",
    "matmul",
    "normalization",
    "parts",
    "pool",
    "random",
    "rearrange",
    "reduce",
    "regression",
    "resize",
    "rounding",
    "running",
    "scan",
    "scatter",
    "shape",
    "softmax",
    "sort",
    "transcendental",
]

keywords.attach(foreign, answer)
for name in __all__:
    accept_lists(vars(globals()[name]), numpy_ops)
