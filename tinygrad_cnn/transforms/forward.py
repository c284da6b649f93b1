"""Forward mode: directional derivatives in one pass over recorded nodes, oldest first.

Each node maps the tangents of its inputs to the tangent of its output, dy = sum of dy/dx_i dx_i. Three kinds of ops need
no extra rule. The rule of an elementwise op multiplies g by dy/dx element by element, so the same rule applied to the
tangent is the forward rule. An op that is linear in an input is its own forward rule, with the tangent in place of that
input. Other ops may declare a rule with ``.jvp``. Without one, the backward rule is transposed, which is also exact: the
rule is linear in g, so the gradient of <rule(g), tangent> with respect to g is dy.
(Townsend, "A new trick for calculating Jacobian vector products", 2017.)

With ``create`` the rules are given Tensors and are recorded, so forward and backward passes nest to any order.

A walk can carry n tangents at once, along a new first axis, so that a Jacobian costs one walk: the rule of an elementwise op
broadcasts, an op that is linear has a batching rule, and any other forward rule is repeated for n tangents by :func:`batch`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np

from ..core.backward import in_tensors, pull_back, reached
from ..core.errors import real_only
from ..core.grad_mode import enable_grad, no_grad
from ..core.gradients import LARGE, check_recorded, fit, unusable
from ..core.graph import Array, Op
from ..core.node import Argument, Node, Place
from ..core.registry import above
from ..core.signature import COTANGENT, IN_SHAPE, OUT_SHAPE, TANGENT, asked
from ..core.tracing import tracer
from ..ops import replaced
from ..ops.shape import broadcast_to
from ..tensor.tensor import Tensor
from .batched_call import batch
from .batching import TOGETHER, Call, answer
from .pytree import leaves, rebuild

Rule: TypeAlias = Callable[[Array, Mapping[str, Any]], Array]
"""The tangent of an output, from that of one input and the values that the node has, by name."""


def forward_rule(op: Op, name: str) -> Rule | None:
    """The forward rule for an input: declared, or derived from the op itself. None if the backward rules must be transposed."""
    return _derived(op, name, op.forward_rules.get(name), op.rules.get(name), op.elementwise)


@lru_cache(maxsize=1024)
def _derived(op: Op, name: str, forward: Any, backward: Any, elementwise: bool) -> Rule | None:
    if name in op.signature.linear and forward is None:
        others = [n for n in op.signature.inputs if n != name and n in op.signature.asked_for(name)]
        given = [*others, *op.signature.params]  # an input that the backward rule does not ask for has no effect
        return lambda t, values: op.function(**{name: t}, **{n: values[n] for n in given})
    if forward is not None:
        rule, tangent = forward, TANGENT
    elif elementwise and (name,) in op.signature.rules:
        rule, tangent = backward, COTANGENT
    else:
        return None
    names = asked(rule)
    return lambda t, values: rule(*[t if n == tangent else values[n] for n in names])


def push_forward(
    starts: Mapping[Place, Array], outputs: Sequence[Place], *, create: bool, n: int | None = None
) -> list[Array | None]:
    """The tangent at each output, given tangents at the `starts`; None for an output that depends on no start.

    Tangents are arrays, or Tensors if :func:`in_tensors`; with `n` each has n tangents along its first axis. The results may
    share memory with the starts.

    Raises:
        RuntimeError: if a visited node was freed, or a value it saved has been overwritten.
    """
    oldest = min(place.number for place in starts)
    order = reached(outputs, oldest)[0][::-1]
    last = {parent: node for node in order if node.number > oldest for parent in node.parents or ()}
    tensors, wanted = in_tensors(create), set(outputs)
    tangents: dict[Any, Array] = dict(starts)
    saved = replaced.permitted(True) if replaced.left else nullcontext()
    with saved, enable_grad() if create else no_grad() if tensors else nullcontext():
        for node in order:
            if tangents.keys().isdisjoint(node.parents) or node.number <= oldest or node in starts:
                continue
            given = [None if parent is None else tangents.get(parent) for parent in node.parents]
            t = _pushed(node, given, tensors, create, n)
            if t is not None:
                tangents[node] = t
                if t.size >= LARGE:
                    above.keep_freed_memory()
            for parent in node.parents:
                if parent is not None and last[parent] is node and parent not in wanted:
                    tangents.pop(parent, None)  # not needed any more
    return [tangents.get(place) for place in outputs]


def _pushed(node: Node, given: Sequence[Array | None], tensors: bool, create: bool, n: int | None) -> Array | None:
    """The tangent of a node's output, from the tangents of its parents."""
    op, sig = node.op, node.op.signature
    saved: Any = node.saved
    if tensors:  # labels and indices too, so that a tracer sees their use; residuals have no place in the graph
        own = zip(sig.saved, op.saved_tensors(node), strict=True)
        saved = tuple(
            [Tensor._of(a) if isinstance(a, np.ndarray) and name not in sig.residuals else a for name, a in own]
        )
    if not sig.takes_complex:
        real_only(op, [parent if t is not None else None for parent, t in zip(node.parents or (), given, strict=True)])
    shape = node.shape if n is None else (n, *node.shape)
    values = dict(zip(sig.saved, saved, strict=True))
    values.update(zip(sig.params, node.params, strict=True))
    values |= {OUT_SHAPE: node.shape, IN_SHAPE: shape}  # to an elementwise rule, an input has the shape of the output
    total: Array | None = None
    left: list[Array | None] = []  # tangents without a forward rule
    turns: Iterable[tuple[str, Any]] = zip(sig.served, given, strict=True)
    if sig.variadic:
        turns = [(sig.inputs[0], tuple(given))]
    for name, t in turns:
        rule = None if t is None else forward_rule(op, name)
        if rule is None:
            left.extend(t if sig.variadic else (t,))
            continue
        left.append(None)
        if op.elementwise and t.shape != shape:
            t = _aligned(t, shape, n) if n is not None and isinstance(op.raw, np.ufunc) else _spread(t, shape, n)
        found = rule(t, values) if n is None else _of_many(op, name, rule, t, values, node.shape, tensors, n)
        if create and not isinstance(found, Tensor):
            raise unusable(op, f"the forward rule for `{name}`", found)
        found = _fitted(found, node, name, shape, n)
        total = found if total is None else total + found
    if any(t is not None for t in left):
        if n is None:
            transposed = _transposed(op, node, left, create)
        else:
            transposed = _for_each(lambda left: _transposed(op, node, left, create), left, tensors, n)
        total = transposed if total is None else total if transposed is None else total + transposed
    return total


