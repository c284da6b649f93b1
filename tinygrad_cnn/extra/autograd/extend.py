"""Primitives: functions with derivatives of their own, by HIPS/autograd's names.

A primitive computes with arrays. Where an argument is being differentiated, its call is recorded as one op. The rules are
functions of the result and the arguments, which are arrays, or Tensors where the derivative is differentiated in turn.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np

from ...core.graph import Op
from ...ops.shape import concatenate
from ...tensor import Tensor
from ...transforms.pytree import leaves, rebuild
from .boxes import Box, VJPNode, only_through
from .trees import NESTED, holds, recorded, values
from .vspaces import VSpace, vspace

__all__ = [
    "Box", "VJPNode", "VSpace", "def_linear", "defjvp", "defjvp_argnum", "defjvp_argnums", "defvjp", "defvjp_argnum",
    "defvjp_argnums", "notrace_primitive", "primitive", "register_notrace", "vspace",
]  # fmt: skip

Function: TypeAlias = Callable[..., Any]
Slot: TypeAlias = tuple[int, int]


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
    array = np.asarray(leaf)
    return Tensor._of(array) if array.dtype.kind == "f" else leaf


class Call:
    """A call of a primitive: its arguments, and the slots in them that are differentiated.

    A slot is the position of an argument, and that of a leaf in it, 0 if it is not nested. Here no argument with a slot is
    nested, nor is the result; `value` is the result as an array of its own, or None if it has no derivative.
    """

    __slots__ = ("args", "kwargs", "rules", "slots", "value")
    nested: Sequence[int] = ()

    def __init__(
        self,
        rules: Rules,
        args: list[Any],
        kwargs: dict[str, Any],
        slots: Sequence[Slot],
        nested: Sequence[int],
        result: Any,
    ) -> None:
        self.rules, self.args, self.kwargs, self.slots = rules, args, kwargs, slots
        self._take(nested, result)

    def _take(self, nested: Sequence[int], result: Any) -> None:
        """Keep what is needed of the arguments with slots, and the result."""
        for i, _ in self.slots:
            self.args[i] = None
        value = np.array(result)
        self.value = value if self._floating(value) else None

    def _floating(self, array: np.ndarray) -> bool:
        """Whether a result has a derivative."""
        return array.dtype.kind in "fc"

    @property
    def argnums(self) -> tuple[int, ...]:
        """The positions of the arguments that are differentiated."""
        return tuple(dict.fromkeys([i for i, _ in self.slots]))

    def tree(self, whole: Any) -> Any:
        """The result, a cotangent or a tangent, of which `whole` is the array, in the structure of the result."""
        return _number(whole)

    def joined(self, tree: Any) -> Any:
        """The inverse of :meth:`tree`."""
        return tree

    def arguments(self, inputs: Sequence[Any]) -> tuple[Any, ...]:
        """All arguments, with `inputs` in the slots."""
        args = self.args.copy()
        for (i, _), value in zip(self.slots, inputs, strict=True):
            args[i] = _number(value)
        return tuple(args)

    def leaves_of(self, i: int, slope: Any) -> Any:
        """The gradient of an argument, by the position of a leaf."""
        return (slope,)

    def directions(self, tangents: Sequence[Any], inputs: Sequence[Any]) -> dict[int, Any]:
        """The tangents of arguments, by position; zero where there is none."""
        moved = {slot: _number(t) for slot, t in zip(self.slots, tangents, strict=True) if t is not None}
        found = {}
        for i, argument in enumerate(self.arguments(inputs)):
            if any(at == i for at, _ in moved):
                zeros = [np.zeros(np.shape(leaf)) for _, leaf in leaves(argument)]
                found[i] = rebuild(argument, [moved.get((i, k), zero) for k, zero in enumerate(zeros)])
        return found


class NestedCall(Call):
    """A call with nested arguments or a nested result, whose floating-point leaves are joined into one array."""

    def _take(self, nested: Sequence[int], result: Any) -> None:
        self.nested, args = nested, self.args
        for i in self.argnums:
            args[i] = rebuild(args[i], self._filled(i, args[i], {})) if i in nested else None
        self.result = result if isinstance(result, NESTED) else 0.0
        arrays = [np.asarray(leaf) for _, leaf in leaves(result)]
        self.floating = [self._floating(array) for array in arrays]
        parts = [array for array, floating in zip(arrays, self.floating, strict=True) if floating]
        self.forms = [(part.shape, part.dtype) for part in parts]
        self.value = np.concatenate([part.ravel() for part in parts]) if parts else None

    def tree(self, whole: Any) -> Any:
        """The result, a cotangent or a tangent in the structure of the result."""
        parts, start = [], 0
        for shape, dtype in self.forms:
            stop = start + int(np.prod(shape))
            parts.append(_number(whole[start:stop].reshape(shape).astype(dtype)))
            start = stop
        each = iter(parts)
        found = [next(each) if f else leaf for f, (_, leaf) in zip(self.floating, leaves(self.result), strict=True)]
        return rebuild(self.result, found)

    def joined(self, tree: Any) -> Any:
        """The inverse of :meth:`tree`, for the floating-point leaves."""
        found = [leaf for f, (_, leaf) in zip(self.floating, leaves(tree), strict=True) if f]
        flat = [(leaf if isinstance(leaf, Tensor) else np.asarray(leaf)).reshape(-1) for leaf in found]
        return concatenate(flat) if any(isinstance(leaf, Tensor) for leaf in flat) else np.concatenate(flat)

    def _filled(self, i: int, argument: Any, leaf_of: dict[Slot, Any]) -> list[Any]:
        """The leaves of an argument, with others, or None, in its slots."""
        return [leaf_of.get((i, k)) if (i, k) in self.slots else leaf for k, (_, leaf) in enumerate(leaves(argument))]

    def arguments(self, inputs: Sequence[Any]) -> tuple[Any, ...]:
        """All arguments, with `inputs` in the slots."""
        args = self.args.copy()
        found = dict(zip(self.slots, map(_number, inputs), strict=True))
        for i in self.argnums:
            args[i] = rebuild(args[i], self._filled(i, args[i], found)) if i in self.nested else found[i, 0]
        return tuple(args)

    def leaves_of(self, i: int, slope: Any) -> Any:
        """The gradient of an argument, by the position of a leaf."""
        return parts(slope, self.args[i]) if i in self.nested else (slope,)


def parts(slope: Any, like: Any) -> list[Any]:
    """The gradient of each leaf of `like`. Where that has a list or tuple, `slope` may have an array of as many rows."""
    if isinstance(like, dict):
        return [part for key, branch in like.items() for part in parts(slope[key], branch)]
    if not isinstance(like, list | tuple):
        return [slope]
    if not like:
        return []  # whatever a rule returns for it
    if len(slope) != len(like):
        raise ValueError(f"a rule of defvjp returned {len(slope)} gradients for a sequence of {len(like)}")
    return [part for own, branch in zip(slope, like, strict=True) for part in parts(own, branch)]


def _number(value: Any) -> Any:
    """A number of NumPy's instead of an array without axes."""
    return value[()] if value.__class__ is np.ndarray and not value.ndim else value


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
    (slope,) = rules.pull((i,), _number(y), call.arguments((x,)), call.kwargs)(_number(g))
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


