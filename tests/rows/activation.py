"""Rows for ops/activation.py."""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import numpy as np

from tinygrad_cnn.ops import activation as ops
from tinygrad_cnn.testing.cases import Arg, Case

Values: TypeAlias = Any

WIDE = Arg(low=-6.0, high=6.0)
NONZERO = Arg(away=(0.0,))


def _away(*points: float) -> tuple[Arg]:
    return (Arg(low=-6.0, high=6.0, away=points),)


def _elu(a: Values, alpha: float = 1.0) -> Values:
    return np.where(a > 0, a, alpha * (np.exp(np.minimum(a, 0)) - 1))


def _leaky(a: Values, slope: Values | float) -> Values:
    return np.where(a > 0, a, slope * a)


def _slopes(a: Values, lower: float, upper: float, rng: int) -> Values:
    return lower + (upper - lower) * np.random.default_rng(rng).random(a.shape)


def _by_channel(a: Values, weight: Values) -> Values:
    return np.stack([_leaky(a[:, c], w) for c, w in enumerate(weight)], axis=1)


def _exponential_linear(a: Values, alpha: float, scale: float, rate: float) -> Values:
    return np.where(a > 0, scale * a, scale * alpha * (np.exp(rate * np.minimum(a, 0)) - 1))


def _hardsigmoid(a: Values) -> Values:
    return np.clip(a / 6 + 0.5, 0, 1)


def _normal(a: Values) -> Values:
    return np.vectorize(lambda x: math.erfc(-x / math.sqrt(2)) / 2, otypes=[float])(a)


def _gelu(a: Values) -> Values:
    return a * _normal(a)


def _density(a: Values) -> Values:
    return np.exp(-a * a / 2) / math.sqrt(2 * math.pi)


def _gelu_tanh(a: Values, approximate: str) -> Values:
    return a * (1 + np.tanh(math.sqrt(2 / math.pi) * (a + 0.044715 * a**3))) / 2


