"""Checks of values under JAX's transforms, where no Python error can be raised: results become NaN instead."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import jax.numpy as jnp

_wrong: ContextVar[list[Any] | None] = ContextVar("wrong", default=None)


@contextmanager
def collected() -> Iterator[list[Any]]:
    """The conditions, Boolean arrays without axes, that the checks of a block find wrong if they hold."""
    found: list[Any] = []
    token = _wrong.set(found)
    try:
        yield found
    finally:
        _wrong.reset(token)


def note(wrong: Any) -> None:
    """Note that results are wrong where a Boolean array holds."""
    found = _wrong.get()
    if found is not None:
        found.append(jnp.any(wrong))


def any_of(found: list[Any]) -> Any:
    """Whether one of the conditions holds; None without conditions."""
    return jnp.stack(found).any() if found else None


def poisoned(value: Any, wrong: Any) -> Any:
    """A floating-point or complex array, NaN if `wrong` holds, and so is the gradient; other arrays as they are."""
    if wrong is None or not jnp.issubdtype(value.dtype, jnp.inexact):
        return value
    return value * jnp.where(wrong, jnp.nan, 1).astype(value.dtype)
