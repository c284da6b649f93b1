"""The rows of every family of ops, in one list."""

from ..cases import Case
from . import (
    activation,
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
    transcendental,
)

FAMILIES = (
    activation,
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
    transcendental,
)

CASES: list[Case] = [case for family in FAMILIES for case in family.CASES]

__all__ = ["CASES"]
