"""Activation functions."""

from __future__ import annotations

import math
from typing import Any

from ....core.graph import Array
from ....ops import activation as a
from ....ops import elementwise as e
from ....ops.transcendental import sigmoid
from .base import Weight, pair, reads, writes

pair("Relu", a.relu)
pair("Softsign", a.softsign)


@reads("Softplus")
def _softplus(x: Array) -> Array:
    return a.softplus(x, threshold=math.inf)


@writes(a.softplus)
def _write_softplus(w: Any, x: Any, *, beta: Any, threshold: Any, out: Any) -> Any:
    """For beta x above the threshold, the difference is below e^-threshold."""
    if beta == 1:
        y = w.node("Softplus", x)
    else:
        rate = w.number(beta, out.dtype)
        y = w.node("Div", w.node("Softplus", w.node("Mul", x, rate)), rate)
    if threshold >= 20:
        return y
    return w.node("Where", w.node("Greater", x, w.number(threshold / beta, out.dtype)), x, y)


@reads("LeakyRelu")
def _leaky_relu(x: Array, *, alpha: float = 0.01) -> Array:
    return a.leaky_relu(x, alpha)


@reads("PRelu")
def _prelu(x: Array, slope: Weight) -> Array:
    return a.rectify(x, slope)


@writes(a.rectify)
def _rectify(w: Any, x: Any, slope: Any, *, out: Any) -> Any:
    if isinstance(slope, int | float):
        return w.node("LeakyRelu", x, alpha=float(slope))
    return w.node("PRelu", *w.same(out.dtype, x, slope))


@reads("ThresholdedRelu")
def _thresholded(x: Array, *, alpha: float = 1.0) -> Array:
    return a.threshold(x, alpha, 0.0)


@reads("Elu")
def _elu(x: Array, *, alpha: float = 1.0) -> Array:
    return a.elu(x, alpha)


@reads("Celu")
def _celu(x: Array, *, alpha: float = 1.0) -> Array:
    return a.celu(x, alpha)


@reads("Selu")
def _selu(x: Array, *, alpha: float = 1.6732632423543772, gamma: float = 1.0507009873554805) -> Array:
    return a.exponential_linear(x, alpha=alpha, scale=gamma, rate=1.0)


@writes(a.exponential_linear)
def _exponential_linear(w: Any, x: Any, *, alpha: Any, scale: Any, rate: Any) -> Any:
    if rate == 1 and scale == 1:
        return w.node("Elu", x, alpha=float(alpha))
    if rate == 1:
        return w.node("Selu", x, alpha=float(alpha), gamma=float(scale))
    if alpha * rate == 1 and scale == 1:
        return w.node("Celu", x, alpha=1 / rate)
    w.refuse(True, "is an exponential unit that ONNX does not name")
    return None


@writes(a.hardtanh)
def _hardtanh(w: Any, x: Any, *, min_val: Any, max_val: Any, out: Any) -> Any:
    return w.node("Clip", x, w.number(min_val, out.dtype), w.number(max_val, out.dtype))


@reads("HardSigmoid")
def _hard_sigmoid(x: Array, *, alpha: float = 0.2, beta: float = 0.5) -> Array:
    return a.hardtanh(e.add(e.mul(x, alpha), beta), min_val=0.0, max_val=1.0)


@writes(a.hardsigmoid)
def _write_hard_sigmoid(w: Any, x: Any, *, out: Any) -> Any:
    zero, three, six = (w.number(c, out.dtype) for c in (0, 3, 6))  # HardSigmoid would round otherwise
    return w.node("Div", w.node("Clip", w.node("Add", x, three), zero, six), six)


@reads("HardSwish")
def _hard_swish(x: Array) -> Array:
    return a.hardswish(x)


@writes(a.hardswish)
def _write_hard_swish(w: Any, x: Any) -> Any:
    if w.opset >= 14:
        return w.node("HardSwish", x)
    return w.node("Mul", x, w.node("HardSigmoid", x, alpha=1 / 6, beta=0.5))


@reads("Shrink")
def _shrink(x: Array, *, bias: float = 0.0, lambd: float = 0.5) -> Array:
    y = e.where(x < -lambd, x + bias, e.where(x > lambd, x - bias, 0))
    return y if y.dtype == x.dtype else y.astype(x.dtype)


@writes(a.logsigmoid)
def _logsigmoid(w: Any, x: Any) -> Any:
    return w.node("Neg", w.node("Softplus", w.node("Neg", x)))


@writes(a.tanhshrink)
def _tanhshrink(w: Any, x: Any) -> Any:
    return w.node("Sub", x, w.node("Tanh", x))


@writes(a.silu)
def _silu(w: Any, x: Any) -> Any:
    return w.node("Mul", x, w.node("Sigmoid", x))


@reads("Swish")
def _swish(x: Array, *, alpha: float = 1.0) -> Array:
    return a.silu(x) if alpha == 1 else e.mul(x, sigmoid(e.mul(x, alpha)))


@reads("Mish")
def _mish(x: Array) -> Array:
    return a.mish(x)


@writes(a.mish)
def _write_mish(w: Any, x: Any) -> Any:
    return w.node("Mish", x) if w.opset >= 18 else w.node("Mul", x, w.node("Tanh", w.node("Softplus", x)))


@reads("Gelu")
def _gelu(x: Array, *, approximate: str = "none") -> Array:
    return a.gelu(x, approximate=approximate)


@writes(a.gelu)
def _write_gelu(w: Any, x: Any, *, approximate: Any, out: Any) -> Any:
    if w.opset >= 20:
        return w.node("Gelu", x, approximate=approximate)
    half, one = w.number(0.5, out.dtype), w.number(1.0, out.dtype)
    if approximate == "none":
        inner = w.node("Erf", w.node("Mul", x, w.number(math.sqrt(0.5), out.dtype)))
    else:
        cube = w.node("Mul", w.node("Mul", x, w.node("Mul", x, x)), w.number(a.BEND, out.dtype))
        inner = w.node("Tanh", w.node("Mul", w.node("Add", x, cube), w.number(a.ROOT, out.dtype)))
    return w.node("Mul", w.node("Mul", x, half), w.node("Add", one, inner))
