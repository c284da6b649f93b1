"""The ops that record the calls of primitives, and the derivatives that the primitives' rules give."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np

from ...core.graph import Op
from ...ops.data import native
from ...tensor import Tensor
from ...transforms.pytree import leaves, rebuild
from .boxes import only_through
from .calls import Call, NestedCall, number
from .trees import NESTED, recorded, values

Function: TypeAlias = Callable[..., Any]


class Rules:
    """The derivatives of a primitive, and the ops that record its calls."""

    def __init__(self, fun: Function) -> None:
        self.fun = fun
        self.name: str = getattr(fun, "__name__", type(fun).__name__)
        self.pull: Function | None = None
        """(argnums, result, args, kwargs) -> (g -> a gradient for each of argnums)."""
        self.push: Function | None = None
        """(argnums, tangents, result, args, kwargs) -> the tangent of the result."""
        self.pushed: frozenset[int] | None = None
        """The positions for which `push` is defined; None for all."""
        self._ops: dict[tuple[bool, bool], Function] = {}

    def changed(self) -> None:
        """Forget the ops that were made with earlier rules."""
        self._ops.clear()

    def _op(self, single: bool, forward: bool) -> Function:
        """The op that records calls: of one input or of a list, with a forward rule, or without, for the transposed rule."""
        made = Op(_result_of_one if single else _result, complex=True)
        made.name = self.name if self.name.isidentifier() else "primitive"
        if single:
            made.vjp(x=_pull_one)
        else:
            made.joint_vjp("inputs")(_pull)
        if forward:
            made.jvp(**({"x": _push_one} if single else {"inputs": _push}))
        self._ops[single, forward] = made.function
        return made.function  # type: ignore[no-any-return]

    def record(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The result of a call in which an argument is a Tensor, or a nested container with one."""
        given, slots, inputs, nested = list(args), [], [], []
        for i, value in enumerate(args):
            if isinstance(value, Tensor):
                given[i] = values(value)
                if value._node is not None:
                    slots.append((i, 0))
                    inputs.append(value)
            elif isinstance(value, NESTED):
                given[i] = values(value)
                found = [((i, k), leaf) for k, (_, leaf) in enumerate(leaves(value)) if recorded(leaf)]
                slots += [slot for slot, _ in found]
                inputs += [leaf for _, leaf in found]
                nested += [i] if found else []
        result = self.fun(*given, **kwargs)
        if not slots:  # constants, which stay Tensors, so that a rule that is given Tensors returns one
            return rebuild(result, [_constant(leaf) for _, leaf in leaves(result)])
        own = [leaf._node for _, leaf in leaves(result) if recorded(leaf)]
        if own and only_through(own, {x._node for x in inputs}):
            result = values(result)  # the function recorded what the rules say
        kind_of_call = NestedCall if nested or isinstance(result, NESTED) else Call
        call = kind_of_call(self, given, kwargs, slots, nested, result)
        if call.value is None:
            return result
        single = len(slots) == 1
        forward = self.push is not None and (self.pushed is None or self.pushed.issuperset(call.argnums))
        function = self._ops.get((single, forward)) or self._op(single, forward)
        whole = function(inputs[0] if single else inputs, call=call)
        call.value = None  # a call that is repeated with other arguments must fail
        return call.tree(whole)


def _constant(leaf: Any) -> Any:
    if isinstance(leaf, Tensor):
        return leaf
    array = native(np.asarray(leaf))
    return Tensor._of(array) if array.dtype.kind == "f" else leaf


def _result(*inputs: Any, call: Call) -> Any:
    """y = the result of the call, floating-point parts joined.   inputs' = as the primitive's rules say."""
    return call.value


def _result_of_one(x: Any, *, call: Call) -> Any:
    """y = the result of the call, floating-point parts joined.   x' = as the primitive's rules say."""
    return call.value


