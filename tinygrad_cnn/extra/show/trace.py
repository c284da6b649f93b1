"""Graphs of computations: of a function during its call, and of Tensors that were recorded before."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from inspect import signature
from math import prod
from typing import Any

import numpy as np

from ...core.backward import outside, pull_back
from ...core.grad_mode import enable_grad
from ...core.node import Argument, Leaf, Node, Place
from ...core.tracing import trace
from ...core.versions import tick, written_since
from ...nn import Module
from ...ops.random import get_rng_state, set_rng_state
from ...ops.replaced import lent
from ...scope import silent
from ...tensor import Tensor
from ...tensor.tensor import incoming
from ...transforms.anomaly import called_at
from ...transforms.pytree import leaves, rebuild
from ...transforms.recorded_call import is_differentiable
from ...transforms.values import as_tensor
from .graph import Graph, Input, counted, shown, shown_place, unused
from .labels import written
from .names import Names
from .recorder import Recorder, array_of, input_names

PACKAGE = __name__.partition(".")[0] + "."

LARGE = 1 << 20
"""Values with more elements than this are not recomputed."""


def record(f: Callable[..., Any], args: Sequence[Any], backward: bool | None, graph: Graph, names: Names) -> None:
    """Fill `graph` with the values that one call of `f` computes, and with gradients of its result.

    What `f` raises is raised with a note; `graph` then has all ops up to there.
    """
    since = tick()
    recorder = Recorder(graph, names)
    call = rebuild(list(args), _placed([leaf for _, leaf in leaves(list(args))]))
    for path, leaf in _named_arguments(f, call):
        if isinstance(leaf, Tensor | np.ndarray):
            names.add(leaf, path, "input")
        if isinstance(leaf, Tensor):
            recorder.value(leaf)
    held = {id(tensor) for tensor in names.tensors() if getattr(tensor, "_grad", None) is not None}
    try:
        given = [leaf for _, leaf in leaves(call) if isinstance(leaf, Tensor) and isinstance(leaf._node, Argument)]
        with _restored(f), trace(recorder), enable_grad(), lent(given):
            result = f(*call)
            roots = [leaf for _, leaf in leaves(result) if isinstance(leaf, Tensor)]
            outputs = [recorder.value(root) for root in roots]
            for item in outputs:
                item.output = True
            start = _start(roots, backward, recorder.pulled and _is_freed(roots))
            if start is not None:
                _pull(recorder, start, _ends(start, since), since)
    finally:
        recorder.forget_frames()
        recorder.name_calls()
    if start is None and recorder.pulled:
        for tensor in names.tensors():
            leaf = recorder.find(tensor)
            if leaf is not None and id(tensor) not in held and getattr(tensor, "_grad", None) is not None:
                leaf.gradient = graph.summaries.add(tensor._grad._array, leaf.kind)  # type: ignore[union-attr]
    if outputs and not (recorder.pulled and start is None):
        left = graph.keep(outputs)
        if left:
            graph.notes.append(unused(left))


@contextmanager
def _restored(f: Callable[..., Any]) -> Iterator[None]:
    """Restore the buffers of a module and the generator after the block. The changes of any other function are kept."""
    if not isinstance(f, Module):
        yield
        return
    random = get_rng_state()
    buffers = [(buffer, buffer._array.copy()) for buffer in f.buffers()]
    try:
        yield
    finally:
        set_rng_state(random)
        for buffer, before in buffers:
            if not np.array_equal(buffer._array, before, equal_nan=True):
                buffer.copy_(before)


def walk(roots: Sequence[Tensor], backward: bool | None, graph: Graph, names: Names) -> None:
    """Fill `graph` with the recorded graph of `roots`, and with gradients if there is one root with one element."""
    recorder = Recorder(graph, names)
    places = _behind([root._node for root in roots if root._node is not None])
    values, stale = _kept_values(places)
    for tensor in (*names.tensors(), *roots):
        if tensor._node is not None:
            values.setdefault(tensor._node, tensor._array)
    values.update((p, t._array) for p in places if isinstance(p, Leaf) and (t := p.tensor()) is not None)
    freed = 0
    for place in places:
        node = place if isinstance(place, Node) else None
        leaf = None if isinstance(place, Node) else place.tensor()
        if leaf is not None:
            item = recorder.value(leaf)
        else:
            array = values.get(place)
            item = graph.add(
                "op" if node is not None else "leaf", place, op=place.op, requires_grad=True,
                value=None if array is None else graph.summaries.add(array),
                label="" if node is None else written(node.op, node.shape),
            )  # fmt: skip
            recorder.places[place] = item
            if array is None and node is not None and node not in stale:
                again = _computed_again(node, values)
                if again is not None:
                    values[node], item.value, item.recomputed = again, graph.summaries.add(again), True
        if node is None:
            continue
        item.name = names.of_place(node)
        spot = called_at(node)
        item.place = spot and (shown_place(spot[0]), spot[1])
        item.params = {n: shown(v) for n, v in zip(node.op.signature.params, node.params, strict=True)}
        if node.parents is None:
            freed += 1
            item.kind = "freed"
        else:
            item.inputs = _recorded_inputs(node, recorder, node not in stale)
    for root in roots:
        recorder.value(root).output = True
    if any(item.place is None for item in graph.items if item.op is not None):
        graph.notes.append(
            "Where the ops were called is not known: detect_anomaly() records it, and so does show(function, *args)."
        )
    count = sum(item.recomputed for item in graph.items)
    if count:
        graph.notes.append(f"{counted(count, 'value')} not kept, and computed again from the inputs.")
    if freed:
        graph.notes.append(f"The inputs of {freed} of the ops are not known: an earlier backward freed them.")
    if stale:
        graph.notes.append("Values that were overwritten since they were recorded are not shown, nor are gradients.")
    complete = not freed and not stale
    if backward and not complete:
        raise RuntimeError(f"show: gradients cannot be computed. {graph.notes[-1]} Run the forward pass again")
    start = _start(roots, backward, not complete)
    if start is not None:
        _pull(recorder, start, [place for place in places if isinstance(place, Leaf)], 0)


def _recorded_inputs(node: Node, recorder: Recorder, fresh: bool) -> list[Input]:
    """The inputs of a node: nodes and leaves, and those other values that it saved."""
    assert node.parents is not None
    sig = node.op.signature
    saved = dict(zip(sig.saved, node.saved or (), strict=False)) if fresh else {}
    if sig.variadic:
        served = input_names(node.op, len(node.parents))
        parents: dict[str, Place | None] = dict(zip(served, node.parents, strict=True))
        xs = saved.get(sig.inputs[0]) or [None] * len(served)
        values = dict(zip(served, xs, strict=True))
    else:
        parents = dict(zip(sig.served, node.parents, strict=True))
        values = {name: saved.get(name) for name in sig.inputs}
    inputs = []
    for name, value in values.items():
        parent = parents.get(name)
        if parent is not None:
            inputs.append(Input(name, recorder.places[parent]))
        elif value is None:
            inputs.append(Input(name, text="(not kept)"))
        else:
            inputs.append(recorder._input(name, value))
    return inputs


def _kept_values(places: Iterable[Place]) -> tuple[dict[Place, np.ndarray], set[Place]]:
    """The values that nodes saved for their rules, by the node or leaf of each value; and the nodes whose saved values were
    overwritten."""
    values: dict[Place, np.ndarray] = {}
    stale: set[Place] = set()
    for node in places:
        if not isinstance(node, Node) or node.saved is None or node.parents is None:
            continue
        if written_since(node.number, node.saved):
            stale.add(node)
            continue
        sig = node.op.signature
        at: dict[str, Any] = {"y": node}
        at.update({sig.inputs[0]: node.parents} if sig.variadic else zip(sig.served, node.parents, strict=True))
        for name, value in zip(sig.saved, node.saved, strict=True):
            owners = at.get(name)
            pairs = zip(owners, value, strict=True) if isinstance(owners, tuple) else [(owners, value)]
            values.update((p, v) for p, v in pairs if isinstance(p, Node) and isinstance(v, np.ndarray))
    return values, stale


def _computed_again(node: Node, values: dict[Place, np.ndarray]) -> np.ndarray | None:
    """The value of a node that was not saved, recomputed from its inputs.

    None if an input is unknown or was overwritten, if the value would be large, or if the op is the user's: it may not be
    deterministic.
    """
    op, sig = node.op, node.op.signature
    if node.parents is None or prod(node.shape) > LARGE or not op.function.__module__.startswith(PACKAGE):
        return None
    if sig.variadic:
        inputs = [None if p is None else values.get(p) for p in node.parents]
    else:
        parents = dict(zip(sig.served, node.parents, strict=True))
        saved = dict(zip(sig.saved, node.saved or (), strict=True))
        inputs = [values.get(p) if (p := parents.get(name)) is not None else saved.get(name) for name in sig.inputs]
    if any(value is None for value in inputs) or written_since(node.number, inputs):
        return None
    try:
        with silent:
            result = op.run(*inputs, **dict(zip(sig.params, node.params, strict=True)))
    except (ValueError, TypeError, IndexError):
        return None
    array = np.asarray(result[0] if sig.residuals else result)
    return array if array.shape == node.shape and array.dtype == node.dtype else None


def _behind(roots: Iterable[Place]) -> list[Place]:
    """The roots, and all nodes and leaves that they were computed from, in the order of their creation."""
    found = dict.fromkeys(roots)
    waiting = list(found)
    while waiting:
        for parent in waiting.pop().parents or ():
            if parent is not None and parent not in found:
                found[parent] = None
                waiting.append(parent)
    return sorted(found, key=lambda place: place.number)


def _start(roots: Sequence[Tensor], backward: bool | None, done: bool) -> Tensor | None:
    """The Tensor that the backward pass starts from, or None. ValueError if `backward` is True and there is none."""
    if backward is False or (done and not backward):
        return None
    if done:
        raise RuntimeError("show: the function runs backward itself, and its result has no graph; leave out `backward`")
    single = [root for root in roots[:1] if root.size == 1 and root._node is not None]
    if single:
        return single[0]
    if not backward:
        return None
    what = f"the result has shape {roots[0].shape}" if roots and roots[0].size != 1 else "no result requires a gradient"
    raise ValueError(
        f"show: `backward` is True, but {what}; return a single number that depends on what requires gradients, as in "
        "show(lambda x: loss(model(x), y), x)"
    )


def _is_freed(roots: Sequence[Tensor]) -> bool:
    """Whether a node in the graph of the first result was freed, or it has no graph."""
    behind = _behind([root._node for root in roots[:1] if root._node is not None])
    return not behind or any(isinstance(place, Node) and place.parents is None for place in behind)


def _ends(root: Tensor, since: int) -> list[Place]:
    """The leaves of a Tensor's graph, and its nodes recorded before `since`."""
    assert root._node is not None
    inside = [place for place in _behind_since(root._node, since) if isinstance(place, Leaf)]
    return list(dict.fromkeys([*inside, *outside([root._node], since)]))


