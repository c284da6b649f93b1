"""The ``linalg`` part of the standard. All is recorded where ``tinygrad_cnn.linalg`` is."""

from __future__ import annotations

from typing import Any

import numpy as np

from ... import linalg as _ours
from .functions import matmul, matrix_transpose, tensordot, vecdot
from .wrapping import tensor, tensors

__all__ = [
    "cholesky", "cross", "det", "diagonal", "eigh", "eigvalsh", "inv", "matmul", "matrix_norm", "matrix_power", "matrix_rank",
    "matrix_transpose", "outer", "pinv", "qr", "slogdet", "solve", "svd", "svdvals", "tensordot", "trace", "vecdot",
    "vector_norm",
]  # fmt: skip


def cholesky(x: Any, /, *, upper: bool = False) -> Any:
    """L with x = L L^T, or U with x = U^T U."""
    return tensors(_ours.cholesky(tensor(x), upper=upper))


def cross(x1: Any, x2: Any, /, *, axis: int = -1) -> Any:
    """The cross products of vectors of three elements along an axis."""
    return tensors(_ours.cross(tensor(x1), tensor(x2), axis=axis))


def det(x: Any, /) -> Any:
    """The determinants of matrices."""
    return tensors(np.linalg.det(tensor(x)))


def diagonal(x: Any, /, *, offset: int = 0) -> Any:
    """The diagonals of matrices."""
    return tensors(_ours.diagonal(tensor(x), offset=offset))


def eigh(x: Any, /) -> Any:
    """Eigenvalues and eigenvectors of symmetric matrices."""
    return tensors(_ours.eigh(tensor(x)))


def eigvalsh(x: Any, /) -> Any:
    """Eigenvalues of symmetric matrices."""
    return tensors(_ours.eigvalsh(tensor(x)))


def inv(x: Any, /) -> Any:
    """The inverses of matrices."""
    return tensors(_ours.inv(tensor(x)))


def matrix_norm(x: Any, /, *, keepdims: bool = False, ord: Any = "fro") -> Any:
    """Norms of matrices."""
    return tensors(_ours.matrix_norm(tensor(x), keepdims=keepdims, ord=ord))


def matrix_power(x: Any, n: int, /) -> Any:
    """Integer powers of matrices."""
    return tensors(_ours.matrix_power(tensor(x), n))


def matrix_rank(x: Any, /, *, rtol: Any = None) -> Any:
    """The number of singular values above `rtol` times the largest."""
    return tensors(np.linalg.matrix_rank(tensor(x), rtol=_plain(rtol)))


def outer(x1: Any, x2: Any, /) -> Any:
    """The products of all pairs of elements of two vectors."""
    return tensors(_ours.outer(tensor(x1), tensor(x2)))


def pinv(x: Any, /, *, rtol: Any = None) -> Any:
    """Pseudo-inverses of matrices, in which singular values up to `rtol` times the largest count as 0.

    TypeError for an `rtol` for each matrix, if x requires a gradient.
    """
    x, rtol = tensor(x), _plain(rtol)
    if np.ndim(rtol) == 0:
        return tensors(_ours.pinv(x, rtol=None if rtol is None else float(rtol)))
    if x.requires_grad:
        raise TypeError("pinv: with an `rtol` for each matrix there is no gradient; call it for each, or detach() x")
    return tensors(np.linalg.pinv(x.numpy(), rtol=rtol))


def qr(x: Any, /, *, mode: Any = "reduced") -> Any:
    """Orthonormal columns and upper triangular matrices whose product is x."""
    return tensors(_ours.qr(tensor(x), mode=mode))


def slogdet(x: Any, /) -> Any:
    """Sign of the determinant and logarithm of its absolute value."""
    return tensors(_ours.slogdet(tensor(x)))


def solve(x1: Any, x2: Any, /) -> Any:
    """x with x1 x = x2."""
    return tensors(_ours.solve(tensor(x1), tensor(x2)))


def svd(x: Any, /, *, full_matrices: bool = True) -> Any:
    """The singular value decomposition U, S, Vh.

    ValueError for `full_matrices` of a matrix that is not square, if x requires a gradient: the further columns have none.
    """
    x = tensor(x)
    if full_matrices and not x.requires_grad:
        return tensors(np.linalg.svd(x.numpy(), full_matrices=True))
    return tensors(_ours.svd(tensor(x), full_matrices=full_matrices))


def svdvals(x: Any, /) -> Any:
    """The singular values of matrices."""
    return tensors(_ours.svdvals(tensor(x)))


def trace(x: Any, /, *, offset: int = 0, dtype: Any = None) -> Any:
    """The sums of the diagonals of matrices."""
    return tensors(_ours.trace(tensor(x), offset=offset, dtype=dtype))


def vector_norm(x: Any, /, *, axis: Any = None, keepdims: bool = False, ord: Any = 2) -> Any:
    """Norms of vectors along axes."""
    return tensors(_ours.vector_norm(tensor(x), axis=axis, keepdims=keepdims, ord=ord))


def _plain(value: Any) -> Any:
    """A tolerance, of which nothing depends smoothly, as a number or an array."""
    return value.numpy() if hasattr(value, "numpy") else value
