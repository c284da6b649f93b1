"""``vmap``: a function of one sample as a function of a batch of samples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ParamSpec, TypeAlias

import numpy as np

from ..core.remedies import publish
from ..ops.real import check_callable, kind
from ..ops.shape import concatenate, moveaxis
from ..tensor.tensor import Tensor
from .batched_call import batch
from .pytree import leaves, rebuild
from .recorded_call import named_after
from .values import as_tensor

__all__ = ["vmap"]

P = ParamSpec("P")
Axes: TypeAlias = int | Sequence[Any] | dict[Any, Any] | None


def vmap(f: Callable[P, Any], in_axes: Axes = 0, out_axes: Axes = 0, chunk_size: int | None = None) -> Callable[P, Any]:
    """The function that applies `f`, a function of one sample, to a batch of samples at once.

    `f` is called once, on the first sample; each of its ops runs on the whole batch, too. Gradients pass through, and
    ``vmap(grad(f))`` gives the gradient for each sample. vmap nests, under and over :func:`grad` and :func:`jvp`.

    Args:
        f: the function, of Tensors or arrays in nested containers and of anything else. It must do the same for every sample:
            it must not read values of Tensors in Python, nor change state. Random draws are made for each sample.
        in_axes: the axis of the samples in the arguments, or None for arguments that all samples share: one for all
            arguments, one for each, or nested like the arguments. Keyword arguments are shared.
        out_axes: the axis of the samples in the results: one for all results, or nested like the result.
        chunk_size: the most samples that are computed at once, to save memory.

    Raises:
        ValueError: when called, if the numbers of samples disagree, an axis does not exist, no argument has an axis, or `f`
            depends on values in Python or changes state.

    >>> import numpy as np, tinygrad_cnn as tg
    >>> loss = lambda w, x, y: (tg.dot(x, w) - y) ** 2
    >>> xs, ys = np.eye(2), np.array([1.0, 2.0])
    >>> tg.vmap(tg.grad(loss), in_axes=(None, 0, 0))(np.array([1.0, 1.0]), xs, ys).tolist()
    [[0.0, 0.0], [0.0, -2.0]]
    """
    check_callable("vmap", f)
    if chunk_size is not None and (isinstance(chunk_size, bool) or not isinstance(chunk_size, int) or chunk_size < 1):
        raise ValueError(f"vmap: `chunk_size` is {chunk_size!r}; it must be a positive integer, or None")

    def mapped(*args: P.args, **kwargs: P.kwargs) -> Any:
        values, axes = [leaf for _, leaf in leaves(args)], _axes_of(in_axes, args)
        n = _samples(values, axes)
        moved = [v if axis is None else _first(v, axis) for v, axis in zip(values, axes, strict=True)]
        step = n if chunk_size is None else min(chunk_size, n)
        chunks = range(0, n, max(1, step)) if n else [0]
        parts = []
        for start in chunks:
            stop = min(start + step, n)
            own = moved if stop - start == n else [
                v if axis is None else v[start:stop] for v, axis in zip(moved, axes, strict=True)
            ]  # fmt: skip
            parts.append(batch(f, rebuild(args, own), axes, stop - start, **kwargs))
        return _joined(parts, out_axes)

    return named_after(f, mapped)


def _first(value: Any, axis: int) -> Any:
    tensor = as_tensor(value)
    return tensor if axis == 0 else moveaxis(tensor, axis, 0)


def _axes_of(axes: Any, tree: Any) -> list[int | None]:
    """An axis for each leaf of the arguments, from axes for whole branches."""
    if axes is None or (isinstance(axes, int) and not isinstance(axes, bool)):
        return [axes] * sum(1 for _ in leaves(tree))
    if isinstance(axes, dict) and isinstance(tree, dict) and axes.keys() == tree.keys():
        return [axis for key in tree for axis in _axes_of(axes[key], tree[key])]
    if isinstance(axes, list | tuple) and isinstance(tree, list | tuple) and len(axes) == len(tree):
        return [axis for own, branch in zip(axes, tree, strict=True) for axis in _axes_of(own, branch)]
    raise ValueError(
        f"vmap: `in_axes` or `out_axes` has {axes!r} for {kind(tree):.60}; it must be an axis, None, or nested as arguments "
        "or results are"
    )


def _samples(values: Sequence[Any], axes: Sequence[int | None]) -> int:
    """The number of samples. ValueError if the arguments disagree."""
    sizes: dict[int, str] = {}
    for i, (value, axis) in enumerate(zip(values, axes, strict=True)):
        if axis is None:
            continue
        sizes_of = np.shape(value) if isinstance(value, Tensor | np.ndarray) else None
        if sizes_of is None or not -len(sizes_of) <= axis < len(sizes_of):
            what = f"of shape {sizes_of}" if sizes_of is not None else kind(value)
            raise ValueError(
                f"vmap: leaf {i} of the arguments is {what}, and has no axis {axis} of samples; give None in `in_axes` for "
                "an argument that all samples share"
            )
        sizes.setdefault(sizes_of[axis], f"leaf {i} of the arguments has {sizes_of[axis]} samples along axis {axis}")
    if not sizes:
        raise ValueError("vmap: `in_axes` gives no argument an axis of samples; at least one must have one")
    if len(sizes) > 1:
        raise ValueError(f"vmap: {' but '.join(sizes.values())}; they must agree")
    return next(iter(sizes))


def _joined(parts: list[Any], out_axes: Any) -> Any:
    """The concatenated results of the chunks, with the samples at `out_axes`."""
    columns = list(zip(*([leaf for _, leaf in leaves(part)] for part in parts), strict=True))
    axes = _axes_of(out_axes, parts[0])
    joined = []
    for column, axis in zip(columns, axes, strict=True):
        whole = column[0]
        if isinstance(whole, Tensor):
            if axis is None:
                raise ValueError("vmap: `out_axes` is None for a Tensor; give the axis of the samples")
            whole = whole if len(column) == 1 else concatenate(list(column))
            whole = whole.detach() if axis == 0 and whole._node is None else moveaxis(whole, 0, axis)
        joined.append(whole)
    return rebuild(parts[0], joined)


publish(globals())
