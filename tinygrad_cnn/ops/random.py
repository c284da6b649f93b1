"""The source of randomness: one seeded generator for the library, and an explicit ``rng=`` wherever it is used."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeAlias

import numpy as np

from ..core.graph import Array, op
from ..core.tracing import tracer, watchers

__all__ = ["get_rng_state", "manual_seed", "set_rng_state"]

Seed: TypeAlias = np.random.Generator | int | None

_default = np.random.default_rng()


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
    _restart_at(np.random.default_rng(seed).bit_generator.state)
    return _default


def _restart_at(state: Any) -> None:
    """Let the generator stand at `state`, in a repeated run too, which draws what the first one drew."""
    restart = partial(_restart, state)
    if tracer().captures:
        tracer().effect(restart)
    else:
        restart()


def _restart(state: Any) -> None:
    _default.bit_generator.state = state


def get_rng_state() -> dict[str, Any]:
    """Where the library's generator stands, in plain Python, for a checkpoint.

    >>> import tinygrad_cnn as tg
    >>> state = tg.get_rng_state(); a = tg.randn(3)
    >>> tg.set_rng_state(state); b = tg.randn(3)
    >>> bool((a == b).numpy().all())
    True
    """
    return dict(_default.bit_generator.state)


def set_rng_state(state: Mapping[str, Any]) -> None:
    """Let the library's generator go on from where it stood at :func:`get_rng_state`.

    Raises:
        ValueError: if `state` is not such a state; nothing is changed then.
    """
    prepare_rng_state(state)()


def prepare_rng_state(state: Any) -> Callable[[], None]:
    """The function that does what :func:`set_rng_state` does, for a state that is one.

    Raises:
        ValueError: if it is none.
    """
    trial = type(_default.bit_generator)()
    try:
        trial.state = dict(state)
        if trial.state != state:  # NumPy takes other numbers and keeps some of their bits
            raise ValueError("a number in it is of another type or too large")
    except Exception as error:  # NumPy's are of many kinds
        reason = f"{type(error).__name__}: {error}"
        raise ValueError(f"set_rng_state: `state` is not what get_rng_state() returned: {reason}") from None
    return partial(_restart_at, trial.state)


def generator(rng: Seed = None) -> np.random.Generator:
    """The generator to draw from: `rng` itself, a new one seeded by an int, or the library's.

    Raises:
        TypeError: for anything else, such as the legacy ``np.random.RandomState``.
    """
    if rng is None or isinstance(rng, np.random.Generator):
        source = _default if rng is None else rng
        if watchers:
            tracer().write(source, "state")
        return source
    if isinstance(rng, int | np.integer) and not isinstance(rng, bool):
        return np.random.default_rng(int(rng))
    raise TypeError(f"`rng` is {rng!r}; it must be a numpy.random.Generator, an integer seed or None")


@op
def keep_mask(x: Array, *, p: float, spatial: int, rng: Seed, out: Array = None) -> Array:
    """y = 0 with probability p, else 1 / (1 - p), one draw for each element, or for each run of the last `spatial` axes.

    No gradient. The draws do not depend on x's dtype, so float32 and float64 networks drop the same elements.
    """
    x = np.asarray(x)
    shape = (*x.shape[: x.ndim - spatial], *(1 for _ in range(spatial)))
    y = np.empty_like(x, np.result_type(x.dtype, 1.0), shape=shape) if out is None else out
    return np.multiply(_survivors(generator(rng), shape, p), y.dtype.type(1 / (1 - p) if p < 1 else 0), out=y)


def _survivors(rng: np.random.Generator, shape: tuple[int, ...], p: float) -> np.ndarray:
    """False with probability p, to 2^-40: one byte for each element, and 32 bits more where that byte does not decide."""
    bound, rest = divmod(round(p * 2.0**40), 1 << 32)
    size = math.prod(shape)
    words = rng.integers(0, (1 << 64) - 1, -(-size // 8), np.uint64, endpoint=True)
    draws = words.view(np.uint8)[:size]
    kept = draws >= bound
    if rest:
        undecided = np.flatnonzero(draws == bound)
        kept[undecided] = rng.integers(0, 1 << 32, undecided.size, np.uint32) >= rest
    return kept.reshape(shape)