def _aligned(t: Array, shape: tuple[int, ...], n: int | None) -> Array:
    """A tangent, or n of them, that broadcasts to `shape`."""
    missing = len(shape) - t.ndim
    return t if n is None or not missing else t.reshape(n, *(1,) * missing, *t.shape[1:])


def _spread(t: Array, shape: tuple[int, ...], n: int | None) -> Array:
    """A tangent, or n of them, broadcast to `shape`."""
    return broadcast_to(_aligned(t, shape, n), shape=shape)


def _fitted(t: Array, node: Node, name: str, shape: tuple[int, ...], n: int | None) -> Array:
    """A tangent, or n of them, from the forward rule for the input `name`, in a shape and in the dtype of a node's output."""
    try:
        if t.shape != shape:
            t = _spread(t, shape, n)
    except AttributeError:
        raise unusable(node.op, f"the forward rule for `{name}`", t) from None
    except ValueError:
        raise ValueError(
            f"{node.op.name}: the forward rule for `{name}` returned shape {t.shape} for an output of shape {shape}"
        ) from None
    if t.dtype.kind == "c" and node.dtype.kind == "f":  # y is real: only the real part of dy/dx dx counts
        if not node.op.signature.takes_complex:
            raise TypeError(
                f"{node.op.name}: the forward rule for `{name}` returned {t.dtype} for an output of {node.dtype}; it must "
                "return real numbers, unless the op is declared with complex=True"
            )
        t = above.real(t)
    return t if t.dtype == node.dtype else t.astype(node.dtype)


def _of_many(
    op: Op, name: str, rule: Rule, t: Any, values: dict[str, Any], shape: tuple[int, ...], tensors: bool, n: int
) -> Any:
    """What a forward rule gives for n tangents; `shape` is that of the output."""
    if (known := TOGETHER.get(op)) is not None:
        return known(t, values, shape, n)
    if name in op.forward_rules:
        return _for_each(lambda t: rule(t, values), t, tensors, n)
    if op.elementwise:
        return rule(t, values)
    sig = op.signature
    asked = sig.asked_for(name)
    inputs = [t if i == name else values[i] if i in asked else None for i in sig.inputs]
    while inputs[-1] is None:  # an optional input that was not asked for has no effect
        inputs.pop()
    shapes = [() if x is None else x.shape[1:] if x is t else np.shape(x) for x in inputs]
    return answer(Call(op, inputs, [x is t for x in inputs], shapes, {p: values[p] for p in sig.params}, shape, n))


def _for_each(f: Callable[[Any], Array | None], t: Any, tensors: bool, n: int) -> Array | None:
    """f of each of n tangents, or of n sequences of tangents and None, at once."""
    given = [leaf for _, leaf in leaves(t)]
    axes = [None if leaf is None else 0 for leaf in given]
    if tensors:
        return batch(f, (t,), axes, n)
    with no_grad():
        found = batch(f, (rebuild(t, [None if leaf is None else Tensor._of(leaf) for leaf in given]),), axes, n)
    return found._array if isinstance(found, Tensor) else found


def _transposed(op: Op, node: Node, given: Sequence[Array | None], create: bool) -> Array | None:
    """The transpose of the backward rules: the gradient of <rules(u), tangents> with respect to u."""
    assert node.parents is not None
    parents = tuple(parent if t is not None else None for parent, t in zip(node.parents, given, strict=True))
    with enable_grad():
        u = Tensor._of(np.zeros(node.shape, node.dtype))
        u._node = place = Argument(u)
        pulled = tracer().vjp(node, u, op.saved_tensors(node), parents)
        check_recorded(op, pulled, parents)
        roots = [
            (fit(r, parent, op, i)._node, t)
            for i, (r, t, parent) in enumerate(zip(pulled, given, parents, strict=True))
            if parent is not None and r._node is not None
        ]
    return pull_back(roots, {place}, retain=create, create=create).get(place) if roots else None
