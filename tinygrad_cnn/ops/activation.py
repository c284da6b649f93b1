"""Activation functions, with PyTorch's names and arguments.

In docstrings, g is the incoming gradient and a' the gradient with respect to a. At a kink each function has PyTorch's
subgradient; `docs/subgradients.md` lists them. Values and derivatives are finite for every finite input: an argument is clipped
where a factor has reached its limit, before the factor is multiplied by a large number.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from ..core.graph import Array, Tensor, op
from .compare import greater_equal, less_equal, logical_and
from .elementwise import abs as absolute
from .elementwise import clip, in_floats, mul, square, sub, where, zero_gradient
from .half import in_float32
from .random import Seed, generator
from .real import not_negative, positive, real
from .shape import reshape, slice_axis
from .transcendental import FLAT, FLAT_SQUARED, expm1, sigmoid, sigmoid_pull, tanh

__all__ = [
    "celu", "elu", "gelu", "glu", "hardshrink", "hardsigmoid", "hardswish", "hardtanh", "leaky_relu", "logsigmoid", "mish",
    "prelu", "relu", "relu6", "rrelu", "selu", "silu", "softplus", "softshrink", "softsign", "tanhshrink", "threshold",
]  # fmt: skip

# Piecewise linear


@op(elementwise=True)
def relu(a: Array) -> Array:
    """y = max(a, 0); a 0 may have either sign.   a' = g where a > 0, else 0: the subgradient at 0 is 0."""
    return np.maximum(a, 0)


relu.vjp(a=lambda g, y: where(y > 0, g, 0))


@op(elementwise=True)
def rectify(a: Array, slope: Array) -> Array:
    """y = a where a > 0, else slope a.   a' = g where a > 0, else g slope;   slope' = g a where a <= 0, else 0."""
    return where(np.greater(a, 0), a, np.minimum(a, 0) * slope)


@op(elementwise=True, linear=["u"])
def rectify_pull(u: Array, a: Array, slope: Array) -> Array:
    """y = u where a > 0, else u slope: the gradient in a for rectify(a, slope).

    u' = g where a > 0, else g slope;   a' = 0;   slope' = g u where a <= 0, else 0.
    """
    return where(np.greater(a, 0), u, u * slope)


rectify.vjp(a=lambda g, a, slope: rectify_pull(g, a, slope),
            slope=lambda g, a: g * where(a > 0, 0, a))  # fmt: skip
rectify_pull.vjp(u=lambda g, a, slope: rectify_pull(g, a, slope),
                 a=zero_gradient,
                 slope=lambda g, u, a: g * where(a > 0, 0, u))  # fmt: skip


def leaky_relu(a: Array, negative_slope: float = 0.01) -> Tensor:
    """y = a where a > 0, else negative_slope a.   a' = g where a > 0, else g negative_slope.

    Raises:
        TypeError: if `negative_slope` is not a number.
    """
    remedy = "; for a slope that is learned use prelu"
    return rectify(a, real("leaky_relu", "negative_slope", negative_slope, remedy=remedy))


def prelu(a: Array, weight: Array) -> Tensor:
    """y = a where a > 0, else weight a, with a learned weight: one in all, or one for each channel.

    He et al., "Delving deep into rectifiers", 2015.

    Args:
        a: (N, C, ...), or any shape if there is one weight.
        weight: () or (1,), or (C,).

    Raises:
        ValueError: if `weight` has another shape.
    """
    shape, sizes = np.shape(a), np.shape(weight)
    if sizes in ((), (1,)):
        return rectify(a, reshape(weight, shape=()) if sizes else weight)
    channels = shape[1] if len(shape) > 1 else 1
    if sizes != (channels,):
        raise ValueError(
            f"prelu: `weight` has shape {sizes} but `a` {shape} has {channels} on its axis of channels; "
            f"give one weight, or shape ({channels},)"
        )
    return rectify(a, reshape(weight, shape=(channels, *(1,) * (len(shape) - 2))))


@op(differentiable=False)
def drawn_slopes(a: Array, *, lower: float, upper: float, rng: Seed) -> Array:
    """y = a number for each element of a, drawn uniformly from `lower` to `upper`, without a gradient."""
    return generator(rng).uniform(lower, upper, np.shape(a)).astype(np.result_type(a, 1.0))