def _pull(g: Any, y: Any, inputs: tuple[Any, ...], call: Call, needs: Sequence[bool]) -> tuple[Any, ...]:
    """The gradients that the primitive's rules give."""
    rules = call.rules
    if rules.pull is None:
        raise NotImplementedError(f"{rules.name}: no rule gives its gradient; define one with defvjp")
    wanted = tuple(dict.fromkeys([i for (i, _), need in zip(call.slots, needs, strict=True) if need]))
    found = rules.pull(wanted, call.tree(y), call.arguments(inputs), call.kwargs)(call.tree(g))
    slopes = {i: None if v is None else call.leaves_of(i, v) for i, v in zip(wanted, found, strict=True)}
    results = []
    for (i, k), value, need in zip(call.slots, inputs, needs, strict=True):
        own = slopes.get(i)
        results.append(_checked(rules, i, None if own is None else own[k], value) if need else None)
    if isinstance(g, Tensor) and not all(r is None or isinstance(r, Tensor) for r in results):
        if any(leaf is not None and np.any(leaf) for _, leaf in leaves(_probed(call, wanted, y, inputs, g))):
            raise _lost(rules, "a rule of defvjp")
        results = [r if r is None or isinstance(r, Tensor) else Tensor._of(r) for r in results]
    return tuple(results)


def _pull_one(g: Any, y: Any, x: Any, call: Call) -> Any:
    """The gradient of one input that the primitive's rules give."""
    rules = call.rules
    if isinstance(call, NestedCall) or isinstance(g, Tensor) or rules.pull is None:
        return _pull(g, y, (x,), call, (True,))[0]
    ((i, _),) = call.slots
    (slope,) = rules.pull((i,), number(y), call.arguments((x,)), call.kwargs)(number(g))
    return _checked(rules, i, slope, x)


def _probed(call: Call, wanted: tuple[int, ...], y: Any, inputs: tuple[Any, ...], g: Any) -> Any:
    """The arrays that the rules return, instead of Tensors, for a g without zeros: those that do not depend on g are zero."""
    probe = Tensor._of(_without_zeros(g.shape, g.dtype))
    found = call.rules.pull(wanted, call.tree(y), call.arguments(inputs), call.kwargs)(call.tree(probe))  # type: ignore[misc]
    return rebuild(found, [None if isinstance(leaf, Tensor) else leaf for _, leaf in leaves(found)])


def _without_zeros(shape: tuple[int, ...], dtype: Any) -> Any:
    """Different numbers between 1 and 2."""
    return np.asarray(1 + np.arange(int(np.prod(shape))) * 0.6180339887498949 % 1, dtype).reshape(shape)


def _lost(rules: Rules, rule: str) -> TypeError:
    return TypeError(
        f"{rules.name}: {rule} returned an array where it was given Tensors, so higher derivatives would be lost; compute it "
        "with the functions of autograd.numpy, and without getval"
    )


def _checked(rules: Rules, i: int, slope: Any, value: Any) -> Any:
    """A gradient as an array or a Tensor; None is zero."""
    if slope is None:
        return np.zeros(value.shape, value.dtype)
    if isinstance(slope, Tensor):
        return slope
    array = np.asarray(slope)
    if array.dtype.kind not in "biufc":
        raise TypeError(f"{rules.name}: the rule for argument {i} returned {array.dtype}; it must hold numbers")
    return array.reshape(value.shape) if array.shape != value.shape and array.size == 1 == value.size else array


def _push(t: tuple[Any, ...], y: Any, inputs: tuple[Any, ...], call: Call) -> Any:
    """The tangent that the primitive's rules give."""
    rules = call.rules
    assert rules.push is not None
    moved = call.directions(t, inputs)
    found = rules.push(tuple(moved), tuple(moved.values()), call.tree(y), call.arguments(inputs), call.kwargs)
    joined = call.joined(found)
    if isinstance(joined, Tensor):
        return joined
    if not any(isinstance(v, Tensor) for v in t):
        return np.asarray(joined)
    probe = call.directions([None if v is None else Tensor._of(_without_zeros(v.shape, v.dtype)) for v in t], inputs)
    again = rules.push(tuple(probe), tuple(probe.values()), call.tree(y), call.arguments(inputs), call.kwargs)
    if np.any(call.joined(again)):
        raise _lost(rules, "a rule of defjvp")
    return Tensor._of(np.asarray(joined))


def _push_one(t: Any, y: Any, x: Any, call: Call) -> Any:
    """The tangent that the primitive's rules give for that of its one input."""
    return _push((t,), y, (x,), call)
