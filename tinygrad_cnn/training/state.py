"""The state of everything that takes part in a training, as one dict: taken at a moment, and put back as a whole."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from ..ops.random import get_rng_state, set_rng_state

RNG = "rng"


class Stateful(Protocol):
    """What can be saved: modules, optimizers, schedules, loaders, averages."""

    def state_dict(self) -> dict[str, Any]:
        """A copy of the state."""

    def load_state_dict(self, state_dict: Any, /) -> Any:
        """Take over a state."""


def snapshot(**parts: Stateful) -> dict[str, Any]:
    """The ``state_dict()`` of each part by its name, and the state of the library's random generator as "rng".

    >>> import tinygrad_cnn as tg
    >>> model = tg.nn.Linear(2, 1)
    >>> state = tg.training.snapshot(model=model, optimizer=tg.optim.Adam(model.parameters()))
    >>> list(state)
    ['model', 'optimizer', 'rng']
    """
    if RNG in parts:
        raise ValueError(f"snapshot: '{RNG}' is the name of the random state; give the part another name")
    return {name: part.state_dict() for name, part in parts.items()} | {RNG: get_rng_state()}


def restore(state: Mapping[str, Any], **parts: Stateful) -> None:
    """Put a :func:`snapshot` back: all of it, or nothing.

    Args:
        state: what `snapshot` gave, or more.
        parts: what is to take over its entry, by name.

    Raises:
        ValueError: if a part has no entry.
        Exception: whatever a part raises about its entry. All parts are then as they were.
    """
    missing = [name for name in (*parts, RNG) if name not in state]
    if missing:
        raise ValueError(f"restore: the state has no {', '.join(missing)}; it has {', '.join(state)}")
    before = snapshot(**parts)
    try:
        _put(state, parts)
    except BaseException:
        _put(before, parts)
        raise


def _put(state: Mapping[str, Any], parts: Mapping[str, Stateful]) -> None:
    for name, part in parts.items():
        part.load_state_dict(state[name])
    set_rng_state(state[RNG])
