"""Lion."""

from typing import Any, ClassVar

import numpy as np

from ..checks import Options
from .hyperparameters import Array, Flag, Fractions, NonNegative
from .optimizer import Optimizer, Params
from .rules import decay
from .state import Slot


class Lion(Optimizer):
    """Sign descent: the step is lr times the sign of an average of gradients, the same size in every element.

    p = (1 - lr weight_decay) p - lr sign(beta1 m + (1 - beta1) g)             (-g in place of g to maximize)
    m = beta2 m + (1 - beta2) g

    Reference: Chen et al., "Symbolic discovery of optimization algorithms", arXiv:2302.06675, algorithm 2, which advises
    a learning rate 3 to 10 times smaller than AdamW's and a weight decay as much larger.

    Args:
        params, maximize: see :class:`Optimizer`.
        lr: learning rate: the size of the step in every element.
        betas: the share of m in the step, and the share of m that stays from step to step.
        weight_decay: at each step, p is multiplied by 1 - lr weight_decay.

    >>> import tinygrad_cnn as tg
    >>> x = tg.Tensor([3.0, -0.25], requires_grad=True)
    >>> optimizer = tg.optim.Lion([x], lr=0.5)
    >>> (x * x).sum().backward()
    >>> optimizer.step()
    >>> x.tolist()
    [2.5, 0.25]
    """

    slots: ClassVar = {"exp_avg": Slot()}

    def __init__(
        self, params: Params, lr: NonNegative = 1e-4, betas: Fractions = (0.9, 0.99), weight_decay: NonNegative = 0,
        *, maximize: Flag = False,
    ) -> None:  # fmt: skip
        super().__init__(params, locals())

    def update(self, p: Array, g: Array, state: dict[str, Any], group: Options, new: bool, t: Array, u: Array) -> None:
        (beta1, beta2), m = group["betas"], state["exp_avg"]
        sign = -1 if group["maximize"] else 1
        np.multiply(m, beta1, out=u)
        u += np.multiply(g, sign * (1 - beta1), out=t)
        m *= beta2
        m += np.multiply(g, sign * (1 - beta2), out=t)
        np.sign(u, out=u)
        decay(p, group)
        p -= np.multiply(u, group["lr"], out=u)
