"""The rows of every family of ops, in one list."""

from ..cases import Case
from . import (
    activation,
    compare,
    conv,
    einsum,
    elementwise,
    index,
    label,
    linalg,
    loss,
    losses,
    matrix,
    normalization,
    pool,
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

FAMILIES = (
    activation,
    compare,
    conv,
    einsum,
    elementwise,
    index,
    label,
    linalg,
    loss,
    losses,
    matrix,
    normalization,
    pool,
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

CASES: list[Case] = [case for family in FAMILIES for case in family.CASES]

__all__ = ["CASES"]
