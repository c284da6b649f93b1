"""Sixteen neighbouring numbers of float32 as one value of a compiled loop.

In a loop over single numbers, the compiler looks for vectors itself, and checks before the loop that no two arrays overlap. It
keeps none of them in registers over the iterations of a loop around it. So where a loop reads the same numbers for every pixel,
it is written with vectors: `load` and `store` move them, and a sum or a product is one instruction, or several on a processor
with shorter registers. No index is checked.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, overload, register_model

LANES = 16

_VECTOR = ir.VectorType(ir.FloatType(), LANES)


class Vector(types.Type):  # type: ignore[misc]
    """The type of a vector."""


vector = Vector("vector")


class _Model(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, _VECTOR)


register_model(Vector)(_Model)


def _instruction(typed: Callable[..., Any]) -> Any:
    return intrinsic(typed)


def _address(context: Any, builder: Any, kind: Any, array: Any, index: Any) -> Any:
    data = context.make_array(kind)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [index]), _VECTOR.as_pointer())


@_instruction
def load(typing: Any, a: Any, i: Any) -> Any:
    """The numbers a[i : i + LANES]."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.load(_address(context, builder, a, *args), align=4)

    return vector(a, types.intp), generate


@_instruction
def store(typing: Any, a: Any, i: Any, v: Any) -> Any:
    """a[i : i + LANES] = v."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.store(args[2], _address(context, builder, a, *args[:2]), align=4)
        return context.get_dummy_value()

    return types.void(a, types.intp, vector), generate


@_instruction
def nothing(typing: Any) -> Any:
    """Zeros."""
    return vector(), lambda context, builder, signature, args: ir.Constant(_VECTOR, None)


@_instruction
def splat(typing: Any, a: Any) -> Any:
    """A number of float32 sixteen times."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        none, first = ir.Constant(_VECTOR, ir.Undefined), ir.IntType(32)
        one = builder.insert_element(none, args[0], first(0))
        return builder.shuffle_vector(one, none, ir.Constant(ir.VectorType(first, LANES), None))

    return vector(types.float32), generate


@_instruction
def sum_of(typing: Any, v: Any) -> Any:
    """The sum of the numbers, in any order."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        number = ir.FloatType()
        kind = ir.FunctionType(number, [number, _VECTOR])
        add = cgutils.get_or_insert_function(builder.module, kind, f"llvm.vector.reduce.fadd.v{LANES}f32")
        return builder.call(add, [number(-0.0), args[0]], fastmath=("reassoc",))

    return types.float32(v), generate


def _operator(function: Any, name: str) -> None:
    """Let `function` of two vectors be the instruction of this name; a product may be fused with a sum."""

    @_instruction
    def of_lanes(typing: Any, a: Any, b: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return getattr(builder, name)(*args, flags=("contract",))

        return vector(a, b), generate

    def of_types(a: Any, b: Any) -> Any:
        def computed(a: Any, b: Any) -> Any:
            return of_lanes(a, b)

        return computed if a is vector and b is vector else None

    overload(function)(of_types)


_operator(operator.add, "fadd")
_operator(operator.sub, "fsub")
_operator(operator.mul, "fmul")
