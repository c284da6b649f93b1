"""The rows of every family of ops, in one list."""

from ..cases import Case
from . import (
    compare,
    conv,
    elementwise,
    index,
    linalg,
    loss,
    reduce,
    scan,
    shape,
    softmax,
)

FAMILIES = (
    compare,
    conv,
    elementwise,
    index,
    linalg,
    loss,
    reduce,
    scan,
    shape,
    softmax,
)

CASES: list[Case] = [case for family in FAMILIES for case in family.CASES]

__all__ = ["CASES"]