def primitive(fun: Function) -> Function:
    """A function that computes with arrays, and whose derivatives :func:`defvjp` and :func:`defjvp` define.

    >>> import tinygrad_cnn.extra.autograd.numpy as np
    >>> from tinygrad_cnn.extra.autograd import grad
    >>> from tinygrad_cnn.extra.autograd.extend import defvjp, primitive
    >>> @primitive
    ... def cube(x):
    ...     return x**3
    >>> defvjp(cube, lambda ans, x: lambda g: g * 3 * x**2)
    >>> float(grad(grad(cube))(2.0))
    12.0
    """
    rules = Rules(fun)

    def called(*args: Any, **kwargs: Any) -> Any:
        return rules.record(args, kwargs) if holds(args) else fun(*args, **kwargs)

    functools.update_wrapper(called, fun, updated=())
    called.fun = fun  # type: ignore[attr-defined]
    called.rules = rules  # type: ignore[attr-defined]
    return called


def rules_of(name: str, fun: Any) -> Rules:
    """The rules of a primitive; TypeError if it is none."""
    found = getattr(fun, "rules", None)
    if not isinstance(found, Rules):
        raise TypeError(f"{name}: `fun` is {fun!r:.60}; it must be a function that @primitive returned")
    return found


def _by_position(name: str, rules: Rules, makers: Sequence[Any], argnums: Sequence[int] | None) -> dict[int, Any]:
    positions = range(len(makers)) if argnums is None else argnums
    if len(positions) != len(makers):
        raise TypeError(
            f"{name}: {len(makers)} rules of {rules.name} for {len(positions)} `argnums`; give one for each"
        )
    return dict(zip(positions, makers, strict=True))


def _missing(rules: Rules, i: int, name: str) -> NotImplementedError:
    return NotImplementedError(f"{rules.name}: no rule gives its derivative by argument {i}; define one with {name}")


