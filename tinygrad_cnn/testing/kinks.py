"""The choices at kinks, as data: the gradient that a function has where it is not differentiable.

`docs/subgradients.md` shows this table, and the test suite runs every row. PyTorch makes the same choices unless a row says
otherwise.
"""

import math
import re
from collections.abc import Callable, Sequence
from math import inf, nan
from typing import Any, NamedTuple, TypeAlias

from .. import functional
from ..numpy_api import difference, matrix_functions, select, statistics
from ..numpy_api import nan as without_nan
from ..ops import (
    complex_numbers,
    elementwise,
    reduce,
    rounding,
    running,
    scatter,
    shape,
    sort,
    transcendental,
)

Value: TypeAlias = float | Sequence[Any]

FAMILIES = (
    complex_numbers, difference, elementwise, matrix_functions, reduce, rounding, running, scatter, select, shape, sort,
    statistics, transcendental, without_nan,
)  # fmt: skip
NAMES = {"inf": inf, **{name: f for family in FAMILIES for name, f in vars(family).items()}, **vars(functional)}
"""What a label may name."""


class Kink(NamedTuple):
    """A row: `function` has `subgradient` at `point`, and a Hessian with entries `second`.

    Args:
        label: how the function is called, with a letter for each input.
        point: the inputs, numbers or nested lists, in the order of their letters.
        subgradient: for each input the gradient of the sum of the output, in its shape.
        second: the second derivatives: one number for all, or the full matrix over all elements of all inputs.
        reason: a sentence.
    """

    label: str
    point: tuple[Value, ...]
    subgradient: tuple[Value, ...]
    second: Value
    reason: str

    @property
    def function(self) -> Callable[..., Any]:
        """The call that the label shows, as a function of one Tensor or array for each entry of `point`."""
        letters = dict.fromkeys(re.findall(r"\b[a-z]\b", self.label))
        return eval(f"lambda {', '.join(letters)}: {self.label}", NAMES)  # type: ignore[no-any-return]


SELU = 1.0507009873554805 * 1.6732632423543772
AT_TWENTY = 1 / (1 + math.exp(-20.0))