def _behind_since(root: Place, since: int) -> list[Place]:
    found = {root: None}
    waiting = [root]
    while waiting:
        place = waiting.pop()
        for parent in (place.parents or ()) if place.number >= since else ():
            if parent is not None and parent not in found:
                found[parent] = None
                waiting.append(parent)
    return list(found)


def _pull(recorder: Recorder, start: Tensor, wanted: Sequence[Place], floor: int) -> None:
    """Run the backward pass without changing any `grad`, and add the gradients to the items."""
    recorder.end()
    with trace(recorder):
        found = pull_back([incoming("show", start, None, False)], set(wanted), retain=True, create=False, floor=floor)
    visited = set(recorder.graph.order)
    for place, g in found.items():
        item = recorder.places.get(place)
        if item is not None:
            item.gradient = recorder.graph.summaries.add(array_of(g), item.kind)
            if item not in visited:
                recorder.graph.order.append(item)


def _placed(found: Sequence[Any]) -> list[Any]:
    """The leaves of arguments, with copies of those that have a gradient. A Tensor that is given twice is one input."""
    known: dict[int, Tensor] = {}
    return [
        known.setdefault(id(leaf) if isinstance(leaf, Tensor) else -i, _fresh(leaf))
        if is_differentiable(leaf)
        else leaf
        for i, leaf in enumerate(found, 1)
    ]


def _fresh(leaf: Any) -> Tensor:
    """A copy of a leaf of an argument with its own node and so its own gradient. A recorded leaf is returned itself."""
    tensor = as_tensor(leaf)
    if isinstance(tensor._node, Node):
        return tensor
    fresh = Tensor._of(tensor._array)
    fresh._node = Argument(fresh)
    return fresh


def _named_arguments(f: Callable[..., Any], call: Sequence[Any]) -> list[tuple[str, Any]]:
    """The leaves of the arguments, with the names of the parameters that they are passed to."""
    target = f.forward if isinstance(f, Module) else f
    names: list[str] = []
    with suppress(TypeError, ValueError):
        for name, value in signature(target).bind(*call).arguments.items():
            several = signature(target).parameters[name].kind.name == "VAR_POSITIONAL"
            names += [f"{name}[{i}]" for i in range(len(value))] if several else [name]
    if len(names) != len(call):
        names = [f"argument {i}" for i in range(len(call))]
    return [(name + path, leaf) for name, value in zip(names, call, strict=True) for path, leaf in leaves(value)]
