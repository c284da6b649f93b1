"""Adagrad."""

from typing import Any, ClassVar

import numpy as np

from ..checks import Options
from .hyperparameters import Array, Flag, NonNegative
from .optimizer import Optimizer, Params
from .rules import direction
from .state import STEP, Count, Slot


class Adagrad(Optimizer):
    """Gradient descent with each step divided by the root of the sum of squares of all gradients so far.

    d = g + weight_decay p                              (-g in place of g to maximize)
    s = s + d^2,  from initial_accumulator_value
    p = p - lr / (1 + (n - 1) lr_decay) d / (sqrt(s) + eps)                    at the n-th step of p

    Reference: Duchi, Hazan and Singer, "Adaptive subgradient methods for online learning and stochastic optimization",
    JMLR 12 (2011).

    Args:
        params, lr, weight_decay, maximize: see :class:`Optimizer`.
        lr_decay: how fast the learning rate decreases with the number of steps.
        initial_accumulator_value: the first value of s.
        eps: added to the denominator, which could be 0.

    >>> import tinygrad_cnn as tg
    >>> x = tg.Tensor(4.0, requires_grad=True)
    >>> optimizer = tg.optim.Adagrad([x], lr=1.0, initial_accumulator_value=36.0)
    >>> (x * x).backward()
    >>> optimizer.step()  # s = 36 + 8^2, so the step is 8 / 10
    >>> round(x.item(), 6)
    3.2
    """

    slots: ClassVar = {STEP: Count(), "sum": Slot(start="initial_accumulator_value")}

    def __init__(
        self, params: Params, lr: NonNegative = 1e-2, lr_decay: NonNegative = 0, weight_decay: NonNegative = 0,
        initial_accumulator_value: NonNegative = 0, eps: NonNegative = 1e-10, *, maximize: Flag = False,
    ) -> None:  # fmt: skip
        super().__init__(params, locals())

    def update(self, p: Array, g: Array, state: dict[str, Any], group: Options, new: bool, t: Array, u: Array) -> None:
        d, s = direction(p, g, group, out=t), state["sum"]
        s += np.multiply(d, d, out=u)
        np.sqrt(s, out=u)
        u += group["eps"]
        np.multiply(d, group["lr"] / (1 + (state[STEP] - 1) * group["lr_decay"]), out=t)
        t /= u
        p -= t