def rrelu(a: Array, lower: float = 1 / 8, upper: float = 1 / 3, training: bool = False, rng: Seed = None) -> Tensor:
    """y = a where a > 0, else slope a.   a' = g where a > 0, else g slope.

    In training the slope of each element is drawn uniformly from `lower` to `upper`, else it is (lower + upper) / 2.
    Xu et al., "Empirical evaluation of rectified activations in convolutional network", arXiv:1505.00853.

    Args:
        a: any shape.
        lower, upper: the range of slopes.
        training: whether slopes are drawn.
        rng: a generator or a seed; the library's generator by default.

    Raises:
        TypeError: if `lower` or `upper` is not a number.
        ValueError: if `lower` is above `upper`.
    """
    low, high = real("rrelu", "lower", lower), real("rrelu", "upper", upper)
    if low > high:
        raise ValueError(f"rrelu: `lower` {lower!r} is above `upper` {upper!r}; exchange them")
    return rectify(a, drawn_slopes(a, lower=low, upper=high, rng=rng) if training else (low + high) / 2)


@op(elementwise=True)
def hardtanh(a: Array, *, min_val: float = -1.0, max_val: float = 1.0) -> Array:
    """y = a limited to [min_val, max_val].   a' = g where min_val < a < max_val, else 0, also at the bounds.

    Raises:
        TypeError: if a bound is not a number.
        ValueError: if `min_val` is above `max_val`.
    """
    low, high = real("hardtanh", "min_val", min_val), real("hardtanh", "max_val", max_val)
    if low > high:
        raise ValueError(f"hardtanh: `min_val` {min_val!r} is above `max_val` {max_val!r}; exchange them")
    return np.clip(a, low, high)


hardtanh.vjp(a=lambda g, a, min_val, max_val: where((a > min_val) & (a < max_val), g, 0))


def relu6(a: Array) -> Tensor:
    """y = min(max(a, 0), 6).   a' = g where 0 < a < 6, else 0."""
    return hardtanh(a, min_val=0.0, max_val=6.0)


@op(elementwise=True)
@in_float32
def hardsigmoid(a: Array) -> Array:
    """y = min(max(a + 3, 0), 6) / 6.   a' = g / 6 where -3 < a < 3, else 0."""
    return np.clip(a + 3, 0, 6) / 6


@op(elementwise=True, linear=["u"])
@in_float32
def hardsigmoid_pull(u: Array, a: Array) -> Array:
    """y = u / 6 where -3 < a < 3, else 0: the gradient in a for hardsigmoid(a).   u' = g times the same;   a' = 0."""
    return where((a > -3) & (a < 3), np.divide(u, 6), 0)


hardsigmoid.vjp(a=lambda g, a: hardsigmoid_pull(g, a))
hardsigmoid_pull.vjp(u=lambda g, a: hardsigmoid_pull(g, a), a=zero_gradient)


@op(elementwise=True)
@in_float32
def hardswish(a: Array) -> Array:
    """y = a hardsigmoid(a).   a' = 0 where a <= -3, g (a / 3 + 1/2) between, g where a >= 3.

    Howard et al., "Searching for MobileNetV3", 2019.
    """
    return a * hardsigmoid(a)


@op(elementwise=True, linear=["u"])
@in_float32
def hardswish_pull(u: Array, a: Array) -> Array:
    """y = 0 where a <= -3, u (a / 3 + 1/2) between, u where a >= 3: the gradient in a for hardswish(a).

    u' = g times the same;   a' = g u / 3 where -3 < a < 3, else 0.
    """
    return where(np.greater(a, -3), u * where(np.less(a, 3), a / 3 + 0.5, 1), 0)


hardswish.vjp(a=lambda g, a: hardswish_pull(g, a))
hardswish_pull.vjp(u=lambda g, a: hardswish_pull(g, a),
                   a=in_float32(lambda g, u, a: where((a > -3) & (a < 3), g * u / 3, 0)))  # fmt: skip


def softshrink(a: Array, lambd: float = 0.5) -> Tensor:
    """y = a - lambd where a > lambd, a + lambd where a < -lambd, else 0.   a' = g where |a| > lambd, else 0.

    Raises:
        TypeError: if `lambd` is not a number.
        ValueError: if it is negative.
    """
    width = not_negative("softshrink", "lambd", lambd)
    a = in_floats(a)
    return sub(a, clip(a, -width, width))


def hardshrink(a: Array, lambd: float = 0.5) -> Tensor:
    """y = a where |a| > lambd, else 0.   a' = g where |a| > lambd, else 0.

    Raises:
        TypeError: if `lambd` is not a number.
        ValueError: if it is negative.
    """
    width = not_negative("hardshrink", "lambd", lambd)
    return where(logical_and(greater_equal(a, -width), less_equal(a, width)), 0, a)


