"""Functions of matrices by the names of np.linalg, composed of products, inverses and decompositions."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from ..core.graph import Array, Tensor, implements
from ..core.registry import numpy_ops
from ..core.remedies import publish
from ..ops import matmul, rearrange, reduce
from ..ops.composite import accept_lists
from ..ops.elementwise import abs, in_floats, where
from ..ops.least_squares import matrix_rank
from ..ops.linalg import inv, solve, square
from ..ops.lists import members
from ..ops.real import is_integer
from ..ops.shape import Axis, different_axes, expand_dims, moveaxis, ravel, reshape
from ..ops.singular import svdvals
from .products import outer as flat_outer

__all__ = [
    "cond", "diagonal", "matrix_norm", "matrix_power", "matrix_rank", "multi_dot", "norm", "outer", "tensorinv", "tensorsolve",
    "trace",
]  # fmt: skip


@implements(np.linalg.norm)
def norm(x: Array, ord: float | str | None = None, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The norm of vectors along one axis, or of matrices in two axes, as np.linalg.norm.

    Of a vector it is that of tg.norm, of a matrix that of :func:`matrix_norm`; without `ord` and `axis` the square root of the
    sum of all squares. A norm of 0 has gradient zero.

    Args:
        x: an array or Tensor.
        ord: a number for vectors; for matrices "fro", "nuc", 1, 2, inf, or their negatives. None for 2, or "fro".
        axis: one axis, or two; None for all, of which there may be at most two if `ord` is given.
        keepdims: keep the reduced axes with size 1.

    Raises:
        ValueError: for another `ord`, or a number of axes that has no such norm.
    """
    ndim = np.ndim(x)
    if axis is None and (ord is None or ndim == 1):
        if isinstance(ord, str):
            raise ValueError(f"norm: `ord` is {ord!r}, which is a norm of matrices; `x` has shape {np.shape(x)}")
        return reduce.norm(x, 2 if ord is None else ord, None, keepdims)
    axes = different_axes("norm", tuple(range(ndim)) if axis is None else axis, ndim)
    if len(axes) == 1:
        return reduce.norm(x, 2 if ord is None else ord, axes, keepdims)  # type: ignore[arg-type]
    if len(axes) != 2:
        raise ValueError(
            f"norm: the axes {axes} of `x` {np.shape(x)} are neither one, for vectors, nor two, for matrices"
        )
    y = matrix_norm(moveaxis(x, axes, (-2, -1)), ord="fro" if ord is None else ord)
    return expand_dims(y, sorted(axes)) if keepdims else y


@implements(np.linalg.matrix_norm)
def matrix_norm(x: Array, *, keepdims: bool = False, ord: float | str = "fro") -> Tensor:
    """The norm of matrices in the last two axes.

    Args:
        x: (..., m, n).
        keepdims: keep the two axes with size 1.
        ord: "fro", the root of the sum of squares; "nuc", the sum of the singular values; 2 and -2, the largest and the
            smallest of them; 1 and -1, the largest and the smallest sum of absolute values in a column; inf and -inf, in a
            row. Equals share the gradient evenly.

    Raises:
        ValueError: if `x` has fewer than two axes, or for another `ord`.
    """
    if np.ndim(x) < 2:
        raise ValueError(f"matrix_norm: `x` has shape {np.shape(x)}; it must be a matrix, or a stack of them")
    x = in_floats(x, complex=True)
    y: Any
    if ord == "fro":
        y = reduce.norm(x, 2, (-2, -1))
    elif ord == "nuc":
        y = reduce.sum(svdvals(x), axis=-1)
    elif ord in (1, -1, 2, -2, math.inf, -math.inf):
        size = math.fabs(float(ord))
        parts = svdvals(x) if size == 2 else reduce.sum(abs(x), axis=-2 if size == 1 else -1)
        y = (reduce.max if float(ord) > 0 else reduce.min)(parts, axis=-1)
    else:
        raise ValueError(
            f"matrix_norm: `ord` is {ord!r}; it must be 'fro', 'nuc', 1, 2, inf, or the negative of a number"
        )
    return expand_dims(y, (-2, -1)) if keepdims else y


@implements(np.linalg.cond)
def cond(x: Array, p: float | str | None = None) -> Tensor:
    """The condition number |x| |x^-1|, by default of the norm 2: the largest singular value over the smallest.

    Args:
        x: (..., n, n), or for the norms None, 2 and -2 (..., m, n).
        p: the norm, as in :func:`matrix_norm`; None for 2.

    Raises:
        LinAlgError: (a ValueError) if `x` is not square, or singular, where its inverse is needed.
        ValueError: for another norm, or fewer than two axes.
    """
    if p in (None, 2, -2):
        if np.ndim(x) < 2:
            raise np.linalg.LinAlgError(f"cond: `x` has shape {np.shape(x)}; it must be a matrix, or a stack of them")
        s: Any = svdvals(x)
        return s[..., -1] / s[..., 0] if p == -2 else s[..., 0] / s[..., -1]  # type: ignore[no-any-return]
    square("cond", x)
    first: Any = matrix_norm(x, ord=p)
    return first * matrix_norm(inv(x), ord=p)  # type: ignore[no-any-return]


