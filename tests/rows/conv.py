"""Rows for ops/conv.py, against loops that follow the definition."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_cnn.ops import conv as ops
from tinygrad_cnn.ops import conv_transpose
from tinygrad_cnn.testing.cases import Arg, Case


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
            y[at] = (x[(slice(None), channels, *window)] * w[f]).sum(tuple(range(1, x.ndim)))
    return y if b is None else y + b.reshape(-1, *(1 for _ in out))


def _each(value: Any, ndim: int) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, tuple) else (value,) * ndim


def naive_conv(
    x: NDArray[Any], w: NDArray[Any], b: NDArray[Any] | None = None, stride: Any = 1, padding: Any = 0,
    dilation: Any = 1, groups: int = 1,
) -> NDArray[Any]:  # fmt: skip
    """:func:`naive` with the arguments of conv1d, conv2d and conv3d."""
    ndim = x.ndim - 2
    dilation = _each(dilation, ndim)
    if padding == "same":
        totals = [d * (k - 1) for d, k in zip(dilation, w.shape[2:], strict=True)]
        pairs = tuple((t // 2, t - t // 2) for t in totals)
    else:
        pairs = tuple((p, p) for p in _each(0 if padding == "valid" else padding, ndim))
    return naive(x, w, b, stride=_each(stride, ndim), padding=pairs, dilation=dilation, groups=groups)


def naive_transpose(
    x: NDArray[Any], w: NDArray[Any], b: NDArray[Any] | None = None, stride: Any = 1, padding: Any = 0,
    output_padding: Any = 0, groups: int = 1, dilation: Any = 1,
) -> NDArray[Any]:  # fmt: skip
    """The transposed convolution by its definition: every element of x adds a multiple of the filter."""
    ndim = x.ndim - 2
    s, p, extra, d = (_each(v, ndim) for v in (stride, padding, output_padding, dilation))
    sizes = [
        (n - 1) * a + c * (k - 1) + 1 + e for n, a, k, c, e in zip(x.shape[2:], s, w.shape[2:], d, extra, strict=True)
    ]
    y = np.zeros((x.shape[0], w.shape[1] * groups, *sizes))
    share, o = w.shape[0] // groups, w.shape[1]
    for c in range(w.shape[0]):
        filters = slice(c // share * o, c // share * o + o)
        for place in np.ndindex(*x.shape[2:]):
            window: Any = tuple(
                slice(i * a, i * a + e * (k - 1) + 1, e) for i, a, e, k in zip(place, s, d, w.shape[2:], strict=True)
            )
            at: Any = (slice(None), c, *place)
            y[(slice(None), filters, *window)] += x[at].reshape(-1, *(1,) * (ndim + 1)) * w[c]
    inside: Any = (..., *(slice(q, n - q) for q, n in zip(p, sizes, strict=True)))
    y = np.asarray(y[inside])
    return y if b is None else y + b.reshape(-1, *(1,) * ndim)


def naive_columns(x: NDArray[Any], *, kernel: Any, stride: Any, padding: Any, dilation: Any) -> NDArray[Any]:
    """Every window by a convolution with a filter that is one at one element and zero elsewhere."""
    n, c = x.shape[:2]
    parts = []
    for k in np.ndindex(*kernel):
        w = np.zeros((c, 1, *kernel))
        w[(slice(None), 0, *k)] = 1
        parts.append(naive(x, w, None, stride=stride, padding=padding, dilation=dilation, groups=c))
    return np.stack(parts, 2).reshape(n, c, *kernel, *parts[0].shape[2:])


def naive_unfold(
    x: NDArray[Any], kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1
) -> NDArray[Any]:
    """:func:`naive_columns` with unfold's arguments and layout."""
    kernel, pairs = _each(kernel_size, 2), tuple((p, p) for p in _each(padding, 2))
    y = naive_columns(x, kernel=kernel, stride=_each(stride, 2), padding=pairs, dilation=_each(dilation, 2))
    return y.reshape(len(x), x.shape[1] * int(np.prod(kernel)), -1)


