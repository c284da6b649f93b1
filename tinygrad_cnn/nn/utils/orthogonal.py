"""A weight whose columns, or rows, are orthonormal, as a function of a matrix that is free.

Reference: Lezcano-Casado, "Trivializations for gradient-based optimization on manifolds", arXiv:1909.09501.
"""

from __future__ import annotations

import math
from typing import Any, TypeVar

import numpy as np

from ...checks import checked, flag, one_of
from ...core.grad_mode import no_grad
from ...numpy_api.creation import randn
from ...ops.complex_numbers import conjugate
from ...ops.linalg import solve_columns
from ...ops.matmul import matmul
from ...ops.rearrange import tril, triu
from ...ops.reduce import sum
from ...ops.shape import concatenate, expand_dims, swapaxes
from ...scope import contained
from ...tensor import Tensor
from ..module import Module
from .parametrize import register_parametrization

__all__ = ["orthogonal"]

M = TypeVar("M", bound=Module)

MAPS = ("matrix_exp", "cayley", "householder")

PADE = tuple(math.comb(13, k) * math.factorial(26 - k) / math.factorial(26) for k in range(14))
"""The coefficients of the diagonal Padé approximant of degree 13 of the exponential; exact to rounding for norms up to 5.37."""


class Orthogonal(Module):
    """Q(X) of orthonormal columns, or rows if X is wide; times ``base``, if there is one: X then starts at the identity."""

    base: Any

    def __init__(self, weight: Tensor, orthogonal_map: str, use_trivialization: bool) -> None:
        self.shape, self.orthogonal_map, self.use_trivialization = weight.shape, orthogonal_map, use_trivialization
        if use_trivialization:
            self.register_buffer("base", None)

    def forward(self, x: Any) -> Tensor:
        """The orthogonal matrix of x (..., m, n), of which a triangle counts."""
        wide = x.shape[-2] < x.shape[-1]
        x = swapaxes(x, -1, -2) if wide else x
        q: Any = _reflected(x) if self.orthogonal_map == "householder" else self._rotated(x)
        if self.use_trivialization:
            q = matmul(self.base, q)
        return swapaxes(q, -1, -2) if wide else q

    def _rotated(self, x: Any) -> Any:
        """The first columns of exp(A) or of (1 - A / 2)^-1 (1 + A / 2), with A = L - L^H, the lower triangle of x."""
        n, k = x.shape[-2:]
        a = tril(x)
        if n != k:
            a = concatenate([a, np.zeros((*a.shape[:-1], n - k), a.dtype)], axis=-1)
        a = a - conjugate(swapaxes(a, -1, -2))
        if self.orthogonal_map == "matrix_exp":
            q = exponential(a)
        else:
            one = np.eye(n, dtype=a.dtype)
            q = solve_columns(one - a / 2, one + a / 2)
        return q[..., :k]

    def right_inverse(self, q: Tensor) -> Tensor:
        """An x whose matrix is q, made orthogonal by Gram-Schmidt if it is not; with ``base``, it goes there."""
        if q.shape != self.shape:
            raise ValueError(f"orthogonal: the value has shape {q.shape}; it must be {self.shape}")
        wide = q.shape[-2] < q.shape[-1]
        tall = q.numpy().swapaxes(-1, -2) if wide else q.numpy()
        n, k = tall.shape[-2:]
        if self.use_trivialization:
            if n != k:
                tall = np.concatenate([tall, _drawn((*tall.shape[:-2], n, n - k), q.dtype)], axis=-1)
            self.register_buffer("base", Tensor(_orthonormal(tall, keep=n == k)))
            return Tensor(np.broadcast_to(-np.eye(*q.shape[-2:], dtype=q.dtype), q.shape).copy())
        if self.orthogonal_map != "householder":
            raise NotImplementedError(
                f"orthogonal: a value cannot be assigned with {self.orthogonal_map!r} and use_trivialization=False, since the "
                "matrix of which it is the map is not known; use 'householder', or use_trivialization=True"
            )
        packed, tau = contained(
            np.linalg.qr, tall, "raw"
        )  # reflectors below the diagonal of the transpose, R on and above it
        x = packed.swapaxes(-1, -2).copy()
        first = np.arange(k)
        x[..., first, first] = np.where(tau == 0, -1, 1) * np.sign(x[..., first, first])  # 0: there is no reflection
        return Tensor(x.swapaxes(-1, -2).copy() if wide else x)

    def extra_repr(self) -> str:
        """The map."""
        return f"orthogonal_map={self.orthogonal_map!r}, use_trivialization={self.use_trivialization}"


def _reflected(x: Any) -> Any:
    """The first columns of H_1 H_2 ..., times the signs on the diagonal of x.

    H_i reflects along column i of V, the strict lower triangle of x below ones. The product is 1 - V T^-1 V^T with the upper
    triangular T = triu(V^T V), whose diagonal is halved. Reference: Joffrain et al., "Accumulating Householder
    transformations, revisited", ACM TOMS (2006).
    """
    n, k = x.shape[-2:]
    signs = np.trunc(np.diagonal(x.detach().numpy(), axis1=-2, axis2=-1))[..., None, :]
    one = np.eye(n, k, dtype=x.dtype)
    v = tril(x, -1) + one
    gram = matmul(swapaxes(v, -1, -2), v)
    halved = np.eye(k, dtype=x.dtype) * expand_dims(sum(v * v, axis=-2), -1) / 2
    return (one - matmul(v, solve_columns(triu(gram, 1) + halved, swapaxes(v[..., :k, :], -1, -2)))) * signs


