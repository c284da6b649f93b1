"""Rows for ops/eigen.py, singular.py, qr.py and least_squares.py. Vectors are compared up to their sign: none is defined."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_cnn.ops import eigen, least_squares, qr, singular
from tinygrad_cnn.testing.cases import Arg, Case

SMALL = {n: Arg((n, n), low=-0.25, high=0.25) for n in (1, 2, 3)}
STACK = Arg((2, 3, 3), low=-0.25, high=0.25)


def apart(f: Callable[..., Any]) -> Callable[..., Any]:
    """A function of a matrix whose eigenvalues and singular values are about 1, 2, 3."""
    return lambda a, **params: f(a + _spread(a), **params)


def _spread(a: Any) -> NDArray[Any]:
    m, n = a.shape[-2:]
    return np.eye(m, n, dtype=a.dtype) * np.arange(1, n + 1, dtype=a.dtype)


def _eig(a: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Eigenvalues and vectors; those of real matrices are real here, complex numbers from NumPy 2.5 on."""
    w, v = np.linalg.eig(a)
    return (w, v) if a.dtype.kind == "c" else (w.real, v.real)


def _adjoint(a: NDArray[Any]) -> NDArray[Any]:
    return np.conj(np.swapaxes(a, -1, -2))


def _symmetric(a: NDArray[Any]) -> NDArray[Any]:
    return (a + _adjoint(a)) / 2


def _unsigned(v: Any) -> Any:
    """Vectors in columns times the sign of their largest element, which here lies on the diagonal."""
    n = v.shape[-1]
    return v * np.sign(np.eye(n, dtype=v.dtype) * v[..., :n, :]).sum(axis=-2, keepdims=True)


def _values(f: Callable[..., Any]) -> Callable[..., Any]:
    return lambda a, **params: f(a + _spread(a), **params)[0]


def _vectors(f: Callable[..., Any]) -> Callable[..., Any]:
    return lambda a, **params: _unsigned(f(a + _spread(a), **params)[1])


def _sorted(f: Callable[..., Any]) -> Callable[..., Any]:
    """LAPACK fixes no order of the eigenvalues of general matrices."""
    return lambda a: np.sort(f(a + _spread(a)))


def _ordered(v: Any) -> Any:
    """Vectors in columns, ordered by the place of their largest element, which has a positive sign."""
    order = np.argsort(np.argmax(np.abs(v), axis=-2), axis=-1)
    return _unsigned(np.take_along_axis(v, order[..., None, :], axis=-1))


def _rebuilt(f: Callable[..., Any]) -> Callable[..., Any]:
    """u sqrt(s) v^T, which depends on the signs of the vectors together."""

    def call(a: Any, **params: Any) -> Any:
        u, s, vh = f(a + _spread(a), full_matrices=False)
        return (u * np.sqrt(s[..., None, :])) @ vh

    return call


def _sides(f: Callable[..., Any]) -> Callable[..., Any]:
    """The squares of the elements of u and v, weighted."""

    def call(a: Any) -> Any:
        u, s, vh = f(a + _spread(a), full_matrices=False)
        s, v = s[..., None, :], vh.swapaxes(-1, -2)
        return np.concatenate([u * u * s, v * v * s * s], axis=-2)

    return call


def _weighted(decompose: Callable[..., Any]) -> Callable[..., Any]:
    """The matrix of a decomposition with other values."""

    def call(a: NDArray[Any], h: NDArray[Any], **_: Any) -> NDArray[Any]:
        u, _s, vh = decompose(a)
        return np.asarray((u * h[..., None, :]) @ vh)

    return call


def _diagonal(decompose: Callable[..., Any]) -> Callable[..., Any]:
    """What is in place of the values in the same bases."""

    def call(a: NDArray[Any], x: NDArray[Any], **_: Any) -> NDArray[Any]:
        u, _s, vh = decompose(a)
        return np.diagonal(_adjoint(u) @ x @ _adjoint(vh), axis1=-2, axis2=-1)

    return call


def _reduced(a: NDArray[Any]) -> Any:
    return np.linalg.svd(a, full_matrices=False)


def _symmetric_parts(a: NDArray[Any]) -> tuple[NDArray[Any], ...]:
    w, v = np.linalg.eigh(_symmetric(a))
    return v, w, _adjoint(v)


def _first_apart(f: Callable[..., Any]) -> Callable[..., Any]:
    return lambda a, h, **params: f(a + _spread(a), h, **params)


def _lstsq(i: int) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    return lambda f: lambda a, b: f(a + _spread(a), b, rcond=None)[i]


def _packed_svd(a: NDArray[Any]) -> NDArray[Any]:
    u, _, vh = np.linalg.svd(a, full_matrices=False)
    return np.concatenate([u, _adjoint(vh)], axis=-2)


def _packed_qr(a: NDArray[Any]) -> NDArray[Any]:
    return np.concatenate(np.linalg.qr(a), axis=-2)


def _filled(f: Callable[..., Any]) -> Callable[..., Any]:
    """A function of a matrix with no zero below its diagonal, where LAPACK chooses another sign, and Q and R jump."""
    return lambda a, **params: f(a + _spread(a) + np.tri(*a.shape[-2:], -1, dtype=a.dtype), **params)


SHAPES = [Arg(shape, low=-0.25, high=0.25) for shape in ((3, 3), (4, 2), (2, 4), (2, 3, 2))]

