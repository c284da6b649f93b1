"""Sixty-four neighbouring bytes of an image as one value of a compiled loop, for processors that look up bytes in a register.

AVX-512 VBMI takes 64 bytes from a register of 64, or from two of them, by one instruction. So a table of 256 values is looked
up in four registers, and the neighbours of sixteen new pixels are taken from a line, without a load for each of them. Other
processors have no such instruction (`FINDS`). The last bytes of an array are read and written under a mask.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils, codegen, config
from numba.extending import intrinsic

FINDS = "+avx512vbmi" in (codegen.get_host_cpu_features() if config.CPU_FEATURES is None else config.CPU_FEATURES)
"""Whether the processor that is compiled for has these instructions."""

BYTES, LANES, ROWS = 64, 16, 4

_I8, _I16, _I32, _I64 = (ir.IntType(bits) for bits in (8, 16, 32, 64))
_BYTES, _WORDS, _NUMBERS = ir.VectorType(_I8, BYTES), ir.VectorType(_I16, 32), ir.VectorType(_I32, LANES)


def _instruction(typed: Callable[..., Any]) -> Any:
    return intrinsic(typed)


def _at(context: Any, builder: Any, kind: Any, array: Any, index: Any, pointee: Any) -> Any:
    """The address of array[index], where other values are read or written."""
    if kind.layout != "C":
        raise TypeError("an array may have gaps")
    data = context.make_array(kind)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [index]), pointee.as_pointer())


def _call(builder: Any, name: str, result: Any, *args: Any) -> Any:
    kind = ir.FunctionType(result, [arg.type for arg in args])
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), args)


def _mask(builder: Any, bits: Any, lanes: int = BYTES) -> Any:
    """The last `lanes` of 64 bits as a mask."""
    return builder.bitcast(builder.trunc(bits, ir.IntType(lanes)), ir.VectorType(ir.IntType(1), lanes))


def _load(builder: Any, address: Any, mask: Any) -> Any:
    """Bytes where the mask is set, and elsewhere 0: what is not asked for is not read."""
    name = f"llvm.masked.load.v{BYTES}i8.p0"
    return _call(builder, name, _BYTES, address, _I32(1), mask, ir.Constant(_BYTES, None))


def _store(builder: Any, values: Any, address: Any, mask: Any) -> None:
    _call(builder, f"llvm.masked.store.v{values.type.count}i8.p0", ir.VoidType(), values, address, _I32(1), mask)


def _times(builder: Any, number: Any, kind: Any) -> Any:
    """A number in each lane."""
    none = ir.Constant(kind, ir.Undefined)
    first = builder.insert_element(none, number, _I32(0))
    return builder.shuffle_vector(first, none, ir.Constant(ir.VectorType(_I32, kind.count), None))


def _products(builder: Any, pairs: Any, shares: Any) -> Any:
    """Sums of the products of two neighbouring numbers of 16 bits."""
    return _call(builder, "llvm.x86.avx512.pmaddw.d.512", _NUMBERS, pairs, shares)


def _rounded(builder: Any, sums: Any, shift: Any) -> Any:
    """Sums divided by 2^shift, rounded, as bytes."""
    half = builder.lshr(builder.shl(_I32(1), shift), _I32(1))
    sums = builder.ashr(builder.add(sums, _times(builder, half, _NUMBERS)), _times(builder, shift, _NUMBERS))
    for name, bound in (("smax", 0), ("smin", 255)):
        limit = ir.Constant(_NUMBERS, [bound] * LANES)
        sums = _call(builder, f"llvm.{name}.v{LANES}i32", _NUMBERS, sums, limit)
    return builder.trunc(sums, ir.VectorType(_I8, LANES))


def _summed(builder: Any, count: Any, sums: int, terms: Callable[[Any], list[Any]]) -> list[Any]:
    """The sums over t < count, at least 1, of vectors that `terms(t)` gives, in registers."""
    before, body, done = builder.block, builder.append_basic_block("terms"), builder.append_basic_block("sums")
    builder.branch(body)
    builder.position_at_end(body)
    t, held = builder.phi(_I64), [builder.phi(_NUMBERS) for _ in range(sums)]
    totals = [builder.add(old, new) for old, new in zip(held, terms(t), strict=True)]
    after, here = builder.add(t, _I64(1)), builder.block
    for phi, first, later in [
        (t, _I64(0), after), *((old, ir.Constant(_NUMBERS, None), new) for old, new in zip(held, totals, strict=True))
    ]:  # fmt: skip
        phi.add_incoming(first, before)
        phi.add_incoming(later, here)
    builder.cbranch(builder.icmp_signed("<", after, count), body, done)
    builder.position_at_end(done)
    return totals


@_instruction
def look_up(typing: Any, table: Any, x: Any, i: Any, y: Any, j: Any, mask: Any) -> Any:
    """y[j + n] = table[x[i + n]] for each n < BYTES whose bit is set in the mask."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        quarters = [
            builder.load(_at(context, builder, table, args[0], _I64(BYTES * part), _BYTES), align=1)
            for part in range(4)
        ]
        chosen = _mask(builder, args[5])
        at = _load(builder, _at(context, builder, x, args[1], args[2], _BYTES), chosen)
        name = "llvm.x86.avx512.vpermi2var.qi.512"
        low, high = (_call(builder, name, _BYTES, quarters[part], at, quarters[part + 1]) for part in (0, 2))
        found = builder.select(builder.icmp_signed("<", at, ir.Constant(_BYTES, None)), high, low)
        _store(builder, found, _at(context, builder, y, args[3], args[4], _BYTES), chosen)
        return context.get_dummy_value()

    return types.void(table, x, types.intp, y, types.intp, types.uint64), generate


