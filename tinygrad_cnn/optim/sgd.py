"""Stochastic gradient descent."""

from typing import Any, ClassVar

from numpy import add, copyto, multiply, subtract

from ..checks import Options
from .hyperparameters import Array, Finite, Flag, NonNegative
from .optimizer import Optimizer, Params
from .rules import direction, scalar
from .state import Slot


class SGD(Optimizer):
    """Gradient descent, optionally with momentum.

    d = g + weight_decay p                              (-g in place of g to maximize)
    b = d at the first step, then momentum b + (1 - dampening) d
    p = p - lr d  without momentum,  p - lr b  with it,  p - lr (d + momentum b)  with nesterov.

    References: Polyak, "Some methods of speeding up the convergence of iteration methods" (1964); Sutskever et al.,
    "On the importance of initialization and momentum in deep learning" (2013). As in PyTorch, lr multiplies b
    in the step, and not the gradients that are summed in b.

    Args:
        params, lr, weight_decay, maximize: see :class:`Optimizer`.
        momentum: the share of b that stays from step to step.
        dampening: the share of d that is left out of b.
        nesterov: use Nesterov momentum; needs momentum > 0 and dampening = 0.

    >>> import tinygrad_cnn as tg
    >>> x = tg.Tensor(3.0, requires_grad=True)
    >>> optimizer = tg.optim.SGD([x], lr=0.25)
    >>> (x * x).backward()
    >>> optimizer.step()
    >>> x.item()
    1.5
    """

    slots: ClassVar = {"momentum_buffer": Slot("momentum")}

    def __init__(
        self, params: Params, lr: NonNegative = 1e-3, momentum: NonNegative = 0, dampening: Finite = 0,
        weight_decay: NonNegative = 0, nesterov: Flag = False, *, maximize: Flag = False,
    ) -> None:  # fmt: skip
        super().__init__(params, locals())

    def conflict(self, options: Options, where: str) -> str | None:
        momentum, dampening = options["momentum"], options["dampening"]
        if options["nesterov"] and (momentum == 0 or dampening != 0):
            found = f"momentum={momentum} and dampening={dampening}"
            return f"`nesterov`{where} is True with {found}; it needs momentum > 0 and dampening = 0"
        return None

    def update(self, p: Array, g: Array, state: dict[str, Any], group: Options, new: bool, t: Array, u: Array) -> None:
        d = direction(p, g, group, out=t) if group["weight_decay"] or group["maximize"] else g
        if group["momentum"]:
            b = state["momentum_buffer"]
            if new:
                copyto(b, d)
            else:
                multiply(b, scalar(group["momentum"], b.dtype), b)
                share = scalar(1 - group["dampening"], u.dtype)
                add(b, multiply(d, share, u) if group["dampening"] else d, b)
            if group["nesterov"]:
                multiply(b, scalar(group["momentum"], u.dtype), u)
                d = add(d, u, out=u)
            else:
                d = b
        subtract(p, multiply(d, scalar(group["lr"], t.dtype), t), p)
