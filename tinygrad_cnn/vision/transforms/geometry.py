"""Images of other sizes, cut, padded and mirrored, with their boxes, masks and keypoints."""

from __future__ import annotations

from collections.abc import Sequence
from operator import index
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ...checks import checked, flag, number, one_of, whole
from .forms import formed
from .transform import Batch, Change, Moved, Size, Transform, changed, fills, ordered, sides
from .warp import resized

__all__ = [
    "CenterCrop", "Pad", "RandomCrop", "RandomHorizontalFlip", "RandomResizedCrop", "RandomVerticalFlip", "Resize"
]  # fmt: skip

Array: TypeAlias = NDArray[Any]

INTERPOLATIONS = ("nearest", "nearest-exact", "bilinear", "bicubic")
MODES = ("constant", "edge", "reflect", "symmetric")
P = {"p": number("a number from 0 to 1", lambda p: 0 <= p <= 1)}


class _Resized(Moved):
    """Boxes (N, 4), (top, left, height, width), of the images, at one size."""

    def __init__(self, boxes: Array, size: Size, interpolation: str, antialias: bool, cut: bool) -> None:
        self._boxes, self._size, self._how, self.clamps = boxes, size, (interpolation, antialias), cut

    def images(self, x: Array) -> Array:
        """Images (N, C, H, W)."""
        return resized(x, self._boxes, self._size, *self._how)

    def masks(self, x: Array, chosen: slice) -> Array:
        """Masks, by the nearest pixel."""
        flat = x.reshape(len(x), -1, *x.shape[-2:]) if x.size else x.reshape(len(x), 0, *x.shape[-2:])
        how = "nearest-exact" if self._how[0] == "nearest-exact" else "nearest"
        return resized(flat, self._boxes[chosen], self._size, how, False).reshape(*x.shape[:-2], *self._size)

    def corners(self, points: Array, n: int) -> Array:
        """Points from the corner of the box, in the new unit."""
        top, left, height, width = self._boxes[n].tolist()
        unit = np.array([self._size[1] / width, self._size[0] / height], points.dtype)
        moved: Array = (points - np.array([left, top], points.dtype)) * unit
        return moved


class Resize(Transform):
    """Images of another size.

    Args:
        size: (height, width); or one number for the shorter side, the other one keeps the proportions; or None with `max_size`.
        interpolation: "bilinear", "bicubic", "nearest" or "nearest-exact"; masks take the nearest pixel.
        max_size: the longest that the longer side may be; only if `size` is one number, or None.
        antialias: whether a pixel of a smaller image is a mean of all that it covers, for "bilinear" and "bicubic".

    Raises:
        TypeError, ValueError: if an argument has the wrong type or is out of range.

    >>> import numpy as np, tinygrad_cnn as tg
    >>> resize = tg.vision.transforms.Resize(60)
    >>> image, targets = resize(np.zeros((3, 30, 40), np.uint8), {"boxes": np.array([[10.0, 10.0, 20.0, 30.0]])})
    >>> image.shape, targets["boxes"].tolist()
    ((3, 60, 80), [[20.0, 20.0, 40.0, 60.0]])
    """

    def __init__(
        self, size: int | Sequence[int] | None, interpolation: str = "bilinear", max_size: int | None = None,
        antialias: bool = True,
    ) -> None:  # fmt: skip
        one = size is None or not isinstance(size, Sequence) or len(size) == 1
        if max_size is not None and not one:
            raise ValueError(f"Resize: `max_size` is {max_size} but `size` {size!r}; it must be one number, or None")
        if size is None and max_size is None:
            raise ValueError("Resize: `size` is None; give it, or `max_size`")
        self.size: Size | int | None = (
            None if size is None else sides("Resize", size)[0] if one else sides("Resize", size)
        )
        self.interpolation, self.antialias = checked("Resize", {
            "interpolation": one_of(*INTERPOLATIONS), "antialias": flag}, locals()).values()  # fmt: skip
        self.max_size = None if max_size is None else checked("Resize", {"max_size": whole(1)}, locals())["max_size"]
        if isinstance(self.size, int) and self.max_size is not None and self.max_size <= self.size:
            raise ValueError(f"Resize: `max_size` is {self.max_size}; it must be larger than `size`, {self.size}")

    def draw(self, rng: np.random.Generator, images: Array) -> Change:
        """The same for every image."""
        old = images.shape[-2:]
        if 0 in old:
            raise ValueError(f"Resize: `images` has shape {images.shape}; an image must have at least one pixel")
        boxes = np.tile([0, 0, *old], (len(images), 1))
        return _Resized(boxes, self._new(*old), self.interpolation, self.antialias, cut=False)

    def _new(self, height: int, width: int) -> Size:
        if isinstance(self.size, tuple):
            return self.size
        short, long = sorted((height, width))
        if self.size is None:
            new = int(self.max_size * short / long), self.max_size  # type: ignore[operator]
        else:
            new = self.size, int(self.size * long / short)
            if self.max_size is not None and new[1] > self.max_size:
                new = int(self.max_size * new[0] / new[1]), self.max_size
        return (new[1], new[0]) if width <= height else (new[0], new[1])  # type: ignore[return-value]