@implements(np.linalg.matrix_power)
def matrix_power(a: Array, n: int) -> Tensor:
    """y = a a ... a, n factors, by repeated squaring; for a negative n of the inverse.

    Args:
        a: (..., m, m).
        n: an integer.

    Raises:
        LinAlgError: (a ValueError) if `a` is not square, or n negative and `a` singular.
        TypeError: if `n` is not an integer.
    """
    square("matrix_power", a)
    if not is_integer(n):
        raise TypeError(f"matrix_power: `n` is {n!r}; it must be an integer")
    a = a if hasattr(a, "shape") else np.asarray(a)
    if not n:
        return where(False, a, np.eye(a.shape[-1], dtype=a.dtype))
    factor, left, y = (inv(a) if n < 0 else a), int(math.fabs(n)), None
    while left:
        if left % 2:
            y = factor if y is None else matmul.matmul(y, factor)
        left //= 2
        factor = matmul.matmul(factor, factor) if left else factor
    return y  # type: ignore[return-value]


@implements(np.linalg.multi_dot)
def multi_dot(arrays: Sequence[Array]) -> Tensor:
    """The product of matrices, in the order that takes the fewest multiplications. The ends may be vectors: a row, a column.

    Raises:
        ValueError: if there are fewer than two, one has other axes, or the sizes do not fit.
    """
    found = members(arrays)
    if len(found) < 2 or any(np.ndim(a) != 2 for a in found[1:-1]) or any(np.ndim(a) not in (1, 2) for a in found):
        raise ValueError(
            f"multi_dot: the arrays have shapes {[np.shape(a) for a in found]}; give two matrices at least"
        )
    sizes = [1 if np.ndim(found[0]) == 1 else np.shape(found[0])[0], *(np.shape(a)[0] for a in found[1:])]
    sizes.append(1 if np.ndim(found[-1]) == 1 else np.shape(found[-1])[1])

    @functools.cache
    def best(i: int, j: int) -> tuple[int, int]:
        """How many multiplications the product of the arrays i to j - 1 takes, and where to part it."""
        if j - i == 1:
            return 0, i
        return min((best(i, k)[0] + best(k, j)[0] + sizes[i] * sizes[k] * sizes[j], k) for k in range(i + 1, j))

    def product(i: int, j: int) -> Any:
        k = best(i, j)[1]
        return found[i] if j - i == 1 else matmul.matmul(product(i, k), product(k, j))

    return product(0, len(found))  # type: ignore[no-any-return]


@implements(np.linalg.tensorsolve)
def tensorsolve(a: Array, b: Array, axes: Sequence[int] | None = None) -> Tensor:
    """x with tensordot(a, x, x.ndim) = b: a as a square matrix from the elements of x to those of b.

    Args:
        a: of shape b.shape + x.shape.
        b: any shape.
        axes: axes of a to move to the end first.

    Raises:
        LinAlgError: (a ValueError) if `a` is not such a square matrix, or is singular.
    """
    if axes is not None:
        a = moveaxis(a, tuple(axes), tuple(range(np.ndim(a) - len(axes), np.ndim(a))))
    sizes = np.shape(a)[np.ndim(b) :]
    n = math.prod(sizes)
    if np.size(a) != n * n or np.size(b) != n:
        raise np.linalg.LinAlgError(
            f"tensorsolve: `a` {np.shape(a)} is not square: behind the axes of `b` {np.shape(b)}, it must have as many elements"
        )
    return reshape(solve(reshape(a, shape=(n, n)), ravel(b)), shape=sizes)


@implements(np.linalg.tensorinv)
def tensorinv(a: Array, ind: int = 2) -> Tensor:
    """y with tensordot(y, a, ind) = the identity: the inverse of a as a matrix from its last axes to its first `ind`.

    Raises:
        ValueError: if `ind` is not positive.
        LinAlgError: (a ValueError) if `a` is not such a square matrix, or is singular.
    """
    if ind <= 0:
        raise ValueError(f"tensorinv: `ind` is {ind}; it must be above 0")
    shape = np.shape(a)
    n = math.prod(shape[:ind])
    if np.size(a) != n * n:
        raise np.linalg.LinAlgError(
            f"tensorinv: `a` {shape} is not square: its first {ind} axes must have as many elements as the others"
        )
    return reshape(inv(reshape(a, shape=(n, n))), shape=(*shape[ind:], *shape[:ind]))


@implements(np.linalg.diagonal)
def diagonal(x: Array, *, offset: int = 0) -> Tensor:
    """The diagonals of matrices in the last two axes: tg.diagonal works in the first two."""
    return rearrange.diagonal(x, offset, -2, -1)


@implements(np.linalg.trace)
def trace(x: Array, *, offset: int = 0, dtype: DTypeLike | None = None) -> Tensor:
    """The sums of the diagonals of matrices in the last two axes: tg.trace works in the first two."""
    return matmul.trace(x, offset, -2, -1, dtype=dtype)


@implements(np.linalg.outer)
def outer(x1: Array, x2: Array) -> Tensor:
    """y_ij = x1_i x2_j, for two vectors.

    Raises:
        ValueError: if one is not 1-D; tg.outer flattens its inputs.
    """
    if np.ndim(x1) != 1 or np.ndim(x2) != 1:
        raise ValueError(f"outer: the inputs have shapes {np.shape(x1)} and {np.shape(x2)}; they must be 1-D")
    return flat_outer(x1, x2)


accept_lists(globals(), numpy_ops)
publish(globals())
