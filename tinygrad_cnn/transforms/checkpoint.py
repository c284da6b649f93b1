"""Gradient checkpointing: keep a function's inputs instead of its intermediate values, and run it again in backward."""

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from ..core import tracing
from ..core.backward import outside, pull_back
from ..core.grad_mode import enable_grad, is_grad_enabled
from ..core.graph import Array, Op
from ..core.node import Leaf, Place
from ..core.remedies import publish
from ..core.versions import tick
from ..ops.elementwise import cast
from ..ops.random import generator
from ..ops.real import check_callable
from ..ops.replaced import refused
from ..scope import Block, again, both
from ..tensor import Tensor
from .pytree import leaves, rebuild
from .recorded_call import fresh

__all__ = ["checkpoint"]

T = TypeVar("T")


def checkpoint(f: Callable[..., T], *args: Any, **kwargs: Any) -> T:
    """f(*args, **kwargs), without keeping intermediate values: backward runs `f` again to compute them.

    Gradients are exact, to any order, for Tensors among the arguments (nested in lists, tuples and dicts) and for other
    Tensors that `f` uses, such as a layer's parameters. Random draws are repeated: the state of the library's
    generator, and of any ``Generator`` among the arguments, is restored for the second run.

    Changes through the library, such as running statistics, ``copy_`` or an optimizer's update, are made once, in the first
    run. Changes by Python alone are made twice. Everything that `f` reads must be the same in backward.

    Raises:
        RuntimeError: in backward, if the second run has results of other shapes, or uses other Tensors.
    (Griewank and Walther, "Revolve", 2000; Chen et al., "Training deep nets with sublinear memory cost", 2016.)

    >>> import tinygrad_cnn as tg
    >>> x = tg.Tensor([1.0, 2.0], requires_grad=True)
    >>> tg.checkpoint(lambda x: x.exp().log(), x).sum().backward()
    >>> x.grad.tolist()
    [1.0, 1.0]
    """
    check_callable("checkpoint", f)
    if not is_grad_enabled() or tracing.tracer().follows_rules:  # the tracer must follow f
        return f(*args, **kwargs)
    given = [leaf for _, leaf in leaves((args, kwargs)) if isinstance(leaf, Tensor)]
    segment = _Segment(f, args, kwargs)
    since = tick()
    result = segment.run([fresh(Tensor._of(t._array)) if t.requires_grad else t for t in given])
    values = [leaf for _, leaf in leaves(result)]
    recorded = [_recorded(value) for value in values]
    outputs = [value for value, is_recorded in zip(values, recorded, strict=True) if is_recorded]
    if not outputs:
        return result  # type: ignore[no-any-return]
    inputs = [*given, *map(_stand_in, segment.note(outputs, since))]
    segment.value = outputs[0]._array if len(outputs) == 1 else np.concatenate([t._array.reshape(-1) for t in outputs])
    whole = _op.function(inputs, segment=segment)
    segment.value = None
    parts = iter(segment.parts(whole))
    return rebuild(result, [next(parts) if r else v for v, r in zip(values, recorded, strict=True)])  # type: ignore[no-any-return]


class _Rerun(tracing.Tracer):
    """Leaves out effects, which the first run has made."""

    def effect(self, *_: Any, **__: Any) -> None:
        pass


class _Hole:
    """The place of a Tensor among the arguments."""


