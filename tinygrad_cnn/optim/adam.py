"""Momentum and step size, each averaged over time and corrected for its start at zero."""

import math
from typing import Any, ClassVar

import numpy as np

from .hyperparameters import Array, Flag, Fractions, NonNegative, Options
from .optimizer import Optimizer, Params
from .rules import average, descent, shrink
from .state import STEP, Count, Slot


class Adam(Optimizer):
    """Gradient descent along an averaged gradient, in units of its root mean square.

    d = g + weight_decay p                              (-g in place of g to maximize)
    m = beta1 m + (1 - beta1) d
    v = beta2 v + (1 - beta2) d^2
    w = v,  or with amsgrad the largest v so far, elementwise
    p = p - lr / (1 - beta1^n) m / (sqrt(w) / sqrt(1 - beta2^n) + eps)         at the n-th step of p

    References: Kingma and Ba, "Adam: a method for stochastic optimization", arXiv:1412.6980; amsgrad: Reddi, Kale and
    Kumar, "On the convergence of Adam and beyond", arXiv:1904.09237. As in PyTorch, the maximum is over v before its
    correction.

    Args:
        params: Tensors, or dicts of Tensors and options; see :class:`Optimizer`.
        lr: learning rate.
        betas: how much of m and of v stays from step to step.
        eps: keeps the division away from 0.
        weight_decay: factor of the L2 penalty weight_decay |p|^2 / 2.
        amsgrad: never let the step grow because v shrank.
        maximize: climb instead.
        decoupled_weight_decay: shrink p itself by lr weight_decay and leave d alone, as :class:`AdamW` does.

    Raises:
        TypeError, ValueError: for a parameter or option that does not fit; see :class:`Optimizer`.

    >>> import tinygrad_cnn as tg
    >>> x = tg.Tensor(3.0, requires_grad=True)
    >>> optimizer = tg.optim.Adam([x], lr=0.5)
    >>> (x * x).backward()
    >>> optimizer.step()  # the first step has length lr, whatever the gradient
    >>> round(x.item(), 6)
    2.5
    """

    slots: ClassVar = {
        STEP: Count(),
        "exp_avg": Slot(),
        "exp_avg_sq": Slot(),
        "max_exp_avg_sq": Slot("amsgrad"),
    }

    def __init__(
        self, params: Params, lr: NonNegative = 1e-3, betas: Fractions = (0.9, 0.999), eps: NonNegative = 1e-8,
        weight_decay: NonNegative = 0, amsgrad: Flag = False, *, maximize: Flag = False,
        decoupled_weight_decay: Flag = False,
    ) -> None:  # fmt: skip
        super().__init__(params, locals())

    def update(self, p: Array, g: Array, state: dict[str, Any], group: Options, new: bool, t: Array, u: Array) -> None:
        (beta1, beta2), n = group["betas"], state[STEP]
        m, v = state["exp_avg"], state["exp_avg_sq"]
        d = descent(p, g, group, out=t)
        average(m, beta1, d, out=u)
        average(v, beta2, d, out=u, square=True)
        if group["amsgrad"]:
            v = np.maximum(state["max_exp_avg_sq"], v, out=state["max_exp_avg_sq"])
        root = math.sqrt(1 - beta2**n)  # m~ / (sqrt(v~) + eps) with numerator and denominator multiplied by it
        np.sqrt(v, out=u)
        u += group["eps"] * root
        np.divide(m, u, out=u)
        u *= group["lr"] * root / (1 - beta1**n)
        if group["decoupled_weight_decay"]:
            shrink(p, group)
        p -= u