def exponential(a: Any) -> Any:
    """exp(a) of square matrices (..., n, n), by ops: a Padé approximant of a / 2^s, squared s times.

    That of a skew matrix is orthogonal but for rounding. Reference: Higham, "The scaling and squaring method for the matrix
    exponential revisited", SIAM J. Matrix Anal. Appl. (2005).
    """
    with no_grad():
        norm = float(np.max(np.abs(np.asarray(a.detach())).sum(axis=-2), initial=0))
    if not math.isfinite(norm):
        return a * math.nan
    times = max(0, math.ceil(math.log2(norm / 5.37))) if norm else 0
    a = a / 2**times
    one = np.eye(a.shape[-1], dtype=a.dtype)
    square: Any = matmul(a, a)
    even: Any
    odd: Any
    even, odd, power = one * PADE[0], one * PADE[1], square
    for k in range(2, 14, 2):
        even, odd = even + power * PADE[k], odd + power * PADE[k + 1]
        power = matmul(power, square) if k < 12 else power
    odd = matmul(a, odd)
    y = solve_columns(even - odd, even + odd)
    for _ in range(times):
        y = matmul(y, y)
    return y


def _orthonormal(a: np.ndarray, keep: bool) -> np.ndarray:
    """Q of a = Q R with the diagonal of R at least 0; with `keep`, `a` itself if it is orthogonal within rounding."""
    n = a.shape[-2]
    if keep and np.allclose(a.conj().swapaxes(-1, -2) @ a, np.eye(n), rtol=1e-5, atol=10 * n * np.finfo(a.dtype).eps):
        return a.copy()
    q, r = contained(np.linalg.qr, a)
    diagonal = np.diagonal(r, axis1=-2, axis2=-1)
    signs = diagonal / np.where(diagonal == 0, 1, abs(diagonal)) + (diagonal == 0)
    found: np.ndarray = q * signs[..., None, :]
    return found.astype(a.dtype, copy=False)


def _drawn(shape: tuple[int, ...], dtype: np.dtype[Any]) -> np.ndarray:
    """Normal numbers, real or complex."""
    if dtype.kind != "c":
        return randn(*shape, dtype=dtype).numpy()
    parts = randn(2, *shape, dtype=np.zeros(0, dtype).real.dtype).numpy()
    drawn: np.ndarray = parts[0] + dtype.type(1j) * parts[1]
    return drawn


def orthogonal(
    module: M, name: str = "weight", orthogonal_map: str | None = None, *, use_trivialization: bool = True
) -> M:
    """Keep a weight orthogonal while it is learned: Q^H Q = 1 for a tall one, Q Q^H = 1 for a wide one.

    Q = B exp(A), B (1 - A / 2)^-1 (1 + A / 2), or B H_1 ... H_k, of what is learned, ``parametrizations.weight.original``: A is
    its lower triangle minus its conjugate transpose, and H_i reflects along a column of it. The buffer
    ``parametrizations.weight.0.base``, B, has the value that the weight has at first, or is assigned, made orthogonal if it is
    not. Make the optimizer afterwards.

    Reference: Lezcano-Casado, "Trivializations for gradient-based optimization on manifolds", arXiv:1909.09501.

    Args:
        module: the module that has the weight; it is returned.
        name: the name of the weight, a matrix or a stack of them.
        orthogonal_map: "matrix_exp", "cayley" or "householder"; None for "matrix_exp" of a square or complex weight, and else
            "householder".
        use_trivialization: whether there is B. Without it, the first two maps start at another value, and none can be assigned.

    Raises:
        TypeError: if `module` is no Module.
        ValueError: if there is no such tensor, it has fewer than two axes, or it is complex with "householder".

    >>> import numpy as np, tinygrad_cnn as tg
    >>> layer = tg.nn.utils.parametrizations.orthogonal(tg.nn.Linear(20, 40))
    >>> w = layer.weight.numpy()
    >>> bool(np.allclose(w.T @ w, np.eye(20), atol=1e-5))
    True
    """
    if not isinstance(module, Module):
        raise TypeError(f"orthogonal: `module` is {module!r:.60}; it must be a Module")
    weight = getattr(module, name, None)
    if not isinstance(weight, Tensor):
        raise ValueError(f"orthogonal: the {type(module).__name__} has no parameter or buffer {name!r}")
    if weight.ndim < 2:
        raise ValueError(f"orthogonal: {name!r} has shape {weight.shape}; it must be a matrix, or a stack of them")
    whole = weight.dtype.kind == "c"
    if orthogonal_map is None:
        orthogonal_map = "matrix_exp" if whole or weight.shape[-1] == weight.shape[-2] else "householder"
    given = {"orthogonal_map": orthogonal_map, "use_trivialization": use_trivialization}
    checked("orthogonal", {"orthogonal_map": one_of(*MAPS), "use_trivialization": flag}, given)
    if whole and orthogonal_map == "householder":
        raise ValueError(f"orthogonal: {name!r} is {weight.dtype}; 'householder' is for real weights: use another map")
    return register_parametrization(module, name, Orthogonal(weight, orthogonal_map, use_trivialization), unsafe=True)