KINKS: list[Kink] = [
    Kink("abs(x)", (0.0,), (0.0,), 0.0, "The middle of the slopes -1 and 1."),
    Kink("fabs(x)", (0.0,), (0.0,), 0.0, "As abs."),
    Kink("copysign(a, b)", (0.0, 1.0), (0.0, 0.0), 0.0, "As abs, in a; PyTorch's second is NaN."),
    Kink("copysign(a, b)", (1.0, 0.0), (1.0, 0.0), 0.0, "A step in b: flat on both sides."),
    Kink("sign(x)", (0.0,), (0.0,), 0.0, "A step: flat on both sides."),
    Kink("floor(x)", (1.0,), (0.0,), 0.0, "A step."),
    Kink("ceil(x)", (1.0,), (0.0,), 0.0, "A step."),
    Kink("round(x)", (0.5,), (0.0,), 0.0, "A step."),
    Kink("trunc(x)", (1.0,), (0.0,), 0.0, "A step."),
    Kink("modf(x)[0]", (1.0,), (1.0,), 0.0, "A step: the slope of both sides."),
    Kink("frexp(x)[0]", (1.0,), (0.5,), 0.0, "A step: the right side's slope."),
    Kink("floor_divide(a, b)", (2.0, 1.0), (0.0, 0.0), 0.0, "A step; PyTorch has no gradient."),
    Kink("remainder(a, b)", (2.0, 1.0), (1.0, -2.0), 0.0, "A step; in b the slope of the side where a / b is above 2."),
    Kink("fmod(a, b)", (2.0, 1.0), (1.0, -2.0), 0.0, "As remainder."),
    Kink("divmod(a, b)[1]", (2.0, 1.0), (1.0, -2.0), 0.0, "As remainder."),
    Kink("heaviside(a, b)", (0.0, 0.5), (0.0, 1.0), 0.0, "A step in a, where the value is b; PyTorch has no gradient."),
    Kink("maximum(a, b)", (1.0, 1.0), (0.5, 0.5), 0.0, "A tie: half to each."),
    Kink("minimum(a, b)", (1.0, 1.0), (0.5, 0.5), 0.0, "A tie: half to each."),
    Kink("maximum(a, b)", (nan, 1.0), (1.0, 1.0), 0.0, "The value is NaN, and both get the gradient."),
    Kink("fmax(a, b)", (1.0, 1.0), (0.5, 0.5), 0.0, "A tie: half to each; PyTorch's goes to a."),
    Kink("fmin(a, b)", (1.0, 1.0), (0.5, 0.5), 0.0, "A tie: half to each; PyTorch's goes to a."),
    Kink("fmax(a, b)", (nan, 1.0), (0.0, 1.0), 0.0, "The number gets the gradient, and not NaN."),
    Kink("clip(x, -1, 1)", (-1.0,), (1.0,), 0.0, "The bounds belong to the interval."),
    Kink("clip(x, -1, 1)", (1.0,), (1.0,), 0.0, "The bounds belong to the interval."),
    Kink("clip(x, min=b)", (1.0, 1.0), (1.0, 0.0), 0.0, "Also for a bound with a gradient."),
    Kink("clip(x, max=b)", (1.0, 1.0), (1.0, 0.0), 0.0, "Also for a bound with a gradient."),
    Kink("pow(a, b)", (0.0, 2.0), (0.0, 0.0), ((2.0, 0.0), (0.0, 0.0)),
         "In b it is flat, though log 0 is infinite; PyTorch's second is NaN."),
    Kink("hypot(a, b)", (0.0, 0.0), (0.0, 0.0), 0.0, "The tip of a cone; PyTorch gives NaN."),
    Kink("arctan2(a, b)", (0.0, 0.0), (0.0, 0.0), 0.0, "The angle of no direction; PyTorch's second is NaN."),
    Kink("angle(x)", (0.0,), (0.0,), 0.0, "A jump from pi to 0, flat on both sides."),
    Kink("relu(x)", (0.0,), (0.0,), 0.0, "The slope of the left side."),
    Kink("relu(x)", (nan,), (0.0,), 0.0, "NaN is not above 0: flat; PyTorch's first is 1."),
    Kink("leaky_relu(x, 0.1)", (0.0,), (0.1,), 0.0, "The slope of the left side."),
    Kink("prelu(x, w)", (0.0, 0.25), (0.25, 0.0), ((0.0, 1.0), (1.0, 0.0)),
         "The slope of the left side, w: so the mixed second derivative is 1 (PyTorch's is 0)."),
    Kink("rrelu(x)", (0.0,), (11 / 48,), 0.0, "The slope of the left side."),
    Kink("relu6(x)", (0.0,), (0.0,), 0.0, "The slope of the flat side."),
    Kink("relu6(x)", (6.0,), (0.0,), 0.0, "The slope of the flat side."),
    Kink("relu6(x)", (nan,), (0.0,), 0.0, "As relu; PyTorch's first is 1."),
    Kink("hardtanh(x)", (-1.0,), (0.0,), 0.0, "The slope of the flat side, unlike clip."),
    Kink("hardtanh(x)", (1.0,), (0.0,), 0.0, "The slope of the flat side, unlike clip."),
    Kink("hardtanh(x)", (nan,), (0.0,), 0.0, "NaN is not between the bounds: flat; PyTorch's first is 1."),
    Kink("hardsigmoid(x)", (-3.0,), (0.0,), 0.0, "The slope of the flat side."),
    Kink("hardsigmoid(x)", (3.0,), (0.0,), 0.0, "The slope of the flat side."),
    Kink("hardswish(x)", (-3.0,), (0.0,), 0.0, "The slope of the left side."),
    Kink("hardswish(x)", (3.0,), (1.0,), 0.0, "The slope of the right side."),
    Kink("hardswish(x)", (nan,), (0.0,), 0.0, "NaN is not above -3: flat; PyTorch's first is 1."),
    Kink("softshrink(x)", (-0.5,), (0.0,), 0.0, "The slope of the flat side."),
    Kink("softshrink(x)", (0.5,), (0.0,), 0.0, "The slope of the flat side."),
    Kink("hardshrink(x)", (-0.5,), (0.0,), 0.0, "A step: the inner side's slope."),
    Kink("hardshrink(x)", (0.5,), (0.0,), 0.0, "A step: the inner side's slope."),
    Kink("threshold(x, 1, 5)", (1.0,), (0.0,), 0.0, "A step: the left side's slope."),
    Kink("elu(x, 2)", (0.0,), (2.0,), 0.0, "The slope of the left side, alpha."),
    Kink("celu(x, 2)", (0.0,), (1.0,), 0.0, "Smooth here; only the second derivative jumps."),
    Kink("selu(x)", (0.0,), (SELU,), 0.0, "The slope of the left side, scale times alpha."),
    Kink("softsign(x)", (0.0,), (1.0,), 0.0, "Smooth here; only the second derivative jumps."),
    Kink("softplus(x)", (20.0,), (AT_TWENTY,), AT_TWENTY * (1 - AT_TWENTY),
         "Still the curve at its threshold, the line beyond (PyTorch's second is the line's, 0)."),
    Kink("max(x)", ([3.0, 1.0, 3.0],), ([0.5, 0.0, 0.5],), 0.0, "A tie: shared evenly."),
    Kink("min(x)", ([2.0, 2.0, 2.0, 2.0],), ([0.25, 0.25, 0.25, 0.25],), 0.0, "A tie: shared evenly."),
    Kink("nanmax(x)", ([3.0, nan, 3.0],), ([0.5, 0.0, 0.5],), 0.0, "A tie: shared evenly. NaN takes no part."),
    Kink("nanmin(x)", ([2.0, nan, 2.0],), ([0.5, 0.0, 0.5],), 0.0, "A tie: shared evenly. NaN takes no part."),
    Kink("ptp(x)", ([3.0, 1.0, 3.0],), ([0.5, -1.0, 0.5],), 0.0, "As max minus min."),
    Kink("pad(x, (0, 1), 'maximum')", ([3.0, 1.0, 3.0],), ([1.5, 1.0, 1.5],), 0.0, "The border is that of max."),
    Kink("cummax(x, 0)[0]", ([1.0, 2.0, 2.0],), ([1.0, 1.0, 1.0],), 0.0, "A tie: the last so far."),
    Kink("cummin(x, 0)[0]", ([1.0, 1.0, 2.0],), ([1.0, 2.0, 0.0],), 0.0, "A tie: the last so far."),
    Kink("norm(x)", ([0.0, 0.0],), ([0.0, 0.0],), 0.0, "The tip of a cone; PyTorch's second is NaN."),
    Kink("norm(x, 1.5)", ([0.0, 2.0],), ([0.0, 1.0],), 0.0,
         "Smooth here, but the second derivative in the first entry is infinite; PyTorch's is NaN."),
    Kink("l1_loss(x, t)", (1.0, 1.0), (0.0, 0.0), 0.0, "The middle of the slopes, as abs."),
    Kink("huber_loss(x, t)", (1.0, 0.0), (1.0, -1.0), ((1.0, -1.0), (-1.0, 1.0)),
         "Smooth here; the second derivative is still the square's (PyTorch's is the line's)."),
    Kink("hinge_embedding_loss(x, -1)", (1.0,), (-1.0,), 0.0, "At the margin, as clip at its bound."),
    Kink("margin_ranking_loss(a, b, 1)", (2.0, 2.0), (-1.0, 1.0), 0.0, "At the margin, as clip at its bound."),
    Kink("multi_margin_loss(x, 0)", ([1.0, 0.0],), ([0.0, 0.0],), 0.0, "At the margin, as relu."),
    Kink("multilabel_margin_loss(x, [0, -1])", ([1.0, 0.0],), ([0.0, 0.0],), 0.0, "At the margin, as relu."),
    Kink("kl_div(x, t)", (-1.0, 0.0), (0.0, 1.0), ((0.0, -1.0), (-1.0, 0.0)),
         "t log t counts as flat at 0, where it has an infinite slope; PyTorch gives NaN."),
    Kink("norm(x, 1)", ([0.0, 2.0],), ([0.0, 1.0],), 0.0, "The sum of abs."),
    Kink("norm(x, inf)", ([-2.0, 2.0],), ([-0.5, 0.5],), 0.0, "The max of abs: shared evenly."),
    Kink("matrix_norm(x, ord=1)", ([[1.0, 1.0], [2.0, 2.0]],), ([[0.5, 0.5], [0.5, 0.5]],), 0.0,
         "The max of the columns' sums: shared evenly."),
    Kink("norm(x, 0)", ([0.0, 2.0],), ([0.0, 0.0],), 0.0, "A step: it counts what is not 0."),
    Kink("norm(x, -1)", ([0.0, 2.0],), ([0.0, 0.0],), 0.0, "As abs of the element that is 0; PyTorch's second is NaN."),
    Kink("std(x)", ([2.0, 2.0, 2.0],), ([0.0, 0.0, 0.0],), 0.0, "The variance is 0: the tip of a cone."),
    Kink("nanstd(x)", ([2.0, 2.0, nan],), ([0.0, 0.0, 0.0],), 0.0, "As std."),
    Kink("prod(x)", ([2.0, 0.0, 3.0],), ([0.0, 6.0, 0.0],), ((0.0, 3.0, 0.0), (3.0, 0.0, 2.0), (0.0, 2.0, 0.0)),
         "No kink, and exact at a zero: the product of the others."),
    Kink("logsumexp(x)", ([-inf, -inf],), ([0.0, 0.0],), 0.0, "Every exponential is 0, and flat; PyTorch gives NaN."),
    Kink("max_pool1d(x, 3)", ([[[1.0, 2.0, 2.0]]],), ([[[0.0, 1.0, 0.0]]],), 0.0, "A tie: the first in the window."),
    Kink("adaptive_max_pool1d(x, 1)", ([[[2.0, 1.0, 2.0]]],), ([[[1.0, 0.0, 0.0]]],), 0.0, "A tie: the first in the region."),
    Kink("scatter_reduce(x, 0, [0, 0], s, 'amax')", ([1.0], [1.0, 0.0]), ([0.5], [0.5, 0.0]), 0.0, "A tie: shared evenly."),
    Kink("scatter_reduce(x, 0, [0, 0], s, 'amin', False)", ([1.0], [1.0, 1.0]), ([0.0], [0.5, 0.5]), 0.0,
         "A tie: shared evenly; PyTorch counts x, too."),
    Kink("grid_sample(x, g, align_corners=True)", ([[[[1.0, 3.0, 2.0]]]], [[[[0.0, 0.0]]]]),
         ([[[[0.0, 1.0, 0.0]]]], [[[[-1.0, 0.0]]]]),
         ((0.0, 0.0, 0.0, 0.0, 0.0), (0.0, 0.0, 0.0, -1.0, 0.0), (0.0, 0.0, 0.0, 1.0, 0.0), (0.0, -1.0, 1.0, 0.0, 0.0),
          (0.0, 0.0, 0.0, 0.0, 0.0)), "At an element, the slope of the right side; PyTorch has no second."),
    Kink("grid_sample(x, g, padding_mode='border', align_corners=True)", ([[[[1.0, 3.0]]]], [[[[-1.0, 0.0]]]]),
         ([[[[1.0, 0.0]]]], [[[[0.0, 0.0]]]]), 0.0, "At the border, the slope of the flat side."),
    Kink("sort(x)[0]", ([2.0, 1.0, 1.0],), ([0.0, 1.0, 0.0],), 0.0, "A tie: equal elements keep their order."),
    Kink("median(x)", ([1.0, 2.0, 2.0],), ([0.0, 1.0, 0.0],), 0.0, "As sort; PyTorch's median shares it evenly."),
    Kink("nanmedian(x)", ([1.0, nan, 2.0, 2.0],), ([0.0, 0.0, 1.0, 0.0],), 0.0,
         "As median of the others; PyTorch's shares it evenly."),
    Kink("quantile(x, 0.25)", ([1.0, 2.0, 2.0],), ([0.5, 0.5, 0.0],), 0.0, "Between two elements, in the order of sort."),
    Kink("percentile(x, 25)", ([1.0, 2.0, 2.0],), ([0.5, 0.5, 0.0],), 0.0, "As quantile."),
    Kink("nanquantile(x, 0.25)", ([1.0, nan, 2.0, 2.0],), ([0.5, 0.0, 0.5, 0.0],), 0.0, "As quantile of the others."),
    Kink("nanpercentile(x, 25)", ([1.0, nan, 2.0, 2.0],), ([0.5, 0.0, 0.5, 0.0],), 0.0, "As quantile of the others."),
    Kink("partition(x, 1)", ([2.0, 1.0, 1.0],), ([1.0, 1.0, 1.0],), 0.0,
         "A tie: each place has one of the equals, in the order that NumPy chooses."),
    Kink("interp(x, [0, 1, 2], [0, 1, 0])", (1.0,), (-1.0,), 0.0, "The slope of the right side."),
    Kink("topk(x, 1)[0]", ([1.0, 2.0, 2.0],), ([0.0, 1.0, 0.0],), 0.0, "A tie: the first of them."),
    Kink("poisson_nll_loss(x, t, full=True)", (0.0, 1.0), (0.0, 0.0), ((1.0, -1.0), (-1.0, 0.0)),
         "A step in t: Stirling's term counts above 1."),
    Kink("lp_pool1d(x, 2, 2)", ([[[0.0, 0.0]]],), ([[[0.0, 0.0]]],), 0.0,
         "The norm of a window of zeros: the tip of a cone."),
]  # fmt: skip
