"""Arrays as small PNG files, written with zlib: feature maps and filters as tiles, matrices as heat maps, images in color."""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...scope import silent

SIDE = 64
"""The most rows and columns of a tile. Of a larger one, every n-th row and column is shown."""

TILES = 16
"""The most tiles of a picture."""

COLORS = 253
GAP, INFINITE, NAN = COLORS, COLORS + 1, COLORS + 2
"""Indices of a palette: the space between tiles, which is transparent, infinity and NaN."""

ANCHORS = {
    "grey": ["#000000", "#ffffff"],
    "positive": ["#1b1236", "#4a1d78", "#a02c7d", "#e2574c", "#fba43a", "#fcf5bf"],
    "phase": ["#3d8fc6", "#1f9e6b", "#f2c83b", "#d9483f", "#8e44ad", "#3d8fc6"],
    "signed": ["#0b4f8a", "#3d8fc6", "#a5cfe6", "#f4f1ea", "#f3b492", "#d9663f", "#8c1d18"],
}


def _palette(name: str) -> bytes:
    anchors = np.array([[int(c[i : i + 2], 16) for i in (1, 3, 5)] for c in ANCHORS[name]], float)
    at = np.linspace(0, len(anchors) - 1, COLORS)
    colors = np.stack([np.interp(at, range(len(anchors)), anchors[:, i]) for i in range(3)], axis=1)
    return bytes(np.rint(colors).astype(np.uint8)) + bytes([0, 0, 0, 255, 128, 0, 255, 0, 60])


PALETTES = {name: _palette(name) for name in ANCHORS}


def encode(pixels: NDArray[np.uint8], palette: bytes | None = None) -> bytes:
    """A PNG file of indices into a palette (H, W), or of colors with opacity (H, W, 4)."""
    height, width = pixels.shape[:2]
    rows = np.zeros((height, 1 + pixels[0].size), np.uint8)  # each begins with its filter, 0 for none
    rows[:, 1:] = pixels.reshape(height, -1)
    kind = 6 if palette is None else 3
    return (
        b"\x89PNG\r\n\x1a\n"
        + _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, kind, 0, 0, 0))
        + (b"" if palette is None else _colored(palette))
        + _chunk(b"IDAT", zlib.compress(rows.tobytes(), 9))
        + _chunk(b"IEND", b"")
    )


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


@cache
def _colored(palette: bytes) -> bytes:
    return _chunk(b"PLTE", palette) + _chunk(b"tRNS", bytes([255] * GAP + [0]))


def picture(array: NDArray[np.generic], kind: str) -> str | None:
    """A picture of an array as a data URL; None for numbers, vectors, and thin or empty matrices.

    Args:
        array: (N, C, H, W) shows the channels of the first example, filters (O, I, H, W) of a "parameter" each their first
            input, with three of them colors, (C, H, W) each matrix, and (H, W) itself. Each matrix of complex numbers is shown
            twice: its modulus, and right of it its phase, in colors that go round from -pi to pi.
        kind: of the item: in an "input" one channel is grey, and three are colors.
    """
    if array.ndim < 2 or array.ndim > 4 or array.dtype.kind not in "biufc" or not array.size:
        return None
    if min(array.shape[-2:]) < 2:
        return None
    image = kind == "input"
    filters = kind == "parameter"
    if array.ndim == 4 and array.shape[1] == 3 and (image or filters) and array.dtype.kind != "c":
        return _url(_colors([_tile(array[i]).transpose(1, 2, 0) for i in range(min(len(array), TILES))]))
    if array.ndim == 4:
        tiles = array[:TILES, 0] if filters or (image and array.shape[1] == 1) else array[0, :TILES]
    else:
        tiles = array[:TILES] if array.ndim == 3 else array[None]
    numbers: Any = np.stack([_tile(tile) for tile in tiles])
    if array.dtype.kind == "c":
        return _url(_complex(numbers))
    return _url(_tiled(numbers, grey=image and array.ndim > 2))


def _url(file: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(file).decode()}"


