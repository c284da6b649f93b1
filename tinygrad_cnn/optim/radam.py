"""Adam that rectifies the variance of its first steps."""

import math
from typing import Any, ClassVar

import numpy as np

from ..checks import Options
from .hyperparameters import Array, Flag, Fractions, NonNegative
from .optimizer import Optimizer, Params
from .rules import decay, direction, moving_average, scalar
from .state import STEP, Count, Slot

STEADY = 5
"""The length of the average from which on the second moment is used."""


class RAdam(Optimizer):
    """Adam without warm-up: steps are scaled by how sure the second moment is, and are plain momentum while it is not.

    d = g + weight_decay p                              (-g in place of g to maximize)
    m = beta1 m + (1 - beta1) d
    v = beta2 v + (1 - beta2) d^2
    rho = rho_max - 2 n beta2^n / (1 - beta2^n),  rho_max = 2 / (1 - beta2) - 1            at the n-th step of p
    r = sqrt((rho - 4) (rho - 2) rho_max / ((rho_max - 4) (rho_max - 2) rho))
    p = p - lr r m / (1 - beta1^n) sqrt(1 - beta2^n) / (sqrt(v) + eps)     where rho > 5,
    p = p - lr m / (1 - beta1^n)                                           before

    Reference: Liu et al., "On the variance of the adaptive learning rate and beyond", arXiv:1908.03265.

    Args:
        params, lr, weight_decay, maximize: see :class:`Optimizer`.
        betas: the shares of m and of v that stay from step to step.
        eps: added to the denominator, which could be 0.
        decoupled_weight_decay: multiply p by 1 - lr weight_decay instead of changing d, as :class:`AdamW` does.

    >>> import tinygrad_cnn as tg
    >>> x = tg.Tensor(3.0, requires_grad=True)
    >>> optimizer = tg.optim.RAdam([x], lr=0.5)
    >>> (x * x).backward()
    >>> optimizer.step()  # the first step is one of gradient descent
    >>> round(x.item(), 6)
    0.0
    """

    slots: ClassVar = {STEP: Count(), "exp_avg": Slot(), "exp_avg_sq": Slot()}

    def __init__(
        self, params: Params, lr: NonNegative = 1e-3, betas: Fractions = (0.9, 0.999), eps: NonNegative = 1e-8,
        weight_decay: NonNegative = 0, decoupled_weight_decay: Flag = False, *, maximize: Flag = False,
    ) -> None:  # fmt: skip
        super().__init__(params, locals())

    def update(self, p: Array, g: Array, state: dict[str, Any], group: Options, new: bool, t: Array, u: Array) -> None:
        (beta1, beta2), n, m, v = group["betas"], state[STEP], state["exp_avg"], state["exp_avg_sq"]
        d = direction(p, g, group, out=t)
        moving_average(m, beta1, d, out=u)
        moving_average(v, beta2, d, out=u, square=True)
        if group["decoupled_weight_decay"]:
            decay(p, group)
        rate, left = group["lr"] / (1 - beta1**n), 1 - beta2**n
        longest = 2 / (1 - beta2) - 1
        length = longest - 2 * n * beta2**n / left
        if length > STEADY:
            rate *= math.sqrt(left * _ratio(length) / _ratio(longest))
            np.sqrt(v, out=u)
            u += scalar(group["eps"], u.dtype)
            np.divide(m, u, out=t)
            t *= scalar(rate, t.dtype)
        else:
            np.multiply(m, scalar(rate, t.dtype), out=t)
        p -= t


def _ratio(length: float) -> float:
    return (length - 4) * (length - 2) / length
