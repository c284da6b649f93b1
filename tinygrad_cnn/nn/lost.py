"""A warning of what looks like a part of a model and is none: modules in a list, and a Tensor that requires a gradient."""

from __future__ import annotations

from typing import Any

from ..frames import warn_user
from ..tensor import Tensor
from .parameter import Parameter

OWN = {"_kinds", "_computed", "_pre_hooks", "_hooks", "_backward_pre_hooks", "_backward_hooks"}
"""Attributes of a module that hold no parts of it."""


def warn_of_lost(model: Any, kind: type) -> None:
    """Warn of modules (of class `kind`) and parameters in lists, and of Tensors that require a gradient, registered nowhere."""
    modules = {id(module): module for module in model.modules()}
    known = modules.keys() | {id(parameter) for _, parameter in model.named_parameters()}
    for module in modules.values():
        for name, value in vars(module).items():
            inside = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
            lost = [v for v in inside if isinstance(v, kind | Parameter) and id(v) not in known]
            if lost and name not in OWN:
                kinds = ("Module", "modules") if isinstance(lost[0], kind) else ("Parameter", "parameters")
                container = f"nn.{kinds[0]}{'Dict' if isinstance(value, dict) else 'List'}"
                warn_user(
                    f"{type(module).__name__}: `{name}` is a {type(value).__name__} of {kinds[1]}, which are no part of "
                    f"the model: they are not found by parameters(), saved or switched by train(); use {container}"
                )
            elif isinstance(value, Tensor) and id(value) not in known and value.requires_grad and value.is_leaf:
                warn_user(
                    f"{type(module).__name__}: `{name}` is a Tensor that requires a gradient, and not a part of the "
                    "model: it is not found by parameters(); make it an nn.Parameter"
                )