def _tile(tile: NDArray[np.generic]) -> NDArray[Any]:
    """At most SIDE rows and columns, as numbers of float64 or complex128."""
    steps = [-(-n // SIDE) for n in tile.shape[-2:]]
    return np.asarray(tile[..., :: steps[0], :: steps[1]], np.complex128 if tile.dtype.kind == "c" else np.float64)


def _range(tiles: Sequence[NDArray[np.float64]]) -> tuple[float, float]:
    finite = np.concatenate([tile[np.isfinite(tile)] for tile in tiles])
    return (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)


def matrices(x: NDArray[np.float64]) -> list[str]:
    """The pictures of small matrices x (n, H, W)."""
    finite = np.isfinite(x)
    low, high = np.where(finite, x, np.inf).min((1, 2)), np.where(finite, x, -np.inf).max((1, 2))
    low, high = (np.where(finite.any((1, 2)), end, 0.0)[:, None, None] for end in (low, high))
    signed = low < 0
    high = np.where(signed, np.maximum(-low, high), high)
    pixels = _indices(x, np.where(signed, -high, low), high)
    names = ["signed" if below else "positive" for below in signed.reshape(-1).tolist()]
    return [_url(encode(each, PALETTES[name])) for each, name in zip(pixels, names, strict=True)]


def _tiled(tiles: NDArray[np.float64], grey: bool) -> bytes:
    low, high = _range(tiles)  # type: ignore[arg-type]
    palette = "grey" if grey else "signed" if low < 0 else "positive"
    if palette == "signed":
        high = max(-low, high)
        low = -high
    return encode(_mosaic(_indices(tiles, low, high), GAP), PALETTES[palette])


def _complex(tiles: NDArray[np.complex128]) -> bytes:
    """Each tile's modulus and phase side by side."""
    with silent:
        modulus, phase = np.abs(tiles), np.angle(tiles)
    parts = []
    for name, values, (low, high) in (
        ("positive", modulus, (0.0, _range([*modulus])[1])),
        ("phase", phase, (-np.pi, np.pi)),
    ):
        colors = np.frombuffer(PALETTES[name], np.uint8).reshape(-1, 3)[_indices(values, low, high)]
        parts.append(np.concatenate([colors, np.full((*colors.shape[:3], 1), 255, np.uint8)], axis=3))
    space = np.zeros((*tiles.shape[:2], 1, 4), np.uint8)
    return encode(_mosaic(np.concatenate([parts[0], space, parts[1]], axis=2), 0))


def _indices(x: NDArray[np.float64], low: Any, high: Any) -> NDArray[np.uint8]:
    """The place of each element in a palette that goes from low to high."""
    with silent:  # values that are not finite get another color below
        width = high / 2 - low / 2
        scaled = (x / 2 - low / 2) / np.where(width, width, 1) * (COLORS - 1)
        index = np.rint(np.where(np.isfinite(x), scaled, 0)).astype(np.uint8)
    index[np.isinf(x)] = INFINITE
    index[np.isnan(x)] = NAN
    return index


def _colors(tiles: list[NDArray[np.float64]]) -> bytes:
    low, high = _range(tiles)
    if low >= 0 and high <= 1:
        low, high = 0.0, 1.0
    pixels = []
    for tile in tiles:
        with silent:
            scaled = (tile - low) / (high - low or 1) * 255
        rgba = np.full((*tile.shape[:2], 4), 255, np.uint8)
        rgba[..., :3] = np.rint(np.nan_to_num(scaled, nan=0, posinf=0, neginf=0))
        rgba[~np.isfinite(tile).all(axis=2)] = (255, 0, 60, 255)
        pixels.append(rgba)
    return encode(_mosaic(pixels, 0))


def _mosaic(tiles: Sequence[NDArray[np.uint8]] | NDArray[np.uint8], gap: int) -> NDArray[np.uint8]:
    """Tiles in a grid that is about as wide as high, one pixel apart."""
    height, width = tiles[0].shape[:2]
    columns = min(len(tiles), max(1, round((len(tiles) * height / width) ** 0.5)))
    rows = -(-len(tiles) // columns)
    space = 1 if len(tiles) > 1 else 0
    size = (rows * (height + space) - space, columns * (width + space) - space)
    out = np.full((*size, *tiles[0].shape[2:]), gap, np.uint8)
    for i, tile in enumerate(tiles):
        y, x = (i // columns) * (height + space), (i % columns) * (width + space)
        out[y : y + height, x : x + width] = tile
    return out
