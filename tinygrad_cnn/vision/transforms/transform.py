"""The base of transforms: a batch of images with what belongs to them, and changes that are drawn for each image.

A transform draws a :class:`Change` for a batch, which knows what happens to images, to masks and to points. Boxes move with
their corners. So a transform cannot move the images and forget the rest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ...ops.random import Seed, generator
from ...tensor import Tensor

Array: TypeAlias = NDArray[Any]
Size: TypeAlias = tuple[int, int]

KINDS = {
    "image": "image", "images": "image", "boxes": "boxes", "mask": "masks", "masks": "masks", "keypoints": "keypoints",
    "label": "other", "labels": "other",
}  # fmt: skip
"""The kind of an entry that has this name, if no other is stated."""

FORMS = {"boxes": "xyxy", "boxes_xywh": "xywh", "boxes_cxcywh": "cxcywh"}
POSITIONS = ("masks", "keypoints", *FORMS)


class Target(NamedTuple):
    """An entry of the targets: its kind, and one value for each image, in an array or a list."""

    kind: str
    values: Any

    def take(self, chosen: Array) -> Target:
        """The values of these images."""
        values = self.values
        return self._replace(values=values[chosen] if isinstance(values, np.ndarray) else [values[n] for n in chosen])

    def put(self, chosen: Array, part: Target) -> Target:
        """The values with those of these images replaced."""
        new = [*self.values]
        for n, value in zip(chosen, part.values, strict=True):
            new[n] = value
        return self._replace(values=_like(self.values, new))


class Batch(NamedTuple):
    """Images (N, C, H, W) and their targets by name."""

    images: Array
    targets: dict[str, Target]

    def positions(self) -> list[str]:
        """The names of what has a place in the images."""
        return [name for name, target in self.targets.items() if target.kind in POSITIONS]

    def take(self, chosen: Array) -> Batch:
        """The part with these images, in ascending order."""
        if len(chosen) == len(self.images):
            return self
        return Batch(self.images[chosen], {name: target.take(chosen) for name, target in self.targets.items()})

    def put(self, name: str, chosen: Array, part: Batch) -> Batch:
        """The batch with these images replaced; `name` is that of the transform, for its error."""
        if part.images.shape[1:] != self.images.shape[1:] or part.images.dtype != self.images.dtype:
            if len(chosen) < len(self.images):
                new, old = (f"{x.images.dtype} {x.images.shape[1:]}" for x in (part, self))
                raise ValueError(
                    f"{name}: an image changed from {old} to {new}, and others of its batch did not; images of a batch have "
                    "one shape: transform them one by one, or resize them before and after"
                )
            return part
        if len(chosen) == len(self.images) and (chosen == np.arange(len(chosen))).all():
            return part
        images = self.images.copy()
        images[chosen] = part.images
        return Batch(images, {key: target.put(chosen, part.targets[key]) for key, target in self.targets.items()})


class Change:
    """What happens to a batch. This one changes nothing; others override what they change.

    Positions are (x, y), to the right and down, from the upper left corner of the image; the first pixel is from 0 to 1.
    """

    def images(self, x: Array) -> Array:
        """Images (N, C, H, W)."""
        return x

    def masks(self, x: Array, chosen: slice) -> Array:
        """Masks (n, ..., H, W) of the chosen images, whose values are not mixed."""
        return x

    def corners(self, points: Array, n: int) -> Array:
        """Corners of boxes (..., 2) of image n."""
        return points

    def keypoints(self, points: Array, n: int) -> Array:
        """Pixels (..., 2) of image n."""
        return self.corners(points, n)


class Moved(Change):
    """A change that moves what is in the images."""

    clamps = True
    """Whether boxes are cut off at the edges of the new image."""


class Transform:
    """A change of images that is drawn for each of them: write one by overriding :meth:`draw`.

    A transform is called with

    - a batch (N, C, H, W), or one image (C, H, W), and returns it changed;
    - images and a dict of targets, and returns both;
    - one dict with the images in it, and returns it changed: so a loader calls its ``batch_transform``.

    An entry's name states its kind: "boxes" are (k, 4), two corners; "masks" are (H, W) or (k, H, W) of whole numbers;
    "keypoints" (..., 2), x and y; "labels" do not move. For a batch there is one more axis, or a list of one for each image.
    `kinds` states those of other names, also "boxes_xywh", "boxes_cxcywh" and "other", which does not move.

    Raises:
        ValueError: for an entry whose kind is not known, or shapes that do not match.
        TypeError: for targets that are no dict.
    """

    def __call__(
        self, images: Any, targets: Any = None, *, rng: Seed = None, kinds: Mapping[str, str] | None = None
    ) -> Any:  # fmt: skip
        opened = _Opened(type(self).__name__, images, targets, kinds or {})
        return opened.closed(self.apply(opened.batch, generator(rng)))

    def apply(self, batch: Batch, rng: np.random.Generator) -> Batch:
        """The batch with the change that is drawn."""
        return changed(batch, self.draw(rng, batch.images))

    def draw(self, rng: np.random.Generator, images: Array) -> Change:
        """A change for these images."""
        raise NotImplementedError

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in vars(self).items() if not name.startswith("_"))
        return f"{type(self).__name__}({shown})"


def changed(batch: Batch, change: Change) -> Batch:
    """The batch with the change in its images and its targets."""
    images = change.images(batch.images)
    if not isinstance(change, Moved):
        return Batch(images, batch.targets)
    height, width = images.shape[-2:]
    limits = np.array([width, height, width, height]) if change.clamps else None
    return Batch(images, {name: _moved(target, change, limits) for name, target in batch.targets.items()})


def _moved(target: Target, change: Change, limits: Array | None) -> Target:
    kind, values = target
    if kind == "masks":
        if isinstance(values, np.ndarray):
            return Target(kind, change.masks(values, slice(None)))
        return Target(kind, [change.masks(v[None], slice(n, n + 1))[0] for n, v in enumerate(values)])
    if kind == "keypoints":
        moved = [_kept_dtype(change.keypoints(floats(v), n), v) for n, v in enumerate(values)]
    elif kind in FORMS:
        moved = [_kept_dtype(_boxes(v, FORMS[kind], change, n, limits), v) for n, v in enumerate(values)]
    else:
        return target
    return Target(kind, _like(values, moved))


def _boxes(boxes: Array, form: str, change: Change, n: int, limits: Array | None) -> Array:
    """The smallest boxes around the corners, which have moved."""
    boxes = to_corners(floats(boxes), form)
    corners = boxes[..., [[0, 1], [2, 1], [2, 3], [0, 3]]]  # (..., 4, 2)
    corners = change.corners(corners, n)
    boxes = np.concatenate([corners.min(axis=-2), corners.max(axis=-2)], axis=-1)
    if limits is not None:
        boxes = boxes.clip(0, limits.astype(boxes.dtype))
    return from_corners(boxes, form)


def to_corners(boxes: Array, form: str) -> Array:
    """Boxes (..., 4) of a form as two corners."""
    if form == "xyxy":
        return boxes
    place, size = boxes[..., :2], boxes[..., 2:]
    place = place - size / 2 if form == "cxcywh" else place
    return np.concatenate([place, place + size], axis=-1)


def from_corners(boxes: Array, form: str) -> Array:
    """Two corners (..., 4) as boxes of a form."""
    if form == "xyxy":
        return boxes
    place, end = boxes[..., :2], boxes[..., 2:]
    return np.concatenate([(place + end) / 2 if form == "cxcywh" else place, end - place], axis=-1)


def floats(x: Array) -> Array:
    """x in floating point."""
    return x if x.dtype.kind == "f" else x.astype(np.float32)


def _kept_dtype(new: Array, old: Array) -> Array:
    return new.astype(old.dtype, copy=False)


def _like(old: Any, new: list[Array]) -> Any:
    """A list of arrays, stacked if those before were."""
    return np.stack(new) if isinstance(old, np.ndarray) and len(new) else (old if isinstance(old, np.ndarray) else new)


class _Opened:
    """The arguments of a call as a batch, and a batch in the form of the arguments."""

    def __init__(self, name: str, images: Any, targets: Any, kinds: Mapping[str, str]) -> None:
        self._name = name
        self._whole = isinstance(images, Mapping)
        if targets is not None and (self._whole or not isinstance(targets, Mapping)):
            raise TypeError(
                f"{name}: `targets` is a {type(targets).__name__}; it must be a dict, such as {{'boxes': ..., 'labels': ...}}: "
                "its names say what moves with the images"
            )
        self._paired = targets is not None
        entries = dict(images if self._whole else targets or {})
        self._key: str | None = None
        kind_of = {key: self._kind(key, kinds) for key in entries}
        for unknown in kinds.keys() - entries.keys():
            raise ValueError(
                f"{name}: `kinds` has {unknown!r}, which is not among the targets {sorted(map(str, entries))}"
            )
        if self._whole:
            found = [key for key, kind in kind_of.items() if kind == "image"]
            if len(found) != 1:
                raise ValueError(
                    f"{name}: the dict has {len(found)} entries of images; it must have one, called 'image'"
                )
            self._key = found[0]
            images = entries[self._key]
        array = _array(images)
        if array.ndim not in (3, 4):
            raise ValueError(
                f"{name}: `images` has shape {array.shape}; it must be (N, C, H, W), or one image (C, H, W)"
            )
        self._alone = array.ndim == 3
        array = array[None] if self._alone else array
        self._entries = entries
        self.batch = Batch(array, {
            key: self._target(key, kind, entries[key], len(array), array.shape[-2:])
            for key, kind in kind_of.items() if key != self._key
        })  # fmt: skip

    def _kind(self, key: Any, kinds: Mapping[str, str]) -> str:
        kind = kinds.get(key, KINDS.get(key))
        if kind is None or kind not in ("image", "other", *POSITIONS):
            found = f"has {key!r}, whose kind is not known" if kind is None else f"has {key!r} of kind {kind!r}"
            raise ValueError(
                f"{self._name}: the dict {found}; state it by kinds={{{key!r}: ...}}, one of 'image', 'boxes', 'boxes_xywh', "
                "'boxes_cxcywh', 'masks', 'keypoints' and 'other', which does not move"
            )
        return kind

    def _target(self, key: str, kind: str, value: Any, count: int, size: tuple[int, ...]) -> Target:
        if kind == "other":
            return Target(kind, [value] if self._alone else value)
        several = isinstance(value, list | tuple) and not self._alone
        values: Any = [_array(v) for v in value] if several else _array(value)
        if self._alone:
            values = values[None]
        if len(values) != count:
            raise ValueError(
                f"{self._name}: {key!r} has {len(values)} values for {count} images; it must have one for each"
            )
        for array in values:
            fits = array.shape[-2:] == size and array.ndim in (2, 3)
            if kind in FORMS:
                fits = array.ndim == 2 and array.shape[1] == 4
            elif kind == "keypoints":
                fits = array.ndim >= 1 and array.shape[-1] == 2
            if not fits or array.dtype.kind not in "biuf":
                wanted = {"masks": f"(..., {size[0]}, {size[1]})", "keypoints": "(..., 2)"}.get(kind, "(k, 4)")
                raise ValueError(
                    f"{self._name}: {key!r} of an image is {array.dtype} {array.shape}; it must be {wanted}"
                )
        return Target(kind, values)

    def closed(self, batch: Batch) -> Any:
        """The batch in the form in which it was given."""
        images = batch.images[0] if self._alone else batch.images
        targets = {
            key: target.values[0] if self._alone else target.values for key, target in batch.targets.items()
        }  # fmt: skip
        if self._whole:
            return {key: images if key == self._key else targets[key] for key in self._entries}
        return (images, targets) if self._paired else images


def _array(value: Any) -> Array:
    return value.numpy() if isinstance(value, Tensor) else np.asarray(value)


def pair(name: str, label: str, value: Any, least: float = -np.inf, both: bool = False) -> tuple[float, float]:
    """Two numbers (low, high), or with `both` one number for both; ValueError otherwise."""
    given = np.asarray(value)
    if given.dtype.kind not in "iuf" or given.shape not in (((), (2,)) if both else ((2,),)):
        raise ValueError(f"{name}: `{label}` is {value!r}; it must be {'a number or ' * both}two numbers")
    low, high = (float(v) for v in np.broadcast_to(given, 2))
    if not (np.isfinite([low, high]).all() and least <= min(low, high)):
        raise ValueError(f"{name}: `{label}` is {value!r}; it must be finite and at least {least:g}")
    return low, high


def ordered(name: str, label: str, value: Any, least: float = -np.inf) -> tuple[float, float]:
    """Two numbers, the smaller one first; ValueError otherwise."""
    low, high = pair(name, label, value, least)
    if low > high:
        raise ValueError(f"{name}: `{label}` is {value!r}; the lower bound comes first")
    return low, high


def fills(fill: Any) -> tuple[Any, Any]:
    """The new pixels of images, and of masks: one number for both, one for each channel of images, or a dict of both."""
    if isinstance(fill, Mapping):
        if not fill.keys() <= {"image", "masks"}:
            raise ValueError(f"`fill` has {sorted(map(str, fill))}; it must have 'image', 'masks' or both")
        return fill.get("image", 0), fill.get("masks", 0)
    return (0, 0) if fill is None else (fill, fill if np.ndim(fill) == 0 else 0)


def sides(name: str, size: int | Sequence[int]) -> Size:
    """A size (height, width) of one number or two; TypeError or ValueError otherwise."""
    try:
        values = [n.__index__() for n in (size if isinstance(size, Sequence) else (size, size))]
    except AttributeError:
        raise TypeError(f"{name}: `size` is {size!r}; it must be a whole number, or two") from None
    values = values * 2 if len(values) == 1 else values
    if len(values) != 2 or min(values) < 1:
        raise ValueError(f"{name}: `size` is {size!r}; it must be a whole number of at least 1, or two")
    return values[0], values[1]
