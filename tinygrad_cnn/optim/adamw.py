"""Adam with a weight decay that its averages do not see."""

from __future__ import annotations

from .adam import Adam
from .optimizer import Params


class AdamW(Adam):
    """Adam, whose weight decay acts on the parameter itself and not through the gradient.

    p = (1 - lr weight_decay) p, then Adam's step along d = g                (-g in place of g to maximize)

    Reference: Loshchilov and Hutter, "Decoupled weight decay regularization", arXiv:1711.05101. As in PyTorch, the
    decay is multiplied by lr.

    Args:
        params: Tensors, or dicts of Tensors and options; see :class:`Optimizer`.
        lr: learning rate.
        betas: how much of the averages of d and of d^2 stays from step to step.
        eps: keeps the division away from 0.
        weight_decay: share of p, times lr, that is taken off at each step.
        amsgrad: never let the step grow because the average of d^2 shrank.
        maximize: climb instead.

    Raises:
        TypeError, ValueError: for a parameter or option that does not fit; see :class:`Optimizer`.

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
