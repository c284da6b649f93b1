"""Sixteen neighbouring numbers of float32 as one value of a compiled loop.

In a loop over single numbers, the compiler looks for vectors itself, and checks before the loop that no two arrays overlap. It
keeps none of them in registers over the iterations of a loop around it. So where a loop reads the same numbers for every pixel,
it is written with vectors: `load` and `store` move them, and a sum or a product is one instruction, or several on a processor
with shorter registers. No index is checked.
"""

from __future__ import annotations

import operator
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic, models, overload, register_model

LANES = 16

_VECTOR = ir.VectorType(ir.FloatType(), LANES)


class Vector(types.Type):  # type: ignore[misc]
    """The type of a vector."""


vector = Vector("vector")


@register_model(Vector)
class _Model(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, _VECTOR)


def _address(context: Any, builder: Any, kind: Any, array: Any, index: Any) -> Any:
    data = context.make_array(kind)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [index]), _VECTOR.as_pointer())


@intrinsic  # type: ignore[misc]
def load(typing: Any, a: Any, i: Any) -> Any:
    """The numbers a[i : i + LANES]."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.load(_address(context, builder, a, *args), align=4)

    return vector(a, types.intp), generate


@intrinsic  # type: ignore[misc]
def store(typing: Any, a: Any, i: Any, v: Any) -> Any:
    """a[i : i + LANES] = v."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.store(args[2], _address(context, builder, a, *args[:2]), align=4)
        return context.get_dummy_value()

    return types.void(a, types.intp, vector), generate


def _operator(function: Any, instruction: str) -> None:
    """Let `function` of two vectors be this instruction; a product may be fused with a sum."""

    @intrinsic  # type: ignore[misc]
    def of_lanes(typing: Any, a: Any, b: Any) -> Any:
        return vector(vector, vector), lambda context, builder, signature, args: getattr(builder, instruction)(
            *args, flags=("contract",)
        )

    @overload(function)  # type: ignore[misc]
    def of_vectors(a: Any, b: Any) -> Any:
        def computed(a: Any, b: Any) -> Any:
            return of_lanes(a, b)

        return computed if a is vector and b is vector else None


_operator(operator.add, "fadd")
_operator(operator.mul, "fmul")


@numba.njit  # type: ignore[misc]
def zeros(rows: int, length: int) -> np.ndarray:
    """Zeros, with rows that begin at multiples of 64 bytes, if `length` is one of LANES: no vector then lies in two lines of the
    cache."""
    a = np.zeros(rows * length + LANES, np.float32)
    start = (-(a.ctypes.data // 4)) % LANES
    return a[start : start + rows * length].reshape(rows, length)
