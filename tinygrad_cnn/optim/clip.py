"""Clipping of gradients by their norm or by value.

A clipped gradient is a new array, since another parameter or the user may hold the old one.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, Literal

import numpy as np

from ..checks import checked, flag, number
from ..ops.updates import PIECE
from ..scope import silent
from ..tensor import Tensor, get_default_dtype
from .hyperparameters import Array, several

_limit = number("a number of at least 0", lambda x: x >= 0)
_order = number("a number above 0, or math.inf", lambda x: x > 0)


def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor], max_norm: float, norm_type: float | Literal["inf"] = 2.0,
    error_if_nonfinite: bool = False,
) -> Tensor:  # fmt: skip
    """Scale all gradients by min(1, max_norm / (norm + 1e-6)), where norm = (sum |g|^p)^(1/p) over all their elements.

    Of complex numbers, |g| is the modulus.

    Call it between ``backward()`` and the optimizer's step. The new gradients are not recorded. If the norm is infinite or
    nan, the gradients become 0 and nan, as in PyTorch, unless max_norm is infinite.

    Reference: Pascanu, Mikolov and Bengio, "On the difficulty of training recurrent neural networks", arXiv:1211.5063.

    Args:
        parameters: one Tensor or several. Those without a gradient are left out; a Tensor that is listed twice counts once.
        max_norm: the largest norm that is not scaled; math.inf to only measure.
        norm_type: p; math.inf or "inf" for the largest |g|.
        error_if_nonfinite: whether to raise if the norm is infinite or nan.

    Returns:
        The norm before clipping, as a Tensor without axes, in the dtype of the gradients. It is summed in float64.

    Raises:
        TypeError, ValueError: if an argument has the wrong type or is out of range, or there is no parameter.
        RuntimeError: if `error_if_nonfinite` is set and the norm is infinite or nan; no gradient is changed then.

    >>> import tinygrad_cnn as tg
    >>> x = tg.Tensor([3.0, 4.0], requires_grad=True)
    >>> (x * x / 2).sum().backward()
    >>> tg.optim.clip_grad_norm_([x], max_norm=1.0).item()
    5.0
    >>> [round(g, 5) for g in x.grad.tolist()]
    [0.6, 0.8]
    """
    if norm_type == "inf":
        norm_type = math.inf
    table = {"max_norm": _limit, "norm_type": _order, "error_if_nonfinite": flag}
    limit, order, _ = checked("clip_grad_norm_", table, locals()).values()
    clipped = _with_gradients("clip_grad_norm_", parameters)

    def scaled(*gradients: Array) -> tuple[Array, ...]:
        with silent:
            norm = _norm(gradients, order)
            if error_if_nonfinite and not math.isfinite(norm):
                raise RuntimeError(
                    f"clip_grad_norm_: the norm of the gradients is {norm}, so they cannot be scaled; look for the op that "
                    "made it, or set error_if_nonfinite=False"
                )
            scale = limit / (norm + 1e-6)
            dtype = np.result_type(*(g.real for g in gradients)) if gradients else get_default_dtype()
            if limit < math.inf and not scale >= 1:
                gradients = tuple(np.multiply(g, scale, out=np.empty_like(g)) for g in gradients)
            return np.asarray(norm, dtype), *gradients

    norm, *gradients = scaled(*(g for _, g in clipped))
    for (p, before), g in zip(clipped, gradients, strict=True):
        if g is not before:
            p.grad = Tensor._of(g)
    return Tensor._of(norm)


def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float) -> None:
    """Clip every element of the gradients to [-clip_value, clip_value]; nan stays nan.

    Args:
        parameters: one Tensor or several. Those without a gradient are left out.
        clip_value: the largest absolute value of an element.

    Raises:
        TypeError, ValueError: if an argument has the wrong type or is out of range, there is no parameter, or a gradient is
            complex.
    """
    limit = checked("clip_grad_value_", {"clip_value": _limit}, locals())["clip_value"]

    def cut(g: Array) -> Array:
        with silent:
            return np.clip(g, -limit, limit, out=np.empty_like(g))

    clipped = _with_gradients("clip_grad_value_", parameters)
    for i, (_, g) in enumerate(clipped):
        if g.dtype.kind == "c":
            raise TypeError(
                f"clip_grad_value_: gradient {i} is {g.dtype}, and complex numbers have no order; use clip_grad_norm_"
            )
    for p, g in clipped:
        p.grad = Tensor._of(cut(g))


def _with_gradients(name: str, parameters: Tensor | Iterable[Tensor]) -> list[tuple[Tensor, Array]]:
    """Each parameter that has a gradient, once, with the array of its gradient."""
    listed = [parameters] if isinstance(parameters, Tensor) else several(name, "parameters", parameters)
    if not listed:
        raise ValueError(
            f"{name}: `parameters` is empty; give at least one Tensor: an iterator, such as model.parameters(), can be used "
            "once"
        )
    for i, p in enumerate(listed):
        if not isinstance(p, Tensor):
            raise TypeError(f"{name}: parameter {i} is a {type(p).__name__}; it must be a Tensor")
    return [(p, p.grad._array) for p in {id(p): p for p in listed}.values() if p.grad is not None]


def _norm(gradients: Sequence[Array], order: float) -> float:
    gradients = [np.abs(g) if g.dtype.kind == "c" else g for g in gradients]
    extremes = [e for g in gradients if g.size for e in (-g.min(), g.max())]
    largest = float(np.max(extremes)) if extremes else 0.0
    if order == math.inf or not 0 < largest < math.inf:
        return largest
    # Relative to the largest element, since powers of the elements themselves may overflow or underflow.
    total = 0.0
    for g in gradients:
        flags: Any = ["external_loop", "buffered", "zerosize_ok"]
        wide: Any = [np.result_type(g.dtype, np.float64)]
        pieces: Any = np.nditer(g, flags=flags, op_dtypes=wide, buffersize=PIECE)
        for piece in pieces:
            ratio = np.abs(piece / largest)
            total += float(np.sum(ratio**order))
    return float(largest * total ** (1 / order))
