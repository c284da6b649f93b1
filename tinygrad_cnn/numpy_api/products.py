"""Products of vectors and matrices, by NumPy's names, composed of matmul, mul and sums.

In docstrings, g is the incoming gradient and a' the gradient with respect to a.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.graph import Array, Tensor, implements
from ..core.registry import numpy_ops
from ..core.remedies import publish
from ..ops.complex_numbers import conjugate
from ..ops.composite import accept_lists
from ..ops.elementwise import astype, mul
from ..ops.half import in_float32
from ..ops.matmul import dot, matmul, summed
from ..ops.rearrange import roll
from ..ops.reduce import sum
from ..ops.shape import expand_dims, moveaxis, pad, ravel, reshape

__all__ = ["cross", "inner", "kron", "matvec", "outer", "vdot", "vecdot", "vecmat"]


@implements(np.inner)
def inner(a: Array, b: Array) -> Tensor:
    """y = sum of products over the last axes of a and b; a scalar multiplies.

    Raises:
        ValueError: if the sizes of the two axes disagree.
    """
    return summed("inner", a, b, -1)


@implements(np.outer)
def outer(a: Array, b: Array) -> Tensor:
    """y_ij = a_i b_j, with both inputs flattened."""
    return mul(reshape(a, shape=(-1, 1)), ravel(b))


@implements(np.vdot)
def vdot(a: Array, b: Array) -> Tensor:
    """y = the sum of the products of all elements of conj(a) and b, of as many.   a' = conj(g b),  b' = g conj(a).

    Raises:
        ValueError: if their numbers of elements disagree.
    """
    return dot(conjugate(ravel(a)), ravel(b))


@implements(np.vecdot, np.linalg.vecdot)
def vecdot(x1: Array, x2: Array, *, axis: int = -1) -> Tensor:
    """y = the sums of products of vectors, conj(x1) and x2, along `axis`, the other axes broadcast.

    x1' = conj(g x2),  x2' = g conj(x1).

    Raises:
        ValueError: if the vectors have different lengths.
    """
    left, right = moveaxis(x1, axis, -1), moveaxis(x2, axis, -1)
    if left.shape[-1] != right.shape[-1]:
        raise ValueError(
            f"vecdot: axis {axis} of `x1` {np.shape(x1)} and of `x2` {np.shape(x2)} must have the same size"
        )
    y: Any = mul(conjugate(left), right)
    return astype(sum(y, axis=-1), y.dtype)  # type: ignore[no-any-return]


def matvec(x1: Array, x2: Array) -> Tensor:
    """y = matrices (..., m, n) times vectors (..., n), the leading axes broadcast.   x1' = g x2^T,  x2' = x1^T g."""
    return matmul(x1, expand_dims(x2, -1))[..., 0]


def vecmat(x1: Array, x2: Array) -> Tensor:
    """y = vectors conj(x1), (..., m), times matrices (..., m, n), the leading axes broadcast.   x1' = x2 g,  x2' = x1 g^T."""
    return matmul(expand_dims(conjugate(x1), -2), x2)[..., 0, :]


if hasattr(np, "matvec"):  # new in NumPy 2.2
    implements(np.matvec)(matvec)
    implements(np.vecmat)(vecmat)


@implements(np.kron)
def kron(a: Array, b: Array) -> Tensor:
    """y = blocks a_ij b, the Kronecker product.   a'_ij = the sum of g b over block ij,  b' = the sum of g a over blocks."""
    ndim = max(np.ndim(a), np.ndim(b))
    left, right = ((1,) * (ndim - np.ndim(x)) + np.shape(x) for x in (a, b))
    first = reshape(a, shape=[n for size in left for n in (size, 1)])
    second = reshape(b, shape=[n for size in right for n in (1, size)])
    return reshape(mul(first, second), shape=tuple(m * n for m, n in zip(left, right, strict=True)))


@implements(np.cross)
def cross(a: Array, b: Array, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: int | None = None) -> Tensor:
    """y = (a_1 b_2 - a_2 b_1, a_2 b_0 - a_0 b_2, a_0 b_1 - a_1 b_0), a vector at right angles to a and b.

    a' = b x g,  b' = g x a, summed where they were broadcast.

    Args:
        a, b: vectors of size 3 along `axisa` and `axisb`; the other axes broadcast. A vector of size 2 has a third element of
            0; if both are, the result has that element alone, a_0 b_1 - a_1 b_0, and no axis for it.
        axisa, axisb, axisc: the axis of the vectors in a, in b, and in the result.
        axis: all three of them.

    Raises:
        ValueError: if the vectors have another size.
    """
    if axis is not None:
        axisa = axisb = axisc = axis
    along = axisa == axisb == axisc and np.ndim(a) == np.ndim(b) and 0 <= axisa < np.ndim(a)
    if not along:
        a, b = moveaxis(a, axisa, -1), moveaxis(b, axisb, -1)
    at = axisa if along else -1
    sizes = [np.shape(x)[at] for x in (a, b)]
    if not {*sizes} <= {2, 3}:
        raise ValueError(f"cross: the vectors have sizes {sizes[0]} and {sizes[1]}; they must have size 3, or 2")
    if sizes == [2, 2]:
        (a0, a1), (b0, b1) = ((moveaxis(x, at, 0)[0], moveaxis(x, at, 0)[1]) for x in (a, b))
        return a0 * b1 - a1 * b0
    a, b = (
        x if n == 3 else pad(x, [(0, int(i == at % np.ndim(x))) for i in range(np.ndim(x))])
        for x, n in zip((a, b), sizes, strict=True)
    )
    return _cross(a, b, axis=at) if along else moveaxis(_cross(a, b, axis=at), -1, axisc)


@in_float32
def _cross(a: Array, b: Array, *, axis: int) -> Array:
    (a_after, a_before), (b_after, b_before) = (
        (roll(x, shift=-1, axis=axis), roll(x, shift=1, axis=axis)) for x in (a, b)
    )
    return a_after * b_before - a_before * b_after


@implements(np.linalg.cross)
def _linalg_cross(x1: Array, x2: Array, *, axis: int = -1) -> Tensor:
    """np.linalg.cross of Tensors."""
    if np.shape(x1)[axis] != 3 or np.shape(x2)[axis] != 3:
        raise ValueError(f"cross: `x1` {np.shape(x1)} and `x2` {np.shape(x2)} must have size 3 along axis {axis}")
    return cross(x1, x2, axis=axis)


accept_lists(globals(), numpy_ops)
publish(globals())
