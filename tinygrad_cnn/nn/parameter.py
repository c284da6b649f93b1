"""The Parameter: a Tensor that a module owns and an optimizer updates."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from numpy.typing import DTypeLike

from ..core.graph import Op
from ..core.registry import above
from ..frames import warn_user
from ..tensor import Tensor

__all__ = ["Parameter"]


class Parameter(Tensor):
    """A leaf Tensor that becomes a parameter of the :class:`Module` it is assigned to. Ops on it return plain Tensors.

    Arguments and errors are those of :class:`~tinygrad_cnn.Tensor`; `data` is copied.

    >>> from tinygrad_cnn import nn
    >>> nn.Parameter([1.0, 2.0])
    Parameter([1., 2.], dtype=float32, requires_grad=True)
    """

    __slots__ = ()

    def __init__(self, data: Any, *, requires_grad: bool = True, dtype: DTypeLike | None = None) -> None:
        super().__init__(data, requires_grad=requires_grad, dtype=dtype)
        if not requires_grad:
            self._node = None  # a Parameter is a leaf, also when `data` is recorded

    def __repr__(self) -> str:
        return super().__repr__().replace("Tensor(", "Parameter(", 1)

    def __reduce__(self) -> tuple[Callable[..., Tensor], tuple[Any, ...]]:
        return partial(type(self), requires_grad=self.requires_grad), (self._array,)


def _warn_of_width(leaf: Any, op: Op) -> None:
    """Warn, once for each place, where float64 met a float32 parameter: all that follows takes twice the time."""
    if isinstance(leaf.tensor(), Parameter):
        warn_user(
            f"{op.name}: a float64 value meets a float32 parameter of shape {leaf.shape}, so what follows is float64, at twice "
            "the time; convert inputs by astype(np.float32), write constants as Python numbers or in the dtype of x, as in "
            "tg.where(c, 1.0, 0.0).astype(x.dtype), or create the layer with dtype=np.float64"
        )


vars(above).update(widened=_warn_of_width)