class _Segment:
    """A function with its arguments except Tensors, and the state that a second run needs."""

    def __init__(self, f: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.f = f
        found = [leaf for _, leaf in leaves((args, kwargs))]
        self.arguments = rebuild((args, kwargs), [_Hole() if isinstance(leaf, Tensor) else leaf for leaf in found])
        sources = [generator(), *(leaf for leaf in found if isinstance(leaf, np.random.Generator))]
        self.random = [(source, source.bit_generator.state) for source in dict.fromkeys(sources)]
        self.count = sum(isinstance(leaf, Tensor) for leaf in found)
        self.value: Any = None  # the result of the first run, for the call of the op

    def run(self, tensors: list[Tensor]) -> Any:
        """The function's result on these Tensors, recorded."""
        each = iter(tensors)
        filled = [next(each) if isinstance(leaf, _Hole) else leaf for _, leaf in leaves(self.arguments)]
        args, kwargs = rebuild(self.arguments, filled)
        with enable_grad(), refused("a function under checkpoint runs twice, and would assign twice"):
            return self.f(*args, **kwargs)

    def note(self, outputs: list[Tensor], since: int) -> list[Place]:
        """The nodes outside on which the outputs depend. Their numbers, and the outputs' shapes and dtypes, are kept."""
        self.forms = [(t.shape, t.dtype) for t in outputs]
        places = sorted(outside([t._node for t in outputs if t._node is not None], since), key=lambda p: p.number)
        self.used = {place.number for place in places}
        return places

    def parts(self, whole: Array) -> list[Array]:
        """Split one array into the outputs, or gradients, of which it was joined."""
        if len(self.forms) == 1:
            return [whole]
        found, start = [], 0
        for shape, dtype in self.forms:
            stop = start + int(np.prod(shape))
            part = whole[start:stop].reshape(shape)
            found.append(part if part.dtype == dtype else part.astype(dtype))
            start = stop
        return found

    def replayed(self) -> Block:
        """The context of the second run: generators repeat the draws of the first run, and effects are left out."""
        drawn = [(source.bit_generator, state) for source, state in self.random]
        repeating = Block(
            [again(setattr, bits, "state", state) for bits, state in drawn],
            [again(setattr, bits, "state", bits.state) for bits, _ in drawn],
        )
        return both(repeating, tracing.trace(_Rerun()))

    def outputs_again(self, tensors: list[Tensor]) -> list[Tensor]:
        """The outputs of a second run, or a RuntimeError if they differ from the first in form or in the Tensors used."""
        since = tick()
        with self.replayed():
            result = self.run(tensors)
        outputs = [leaf for _, leaf in leaves(result) if _recorded(leaf)]
        forms = [(t.shape, t.dtype) for t in outputs]
        if forms != self.forms:
            found = f"f returned {_listed(forms)} instead of {_listed(self.forms)}"
            raise RuntimeError(f"checkpoint: run again, {found}; its results must depend on its arguments alone")
        given = {t._node.number for t in tensors if t._node is not None}
        used = {place.number for place in outside([t._node for t in outputs if t._node is not None], since)}
        if used - given != self.used:
            remedy = "do not exchange them between the forward and the backward pass"
            raise RuntimeError(f"checkpoint: run again, f used other Tensors than the first time; {remedy}")
        return outputs


def _rerun(*inputs: Array, segment: _Segment) -> Array:
    """y = f(inputs), the joined outputs of the first run.   inputs' = the gradients of f, run again."""
    return segment.value


def _gradients(
    g: Array, inputs: tuple[Array, ...], segment: _Segment, parents: tuple[Place | None, ...]
) -> tuple[Array | None, ...]:
    """The gradients for all inputs at once, from one second run of f."""
    create = isinstance(g, Tensor)
    with enable_grad():
        count = segment.count
        tensors = [_placed(v, p) for v, p in zip(inputs[:count], parents[:count], strict=True)]
        floor = tick()  # the inner walk ends at nodes from before; the outer walk continues there
        outputs = segment.outputs_again(tensors)
        places = [t._node if p is not None else None for t, p in zip(tensors, parents[:count], strict=True)]
        places += parents[count:]
        roots: list[tuple[Any, Array]] = [(t._node, part) for t, part in zip(outputs, segment.parts(g), strict=True)]
        wanted = {place for place in places if place is not None}
        found = pull_back(roots, wanted, retain=create, create=create, floor=floor)
    zeros = [p if p is None else np.zeros(p.shape, p.dtype) for p in parents]
    nothing = [Tensor._of(z) if create and z is not None else z for z in zeros]
    return tuple([z if place is None else found.get(place, z) for place, z in zip(places, nothing, strict=True)])


def _placed(value: Array, parent: Place | None) -> Tensor:
    """An input for the second run with a new node, connected to its old one if the gradient is recorded."""
    if isinstance(value, Tensor):
        return cast(value, dtype=value.dtype)
    return Tensor._of(value) if parent is None else fresh(Tensor._of(value))


def _stand_in(place: Place) -> Tensor:
    """A Tensor for a node that f uses. A leaf has its values, so that a later write is noticed."""
    tensor = place.tensor() if isinstance(place, Leaf) else None
    return Tensor._of(np.empty(0) if tensor is None else tensor._array, place)


def _recorded(value: Any) -> bool:
    return isinstance(value, Tensor) and value.requires_grad


def _listed(forms: list[tuple[tuple[int, ...], np.dtype[Any]]]) -> str:
    return ", ".join(f"{dtype} {shape}" for shape, dtype in forms) or "nothing with a gradient"


_op = Op(_rerun, complex=True)
_op.name = "checkpoint"  # in errors and pictures
_op.joint_vjp("inputs")(_gradients)


publish(globals())