def threshold(a: Array, threshold: float, value: float) -> Tensor:
    """y = a where a > threshold, else value.   a' = g where a > threshold, else 0.

    Raises:
        TypeError: if `threshold` or `value` is not a number.
    """
    limit, replacement = real("threshold", "threshold", threshold), real("threshold", "value", value)
    return where(less_equal(a, limit), replacement, a)


# Exponential


@op(elementwise=True)
def exponential_linear(a: Array, *, alpha: float, scale: float, rate: float) -> Array:
    """y = scale a where a > 0, else scale alpha (e^(rate a) - 1).   a' = g scale, else g scale alpha rate e^(rate a)."""
    return where(
        np.greater(a, 0), np.multiply(a, scale), np.expm1(np.clip(a, -FLAT / rate, 0) * rate) * (scale * alpha)
    )


@op(elementwise=True, linear=["u"])
def exponential_linear_pull(u: Array, a: Array, *, alpha: float, scale: float, rate: float) -> Array:
    """y = u scale where a > 0, else u scale alpha rate e^(rate a): the gradient in a for exponential_linear(a).

    u' = g times the same;   a' = g u scale alpha rate^2 e^(rate a) where a < 0, else 0.
    """
    return where(np.greater(a, 0), u * scale, u * (scale * alpha * rate) * np.exp(np.clip(a, -FLAT / rate, 0) * rate))


exponential_linear.vjp(
    a=lambda g, a, alpha, scale, rate: exponential_linear_pull(g, a, alpha=alpha, scale=scale, rate=rate)
)
exponential_linear_pull.vjp(
    u=lambda g, a, alpha, scale, rate: exponential_linear_pull(g, a, alpha=alpha, scale=scale, rate=rate),
    a=lambda g, u, a, alpha, scale, rate: where(
        a < 0, exponential_linear_pull(g * u, a, alpha=alpha * rate, scale=scale, rate=rate), 0
    ),
)


def elu(a: Array, alpha: float = 1.0) -> Tensor:
    """y = a where a > 0, else alpha (e^a - 1).   a' = g where a > 0, else g alpha e^a.

    Clevert et al., "Fast and accurate deep network learning by exponential linear units", 2015.

    Raises:
        TypeError: if `alpha` is not a number.
    """
    return exponential_linear(a, alpha=real("elu", "alpha", alpha), scale=1.0, rate=1.0)


def celu(a: Array, alpha: float = 1.0) -> Tensor:
    """y = a where a > 0, else alpha (e^(a / alpha) - 1).   a' = g where a > 0, else g e^(a / alpha).

    Barron, "Continuously differentiable exponential linear units", 2017.

    Raises:
        TypeError: if `alpha` is not a number.
        ValueError: if it is not above 0.
    """
    alpha = positive("celu", "alpha", alpha)
    return exponential_linear(a, alpha=alpha, scale=1.0, rate=1 / alpha)


def selu(a: Array) -> Tensor:
    """y = scale elu(a, alpha) with the two constants that keep mean 0 and variance 1 from layer to layer.

    Klambauer et al., "Self-normalizing neural networks", 2017.
    """
    return exponential_linear(a, alpha=1.6732632423543772, scale=1.0507009873554805, rate=1.0)


@op(elementwise=True)
def logsigmoid(a: Array) -> Array:
    """y = log sigmoid(a), to full relative precision on both sides.   a' = g (1 - e^y)."""
    a = in_floats(a)
    return np.minimum(a, 0) - np.log1p(np.exp(-np.abs(a)))


logsigmoid.vjp(a=lambda g, y: -g * expm1(y))


@op(elementwise=True)
def softplus(a: Array, *, beta: float = 1.0, threshold: float = 20.0) -> Array:
    """y = log(1 + e^(beta a)) / beta, and a itself where beta a > threshold.   a' = g sigmoid(beta a), or g.

    PyTorch's threshold changes the value by at most e^-threshold / beta; with ``threshold=math.inf`` it is exact everywhere.

    Raises:
        TypeError: if `beta` or `threshold` is not a number.
        ValueError: if `beta` is not above 0.
    """
    beta, threshold = positive("softplus", "beta", beta), real("softplus", "threshold", threshold)
    a = in_floats(a)
    z = _scaled(a, beta)
    return where(z > threshold, a, np.maximum(a, 0) + np.log1p(np.exp(-np.abs(z))) / beta)


def _scaled(a: Array, beta: float) -> Array:
    """beta a, clipped so that it cannot overflow."""
    return clip(a, -FLAT / beta, FLAT / beta) * beta


