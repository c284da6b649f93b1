"""Hypothesis strategies for arrays, shapes, indices and graphs. They need the extra `test`."""

from .arrays import arrays, case_inputs, complex_dtypes, floating_dtypes, tensors
from .expressions import expressions
from .indexing import einsum_subscripts, indices
from .shapes import axes, broadcastable, matmul_shapes, permutations, shapes
from .windows import ConvGeometry, PoolGeometry, conv_geometries, pool_geometries

__all__ = [
    "ConvGeometry", "PoolGeometry", "arrays", "axes", "broadcastable", "case_inputs", "complex_dtypes", "conv_geometries",
    "einsum_subscripts", "expressions", "floating_dtypes", "indices", "matmul_shapes", "permutations", "pool_geometries",
    "shapes", "tensors",
]  # fmt: skip
