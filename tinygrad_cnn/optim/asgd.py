"""Averaged stochastic gradient descent."""

from typing import Any, ClassVar

import numpy as np

from ..checks import Options
from .hyperparameters import Array, Finite, Flag, NonNegative
from .optimizer import Optimizer, Params
from .rules import direction
from .state import STEP, Count, Number, Slot


class ASGD(Optimizer):
    """Gradient descent with a falling learning rate, and an average of the parameter over its steps.

    d = g + weight_decay p                              (-g in place of g to maximize)
    p = (1 - lambd eta) p - eta d
    a = a + mu (p - a)
    eta = lr / (1 + lambd lr n)^alpha,  mu = 1 / max(1, n - t0)                after the n-th step of p; lr and 1 before

    The averages a are in the state, as "ax": ``optimizer.state[p]["ax"]``. Up to step t0 + 1 they are p itself.

    Reference: Polyak and Juditsky, "Acceleration of stochastic approximation by averaging", SIAM J. Control Optim. 30 (1992).

    Args:
        params, weight_decay, maximize: see :class:`Optimizer`.
        lr: the learning rate of the first step. A change of it has an effect one step later, as in PyTorch.
        lambd: the decay of the parameter in each step.
        alpha: the power with which the learning rate falls.
        t0: the step after which a is an average.

    >>> import tinygrad_cnn as tg
    >>> x = tg.Tensor(3.0, requires_grad=True)
    >>> optimizer = tg.optim.ASGD([x], lr=0.25, lambd=0.0, t0=0)
    >>> for step in range(2):
    ...     optimizer.zero_grad()
    ...     (x * x).backward()
    ...     optimizer.step()  # 1.5, then 0.75
    >>> x.item(), optimizer.state[x]["ax"].item()
    (0.75, 0.75)
    """

    slots: ClassVar = {STEP: Count(), "eta": Number(start="lr"), "mu": Number(start=1.0), "ax": Slot()}

    def __init__(
        self, params: Params, lr: NonNegative = 1e-2, lambd: Finite = 1e-4, alpha: Finite = 0.75, t0: Finite = 1e6,
        weight_decay: NonNegative = 0, maximize: Flag = False,
    ) -> None:  # fmt: skip
        super().__init__(params, locals())

    def update(self, p: Array, g: Array, state: dict[str, Any], group: Options, new: bool, t: Array, u: Array) -> None:
        eta, mu, a = state["eta"], state["mu"], state["ax"]
        np.multiply(direction(p, g, group, out=t), eta, out=u)
        p *= 1 - group["lambd"] * eta
        p -= u
        a += np.multiply(np.subtract(p, a, out=t), mu, out=t)
        np.copyto(a, p, where=mu == 1)  # p itself, without the rounding of the sum

    def conclude(self, state: dict[str, Any], group: Options) -> None:
        lr, n = group["lr"], state[STEP]
        state["eta"] = lr / (1 + group["lambd"] * lr * n) ** group["alpha"]
        state["mu"] = 1 / max(1, n - group["t0"])