@op(elementwise=True, linear=["u"])
def softplus_pull(u: Array, a: Array, *, beta: float, threshold: float) -> Array:
    """y = u sigmoid(beta a), and u where beta a > threshold: the gradient in a for softplus(a).

    u' = g times the same;   a' = g u beta s (1 - s), with s = sigmoid(beta a), and 0 where beta a > threshold.
    """
    z = _scaled(a, float(beta))
    return where(z > threshold, u, u * sigmoid(z))


def _softplus_curvature(g: Array, u: Array, a: Array, beta: float, threshold: float) -> Array:
    z = _scaled(a, float(beta))
    return where(z > threshold, 0, sigmoid_pull(g * u * float(beta), sigmoid(z)))


softplus.vjp(a=lambda g, a, beta, threshold: softplus_pull(g, a, beta=beta, threshold=threshold))
softplus_pull.vjp(u=lambda g, a, beta, threshold: softplus_pull(g, a, beta=beta, threshold=threshold),
                  a=_softplus_curvature)  # fmt: skip


@op(elementwise=True)
@in_float32
def silu(a: Array) -> Array:
    """y = a s, with s = sigmoid(a).   a' = g s (1 + a (1 - s)).

    Also called swish. Elfwing et al., "Sigmoid-weighted linear units", 2017.
    """
    return np.maximum(a, -FLAT) * sigmoid(a)


@op(elementwise=True)
@in_float32
def silu_slope(a: Array) -> Array:
    """y = s (1 + a (1 - s)), the derivative of silu, with s = sigmoid(a).   a' = g s (1 - s) (2 + a (1 - 2 s))."""
    a = np.clip(in_floats(a), -FLAT, FLAT)
    s = sigmoid(a)
    return s * (1 + a * sigmoid(-a))


def _silu_curvature(g: Array, a: Array) -> Array:
    a = clip(a, -FLAT, FLAT)
    s, rest = sigmoid(a), sigmoid(-a)
    return g * (s * rest * (2 + a * (rest - s)))


@op(elementwise=True, linear=["u"])
@in_float32
def silu_pull(u: Array, a: Array) -> Array:
    """y = u silu_slope(a), the gradient in a for silu(a).   u' = g silu_slope(a),  a' = that of silu_slope for g u."""
    return u * silu_slope(a)


silu.vjp(a=lambda g, a: silu_pull(g, a))
silu_slope.vjp(a=in_float32(_silu_curvature))
silu_pull.vjp(u=lambda g, a: silu_pull(g, a),
              a=in_float32(lambda g, u, a: _silu_curvature(g * u, a)))  # fmt: skip


@op(elementwise=True)
@in_float32
def mish(a: Array) -> Array:
    """y = a t, with t = tanh(softplus(a)).   a' = g (t + a (1 - t^2) sigmoid(a)).

    Misra, "Mish: a self regularized non-monotonic activation function", 2019.
    """
    return a * np.tanh(softplus(a))


@in_float32
def _mish_rule(g: Array, a: Array) -> Array:
    a = clip(a, -FLAT, FLAT)
    t = tanh(softplus(a))
    return g * (t + a * ((1 - t * t) * sigmoid(a)))


mish.vjp(a=_mish_rule)

# sqrt(2 / pi) (a + BEND a^3) is the argument of the approximation's tanh.
ROOT, BEND = math.sqrt(2 / math.pi), 0.044715


@op(elementwise=True)
def gelu(a: Array, *, approximate: str = "none") -> Array:
    """y = a P, with P = erfc(-a / sqrt 2) / 2, the normal distribution function, accurate where it is small.

    a' = g (P + a P').   With approximate="tanh", P = (1 + tanh(sqrt(2 / pi) (a + 0.044715 a^3))) / 2.
    Hendrycks and Gimpel, "Gaussian error linear units", 2016.

    Raises:
        ValueError: if `approximate` is neither "none" nor "tanh".
    """
    if approximate not in ("none", "tanh"):
        raise ValueError(f"gelu: `approximate` is {approximate!r}; it must be 'none' or 'tanh'")
    if approximate == "tanh":
        return _gelu_tanh(a)
    a = in_floats(a)
    return (np.maximum(a, -FLAT_SQUARED, dtype=np.float64) * normal_probability(a)).astype(a.dtype)


def normal_probability(a: Array) -> Any:
    """The probability that a standard normal number is below a, in float64, for arrays."""
    return (
        np.asarray(np.vectorize(math.erfc, otypes=[np.float64])(np.multiply(a, -math.sqrt(0.5), dtype=np.float64))) / 2
    )


