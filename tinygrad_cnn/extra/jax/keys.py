"""The key of JAX from which a function draws."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import jax

from .errors import JaxError

_key: ContextVar[list[Any]] = ContextVar("key")


@contextmanager
def drawing(key: Any) -> Iterator[None]:
    """Draw from this key in a block. Without one (None), a draw is an error."""
    token = _key.set([key])
    try:
        yield
    finally:
        _key.reset(token)


def next_key(function: str) -> Any:
    """A key for one draw. JaxError, which begins with `function`, if there is none."""
    current = _key.get([None])
    if current[0] is None:
        raise JaxError(
            f"{function}: it draws random numbers, and in JAX they are a function of a key: give the function key=, such as "
            "jax.random.key(0)"
        )
    current[0], key = jax.random.split(current[0])
    return key
