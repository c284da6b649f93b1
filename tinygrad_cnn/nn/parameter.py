"""The Parameter: a Tensor that a module owns and an optimizer updates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from numpy.typing import DTypeLike

from ..core.graph import Op
from ..core.operands import DOUBLE, SINGLE
from ..core.registry import above
from ..frames import warn_user
from ..ops.conv import convolve, convolve_dx
from ..ops.matmul import linear
from ..ops.recurrent import recurrence
from ..ops.standardize import normalized, normalized_by
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


LAYER_OPS = tuple([function.op for function in (linear, convolve, convolve_dx, normalized, normalized_by, recurrence)])
"""Ops to which layers give their parameters as they are. They look at float64 results; others, at the gradients of leaves."""


def _look_at_result(op: Op, inputs: Sequence[Any]) -> None:
    """Warn if a float64 result comes of a float32 parameter and another input of float64: integers give float64, too."""
    for w in inputs:
        if w.__class__ is Parameter and w._array.dtype.char == "f" and op in LAYER_OPS:
            if inputs[0].dtype.kind == "f" and any(getattr(x, "dtype", None) == DOUBLE for x in inputs):
                _warn_of_width()
            return


def look_at_output(y: Tensor, parameter: Parameter | None, *inputs: Any) -> Tensor:
    """y, after that warning if it is due: for layers whose function reshapes the parameter, so that no op sees it."""
    single = type(parameter) is Parameter and parameter._array.dtype.char == "f"
    if single and y.dtype == DOUBLE and any(getattr(x, "dtype", y.dtype).char == DOUBLE.char for x in inputs):
        _warn_of_width()
    return y


def _look_at_gradient(op: Op, leaf: Any) -> None:
    """Warn if the float32 leaf at which a float64 gradient arrives is a parameter, unless the op has looked at its result."""
    if op not in LAYER_OPS and isinstance(leaf.tensor(), Parameter):
        _warn_of_width()


def _warn_of_width() -> None:
    """Warn, once for each line of the user: the text is the same for all layers, since those behind the first follow it."""
    warn_user(
        "a float64 value meets a float32 parameter, so what follows is float64, at twice the time; convert inputs by "
        "x.astype(np.float32) (np.random, np.linspace and np.array([0.5]) are float64), write constants as Python numbers or "
        "in the dtype of x, as in tg.where(c, 1.0, 0.0).astype(x.dtype), or create the layer with dtype=np.float64; "
        'warnings.simplefilter("error") shows the layer'
    )


for _op in LAYER_OPS:
    _op.globals["_EXPECTED"] = SINGLE
vars(above).update(wide_result=_look_at_result, wide_gradient=_look_at_gradient)
