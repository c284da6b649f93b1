"""The tracer of ``vmap``: it computes each op for one sample, and at the same time for the batch, by its batching rule."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from functools import cached_property, partial
from typing import Any, TypeAlias

import numpy as np

from ..core.grad_mode import is_grad_enabled, no_grad
from ..core.gradients import LARGE
from ..core.graph import Op
from ..core.node import Argument, Node
from ..core.registry import above
from ..core.tracing import NO_TRACER, Args, Tracer, called, performing
from ..core.versions import tick
from ..ops import replaced
from ..ops.index import add_at_zeros, getitem
from ..ops.shape import broadcast_to, stack
from ..scope import Block, again
from ..tensor.tensor import Tensor
from .batching import RULES, Call, answer
from .values import (
    aligned,
    array_of,
    arrays_in,
    as_tensor,
    has_node,
    identity,
    is_plain,
    node_of,
    nothing,
    shape_of,
    stand_in,
    with_arrays,
)

Assigned: TypeAlias = tuple["weakref.ref[Tensor]", np.ndarray, Any]
"""A Tensor that no op on the sample made, with the array and node that it had before ``x[i] = v``."""


class _Known:
    """What is known of an array that was made for the sample.

    Attributes:
        value: its values for all samples; None for an array that all of them share, and that nothing outside follows.
        batched: whether it depends on the sample: the values have the samples along their first axis.
        differs: whether it depends on the sample of this vmap or of an outer one.
        followed: whether this tracer or an outer one must follow the ops that use it.
        recorded: whether it was the value of a Tensor with a node.
        alive: a reference to it.
    """

    __slots__ = ("alive", "batched", "differs", "followed", "recorded", "value")

    alive: weakref.ref[np.ndarray]

    def __init__(self, value: Tensor | None, batched: bool, differs: bool, followed: bool, recorded: bool) -> None:
        self.value, self.batched, self.differs = value, batched, differs
        self.followed, self.recorded = followed, recorded


class Sample(Tracer):
    """Computes each op for the sample and for the batch. It raises for anything that cannot be done for a batch.

    The values for the batch belong to the arrays of the sample, and are freed with them.
    """

    follows_rules = True

    def __init__(self, n: int, assigned: list[Assigned]) -> None:
        self.n, self.assigned = n, assigned
        self.since = tick()
        self.recording = is_grad_enabled()
        self.arrays: dict[int, _Known] = {}  # by id, while they are alive
        self.kept: list[np.ndarray] = []  # the arguments
        self.residuals: dict[int, np.ndarray] = {}  # residuals that depend on the sample
        self.states: list[tuple[Any, Any]] = []

    def of(self, value: Tensor) -> Tensor:
        """The first sample of an argument, or a stand-in for it. It has a node if the argument has: f may detach values."""
        first = np.asarray(value._array[0]) if self.n else stand_in(value.shape[1:], value.dtype)
        sample = Tensor._of(first)
        if first.dtype.kind in "fc" and value._node is not None and self.recording:
            sample._node = Argument(sample)
        self.kept.append(first)
        self._note(first, _Known(value, True, True, True, sample._node is not None))
        return sample

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
    def alone(self) -> bool:
        """Whether there are samples, and no tracer outside."""
        return self.n > 0 and self.outer is NO_TRACER

    @cached_property
    def _inside(self) -> Block:
        """While an op computes for the sample. It refers to the tracer weakly, so that there is no cycle."""
        return performing(weakref.proxy(self))

    @cached_property
    def _outside(self) -> Block:
        """While an op computes for the batch, which is recorded if it would be where vmap was called."""
        block = performing(self.outer, self.outer)
        if self.recording:
            return block
        return Block([again(block.enter), again(no_grad.__enter__)], [again(no_grad.__exit__), again(block.leave)])

    def call(self, op: Op, inputs: Args, params: Args) -> Tensor | None:
        if self.residuals:
            self._check_residuals(op, (*inputs, *params))
        arrays = arrays_in(params) if params else ()
        if not arrays and self.alone and is_plain(op) and not replaced.left:
            plain = self._plainly(op, inputs, params)
            if plain is not None:
                return plain
        found = [*map(self._value, inputs)]
        values, flags = [value for value, _ in found], [batched for _, batched in found]
        output = self._of_sample(op, inputs, params)
        array = output._array
        given = [*map(identity, inputs), *map(id, arrays)]
        if id(array) in given:  # the output is another value, and may be recorded where the input is not
            output._array = array = array.view()
        indices = any(self._value(a)[1] for a in arrays)
        depends = indices or True in flags
        differs = depends or self._differs(given)
        if differs and op.signature.residuals:
            self.residuals.update({id(r): r for r in _residuals(output) if isinstance(r, np.ndarray)})
        value = None
        if depends or self.states or self.outer is not NO_TRACER or any(map(has_node, values)):
            self.restore()
            with self._outside:
                value = as_tensor(self._for_all(op, inputs, params, arrays, values, flags, array, depends, indices))
        followed = depends or self.is_known(given)
        self._note(array, _Known(value, depends, differs, followed, output._node is not None))
        return output

    def _of_sample(self, op: Op, inputs: Args, params: Args) -> Tensor:
        with self._inside:
            return called(op, inputs, params)

    def _plainly(self, op: Op, inputs: Args, params: Args) -> Tensor | None:
        """The output of a call that nothing outside follows, from arrays. None if something does, or there is an error."""
        own: list[Any] = []
        values: list[Any] = []
        flags, parents, most, fewest = [], [], 0, 1 << 6
        get = self.arrays.get
        for x in inputs:
            place, batched, a = None, False, x
            if isinstance(x, Tensor):
                place, a = x._node, x._array
            value, ndim = a, getattr(a, "ndim", 0)
            if (known := get(id(a))) is not None:
                if (whole := known.value) is not None:
                    if whole._node is not None and self.recording:
                        return None
                    value, batched = whole._array, known.batched
                    if batched and ndim < fewest:
                        fewest = ndim
            elif place is not None and place.number < self.since and self.recording:
                return None
            if ndim > most:
                most = ndim
            own.append(a)
            values.append(value)
            flags.append(batched)
            parents.append(place)
        if self.states:
            self.restore()
        named = dict(zip(op.signature.params, params, strict=True)) if params else {}
        value, depends = None, True in flags
        try:
            if depends and op.elementwise and op not in RULES:
                if fewest < most:  # in front of the axes of a sample, those of others have no place
                    values = [
                        aligned(v, self.n, most) if batched else v for v, batched in zip(values, flags, strict=True)
                    ]
                value = np.asarray(op.run(*values, **named))
                if value.base is None:
                    array = value[0, ...].copy("K")
                else:  # a view of an input, and so is that of the sample
                    array = np.asarray(op.run(*own, **named))
            else:
                array = np.asarray(op.run(*own, **named))
                if self.states:  # it draws
                    self.restore()
                if depends:
                    call = Call(op, values, flags, [*map(np.shape, own)], named, array.shape, self.n)
                    value = np.asarray(array_of(answer(call)))
        except Exception:  # that of a call of the op says more
            return None
        self.states.clear()
        for a in own:
            if a is array:  # the output is another value
                array = array.view()
        if value is not None and value.size >= LARGE:
            above.keep_freed_memory()
        output = Tensor._of(array)
        recorded = any(parents) and is_grad_enabled()
        if recorded:
            output._node = node_of(op, own, params, parents, array)
        if value is None:
            known = _Known(None, False, False, False, recorded)
        else:
            known = _Known(Tensor._of(value), True, True, True, recorded)
        self._note(array, known)
        return output

    def _for_all(
        self, op: Op, inputs: Args, params: Args, arrays: Sequence[np.ndarray], values: list[Any], flags: list[bool],
        one: np.ndarray, depends: bool, indices: bool,
    ) -> Any:  # fmt: skip
        """The output for the batch; `one` is that of the sample."""
        named = self._params(op, params, None) if arrays else dict(zip(op.signature.params, params, strict=True))
        if not depends:
            return op.function(*([values] if op.signature.variadic else values), **named)
        if not self.n:
            return nothing(values, one)
        if self.n * one.size >= LARGE:
            above.keep_freed_memory()
        if indices:  # an index that differs from sample to sample
            return self._one_by_one(op, params, values, flags)
        return answer(Call(op, values, flags, [*map(shape_of, inputs)], named, one.shape, self.n))

    def _params(self, op: Op, params: Args, sample: int | None) -> dict[str, Any]:
        """The parameters of a call with their arrays for the batch; of batched arrays, those of one sample."""

        def current(array: np.ndarray) -> Any:
            value, batched = self._value(array)
            if batched and sample is not None:  # by an op, so that outer tracers see it
                value = getitem(value if isinstance(value, Tensor) else Tensor._of(value), index=sample)
            return array_of(value)

        return dict(zip(op.signature.params, [with_arrays(p, current) for p in params], strict=True))

    def _one_by_one(self, op: Op, params: Args, values: list[Any], flags: list[bool]) -> Any:
        samples = []
        for i in range(self.n):
            own = [value[i] if batched else value for value, batched in zip(values, flags, strict=True)]
            given = [own] if op.signature.variadic else own
            samples.append(op.function(*given, **self._params(op, params, i)))
        return stack(samples)

    def _note(self, array: np.ndarray, known: _Known) -> None:
        key = id(array)
        known.alive = weakref.ref(array, partial(self.arrays.pop, key))  # before, so that no interrupt leaves it behind
        self.arrays[key] = known

    def _value(self, x: Any) -> tuple[Any, bool]:
        """A value of the sample, for the batch, and whether that has the samples along its first axis.

        It is detached where the function detached it. A node made during the call of the function is not part of its graph.
        """
        if not isinstance(x, Tensor):
            known = self.arrays.get(id(x))
            return (x, False) if known is None or known.value is None else (known.value, known.batched)
        known = self.arrays.get(id(x._array))
        if known is None or known.value is None:
            is_new = x._node is not None and x._node.number > self.since
            return x.detach() if is_new else x, False
        detached = x._node is None and known.recorded
        return known.value.detach() if detached else known.value, known.batched

    def result(self, leaf: Any) -> Any:
        """A result for all samples. Anything except a Tensor or array is returned unchanged."""
        if not isinstance(leaf, Tensor | np.ndarray):
            return leaf
        value, batched = self._value(leaf)
        return value if batched else broadcast_to(as_tensor(value), shape=(self.n, *leaf.shape))

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
        index = () if node.op in (getitem.op, add_at_zeros.op) else arrays_in(node.params)
        if index and self._differs([*map(id, index)]):
            raise ValueError(
                f"vmap: the gradient of {node.op.name} computes with an index that differs from sample to sample; use take, "
                "take_along_axis or scatter_add, or loop over the samples"
            )
        return NO_TRACER.vjp(node, g, tuple([self._wrapped(value) for value in saved]), parents)

    def is_known(self, arrays: Sequence[int]) -> bool:
        """Whether this tracer or an outer one of its kind must follow the ops that use one of these arrays."""
        return any(known.followed for known in self._of_all(arrays))

    def _differs(self, arrays: Sequence[int]) -> bool:
        """Whether one of these arrays depends on the sample of this vmap or of an outer one."""
        return any(known.differs for known in self._of_all(arrays))

    def _of_all(self, arrays: Sequence[int]) -> list[_Known]:
        """What this tracer and outer ones of its kind know of some arrays."""
        return [known for one in (self, *self.around) for key in arrays if (known := one.arrays.get(key)) is not None]

    def _wrapped(self, value: Any) -> Any:
        """An array that may differ, such as labels, as a Tensor, so that every tracer sees the ops that use it."""
        return Tensor._of(value) if isinstance(value, np.ndarray) and self.is_known([id(value)]) else value

    def compute(self, function: Callable[..., Any], *arrays: np.ndarray) -> Any:
        """One result, or one for each sample if it is drawn or depends on the sample."""
        one = function(*arrays)
        if not isinstance(one, np.ndarray):
            return one
        self.restore()
        found, given = [*map(self._value, arrays)], [*map(id, arrays)]
        depends = getattr(function, "__name__", "") == "draw" or any(batched for _, batched in found)
        with self._outside:
            if not depends:
                value = Tensor._of(self.outer.compute(function, *[array_of(v) for v, _ in found]))
            elif not self.n:
                value = nothing((), one)
            else:
                each = [[array_of(v)[i] if batched else array_of(v) for v, batched in found] for i in range(self.n)]
                results = [self.outer.compute(function, *own) for own in each]
                value = Tensor._of(self.outer.compute(lambda *parts: np.stack(parts), *results))
        known = _Known(value, depends, depends or self._differs(given), depends or self.is_known(given), False)
        self._note(one, known)
        return one

    def effect(self, function: Callable[..., None], *arrays: Any) -> None:
        raise ValueError(
            "vmap: the function changes state, such as a parameter or a running mean, and would do so once for each sample; "
            "return the new value instead, or call .eval() on modules with running statistics"
        )

    def read(self, tensor: Tensor) -> None:
        known = self.arrays.get(id(tensor._array))
        if known is not None and known.batched:
            raise ValueError(
                "vmap: the function reads the values of a batched Tensor (by .item(), .numpy(), bool or an index), which "
                "differ from sample to sample; use ops instead, such as tg.where and tg.take"
            )
        if known is None:
            self.outer.read(tensor)  # it is from outside

    def draw(self, generator: np.random.Generator) -> None:
        if all(generator is not known for known, _ in self.states):
            self.states.append((generator, generator.bit_generator.state))

    def assign(self, tensor: Tensor) -> None:
        if id(tensor._array) not in self.arrays:
            self.assigned.append((weakref.ref(tensor), tensor._array, tensor._node))
        self.outer.assign(tensor)

    def set_grad(self) -> None:
        raise ValueError("vmap: the function sets a gradient with backward(); use grad, which returns it")

    def restore(self) -> None:
        """Restore the states of generators. The draws of the first sample are repeated with those of the other samples."""
        while self.states:
            generator, state = self.states.pop()
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
