"""`show`: the page of a graph."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...frames import caller
from ...nn import Module
from ...tensor import Tensor, get_default_dtype
from .graph import Graph, Group, Item, counted
from .names import Names
from .page import Page
from .trace import record, walk


def show(
    thing: Tensor | Sequence[Tensor] | Module | Callable[..., Any],
    *args: Any,
    backward: bool | None = None,
    title: str = "",
) -> Page:
    """The page of a graph: its ops with shapes, values and gradients, their rules, and where they were called.

    The Tensors do not change, and neither does their `grad`. They are named after the variables of the caller.

    Args:
        thing: a Tensor or a list of Tensors, to show their recorded graph. Values that no rule needs were not saved, and are
            recomputed where that is safe. Or a module or a function, which is called with `args`, to show everything that it
            computes, with the file and line of each op. Or a module without `args`, to show its parameters.
        args: the arguments. Floating-point arrays and numbers get gradients too. For a module, a shape such as
            (1, 3, 32, 32) stands for random numbers. A module is called in its current mode, and its buffers and the random
            generator are restored. A function is called once, and its changes are kept.
        backward: whether to compute gradients. By default they are computed if the first result is a single number.
        title: the title of the page; by default the name of the module or function.

    Raises:
        TypeError: if `thing` is none of these, `args` are given for Tensors, or `backward` or `title` has another type.
        RuntimeError: if a Tensor has no graph, or its graph was freed.
        ValueError: if `backward` is True and the result is not a single number that requires a gradient, or a length in a
            shape is negative.
        Exception: an exception of the function. Its attribute ``page`` has the values computed before.

    >>> import tinygrad_cnn as tg
    >>> a, b = tg.Tensor(2.0, requires_grad=True), tg.Tensor(-3.0, requires_grad=True)
    >>> page = tg.show(a * b + a)
    >>> [(node["name"] or node["op"], node["gradient"]["values"]) for node in page.data["nodes"]]
    [('a', -2.0), ('b', 2.0), ('mul', 1.0), ('add', 1.0)]
    """
    if not isinstance(title, str):
        raise TypeError(f"show: `title` is {title!r:.60}; it must be a string")
    if not isinstance(backward, bool | None):
        raise TypeError(f"show: `backward` is {backward!r:.60}; it must be True, False or None")
    names = Names()
    if isinstance(thing, Module):
        names.add_module(thing)
    frame = caller()
    for variables in (frame.f_locals, frame.f_globals):
        names.add_variables(variables)
    if isinstance(thing, Tensor) or (isinstance(thing, list | tuple) and thing):
        return _recorded([thing] if isinstance(thing, Tensor) else thing, args, backward, title, names)
    if not callable(thing):
        raise TypeError(f"show: `thing` is {thing!r:.60}; give a Tensor, a list of Tensors, a module or a function")
    graph = Graph(title or _title(thing))
    if isinstance(thing, Module) and not args:
        _parameters(thing, graph, names)
        return Page(graph.as_dict())
    if isinstance(thing, Module):
        args = tuple(_drawn(arg) if _is_shape(arg) else arg for arg in args)
    try:
        record(thing, args, backward, graph, names)
    except Exception as error:
        graph.notes.append(f"After these ops {type(error).__name__} was raised: {error}")
        page = vars(error)["page"] = _finished(graph)
        noted = counted(len(page.data["nodes"]), "value")
        error.add_note(f"show: {noted} noted before; their page is the attribute `page` of this exception")
        raise
    if not graph.items:
        raise RuntimeError(
            "show: the function called no op on a Tensor; pass it Tensors or floating-point arrays, and use ops on them"
        )
    return _finished(graph)


def _recorded(tensors: Sequence[Any], args: Any, backward: bool | None, title: str, names: Names) -> Page:
    wrong = [t for t in tensors if not isinstance(t, Tensor)]
    if wrong:
        raise TypeError(f"show: the list holds {wrong[0]!r:.60}; it must hold Tensors")
    if args:
        raise TypeError("show: arguments belong to a module or a function, and `thing` is a Tensor; leave them out")
    for tensor in tensors:
        if tensor._node is None:
            raise RuntimeError(
                "show: the Tensor has no graph: nothing it was computed from has requires_grad=True, or it was computed under "
                "no_grad() or by a compiled call; give the function instead, as in show(function, *args)"
            )
        if tensor._node.parents is None:
            raise RuntimeError(
                f"show: the graph behind `{tensor._node.op}` was freed by an earlier backward; call show before backward, or "
                "pass retain_graph=True to that one"
            )
    graph = Graph(title or next(filter(None, (names.of(t)[0] for t in tensors)), "graph"))
    walk(tensors, backward, graph, names)
    return _finished(graph)


def _finished(graph: Graph) -> Page:
    graph.place_leaves()
    graph.divide()
    return Page(graph.as_dict())


def _title(thing: Any) -> str:
    if isinstance(thing, Module):
        return type(thing).__name__
    name = str(getattr(thing, "__name__", ""))
    return name if name.isidentifier() else "graph"


def _is_shape(value: Any) -> bool:
    return isinstance(value, tuple) and bool(value) and all(type(n) is int for n in value)


def _drawn(shape: tuple[int, ...]) -> Tensor:
    """Random numbers from a generator with a fixed seed, not from the library's."""
    if min(shape) < 0:
        raise ValueError(f"show: the shape {shape} has a negative length; lengths must be at least 0")
    return Tensor(np.random.default_rng(0).standard_normal(shape).astype(get_default_dtype()))


def _parameters(model: Module, graph: Graph, names: Names) -> None:
    """Add the modules of a model, with their parameters and buffers, without ops."""
    groups: dict[str, Group] = {}
    for path, module in model.named_modules():
        above, _, name = path.rpartition(".")
        groups[path] = graph.add_group(name, type(module).__name__, groups[above] if path else None)
        own: list[tuple[str, Tensor]] = [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]
        for name, tensor in own:
            item: Item = graph.add(
                names.of(tensor)[1], tensor, name=f"{path}.{name}" if path else name, group=groups[path],
                value=graph.summaries.add(tensor._array, names.of(tensor)[1]), requires_grad=tensor._node is not None,
            )  # fmt: skip
            if (gradient := getattr(tensor, "_grad", None)) is not None:
                item.gradient = graph.summaries.add(gradient._array, item.kind)
    if not graph.items:
        raise RuntimeError(f"show: {type(model).__name__} has no parameters; give it an input, as in show(model, x)")
    graph.notes.append("The model was not called: give an input, as in show(model, x), to see what it computes.")
