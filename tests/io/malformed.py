"""Saved states with one thing wrong in them: every entry dropped, renamed, nested wrongly, of another type, form or value."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from hypothesis import settings

import tinygrad_cnn as tg

SAVED = [
    None, True, False, 0, 1, -1, 3, 1.5, float("nan"), float("inf"), -1e300, 2**63, 10**400, "", "text", "0", b"x",
    [], {}, (), [[1], [2, 3]], {"a": 1}, {0: None}, [None], [1.0, 2.0], ("a",), np.array(3), np.array(2.5), np.zeros(0),
    np.zeros((2, 3, 4)), np.full(2, np.nan), np.array([True, False]), np.float32("nan"), np.int8(-1), np.bool_(True),
    np.complex64(1j), np.array([1 + 1j]), {"array": {"a": [np.ones(2)]}},
]  # fmt: skip
"""What stands in for an entry: all that a file can hold."""

OBJECTS = [
    object(),
    len,
    {1, 2},
    range(3),
    iter([1]),
    np.array(["a"]),
    np.array([None, 1]),
    np.zeros(2, "f4,i4"),
    tg.ones(2),
]
"""And what only a program can hand over."""


def paths(state: Any, here: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Of every entry in nested state, from the whole down."""
    yield here
    if isinstance(state, dict):
        for key, value in state.items():
            yield from paths(value, (*here, key))
    elif isinstance(state, list | tuple):
        for i, value in enumerate(state):
            yield from paths(value, (*here, i))


def entry(state: Any, path: tuple[Any, ...]) -> Any:
    """What stands at a path."""
    for key in path:
        state = state[key]
    return state


def with_entry(state: Any, path: tuple[Any, ...], change: Any) -> Any:
    """A copy of `state` whose containers on the way to `path` are new, and at its end is what `change(entry)` gives."""
    if not path:
        return change(state)
    parts = dict(state) if isinstance(state, dict) else list(state)
    parts[path[0]] = with_entry(state[path[0]], path[1:], change)
    return parts if not isinstance(state, tuple) else tuple(parts)


def changes(value: Any, junk: list[Any]) -> Iterator[Any]:
    """What may stand where `value` stood, being malformed or, here and there, right after all."""
    yield from junk
    yield [value]
    yield {"a": value}
    if isinstance(value, dict):
        for key in value:
            rest = {k: v for k, v in value.items() if k != key}
            yield rest
            for other in ("renamed", 7, -1, None, b"k", 0.5, 10**30):
                yield {**rest, other: value[key]}
        for other in ("more", 99, None):
            yield {**value, other: 1}
        yield list(value.items())
        yield list(value.values())
        yield list(value)
    elif isinstance(value, list | tuple):
        yield value[:-1]
        yield [*value, 1]
        yield [*value, *value]
        yield [*value[::-1]]
        yield dict(enumerate(value))
    elif isinstance(value, np.ndarray):
        yield value.tolist()
        yield value[None]
        yield value.astype(object)
        yield value.astype(complex)
        yield value.astype("f8" if value.dtype != "f8" else "f4")
        yield value.astype("S")
        if value.dtype.kind == "f":
            yield np.full_like(value, np.nan)
            yield -abs(value) - 1
        if value.ndim:
            yield np.concatenate([value, value])
            yield value[:0]
    elif isinstance(value, int) and not isinstance(value, bool):
        yield from (value + 1, -value - 1, value + 2**64, float(value), str(value), np.array([value]))
    elif isinstance(value, float):
        yield from (-value - 1, str(value), np.array([value]), complex(value))


def malformed(state: Any, objects: bool = True) -> list[tuple[str, Callable[[], Any]]]:
    """Copies of `state` with one change each, made when they are called for, and what was changed."""
    junk = [*SAVED, *OBJECTS] if objects else SAVED
    return [
        (f"change {number} at {path}", lambda path=path, new=new: with_entry(copy.deepcopy(state), path, lambda _: new))
        for path in paths(state)
        for number, new in enumerate(changes(entry(state, path), junk))
    ]


def some(states: list[tuple[str, Callable[[], Any]]], most: int = 250) -> Iterator[tuple[str, Any]]:
    """A part of them, spread over all: `most` where Hypothesis draws 20 examples, fewer where it draws few, else all."""
    examples = settings.default.max_examples
    count = len(states) if examples > 100 else min(len(states), most * examples // 20)
    for change, make in random.Random(0).sample(states, count):
        yield change, make()
