"""Parameters as one vector, and back."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ...ops.shape import concatenate
from ...tensor import Tensor

__all__ = ["parameters_to_vector", "vector_to_parameters"]


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """All elements of the parameters, one after the other: a Tensor (n,), whose gradient goes to the parameters.

    Raises:
        TypeError: if they are not Tensors.
        ValueError: if there is none.

    >>> import tinygrad_cnn as tg
    >>> tg.nn.utils.parameters_to_vector(tg.nn.Linear(3, 2).parameters()).shape
    (8,)
    """
    return concatenate([p.reshape(-1) for p in _listed("parameters_to_vector", parameters)])


def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """Write the elements of a vector into the parameters, one after the other, in place.

    Args:
        vec: (n,), with as many elements as all parameters together.
        parameters: leaves, which are written; the dtype of each stays.

    Raises:
        TypeError: if `vec` is no Tensor, or the parameters are none.
        ValueError: if the numbers of elements differ; nothing is written then.

    >>> import tinygrad_cnn as tg
    >>> layer = tg.nn.Linear(3, 2)
    >>> tg.nn.utils.vector_to_parameters(tg.zeros(8), layer.parameters())
    >>> layer.bias.tolist()
    [0.0, 0.0]
    """
    if not isinstance(vec, Tensor):
        raise TypeError(f"vector_to_parameters: `vec` is {vec!r:.60}; it must be a Tensor")
    found = _listed("vector_to_parameters", parameters)
    count = sum(p.size for p in found)
    if vec.shape != (count,):
        raise ValueError(f"vector_to_parameters: `vec` has shape {vec.shape}; the parameters need ({count},)")
    values, start = vec.numpy().copy(), 0
    for p in found:
        p.copy_(values[start : start + p.size].reshape(p.shape))
        start += p.size


def _listed(owner: str, parameters: Any) -> list[Tensor]:
    found = [parameters] if isinstance(parameters, Tensor) else list(parameters)
    if wrong := [p for p in found if not isinstance(p, Tensor)]:
        raise TypeError(f"{owner}: `parameters` has {wrong[0]!r:.60}; they must be Tensors, such as model.parameters()")
    if not found:
        raise ValueError(f"{owner}: there is no parameter; an iterator such as model.parameters() can be used once")
    return found
