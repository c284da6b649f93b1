"""Adam with Nesterov momentum."""

import math
from typing import Any, ClassVar

import numpy as np

from ..checks import Options
from .hyperparameters import Array, Flag, Fractions, NonNegative
from .optimizer import Optimizer, Params
from .rules import decay, direction, moving_average
from .state import STEP, Count, Number, Slot


class NAdam(Optimizer):
    """Adam with Nesterov momentum, whose factor mu grows during training.

    d = g + weight_decay p                              (-g in place of g to maximize)
    m = beta1 m + (1 - beta1) d
    v = beta2 v + (1 - beta2) d^2
    mu_n = beta1 (1 - 0.96^(n momentum_decay) / 2),  M_n = mu_1 ... mu_n       at the n-th step of p
    s = (1 - mu_n) / (1 - M_n) d + mu_(n+1) / (1 - M_(n+1)) m
    p = p - lr s / (sqrt(v / (1 - beta2^n)) + eps)

    References: Dozat, "Incorporating Nesterov momentum into Adam" (2016); decoupled decay: Loshchilov and Hutter,
    arXiv:1711.05101.

    Args:
        params, lr, weight_decay, maximize: see :class:`Optimizer`.
        betas: the shares of m and of v that stay from step to step.
        eps: added to the denominator, which could be 0.
        momentum_decay: how fast mu grows from beta1 / 2 to beta1.
        decoupled_weight_decay: multiply p by 1 - lr weight_decay instead of changing d, as :class:`AdamW` does.

    >>> import tinygrad_cnn as tg
    >>> x = tg.Tensor(3.0, requires_grad=True)
    >>> optimizer = tg.optim.NAdam([x], lr=0.5, betas=(0.0, 0.999))
    >>> (x * x).backward()
    >>> optimizer.step()  # without momentum, the first step has length lr
    >>> round(x.item(), 6)
    2.5
    """

    slots: ClassVar = {STEP: Count(), "mu_product": Number(start=1.0), "exp_avg": Slot(), "exp_avg_sq": Slot()}

    def __init__(
        self, params: Params, lr: NonNegative = 2e-3, betas: Fractions = (0.9, 0.999), eps: NonNegative = 1e-8,
        weight_decay: NonNegative = 0, momentum_decay: NonNegative = 4e-3, decoupled_weight_decay: Flag = False,
        *, maximize: Flag = False,
    ) -> None:  # fmt: skip
        super().__init__(params, locals())

    def advance(self, state: dict[str, Any], group: Options) -> None:
        super().advance(state, group)
        state["mu_product"] *= _mu(state[STEP], group)

    def update(self, p: Array, g: Array, state: dict[str, Any], group: Options, new: bool, t: Array, u: Array) -> None:
        (beta1, beta2), n, lr = group["betas"], state[STEP], group["lr"]
        m, v = state["exp_avg"], state["exp_avg_sq"]
        mu, ahead, product = _mu(n, group), _mu(n + 1, group), state["mu_product"]
        d = direction(p, g, group, out=t)
        moving_average(m, beta1, d, out=u)
        moving_average(v, beta2, d, out=u, square=True)
        np.sqrt(v, out=u)
        u /= math.sqrt(1 - beta2**n)
        u += group["eps"]
        np.multiply(d, lr * (1 - mu) / (1 - product), out=t)
        t /= u
        if group["decoupled_weight_decay"]:
            decay(p, group)
        p -= t
        np.multiply(m, lr * ahead / (1 - product * ahead), out=t)
        t /= u
        p -= t


def _mu(n: int, group: Options) -> float:
    """The momentum of the n-th step."""
    mu: float = group["betas"][0] * (1 - 0.5 * 0.96 ** (n * group["momentum_decay"]))
    return mu
