"""The arguments of an export: names, dynamic axes, and the calls of the model for them."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from ...nn import Module
from ...scope import silent
from .errors import OnnxError
from .model import GraphModule
from .sizes import FIXED
from .trace import Trace, Untraceable, traced

Axes: TypeAlias = Mapping[str, Sequence[int] | Mapping[int, str]]
Call: TypeAlias = Callable[[Mapping[str, int]], Trace]

LARGE = 100
"""A dynamic size that is larger than constants of a model's code usually are."""

ROOM = 1 << 22
"""The most elements that a call with this size may make."""


def checked_names(kind: str, count: int, given: Sequence[str]) -> list[str]:
    """The given names of the inputs or outputs. OnnxError if they do not fit."""
    names = list(given)
    if len(names) != count or len(set(names)) != count or not all(isinstance(n, str) and n for n in names):
        raise OnnxError(f"export: `{kind}_names` is {names}; it must be {count} different names, as there are {kind}s")
    return names


def input_names(model: Module, count: int, given: Sequence[str] | None) -> list[str]:
    """Names for the inputs. OnnxError if given names do not fit."""
    if given is not None:
        return checked_names("input", count, given)
    if isinstance(model, GraphModule):
        return model.input_names[:count]
    found = [
        p.name
        for p in inspect.signature(model.forward).parameters.values()
        if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
    ][:count]
    return found + [f"input_{i}" for i in range(len(found), count)]


def dynamic(
    names: Sequence[str], arrays: Sequence[np.ndarray], given: Axes | None, outputs: Sequence[str] | None
) -> list[dict[int, str]]:
    """For each input, the names of its dynamic axes. Axes of outputs may be given too; they follow from those of the inputs."""
    if given is None:
        return [{0: "batch"} if a.ndim else {} for a in arrays]
    if not isinstance(given, Mapping):
        raise OnnxError(f"export: `dynamic_axes` is {given!r}; it must be a dict such as {{'{[*names, 'x'][0]}': [0]}}")
    for name in given:
        if name not in [*names, *(outputs or ())] and not str(name).startswith("output"):
            raise OnnxError(f"export: `dynamic_axes` names {name!r}; the inputs are {', '.join(names)}")
    return [_named_axes(name, array, given.get(name, ())) for name, array in zip(names, arrays, strict=True)]


def _named_axes(name: str, array: np.ndarray, given: Any) -> dict[int, str]:
    """The dynamic axes of an input, with their names."""
    if not isinstance(given, Mapping | list | tuple):
        raise OnnxError(
            f"export: `dynamic_axes` has {given!r} for {name!r}; it must be a list of axes, or a dict of their names"
        )
    found = {}
    for axis in given:
        if isinstance(axis, bool) or not isinstance(axis, int) or not -array.ndim <= axis < array.ndim:
            raise OnnxError(f"export: `dynamic_axes` has axis {axis!r} of {name!r}, which has shape {array.shape}")
        at = axis % array.ndim
        found[at] = given[axis] if isinstance(given, Mapping) else "batch" if at == 0 else f"{name}_{at}"
        if not isinstance(found[at], str) or not found[at]:
            raise OnnxError(
                f"export: `dynamic_axes` names axis {axis} of {name!r} {found[at]!r}; a name must be a text"
            )
    return found


def traces_of(model: Module, arrays: Sequence[np.ndarray], axes: Sequence[dict[int, str]]) -> list[Trace]:
    """Calls of the model: with all dynamic sizes trebled, the example, and each size doubled and in :func:`_extremes`.

    Writers look at the shapes of the first one: there no dynamic size is 1, which would broadcast.
    """
    sizes: dict[str, int] = {}
    for array, named in zip(arrays, axes, strict=True):
        for axis, name in named.items():
            if sizes.setdefault(name, array.shape[axis]) != array.shape[axis]:
                raise OnnxError(
                    f"export: the dynamic axis {name!r} has the sizes {sizes[name]} and {array.shape[axis]} in `args`; they "
                    "must agree, or have different names"
                )
            if not array.shape[axis]:
                raise OnnxError(
                    f"export: the dynamic axis {name!r} has size 0 in `args`; give an example with elements"
                )

    def call(changed: Mapping[str, int]) -> Trace:
        return traced(model, [_resized(array, named, changed) for array, named in zip(arrays, axes, strict=True)])

    traces = []
    trebled = {name: 3 * n for name, n in sizes.items()}
    for changed in ({}, *({name: 2 * n} for name, n in sizes.items()), *([trebled] if sizes else [])):
        try:
            traces.append(call(changed))
        except OnnxError:
            raise
        except Exception as error:
            if not changed:
                raise
            words = ", ".join(f"{name!r} of size {n}" for name, n in changed.items())
            raise OnnxError(
                f"export: the model cannot be called with the dynamic axes {words}: {error}{FIXED}"
            ) from error
    traces = traces[-1:] + traces[:-1]
    elements = sum(record.output.size for record in traces[0].records)
    for name, n in sizes.items():
        traces += _extremes(call, name, n, elements)
    for trace in traces:
        _compare(trace, traces[0])
    return traces


def _resized(array: np.ndarray, named: Mapping[int, str], sizes: Mapping[str, int]) -> np.ndarray:
    """The array repeated along its dynamic axes up to other sizes."""
    for axis, name in named.items():
        array = np.take(array, np.arange(sizes.get(name, array.shape[axis])), axis, mode="wrap")
    return np.array(array)


def _compare(trace: Trace, other: Trace) -> None:
    """OnnxError if two calls differ in more than sizes and numbers."""
    why = f"export: the model calls other ops for other sizes of its dynamic axes{FIXED}"
    for record, twin in zip(trace.records, other.records, strict=False):
        if record.op is not twin.op or record.output.ndim != twin.output.ndim:
            place = twin.path or "the model"
            raise OnnxError(f"{why}; the first that differs is `{twin.op.name}` in {place}, line {twin.line}")
    if len(trace.records) != len(other.records) or len(trace.outputs) != len(other.outputs):
        raise OnnxError(why)


def _extremes(call: Call, name: str, size: int, elements: int) -> list[Trace]:
    """Calls with a size as small as can be, two, an odd size, and a large one if that takes little memory.

    They show constants of the model's code, as in ``x[:3]`` and ``min(3, len(x))``, and how sizes are rounded.
    """
    traces = [_smallest(call, name, size), _called(call, name, size + 1)]
    if size > 2:
        traces.append(_called(call, name, 2))
    if size < LARGE and elements * LARGE // size <= ROOM:
        traces.append(_called(call, name, LARGE))
    return [trace for trace in traces if trace is not None]


def _called(call: Call, name: str, size: int) -> Trace | None:
    """The call with a size; None if the model refuses it, as one that halves and doubles sizes may refuse an odd one."""
    try:
        with warnings.catch_warnings(), silent:  # such as that of a variance of one row
            warnings.simplefilter("ignore")
            return call({name: size})
    except Untraceable:
        raise
    except Exception:
        return None


def _smallest(call: Call, name: str, size: int) -> Trace | None:
    """The call with the smallest size below `size` that the model accepts: 1, or one that is found by halving."""
    if size == 1:
        return None
    found, refused = _called(call, name, 1), 1
    accepted = size if found is None else 1
    while accepted - refused > 1:
        middle = (accepted + refused) // 2
        trace = _called(call, name, middle)
        found, refused, accepted = (found, middle, accepted) if trace is None else (trace, refused, middle)
    return found
