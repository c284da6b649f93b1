"""The choices at kinks: what a function's gradient is where it has no derivative, as data.

`docs/subgradients.md` shows this table, and the test suite runs every row of it. PyTorch makes the same choices unless
a row says otherwise. A new op with a kink gets a row here and its line there (``print(table())``).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

from ..functional import hinge_embedding_loss, huber_loss, kl_div, l1_loss, margin_ranking_loss
from ..ops.activation import (
    celu,
    elu,
    hardshrink,
    hardsigmoid,
    hardswish,
    hardtanh,
    leaky_relu,
    prelu,
    relu,
    relu6,
    selu,
    softplus,
    softshrink,
    softsign,
    threshold,
)
from ..ops.elementwise import abs, ceil, clip, floor, maximum, minimum, pow, round, sign
from ..ops.pool import lp_pool1d, max_pool1d
from ..ops.reduce import logsumexp, max, min, norm, prod, std
from ..ops.transcendental import arctan2, hypot

Value: TypeAlias = float | Sequence[Any]


class Kink(NamedTuple):
    """A row: `function` has `subgradient` at `point`, and a Hessian with entries `second`.

    Args:
        label: how the function is written in the documentation.
        function: called with one Tensor for each entry of `point`, gives a Tensor.
        point: the inputs, numbers or nested lists.
        subgradient: for each input the gradient of the sum of the output, in its shape.
        second: the second derivatives: one number for all, or the full matrix over all elements of all inputs.
        reason: a sentence.
    """

    label: str
    function: Callable[..., Any]
    point: tuple[Value, ...]
    subgradient: tuple[Value, ...]
    second: Value
    reason: str


SELU = 1.0507009873554805 * 1.6732632423543772
AT_TWENTY = 1 / (1 + math.exp(-20.0))

KINKS: list[Kink] = [
    Kink("abs(x)", abs, (0.0,), (0.0,), 0.0, "The middle of the slopes -1 and 1."),
    Kink("sign(x)", sign, (0.0,), (0.0,), 0.0, "A step: flat on both sides."),
    Kink("floor(x)", floor, (1.0,), (0.0,), 0.0, "A step."),
    Kink("ceil(x)", ceil, (1.0,), (0.0,), 0.0, "A step."),
    Kink("round(x)", round, (0.5,), (0.0,), 0.0, "A step."),
    Kink("maximum(a, b)", maximum, (1.0, 1.0), (0.5, 0.5), 0.0, "A tie: half to each."),
    Kink("minimum(a, b)", minimum, (1.0, 1.0), (0.5, 0.5), 0.0, "A tie: half to each."),
    Kink("clip(x, -1, 1)", lambda a: clip(a, -1, 1), (-1.0,), (1.0,), 0.0, "The bounds belong to the interval."),
    Kink("clip(x, -1, 1)", lambda a: clip(a, -1, 1), (1.0,), (1.0,), 0.0, "The bounds belong to the interval."),
    Kink("clip(x, min=b)", lambda a, b: clip(a, min=b), (1.0, 1.0), (1.0, 0.0), 0.0, "Also for a bound with a gradient."),
    Kink("clip(x, max=b)", lambda a, b: clip(a, max=b), (1.0, 1.0), (1.0, 0.0), 0.0, "Also for a bound with a gradient."),
    Kink(
        "pow(a, b)", pow, (0.0, 2.0), (0.0, 0.0), ((2.0, 0.0), (0.0, 0.0)),
        "In b it is flat, though log 0 is infinite; PyTorch's second is NaN.",
    ),
    Kink("hypot(a, b)", hypot, (0.0, 0.0), (0.0, 0.0), 0.0, "The tip of a cone; PyTorch gives NaN."),
    Kink("arctan2(a, b)", arctan2, (0.0, 0.0), (0.0, 0.0), 0.0, "The angle of no direction; PyTorch's second is NaN."),
    Kink("relu(x)", relu, (0.0,), (0.0,), 0.0, "The slope of the left side."),
    Kink("relu(x)", relu, (math.nan,), (0.0,), 0.0, "NaN is not above 0: flat; PyTorch's first is 1."),
    Kink("leaky_relu(x, 0.1)", lambda a: leaky_relu(a, negative_slope=0.1), (0.0,), (0.1,), 0.0, "The slope of the left side."),
    Kink(
        "prelu(x, w)", prelu, (0.0, 0.25), (0.25, 0.0), ((0.0, 1.0), (1.0, 0.0)),
        "The slope of the left side, w: so the mixed second derivative is 1 (PyTorch's is 0).",
    ),
    Kink("relu6(x)", relu6, (0.0,), (0.0,), 0.0, "The flat side's."),
    Kink("relu6(x)", relu6, (6.0,), (0.0,), 0.0, "The flat side's."),
    Kink("relu6(x)", relu6, (math.nan,), (0.0,), 0.0, "As of relu; PyTorch's first is 1."),
    Kink("hardtanh(x)", hardtanh, (-1.0,), (0.0,), 0.0, "The flat side's, unlike clip."),
    Kink("hardtanh(x)", hardtanh, (1.0,), (0.0,), 0.0, "The flat side's, unlike clip."),
    Kink("hardtanh(x)", hardtanh, (math.nan,), (0.0,), 0.0, "NaN is not between the bounds: flat; PyTorch's first is 1."),
    Kink("hardsigmoid(x)", hardsigmoid, (-3.0,), (0.0,), 0.0, "The flat side's."),
    Kink("hardsigmoid(x)", hardsigmoid, (3.0,), (0.0,), 0.0, "The flat side's."),
    Kink("hardswish(x)", hardswish, (-3.0,), (0.0,), 0.0, "The left side's."),
    Kink("hardswish(x)", hardswish, (3.0,), (1.0,), 0.0, "The right side's."),
    Kink("hardswish(x)", hardswish, (math.nan,), (0.0,), 0.0, "NaN is not above -3: flat; PyTorch's first is 1."),
    Kink("softshrink(x)", softshrink, (-0.5,), (0.0,), 0.0, "The flat side's."),
    Kink("softshrink(x)", softshrink, (0.5,), (0.0,), 0.0, "The flat side's."),
    Kink("hardshrink(x)", hardshrink, (-0.5,), (0.0,), 0.0, "A step: the inner side's slope."),
    Kink("hardshrink(x)", hardshrink, (0.5,), (0.0,), 0.0, "A step: the inner side's slope."),
    Kink("threshold(x, 1, 5)", lambda a: threshold(a, 1, 5), (1.0,), (0.0,), 0.0, "A step: the left side's slope."),
    Kink("elu(x, 2)", lambda a: elu(a, 2), (0.0,), (2.0,), 0.0, "The slope of the left side, alpha."),
    Kink("celu(x, 2)", lambda a: celu(a, 2), (0.0,), (1.0,), 0.0, "Smooth here; only the second derivative jumps."),
    Kink("selu(x)", selu, (0.0,), (SELU,), 0.0, "The slope of the left side, scale times alpha."),
    Kink("softsign(x)", softsign, (0.0,), (1.0,), 0.0, "Smooth here; only the second derivative jumps."),
    Kink(
        "softplus(x)", softplus, (20.0,), (AT_TWENTY,), AT_TWENTY * (1 - AT_TWENTY),
        "Still the curve at its threshold, the line beyond (PyTorch's second is the line's, 0).",
    ),
    Kink("max(x)", max, ([3.0, 1.0, 3.0],), ([0.5, 0.0, 0.5],), 0.0, "A tie: shared evenly."),
    Kink("min(x)", min, ([2.0, 2.0, 2.0, 2.0],), ([0.25, 0.25, 0.25, 0.25],), 0.0, "A tie: shared evenly."),
    Kink("norm(x)", norm, ([0.0, 0.0],), ([0.0, 0.0],), 0.0, "The tip of a cone; PyTorch's second is NaN."),
    Kink(
        "norm(x, 1.5)", lambda a: norm(a, 1.5), ([0.0, 2.0],), ([0.0, 1.0],), 0.0,
        "Smooth here, but the second derivative in the first entry is infinite; PyTorch's is NaN.",
    ),
    Kink("l1_loss(x, t)", l1_loss, (1.0, 1.0), (0.0, 0.0), 0.0, "The middle, as of abs."),
    Kink(
        "huber_loss(x, t)", huber_loss, (1.0, 0.0), (1.0, -1.0), ((1.0, -1.0), (-1.0, 1.0)),
        "Smooth here; the second derivative is still the square's (PyTorch's is the line's).",
    ),
    Kink(
        "hinge_embedding_loss(x, -1)", lambda a: hinge_embedding_loss(a, -1), (1.0,), (-1.0,), 0.0,
        "At the margin, as clip at its bound.",
    ),
    Kink(
        "margin_ranking_loss(a, b, 1)", lambda a, b: margin_ranking_loss(a, b, 1), (2.0, 2.0), (-1.0, 1.0), 0.0,
        "At the margin, as clip at its bound.",
    ),
    Kink(
        "kl_div(x, t)", kl_div, (-1.0, 0.0), (0.0, 1.0), ((0.0, -1.0), (-1.0, 0.0)),
        "t log t counts as flat at 0, where it has an infinite slope; PyTorch gives NaN.",
    ),
    Kink("norm(x, 1)", lambda a: norm(a, 1), ([0.0, 2.0],), ([0.0, 1.0],), 0.0, "The sum of abs."),
    Kink("norm(x, inf)", lambda a: norm(a, math.inf), ([-2.0, 2.0],), ([-0.5, 0.5],), 0.0, "The max of abs: shared evenly."),
    Kink("norm(x, 0)", lambda a: norm(a, 0), ([0.0, 2.0],), ([0.0, 0.0],), 0.0, "A step: it counts what is not 0."),
    Kink(
        "norm(x, -1)", lambda a: norm(a, -1), ([0.0, 2.0],), ([0.0, 0.0],), 0.0,
        "As abs of the element that is 0; PyTorch's second is NaN.",
    ),
    Kink("std(x)", std, ([2.0, 2.0, 2.0],), ([0.0, 0.0, 0.0],), 0.0, "No variance: the tip of a cone."),
    Kink(
        "prod(x)", prod, ([2.0, 0.0, 3.0],), ([0.0, 6.0, 0.0],), ((0.0, 3.0, 0.0), (3.0, 0.0, 2.0), (0.0, 2.0, 0.0)),
        "No kink, and exact at a zero: the product of the others.",
    ),
    Kink(
        "logsumexp(x)", logsumexp, ([-math.inf, -math.inf],), ([0.0, 0.0],), 0.0,
        "Of nothing: constant; PyTorch gives NaN.",
    ),
    Kink(
        "max_pool1d(x, 3)", lambda a: max_pool1d(a, 3), ([[[1.0, 2.0, 2.0]]],), ([[[0.0, 1.0, 0.0]]],), 0.0,
        "A tie: the first in the window.",
    ),
    Kink(
        "lp_pool1d(x, 2, 2)", lambda a: lp_pool1d(a, 2, 2), ([[[0.0, 0.0]]],), ([[[0.0, 0.0]]],), 0.0,
        "The norm of a window of zeros: the tip of a cone.",
    ),
]  # fmt: skip


def table() -> str:
    """The rows as a table in Markdown."""
    head = ["| function | at | gradient | second derivative | why |", "| --- | --- | --- | --- | --- |"]
    rows = [
        f"| `{k.label}` | {_inputs(k.point)} | {_inputs(k.subgradient)} | {_shown(k.second)} | {k.reason} |"
        for k in KINKS
    ]
    return "\n".join([*head, *rows]) + "\n"


def _inputs(values: tuple[Value, ...]) -> str:
    return ", ".join(map(_shown, values))


def _shown(value: Value) -> str:
    return f"[{', '.join(map(_shown, value))}]" if isinstance(value, Sequence) else f"{value:g}"
