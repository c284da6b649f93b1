"""Functions of normalization layers: of a batch, an instance, a group of channels, a layer, and by the root mean square.

The ops are in ``standardize.py``: here are the axes of each layer, its running statistics, and the checks of its arguments.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.graph import Array
from . import lists
from .elementwise import div, maximum, mul
from .half import in_float32
from .in_place import update_
from .real import is_integer, not_negative, positive, real
from .reduce import norm
from .shape import Axis, get_shape, pad_constant, reshape, slice_axis
from .standardize import Over, moments, normalized, normalized_by

if TYPE_CHECKING:
    from ..tensor import Tensor

__all__ = [
    "batch_norm",
    "group_norm",
    "instance_norm",
    "layer_norm",
    "local_response_norm",
    "normalize",
    "rms_norm",
]


def batch_norm(
    x: Array,
    running_mean: Array,
    running_var: Array,
    weight: Array = None,
    bias: Array = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """y = (x - mean) / sqrt(var + eps) weight + bias, with one mean and variance for each channel.

    In training, the mean and variance are those of the batch (the variance divided by n), and the running statistics, if given,
    are updated in place: running = (1 - momentum) running + momentum batch, with the variance divided by n - 1. Otherwise the
    running statistics are used. Ioffe and Szegedy, arXiv:1502.03167.

    Args:
        x: (N, C, ...), at least two axes.
        running_mean, running_var: (C,), leaf Tensors or arrays; may be None in training. An empty batch does not change them.
        weight, bias: (C,), or None for 1 and 0.
        training: use the statistics of the batch.
        momentum: the weight of the batch in the running statistics.
        eps: added to the variance to avoid division by zero: above 0 in training, else not negative.

    Raises:
        ValueError: for a wrong shape, no running statistics outside training, one value per channel in training, or a number
            out of range.
        TypeError: for running statistics that are neither Tensors nor arrays, or an option that is not a real number.
    """
    return by_statistics(x, running_mean, running_var, weight, bias, training, momentum, eps)


def by_statistics(
    x: Array, running_mean: Array, running_var: Array, weight: Array, bias: Array, training: bool, momentum: float,
    eps: float, by_batch: Callable[..., Tensor] = normalized, by_running: Callable[..., Tensor] = normalized_by,
) -> Tensor:  # fmt: skip
    """:func:`batch_norm` by ops that take the inputs of :func:`normalized` and of :func:`normalized_by`."""
    (positive if training else not_negative)("batch_norm", "eps", eps)
    channels = _channels("batch_norm", x, running_mean=running_mean, running_var=running_var, weight=weight, bias=bias)
    rank = len(get_shape(x))
    shape = (1, channels, *[1] * (rank - 2))
    if not training:
        return _by_running("batch_norm", x, running_mean, running_var, weight, bias, eps, by_running)
    axis = (0, *range(2, rank))
    return _by_batch("batch_norm", x, running_mean, running_var, weight, bias, momentum, eps, axis, shape, by_batch)


def instance_norm(
    x: Array,
    running_mean: Array = None,
    running_var: Array = None,
    weight: Array = None,
    bias: Array = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """:func:`batch_norm` with a mean and variance for each channel of each example; x is (N, C, ...), three axes or more.

    The running statistics, if given, track the averages over the batch. Ulyanov et al., arXiv:1607.08022.

    Raises:
        ValueError: for a wrong shape, missing running statistics if they are to be used, one value per channel, or a negative
            `eps`.
        TypeError: for running statistics that are neither Tensors nor arrays, or an option that is not a real number.
    """
    eps = not_negative("instance_norm", "eps", eps)
    stated = {"running_mean": running_mean, "running_var": running_var, "weight": weight, "bias": bias}
    channels = _channels("instance_norm", x, least=3, **stated)
    rank = len(get_shape(x))
    shape = (1, channels, *[1] * (rank - 2))
    if not use_input_stats:
        return _by_running("instance_norm", x, running_mean, running_var, weight, bias, eps)
    axis = tuple(range(2, rank))
    return _by_batch("instance_norm", x, running_mean, running_var, weight, bias, momentum, eps, axis, shape)


def group_norm(x: Array, num_groups: int, weight: Array = None, bias: Array = None, eps: float = 1e-5) -> Tensor:
    """y = (x - mean) / sqrt(var + eps) weight + bias, with a mean and variance for each group of channels of each example.

    Wu and He, "Group normalization", arXiv:1803.08494.

    Args:
        x: (N, C, ...), at least two axes.
        num_groups: the number of groups, each of C / num_groups channels.
        weight, bias: (C,), or None for 1 and 0.
        eps: added to the variance to avoid division by zero.

    Raises:
        ValueError: for a wrong shape, a negative `eps`, or if `num_groups` does not divide the channels.
    """
    eps = not_negative("group_norm", "eps", eps)
    channels = _channels("group_norm", x, weight=weight, bias=bias)
    if num_groups < 1 or channels % num_groups:
        raise ValueError(f"group_norm: `num_groups` is {num_groups}; it must divide the {channels} channels of `x`")
    n, _, *rest = get_shape(x)
    split = reshape(x, shape=(n, num_groups, channels // num_groups, *rest))
    small = (num_groups, channels // num_groups, *(1 for _ in rest))
    w, b = (None if a is None else reshape(a, shape=small) for a in (weight, bias))
    return reshape(_by_rows(split, w, b, Over(tuple(range(2, split.ndim)), eps)), shape=get_shape(x))


def layer_norm(
    x: Array, normalized_shape: int | Sequence[int], weight: Array = None, bias: Array = None, eps: float = 1e-5
) -> Tensor:
    """y = (x - mean) / sqrt(var + eps) weight + bias, with a mean and variance over the last axes of each example.

    Ba, Kiros and Hinton, "Layer normalization", arXiv:1607.06450.

    Args:
        x: (..., *normalized_shape).
        normalized_shape: the sizes of the last axes.
        weight, bias: of `normalized_shape`, or None for 1 and 0.
        eps: added to the variance to avoid division by zero.

    Raises:
        ValueError: if a shape disagrees with `normalized_shape`, or for a negative `eps`.
    """
    eps = not_negative("layer_norm", "eps", eps)
    axis = _last_axes("layer_norm", x, normalized_shape, weight=weight, bias=bias)
    return _by_rows(x, weight, bias, Over(axis, eps))


def rms_norm(x: Array, normalized_shape: int | Sequence[int], weight: Array = None, eps: float | None = None) -> Tensor:
    """y = x / sqrt(mean of x^2 + eps) weight, with the mean over the last axes of each example.

    Zhang and Sennrich, "Root mean square layer normalization", arXiv:1910.07467.

    Args:
        x: (..., *normalized_shape).
        normalized_shape: the sizes of the last axes.
        weight: of `normalized_shape`, or None for 1.
        eps: added to the mean to avoid division by zero; by default the dtype's machine epsilon.

    Raises:
        ValueError: if a shape disagrees with `normalized_shape`, or for a negative `eps`.
    """
    axis = _last_axes("rms_norm", x, normalized_shape, weight=weight)
    small = float(np.finfo(x.dtype).eps) if eps is None else not_negative("rms_norm", "eps", eps)
    return _by_rows(x, weight, None, Over(axis, small, centred=False))


def local_response_norm(x: Array, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> Tensor:
    """y = x / (k + alpha mean)^beta, with the mean of x^2 over `size` neighbouring channels, zeros beyond the ends.

    Krizhevsky, Sutskever and Hinton, "ImageNet classification with deep convolutional neural networks", 2012.

    Args:
        x: (N, C, ...), at least three axes.
        size: the number of channels in a window; if it is even, one more channel before than after.
        alpha, beta, k: as above.

    Raises:
        ValueError: if x has fewer axes, or `size` is not an integer of at least 1.
        TypeError: if `alpha`, `beta` or `k` is not a real number.
    """
    alpha, beta, k = (real("local_response_norm", *given) for given in (("alpha", alpha), ("beta", beta), ("k", k)))
    channels = _channels("local_response_norm", x, least=3)
    if not is_integer(size) or size < 1:
        raise ValueError(f"local_response_norm: `size` is {size!r}; it must be an integer of at least 1")
    size = int(size)
    width = [(0, 0)] * len(get_shape(x))
    width[1] = (size // 2, (size - 1) // 2)
    squares = pad_constant(mul(x, x), pad_width=width)
    total = slice_axis(squares, 0, channels, 1)
    for i in range(1, size):
        total = total + slice_axis(squares, i, i + channels, 1)
    return div(x, (total * (alpha / size) + k) ** beta)


def normalize(x: Array, p: float = 2.0, axis: Axis = 1, eps: float = 1e-12) -> Tensor:
    """y = x / max(norm of x over `axis`, eps): vectors scaled to length 1; zero vectors stay zero.

    Args:
        x: any shape.
        p: the order of the norm, see :func:`~tinygrad_cnn.norm`.
        axis: the axis, or axes, of the vectors.
        eps: the smallest divisor.

    Raises:
        ValueError: for a negative `eps`, or an order that :func:`~tinygrad_cnn.norm` refuses.
    """
    return _normalize(x, p, axis, not_negative("normalize", "eps", eps))


@in_float32
def _normalize(x: Array, p: float, axis: Axis, eps: float) -> Tensor:
    """x / max(norm of x over `axis`, eps)."""
    y: Tensor = x / maximum(norm(x, p, axis=axis, keepdims=True), eps)
    return y


def _channels(name: str, x: Array, least: int = 2, **stated: Array) -> int:
    """The number of channels of x (N, C, ...); the shapes of all arrays in `stated` must match it."""
    shape = get_shape(x)
    if len(shape) < least:
        form = "(N, C, ...)" if least == 2 else "(N, C, L, ...)"
        raise ValueError(f"{name}: `x` has shape {shape}; it must be {form}, of at least {least} axes: reshape it")
    _same_shape(name, (shape[1],), "one for each channel of `x`", stated)
    return int(shape[1])


def _last_axes(name: str, x: Array, normalized_shape: int | Sequence[int], **stated: Array) -> tuple[int, ...]:
    wanted = (normalized_shape,) if is_integer(normalized_shape) else tuple(normalized_shape)
    shape = get_shape(x)
    if not wanted or shape[len(shape) - len(wanted) :] != wanted:
        raise ValueError(f"{name}: `x` has shape {shape}; it must end with `normalized_shape` {wanted}")
    _same_shape(name, wanted, "`normalized_shape`", stated)
    return tuple(range(len(shape) - len(wanted), len(shape)))


def _same_shape(name: str, wanted: tuple[int, ...], why: str, stated: dict[str, Array]) -> None:
    for label, value in stated.items():
        if value is not None and get_shape(value) != wanted:
            raise ValueError(f"{name}: `{label}` has shape {get_shape(value)}; it must be {wanted}, {why}")


def _by_batch(
    name: str, x: Array, running_mean: Array, running_var: Array, weight: Array, bias: Array, momentum: float, eps: float,
    axis: tuple[int, ...], shape: tuple[int, ...], normalized: Callable[..., Tensor] = normalized,
) -> Tensor:  # fmt: skip
    """x normalized by its own statistics over `axis`; updates the running statistics."""
    sizes = get_shape(x)
    n = math.prod([sizes[i] for i in axis])
    if n == 1:
        raise ValueError(
            f"{name}: `x` has shape {sizes}, a single value for each mean; a variance needs at least two: use a larger "
            "batch, or the running statistics"
        )
    over = Over(axis, eps)
    stats = moments(x, over=over)
    _update(name, running_mean, running_var, stats, n, momentum)
    w, b = (None if a is None else reshape(a, shape=shape) for a in (weight, bias))
    return normalized(x, w, b, stats, over=over)


def _by_rows(x: Array, weight: Array, bias: Array, over: Over) -> Tensor:
    """x normalized over its last axes, with a weight and a bias for each element of a row."""
    return normalized(x, weight, bias, moments(x, over=over), over=over)


def _by_running(
    name: str, x: Array, mean: Array, var: Array, weight: Array, bias: Array, eps: float,
    normalized_by: Callable[..., Tensor] = normalized_by,
) -> Tensor:  # fmt: skip
    if mean is None or var is None:
        label = "running_mean" if mean is None else "running_var"
        raise ValueError(f"{name}: `{label}` is None; it is needed unless the statistics of the input are used")
    if hasattr(x, "_node"):
        mean, var = _shared(name, "running_mean", mean), _shared(name, "running_var", var)
    return normalized_by(x, mean, var, weight, bias, eps=eps)


def _update(name: str, running_mean: Array, running_var: Array, stats: Array, n: int, momentum: Any) -> None:
    """Update the running statistics with the moments of `n` values each, averaged over the batch if there are several."""
    if not hasattr(momentum, "_node"):
        momentum = real(name, "momentum", momentum)
    if not n or not stats.size:  # an empty batch has no moments
        return
    for label, running, i, scale in (
        ("running_mean", running_mean, 0, 1.0),
        ("running_var", running_var, 1, n / max(n - 1, 1)),
    ):
        if running is not None:
            update_(_shared(name, label, running), _moved, stats, momentum, i, scale)


def _moved(running: np.ndarray, stats: np.ndarray, share: Any, i: int, scale: float) -> np.ndarray:
    """A running statistic moved to moment i of the batch, times `scale`; the mean of several."""
    each = stats[i].reshape(-1, *running.shape)
    batch = each[0] if len(each) == 1 else np.add.reduce(each, 0) / len(each)
    return np.asarray(running * (1 - share) + batch * (share * scale))


def _shared(name: str, label: str, statistic: Array) -> Tensor:
    """A running statistic as a Tensor that shares its memory."""
    if hasattr(statistic, "_node"):
        return statistic  # type: ignore[no-any-return]
    if not isinstance(statistic, np.ndarray):
        raise TypeError(f"{name}: `{label}` is a {type(statistic).__name__}; it must be a Tensor or an array")
    return lists.tensor(statistic.view(np.ndarray))  # type: ignore[no-any-return]
