"""Hypothesis strategies for arrays, shapes, indices and graphs. They need the extra `test`; the rest of testing does not."""

from .cases import case_inputs
from .indexing import einsum_subscripts, indices
from .windows import ConvGeometry, PoolGeometry, conv_geometries, pool_geometries

__all__ = [
    "ConvGeometry",
    "PoolGeometry",
    "case_inputs",
    "conv_geometries",
    "einsum_subscripts",
    "indices",
    "pool_geometries",
]
