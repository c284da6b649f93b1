"""Convolution in any number of spatial dimensions, by columns and matrix products.

With G groups, C = G c input and O = G o output channels, columns lay every window out as a row, so that

    y = columns(x) w^T,    dw = u^T columns(x),    dx = scatter(u w).

Columns are laid out (G, N, *out, c, *kernel) and y comes back as an (N, O, *out) view of memory in (N, *out, O) order,
which elementwise ops keep: behind a convolution, a network runs channels-last without being told.
"""

from __future__ import annotations

import numpy as np

from .window import Pairs, Sizes, add_windows, interior, output_sizes, pad_last, volume, windows


def _columns(
    x: np.ndarray, kernel: Sizes, stride: Sizes, padding: Pairs, dilation: Sizes, groups: int
) -> tuple[np.ndarray, Sizes]:
    n, c = x.shape[:2]
    out = output_sizes(x.shape[2:], kernel, stride, padding, dilation)
    d = len(kernel)
    view = windows(pad_last(x, padding), kernel, out, stride, dilation)  # (N, C, *out, *kernel)
    view = view.reshape(n, groups, c // groups, *out, *kernel)  # splitting an axis keeps a view
    order = (1, 0, *range(3, 3 + d), 2, *range(3 + d, 3 + 2 * d))  # (G, N, *out, c, *kernel)
    return view.transpose(order).reshape(groups, n * volume(out), (c // groups) * volume(kernel)), out


def _filters(w: np.ndarray, groups: int) -> np.ndarray:
    """w (O, c, *kernel) as matrices (G, o, c k)."""
    return w.reshape(groups, w.shape[0] // groups, volume(w.shape[1:]))


def _rows(u: np.ndarray, groups: int) -> np.ndarray:
    """u (N, O, *out) as matrices (G, N out, o)."""
    n, o = u.shape[:2]
    last = u.transpose(0, *range(2, u.ndim), 1)  # (N, *out, O)
    return last.reshape(n * volume(u.shape[2:]), groups, o // groups).transpose(1, 0, 2)


def forward(
    x: np.ndarray, w: np.ndarray, b: np.ndarray | None, stride: Sizes, padding: Pairs, dilation: Sizes, groups: int
) -> np.ndarray:
    """y[n, o, p] = b[o] + sum over c, k of x[n, c, p stride + k dilation - padding] w[o, c, k]."""
    columns, out = _columns(x, w.shape[2:], stride, padding, dilation, groups)
    product = columns @ _filters(w, groups).transpose(0, 2, 1)  # (G, N out, o)
    y = product.transpose(1, 0, 2).reshape(x.shape[0], *out, w.shape[0])  # a view for one group
    if b is not None:
        y = np.add(y, b, out=y if np.result_type(y, b) == y.dtype else None)
    return np.moveaxis(y, -1, 1)


def input_gradient(
    u: np.ndarray, w: np.ndarray, sizes: Sizes, stride: Sizes, padding: Pairs, dilation: Sizes, groups: int
) -> np.ndarray:
    """The adjoint of the convolution in x: u (N, O, *out) to an array (N, C, *sizes)."""
    n, out, kernel = u.shape[0], u.shape[2:], w.shape[2:]
    c, d = w.shape[1], len(kernel)
    columns = _rows(u, groups) @ _filters(w, groups)  # (G, N out, c k)
    columns = columns.reshape(groups, n, *out, c, *kernel)
    values = columns.transpose(1, 0, 2 + d, *range(2, 2 + d), *range(3 + d, 3 + 2 * d))  # (N, G, c, *out, *kernel)
    padded = [size + before + after for size, (before, after) in zip(sizes, padding, strict=True)]
    x = np.moveaxis(np.zeros((n, groups, *padded, c), columns.dtype), -1, 2)  # (N, G, c, *padded), channels last
    add_windows(x, values, stride, dilation)
    inside: np.ndarray = x[interior(sizes, padding)]
    return inside.reshape(n, groups * c, *sizes)


def weight_gradient(
    x: np.ndarray, u: np.ndarray, kernel: Sizes, stride: Sizes, padding: Pairs, dilation: Sizes, groups: int
) -> np.ndarray:
    """The adjoint of the convolution in w: x (N, C, *sizes) and u (N, O, *out) to an array (O, C / groups, *kernel)."""
    columns, _ = _columns(x, kernel, stride, padding, dilation, groups)
    product: np.ndarray = _rows(u, groups).transpose(0, 2, 1) @ columns  # (G, o, c k)
    return product.reshape(u.shape[1], x.shape[1] // groups, *kernel)