CASES = [
    *(
        Case(f, (arg,), g, via=via, order=2)
        for arg in (SMALL[1], SMALL[3], STACK)
        for f, g, via in (
            (eigen.eigvalsh, np.linalg.eigvalsh, apart),
            (eigen.symmetric_values, lambda a: np.linalg.eigvalsh(_symmetric(a)), apart),
            (eigen.symmetric_vectors, lambda a: np.linalg.eigh(_symmetric(a))[1], lambda f: lambda a: _unsigned(apart(f)(a))),
            (eigen.eigh, np.linalg.eigh, _values),
            (eigen.eigh, np.linalg.eigh, _vectors),
        )
    ),
    *(
        Case(f, (arg,), g, via=via, order=2)
        for arg in (SMALL[1], SMALL[2], Arg((2, 2, 2), low=-0.25, high=0.25))
        for f, g, via in (
            (eigen.eigvals, lambda a: _eig(a)[0], _sorted),
            (eigen.general_values, lambda a: _eig(a)[0], _sorted),
            (eigen.general_vectors, lambda a: _eig(a)[1], lambda f: lambda a: _ordered(apart(f)(a))),
            (eigen.eig, _eig, lambda f: lambda a: np.sort(f(a + _spread(a))[0])),
            (eigen.eig, _eig, lambda f: lambda a: _ordered(f(a + _spread(a))[1])),
        )
    ),
    *(
        Case(f, (arg,), g, via=via, order=2)
        for arg in SHAPES
        for f, g, via in (
            (singular.svdvals, lambda a: np.linalg.svd(a, compute_uv=False), apart),
            (singular.singular_values, lambda a: np.linalg.svd(a, compute_uv=False), apart),
            (singular.singular_vectors, _packed_svd, lambda f: lambda a: np.square(apart(f)(a))),
            (singular.svd, np.linalg.svd, _rebuilt),
            (singular.svd, np.linalg.svd, _sides),
            (qr.qr, np.linalg.qr, lambda f: lambda a: _filled(f)(a)[0]),
            (qr.qr, np.linalg.qr, lambda f: lambda a: _filled(f)(a)[1]),
            (least_squares.pinv, np.linalg.pinv, apart),
        )
    ),
    *(
        Case(eigen.symmetric_weighted, (arg, Arg(arg.shape[:-1])), _weighted(_symmetric_parts), via=_first_apart, order=2)
        for arg in (SMALL[1], SMALL[3], STACK)
    ),
    *(
        Case(
            singular.singular_weighted, (arg, Arg((*arg.shape[:-2], min(arg.shape[-2:])))),
            _weighted(_reduced), via=_first_apart, order=2,
        )
        for arg in (SMALL[1], *SHAPES)
    ),
    *(
        Case(eigen.symmetric_diagonal, (arg, arg), _diagonal(_symmetric_parts), via=_first_apart, order=2)
        for arg in (SMALL[1], SMALL[3], STACK)
    ),
    *(
        Case(singular.singular_diagonal, (arg, arg), _diagonal(_reduced), via=_first_apart, order=2)
        for arg in (SMALL[1], *SHAPES)
    ),
    Case(eigen.eigvalsh, (SMALL[3],), np.linalg.eigvalsh, {"UPLO": "U"}, via=apart, order=2),
    Case(eigen.eigh, (SMALL[3],), np.linalg.eigh, {"UPLO": "u"}, via=_vectors, order=2),
    Case(least_squares.pinv, (SMALL[3],), np.linalg.pinv, {"hermitian": True}, via=apart, order=2),
    Case(singular.svd, (SMALL[3],), np.linalg.svd, {"hermitian": True, "compute_uv": False}, via=apart, order=2),
    Case(eigen.symmetric_vectors, (SMALL[1],), lambda a: np.linalg.eigh(a)[1], via=apart, order=2),
    Case(eigen.general_values, (SMALL[1],), lambda a: _eig(a)[0], via=apart, order=2),
    Case(eigen.general_vectors, (SMALL[1],), lambda a: _eig(a)[1], via=apart, order=2),
    Case(singular.singular_vectors, (SMALL[1],), _packed_svd, via=apart, order=2),
    Case(singular.svd, (SMALL[3],), np.linalg.svd, {"compute_uv": False}, via=apart, order=2),
    Case(qr.qr, (SMALL[3],), np.linalg.qr, {"mode": "r"}, via=_filled, order=2),
    *(Case(qr.complete_basis, (arg,), lambda a: np.linalg.qr(a, "complete")[0], order=0) for arg in (SHAPES[1], SHAPES[3])),
    *(Case(qr.qr_packed, (arg,), _packed_qr, via=_filled, order=2) for arg in (SMALL[3], SHAPES[1], SHAPES[3])),
    *(Case(least_squares.pseudoinverse, (arg,), np.linalg.pinv, {"rtol": 1e-15}, via=lambda f: (
        lambda a, rtol: f(a + _spread(a), rtol=rtol)
    ), order=2) for arg in SHAPES),
    Case(
        least_squares.pinv,
        (Arg((3, 1)), Arg((1, 3))),
        np.linalg.pinv,
        {"rcond": 1e-10},
        via=lambda f: lambda a, b, **params: f((a + 3) @ (b + 3), **params),
        order=2,
    ),
    *(
        Case(least_squares.lstsq, (Arg(shape, low=-0.25, high=0.25), Arg(size)), np.linalg.lstsq, via=_lstsq(i), order=2,
             fixed=True)
        for shape, size in (((4, 2), (4,)), ((4, 2), (4, 3)), ((2, 4), (2, 2)), ((3, 3), (3, 3)))
        for i in ((0, 1) if shape[0] > shape[1] else (0,))
    ),
    Case(least_squares.lstsq, (Arg((4, 2), low=-0.25, high=0.25), Arg((4,))), np.linalg.lstsq, via=lambda f: (
        lambda a, b: f(a + _spread(a), b, rcond=None)[3] * b[:2]
    ), order=2, fixed=True),
]  # fmt: skip
