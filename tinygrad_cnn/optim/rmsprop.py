"""RMSprop."""

from typing import Any, ClassVar

import numpy as np

from ..checks import Options
from .hyperparameters import Array, Flag, Fraction, NonNegative
from .optimizer import Optimizer, Params
from .rules import direction, moving_average
from .state import STEP, Count, Slot


class RMSprop(Optimizer):
    """Gradient descent with each step divided by the root mean square of recent gradients.

    d = g + weight_decay p                              (-g in place of g to maximize)
    v = alpha v + (1 - alpha) d^2
    m = alpha m + (1 - alpha) d                         (centered only; else m = 0)
    s = d / (sqrt(v - m^2) + eps)
    p = p - lr s  without momentum;  b = momentum b + s,  p = p - lr b  with it.

    References: Tieleman and Hinton, "Lecture 6.5: RMSprop", Neural Networks for Machine Learning (2012); centered:
    Graves, "Generating sequences with recurrent neural networks", arXiv:1308.0850. As in PyTorch, eps is added outside
    the root. A variance v - m^2 that rounding makes negative is taken as 0.

    Args:
        params, lr, weight_decay, maximize: see :class:`Optimizer`.
        alpha: the share of the averages v and m that stays from step to step.
        eps: added to the denominator, which could be 0.
        momentum: the share of b that stays from step to step.
        centered: divide by the standard deviation instead of the root mean square.

    >>> import tinygrad_cnn as tg
    >>> x = tg.Tensor(3.0, requires_grad=True)
    >>> optimizer = tg.optim.RMSprop([x], lr=0.5, alpha=0.75)
    >>> (x * x).backward()
    >>> optimizer.step()  # v = (1 - 0.75) 6^2, so s = 6 / 3
    >>> x.item()
    2.0
    """

    slots: ClassVar = {
        STEP: Count(), "square_avg": Slot(), "momentum_buffer": Slot("momentum"), "grad_avg": Slot("centered")
    }  # fmt: skip

    def __init__(
        self, params: Params, lr: NonNegative = 1e-2, alpha: Fraction = 0.99, eps: NonNegative = 1e-8,
        weight_decay: NonNegative = 0, momentum: NonNegative = 0, centered: Flag = False, *, maximize: Flag = False,
    ) -> None:  # fmt: skip
        super().__init__(params, locals())

    def update(self, p: Array, g: Array, state: dict[str, Any], group: Options, new: bool, t: Array, u: Array) -> None:
        d = direction(p, g, group, out=t)
        v = state["square_avg"]
        moving_average(v, group["alpha"], d, out=u, square=True)
        if group["centered"]:
            m = state["grad_avg"]
            moving_average(m, group["alpha"], d, out=u)
            np.multiply(m, m, out=u)
            np.subtract(v, u, out=u)
            np.maximum(u, 0, out=u)
            np.sqrt(u, out=u)
        else:
            np.sqrt(v, out=u)
        u += group["eps"]
        s = np.divide(d, u, out=u)
        if group["momentum"]:
            b = state["momentum_buffer"]
            b *= group["momentum"]
            b += s
            s = b
        p -= np.multiply(s, group["lr"], out=u)
