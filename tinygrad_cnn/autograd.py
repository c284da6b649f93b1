"""Derivatives as function calls, by the name of their namespace: ``tinygrad_cnn.autograd.grad``."""

from .core.remedies import publish
from .transforms.autograd import grad, holomorphic_grad, hvp, jvp, linearize, value_and_grad, vjp
from .transforms.gradients import gradients
from .transforms.jacobians import hessian, jacfwd, jacobian, jacrev

__all__ = [
    "grad", "gradients", "hessian", "holomorphic_grad", "hvp", "jacfwd", "jacobian", "jacrev", "jvp", "linearize",
    "value_and_grad", "vjp",
]  # fmt: skip


def __dir__() -> list[str]:
    """Public names only."""
    return list(__all__)


publish(globals())
