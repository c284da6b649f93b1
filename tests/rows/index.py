"""Rows for ops/index.py and ops/gather.py."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from tinygrad_cnn.ops import gather
from tinygrad_cnn.ops import index as ops
from tinygrad_cnn.testing.cases import Arg, Case

SHAPE = (3, 4, 2)
INDICES: list[Any] = [
    1,
    (slice(None, None, -2), None, 0),
    (..., slice(1, 2)),
    np.array([0, 2, 2, -1]),
    (slice(1), np.array([[3, 0], [0, 1]])),
    (np.array([0, 2]), slice(None), np.array([1, 1])),
    np.arange(24).reshape(SHAPE) % 5 == 0,
    (np.array([True, False, True]), 3),
    (np.array([True, False, True]), np.array([3, 3])),
]


Floats: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.int64]


def _chosen(a: Floats, mask: NDArray[np.bool_]) -> Floats:
    return np.broadcast_to(a, mask.shape)[mask]


def _add_at_zeros(u: Floats, index: Any, shape: tuple[int, ...]) -> Floats:
    out = np.zeros(shape)
    np.add.at(out, index, u)
    return out


def _index_set(x: Floats, index: Any, value: Floats) -> Floats:
    out = x.copy()
    out[index] = value
    return out


def _put_along_axis(a: Floats, indices: Ints, values: Floats, axis: int) -> Floats:
    out = a.copy()
    np.put_along_axis(out, indices, values, axis)
    return out


def _index_add(x: Floats, axis: int | None, index: Ints, src: Floats) -> Floats:
    out = x.copy()
    np.add.at(
        out.reshape(-1) if axis is None else np.moveaxis(out, axis, 0),
        index,
        src if axis is None else np.moveaxis(src, axis, 0),
    )
    return out


def _scatter_add(x: Floats, axis: int, index: Ints, src: Floats) -> Floats:
    out = x.copy()
    for place in np.ndindex(index.shape):
        at = list(place)
        at[axis] = index[place]
        out[tuple(at)] += src[place]
    return out


def _take(a: Floats, indices: Ints, axis: int | None, mode: Any = "raise") -> Floats:
    return np.take(a, indices.astype(np.intp), axis, mode=mode)  # NumPy wants integers of the machine's size


def _value_last(f: Any) -> Any:
    return lambda x, value, index: f(x, index, value)


def _axis_second(f: Any) -> Any:
    return lambda x, index, src, axis: f(x, axis, index, src)


PICKED = np.eye(3)[::-1] + np.eye(3) > 0


def _ints(shape: tuple[int, ...], size: int) -> Arg:
    return Arg(shape, low=-size, high=size - 1, kind="int")


REPEATED = np.array([[0, 4, 0], [2, -1, 3]])
SPOTS = [np.zeros(SHAPE)[index].shape for index in INDICES]
WHOLE, MASK = Arg(SHAPE), Arg((4, 1), kind="bool")
ALONG = [(0, (2, 4, 2)), (1, (3, 1, 2)), (-1, (3, 4, 3))]

CASES = [
    *(Case(ops.getitem, (WHOLE,), lambda a, index: a[index], {"index": index}) for index in INDICES),
    *(
        Case(ops.add_at_zeros, (Arg(spot),), _add_at_zeros, {"index": index, "shape": SHAPE})
        for index, spot in zip(INDICES, SPOTS, strict=True)
    ),
    Case(ops.getitem, (Arg((5,)),), lambda a, index: a[index], {"index": REPEATED}),
    *(
        Case(ops.add_at_zeros, (Arg((2, 3)),), _add_at_zeros, {"index": index, "shape": (5,)})
        for index in (REPEATED, REPEATED % 5)
    ),
    *(
        Case(ops.assign, (WHOLE, Arg(spot)), lambda a, value, index: _index_set(a, index, value), {"index": index})
        for index, spot in zip(INDICES, SPOTS, strict=True)
    ),
    *(
        Case(ops.index_set, (WHOLE, Arg(spot)), _index_set, {"index": index}, via=_value_last)
        for index, spot in (((1, ..., 0), (1,)), (INDICES[3], (4, 1)), (INDICES[4], ()))
    ),
    Case(ops.masked_fill, (WHOLE, MASK, Arg((4, 1))), lambda a, mask, value: np.where(mask, value, a)),
    Case(ops.masked_fill, (WHOLE, MASK), lambda a, mask, value: np.where(mask, value, a), {"value": -1.5}),
    Case(gather.checked, (_ints((2, 3), 4),), lambda a, function, size: a, {"function": "f", "size": 4}, order=0),
    *(Case(gather.take, (WHOLE, _ints((2, 2), n)), _take, {"axis": axis}) for axis, n in ((None, 24), (0, 3), (-1, 2))),
    Case(gather.take, (WHOLE, _ints((), 4)), _take, {"axis": 1}),
    *(Case(gather.take, (WHOLE, _ints((2, 3), 9)), _take, {"axis": 1, "mode": mode}) for mode in ("clip", "wrap")),
    *(
        Case(
            gather.add_taken,
            (Arg(shape), _ints((2, 2), n)),
            lambda u, indices, axis, shape: (
                _index_add(np.zeros(shape), axis, indices, u)
                if axis is None
                else _add_at_zeros(u, (*(slice(None),) * axis, indices), shape)
            ),
            {"axis": axis, "shape": SHAPE},
        )
        for axis, shape, n in ((None, (2, 2), 24), (0, (2, 2, 4, 2), 3), (2, (3, 4, 2, 2), 2))
    ),
    *(
        Case(
            gather.index_add,
            (WHOLE, _ints((3,), SHAPE[axis]), Arg(shape)),
            _index_add,
            {"axis": axis},
            via=_axis_second,
        )
        for axis, shape in ((0, (3, 4, 2)), (-1, (3, 4, 3)))
    ),
    *(
        Case(gather.take_along_axis, (WHOLE, _ints(shape, SHAPE[axis])), np.take_along_axis, {"axis": axis})
        for axis, shape in ALONG
    ),
    Case(gather.take_along_axis, (Arg((1, 3)), _ints((2, 2), 3)), lambda a, i: np.take_along_axis(a, i, -1)),
    Case(gather.take_along_axis, (Arg((2, 3)), _ints((4,), 6)), np.take_along_axis, {"axis": None}),
    Case(
        gather.add_along_axis,
        (Arg((4,)), _ints((4,), 24)),
        lambda u, indices, axis, shape: _index_add(np.zeros(shape), axis, indices, u),
        {"axis": None, "shape": SHAPE},
    ),
    *(
        Case(
            gather.add_along_axis,
            (Arg(shape), _ints(shape, whole[axis])),
            lambda u, indices, axis, shape: _scatter_add(np.zeros(shape), axis, indices, u),
            {"axis": axis, "shape": whole},
        )
        for axis, shape, whole in ((0, (2, 4, 2), SHAPE), (-1, (3, 4, 3), SHAPE), (1, (3, 2, 3), (3, 3, 3)))
    ),
    *(
        Case(gather.put_along_axis, (WHOLE, _ints(shape, SHAPE[axis]), Arg(shape)), _put_along_axis, {"axis": axis})
        for axis, shape in ALONG
    ),
    *(
        Case(ops.masked_select, (Arg(shape),), _chosen, via=lambda f: lambda a: f(a, PICKED))
        for shape in ((3, 3), (3,), (3, 1))
    ),
]