def _across(rows: int) -> Any:
    """Means of neighbours along lines, for so many lines."""

    def typed(
        typing: Any, x: Any, i: Any, pitch: Any, seen: Any, picks: Any, shares: Any, k: Any, pairs: Any, shift: Any, y: Any,
        j: Any, below: Any, mask: Any,
    ) -> Any:  # fmt: skip
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            source, i, pitch, seen, picks_, shares_, k, pairs, shift, target, j, below, mask = args
            inside = _mask(builder, seen)
            lines = [
                _load(
                    builder,
                    _at(context, builder, x, source, builder.add(i, builder.mul(pitch, _I64(r))), _BYTES),
                    inside,
                )
                for r in range(rows)
            ]
            low = ir.Constant(ir.VectorType(ir.IntType(1), BYTES), [1, 0] * 32)

            def terms(t: Any) -> list[Any]:
                place = builder.mul(builder.add(k, t), _I64(32))
                share = builder.load(_at(context, builder, shares, shares_, place, _WORDS), align=1)
                pick = builder.load(
                    _at(context, builder, picks, picks_, builder.mul(place, _I64(2)), _BYTES), align=1
                )  # fmt: skip
                found = []
                for line in lines:
                    taken = _call(builder, "llvm.x86.avx512.permvar.qi.512", _BYTES, line, pick)
                    taken = builder.select(low, taken, ir.Constant(_BYTES, None))
                    found.append(_products(builder, builder.bitcast(taken, _WORDS), share))
                return found

            chosen = _mask(builder, mask, LANES)
            for r, total in enumerate(_summed(builder, pairs, rows, terms)):
                place = builder.add(j, builder.mul(below, _I64(r)))
                values = _rounded(builder, total, shift)
                _store(builder, values, _at(context, builder, y, target, place, values.type), chosen)
            return context.get_dummy_value()

        whole = types.intp
        kinds = x, whole, whole, types.uint64, picks, shares, whole, whole, types.int32, y, whole, whole, types.uint64
        return types.void(*kinds), generate

    return _instruction(typed)


across, across_one = _across(ROWS), _across(1)
"""y[j + r below + n] = a mean of bytes of x[i + r pitch :], for n < LANES whose bit is set in the mask, and r < ROWS, or r = 0.

Of the bytes only those are read whose bits are set in `seen`. The mean is the sum
over t < `pairs` and h < 2 of x[i + r pitch + picks[k + t, n, h]] shares[k + t, n, h] / 2^shift.
"""


@_instruction
def down(
    typing: Any, x: Any, i: Any, pitch: Any, shares: Any, k: Any, pairs: Any, shift: Any, y: Any, j: Any, mask: Any
) -> Any:  # fmt: skip
    """y[j + n] = the sum over t < 2 `pairs` of x[i + t pitch + n] shares[k + t] / 2^shift, for n < BYTES whose bit is set."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        source, i, pitch, shares_, k, pairs, shift, target, j, mask = args
        chosen = _mask(builder, mask)

        def terms(t: Any) -> list[Any]:
            first = builder.mul(t, _I64(2))
            share = builder.load(_at(context, builder, shares, shares_, builder.add(k, first), _I32), align=2)
            share = builder.bitcast(_times(builder, share, _NUMBERS), _WORDS)
            lines = [
                _load(
                    builder, _at(context, builder, x, source, builder.add(i, builder.mul(pitch, line)), _BYTES), chosen
                )
                for line in (first, builder.add(first, _I64(1)))
            ]
            found = []
            for part in range(4):  # sixteen bytes of one line and of the other in turn
                places = [part * LANES + n // 2 + n % 2 * BYTES for n in range(2 * LANES)]
                both = builder.shuffle_vector(*lines, ir.Constant(ir.VectorType(_I32, 2 * LANES), places))
                found.append(_products(builder, builder.zext(both, _WORDS), share))
            return found

        parts = [_rounded(builder, total, shift) for total in _summed(builder, pairs, 4, terms)]
        wide = [
            builder.shuffle_vector(*pair, ir.Constant(ir.VectorType(_I32, 32), list(range(32))))
            for pair in (parts[:2], parts[2:])
        ]
        values = builder.shuffle_vector(*wide, ir.Constant(ir.VectorType(_I32, BYTES), list(range(BYTES))))
        _store(builder, values, _at(context, builder, y, target, j, _BYTES), chosen)
        return context.get_dummy_value()

    whole = types.intp
    kinds = x, whole, whole, shares, whole, whole, types.int32, y, whole, types.uint64
    return types.void(*kinds), generate
