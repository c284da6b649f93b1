"""Convolution's adjoints where a number is infinite or NaN.

For speed, kernels also multiply by zeros that the definitions do not have: around and between the positions of an incoming
gradient u. Times a finite number such a zero changes no sum, but times an infinity or a NaN it is NaN, where the definition may
give a finite number. Then the definition computes the result.

Filters that are few are looked through before. Others, and images, are not read again: each element that meets such a zero is
also in the sums of a few numbers of the result, so if these are finite, it was finite.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from ...ops.conv import convolve_dw, convolve_dx
from ...ops.windows import Sizes
from ...scope import errors
from ..blocking import Block, Geometry
from ..parallel.task import Call, Work

ALL = slice(None)

Array = np.ndarray

_quiet = errors(over="ignore", invalid="ignore")


def is_finite(a: Array) -> bool:
    """Whether all numbers are finite."""
    return b"\0" not in np.isfinite(a).tobytes()  # for few numbers, half the time of `all`


def first_pixel(x: Array) -> Array:
    """The channels of the first pixel of images (N, C, *sizes): all elements of filters are in the sums of a convolution."""
    at: Any = (0, ALL, *(0,) * (x.ndim - 2))
    channels: Array = x[at]
    return channels


def checked(task: Callable[[], Array], g: Geometry, u: Array, w: Array) -> Array:
    """The adjoint in images, by a task that convolves u; or by the definition, if filters are not finite."""
    if is_finite(w):
        return task()
    with _quiet:
        x = task()  # in the memory order of other calls
    x[...] = by_definition(g, u, w, x.shape)
    return x


def mended(work: Work, g: Geometry, u: Array, w: Array, x: Array) -> Work:
    """The work of a convolution of u that fills x, the adjoint in images; and of the definition, if filters are not finite."""

    def arrange(block: Block) -> list[Call]:
        part = x[block.images]
        few = first_pixel(part[:, :, block.rows])
        return [*work.arrange(block), partial(mend_images, few, g, u[block.images], w, part, block.rows)]

    return replace(work, arrange=arrange) if x.size else work


def mend_images(few: Array, g: Geometry, u: Array, w: Array, x: Array, rows: slice = ALL) -> None:
    """Compute rows of x, the adjoint in images, again if the filters w are not finite, which a `few` numbers show."""
    if not is_finite(few) and not is_finite(w):
        x[:, :, rows] = by_definition(g, u, w, x.shape)[:, :, rows]


def mend_filters(few: Array, g: Geometry, x: Array, u: Array, w: Array) -> None:
    """Compute w, the adjoint in filters, again if the images x are not finite, which a `few` numbers show."""
    if not is_finite(few) and not is_finite(x):
        groups = x.shape[1] // w.shape[1]
        w[...] = convolve_dw.op.raw(
            x, u, shape=w.shape, stride=g.stride, padding=g.padding, dilation=g.dilation, groups=groups
        )


def by_definition(g: Geometry, u: Array, w: Array, shape: Sizes) -> Array:
    """The adjoint in images of this shape."""
    groups = shape[1] // w.shape[1]
    x: Array = convolve_dx.op.raw(
        u, w, shape=shape, stride=g.stride, padding=g.padding, dilation=g.dilation, groups=groups
    )
    return x
