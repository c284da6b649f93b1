"""The transforms of Winograd's convolutions with 3 x 3 filters: F(2 x 2) on tiles of 4 x 4 pixels, F(4 x 4) on tiles of 6 x 6.

A product of polynomials is computed at some points and at infinity. For outputs m x m, with t = m + 2 and the t x 3, t x t and
m x t matrices G, B^T and A^T, which act on rows and columns,

    y = A^T [(G w G^T) . (B^T d B)] A

for each tile d of t x t pixels: t^2 products for m^2 outputs, where the definition has 9 m^2. Over channels and tiles, these
are t^2 products of matrices. The adjoint in w is G^T [the sum over tiles of (A u A^T) . (B^T d B)] G.

F(2 x 2) takes the points 0, 1 and -1, F(4 x 4) the points 0, a, -a, b and -b with a = 5/8 and b = 3/2, whose powers are exact
in float32. The error is then half of what it is with the usual points 1 and 2.

Images are channels-last, and sixteen channels are a vector. A row of tiles is transformed along columns into scratch, sixteen
channels at a time, and from there along rows. In shapes: n images H x W, C channels of x, O of y, t^2 points.

References: Lavin and Gray, "Fast algorithms for convolutional neural networks", arXiv:1509.09308; Barabasz et al., "Error
analysis and improving the accuracy of Winograd convolution for deep neural networks", arXiv:1803.10986.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .compiled import helper, loop
from .vectors import LANES, load, nothing, store

Array = np.ndarray
Vector = Any

A1, B1 = np.float32(5 / 8), np.float32(3 / 2)
A2, B2 = A1 * A1, B1 * B1
A3, B3 = A1 * A2, B1 * B2
BOTH, SUM = A2 * B2, A2 + B2
AT_0, AT_A, AT_B = np.float32(1 / BOTH), np.float32(0.5 / (A2 * (A2 - B2))), np.float32(0.5 / (B2 * (B2 - A2)))
"""What G divides by, at the points 0, a and b: the products of the distances to the other points."""

HALF, MINUS = np.float32(0.5), np.float32(-1)


# Along one axis, from and to vectors. Points are in the order 0, a, -a, b, -b, infinity.


@helper
def _pixels_4(d0: Vector, d1: Vector, d2: Vector, d3: Vector, d4: Vector, d5: Vector) -> Any:
    """B^T d."""
    p, q = d4 - d2 * B2, (d3 - d1 * B2) * A1
    r, s = d4 - d2 * A2, (d3 - d1 * A2) * B1
    return d0 * BOTH + (d4 - d2 * SUM), p + q, p - q, r + s, r - s, d1 * BOTH + (d5 - d3 * SUM)


@helper
def _pixels_2(d0: Vector, d1: Vector, d2: Vector, d3: Vector) -> Any:
    return d0 - d2, d1 + d2, d2 - d1, d3 - d1


@helper
def _outputs_4(m0: Vector, m1: Vector, m2: Vector, m3: Vector, m4: Vector, m5: Vector) -> Any:
    """A^T m."""
    p, q, r, s = m1 + m2, m1 - m2, m3 + m4, m3 - m4
    return m0 + p + r, q * A1 + s * B1, p * A2 + r * B2, q * A3 + s * B3 + m5


@helper
def _outputs_2(m0: Vector, m1: Vector, m2: Vector, m3: Vector) -> Any:
    return m0 + m1 + m2, m1 - m2 + m3


@helper
def _pulled_4(u0: Vector, u1: Vector, u2: Vector, u3: Vector) -> Any:
    """A u."""
    p, q = u0 + u2 * A2, (u1 + u3 * A2) * A1
    r, s = u0 + u2 * B2, (u1 + u3 * B2) * B1
    return u0, p + q, p - q, r + s, r - s, u3


@helper
def _pulled_2(u0: Vector, u1: Vector) -> Any:
    return u0, u0 + u1, u0 - u1, u1


@helper
def _filter_4(w0: Vector, w1: Vector, w2: Vector) -> Any:
    """G w."""
    p, q, r, s = (w0 + w2 * A2) * AT_A, w1 * (A1 * AT_A), (w0 + w2 * B2) * AT_B, w1 * (B1 * AT_B)
    return w0 * AT_0, p + q, p - q, r + s, r - s, w2


@helper
def _filter_2(w0: Vector, w1: Vector, w2: Vector) -> Any:
    p = (w0 + w2) * HALF
    q = w1 * HALF
    return w0, p + q, p - q, w2


@helper
def _summed_4(d0: Vector, d1: Vector, d2: Vector, d3: Vector, d4: Vector, d5: Vector) -> Any:
    """G^T d."""
    p, q, r, s = (d1 + d2) * AT_A, (d1 - d2) * AT_A, (d3 + d4) * AT_B, (d3 - d4) * AT_B
    return d0 * AT_0 + p + r, q * A1 + s * B1, p * A2 + r * B2 + d5


@helper
def _summed_2(d0: Vector, d1: Vector, d2: Vector, d3: Vector) -> Any:
    p = (d1 + d2) * HALF
    return d0 + p, (d1 - d2) * HALF, p + d3


# Memory


@helper
def _load_4(a: Array, i: int, step: int) -> Any:
    return load(a, i), load(a, i + step), load(a, i + 2 * step), load(a, i + 3 * step)


@helper
def _load_6(a: Array, i: int, step: int) -> Any:
    return (
        load(a, i), load(a, i + step), load(a, i + 2 * step), load(a, i + 3 * step), load(a, i + 4 * step),
        load(a, i + 5 * step),
    )  # fmt: skip


@helper
def _store_4(a: Array, i: int, step: int, v: Any) -> None:
    store(a, i, v[0])
    store(a, i + step, v[1])
    store(a, i + 2 * step, v[2])
    store(a, i + 3 * step, v[3])


@helper
def _store_6(a: Array, i: int, step: int, v: Any) -> None:
    store(a, i, v[0])
    store(a, i + step, v[1])
    store(a, i + 2 * step, v[2])
    store(a, i + 3 * step, v[3])
    store(a, i + 4 * step, v[4])
    store(a, i + 5 * step, v[5])


@helper
def _rows_4(a: Array, i: int, down: int, row: int, rows: int) -> Any:
    """Sixteen channels of the pixels in four rows from `row` on, the first at a[i], or zeros outside of the image."""
    if row >= 0 and row + 4 <= rows:
        return _load_4(a, i, down)
    d0 = d1 = d2 = d3 = nothing()
    if 0 <= row < rows:
        d0 = load(a, i)
    if 0 <= row + 1 < rows:
        d1 = load(a, i + down)
    if 0 <= row + 2 < rows:
        d2 = load(a, i + 2 * down)
    if 0 <= row + 3 < rows:
        d3 = load(a, i + 3 * down)
    return d0, d1, d2, d3


@helper
def _rows_6(a: Array, i: int, down: int, row: int, rows: int) -> Any:
    if row >= 0 and row + 6 <= rows:
        return _load_6(a, i, down)
    d0, d1, d2, d3 = _rows_4(a, i, down, row, rows)
    d4 = d5 = nothing()
    if 0 <= row + 4 < rows:
        d4 = load(a, i + 4 * down)
    if 0 <= row + 5 < rows:
        d5 = load(a, i + 5 * down)
    return d0, d1, d2, d3, d4, d5


@loop
def pixels_4(
    x: Array, v: Array, line: Array, step: int, rows: int, columns: int, top: int, left: int, first: int
) -> None:
    """v[36 points, tile, C] = B^T d B for the tiles of rows `first` on of images x (n, H, W, C), with `rows` rows of `columns`
    tiles, and `step` numbers from point to point. `line` is scratch."""
    height, width, channels = x.shape[1], x.shape[2], x.shape[3]
    flat, pitch = x.reshape(-1), 4 * columns + 2
    n = rows * x.shape[0]
    for r in range(n):
        i, y = r // rows, 4 * (first + r % rows) - top
        for c in range(0, channels, LANES):
            for column in range(pitch):
                at = ((i * height + y) * width + column - left) * channels + c
                if 0 <= column - left < width:
                    d = _rows_6(flat, at, width * channels, y, height)
                    _store_6(line, column * LANES, pitch * LANES, _pixels_4(d[0], d[1], d[2], d[3], d[4], d[5]))
                else:
                    z = nothing()
                    _store_6(line, column * LANES, pitch * LANES, (z, z, z, z, z, z))
            for k in range(6):
                for column in range(columns):
                    d = _load_6(line, (k * pitch + 4 * column) * LANES, LANES)
                    tile = (r * columns + column) * channels + c
                    _store_6(v, 6 * k * step + tile, step, _pixels_4(d[0], d[1], d[2], d[3], d[4], d[5]))


@loop
def pixels_2(
    x: Array, v: Array, line: Array, step: int, rows: int, columns: int, top: int, left: int, first: int
) -> None:
    """The same for F(2 x 2)."""
    height, width, channels = x.shape[1], x.shape[2], x.shape[3]
    flat, pitch = x.reshape(-1), 2 * columns + 2
    n = rows * x.shape[0]
    for r in range(n):
        i, y = r // rows, 2 * (first + r % rows) - top
        for c in range(0, channels, LANES):
            for column in range(pitch):
                at = ((i * height + y) * width + column - left) * channels + c
                if 0 <= column - left < width:
                    d = _rows_4(flat, at, width * channels, y, height)
                    _store_4(line, column * LANES, pitch * LANES, _pixels_2(d[0], d[1], d[2], d[3]))
                else:
                    z = nothing()
                    _store_4(line, column * LANES, pitch * LANES, (z, z, z, z))
            for k in range(4):
                for column in range(columns):
                    d = _load_4(line, (k * pitch + 2 * column) * LANES, LANES)
                    tile = (r * columns + column) * channels + c
                    _store_4(v, 4 * k * step + tile, step, _pixels_2(d[0], d[1], d[2], d[3]))


@helper
def _terms_4(a: Array, i: int, step: int, terms: int, apart: int) -> Any:
    """The sums of the terms at four points, `apart` numbers from term to term."""
    d0, d1, d2, d3 = _load_4(a, i, step)
    for term in range(1, terms):
        e = _load_4(a, i + term * apart, step)
        d0, d1, d2, d3 = d0 + e[0], d1 + e[1], d2 + e[2], d3 + e[3]
    return d0, d1, d2, d3


@helper
def _terms_6(a: Array, i: int, step: int, terms: int, apart: int) -> Any:
    d0, d1, d2, d3, d4, d5 = _load_6(a, i, step)
    for term in range(1, terms):
        e = _load_6(a, i + term * apart, step)
        d0, d1, d2, d3, d4, d5 = d0 + e[0], d1 + e[1], d2 + e[2], d3 + e[3], d4 + e[4], d5 + e[5]
    return d0, d1, d2, d3, d4, d5


@loop
def outputs_4(
    m: Array, y: Array, b: Array, line: Array, step: int, terms: int, rows: int, columns: int, first: int, stop: int
) -> float:
    """y = b + A^T m A: for images y (n, H, W, O), of which rows from 4 `first` to `stop` are filled, from m[36 points, terms,
    tile, O]. The result is a NaN if y has numbers that are not finite, else 0."""
    height, width, channels = y.shape[1], y.shape[2], y.shape[3]
    flat = y.reshape(-1)
    bad = nothing()
    n = rows * y.shape[0]
    apart = n * columns * channels
    for r in range(n):
        i, above = r // rows, 4 * (first + r % rows)
        for column in range(columns):
            for c in range(0, channels, LANES):
                tile = (r * columns + column) * channels + c
                for k in range(6):
                    d = _terms_6(m, 6 * k * step + tile, step, terms, apart)
                    _store_4(line, k * 4 * LANES, LANES, _outputs_4(d[0], d[1], d[2], d[3], d[4], d[5]))
                shift = load(b, c)
                for j in range(min(4, width - 4 * column)):
                    d = _load_6(line, j * LANES, 4 * LANES)
                    out = _outputs_4(d[0], d[1], d[2], d[3], d[4], d[5])
                    at, down = ((i * height + above) * width + 4 * column + j) * channels + c, width * channels
                    bad = _put(flat, at, out[0] + shift, bad)
                    if above + 1 < stop:
                        bad = _put(flat, at + down, out[1] + shift, bad)
                    if above + 2 < stop:
                        bad = _put(flat, at + 2 * down, out[2] + shift, bad)
                    if above + 3 < stop:
                        bad = _put(flat, at + 3 * down, out[3] + shift, bad)
    store(line, 0, bad)
    return float(line[:LANES].sum())


@loop
def outputs_2(
    m: Array, y: Array, b: Array, line: Array, step: int, terms: int, rows: int, columns: int, first: int, stop: int
) -> float:
    """The same for F(2 x 2)."""
    height, width, channels = y.shape[1], y.shape[2], y.shape[3]
    flat = y.reshape(-1)
    bad = nothing()
    n = rows * y.shape[0]
    apart = n * columns * channels
    for r in range(n):
        i, above = r // rows, 2 * (first + r % rows)
        for column in range(columns):
            for c in range(0, channels, LANES):
                tile = (r * columns + column) * channels + c
                for k in range(4):
                    d = _terms_4(m, 4 * k * step + tile, step, terms, apart)
                    out = _outputs_2(d[0], d[1], d[2], d[3])
                    store(line, k * 2 * LANES, out[0])
                    store(line, (k * 2 + 1) * LANES, out[1])
                shift = load(b, c)
                for j in range(min(2, width - 2 * column)):
                    d = _load_4(line, j * LANES, 2 * LANES)
                    out = _outputs_2(d[0], d[1], d[2], d[3])
                    at = ((i * height + above) * width + 2 * column + j) * channels + c
                    bad = _put(flat, at, out[0] + shift, bad)
                    if above + 1 < stop:
                        bad = _put(flat, at + width * channels, out[1] + shift, bad)
    store(line, 0, bad)
    return float(line[:LANES].sum())


@helper
def _put(flat: Array, at: int, v: Vector, bad: Vector) -> Vector:
    """Store a vector; `bad` is a NaN from then on where it is not finite."""
    store(flat, at, v)
    return bad + (v - v)


@loop
def pulled_4(u: Array, z: Array, line: Array, step: int, rows: int, columns: int, first: int) -> None:
    """z[36 points, tile, O] = A u A^T for tiles of 4 x 4 pixels of u (n, H, W, O), from row `first` of tiles on."""
    height, width, channels = u.shape[1], u.shape[2], u.shape[3]
    flat, down = u.reshape(-1), u.shape[2] * u.shape[3]
    n = rows * u.shape[0]
    for r in range(n):
        i, above = r // rows, 4 * (first + r % rows)
        for column in range(columns):
            for c in range(0, channels, LANES):
                for j in range(4):
                    if 4 * column + j < width:
                        at = ((i * height + above) * width + 4 * column + j) * channels + c
                        u0, u1, u2, u3 = _rows_4(flat, at, down, above, height)
                        _store_6(line, j * LANES, 4 * LANES, _pulled_4(u0, u1, u2, u3))
                    else:
                        e = nothing()
                        _store_6(line, j * LANES, 4 * LANES, (e, e, e, e, e, e))
                for k in range(6):
                    u0, u1, u2, u3 = _load_4(line, k * 4 * LANES, LANES)
                    tile = (r * columns + column) * channels + c
                    _store_6(z, 6 * k * step + tile, step, _pulled_4(u0, u1, u2, u3))


@loop
def pulled_2(u: Array, z: Array, line: Array, step: int, rows: int, columns: int, first: int) -> None:
    """The same for F(2 x 2)."""
    height, width, channels = u.shape[1], u.shape[2], u.shape[3]
    flat, down = u.reshape(-1), u.shape[2] * u.shape[3]
    n = rows * u.shape[0]
    for r in range(n):
        i, above = r // rows, 2 * (first + r % rows)
        for column in range(columns):
            for c in range(0, channels, LANES):
                for j in range(2):
                    if 2 * column + j < width:
                        at = ((i * height + above) * width + 2 * column + j) * channels + c
                        u1 = nothing()
                        if above + 1 < height:
                            u1 = load(flat, at + down)
                        _store_4(line, j * LANES, 2 * LANES, _pulled_2(load(flat, at), u1))
                    else:
                        e = nothing()
                        _store_4(line, j * LANES, 2 * LANES, (e, e, e, e))
                for k in range(4):
                    tile = (r * columns + column) * channels + c
                    u0, u1 = load(line, k * 2 * LANES), load(line, (k * 2 + 1) * LANES)
                    _store_4(z, 4 * k * step + tile, step, _pulled_2(u0, u1))


@loop
def filters_4(w: Array, g: Array, line: Array, step: int, shape: Any, down: int, across: int, flipped: bool) -> None:
    """g[36 points, terms, pieces, deep, wide] = G w G^T, with `step` numbers from point to point and `shape` the other four,
    for filters from `terms deep` channels to `pieces wide` channels, which are `down` and `across` numbers apart in w. Their
    elements are taken from the last to the first if `flipped`."""
    terms, pieces, deep, wide = shape
    source = w.reshape(-1)
    for n in range(0, pieces * wide, LANES):
        for c in range(terms * deep):
            _elements(source, line, c * down + n * across, across, flipped)
            for j in range(3):
                d = _filter_4(load(line, j * LANES), load(line, (3 + j) * LANES), load(line, (6 + j) * LANES))
                _store_6(line, (9 + j) * LANES, 3 * LANES, d)
            at = ((c // deep * pieces + n // wide) * deep + c % deep) * wide + n % wide
            for i in range(6):
                j = (9 + 3 * i) * LANES
                d = _filter_4(load(line, j), load(line, j + LANES), load(line, j + 2 * LANES))
                _store_6(g, 6 * i * step + at, step, d)


@loop
def filters_2(w: Array, g: Array, line: Array, step: int, shape: Any, down: int, across: int, flipped: bool) -> None:
    """The same for F(2 x 2)."""
    terms, pieces, deep, wide = shape
    source = w.reshape(-1)
    for n in range(0, pieces * wide, LANES):
        for c in range(terms * deep):
            _elements(source, line, c * down + n * across, across, flipped)
            for j in range(3):
                d = _filter_2(load(line, j * LANES), load(line, (3 + j) * LANES), load(line, (6 + j) * LANES))
                _store_4(line, (9 + j) * LANES, 3 * LANES, d)
            at = ((c // deep * pieces + n // wide) * deep + c % deep) * wide + n % wide
            for i in range(4):
                j = (9 + 3 * i) * LANES
                d = _filter_2(load(line, j), load(line, j + LANES), load(line, j + 2 * LANES))
                _store_4(g, 4 * i * step + at, step, d)


@helper
def _elements(source: Array, line: Array, at: int, across: int, flipped: bool) -> None:
    """line[e, i] = element e of filter i, of sixteen that are `across` numbers apart."""
    for i in range(LANES):
        for e in range(9):
            line[e * LANES + i] = source[at + i * across + (8 - e if flipped else e)]


@loop
def correlations_4(d: Array, w: Array, line: Array, step: int, shape: Any) -> float:
    """w[O, C, 3, 3] = G^T (the sum over the lanes) G, of d[lanes, 36 points, O / tall, C / wide, tall, wide], with `step`
    numbers from point to point and `shape` the other five. The result is a NaN if w has numbers that are not finite, else 0."""
    lanes, above, beside, tall, wide = shape
    target = w.reshape(-1)
    bad = nothing()
    for o in range(above * tall):
        for c in range(0, beside * wide, LANES):
            at = ((o // tall * beside + c // wide) * tall + o % tall) * wide + c % wide
            for k in range(6):
                e = _terms_6(d, at + 6 * k * step, step, lanes, 36 * step)
                s = _summed_4(e[0], e[1], e[2], e[3], e[4], e[5])
                for j in range(3):
                    store(line, (k * 3 + j) * LANES, s[j])
            for j in range(3):
                e = _load_6(line, j * LANES, 3 * LANES)
                s = _summed_4(e[0], e[1], e[2], e[3], e[4], e[5])
                for i in range(3):
                    bad = _put(line, (18 + 3 * i + j) * LANES, s[i], bad)
            _spread(line, target, (o * beside * wide + c) * 9)
    store(line, 0, bad)
    return float(line[:LANES].sum())


@loop
def correlations_2(d: Array, w: Array, line: Array, step: int, shape: Any) -> float:
    """The same for F(2 x 2)."""
    lanes, above, beside, tall, wide = shape
    target = w.reshape(-1)
    bad = nothing()
    for o in range(above * tall):
        for c in range(0, beside * wide, LANES):
            at = ((o // tall * beside + c // wide) * tall + o % tall) * wide + c % wide
            for k in range(4):
                e = _terms_4(d, at + 4 * k * step, step, lanes, 16 * step)
                s = _summed_2(e[0], e[1], e[2], e[3])
                for j in range(3):
                    store(line, (k * 3 + j) * LANES, s[j])
            for j in range(3):
                e = _load_4(line, j * LANES, 3 * LANES)
                s = _summed_2(e[0], e[1], e[2], e[3])
                for i in range(3):
                    bad = _put(line, (18 + 3 * i + j) * LANES, s[i], bad)
            _spread(line, target, (o * beside * wide + c) * 9)
    store(line, 0, bad)
    return float(line[:LANES].sum())


@helper
def _spread(line: Array, target: Array, at: int) -> None:
    """Nine elements of sixteen filters, from the 19th vector of `line` on, to their filters."""
    for i in range(LANES):
        for e in range(9):
            target[at + 9 * i + e] = line[(18 + e) * LANES + i]
