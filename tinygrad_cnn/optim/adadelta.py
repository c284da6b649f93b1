"""Adadelta."""

from typing import Any, ClassVar

import numpy as np

from ..checks import Options
from .hyperparameters import Array, Flag, NonNegative, Share
from .optimizer import Optimizer, Params
from .rules import direction, moving_average
from .state import STEP, Count, Slot


class Adadelta(Optimizer):
    """Gradient descent with each step scaled by the RMS of recent steps over the RMS of recent gradients.

    d = g + weight_decay p                              (-g in place of g to maximize)
    v = rho v + (1 - rho) d^2
    s = sqrt(a + eps) / sqrt(v + eps) d
    a = rho a + (1 - rho) s^2
    p = p - lr s

    Reference: Zeiler, "ADADELTA: an adaptive learning rate method", arXiv:1212.5701, where lr is 1.

    Args:
        params, lr, weight_decay, maximize: see :class:`Optimizer`.
        rho: the share of the averages v and a that stays from step to step.
        eps: added under both roots; it sets the size of the first steps.

    >>> import tinygrad_cnn as tg
    >>> x = tg.Tensor(3.0, requires_grad=True)
    >>> optimizer = tg.optim.Adadelta([x], rho=0.75, eps=7.0)
    >>> (x * x).backward()
    >>> optimizer.step()  # s = sqrt(7) / sqrt(9 + 7) 6
    >>> round((3 - x.item()) ** 2, 5)  # 7 / 16 * 36
    15.75
    """

    slots: ClassVar = {STEP: Count(), "square_avg": Slot(), "acc_delta": Slot()}

    def __init__(
        self, params: Params, lr: NonNegative = 1.0, rho: Share = 0.9, eps: NonNegative = 1e-6,
        weight_decay: NonNegative = 0, *, maximize: Flag = False,
    ) -> None:  # fmt: skip
        super().__init__(params, locals())

    def update(self, p: Array, g: Array, state: dict[str, Any], group: Options, new: bool, t: Array, u: Array) -> None:
        d = direction(p, g, group, out=t)
        v, a = state["square_avg"], state["acc_delta"]
        moving_average(v, group["rho"], d, out=u, square=True)
        np.add(v, group["eps"], out=u)
        s = np.divide(d, np.sqrt(u, out=u), out=t)
        np.add(a, group["eps"], out=u)
        s *= np.sqrt(u, out=u)
        moving_average(a, group["rho"], s, out=u, square=True)
        p -= np.multiply(s, group["lr"], out=u)
