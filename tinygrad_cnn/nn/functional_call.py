"""A module as a function of its parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..tensor.tensor import Tensor
from .module import Module

__all__ = ["functional_call"]


def functional_call(
    module: Module, parameters: Mapping[str, Tensor], args: Any = (), kwargs: Mapping[str, Any] | None = None
) -> Any:
    """``module(*args, **kwargs)`` with other Tensors in the place of parameters and buffers, which makes it a function of them.

    Transforms then differentiate by the parameters, or take a batch of them. The module is as before when the call ends. While
    it runs, no other thread may use the module.

    Args:
        module: a module.
        parameters: Tensors by the names of ``named_parameters()`` and ``named_buffers()``; the others stay.
        args: the arguments, or a single one that is no tuple.
        kwargs: keyword arguments.

    Raises:
        KeyError: for a name that the module does not have.
        TypeError: for a value that is not a Tensor.
        ValueError: for a value of another shape.

    >>> import tinygrad_cnn as tg
    >>> model, x = tg.nn.Linear(2, 1), tg.ones(3, 2)
    >>> parameters = {name: p.detach() for name, p in model.named_parameters()}
    >>> g = tg.grad(lambda p: tg.nn.functional_call(model, p, x).sum())(parameters)
    >>> g["weight"].tolist()
    [[3.0, 3.0]]
    """
    if not isinstance(module, Module):
        raise TypeError(f"functional_call: `module` is {module!r:.60}; it must be a Module")
    if not isinstance(parameters, Mapping):
        raise TypeError(
            f"functional_call: `parameters` is a {type(parameters).__name__}; it must be a dict of Tensors, such as "
            "dict(module.named_parameters())"
        )
    own = dict(module.named_parameters()) | dict(module.named_buffers())
    for name, value in parameters.items():
        if name not in own:
            raise KeyError(f"functional_call: the module has no parameter or buffer {name!r}; it has {', '.join(own)}")
        if not isinstance(value, Tensor):
            raise TypeError(f"functional_call: `parameters[{name!r}]` is a {type(value).__name__}; it must be a Tensor")
        if value.shape != own[name].shape:
            raise ValueError(
                f"functional_call: `parameters[{name!r}]` has shape {value.shape}; it must have that of the module's, "
                f"{own[name].shape}"
            )
    places = [(place, at, value) for name, value in parameters.items() for place, at in _places(module, own[name])]
    before = [vars(place)[at] for place, at, _ in places]
    try:
        for place, at, value in places:
            vars(place)[at] = value
        return module(*(args if isinstance(args, tuple) else (args,)), **(kwargs or {}))
    finally:
        for (place, at, _), value in zip(places, before, strict=True):
            vars(place)[at] = value


def _places(module: Module, tensor: Tensor) -> list[tuple[Module, str]]:
    """Each module and attribute that holds a Tensor: several for one that is shared."""
    return [(each, name) for each in module.modules() for name, value in vars(each).items() if value is tensor]