CASES = [
    Case(ops.relu, (NONZERO,), lambda a: np.where(a <= 0, 0, a)),
    Case(ops.leaky_relu, (NONZERO,), lambda a: _leaky(a, 0.01)),
    Case(ops.leaky_relu, (NONZERO,), lambda a, negative_slope: _leaky(a, -0.25), {"negative_slope": -0.25}),
    Case(ops.leaky_relu, (NONZERO,), lambda a, negative_slope: _leaky(a, 1.5), {"negative_slope": 1.5}),
    Case(ops.rectify, (NONZERO, Arg()), _leaky),
    Case(ops.rectify_pull, (Arg(), NONZERO, Arg()), lambda u, a, slope: u * np.where(a > 0, 1, slope)),
    Case(ops.prelu, (NONZERO, Arg((1,))), _leaky),
    Case(ops.prelu, (NONZERO, Arg(())), _leaky),
    Case(ops.prelu, (Arg((2, 3), away=(0.0,)), Arg((3,))), _by_channel),
    Case(ops.prelu, (Arg((1, 2, 2, 3), away=(0.0,)), Arg((2,))), _by_channel),
    Case(ops.drawn_slopes, (Arg((3, 3)),), _slopes, {"lower": 0.125, "upper": 0.5, "rng": 3}, order=0),
    Case(ops.rrelu, (NONZERO,), lambda a: _leaky(a, 11 / 48)),
    Case(
        ops.rrelu, (Arg((3, 3), away=(0.0,)),), lambda a, training, **p: _leaky(a, _slopes(a, **p)),
        {"lower": -0.5, "upper": 0.5, "training": True, "rng": 3},
    ),
    Case(ops.hardtanh, (Arg(away=(-1.0, 1.0)),), lambda a: np.clip(a, -1, 1)),
    Case(
        ops.hardtanh, (Arg(away=(-0.5, 1.5)),), lambda a, min_val, max_val: np.clip(a, min_val, max_val),
        {"min_val": -0.5, "max_val": 1.5},
    ),
    Case(ops.relu6, _away(0.0, 6.0), lambda a: np.clip(a, 0, 6)),
    Case(ops.hardsigmoid, (Arg(low=-4.0, high=4.0, away=(-3.0, 3.0)),), _hardsigmoid),
    Case(
        ops.hardsigmoid_pull, (Arg(), Arg(low=-4.0, high=4.0, away=(-3.0, 3.0))),
        lambda u, a: u * np.where(np.abs(a) < 3, 1 / 6, 0),
    ),
    Case(ops.hardswish, _away(-3.0, 3.0), lambda a: a * _hardsigmoid(a)),
    Case(
        ops.hardswish_pull, (Arg(), Arg(low=-4.0, high=4.0, away=(-3.0, 3.0))),
        lambda u, a: u * np.where(a < -3, 0, np.where(a > 3, 1, a / 3 + 0.5)),
    ),
    Case(ops.softshrink, _away(-0.5, 0.5), lambda a: np.sign(a) * np.maximum(np.abs(a) - 0.5, 0)),
    Case(ops.softshrink, _away(-2.0, 2.0), lambda a, lambd: np.sign(a) * np.maximum(np.abs(a) - 2, 0), {"lambd": 2}),
    Case(ops.hardshrink, _away(-0.5, 0.5), lambda a: np.where(np.abs(a) <= 0.5, 0, a)),
    Case(ops.hardshrink, _away(-2.0, 2.0), lambda a, lambd: np.where(np.abs(a) <= 2, 0, a), {"lambd": 2}),
    Case(
        ops.threshold, _away(1.0), lambda a, threshold, value: np.where(a <= 1, -0.25, a),
        {"threshold": 1, "value": -0.25},
    ),
    Case(ops.elu, (NONZERO,), _elu),
    Case(ops.elu, (NONZERO,), _elu, {"alpha": -0.75}),
    Case(ops.celu, (NONZERO,), lambda a, alpha: _elu(a / alpha) * alpha, {"alpha": 0.5}),
    Case(ops.celu, (NONZERO,), lambda a, alpha: _elu(a / alpha) * alpha, {"alpha": 0.1}),
    Case(ops.celu, (NONZERO,), _elu),
    Case(ops.selu, (NONZERO,), lambda a: 1.0507009873554805 * _elu(a, 1.6732632423543772)),
    Case(ops.exponential_linear, (NONZERO,), _exponential_linear, {"alpha": 0.5, "scale": 1.5, "rate": 0.75}),
    Case(
        ops.exponential_linear_pull, (Arg(), NONZERO),
        lambda u, a, alpha, scale, rate: u * scale * np.where(a > 0, 1, alpha * rate * np.exp(a * rate)),
        {"alpha": 0.5, "scale": 1.5, "rate": 0.75},
    ),
    Case(ops.logsigmoid, (WIDE,), lambda a: -np.log(1 + np.exp(-a))),
    Case(ops.softplus, (WIDE,), lambda a: np.log(1 + np.exp(a))),
    Case(
        ops.softplus, _away(1.5), lambda a, beta, threshold: np.where(a > 1.5, a, np.log(1 + np.exp(2 * a)) / 2),
        {"beta": 2.0, "threshold": 3.0},
    ),
    Case(
        ops.softplus, _away(2.0), lambda a, beta: np.where(a > 2, a, np.log(1 + np.exp(10 * a)) / 10), {"beta": 10.0},
    ),
    Case(ops.softplus, (WIDE,), lambda a, threshold: np.log(1 + np.exp(a)), {"threshold": math.inf}),
    Case(
        ops.softplus_pull, (Arg(), *_away(1.5)),
        lambda u, a, beta, threshold: u * np.where(a > 1.5, 1, 1 / (1 + np.exp(-2 * a))), {"beta": 2.0, "threshold": 3.0},
    ),
    Case(ops.silu, (WIDE,), lambda a: a / (1 + np.exp(-a))),
    Case(ops.mish, (WIDE,), lambda a: a * np.tanh(np.log(1 + np.exp(a)))),
    Case(ops.gelu, (WIDE,), _gelu),
    Case(ops.gelu, (WIDE,), _gelu_tanh, {"approximate": "tanh"}),
    Case(ops.gelu_slope, (WIDE,), lambda a: _normal(a) + a * _density(a)),
    Case(ops.gelu_pull, (Arg(), WIDE), lambda u, a: u * (_normal(a) + a * _density(a))),
    Case(ops.normal_density, (WIDE,), _density),
    Case(ops.silu_slope, (WIDE,), lambda a: (1 + (1 + a) * np.exp(-a)) / (1 + np.exp(-a)) ** 2),
    Case(ops.silu_pull, (Arg(), WIDE), lambda u, a: u * (1 + (1 + a) * np.exp(-a)) / (1 + np.exp(-a)) ** 2),
    Case(ops.softsign, (NONZERO,), lambda a: a / np.where(a > 0, 1 + a, 1 - a)),
    Case(ops.tanhshrink, (WIDE,), lambda a: a - np.tanh(a)),
    Case(ops.glu, (Arg((3, 4)),), lambda a: a[:, :2] / (1 + np.exp(-a[:, 2:]))),
    Case(ops.glu, (Arg((4, 2, 3)),), lambda a, axis: a[:2] / (1 + np.exp(-a[2:])), {"axis": 0}),
]  # fmt: skip