class _Window(Moved):
    """A window of each image, of one size; `places` are (N, 2), top and left. What is outside of the image gets the fill."""

    def __init__(self, places: Array, size: Size, fill: Any = 0) -> None:
        self._places, self._size = places, size
        self._fill, self._mask_fill = fills(fill)

    def images(self, x: Array) -> Array:
        """Images (N, C, H, W)."""
        fill = np.asarray(self._fill)
        return window(x, self._places, self._size, fill.reshape(-1, 1, 1) if fill.ndim else fill)

    def masks(self, x: Array, chosen: slice) -> Array:
        """Masks (n, ..., H, W)."""
        return window(x, self._places[chosen], self._size, np.asarray(self._mask_fill))

    def corners(self, points: Array, n: int) -> Array:
        """Points from the corner of the window."""
        moved: Array = points - self._places[n, ::-1].astype(points.dtype)
        return moved


@formed
def window(x: Array, places: Array, size: Size, fill: Array) -> Array:
    """Windows of one size of arrays (n, ..., H, W), each with its top and left, and the fill beyond the array."""
    y = np.empty((*x.shape[:-2], *size), x.dtype)
    for image, (top, left), out in zip(x, places.tolist(), y, strict=True):
        up, before = max(-top, 0), max(-left, 0)
        part = image[..., max(top, 0) : max(top + size[0], 0), max(left, 0) : max(left + size[1], 0)]
        if part.shape[-2:] != size:
            out[...] = fill
        out[..., up : up + part.shape[-2], before : before + part.shape[-1]] = part
    return y


class _Padded(Moved):
    """Images with pixels around them: left, top, right, bottom."""

    def __init__(self, padding: Sequence[int], fill: Any, mode: str) -> None:
        self._padding, self._mode = padding, mode
        self._fill, self._mask_fill = fills(fill)

    def images(self, x: Array) -> Array:
        """Images (N, C, H, W)."""
        fill = np.asarray(self._fill)
        if fill.ndim and self._mode == "constant":
            one = [self._pad(x[:, c], value) for c, value in enumerate(np.broadcast_to(fill, x.shape[1:2]).tolist())]
            return np.stack(one, axis=1)
        return self._pad(x, self._fill)

    def masks(self, x: Array, chosen: slice) -> Array:
        """Masks, in the mode of the images."""
        return self._pad(x, self._mask_fill)

    def _pad(self, x: Array, fill: Any) -> Array:
        left, top, right, bottom = self._padding
        if self._mode == "constant":
            height, width = x.shape[-2:]
            y = np.empty((*x.shape[:-2], top + height + bottom, left + width + right), x.dtype)
            for part in (np.s_[:top], np.s_[top + height :], np.s_[:, :left], np.s_[:, left + width :]):
                y[(..., *part) if isinstance(part, tuple) else (..., part, slice(None))] = fill
            y[..., top : top + height, left : left + width] = x
            return y
        widths = [*((0, 0) for _ in x.shape[:-2]), (top, bottom), (left, right)]
        mode: Any = self._mode
        return np.pad(x, widths, mode)

    def corners(self, points: Array, n: int) -> Array:
        """Points from the new corner."""
        moved: Array = points + np.array(self._padding[:2], points.dtype)
        return moved


