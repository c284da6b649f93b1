"""Random numbers: one seeded generator for the library, and an explicit ``rng=`` argument wherever it is used."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from threading import RLock
from typing import Any, TypeAlias

import numpy as np

from ..core.tracing import tracer, watchers
from ..scope import Block, Scoped, again, both

__all__ = ["get_rng_state", "manual_seed", "set_rng_state"]

Seed: TypeAlias = "np.random.Generator | int | None"  # in quotes: NumPy imports its generators when they are asked for

_made: list[np.random.Generator] = []
_making = RLock()  # re-entrant: a signal handler may draw, too
_refusal: Scoped[str | None] = Scoped("refusal", None)


def _default() -> np.random.Generator:
    """The library's generator, made at the first draw."""
    if not _made:
        with _making:
            if not _made:
                _made.append(np.random.default_rng())
    return _made[0]


def manual_seed(seed: int) -> np.random.Generator:
    """Seed the library's generator, which every draw without an explicit `rng` uses, and return it.

    Raises:
        ValueError, TypeError: from NumPy, if `seed` is not a non-negative integer.

    >>> import tinygrad_cnn as tg
    >>> _ = tg.manual_seed(0); a = tg.randn(3)
    >>> _ = tg.manual_seed(0); b = tg.randn(3)
    >>> bool((a == b).numpy().all())
    True
    """
    _restart(np.random.default_rng(seed).bit_generator.state)
    return _default()


def _restart(state: Any) -> None:
    _default().bit_generator.state = state


def get_rng_state() -> dict[str, Any]:
    """The state of the library's generator as plain Python values, for a checkpoint.

    >>> import tinygrad_cnn as tg
    >>> state = tg.get_rng_state(); a = tg.randn(3)
    >>> tg.set_rng_state(state); b = tg.randn(3)
    >>> bool((a == b).numpy().all())
    True
    """
    return dict(_default().bit_generator.state)


def set_rng_state(state: Mapping[str, Any]) -> None:
    """Set the library's generator to a state from :func:`get_rng_state`.

    Raises:
        ValueError: if `state` is not a valid state; the generator is then unchanged.
    """
    prepare_rng_state(state)()


def prepare_rng_state(state: Any) -> Callable[[], None]:
    """Check a state, and return a function that sets the library's generator to it.

    Raises:
        ValueError: if the state is invalid.
    """
    trial = type(_default().bit_generator)()
    try:
        trial.state = dict(state)
        if trial.state != state:  # NumPy accepts other numbers and truncates them
            raise ValueError("a number in it is of another type or too large")
    except Exception as error:  # NumPy raises many kinds
        reason = f"{type(error).__name__}: {error}"
        raise ValueError(f"set_rng_state: `state` is not what get_rng_state() returned: {reason}") from None
    return partial(_restart, trial.state)


def stream(seed: int, *path: int, only: str | None = None) -> Block:
    """Seed the library's generator by `seed` and `path` for a ``with`` block, and restore its state at the end.

    Make it where it is entered.

    With `only`, a draw from another generator in the block raises ValueError with this text.
    """
    bits = _default().bit_generator
    state = np.random.PCG64(np.random.SeedSequence(seed, spawn_key=path)).state
    drawing = Block([again(setattr, bits, "state", state)], [again(setattr, bits, "state", bits.state)])
    return both(drawing, _refusal(only))


def generator(rng: Seed = None) -> np.random.Generator:
    """The generator to draw from: `rng` itself, a new one seeded by an int, or the library's.

    Raises:
        TypeError: for anything else, such as the legacy ``np.random.RandomState``.
    """
    if rng is None or isinstance(rng, np.random.Generator):
        source = _default() if rng is None else rng
        if rng is not None and rng is not _default() and (text := _refusal.get()) is not None:
            raise ValueError(text)
        if watchers:
            tracer().draw(source)
        return source
    if isinstance(rng, int | np.integer) and not isinstance(rng, bool):
        return np.random.default_rng(int(rng))
    raise TypeError(f"`rng` is {rng!r}; it must be a numpy.random.Generator, an integer seed or None")
