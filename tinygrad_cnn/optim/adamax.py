"""Adam with the infinity norm."""

from typing import Any, ClassVar

import numpy as np

from ..checks import Options
from .hyperparameters import Array, Flag, Fractions, NonNegative
from .optimizer import Optimizer, Params
from .rules import direction, moving_average, scalar
from .state import STEP, Count, Slot


class Adamax(Optimizer):
    """Adam whose steps are divided by the largest gradient of late, and not by a root of squares.

    d = g + weight_decay p                              (-g in place of g to maximize)
    m = beta1 m + (1 - beta1) d
    u = max(beta2 u, |d| + eps)
    p = p - lr m / ((1 - beta1^n) u)                    at the n-th step of p

    Reference: Kingma and Ba, "Adam: a method for stochastic optimization", arXiv:1412.6980, section 7.1.

    Args:
        params, lr, weight_decay, maximize: see :class:`Optimizer`.
        betas: the shares of m and of u that stay from step to step.
        eps: added to |d|, which could be 0.

    >>> import tinygrad_cnn as tg
    >>> x = tg.Tensor(3.0, requires_grad=True)
    >>> optimizer = tg.optim.Adamax([x], lr=0.5)
    >>> (x * x).backward()
    >>> optimizer.step()  # the first step has length lr
    >>> round(x.item(), 6)
    2.5
    """

    slots: ClassVar = {STEP: Count(), "exp_avg": Slot(), "exp_inf": Slot()}

    def __init__(
        self, params: Params, lr: NonNegative = 2e-3, betas: Fractions = (0.9, 0.999), eps: NonNegative = 1e-8,
        weight_decay: NonNegative = 0, *, maximize: Flag = False,
    ) -> None:  # fmt: skip
        super().__init__(params, locals())

    def update(self, p: Array, g: Array, state: dict[str, Any], group: Options, new: bool, t: Array, u: Array) -> None:
        (beta1, beta2), m, largest = group["betas"], state["exp_avg"], state["exp_inf"]
        d = direction(p, g, group, out=t)
        moving_average(m, beta1, d, out=u)
        np.abs(d, out=t)
        t += scalar(group["eps"], t.dtype)
        np.multiply(largest, scalar(beta2, largest.dtype), out=largest)
        np.maximum(largest, t, out=largest)
        np.divide(m, largest, out=t)
        t *= scalar(group["lr"] / (1 - beta1 ** state[STEP]), t.dtype)
        p -= t