def defvjp(fun: Function, *vjpmakers: Function | None, argnums: Sequence[int] | None = None) -> None:
    """Define the gradients of a primitive: ``maker(ans, *args, **kwargs)`` returns the function from g to the gradient.

    There is one for each argument, or for each of `argnums`; None means that the gradient is zero.
    """
    rules = rules_of("defvjp", fun)
    makers = _by_position("defvjp", rules, vjpmakers, argnums)

    def pull(wanted: tuple[int, ...], ans: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Function:
        if len(wanted) == 1 and (maker := makers.get(wanted[0])) is not None:
            only = maker(ans, *args, **kwargs)
            return lambda g: (only(g),)
        found = []
        for i in wanted:
            if i not in makers:
                raise _missing(rules, i, "defvjp")
            found.append(None if makers[i] is None else makers[i](ans, *args, **kwargs))
        return lambda g: [None if vjp is None else vjp(g) for vjp in found]

    rules.pull = pull
    rules.changed()


def defvjp_argnums(fun: Function, vjpmaker: Function) -> None:
    """Define all gradients at once: ``vjpmaker(argnums, ans, args, kwargs)`` returns the function from g to a tuple of them."""
    rules = rules_of("defvjp_argnums", fun)
    rules.pull = vjpmaker
    rules.changed()


def defvjp_argnum(fun: Function, vjpmaker: Function) -> None:
    """Define the gradients: ``vjpmaker(argnum, ans, args, kwargs)`` returns the function from g to the gradient."""

    def pull(wanted: tuple[int, ...], *rest: Any) -> Function:
        found = [vjpmaker(i, *rest) for i in wanted]
        return lambda g: [vjp(g) for vjp in found]

    defvjp_argnums(fun, pull)


def defjvp(fun: Function, *jvpfuns: Function | str | None, argnums: Sequence[int] | None = None) -> None:
    """Define the forward derivatives of a primitive: ``jvpfun(g, ans, *args, **kwargs)`` is the tangent of the result.

    "same" means that the primitive is linear in that argument, and None that the tangent is zero. Without this, the forward
    derivative is that of :func:`defvjp`, transposed.
    """
    rules = rules_of("defjvp", fun)
    makers = _by_position("defjvp", rules, jvpfuns, argnums)

    def one(i: int, g: Any, ans: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        maker = makers[i]
        if maker == "same":
            return fun(*args[:i], g, *args[i + 1 :], **kwargs)
        if maker is None:
            return rebuild(ans, [np.zeros(np.shape(leaf)) for _, leaf in leaves(ans)])
        return maker(g, ans, *args, **kwargs)

    _define_push(rules, one)
    rules.pushed = frozenset(makers)


def _define_push(rules: Rules, one: Function) -> None:
    def push(argnums: tuple[int, ...], gs: Sequence[Any], ans: Any, args: Any, kwargs: Any) -> Any:
        total: Any = None
        for i, g in zip(argnums, gs, strict=True):
            t = one(i, g, ans, args, kwargs)
            total = t if total is None else vspace(ans).add(total, t)
        return total

    rules.push, rules.pushed = push, None
    rules.changed()


def defjvp_argnum(fun: Function, jvpmaker: Function) -> None:
    """Define the forward derivatives: ``jvpmaker(argnum, g, ans, args, kwargs)`` is the tangent of the result."""
    _define_push(rules_of("defjvp_argnum", fun), jvpmaker)


def defjvp_argnums(fun: Function, jvpmaker: Function) -> None:
    """Define the forward derivative: ``jvpmaker(argnums, gs, ans, args, kwargs)`` is the tangent of the result."""
    rules = rules_of("defjvp_argnums", fun)
    rules.push, rules.pushed = jvpmaker, None
    rules.changed()


def def_linear(fun: Function) -> None:
    """Say that a primitive is linear in each of its arguments: its forward derivative is itself."""
    defjvp_argnum(fun, lambda i, g, ans, args, kwargs: fun(*args[:i], g, *args[i + 1 :], **kwargs))


def notrace_primitive(fun: Function) -> Function:
    """A function that computes with arrays. Its result is a constant, until ``defvjp`` gives it a rule."""
    rules = Rules(fun)

    @functools.wraps(fun)
    def called(*args: Any, **kwargs: Any) -> Any:
        if rules.pull is not None or rules.push is not None:
            return rules.record(args, kwargs)
        return fun(*values(args), **values(kwargs))

    called.fun = fun  # type: ignore[attr-defined]
    called.rules = rules  # type: ignore[attr-defined]
    return called


def register_notrace(trace_type: object, fun: Function) -> None:
    """Say that the derivatives of a primitive are zero."""
    defvjp_argnums(fun, lambda argnums, ans, args, kwargs: lambda g: [None] * len(argnums))
    defjvp_argnums(
        fun, lambda argnums, gs, ans, args, kwargs: rebuild(ans, [np.zeros(np.shape(leaf)) for _, leaf in leaves(ans)])
    )