@in_float32
def _gelu_tanh(a: Array) -> Any:
    return a * sigmoid(_gelu_exponent(np.clip(a, -FLAT_SQUARED, FLAT_SQUARED)))


def _gelu_exponent(a: Array) -> Any:
    """u, with (1 + tanh(u / 2)) / 2 = sigmoid(u), which keeps its digits where tanh is near -1."""
    return a * (2 * ROOT + 2 * ROOT * BEND * a * a)


@in_float32
def _gelu_tanh_rule(g: Array, a: Array) -> Array:
    a = clip(a, -FLAT_SQUARED, FLAT_SQUARED)
    u = _gelu_exponent(a)
    return g * (sigmoid(u) * (1 + a * sigmoid(-u) * (2 * ROOT + 6 * ROOT * BEND * a * a)))


@op(elementwise=True)
def gelu_slope(a: Array) -> Array:
    """y = P + a P', the derivative of the exact gelu, with the normal distribution function P.   a' = g (2 - a^2) P'."""
    x = np.clip(a, -FLAT_SQUARED, FLAT_SQUARED, dtype=np.float64)
    return (normal_probability(x) + x * normal_density(x)).astype(np.result_type(a, np.float16))


@op(elementwise=True)
def normal_density(a: Array) -> Array:
    """y = e^(-a^2 / 2) / sqrt(2 pi), the density of a standard normal number.   a' = -g a y."""
    x = np.clip(a, -FLAT_SQUARED, FLAT_SQUARED, dtype=np.float64)
    return (np.exp(x * x * -0.5) * (1 / math.sqrt(2 * math.pi))).astype(np.result_type(a, np.float16))


@op(elementwise=True, linear=["u"])
@in_float32
def gelu_pull(u: Array, a: Array) -> Array:
    """y = u gelu_slope(a), the gradient in a for the exact gelu(a).   u' = g gelu_slope(a),  a' = g u (2 - a^2) P'."""
    return u * gelu_slope(a)


def _gelu_curvature(g: Array, a: Array) -> Array:
    return g * normal_density(a) * (2 - square(clip(a, -FLAT_SQUARED, FLAT_SQUARED)))


gelu.vjp(a=lambda g, a, approximate: _gelu_tanh_rule(g, a) if approximate == "tanh" else gelu_pull(g, a))
gelu_slope.vjp(a=in_float32(_gelu_curvature))
gelu_pull.vjp(u=lambda g, a: gelu_pull(g, a),
              a=in_float32(lambda g, u, a: _gelu_curvature(g * u, a)))  # fmt: skip
normal_density.vjp(a=lambda g, y, a: -g * clip(a, -FLAT_SQUARED, FLAT_SQUARED) * y)


@op(elementwise=True)
def softsign(a: Array) -> Array:
    """y = a / (1 + |a|).   a' = g / (1 + |a|)^2."""
    a = in_floats(a)
    return a / (1 + np.abs(a))


softsign.vjp(a=lambda g, a: g / (size := 1 + absolute(a)) / size)


@op(elementwise=True)
@in_float32
def tanhshrink(a: Array) -> Array:
    """y = a - tanh a.   a' = g tanh(a)^2, which 1 - (1 - tanh(a)^2) would round away where it is small."""
    a = in_floats(a)
    return a - np.tanh(a)


@in_float32
def _tanhshrink_rule(g: Array, a: Array) -> Array:
    t = tanh(a)
    return g * (t * t)


tanhshrink.vjp(a=_tanhshrink_rule)


def glu(a: Array, axis: int = -1) -> Tensor:
    """y = b sigmoid(c) with b and c the first and the second half of a along `axis`: the gated linear unit.

    Dauphin et al., "Language modeling with gated convolutional networks", arXiv:1612.08083.

    Raises:
        ValueError: if the axis has an odd size.

    >>> import tinygrad_cnn as tg
    >>> tg.glu(tg.Tensor([3.0, 4.0, 0.0, 0.0])).tolist()
    [1.5, 2.0]
    """
    sizes = np.shape(a)
    n = sizes[normalize_axis_index(axis, len(sizes))]
    if n % 2:
        raise ValueError(
            f"glu: `a` has shape {sizes}, with {n} elements along axis {axis}; the number must be even, for two halves"
        )
    b, c = (slice_axis(a, start, start + n // 2, axis) for start in (0, n // 2))
    return mul(b, sigmoid(c))
