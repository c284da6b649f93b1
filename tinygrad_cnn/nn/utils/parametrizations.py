"""Parametrizations that are well known: weight and spectral normalization, and orthogonal weights.

Names, arguments and the names of the state are those of ``torch.nn.utils.parametrizations``.
"""

from __future__ import annotations

from typing import Any, TypeVar

from ...checks import checked, non_negative, whole
from ...core.grad_mode import no_grad
from ...core.remedies import publish
from ...numpy_api.creation import randn
from ...ops.elementwise import maximum, sqrt, square
from ...ops.matmul import matmul
from ...ops.reduce import sum
from ...ops.shape import moveaxis
from ...tensor import Tensor
from ..conv import ConvTranspose1d, ConvTranspose2d, ConvTranspose3d
from ..module import Module
from .orthogonal import orthogonal
from .parametrize import register_parametrization

__all__ = ["orthogonal", "spectral_norm", "weight_norm"]

M = TypeVar("M", bound=Module)


class WeightNorm(Module):
    """g v / |v|, with the norm of v over all axes but `dim`, or over all for -1."""

    def __init__(self, dim: int) -> None:
        self.dim = dim

    def _norm(self, v: Any) -> Tensor:
        axes = None if self.dim == -1 else tuple(axis for axis in range(v.ndim) if axis != self.dim)
        return sqrt(sum(square(v), axis=axes, keepdims=axes is not None))

    def forward(self, g: Any, v: Any) -> Tensor:
        """The weight."""
        return v * (g / self._norm(v))  # type: ignore[no-any-return]

    def right_inverse(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """g and v of a weight."""
        return self._norm(weight), weight

    def extra_repr(self) -> str:
        """The axis."""
        return f"dim={self.dim}"


def weight_norm(module: M, name: str = "weight", dim: int | None = 0) -> M:
    """Learn the length and the direction of a weight apart: w = g v / |v|.

    The parameters are ``parametrizations.weight.original0``, g, and ``original1``, v. Make the optimizer afterwards.

    Reference: Salimans and Kingma, "Weight normalization", arXiv:1602.07868.

    Args:
        module: the module that has the weight; it is returned.
        name: the name of the weight.
        dim: the axis along which each slice has a length of its own; None for one length of the whole weight.

    Raises:
        TypeError, ValueError: as :func:`~tinygrad_cnn.nn.utils.parametrize.register_parametrization`, or for another axis.

    >>> import tinygrad_cnn as tg
    >>> layer = tg.nn.utils.parametrizations.weight_norm(tg.nn.Linear(2, 3))
    >>> {name: p.shape for name, p in layer.parametrizations.named_parameters()}
    {'weight.original0': (3, 1), 'weight.original1': (3, 2)}
    """
    weight = _tensor("weight_norm", module, name)
    axis = -1 if dim is None or dim == -1 else _axis("weight_norm", weight, dim)
    return register_parametrization(module, name, WeightNorm(axis), unsafe=True)


class SpectralNorm(Module):
    """W / s, where s = u^T W v approximates the largest singular value of W, a matrix with the axis `dim` first."""

    def __init__(self, weight: Tensor, n_power_iterations: int, dim: int, eps: float) -> None:
        self.n_power_iterations, self.dim, self.eps = n_power_iterations, dim, eps
        if weight.ndim > 1:
            with no_grad():
                matrix = self._matrix(weight.detach())
                for name, size in zip(("_u", "_v"), matrix.shape, strict=True):
                    self.register_buffer(name, self._unit(randn(size, dtype=weight.dtype)))
                self._iterate(matrix, 15)

    def _matrix(self, weight: Any) -> Tensor:
        return moveaxis(weight, self.dim, 0).reshape(weight.shape[self.dim], -1)

    def _unit(self, x: Any) -> Tensor:
        return x / maximum(sqrt(sum(square(x))), self.eps)  # type: ignore[no-any-return]

    def _iterate(self, matrix: Tensor, times: int) -> None:
        u, v = self._u, self._v
        for _ in range(times):
            u = self._unit(matmul(matrix, v))
            v = self._unit(matmul(u, matrix))
        self._u.copy_(u)
        self._v.copy_(v)

    def forward(self, weight: Any) -> Tensor:
        """The weight divided by its largest singular value; in training after further power iterations."""
        if weight.ndim == 1:
            return self._unit(weight)
        matrix = self._matrix(weight)
        with no_grad():
            if self.training:
                self._iterate(matrix.detach(), self.n_power_iterations)
            u, v = (x * 1 for x in (self._u, self._v))  # the graph of one call is not changed by the next
        return weight / sum(u * matmul(matrix, v))  # type: ignore[no-any-return]

    def right_inverse(self, value: Tensor) -> Tensor:
        """The same: what is learned starts with the weight."""
        return value

    def extra_repr(self) -> str:
        """The arguments."""
        return f"n_power_iterations={self.n_power_iterations}, dim={self.dim}, eps={self.eps}"


def spectral_norm(
    module: M, name: str = "weight", n_power_iterations: int = 1, eps: float = 1e-12, dim: int | None = None
) -> M:
    """Divide a weight by its largest singular value, so that the layer does not increase distances: W / s(W).

    The singular vectors are buffers, ``parametrizations.weight.0._u`` and ``_v``; each use in training mode improves them by
    power iterations. A weight of one axis is divided by its norm.

    Reference: Miyato et al., "Spectral normalization for generative adversarial networks", arXiv:1802.05957.

    Args:
        module: the module that has the weight; it is returned.
        name: the name of the weight.
        n_power_iterations: how many, at each use in training mode.
        eps: the least norm that is divided by.
        dim: the axis of the outputs. None for 0, or 1 in transposed convolutions. The others are those of the inputs.

    Raises:
        TypeError, ValueError: as :func:`~tinygrad_cnn.nn.utils.parametrize.register_parametrization`, or for an argument out of
            range.

    >>> import numpy as np, tinygrad_cnn as tg
    >>> _ = tg.manual_seed(0)
    >>> layer = tg.nn.utils.parametrizations.spectral_norm(tg.nn.Linear(20, 40))
    >>> for _ in range(50):
    ...     y = layer(tg.zeros(1, 20))
    >>> round(float(np.linalg.norm(layer.weight.numpy(), 2)), 2)
    1.0
    """
    weight = _tensor("spectral_norm", module, name)
    given = {"n_power_iterations": n_power_iterations, "eps": eps}
    found = checked("spectral_norm", {"n_power_iterations": whole(1), "eps": non_negative}, given)
    if dim is None:
        dim = 1 if isinstance(module, ConvTranspose1d | ConvTranspose2d | ConvTranspose3d) else 0
    axis = _axis("spectral_norm", weight, dim)
    return register_parametrization(module, name, SpectralNorm(weight, found["n_power_iterations"], axis, found["eps"]))


def _tensor(owner: str, module: Any, name: str) -> Tensor:
    if not isinstance(module, Module):
        raise TypeError(f"{owner}: `module` is {module!r:.60}; it must be a Module")
    weight = getattr(module, name, None)
    if not isinstance(weight, Tensor):
        raise ValueError(f"{owner}: the {type(module).__name__} has no parameter or buffer {name!r}")
    return weight


def _axis(owner: str, weight: Tensor, dim: int) -> int:
    axis = checked(owner, {"dim": whole(-weight.ndim, weight.ndim)}, {"dim": dim})["dim"]
    return int(axis % weight.ndim)


def __dir__() -> list[str]:
    """Public names only."""
    return list(__all__)


publish(globals())
