"""Rprop."""

from typing import Annotated, Any, ClassVar, TypeAlias

import numpy as np

from ..checks import Options, finite
from .hyperparameters import Array, Flag, NonNegative, pair, positive
from .optimizer import Optimizer, Params
from .rules import scalar
from .state import STEP, Count, Slot

Etas: TypeAlias = Annotated[tuple[float, float], pair("a pair of finite numbers", finite, finite)]
Limits: TypeAlias = Annotated[tuple[float, float], pair("a pair of finite numbers above 0", positive, positive)]


class Rprop(Optimizer):
    """Resilient backpropagation: each element has its own step size, and only the sign of its gradient counts.

    d = g                                               (-g to maximize)
    c = eta_plus where d e > 0,  eta_minus where d e < 0,  1 elsewhere
    s = min(max(c s, s_min), s_max),  from lr
    e = 0 where d e < 0,  d elsewhere
    p = p - s sign(e)

    It needs the gradient of the whole data: the sign of a small batch's gradient changes by chance.

    Reference: Riedmiller and Braun, "A direct adaptive method for faster backpropagation learning: the RPROP algorithm",
    ICNN (1993).

    Args:
        params, maximize: see :class:`Optimizer`.
        lr: the first step size s. A schedule has no effect on parameters that have taken a step.
        etas: the factors (eta_minus, eta_plus) of a step size where the sign changed, and where it did not.
        step_sizes: the smallest and the largest step size (s_min, s_max).

    >>> import tinygrad_cnn as tg
    >>> x = tg.Tensor(3.0, requires_grad=True)
    >>> optimizer = tg.optim.Rprop([x], lr=0.5, etas=(0.5, 1.5))
    >>> for step in range(2):
    ...     optimizer.zero_grad()
    ...     (x * x).backward()
    ...     optimizer.step()  # 0.5, then 0.75
    >>> x.item()
    1.75
    """

    slots: ClassVar = {STEP: Count(), "prev": Slot(), "step_size": Slot(start="lr")}

    def __init__(
        self, params: Params, lr: NonNegative = 1e-2, etas: Etas = (0.5, 1.2), step_sizes: Limits = (1e-6, 50), *,
        maximize: Flag = False,
    ) -> None:  # fmt: skip
        super().__init__(params, locals())

    def conflict(self, options: Options, where: str) -> str | None:
        (minus, plus), (least, most) = options["etas"], options["step_sizes"]
        if not 0 < minus < 1 < plus:
            return f"`etas`{where} is {options['etas']}; it must be a factor in (0, 1) and one above 1"
        if least > most:
            return f"`step_sizes`{where} is {options['step_sizes']}; the first must not be above the second"
        return None

    def update(self, p: Array, g: Array, state: dict[str, Any], group: Options, new: bool, t: Array, u: Array) -> None:
        e, s = state["prev"], state["step_size"]
        minus, plus = (scalar(eta, t.dtype) for eta in group["etas"])
        sign = np.sign(np.multiply(g, e, out=u), out=u)
        if group["maximize"]:
            np.negative(sign, out=sign)
        # c = max(sign eta_plus, -sign eta_minus) + 1 - |sign|, which is exact; the memory of e is free until e is written.
        np.multiply(sign, plus, out=t)
        np.maximum(t, np.multiply(sign, -minus, out=e), out=t)
        t += np.subtract(1, np.abs(sign, out=e), out=e)
        s *= t
        np.clip(s, *(scalar(limit, s.dtype) for limit in group["step_sizes"]), out=s)
        most = np.finfo(e.dtype).max
        np.clip(g, -most, most, out=e)  # infinity times 0 is NaN
        if group["maximize"]:
            np.negative(e, out=e)
        e *= np.heaviside(sign, 1, out=t)
        np.multiply(np.sign(e, out=t), s, out=t)
        p -= t
