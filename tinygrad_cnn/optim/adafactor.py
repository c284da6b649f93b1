"""Adafactor."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, TypeAlias

import numpy as np

from ..checks import Options, non_negative, number
from ..tensor import Tensor
from .hyperparameters import Array, Flag, NonNegative, pair
from .optimizer import Optimizer, Params
from .rules import decay
from .state import STEP, Count, Slot


@dataclass(frozen=True)
class Means(Slot):
    """Averages of a parameter along an axis, which stays with length 1.

    Attributes:
        axis: the axis, counted from the last one: -1.
    """

    axis: int = -1

    def shape(self, p: Array | Tensor) -> tuple[int, ...]:
        """The shape of the parameter with one element along the axis."""
        shape = list(p.shape)
        shape[self.axis] = 1
        return tuple(shape)


def _none_or_non_negative(value: Any) -> float | None:
    return None if value is None else non_negative(value)


Eps: TypeAlias = Annotated[
    tuple[float | None, float],
    pair("a pair of numbers of at least 0, the first of which may be None", _none_or_non_negative, non_negative),
]
NonPositive: TypeAlias = Annotated[float, number("a finite number of at most 0", lambda x: -math.inf < x <= 0)]
FromOne: TypeAlias = Annotated[float, number("a finite number of at least 1", lambda x: 1 <= x < math.inf)]


class Adafactor(Optimizer):
    """Steps divided by the root of a second moment that a matrix keeps as averages of its rows and of its columns.

    q = g                                               (-g to maximize),  k = n^beta2_decay  at the n-th step of p
    r = (1 - k) r + k mean(q^2) along the last axis, c in the same way along the last but one
    v = r c / max(mean(r), eps1)  of a matrix, or of the matrices along the last two axes;
    v = (1 - k) v + k q^2         of a vector or number
    s = q / max(sqrt(v), eps1)
    p = (1 - lr weight_decay) p - max(eps2, rms(p)) min(lr, 1 / sqrt(n)) s / max(1, rms(s) / d)

    So the memory of the state grows with the sum of a matrix's sides and not with their product. These are PyTorch's
    equations: lr and weight decay are not those of the paper.

    Reference: Shazeer and Stern, "Adafactor: adaptive learning rates with sublinear memory cost", arXiv:1804.04235.

    Args:
        params, weight_decay, maximize: see :class:`Optimizer`. The weight decay is decoupled, as that of :class:`AdamW`.
        lr: the largest step, relative to the size of the parameter.
        beta2_decay: the power with which new squares lose weight; at most 0.
        eps: (eps1, eps2): the least divisor, None for the spacing of the parameter's dtype at 1; and the least size of a
            parameter that its steps are relative to.
        d: the largest root mean square of s.

    >>> import tinygrad_cnn as tg
    >>> x = tg.ones(3, 4, requires_grad=True)
    >>> optimizer = tg.optim.Adafactor([x], lr=0.25)
    >>> (x * x).sum().backward()
    >>> optimizer.step()  # all gradients are equal, so each element takes a step of lr
    >>> float(x.numpy().max()), {name: v.shape for name, v in optimizer.state[x].items() if name != "step"}
    (0.75, {'row_var': (3, 1), 'col_var': (1, 4)})
    """

    slots: ClassVar = {STEP: Count(), "variance": Slot()}
    elementwise: ClassVar = False

    def __init__(
        self, params: Params, lr: NonNegative = 1e-2, beta2_decay: NonPositive = -0.8, eps: Eps = (None, 1e-3),
        d: FromOne = 1.0, weight_decay: NonNegative = 0.0, *, maximize: Flag = False,
    ) -> None:  # fmt: skip
        super().__init__(params, locals())

    def slots_of(self, p: Tensor) -> Mapping[str, Slot]:
        return {STEP: Count(), "row_var": Means(axis=-1), "col_var": Means(axis=-2)} if p.ndim > 1 else self.slots

    def update(self, p: Array, g: Array, state: dict[str, Any], group: Options, new: bool, t: Array, u: Array) -> None:
        if not p.size:
            return
        n, (eps1, eps2) = state[STEP], group["eps"]
        share = n ** group["beta2_decay"]
        eps1 = float(np.finfo(p.dtype).eps) if eps1 is None else eps1
        lr = max(eps2, _rms(p, u)) * min(group["lr"], n**-0.5)
        np.multiply(g, g, out=t)
        if p.ndim > 1:
            rows, columns = state["row_var"], state["col_var"]
            rows += share * (_mean(t, -1) - rows)
            columns += share * (_mean(t, -2) - columns)
            np.multiply(rows, columns, out=t)
            t /= np.maximum(_mean(rows, -2), eps1)
        else:
            v = state["variance"]
            t -= v
            t *= share
            v += t
            np.copyto(t, v)
        np.maximum(t, eps1 * eps1, out=t)
        s = np.divide(g, np.sqrt(t, out=t), out=t)
        s *= lr / max(1, _rms(s, u) / group["d"])
        decay(p, group)
        (np.add if group["maximize"] else np.subtract)(p, s, out=p)


def _mean(a: Array, axis: int) -> Array:
    mean: Array = a.mean(axis, keepdims=True, dtype=np.promote_types(a.dtype, np.float64))
    return mean.astype(a.dtype)


def _rms(a: Array, scratch: Array) -> float:
    return math.sqrt(np.square(a, out=scratch).mean(dtype=np.promote_types(a.dtype, np.float64)))
