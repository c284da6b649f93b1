"""What ops and constants are called on a page: as the program calls them, and by what they hold."""

from __future__ import annotations

import functools
import importlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...core.graph import Op
from ...tensor import Tensor

SPATIAL = {"convolve": "conv{}d", "convolve_dx": "conv_transpose{}d", "max_pool": "max_pool{}d"}
"""Functions that are named by their number of spatial axes, by op."""

WRITTEN = {
    "softmax_nll": "cross_entropy", "mean_nll": "cross_entropy", "power_norm": "norm", "deviation": "std", "variance": "var",
    "pad_constant": "pad",
    "contract": "einsum", "resample": "interpolate", "cast": "astype", "cast_discrete": "astype", "take_elements": "take",
    "bernoulli_nll": "binary_cross_entropy", "bernoulli_nll_logits": "binary_cross_entropy_with_logits",
    "exponential_linear": "elu", "rectify": "leaky_relu", "keep_mask": "dropout mask",
}  # fmt: skip
"""The function that calls an op that has another name, where it is not known which one did."""

LARGE = 1 << 20
"""The most elements of a constant that are looked at."""


@functools.cache
def _functions() -> frozenset[str]:
    """The names of public functions and of methods of Tensor."""
    package = __name__.partition(".")[0]
    modules = [importlib.import_module(name) for name in (package, f"{package}.linalg")]
    names = [*dir(Tensor), *(name for module in modules for name in module.__all__)]
    return frozenset(name for name in names if not name.startswith("_"))


def is_function(name: str) -> bool:
    """Whether a program calls a function of this name; special functions of SciPy's names are named as their ops."""
    return name in _functions()


def written(op: Op, shape: tuple[int, ...]) -> str:
    """The name of the function that calls an op, "" for the op's own."""
    if op.name in SPATIAL:
        return SPATIAL[op.name].format(max(len(shape) - 2, 1))
    return WRITTEN.get(op.name, "")


def constant(array: NDArray[Any]) -> str:
    """What a constant is: a number, "zeros", "mask", "arange" and so on; "array" if none of these."""
    if array.size == 1:
        return f"{array.item():.4g}" if array.dtype.kind == "f" else str(array.item())
    if array.dtype.kind == "b":
        return "mask"
    if 0 < array.size <= LARGE:
        first = array.flat[0]
        if (array == first).all():
            named = {0: "zeros", 1: "ones"}.get(first.item())
            return named or f"filled with {first.item():.4g}"
        if array.ndim == 1 and array.dtype.kind in "iuf" and np.array_equal(array, np.arange(array.size) + first):
            return "arange"
        if array.ndim == 2 and np.array_equal(array, np.eye(*array.shape)):
            return "eye"
    return "integers" if array.dtype.kind in "iu" else "array"
