"""Strategies for the arguments of ops that slide windows over spatial axes: convolution and pooling."""

from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st


class _Spatial:
    x: tuple[int, ...]

    @property
    def ndim(self) -> int:
        """The number of spatial axes."""
        return len(self.x) - 2


@dataclass(frozen=True)
class ConvGeometry(_Spatial):
    """Shapes of x (N, C, *spatial) and w (O, C / groups, *kernel), and the keyword arguments of a convolution of them."""

    x: tuple[int, ...]
    w: tuple[int, ...]
    kwargs: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class PoolGeometry(_Spatial):
    """The shape of x (N, C, *spatial), and the keyword arguments of a pool of it."""

    x: tuple[int, ...]
    kwargs: dict[str, Any] = field(default_factory=dict)


@st.composite
def conv_geometries(draw: Any, ndim: int = 2, max_size: int = 6, min_batch: int = 1) -> ConvGeometry:
    """Valid geometries of convolutions: strides, dilations, groups, paddings as ints, tuples and names.

    The simplest has one channel, one filter of one element, and one image of one element.

    Args:
        ndim: the number of spatial axes, for conv1d, conv2d or conv3d.
        max_size: the largest spatial size, unless a window needs more to fit.
        min_batch: the smallest batch; 0 also draws empty ones.
    """
    groups = draw(st.integers(1, 3))
    c, o = draw(st.integers(1, 2)), draw(st.integers(1, 2))
    kernel = draw(_each(ndim, st.integers(1, 3)))
    dilation = draw(_each(ndim, st.integers(1, 2)))
    kwargs: dict[str, Any] = {"dilation": _short(draw, dilation), "groups": groups}
    named = draw(st.sampled_from([None, "valid", "same"]))
    padding, stride = draw(_each(ndim, st.integers(0, 2))), _short(draw, draw(_each(ndim, st.integers(1, 3))))
    kwargs["padding"] = _short(draw, padding)  # drawn in any case, as in _short
    if named != "same":
        kwargs["stride"] = stride
    if named:  # any image fits "same", which pads as much as the window spans beyond its first element
        kwargs["padding"], padding = named, (3 if named == "same" else 0,) * ndim
    least = [max(1, d * (k - 1) + 1 - 2 * p) for d, k, p in zip(dilation, kernel, padding, strict=True)]
    spatial = tuple(draw(st.integers(n, max(n, max_size))) for n in least)
    batch = draw(st.integers(min_batch, 2))
    return ConvGeometry((batch, groups * c, *spatial), (groups * o, c, *kernel), kwargs)


@st.composite
def pool_geometries(
    draw: Any, ndim: int = 2, max_size: int = 6, min_batch: int = 1, dilated: bool = True
) -> PoolGeometry:
    """Valid geometries of pools: overlapping and gapped windows, padding of up to half a window, dilation, ceil_mode.

    The simplest has one channel of one element, and a window of one element.

    Args:
        ndim, max_size, min_batch: see :func:`conv_geometries`.
        dilated: whether to draw `dilation`, which only max-pools take.
    """
    kernel = draw(_each(ndim, st.integers(1, 3)))
    padding = tuple(draw(st.integers(0, k // 2)) for k in kernel)
    dilation = draw(_each(ndim, st.integers(1, 2))) if dilated else (1,) * ndim
    kwargs: dict[str, Any] = {"kernel_size": _short(draw, kernel), "padding": _short(draw, padding)}
    if dilated:
        kwargs["dilation"] = _short(draw, dilation)
    if draw(st.booleans()):
        kwargs["stride"] = _short(draw, draw(_each(ndim, st.integers(1, 3))))
    kwargs["ceil_mode"] = draw(st.booleans())
    # With as many elements as a dilation, no window can step over them all.
    least = [max(d, d * (k - 1) + 1 - 2 * p) for d, k, p in zip(dilation, kernel, padding, strict=True)]
    spatial = tuple(draw(st.integers(n, max(n, max_size))) for n in least)
    return PoolGeometry((draw(st.integers(min_batch, 2)), draw(st.integers(1, 2)), *spatial), kwargs)


def _each(ndim: int, values: st.SearchStrategy[int]) -> st.SearchStrategy[tuple[int, ...]]:
    return st.tuples(*[values] * ndim)


def _short(draw: Any, values: tuple[int, ...]) -> int | tuple[int, ...]:
    """Equal values as one int, the form that shrinking prefers, or as they are."""
    # Drawn in any case: were it not, unequal values would take fewer draws, and seem simpler.
    spelt_out = draw(st.booleans())
    return values[0] if len(set(values)) == 1 and not spelt_out else values
