"""``vmap``'s call of a function: on one sample, then repeated for a batch of samples.

The function is called once, on the first sample, and its op calls are recorded as steps. The steps are then repeated for the
whole batch, each by the batching rule of its op. So the batch is computed, recorded and compiled like any other computation.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import cached_property
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from ..core.grad_mode import is_grad_enabled, no_grad
from ..core.gradients import LARGE
from ..core.graph import Op
from ..core.node import Argument, Node
from ..core.registry import above
from ..core.tracing import NO_TRACER, Args, Tracer, called, performing, trace, tracer
from ..core.versions import tick
from ..ops import replaced
from ..ops.elementwise import astype
from ..ops.index import add_at_zeros, getitem
from ..ops.shape import broadcast_to, concatenate, reshape, stack
from ..scope import Block, silent
from ..tensor.tensor import Tensor
from .batching import Call, answer
from .pytree import leaves, rebuild


def batch(f: Callable[..., Any], args: Any, axes: Sequence[int | None], n: int, **kwargs: Any) -> Any:
    """The result of f for n samples: a tree whose Tensors have the samples along their first axis.

    Args:
        args: the arguments of f. Leaves that are batched are Tensors with the samples along their first axis.
        axes: for each leaf None if all samples share it.
    """
    assigned: list[_Assigned] = []
    result = _batch(f, args, axes, n, kwargs, assigned)
    if outside := [(t, array, node) for find, array, node in reversed(assigned) if (t := find()) is not None]:
        for t, array, node in outside:
            t._array, t._node = array, node
            replaced.come_back(t)
        raise ValueError(
            "vmap: the function assigns to a Tensor from outside, by `x[i] = v`, which cannot have the values of all samples; "
            "assign to a Tensor that the function makes, and return it"
        )
    return result


_Assigned: TypeAlias = tuple["weakref.ref[Tensor]", np.ndarray, Any]
"""A Tensor that no op on the sample made, with the array and node that it had before ``x[i] = v``."""


def _batch(
    f: Callable[..., Any], args: Any, axes: Sequence[int | None], n: int, kwargs: Any, assigned: list[_Assigned]
) -> Any:
    values = [leaf for _, leaf in leaves(args)]
    for value in values:
        if replaced.left and isinstance(value, Tensor):
            replaced.check(value)
    since = tick()
    samples = [v if axis is None else _sample(v, n) for v, axis in zip(values, axes, strict=True)]
    sample = Sample([s for s, axis in zip(samples, axes, strict=True) if axis is not None], assigned)
    with (
        trace(sample),
        replaced.lent([s for s in samples if isinstance(s, Tensor)]),
        nullcontext() if n else silent,
    ):  # without samples, f computes with a stand-in
        result = f(*rebuild(args, samples), **kwargs)
    sample.restore()
    found = [sample.used(leaf) for _, leaf in leaves(result)]
    known = {id(s._array): v for s, v, axis in zip(samples, values, axes, strict=True) if axis is not None}
    run = _Batch(known, sample.batched, n, since)
    with replaced.permitted(True) if replaced.left else nullcontext():
        for step, over in _needed(sample.steps, found):
            run.repeat(step)
            for array in over:
                run.values.pop(array, None)
    return rebuild(result, [run.result(use) for use in found])


class _Use(NamedTuple):
    """A value that an op used or f returned, the identity of its array, and whether it was detached from its graph."""

    value: Any
    array: int
    is_detached: bool


class _Step(NamedTuple):
    """A call of an op on the first sample, or the computation of an array without an op."""

    op: Op | None
    inputs: tuple[_Use, ...]
    params: Args
    arrays: Sequence[np.ndarray]
    """The arrays in the parameters, such as those of an index."""
    output: np.ndarray
    records: bool
    """Whether calls of ops were recorded."""
    function: Callable[..., Any] | None = None


class Sample(Tracer):
    """Records the op calls on one sample. It raises for anything that cannot be repeated for a batch."""

    follows_rules = True

    def __init__(self, inputs: Sequence[Tensor], assigned: list[_Assigned]) -> None:
        self.steps: list[_Step] = []
        self.assigned = assigned
        self.kept: list[Any] = list(inputs)  # keeps objects alive, so ids stay unique
        self.batched = {id(x._array) for x in inputs}
        self.recorded = {id(x._array) for x in inputs if x._node is not None}
        self.made: set[int] = set()
        self.differing = {*self.batched}  # arrays that depend on the sample of this vmap or an outer one
        self.known = {*self.batched}  # arrays that this tracer or an outer one must follow
        self.residuals: dict[int, np.ndarray] = {}  # residuals that depend on the sample
        self.states: list[tuple[Any, Any]] = []

    @cached_property
    def around(self) -> list[Sample]:
        """The tracers of outer calls of vmap."""
        found, tracer = [], self.outer
        while tracer is not NO_TRACER:
            if isinstance(tracer, Sample):
                found.append(tracer)
            tracer = tracer.outer
        return found

    @cached_property
    def _performing(self) -> Block:
        """While an op computes for the sample. It refers to the tracer weakly, so that there is no cycle."""
        return performing(weakref.proxy(self))

    def call(self, op: Op, inputs: Args, params: Args) -> Tensor | None:
        with self._performing:
            output = called(op, inputs, params)
        if self.residuals:
            self._check_residuals(op, (*inputs, *params))
        uses = tuple(map(self.used, inputs))
        given = [use.array for use in uses]
        arrays = _arrays(params) if params else ()
        if arrays:
            given += map(id, arrays)
        if op.signature.residuals and self._differs(given):
            self.residuals.update({id(r): r for r in _residuals(output) if isinstance(r, np.ndarray)})
        array = output._array
        if id(array) in given:  # the output is another value, and may be recorded where the input is not
            output._array = array = array.view()
        made = id(array)
        self._note(made, not self.batched.isdisjoint(given), given)
        if output._node is not None:
            self.recorded.add(made)
        self.made.add(made)
        self.steps.append(_Step(op, uses, params, arrays, array, is_grad_enabled()))
        return output

    def _note(self, made: int, depends: bool, given: Sequence[int]) -> None:
        """Record whether a new array depends on this sample, on an outer one, or on another array that a tracer follows."""
        if depends:
            self.batched.add(made)
            self.differing.add(made)
            self.known.add(made)
            return
        if self._differs(given):
            self.differing.add(made)
        if self.is_known(given):
            self.known.add(made)

    def used(self, value: Any) -> _Use:
        """A value with its use. It was detached if it is a Tensor without a node whose array was recorded."""
        if not isinstance(value, Tensor):
            return _Use(value, id(value), False)
        array = id(value._array)
        return _Use(value, array, value._node is None and array in self.recorded)

    def _is_residual(self, value: Any) -> bool:
        base = value if not isinstance(value, np.ndarray) or value.base is None else value.base
        return id(value) in self.residuals or id(base) in self.residuals

    def _check_residuals(self, op: Op, values: Args) -> None:
        if self.residuals and any(map(self._is_residual, values)):
            raise _given_a_residual(op)

    def vjp(self, node: Any, g: Any, saved: Args, parents: Args) -> Args:
        if self.residuals and any(map(self._is_residual, saved)):
            saved = tuple([_Differing() if self._is_residual(value) else value for value in saved])
            try:
                return self._pulled(node, g, saved, parents)
            except (AttributeError, TypeError) as error:
                raise _given_a_residual(node.op) from error
        return self._pulled(node, g, saved, parents)

    def _pulled(self, node: Any, g: Any, saved: Args, parents: Args) -> Args:
        index = () if node.op in (getitem.op, add_at_zeros.op) else _arrays(node.params)
        if self._differs([*map(id, index)]):
            raise ValueError(
                f"vmap: the gradient of {node.op.name} computes with an index that differs from sample to sample; use take, "
                "take_along_axis or scatter_add, or loop over the samples"
            )
        return NO_TRACER.vjp(node, g, tuple([self._wrapped(value) for value in saved]), parents)

    def is_known(self, arrays: Sequence[int]) -> bool:
        """Whether this tracer or an outer one of its kind must follow the ops that use one of these arrays."""
        if not self.known.isdisjoint(arrays):
            return True
        return bool(self.around) and any(not one.known.isdisjoint(arrays) for one in self.around)

    def _differs(self, arrays: Sequence[int]) -> bool:
        """Whether one of these arrays depends on the sample of this vmap or of an outer one."""
        if not self.differing.isdisjoint(arrays):
            return True
        return bool(self.around) and any(not one.differing.isdisjoint(arrays) for one in self.around)

    def _wrapped(self, value: Any) -> Any:
        """An array that may differ, such as labels, as a Tensor, so that every tracer sees the ops that use it."""
        return Tensor._of(value) if isinstance(value, np.ndarray) and self.is_known([id(value)]) else value

    def compute(self, function: Callable[..., Any], *arrays: np.ndarray) -> Any:
        found = function(*arrays)
        if isinstance(found, np.ndarray):
            self.made.add(id(found))
            uses, given = tuple(_Use(a, id(a), False) for a in arrays), [*map(id, arrays)]
            self.steps.append(_Step(None, uses, (), (), found, False, function))
            drawn = getattr(function, "__name__", "") == "draw"
            self._note(id(found), drawn or not self.batched.isdisjoint(given), given)
        return found

    def effect(self, function: Callable[..., None], *arrays: Any) -> None:
        raise ValueError(
            "vmap: the function changes state, such as a parameter or a running mean, and would do so once for each sample; "
            "return the new value instead, or call .eval() on modules with running statistics"
        )

    def read(self, tensor: Tensor) -> None:
        if id(tensor._array) in self.batched:
            raise ValueError(
                "vmap: the function reads the values of a batched Tensor (by .item(), .numpy(), bool or an index), which "
                "differ from sample to sample; use ops instead, such as tg.where and tg.take"
            )
        if id(tensor._array) not in self.made:
            self.outer.read(tensor)  # it is from outside

    def draw(self, generator: np.random.Generator) -> None:
        if all(generator is not known for known, _ in self.states):
            self.states.append((generator, generator.bit_generator.state))

    def assign(self, tensor: Tensor) -> None:
        before = Tensor._of(tensor._array, tensor._node)
        for i, step in enumerate(self.steps):
            if any(use.value is tensor for use in step.inputs):
                uses = tuple([use._replace(value=before) if use.value is tensor else use for use in step.inputs])
                self.steps[i] = step._replace(inputs=uses)
        if id(tensor._array) not in self.made:
            self.assigned.append((weakref.ref(tensor), tensor._array, tensor._node))
        self.outer.assign(tensor)

    def set_grad(self) -> None:
        raise ValueError("vmap: the function sets a gradient with backward(); use grad, which returns it")

    def restore(self) -> None:
        """Restore the states of generators. The draws of the first sample are repeated with those of the other samples."""
        for generator, state in self.states:
            generator.bit_generator.state = state


class _Differing:
    """What rules get in place of a residual that differs from sample to sample. It has no value: a rule computes without it."""

    def __eq__(self, other: object) -> bool:
        raise TypeError("vmap: the residual differs from sample to sample")

    __hash__ = None  # type: ignore[assignment]

    def __bool__(self) -> bool:
        raise TypeError("vmap: the residual differs from sample to sample")


def _given_a_residual(op: Op) -> ValueError:
    return ValueError(
        f"vmap: {op.name} is given a residual of another op, which differs from sample to sample; compute it by a separate op, "
        "and not as a residual"
    )


def _residuals(output: Tensor) -> list[Any]:
    """The residuals of an op that its node saved."""
    node = output._node
    if not isinstance(node, Node) or not node.op.signature.residuals:
        return []
    sig = node.op.signature
    return [value for name, value in zip(sig.saved, node.saved or (), strict=True) if name in sig.residuals]


def _arrays(tree: Any) -> list[np.ndarray]:
    """The arrays in nested tuples and lists, such as those of an index."""
    if isinstance(tree, np.ndarray):
        return [tree]
    if not isinstance(tree, list | tuple):
        return []
    return [a for branch in tree if branch.__class__ not in _NUMBERS for a in _arrays(branch)]


_NUMBERS = frozenset({int, bool, type(None), float, str, slice})


def _replaced(tree: Any, new: Callable[[np.ndarray], Any]) -> Any:
    """Nested tuples and lists with each array replaced by `new(array)`."""
    if isinstance(tree, np.ndarray):
        return new(tree)
    if isinstance(tree, tuple) and hasattr(tree, "_make"):
        return tree
    return type(tree)(_replaced(branch, new) for branch in tree) if isinstance(tree, list | tuple) else tree


def _shape(value: Any) -> tuple[int, ...]:
    if value is None:
        return ()
    return value._array.shape if isinstance(value, Tensor) else np.shape(value)


class _Batch:
    """Repeats steps for n samples. `values` has the values of the batch, by the ids of the arrays of the first sample."""

    def __init__(self, values: dict[int, Any], batched: set[int], n: int, since: int) -> None:
        self.values, self.batched, self.n, self.since = values, batched, n, since

    def value(self, use: _Use) -> Any:
        """The value of an input or result for the batch. A node made during the call of the sample is not part of its graph."""
        x = use.value
        found = self.values.get(use.array, x)
        is_new = found is x and isinstance(x, Tensor) and x._node is not None and x._node.number > self.since
        return found.detach() if (use.is_detached or is_new) and isinstance(found, Tensor) else found

    def repeat(self, step: _Step) -> None:
        """Compute the output of a step."""
        if self.n * step.output.size >= LARGE:
            above.keep_freed_memory()
        if step.records or not is_grad_enabled():
            self.values[id(step.output)] = self._output(step)
            return
        with no_grad():
            self.values[id(step.output)] = self._output(step)

    def _output(self, step: _Step) -> Any:
        op, batched = step.op, self.batched
        if op is None:
            return self._computed(step)
        values = [self.value(use) for use in step.inputs]
        params = self._params(step, None) if step.params else {}
        if id(step.output) not in batched:
            given = [values] if op.signature.variadic else values
            return op.function(*given, **params)
        if not self.n:
            return _nothing(values, step.output)
        flags = [use.array in batched for use in step.inputs]
        if step.arrays and not batched.isdisjoint(map(id, step.arrays)):  # an index that differs from sample to sample
            return self._one_by_one(step, values, flags)
        shapes = [_shape(use.value) for use in step.inputs]
        return answer(Call(op, values, flags, shapes, params, step.output.shape, self.n))

    def _computed(self, step: _Step) -> Tensor:
        """The result of a computation without an op: one result, or one for each sample if it is drawn or depends on it."""
        assert step.function is not None
        if id(step.output) not in self.batched:
            return Tensor._of(tracer().compute(step.function, *(_array(self.value(a)) for a in step.inputs)))
        if not self.n:
            return _nothing((), step.output)  # type: ignore[no-any-return]
        found = []
        for i in range(self.n):
            own = [_array(self.value(a)) for a in step.inputs]
            own = [a[i] if use.array in self.batched else a for a, use in zip(own, step.inputs, strict=True)]
            found.append(tracer().compute(step.function, *own))
        return Tensor._of(tracer().compute(lambda *arrays: np.stack(arrays), *found))

    def _params(self, step: _Step, sample: int | None) -> dict[str, Any]:
        """The parameters of a step with their arrays for the batch; of batched arrays, those of one sample."""
        assert step.op is not None

        def current(array: np.ndarray) -> Any:
            value = self.values.get(id(array), array)
            if id(array) in self.batched:  # by an op, so that outer tracers see it
                value = getitem(value if isinstance(value, Tensor) else Tensor._of(value), index=sample)
            return _array(value)

        params = [_replaced(p, current) for p in step.params] if step.arrays else step.params
        return dict(zip(step.op.signature.params, params, strict=True))

    def _one_by_one(self, step: _Step, values: list[Any], flags: list[bool]) -> Any:
        assert step.op is not None
        samples = []
        for i in range(self.n):
            own = [value[i] if is_batched else value for value, is_batched in zip(values, flags, strict=True)]
            given = [own] if step.op.signature.variadic else own
            samples.append(step.op.function(*given, **self._params(step, i)))
        return stack(samples)

    def result(self, use: _Use) -> Any:
        """A result for all samples. Anything except a Tensor or array is returned unchanged."""
        leaf = use.value
        if not isinstance(leaf, Tensor | np.ndarray):
            return leaf
        value = self.value(use)
        return value if use.array in self.batched else broadcast_to(as_tensor(value), shape=(self.n, *leaf.shape))


def _nothing(inputs: Sequence[Any], one: np.ndarray) -> Any:
    """The output for no samples: it has no elements, and its gradients are zero. `one` is the output of a sample."""
    parts = [reshape(x, shape=(-1,))[:0] for x in inputs if isinstance(x, Tensor | np.ndarray) and x.dtype.kind in "fc"]
    y = concatenate(parts) if parts else np.zeros(0, one.dtype)
    return astype(as_tensor(reshape(y, shape=(0, *one.shape))), one.dtype)


def _array(value: Any) -> Any:
    return value._array if isinstance(value, Tensor) else value


def _needed(steps: Sequence[_Step], results: Sequence[_Use]) -> list[tuple[_Step, list[int]]]:
    """The steps that the results depend on, in order, each with the ids of the arrays that nothing uses after it."""
    wanted: set[int] = {use.array for use in results}
    found: list[tuple[_Step, list[int]]] = []
    for step in reversed(steps):
        if id(step.output) in wanted:
            given = [use.array for use in step.inputs]
            if step.arrays:
                given += map(id, step.arrays)
            found.append((step, [array for array in given if array not in wanted]))
            wanted.update(given)
    return found[::-1]


def as_tensor(value: Any) -> Tensor:
    """The value itself if it is a Tensor, else a Tensor of it; a Python float keeps all its digits."""
    if isinstance(value, Tensor):
        return value
    return Tensor(value, dtype=np.float64 if type(value) is float else None)


def _stand_in(shape: tuple[int, ...], dtype: np.dtype[Any]) -> np.ndarray:
    """A sample where there is none, which functions can take: numbers from 0 to 1 that differ, their square matrices positive
    definite; or integers that are 0, since they may be indices."""
    if dtype.kind not in "fc" or 0 in shape:
        return np.zeros(shape, dtype)
    size = math.prod(shape)
    numbers = np.arange(1, size + 1).reshape(shape) / (size + 1) / (shape or (1,))[-1]
    return np.asarray((numbers + np.eye(shape[-2], shape[-1])) / 2 if len(shape) > 1 else numbers, dtype)


def _sample(value: Tensor, n: int) -> Tensor:
    """The first sample, or a stand-in for it. It has a node, which shows where f detaches values from the graph."""
    sample = Tensor._of(np.asarray(value._array[0]) if n else _stand_in(value.shape[1:], value.dtype))
    if sample.dtype.kind in "fc" and is_grad_enabled():
        sample._node = Argument(sample)
    return sample
