"""Muon."""

import math
from typing import Annotated, Any, ClassVar, TypeAlias

import numpy as np

from ..checks import Options, finite, one_of, whole
from ..ops.matmul import matmul
from ..tensor import Tensor
from .hyperparameters import Array, Flag, NonNegative
from .optimizer import Optimizer, Params
from .rules import decay, moving_average
from .state import Slot


def _three(value: Any) -> tuple[float, ...]:
    rule = "it must be a tuple of three finite numbers"
    if not isinstance(value, tuple | list):
        raise TypeError(rule)
    try:
        a, b, c = map(finite, value)
    except (TypeError, ValueError) as error:
        raise type(error)(rule) from None
    return value if isinstance(value, tuple) and all(map(_is, value, (a, b, c))) else (a, b, c)


def _is(a: object, b: object) -> bool:
    return a is b


def _ratio_name(value: Any) -> str | None:
    return None if value is None else one_of("original", "match_rms_adamw")(value)


Coefficients: TypeAlias = Annotated[tuple[float, float, float], _three]
Ratio: TypeAlias = Annotated[str | None, _ratio_name]


class Muon(Optimizer):
    """Momentum whose steps are made nearly orthogonal: all singular values of a step are about 1.

    m = momentum m + (1 - momentum) g
    s = g + momentum (m - g)  with nesterov,  m  without
    x = s / |s|, then ns_steps times  x = a x + (b x x^T + c (x x^T)^2) x
    p = (1 - lr weight_decay) p - lr r x,  where p has A rows and B columns, and r = sqrt(max(1, A / B)), or with
    "match_rms_adamw" r = 0.2 sqrt(max(A, B))

    It is for matrices, such as the weights of :class:`nn.Linear` between hidden layers; give biases and filters to another
    optimizer, as the example shows. PyTorch computes x in bfloat16; here it has the dtype of p, so steps differ by the
    rounding of bfloat16, about a hundredth of them.

    Reference: Jordan et al., "Muon: an optimizer for hidden layers in neural networks" (2024); the ratio
    "match_rms_adamw": Liu et al., "Muon is scalable for LLM training", arXiv:2502.16982.

    Args:
        params, lr: see :class:`Optimizer`.
        weight_decay: at each step, p is multiplied by 1 - lr weight_decay.
        momentum: the share of m that stays from step to step.
        nesterov: whether to look ahead.
        ns_coefficients: (a, b, c).
        eps: the least divisor |s|.
        ns_steps: the number of iterations, below 100.
        adjust_lr_fn: which ratio r to use, "original" or "match_rms_adamw"; None is "original".

    Raises:
        ValueError: if a parameter is not a matrix; otherwise as :class:`Optimizer`.

    >>> import tinygrad_cnn as tg
    >>> model = tg.nn.Sequential(tg.nn.Linear(4, 8), tg.nn.ReLU(), tg.nn.Linear(8, 3))
    >>> matrices = [p for p in model.parameters() if p.ndim == 2]
    >>> others = [p for p in model.parameters() if p.ndim != 2]
    >>> optimizers = [tg.optim.Muon(matrices, lr=0.02), tg.optim.AdamW(others)]
    >>> model(tg.ones(5, 4)).sum().backward()
    >>> for optimizer in optimizers:
    ...     optimizer.step()
    """

    slots: ClassVar = {"momentum_buffer": Slot()}
    elementwise: ClassVar = False

    def __init__(
        self, params: Params, lr: NonNegative = 1e-3, weight_decay: NonNegative = 0.1, momentum: NonNegative = 0.95,
        nesterov: Flag = True, ns_coefficients: Coefficients = (3.4445, -4.7750, 2.0315), eps: NonNegative = 1e-7,
        ns_steps: Annotated[int, whole(0, 100)] = 5, adjust_lr_fn: Ratio = None,
    ) -> None:  # fmt: skip
        super().__init__(params, locals())

    def _parameters(self, given: Any, number: int) -> list[Tensor]:
        params = super()._parameters(given, number)
        for i, p in enumerate(params):
            if p.ndim != 2:
                raise ValueError(
                    f"{self._name}: parameter {i} of group {number} has shape {p.shape}; Muon is for matrices: give the "
                    "other parameters to another optimizer, such as AdamW"
                )
        return params

    def update(self, p: Array, g: Array, state: dict[str, Any], group: Options, new: bool, t: Array, u: Array) -> None:
        m, momentum = state["momentum_buffer"], group["momentum"]
        moving_average(m, momentum, g, out=t)
        if group["nesterov"]:
            np.subtract(m, g, out=t)
            t *= momentum
            t += g
        else:
            np.copyto(t, m)
        x = orthogonalized(t, group["ns_coefficients"], group["ns_steps"], group["eps"])
        decay(p, group)
        p -= np.multiply(x, group["lr"] * _ratio(p.shape, group["adjust_lr_fn"]), out=u, casting="same_kind")


def orthogonalized(s: Array, coefficients: tuple[float, float, float], steps: int, eps: float) -> Array:
    """A matrix with the singular vectors of `s` and singular values near 1, in `s` or new memory."""
    a, b, c = coefficients
    x = s.astype(np.promote_types(s.dtype, np.float32), copy=False)
    wide = x if x.shape[0] <= x.shape[1] else x.T
    wide = wide / max(float(np.sqrt(np.square(wide).sum(dtype=np.promote_types(x.dtype, np.float64)))), eps)
    for _ in range(steps):
        gram: Any = matmul(wide, wide.T)
        wide = a * wide + matmul(b * gram + c * matmul(gram, gram), wide)
    return wide if x.shape[0] <= x.shape[1] else wide.T


def _ratio(shape: tuple[int, ...], name: str | None) -> float:
    rows, columns = shape
    return 0.2 * math.sqrt(max(rows, columns)) if name == "match_rms_adamw" else math.sqrt(max(1, rows / columns))