GEOMETRIES: list[tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = [
    ((2, 3, 5, 4), (2, 3, 3, 2), {}),
    ((1, 2, 5, 5), (2, 2, 3, 3), {"stride": 2, "padding": 1}),
    ((2, 4, 5, 6), (4, 2, 2, 3), {"stride": (2, 1), "padding": (0, 2), "dilation": (1, 2), "groups": 2}),
    ((1, 3, 4, 4), (6, 1, 3, 3), {"padding": 1, "groups": 3}),
    ((2, 3, 4, 3), (2, 3, 1, 1), {}),
    ((1, 1, 6, 6), (1, 1, 2, 2), {"stride": 3}),
    ((1, 1, 7, 5), (2, 1, 3, 2), {"dilation": (3, 2)}),
    ((3, 3, 3, 3), (3, 3, 3, 3), {"padding": 1}),
]


def _inner(g: dict[str, Any]) -> dict[str, Any]:
    return {
        "stride": _each(g.get("stride", 1), 2),
        "padding": tuple((p, p) for p in _each(g.get("padding", 0), 2)),
        "dilation": _each(g.get("dilation", 1), 2),
        "groups": g.get("groups", 1),
    }


def _out(x: tuple[int, ...], w: tuple[int, ...], g: dict[str, Any]) -> tuple[int, ...]:
    return naive_conv(np.zeros(x), np.zeros(w), **g).shape


def _adjoint(y: Any, at: tuple[int, ...], u: NDArray[Any]) -> NDArray[Any]:
    """The adjoint of a linear function of an array of shape `at`, applied to u, one basis array at a time."""
    basis = np.eye(int(np.prod(at))).reshape(-1, *at)
    return np.array([np.vdot(y(e), u) for e in basis]).reshape(at)


def _naive_dx(u: NDArray[Any], w: NDArray[Any], *, shape: Any, **inner: Any) -> NDArray[Any]:
    return _adjoint(lambda x: naive(x, w, None, **inner), shape, u)


def _naive_dw(x: NDArray[Any], u: NDArray[Any], *, shape: Any, **inner: Any) -> NDArray[Any]:
    return _adjoint(lambda w: naive(x, w, None, **inner), shape, u)


def _naive_fold(x: NDArray[Any], output_size: Any, **kwargs: Any) -> NDArray[Any]:
    c = x.shape[1] // int(np.prod(_each(kwargs["kernel_size"], 2)))
    return _adjoint(lambda image: naive_unfold(image, **kwargs), (x.shape[0], c, *_each(output_size, 2)), x)


def _naive_add_columns(u: NDArray[Any], *, shape: Any, **inner: Any) -> NDArray[Any]:
    return _adjoint(lambda x: naive_columns(x, kernel=u.shape[2:4], **inner), shape, u)


WINDOW = {"stride": (2, 1), "padding": ((1, 1), (0, 0)), "dilation": (1, 2)}

CASES = [
    *(Case(ops.conv2d, (Arg(x), Arg(w), Arg((w[0],))), naive_conv, g) for x, w, g in GEOMETRIES),
    *(Case(ops.conv2d, (Arg(x), Arg(w)), naive_conv, g) for x, w, g in GEOMETRIES[:2]),
    *(Case(ops.convolve, (Arg(x), Arg(w), Arg((w[0],))), naive, _inner(g)) for x, w, g in GEOMETRIES[1:4]),
    *(
        Case(ops.convolve_dx, (Arg(_out(x, w, g)), Arg(w)), _naive_dx, {"shape": x, **_inner(g)}, fixed=True)
        for x, w, g in GEOMETRIES
    ),
    *(
        Case(ops.convolve_dw, (Arg(x), Arg(_out(x, w, g))), _naive_dw, {"shape": w, **_inner(g)}, fixed=True)
        for x, w, g in GEOMETRIES
    ),
    Case(ops.conv1d, (Arg((2, 2, 6)), Arg((2, 1, 3)), Arg((2,))), naive_conv, {"stride": 2, "padding": 1, "groups": 2}),
    Case(ops.conv3d, (Arg((1, 1, 3, 3, 2)), Arg((2, 1, 2, 2, 1))), naive_conv, {"padding": "same"}),
    Case(conv_transpose.conv_transpose1d, (Arg((2, 2, 3)), Arg((2, 1, 3)), Arg((1,))), naive_transpose, {"stride": 2}),
    Case(
        conv_transpose.conv_transpose2d,
        (Arg((1, 4, 2, 3)), Arg((4, 1, 3, 2)), Arg((2,))),
        naive_transpose,
        {"stride": (2, 3), "padding": (1, 0), "output_padding": (1, 2), "groups": 2},
    ),
    Case(
        conv_transpose.conv_transpose2d,
        (Arg((1, 1, 3, 2)), Arg((1, 2, 2, 3))),
        naive_transpose,
        {"dilation": 2, "padding": 1, "output_padding": 1},
    ),
    Case(conv_transpose.conv_transpose3d, (Arg((1, 1, 2, 1, 2)), Arg((1, 2, 2, 2, 1))), naive_transpose, {"stride": 2}),
    Case(ops.unfold, (Arg((1, 2, 4, 3)),), naive_unfold, {"kernel_size": (3, 2), "padding": (1, 0), "stride": (2, 1)}),
    Case(ops.fold, (Arg((1, 4, 6)),), _naive_fold, {"output_size": (3, 4), "kernel_size": 2}),
    Case(ops.fold, (Arg((1, 4, 4)),), _naive_fold, {"output_size": (3, 3), "kernel_size": 2}),
    Case(ops.columns, (Arg((1, 2, 4, 3)),), naive_columns, {"kernel": (3, 2), **WINDOW}),
    Case(
        ops.add_columns, (Arg((1, 1, 3, 2, 2, 1)),), _naive_add_columns, {"shape": (1, 1, 4, 3), **WINDOW}, fixed=True
    ),
    Case(
        ops.add_columns,
        (Arg((1, 1, 2, 2, 2, 2)),),
        _naive_add_columns,
        {"shape": (1, 1, 3, 3), "stride": (1, 1), "padding": ((0, 0), (0, 0)), "dilation": (1, 1)},
        fixed=True,
    ),
]
