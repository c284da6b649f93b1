"""Adam and AdamW."""

import math
from typing import Any, ClassVar

import numpy as np

from ..checks import Options
from .hyperparameters import Array, Flag, Fractions, NonNegative
from .optimizer import Optimizer, Params
from .rules import decay, direction, moving_average
from .state import STEP, Count, Slot


class Adam(Optimizer):
    """Adaptive moment estimation: averages of the gradient and of its square, corrected for their start at 0.

    d = g + weight_decay p                              (-g in place of g to maximize)
    m = beta1 m + (1 - beta1) d
    v = beta2 v + (1 - beta2) d^2
    w = v,  or with amsgrad the largest v so far, elementwise
    p = p - lr / (1 - beta1^n) m / (sqrt(w) / sqrt(1 - beta2^n) + eps)         at the n-th step of p

    References: Kingma and Ba, "Adam: a method for stochastic optimization", arXiv:1412.6980; amsgrad: Reddi, Kale and
    Kumar, "On the convergence of Adam and beyond", arXiv:1904.09237. As in PyTorch, the maximum is over v before its
    correction.

    Args:
        params, lr, weight_decay, maximize: see :class:`Optimizer`.
        betas: the shares of m and of v that stay from step to step.
        eps: added to the denominator, which could be 0.
        amsgrad: divide by the largest v so far.
        decoupled_weight_decay: multiply p by 1 - lr weight_decay instead of changing d, as :class:`AdamW` does.

    >>> import tinygrad_cnn as tg
    >>> x = tg.Tensor(3.0, requires_grad=True)
    >>> optimizer = tg.optim.Adam([x], lr=0.5)
    >>> (x * x).backward()
    >>> optimizer.step()  # the first step has length lr, whatever the gradient
    >>> round(x.item(), 6)
    2.5
    """

    slots: ClassVar = {STEP: Count(), "exp_avg": Slot(), "exp_avg_sq": Slot(), "max_exp_avg_sq": Slot("amsgrad")}

    def __init__(
        self, params: Params, lr: NonNegative = 1e-3, betas: Fractions = (0.9, 0.999), eps: NonNegative = 1e-8,
        weight_decay: NonNegative = 0, amsgrad: Flag = False, *, maximize: Flag = False,
        decoupled_weight_decay: Flag = False,
    ) -> None:  # fmt: skip
        super().__init__(params, locals())

    def update(self, p: Array, g: Array, state: dict[str, Any], group: Options, new: bool, t: Array, u: Array) -> None:
        (beta1, beta2), n = group["betas"], state[STEP]
        m, v = state["exp_avg"], state["exp_avg_sq"]
        d = direction(p, g, group, out=t)
        moving_average(m, beta1, d, out=u)
        moving_average(v, beta2, d, out=u, square=True)
        if group["amsgrad"]:
            v = np.maximum(state["max_exp_avg_sq"], v, out=state["max_exp_avg_sq"])
        root = math.sqrt(1 - beta2**n)  # m~ / (sqrt(v~) + eps) with numerator and denominator multiplied by it
        np.sqrt(v, out=u)
        u += group["eps"] * root
        np.divide(m, u, out=u)
        u *= group["lr"] * root / (1 - beta1**n)
        if group["decoupled_weight_decay"]:
            decay(p, group)
        p -= u


class AdamW(Adam):
    """Adam with decoupled weight decay, which acts on the parameter and not on the gradient.

    p = (1 - lr weight_decay) p, then Adam's step along d = g                (-g in place of g to maximize)

    Reference: Loshchilov and Hutter, "Decoupled weight decay regularization", arXiv:1711.05101. As in PyTorch, the
    decay is multiplied by lr.

    Args:
        params, lr, betas, eps, amsgrad, maximize: see :class:`Adam`.
        weight_decay: at each step, p is multiplied by 1 - lr weight_decay.

    >>> import tinygrad_cnn as tg
    >>> x = tg.Tensor(4.0, requires_grad=True)
    >>> optimizer = tg.optim.AdamW([x], lr=0.5, weight_decay=0.5)
    >>> (x * x).backward()
    >>> optimizer.step()  # 4 (1 - 0.25), then a step of length lr
    >>> round(x.item(), 6)
    2.5
    """

    def __init__(
        self, params: Params, lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8,
        weight_decay: float = 1e-2, amsgrad: bool = False, *, maximize: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, maximize=maximize, decoupled_weight_decay=True)