def _padding(name: str, padding: int | Sequence[int]) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of one number, of two, (left and right, top and bottom), or of four."""
    try:
        given = [index(n) for n in padding] if isinstance(padding, Sequence) else [index(padding)]
    except TypeError:
        raise TypeError(f"{name}: `padding` is {padding!r}; it must be whole numbers: one, two or four") from None
    if len(given) not in (1, 2, 4) or min(given) < 0:
        raise ValueError(f"{name}: `padding` is {padding!r}; it must be one, two or four numbers of at least 0")
    left, top, right, bottom = (given * 4)[:4] if len(given) != 2 else given * 2
    return left, top, right, bottom


class Pad(Transform):
    """Images with pixels around them.

    Args:
        padding: how many: one number; (left and right, top and bottom); or (left, top, right, bottom).
        fill: their value: a number, which masks get too; one for each channel; or a dict of "image" and "masks".
        padding_mode: "constant" for `fill`, or as in ``np.pad`` "edge", "reflect" or "symmetric".

    Raises:
        TypeError, ValueError: if an argument has the wrong type or is out of range; for boxes and keypoints if what they mark
            is repeated, in another mode than "constant".
    """

    def __init__(self, padding: int | Sequence[int], fill: Any = 0, padding_mode: str = "constant") -> None:
        self.padding, self.fill = _padding("Pad", padding), fill
        self.padding_mode = checked("Pad", {"padding_mode": one_of(*MODES)}, locals())["padding_mode"]

    def apply(self, batch: Batch, rng: np.random.Generator) -> Batch:
        """The batch with pixels around its images."""
        marks = [name for name in batch.positions() if batch.targets[name].kind != "masks"]
        if marks and self.padding_mode != "constant":
            raise ValueError(
                f"Pad: `padding_mode` is {self.padding_mode!r}, which repeats what {marks[0]!r} mark; it must be 'constant'"
            )
        return changed(batch, _Padded(self.padding, self.fill, self.padding_mode))


class CenterCrop(Transform):
    """The middle of each image; images that are smaller get zeros around them first.

    Args:
        size: (height, width), or one number for both.

    >>> import numpy as np, tinygrad_cnn as tg
    >>> tg.vision.transforms.CenterCrop(1)(np.arange(9).reshape(1, 3, 3)).item()
    4
    """

    def __init__(self, size: int | Sequence[int]) -> None:
        self.size = sides("CenterCrop", size)

    def apply(self, batch: Batch, rng: np.random.Generator) -> Batch:
        """The batch with the middle of its images."""
        height, width = batch.images.shape[-2:]
        place = [
            round((n - m) / 2) if m <= n else -((m - n) // 2) for n, m in zip((height, width), self.size, strict=True)
        ]  # fmt: skip
        return changed(batch, _Window(np.tile(place, (len(batch.images), 1)), self.size))


class RandomCrop(Transform):
    """A window of each image, at a random position.

    Args:
        size: of the window: (height, width), or one number for both.
        padding: pixels that are put around the images first, as for :class:`Pad`; None for none.
        pad_if_needed: whether images that are smaller than the window are padded on both sides by what is missing.
        fill, padding_mode: as for :class:`Pad`.

    Raises:
        ValueError: if the padded images are smaller than the window.
    """

    def __init__(
        self, size: int | Sequence[int], padding: int | Sequence[int] | None = None, pad_if_needed: bool = False,
        fill: Any = 0, padding_mode: str = "constant",
    ) -> None:  # fmt: skip
        self.size = sides("RandomCrop", size)
        self.padding = (0, 0, 0, 0) if padding is None else _padding("RandomCrop", padding)
        self.pad_if_needed, self.fill = pad_if_needed, fill
        self.padding_mode = checked("RandomCrop", {"padding_mode": one_of(*MODES)}, locals())["padding_mode"]

    def apply(self, batch: Batch, rng: np.random.Generator) -> Batch:
        """The batch with windows of its images."""
        left, top, right, bottom = self.padding
        height, width = batch.images.shape[-2] + top + bottom, batch.images.shape[-1] + left + right
        down, across = max(self.size[0] - height, 0), max(self.size[1] - width, 0)
        if (down or across) and not self.pad_if_needed:
            raise ValueError(
                f"RandomCrop: `size` is {self.size} but the padded images are {(height, width)}; it must not be larger: give "
                "`padding` or pad_if_needed=True"
            )
        padding = (left + across, top + down, right + across, bottom + down)
        free = [height + 2 * down - self.size[0] + 1, width + 2 * across - self.size[1] + 1]
        places = np.stack([rng.integers(n, size=len(batch.images)) for n in free], axis=1)
        if self.padding_mode == "constant":
            return changed(batch, _Window(places - [padding[1], padding[0]], self.size, self.fill))
        return changed(Pad(padding, self.fill, self.padding_mode).apply(batch, rng), _Window(places, self.size))


def windows(
    rng: np.random.Generator, count: int, size: Size, area: Any, log_ratio: Any, fits: Any
) -> tuple[Array, Array]:
    """Random windows (count, 4) by area and proportions, ten tries for each, and which of them were found.

    `fits` says of heights and widths whether they may be; `log_ratio` are the bounds of log(width / height).
    """
    height, width = size
    areas = height * width * rng.uniform(area[0], area[1], (10, count))
    ratios = np.exp(rng.uniform(log_ratio[0], log_ratio[1], (10, count)))
    rows, columns = np.rint(np.sqrt(areas / ratios)).astype(np.intp), np.rint(np.sqrt(areas * ratios)).astype(np.intp)
    right = fits(rows, columns)
    first = right.argmax(axis=0), np.arange(count)
    rows, columns, found = rows[first], columns[first], right[first]
    rows, columns = np.where(found, rows, height), np.where(found, columns, width)
    top, left = rng.integers(height - rows + 1), rng.integers(width - columns + 1)
    return np.stack([top, left, rows, columns], axis=1), found


class RandomResizedCrop(Transform):
    """A random window of each image, of random size and proportions, resized to one size.

    Reference: Szegedy et al., "Going deeper with convolutions", arXiv:1409.4842.

    Args:
        size: of the result: (height, width), or one number for both.
        scale: the bounds of the window's area, as part of that of the image.
        ratio: the bounds of its width / height; its logarithm is uniform.
        interpolation, antialias: as for :class:`Resize`.

    If ten windows in turn are larger than the image, it is the largest in the middle whose proportions are within `ratio`.

    >>> import numpy as np, tinygrad_cnn as tg
    >>> tg.vision.transforms.RandomResizedCrop(224)(np.zeros((8, 3, 300, 400), np.uint8)).shape
    (8, 3, 224, 224)
    """

    def __init__(
        self, size: int | Sequence[int], scale: tuple[float, float] = (0.08, 1.0),
        ratio: tuple[float, float] = (3 / 4, 4 / 3), interpolation: str = "bilinear", antialias: bool = True,
    ) -> None:  # fmt: skip
        name = "RandomResizedCrop"
        self.size = sides(name, size)
        self.scale, self.ratio = ordered(name, "scale", scale, 0), ordered(name, "ratio", ratio, 1e-6)
        table = {"interpolation": one_of(*INTERPOLATIONS), "antialias": flag}
        self.interpolation, self.antialias = checked(name, table, locals()).values()

    def draw(self, rng: np.random.Generator, images: Array) -> Change:
        """A window of each image."""
        height, width = images.shape[-2:]
        if 0 in (height, width):
            raise ValueError(f"RandomResizedCrop: `images` has shape {images.shape}; an image must have a pixel")

        def fits(rows: Array, columns: Array) -> Array:
            inside: Array = (rows > 0) & (rows <= height) & (columns > 0) & (columns <= width)
            return inside

        boxes, found = windows(rng, len(images), (height, width), self.scale, np.log(self.ratio), fits)
        low, high = self.ratio
        h, w = height, width
        if width / height < low:
            h = round(width / low)
        elif width / height > high:
            w = round(height * high)
        boxes[~found] = (height - h) // 2, (width - w) // 2, h, w
        return _Resized(boxes, self.size, self.interpolation, self.antialias, cut=True)


class _Flipped(Moved):
    """The chosen images with left and right exchanged, or top and bottom."""

    clamps = False

    def __init__(self, chosen: Array, axis: int, size: int) -> None:
        self._chosen, self._axis, self._size = chosen, axis, size

    def images(self, x: Array) -> Array:
        """Images (N, C, H, W)."""
        return self.masks(x, slice(None))

    def masks(self, x: Array, chosen: slice) -> Array:
        """Masks (n, ..., H, W)."""
        return mirrored(x, self._chosen[chosen], self._axis)

    def corners(self, points: Array, n: int) -> Array:
        """Points from the other side."""
        return self._mirrored(points, n, self._size)

    def keypoints(self, points: Array, n: int) -> Array:
        """Pixels from the other side: the last pixel becomes pixel 0."""
        return self._mirrored(points, n, self._size - 1)

    def _mirrored(self, points: Array, n: int, end: int) -> Array:
        if not self._chosen[n]:
            return points
        points = points.copy()
        which = -1 - self._axis  # x for the last axis
        points[..., which] = end - points[..., which]
        return points


@formed
def mirrored(x: Array, chosen: Array, axis: int) -> Array:
    """Arrays (n, ..., H, W), of which the chosen ones have the axis reversed, -1 or -2."""
    y = np.empty_like(x, order="C")
    for image, out, flipped in zip(x, y, chosen.tolist(), strict=True):
        if not flipped:
            out[...] = image
        elif axis == -1:
            _reverse(image, out)
        else:
            out[...] = np.flip(image, axis)
    return y


def _reverse(x: Array, out: Array) -> None:
    """Write x with its last axis reversed. Bytes are moved eight at a time."""
    odd = x.shape[-1] % 8 if x.itemsize == 1 and x.strides[-1] == 1 else x.shape[-1]
    out[..., :odd] = x[..., x.shape[-1] - odd :][..., ::-1]
    if odd < x.shape[-1]:  # read as words whose last byte comes first
        out[..., odd:].view("<u8")[...] = x[..., : x.shape[-1] - odd].view(">u8")[..., ::-1]


class _RandomFlip(Transform):
    _axis: int

    def __init__(self, p: float = 0.5) -> None:
        self.p = checked(type(self).__name__, P, locals())["p"]

    def draw(self, rng: np.random.Generator, images: Array) -> Change:
        """Some of the images."""
        return _Flipped(rng.random(len(images)) < self.p, self._axis, images.shape[self._axis])


class RandomHorizontalFlip(_RandomFlip):
    """Left and right of each image exchanged with probability `p`.

    >>> import numpy as np, tinygrad_cnn as tg
    >>> flip = tg.vision.transforms.RandomHorizontalFlip(p=1)
    >>> image, targets = flip(np.array([[[1, 2, 3]]]), {"boxes": [[0, 0, 1, 1]], "keypoints": [[0, 0]]})
    >>> image.tolist(), targets["boxes"].tolist(), targets["keypoints"].tolist()
    ([[[3, 2, 1]]], [[2, 0, 3, 1]], [[2, 0]])
    """

    _axis = -1


class RandomVerticalFlip(_RandomFlip):
    """Top and bottom of each image exchanged with probability `p`."""

    _axis = -2


def interpolated(name: str, interpolation: str) -> str:
    """The argument, nearest or bilinear; ValueError for another interpolation."""
    return str(
        checked(name, {"interpolation": one_of("nearest", "bilinear")}, {"interpolation": interpolation})[
            "interpolation"
        ]
    )
