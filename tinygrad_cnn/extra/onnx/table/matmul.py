"""Products of matrices and tensors."""

from __future__ import annotations

from typing import Any

import numpy as np

from ....core.graph import Array
from ....ops import elementwise as e
from ....ops import matmul as m
from ....ops import shape as s
from ....ops.einsum import contract, einsum
from ....ops.linalg import det, det_sign, log_abs_det
from .base import Weight, dtype_of, flat, reads, writes


@reads("MatMul")
def _matmul(a: Array, b: Weight) -> Array:
    return m.matmul(a, b)


@writes(m.matmul)
def _write_matmul(w: Any, a: Any, b: Any, *, out: Any) -> Any:
    return w.node("MatMul", *w.same(out.dtype, a, b))


@reads("Gemm")
def _gemm(
    a: Array, b: Weight, c: Weight = None, *, alpha: float = 1.0, beta: float = 1.0, transA: int = 0, transB: int = 0,
    broadcast: int = 0,
) -> Array:  # fmt: skip
    a = s.transpose(a) if transA else a
    bias = c if c is None or beta == 1 else e.mul(c, beta)
    rows = np.shape(b)[0 if transB else 1]
    if transB and alpha == 1 and np.shape(bias) == (rows,) and dtype_of(a).kind == "f":
        return m.linear(a, b, bias)
    y: Array = m.matmul(a, s.transpose(b) if transB else b)
    y = y if alpha == 1 else e.mul(y, alpha if dtype_of(y).kind == "f" else int(alpha))
    return y if bias is None else e.add(y, bias)


@writes(m.linear)
def _linear(w: Any, x: Any, weight: Any, b: Any = None, *, out: Any) -> Any:
    x, weight = w.same(out.dtype, x, weight)
    b = None if b is None else w.as_dtype(b, out.dtype)
    if len(x.shape) == 2:
        return w.node("Gemm", x, weight, *([] if b is None else [b]), transB=1)
    y = w.node("MatMul", x, w.node("Transpose", weight, perm=[1, 0]))
    return y if b is None else w.node("Add", y, b)


@reads("Einsum")
def _einsum(*inputs: Weight, equation: str) -> Array:
    return einsum(equation.replace(" ", ""), *inputs)


@writes(contract)
def _contract(w: Any, *operands: Any, subscripts: Any, out: Any) -> Any:
    return w.node("Einsum", *w.same(out.dtype, *operands), equation=subscripts)


@reads("Det")
def _det(x: Array) -> Array:
    return det(x)


@writes(det)
def _write_det(w: Any, a: Any) -> Any:
    return w.node("Det", a)


@flat
def integer_product(a: Any, b: Any) -> Any:
    """The product of matrices of small integers, in int32."""
    return np.matmul(a.astype(np.int32), b.astype(np.int32))


@flat
def _less(x: Any, zero: Any) -> Any:
    """x - zero in int32."""
    return x.astype(np.int32) - zero.astype(np.int32)


@reads("MatMulInteger")
def _matmul_integer(a: Array, b: Array, a_zero_point: Array = None, b_zero_point: Array = None) -> Array:
    if a_zero_point is not None and np.ndim(a_zero_point) == 1:
        a_zero_point = s.expand_dims(a_zero_point, -1)  # one for each row
    a = a if a_zero_point is None else _less(a, a_zero_point)
    b = b if b_zero_point is None else _less(b, b_zero_point)
    return integer_product(a, b)


@writes(det_sign, log_abs_det)
def _slogdet(w: Any, a: Any) -> Any:
    value = w.node("Det", a)
    return w.node("Sign", value) if w.record.op.name == "det_sign" else w.node("Log", w.node("Abs", value))
