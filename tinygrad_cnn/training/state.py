"""The state of all parts of a training as one dict, which is restored as a whole."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

from ..ops.random import get_rng_state, prepare_rng_state, set_rng_state

RNG = "rng"


class Stateful(Protocol):
    """An object with a state: a module, an optimizer, a schedule, a loader, averaged weights."""

    def state_dict(self) -> dict[str, Any]:
        """A copy of the state."""

    def load_state_dict(self, state_dict: Any, /) -> Any:
        """Load a state."""


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
    """Load a :func:`snapshot`: all of it, or nothing.

    Args:
        state: the dict that `snapshot` returned; it may have further entries.
        parts: the objects that load their entries, by name.

    Raises:
        ValueError: if a part has no entry, or one that does not fit: it names the part and the fault. All parts are unchanged
            then.
    """
    examine(state, (*parts, RNG))
    load_all([(f"'{name}'", part, state[name]) for name, part in parts.items()], state[RNG])


def examine(state: Any, names: Iterable[str], what: str = "the state") -> None:
    """Raise ValueError unless `state` is a dict with these names."""
    if not isinstance(state, Mapping):
        raise ValueError(f"restore: {what} is a {type(state).__name__}; it must be a dict")
    if missing := [name for name in names if name not in state]:
        raise ValueError(f"restore: {what} has no {', '.join(missing)}; it has {', '.join(map(str, state))}")


def load_all(entries: Iterable[tuple[str, Stateful, Any]], rng: Any) -> None:
    """Load the states of all parts, and `rng` into the library's generator; or none of them.

    First the library's parts check their states. Then the user's parts load theirs; if one fails, they load their old states
    again. At the end the library's parts write, which cannot fail.

    Raises:
        ValueError: with the name of the part, for any exception of the part.
    """
    loads: list[Callable[[], object]] = []
    others: list[tuple[str, Stateful, Any]] = []
    for name, part, state in entries:
        with _naming(name):
            load = prepared(part, state)
        if load is None:
            others.append((name, part, state))
        else:
            loads.append(load)
    with _naming(f"'{RNG}'"):
        loads.append(prepare_rng_state(rng))
    before = [(part, part.state_dict()) for _, part, _ in others]
    random = get_rng_state()
    try:
        for name, part, state in others:
            with _naming(name):
                part.load_state_dict(state)
    except BaseException:
        for part, kept in before:
            part.load_state_dict(kept)
        set_rng_state(random)
        raise
    for load in loads:
        load()


def prepared(part: Stateful, state: Any) -> Callable[[], object] | None:
    """The function that writes a state, after it is checked; None if `part` can only check and write at once.

    The class that defines ``load_state_dict`` must define ``_prepare_load``, too: a user may override the first alone.

    Raises:
        ValueError: if the state does not fit.
    """
    definer: type | None = next((c for c in type(part).__mro__ if "load_state_dict" in vars(c)), None)
    if definer is None or "_prepare_load" not in vars(definer):
        return None
    load: Callable[[], object] | None = part._prepare_load(state)  # type: ignore[attr-defined]
    return load


@contextmanager
def _naming(name: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        reason = str(error) if type(error) is ValueError else f"{type(error).__name__}: {error}"
        raise ValueError(f"restore: nothing was changed, for the state of {name} does not fit: {reason}") from error
