"""The rows of every family of ops, in one list."""

from ..cases import Case
from . import compare, conv, elementwise, index, linalg, loss, reduce, shape

CASES: list[Case] = [
    case for family in (elementwise, compare, reduce, shape, index, linalg, conv, loss) for case in family.CASES
]

__all__ = ["CASES"]
