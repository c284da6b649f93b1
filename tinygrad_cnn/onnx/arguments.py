"""The arguments of an export: names, dynamic axes, and the calls of the model for them."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np

from ..nn import Module
from .errors import OnnxError
from .model import GraphModule
from .sizes import FIXED
from .trace import Trace, traced

Axes: TypeAlias = Mapping[str, Sequence[int] | Mapping[int, str]]


def checked_names(kind: str, count: int, given: Sequence[str]) -> list[str]:
    """The given names of the inputs or outputs. OnnxError if they do not fit."""
    names = list(given)
    if len(names) != count or len(set(names)) != count or not all(names):
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


def dynamic(names: Sequence[str], arrays: Sequence[np.ndarray], given: Axes | None) -> list[dict[int, str]]:
    """For each input, the names of its dynamic axes."""
    if given is None:
        return [{0: "batch"} if a.ndim else {} for a in arrays]
    unknown = sorted(set(given) - set(names))
    outputs = [n for n in unknown if n.startswith("output")]
    if unknown != outputs:
        raise OnnxError(f"export: `dynamic_axes` names {unknown[0]!r}; the inputs are {', '.join(names)}")
    found: list[dict[int, str]] = []
    for name, array in zip(names, arrays, strict=True):
        wanted = given.get(name, {})
        named = (
            dict(wanted) if isinstance(wanted, Mapping) else {i: "batch" if i == 0 else f"{name}_{i}" for i in wanted}
        )
        wrong = [i for i in named if not -array.ndim <= i < array.ndim]
        if wrong:
            raise OnnxError(f"export: `dynamic_axes` has axis {wrong[0]} of {name!r}, which has shape {array.shape}")
        found.append({i % array.ndim: str(label) for i, label in named.items()})
    return found


def traces_of(model: Module, arrays: Sequence[np.ndarray], axes: Sequence[dict[int, str]]) -> list[Trace]:
    """The call with all dynamic sizes trebled, that with the example, and one for each dynamic size with that doubled.

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
    factors: list[dict[str, int]] = [{}, *({name: 2} for name in sizes)]
    if sizes:
        factors.append(dict.fromkeys(sizes, 3))
    traces = []
    for chosen in factors:
        grown = [
            np.array(np.tile(array, [chosen.get(named.get(i, ""), 1) for i in range(array.ndim)]))
            for array, named in zip(arrays, axes, strict=True)
        ]
        try:
            traces.append(traced(model, grown))
        except OnnxError:
            raise
        except Exception as error:
            if not chosen:
                raise
            changed = ", ".join(f"{name!r} of size {factor * sizes[name]}" for name, factor in chosen.items())
            raise OnnxError(
                f"export: the model cannot be called with the dynamic axes {changed}: {error} {FIXED}"
            ) from error
    traces = traces[-1:] + traces[:-1]
    if not all(_same_ops(trace, traces[0]) for trace in traces):
        raise OnnxError(f"export: the model calls other ops for other sizes of its dynamic axes {FIXED}")
    odd = _one_larger(model, arrays, axes)
    return [*traces, odd] if odd is not None and _same_ops(odd, traces[0]) else traces


def _same_ops(trace: Trace, other: Trace) -> bool:
    same = [r.op for r in trace.records] == [r.op for r in other.records]
    return same and len(trace.outputs) == len(other.outputs)


def _one_larger(model: Module, arrays: Sequence[np.ndarray], axes: Sequence[dict[int, str]]) -> Trace | None:
    """The call with dynamic axes other than the first larger by one; None if there are none, or the model refuses the sizes.

    Multiples do not show how a size is rounded: a window of two fits an even number in the same way with ceil as with floor.
    """
    names = {name for named in axes for axis, name in named.items() if axis}
    if not names:
        return None
    widths = [
        [(0, int(named.get(i, "") in names)) for i in range(a.ndim)] for a, named in zip(arrays, axes, strict=True)
    ]
    try:
        return traced(model, [np.pad(a, width, mode="edge") for a, width in zip(arrays, widths, strict=True)])
    except Exception:  # such as sizes that do not fit together, in a network that halves and doubles them
        return None
