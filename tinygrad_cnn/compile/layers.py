"""Which layers a frozen model may prepare, and how it knows that they are as they were."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from operator import attrgetter, is_
from typing import Any

import numpy as np

from ..core import versions
from ..nn import activation, containers, conv, dropout, linear, normalization, padding, pool, resize
from ..nn.joined import CALL, NORMS
from ..nn.module import Module
from ..tensor import Tensor

ROOMS = activation, conv, dropout, normalization, padding, pool
OTHERS = (
    linear.Identity, linear.Linear, linear.Flatten, linear.Unflatten,
    resize.Upsample, resize.PixelShuffle, resize.PixelUnshuffle,
)  # fmt: skip
LAYERS = frozenset({*OTHERS, *[getattr(room, name) for room in ROOMS for name in room.__all__]} - {pool.MaxUnpool2d})
"""Layers that compute by ops of one Tensor, and by nothing else that changes."""

LEAVES = (
    LAYERS.intersection(
        [linear.Linear, *[getattr(room, name) for room in (conv, normalization) for name in room.__all__]]
    )
    - NORMS
)
"""Layers that gain where a ``forward`` calls them alone: what they prepare takes longer than copying their input and output."""

FORWARD = {kind: kind.forward for kind in (*LAYERS, containers.Sequential)}

_forward, _call, _array = attrgetter("forward"), attrgetter("__call__"), attrgetter("_array")


def is_known(module: Module) -> bool:
    """Whether a call of a layer or Sequential depends on nothing but its input, its attributes and the values of its Tensors:
    it is in evaluation, without hooks and computed weights, and of a class as the library defines it."""
    kind = type(module)
    if kind not in FORWARD or kind.forward is not FORWARD[kind] or kind.__call__ is not CALL or module.training:
        return False
    return all(
        name == "_kinds" or _is_value(value) or (kind is containers.Sequential and isinstance(value, Module))
        for name, value in vars(module).items()
    )


def _is_value(x: Any) -> bool:
    """Whether an attribute cannot change while it is the same object; or it is a Tensor, whose writes the clock counts."""
    if isinstance(x, tuple):
        return all(map(_is_value, x))
    return x is None or isinstance(x, bool | int | float | complex | str | type | np.dtype | np.generic | Tensor)


class State:
    """What modules were when this was made: their attributes, and the values of their Tensors by the clock of writes."""

    def __init__(self, modules: Sequence[Module]) -> None:
        self._seen = versions.latest
        self._time = versions.tick()
        self._kinds = [*{type(module): None for module in modules}]
        self._forwards = [*map(_forward, self._kinds)]
        dicts = [*map(vars, modules)]
        self._sizes, self._names = [*map(len, dicts)], [*chain.from_iterable(dicts)]
        self._values = [*chain.from_iterable(map(dict.values, dicts))]
        self._tensors = [value for value in self._values if isinstance(value, Tensor)]
        self._arrays = [*map(_array, self._tensors)]

    def holds(self, modules: Sequence[Module]) -> bool:
        """Whether nothing of these modules has changed."""
        dicts = [*map(vars, modules)]
        if not (
            [*map(len, dicts)] == self._sizes
            and all(map(is_, chain.from_iterable(map(dict.values, dicts)), self._values))
            and all(map(is_, chain.from_iterable(dicts), self._names))
            and all(map(is_, map(_array, self._tensors), self._arrays))
            and all(map(is_, map(_forward, self._kinds), self._forwards))
            and all(call is CALL for call in map(_call, self._kinds))
        ):
            return False
        latest = versions.latest
        if latest > self._seen:
            if versions.written_since(self._time, self._arrays):
                return False
            self._seen = latest
        return True
