"""Rows for ops/conv.py, against loops that follow the definition."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...ops import conv as ops
from ..cases import Arg, Case


def naive(
    x: NDArray[Any], w: NDArray[Any], b: NDArray[Any] | None, *, stride: Any, padding: Any, dilation: Any, groups: int
) -> NDArray[Any]:
    """The convolution by its definition: one output element at a time."""
    x = np.pad(x, ((0, 0), (0, 0), *padding))
    kernel = w.shape[2:]
    reach = [d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True)]
    out = [(n - r) // s + 1 for n, r, s in zip(x.shape[2:], reach, stride, strict=True)]
    y = np.zeros((x.shape[0], w.shape[0], *out))
    c, o = w.shape[1], w.shape[0] // groups
    for place in product(*map(range, out)):
        window: Any = tuple(
            slice(p * s, p * s + r, d) for p, s, r, d in zip(place, stride, reach, dilation, strict=True)
        )
        for f in range(w.shape[0]):
            channels = slice(f // o * c, f // o * c + c)
            at: Any = (slice(None), f, *place)
            y[at] = (x[(slice(None), channels, *window)] * w[f]).reshape(len(x), -1).sum(1)
    return y if b is None else y + b.reshape(-1, *(1 for _ in out))


def _pairs(value: Any) -> Any:
    return value if isinstance(value, tuple) else (value, value)


def naive_conv2d(
    x: NDArray[Any], w: NDArray[Any], b: NDArray[Any] | None = None, stride: Any = 1, padding: Any = 0,
    dilation: Any = 1, groups: int = 1,
) -> NDArray[Any]:  # fmt: skip
    """:func:`naive` with conv2d's arguments."""
    pairs = tuple((p, p) for p in _pairs(padding))
    return naive(x, w, b, stride=_pairs(stride), padding=pairs, dilation=_pairs(dilation), groups=groups)


GEOMETRIES: list[tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = [
    ((2, 3, 5, 4), (2, 3, 3, 2), {}),
    ((1, 2, 5, 5), (2, 2, 3, 3), {"stride": 2, "padding": 1}),
    ((2, 4, 5, 6), (4, 2, 2, 3), {"stride": (2, 1), "padding": (0, 2), "dilation": (1, 2), "groups": 2}),
    ((1, 3, 4, 4), (6, 1, 3, 3), {"padding": 1, "groups": 3}),
    ((2, 3, 4, 3), (2, 3, 1, 1), {}),
    ((1, 1, 6, 6), (1, 1, 2, 2), {"stride": 3}),
    ((1, 1, 7, 5), (2, 1, 3, 2), {"dilation": (3, 2)}),
]


def _inner(g: dict[str, Any]) -> dict[str, Any]:
    pad = _pairs(g.get("padding", 0))
    return {
        "stride": _pairs(g.get("stride", 1)),
        "padding": tuple((p, p) for p in pad),
        "dilation": _pairs(g.get("dilation", 1)),
        "groups": g.get("groups", 1),
    }


def _out(x: tuple[int, ...], w: tuple[int, ...], g: dict[str, Any]) -> tuple[int, ...]:
    return naive_conv2d(np.zeros(x), np.zeros(w), **g).shape


def _adjoint(y: Any, at: tuple[int, ...], u: NDArray[Any]) -> NDArray[Any]:
    """The adjoint of a linear function of an array of shape `at`, applied to u, one basis array at a time."""
    basis = np.eye(int(np.prod(at))).reshape(-1, *at)
    return np.array([np.vdot(y(e), u) for e in basis]).reshape(at)


def _naive_dx(u: NDArray[Any], w: NDArray[Any], *, shape: Any, **inner: Any) -> NDArray[Any]:
    return _adjoint(lambda x: naive(x, w, None, **inner), shape, u)


def _naive_dw(x: NDArray[Any], u: NDArray[Any], *, shape: Any, **inner: Any) -> NDArray[Any]:
    return _adjoint(lambda w: naive(x, w, None, **inner), shape, u)


CASES = [
    *(Case(ops.conv2d, (Arg(x), Arg(w), Arg((w[0],))), naive_conv2d, g) for x, w, g in GEOMETRIES),
    *(Case(ops.conv2d, (Arg(x), Arg(w)), naive_conv2d, g) for x, w, g in GEOMETRIES[:2]),
    *(Case(ops.convolve, (Arg(x), Arg(w), Arg((w[0],))), naive, _inner(g)) for x, w, g in GEOMETRIES[1:4]),
    *(
        Case(ops.convolve_dx, (Arg(_out(x, w, g)), Arg(w)), _naive_dx, {"shape": x, **_inner(g)})
        for x, w, g in GEOMETRIES
    ),
    *(
        Case(ops.convolve_dw, (Arg(x), Arg(_out(x, w, g))), _naive_dw, {"shape": w, **_inner(g)})
        for x, w, g in GEOMETRIES
    ),
]
