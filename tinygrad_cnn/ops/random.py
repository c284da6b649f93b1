"""The source of randomness: one seeded generator for the library, and an explicit ``rng=`` wherever it is used."""

from __future__ import annotations

import numpy as np

__all__ = ["manual_seed"]

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
    _default.bit_generator.state = np.random.default_rng(seed).bit_generator.state
    return _default


def generator(rng: np.random.Generator | int | None = None) -> np.random.Generator:
    """The generator to draw from: `rng` itself, a new one seeded by an int, or the library's.

    Raises:
        TypeError: for anything else, such as the legacy ``np.random.RandomState``.
    """
    if rng is None:
        return _default
    if isinstance(rng, np.random.Generator):
        return rng
    if isinstance(rng, int | np.integer) and not isinstance(rng, bool):
        return np.random.default_rng(int(rng))
    raise TypeError(f"`rng` is {rng!r}; it must be a numpy.random.Generator, an integer seed or None")
