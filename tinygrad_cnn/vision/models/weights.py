"""Weights that somebody trained, for the models of this folder."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias, TypeVar

from ...io import load
from ...nn.module import Module

Weights: TypeAlias = str | os.PathLike[str] | Mapping[str, Any] | None
M = TypeVar("M", bound=Module)


def weighted(name: str, model: M, weights: Weights, renamed: Callable[[str], str] = str) -> M:
    """The model with these weights: the path of a file, or a state; None leaves it as it was initialized.

    `renamed` gives the name here of each name in the state.
    """
    if weights is None:
        return model
    if isinstance(weights, str) and not os.path.splitext(weights)[1]:  # such as "DEFAULT"
        raise ValueError(
            f"{name}: `weights` is {weights!r}; it must be the path of a .pth, .safetensors or .npz file, or a state: "
            "docs/pretrained.md has the command that downloads one"
        )
    state = load(weights) if isinstance(weights, str | os.PathLike) else weights
    if not isinstance(state, Mapping):
        raise TypeError(
            f"{name}: `weights` is a {type(state).__name__}; it must be a dict of arrays, or the path of one"
        )
    model.load_state_dict({renamed(key): value for key, value in state.items()})
    return model
