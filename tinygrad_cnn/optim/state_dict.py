"""Reading the saved state of an optimizer: everything is checked, and every fault listed, before anything changes."""

from __future__ import annotations

import copy
from collections.abc import Hashable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from ..checks import Options, loadable, shown
from ..tensor import Tensor
from .hyperparameters import INITIAL_LR
from .state import Ignored, plain

if TYPE_CHECKING:
    from .optimizer import Optimizer

PYTORCHS = frozenset({
    "foreach", "fused", "capturable", "differentiable", "param_names", "max_lr", "min_lr", "max_momentum", "base_momentum",
})  # fmt: skip
"""Entries of PyTorch's groups that select one of its implementations, or belong to its OneCycleLR. They are ignored."""

LATER = frozenset({"maximize", "decoupled_weight_decay"})
"""Options that older versions of PyTorch do not save. The optimizer keeps its own values for them."""

Places: TypeAlias = dict[Hashable, tuple[Tensor, Options] | None]
State: TypeAlias = dict[Tensor, dict[str, Any]]


def read(state_dict: Any, optimizer: Optimizer) -> tuple[list[Options], State]:
    """Copies of the options of each group and of the state of each parameter; a ValueError lists all faults."""
    faults: list[str] = []
    saved = _entry(state_dict, "param_groups", list | tuple, "a list", faults)
    groups, places = _groups(saved or (), optimizer, faults)
    saved = _entry(state_dict, "state", Mapping, "a dict", faults)
    state = _state(saved or {}, places, optimizer, faults)
    return loadable(type(optimizer).__name__, (groups, state), faults)


def _entry(state_dict: Any, name: str, kind: Any, rule: str, faults: list[str]) -> Any:
    if not isinstance(state_dict, Mapping) or name not in state_dict:
        faults.append(f"'{name}' is missing; there must be a dict with 'state' and 'param_groups'")
    elif not isinstance(state_dict[name], kind):
        faults.append(f"'{name}' is a {type(state_dict[name]).__name__}; it must be {rule}")
    else:
        return state_dict[name]
    return None


def _groups(saved: Any, optimizer: Optimizer, faults: list[str]) -> tuple[list[Options], Places]:
    """The options of each group, and for each saved index its parameter and options, or None if it has no parameter."""
    places: Places = {}
    loaded: list[Options] = []
    if len(saved) != len(optimizer.param_groups):
        faults.append(f"there are {len(saved)} parameter groups; the optimizer has {len(optimizer.param_groups)}")
    for number, given in enumerate(saved):
        where = f" of group {number}"
        if not isinstance(given, Mapping):
            faults.append(f"group {number} is a {type(given).__name__}; it must be a dict")
            continue
        indices = given.get("params")
        if not isinstance(indices, list | tuple) or not all(isinstance(i, int) for i in indices):
            faults.append(f"'params'{where} is {shown(indices)}; it must be a list of indices")
            indices = ()
        if len(set(indices)) < len(indices) or not places.keys().isdisjoint(indices):
            faults.append(f"'params'{where} is {shown(indices)}, which repeats an index; each parameter has its own")
        places.update(dict.fromkeys(indices))
        if number >= len(optimizer.param_groups):
            continue
        group = optimizer.param_groups[number]
        if len(indices) != len(group["params"]):
            faults.append(f"group {number} has {len(indices)} parameters; the optimizer's has {len(group['params'])}")
        later = {n: group[n] for n in LATER & group.keys()} if PYTORCHS & given.keys() else {}
        given = {**later, **{n: plain(v) for n, v in given.items() if n in group or n not in PYTORCHS}}
        others = group.keys() - {*optimizer.options, INITIAL_LR, "params"}
        options, wrong = optimizer.examined(given, where, dict.fromkeys(others, copy.deepcopy))
        # A group has an initial rate once it has a schedule, which may be created before or after this state is loaded.
        unexpected = [f"`{n}`{where} is unexpected" for n in given if n not in group and n != INITIAL_LR]
        faults += [*map(str, wrong), *unexpected]
        loaded.append(options)
        places.update({i: (p, options) for i, p in zip(indices, group["params"], strict=False)})
    return loaded, places


def _state(saved: Mapping[Any, Any], places: Places, optimizer: Optimizer, faults: list[str]) -> State:
    loaded: State = {}
    for index, given in saved.items():
        which = f"the state of parameter {index!r}"
        if index not in places:
            faults.append(f"{which} is unexpected; no group has this index")
        elif not isinstance(given, Mapping):
            faults.append(f"{which} is a {type(given).__name__}; it must be a dict")
        elif (place := places[index]) is not None:
            loaded[place[0]] = _slots(given, *place, which, optimizer, faults)
    return loaded


def _slots(
    given: Mapping[str, Any], p: Tensor, options: Options, which: str, optimizer: Optimizer, faults: list[str]
) -> dict[str, Any]:
    known = optimizer.slots_of(p)
    needed = [name for name, slot in known.items() if slot.is_needed(options)]
    faults += [f"{which} lacks '{name}'" for name in needed if name not in given]
    slots: dict[str, Any] = {}
    for name, value in given.items():
        if value is None and name in known and name not in needed:
            continue  # as PyTorch saves SGD without momentum
        if isinstance(known.get(name), Ignored):
            continue
        try:
            if name not in known:
                raise ValueError(f"unexpected; there may be {', '.join(known)}")
            slots[name] = known[name].read(value, p)
        except ValueError as error:
            faults.append(f"'{name}' in {which} is {error}")
    if conflict := optimizer.state_conflict(p, slots):
        faults.append(f"{which} {conflict}")
    return slots
