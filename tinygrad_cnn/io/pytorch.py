"""Conversion of states for PyTorch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from importlib import import_module
from typing import Any

import numpy as np

from ..tensor import Tensor


def to_torch(state: Any) -> Any:
    """A state for PyTorch's ``load_state_dict``: of a module, an optimizer or a schedule, or nested in dicts and lists.

    Arrays and Tensors become PyTorch's tensors, copies. The state of a schedule gets the entries that PyTorch has in addition.
    In the other direction, ``load_state_dict`` here takes PyTorch's states unchanged.

    Raises:
        TypeError: if `state` is no state, but a module, for example.
        ModuleNotFoundError: if PyTorch is not installed.

    For example, ``theirs.load_state_dict(tg.io.to_torch(ours.state_dict()))``.
    """
    if not isinstance(state, Mapping | list | tuple | np.ndarray | Tensor):
        raise TypeError(f"to_torch: `state` is a {type(state).__name__}; give what its state_dict() returns")
    try:
        torch = import_module("torch")
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("to_torch: PyTorch is not installed; pip install torch", name="torch") from error
    return _converted(state, torch)


def _converted(value: Any, torch: Any) -> Any:
    if isinstance(value, Tensor | np.ndarray):
        return torch.from_numpy(np.array(value.numpy() if isinstance(value, Tensor) else value))
    if isinstance(value, Mapping):
        return _scheduled({name: _converted(part, torch) for name, part in value.items()})
    if isinstance(value, list | tuple):
        parts = [_converted(part, torch) for part in value]
        return tuple(parts) if isinstance(value, tuple) else parts
    return value


def _scheduled(state: dict[Any, Any]) -> dict[Any, Any]:
    """The state of a schedule with PyTorch's entries; any other state unchanged."""
    if not {"last_epoch", "_last_lr"} <= state.keys():
        return state
    none = [None] * len(state["_last_lr"])
    more: dict[str, Any] = {"_step_count": state["last_epoch"] + 1, "lr_lambdas": none, "_scale_fn_custom": None}
    if "milestones" in state:
        more["milestones"] = Counter(state["milestones"])
    if "min_lr" in state:
        more["min_lrs"] = state["min_lr"]
    if "step_size_up" in state:
        length = state["step_size_up"] + state["step_size_down"]
        more |= {"total_size": float(length), "step_ratio": state["step_size_up"] / length}
        more |= {f"{name}s": state[name] for name in ("base_lr", "max_lr", "base_momentum", "max_momentum")}
    if "T_0" in state:
        length, t = state["T_0"], state["_position"]
        while state["T_mult"] > 1 and t >= length:
            t, length = t - length, length * state["T_mult"]
        more |= {"T_i": length, "T_cur": t % length}
    return {**state, **more}
