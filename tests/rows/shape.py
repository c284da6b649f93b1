"""Rows for ops/shape.py."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_cnn.ops import shape as ops
from tinygrad_cnn.testing.cases import Arg, Case

CUBE = Arg((2, 3, 4))
BORDER = ((1, 0), (0, 2), (1, 1))


def _pad(a: NDArray[Any], pad_width: Any, mode: Any) -> NDArray[Any]:
    return np.pad(a, pad_width, mode={"replicate": "edge", "circular": "wrap"}.get(mode, mode))


def _cropped(a: NDArray[Any], pad_width: Any, mode: Any) -> NDArray[Any]:
    """As PyTorch: reflected borders are made before the crop, all others after it."""
    border = np.maximum(pad_width, 0).tolist()
    a = np.pad(a, border, mode=mode) if mode == "reflect" else a
    for axis, pair in enumerate(pad_width):
        a = np.take(a, range(max(-pair[0], 0), a.shape[axis] - max(-pair[1], 0)), axis)
    return a if mode == "reflect" else np.pad(a, border, mode=mode)


def _reshape(a: NDArray[Any], shape: Any) -> NDArray[Any]:
    return np.reshape(a, shape)  # the keyword `shape` is new in NumPy 2.1


CASES = [
    Case(ops.reshape, (CUBE,), _reshape, {"shape": (4, -1)}),
    Case(ops.reshape, (CUBE,), _reshape, {"shape": 24}),
    *(
        Case(ops.reshape, (CUBE,), lambda a, shape, order: np.reshape(a, shape, order), {"shape": (4, -1), "order": o})
        for o in "CF"
    ),
    Case(ops.ravel, (CUBE,), np.ravel, {"order": "F"}),
    Case(ops.flatten, (CUBE,), lambda a, order: a.flatten(order), {"order": "F"}),
    Case(
        ops.flatten,
        (CUBE,),
        lambda a, start_axis, order: np.stack([x.flatten(order) for x in a]),
        {"start_axis": 1, "order": "F"},
    ),
    Case(
        ops.concatenate,
        (Arg((2, 3)), Arg((1, 3))),
        np.concatenate,
        {"dtype": np.float64, "casting": "safe"},
        sequence=True,
    ),
    Case(ops.stack, (Arg((2, 3)), Arg((2, 3))), np.stack, {"dtype": np.float64}, sequence=True),
    Case(ops.reshape, (Arg((1,)),), _reshape, {"shape": ()}),
    Case(ops.transpose, (CUBE,), np.transpose),
    Case(ops.transpose, (CUBE,), np.transpose, {"axes": (1, -1, 0)}),
    Case(ops.broadcast_to, (Arg((3, 1)),), np.broadcast_to, {"shape": (2, 3, 4)}),
    Case(ops.broadcast_to, (Arg((3, 1)),), np.broadcast_to, {"shape": (3, 3, 3)}),
    Case(ops.broadcast_to, (Arg(()),), np.broadcast_to, {"shape": (2,)}),
    Case(ops.sum_to, (CUBE,), lambda a, shape: a.sum(axis=(0, 2), keepdims=True).reshape(shape), {"shape": (3, 1)}),
    Case(ops.sum_to, (CUBE,), lambda a, shape: a.sum(), {"shape": ()}),
    Case(ops.concatenate, (Arg((2, 3)), Arg((1, 3)), Arg((0, 3))), np.concatenate, sequence=True),
    Case(ops.concatenate, (Arg((2, 3)), Arg((2, 1))), np.concatenate, {"axis": -1}, sequence=True),
    Case(ops.concatenate, (Arg((2, 3)), Arg((2,)), Arg(())), np.concatenate, {"axis": None}, sequence=True),
    Case(ops.stack, (Arg((2, 3)), Arg((2, 3))), np.stack, {"axis": 1}, sequence=True),
    Case(ops.expand_dims, (CUBE,), np.expand_dims, {"axis": (0, -1)}),
    Case(ops.squeeze, (Arg((1, 3, 1)),), np.squeeze),
    Case(ops.squeeze, (Arg((3, 1, 3)),), np.squeeze),
    Case(ops.squeeze, (Arg((1, 3, 1)),), np.squeeze, {"axis": -1}),
    Case(ops.swapaxes, (CUBE,), np.swapaxes, {"axis1": 0, "axis2": -1}),
    Case(ops.matrix_transpose, (CUBE,), np.matrix_transpose),
    Case(ops.pad_constant, (CUBE,), lambda a, pad_width: np.pad(a, pad_width), {"pad_width": BORDER}),
    Case(ops.pad, (CUBE,), np.pad, {"pad_width": BORDER, "constant_values": 1.5}),
    Case(ops.pad, (CUBE,), np.pad, {"pad_width": 2}),
    *(
        Case(
            ops.pad,
            (Arg((2, 3, 4), distinct=mode in ("maximum", "minimum", "median")),),
            np.pad,
            {"pad_width": BORDER, "mode": mode, **more},
        )
        for mode, more in (
            ("mean", {}),
            ("maximum", {"stat_length": 2}),
            ("minimum", {}),
            ("median", {"stat_length": ((1, 2), (3, 1), (9, 2))}),
            ("linear_ramp", {}),
            ("linear_ramp", {"end_values": ((1.0, 2.0), (3.0, 4.0), (5.0, -6.0))}),
        )
    ),
    Case(ops.pad, (CUBE,), np.pad, {"pad_width": BORDER, "constant_values": ((1.0, 2.0), (3.0, 4.0), (5.0, -6.0))}),
    *(
        Case(ops.pad, (CUBE,), np.pad, {"pad_width": BORDER, "mode": mode})
        for mode in ("reflect", "symmetric", "edge", "wrap")
    ),
    *(
        Case(ops.pad, (CUBE,), _pad, {"pad_width": ((0, 0), (0, 0), (7, 5)), "mode": mode})
        for mode in ("reflect", "replicate", "circular")
    ),
    *(
        Case(ops.pad, (Arg((2, 4, 3)),), _cropped, {"pad_width": ((1, 0), (-1, 2), (0, -2)), "mode": mode})
        for mode in ("constant", "reflect", "edge", "wrap")
    ),
    Case(ops.moveaxis, (CUBE,), np.moveaxis, {"source": 0, "destination": -1}),
    Case(ops.moveaxis, (CUBE,), np.moveaxis, {"source": (0, 2), "destination": (-1, 0)}),
    Case(ops.ravel, (CUBE,), np.ravel),
    Case(ops.flatten, (Arg(()),), np.ravel),
    Case(ops.flatten, (CUBE,), np.ravel),
    Case(ops.flatten, (CUBE,), lambda a, start_axis: a.reshape(len(a), -1), {"start_axis": 1}),
    Case(ops.flatten, (CUBE,), lambda a, end_axis: a.reshape(-1, a.shape[-1]), {"end_axis": -2}),
]
