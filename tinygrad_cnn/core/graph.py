"""The computation graph: nodes, and the ``@op`` decorator.

An op is a plain NumPy function plus one gradient rule per differentiable input. Called with arrays it *is* that
function. Called with a Tensor it also leaves a :class:`Node` behind: the op, the nodes of its inputs, the values that
the rules will need, and its parameters. Reverse-mode differentiation is then a walk over nodes (see ``autograd.py``).
"""

from __future__ import annotations

import functools
import inspect
import linecache
import weakref
from collections.abc import Callable, Sequence
from threading import RLock
from types import FunctionType
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Protocol, TypeAlias, TypeVar, overload

import numpy as np

from . import operands
from .codegen import COTANGENT, OUTPUT, TANGENT, Signature, emit_call, emit_pull, rule_name
from .grad_mode import _recording
from .operands import adapt
from .signature import OUT, asked, declared
from .tracing import notify, tracer, watchers
from .versions import tick

if TYPE_CHECKING:
    from ..tensor import Tensor as Tensor
else:
    Tensor = Any  # which ops name in annotations, and must not import

Array: TypeAlias = Any
"""An ndarray or a Tensor. Rules are written once for both, which a type checker cannot follow."""

P = ParamSpec("P")
T = TypeVar("T")


class Node:
    """One recorded application of an op.

    ``number`` grows with every node, so sorting by it orders any graph topologically: inputs are older than outputs.
    A node knows the shape, strides and dtype of its output but does not hold the output itself, unless a rule asked for it.
    """

    __slots__ = ("__weakref__", "dtype", "hooks", "number", "op", "params", "parents", "saved", "shape", "strides")

    op: Op
    parents: tuple[Node | Leaf | None, ...] | None
    saved: tuple[Any, ...] | None
    params: tuple[Any, ...]
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: np.dtype[Any]
    number: int
    hooks: dict[int, Callable[[Tensor], Any]]  # unset until there is one: see hooks.py


class Leaf:
    """The end of the graph under a Tensor that the user made with ``requires_grad=True``: it receives the gradient.

    It knows its Tensor weakly: a Tensor refers to its gradient, which with ``create_graph`` refers to the graph, which
    ends here, and a strong reference would close the circle.
    """

    __slots__ = ("__weakref__", "dtype", "hooks", "number", "shape", "tensor")

    hooks: dict[int, Callable[[Tensor], Any]]

    op = None
    saved: tuple[()] = ()
    parents: tuple[()] = ()

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = weakref.ref(tensor)
        self.shape = tensor.shape
        self.dtype = tensor.dtype
        self.number = tick()


class Argument(Leaf):
    """A leaf that the library made for the argument of a function: to the function it is a value, not its own to write."""

    __slots__ = ()


class OpFunction(Protocol[P]):
    """What ``@op`` returns: a function of arrays or Tensors, usable as a method, that carries its :class:`Op`."""

    op: Op

    def __call__(self, first: Any, /, *args: P.args, **kwargs: P.kwargs) -> Tensor: ...
    def __get__(self, instance: Any, owner: Any = None) -> Callable[P, Tensor]: ...
    def vjp(self, **rules: Callable[..., Any]) -> None:
        """Register the gradient rules, one per differentiable input, named by the input."""

    def jvp(self, **rules: Callable[..., Any]) -> None:
        """Register forward rules, named by the input: each gives dy for the tangent ``t`` of that input.

        A forward rule may ask for ``t``, parameters, ``out_shape``, and what the backward rule of that input asks for. A
        variadic op has one, and ``t`` is then a tuple of a tangent for each input, or None. An elementwise op, one that is
        `linear` in an input, and one without forward rules need none (see :mod:`tinygrad_cnn.core.forward`).
        """

    def joint_vjp(self, *inputs: str) -> Callable[[Rule], Rule]:
        """Register, as a decorator, one rule for several inputs, or for all of a variadic op: it returns a gradient for each.

        It may ask for what a rule may, but for ``in_shape`` and ``i``, and for ``needs``, whether the gradient in each input
        is wanted; ``in_shapes``, the shape of each, or None where it is not; ``parents``, their nodes. Where a gradient is not
        wanted it returns None.
        """


Rule = TypeVar("Rule", bound=Callable[..., Any])

Prepare: TypeAlias = Callable[..., Callable[[], Any] | None]

registry: dict[str, Op] = {}
numpy_ops: dict[Any, Callable[..., Any]] = {}

_namespace: dict[str, Any] = {}


class _Above:
    """What the core takes from above, once: ops that the backward walk itself applies to gradients."""

    broadcast_to: Callable[..., Any]
    copy: Callable[..., Any]
    laid_out: Callable[..., Any]
    sum_to: Callable[..., Any]


above = _Above()


def register_tensor(cls: type[Tensor], from_list: Callable[..., Any], **ops: Callable[..., Any]) -> None:
    """Tell ops which class wraps their results, how a list beside a Tensor becomes an array, and the ops of `above`."""
    vars(above).update(ops)
    operands.register(cls, from_list, numpy_ops[np.stack])
    _namespace["Tensor"] = cls
    for known in registry.values():
        known.globals["Tensor"] = cls


class Op:
    """An op's declaration: its definition in NumPy, its signature, the rules that pull gradients back, and its kernel."""

    def __init__(
        self,
        raw: Callable[..., Any],
        elementwise: bool = False,
        residuals: tuple[str, ...] = (),
        numpy: Any = None,
        in_place: bool = False,
        ufunc: np.ufunc | None = None,
        linear: tuple[str, ...] = (),
    ) -> None:
        self.raw = ufunc or raw
        self.numpy = ufunc or numpy
        self.name = raw.__name__
        self.elementwise = elementwise or ufunc is not None
        self.in_place = ufunc is not None  # whether `out` may be an input
        self.prepare: Prepare | None = None
        self.along: tuple[str, ...] = ()
        self.shares = False
        self.rules: dict[str, Callable[..., Any]] = {}  # by input; several may have one
        self.linear = linear
        self.forward_rules: dict[str, Callable[..., Any]] = {}
        given = inspect.signature(raw)
        parameters = given.parameters
        self.signature = declared(raw, given, residuals, ufunc, linear)
        self.globals: dict[str, Any] = {
            **_namespace,
            "__name__": raw.__module__,
            "_op": self,
            "_raw": self.raw,
            **{f"_default_{name}": p.default for name, p in parameters.items()},
        }
        function: Any = FunctionType(_build_and_call.__code__, self.globals, raw.__name__)
        functools.update_wrapper(function, raw)
        function.__signature__ = _by_position(given, self.signature)
        function.op, function.vjp, function.joint_vjp, function.jvp = self, self.vjp, self.joint_vjp, self.jvp
        self.function: Any = function
        self.pull: Callable[..., tuple[Any, ...]] = self._build_and_pull
        if OUT in parameters and ufunc is None:
            prepare = _into_out(raw)
            self.accelerate(prepare, (), in_place or elementwise)

    def __reduce__(self) -> Any:
        return _op_of, (self.function,)

    def __repr__(self) -> str:
        return f"<op {self.name}>"

    @property
    def source(self) -> str:
        """The Python that is written for this op."""
        return emit_call(self.signature) + "\n" + emit_pull(self.signature)

    @property
    def takes_out(self) -> bool:
        """Whether it can write its result into an array that it is given."""
        return self.prepare is not None or isinstance(self.raw, np.ufunc)

    def run(self, *inputs: Any, **params: Any) -> Any:
        """The output for arrays."""
        task = None if self.prepare is None else self.prepare(None, *inputs, **params)
        return self.raw(*inputs, **params) if task is None else task()

    def bind(self, out: np.ndarray, *inputs: Any, **params: Any) -> Callable[[], Any]:
        """A task that writes the output for arrays into `out`, each time that it is called."""
        if isinstance(self.raw, np.ufunc):
            return functools.partial(self.raw, *inputs, **params, out=out)
        task = None if self.prepare is None else self.prepare(out, *inputs, **params)
        return task or (lambda: np.copyto(out, self.raw(*inputs, **params)))

    def vjp(self, **rules: Callable[..., Any]) -> None:
        """Register rules (see :func:`op`). TypeError, naming the legal names, if one is ill-formed."""
        self._register({(served,): rule for served, rule in rules.items()}, joint=False)

    def joint_vjp(self, *inputs: str) -> Callable[[Rule], Rule]:
        """See :meth:`OpFunction.joint_vjp`. TypeError, naming the legal names, if the rule is ill-formed."""

        def register(rule: Rule) -> Rule:
            if len(inputs) < 2 and not self.signature.variadic:
                raise TypeError(f"{self.name}.joint_vjp: give the names of two inputs at least; for one there is vjp")
            self._register({inputs: rule}, joint=True)
            return rule

        return register

    def jvp(self, **rules: Callable[..., Any]) -> None:
        """See :meth:`OpFunction.jvp`. TypeError, naming the legal names, if a rule is ill-formed."""
        sig = self.signature
        if TANGENT in (*sig.saveable, *sig.params):
            raise TypeError(f"{sig.name}.jvp: `{TANGENT}` is the tangent in forward rules; rename what the op calls so")
        for served, rule in rules.items():
            if served not in self.rules:
                raise TypeError(f"{sig.name}.jvp: `{served}` has no backward rule; it has {', '.join(self.rules)}")
            legal = sig.legal_forward(served)
            unknown = [n for n in asked(rule) if n not in legal]
            if unknown:
                raise TypeError(
                    f"{sig.name}.jvp: the rule for `{served}` names {', '.join(f'`{n}`' for n in unknown)}; legal names are "
                    f"{', '.join(legal)}"
                )
        self.forward_rules.update(rules)
        vars(self).pop("tangents", None)

    @functools.cached_property
    def tangents(self) -> dict[str, tuple[Callable[..., Any], tuple[str | None, ...]]]:
        """The forward rules by input, declared or derived, and the names that each asks for: None for the tangent."""
        found: dict[str, tuple[Callable[..., Any], tuple[str | None, ...]]] = {}
        for name, rule in self.rules.items():
            if name in self.forward_rules:
                rule = self.forward_rules[name]
                found[name] = rule, tuple(None if n == TANGENT else n for n in asked(rule))
            elif self.elementwise and (name,) in self.signature.rules:
                found[name] = rule, tuple(None if n == COTANGENT else n for n in asked(rule))
            elif name in self.linear:
                found[name] = self._linear_rule(name)
        return found

    def _linear_rule(self, name: str) -> tuple[Callable[..., Any], tuple[str | None, ...]]:
        """The op itself, with the tangent in the place of an input. Inputs that the backward rule needs not are left out."""
        sig = self.signature
        given = [*(n for n in sig.inputs if n != name and n in sig.asked_for(name)), *sig.params]
        function = self.function

        def rule(t: Any, *values: Any) -> Any:
            return function(**{name: t}, **dict(zip(given, values, strict=True)))

        return rule, (None, *given)

    def accelerate(self, prepare: Prepare, along: tuple[str, ...], in_place: bool) -> None:
        """See :func:`accelerate`."""
        self.prepare, self.along, self.in_place = prepare, along, in_place
        self.shares = "shared" in asked(prepare)
        self.signature.accelerated = True
        self.globals["_prepare"] = prepare
        self._forget()

    def _register(self, rules: dict[tuple[str, ...], Callable[..., Any]], joint: bool) -> None:
        sig = self.signature
        kind = "joint_vjp" if joint else "vjp"
        for inputs, rule in rules.items():
            for served in inputs:
                if served not in sig.inputs:
                    raise TypeError(
                        f"{sig.name}.{kind}: `{served}` is not an input; the inputs are {', '.join(sig.inputs)}"
                    )
            legal = sig.legal(joint)
            unknown = [n for n in asked(rule) if n not in legal]
            if unknown:
                raise TypeError(
                    f"{sig.name}.{kind}: the rule for {', '.join(f'`{n}`' for n in inputs)} names "
                    f"{', '.join(f'`{n}`' for n in unknown)}; legal names are {', '.join(legal)}"
                )
        for inputs, rule in rules.items():
            self.rules.update(dict.fromkeys(inputs, rule))
            self.globals[rule_name(inputs)] = rule
            sig.rules = {known: names for known, names in sig.rules.items() if set(known).isdisjoint(inputs)}
            sig.rules[inputs] = asked(rule)
        self.rules = {n: self.rules[n] for n in sig.served}
        sig.joins = joint and sig.variadic
        self._forget()

    def _forget(self) -> None:
        """What is written for the op depends on its declaration, rules and kernel; it is written when it is first called."""
        self.function.__code__ = _build_and_call.__code__
        self.pull = self._build_and_pull
        vars(self).pop("tangents", None)

    def build(self) -> Any:
        """The public function, written if it is not."""
        with _building:
            if self.function.__code__ is _build_and_call.__code__:
                made = self._compile(emit_call(self.signature))
                self.function.__defaults__, self.function.__kwdefaults__ = made.__defaults__, made.__kwdefaults__
                self.function.__code__ = made.__code__
        return self.function

    def _build_and_pull(self, *args: Any) -> tuple[Any, ...]:
        self.pull = self._compile(emit_pull(self.signature))
        return self.pull(*args)

    def revive(self, node: Node) -> tuple[Any, ...]:
        """What `node` saved, with differentiable inputs and output as Tensors that stand where they stood in the graph."""
        assert node.saved is not None
        assert node.parents is not None
        sig, tensor_of = self.signature, self.globals["Tensor"]._of

        if sig.variadic:
            places: dict[str, Any] = {sig.inputs[0]: node.parents}
        else:
            places = dict(zip(sig.served, node.parents, strict=True))
        places[OUTPUT] = node
        return tuple(
            _place(value, places[n], tensor_of) if n in places else value
            for n, value in zip(sig.saved, node.saved, strict=True)
        )

    def _compile(self, source: str) -> Any:
        filename = f"<{self.name}: {'call' if source.startswith(f'def {self.name}(') else 'pull'}>"
        linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
        scope: dict[str, Any] = {}
        exec(compile(source, filename, "exec"), self.globals, scope)
        return scope.popitem()[1]


_building = RLock()


def _build_and_call(*args: Any, **kwargs: Any) -> Any:
    """What the function of an op does until it has been written: write it, and call it."""
    return _op.build()(*args, **kwargs)  # type: ignore[name-defined]  # noqa: F821


def _by_position(given: inspect.Signature, sig: Signature) -> inspect.Signature:
    """The signature of the function of an op, which takes parameters by position as well, and a sequence if it is variadic."""
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    keyword = sig.required and sig.optional
    found = [
        p.replace(annotation=p.empty, kind=p.kind if keyword and p.kind is p.KEYWORD_ONLY else kind)
        for name, p in given.parameters.items()
        if name != OUT
    ]
    found.sort(key=lambda p: (p.kind, p.default is not p.empty))
    return inspect.Signature(found)


def _into_out(raw: Callable[..., Any]) -> Prepare:
    """The kernel of an op whose definition has a keyword `out`."""

    def prepare(out: np.ndarray | None, *inputs: Any, **params: Any) -> Callable[[], Any] | None:
        return None if out is None else functools.partial(raw, *inputs, **params, out=out)

    return prepare


def _place(value: Any, at: Any, tensor_of: Callable[..., Any]) -> Any:
    """`value` as a Tensor at its place in the graph. A local function that calls itself would be a reference cycle."""
    if isinstance(at, tuple):
        return tuple(_place(v, a, tensor_of) for v, a in zip(value, at, strict=True))
    return tensor_of(value, at) if isinstance(value, np.ndarray) else value


def _op_of(function: Any) -> Op:
    return function.op  # type: ignore[no-any-return]


@overload
def op(raw: Callable[Concatenate[Any, P], Any], /) -> OpFunction[P]: ...
@overload
def op(
    *,
    elementwise: bool = False,
    residuals: Sequence[str] = (),
    numpy: Any = None,
    in_place: bool = False,
    ufunc: np.ufunc | None = None,
    linear: Sequence[str] = (),
) -> Callable[[Callable[Concatenate[Any, P], Any]], OpFunction[P]]: ...
def op(
    raw: Any = None,
    /,
    *,
    elementwise: bool = False,
    residuals: Sequence[str] = (),
    numpy: Any = None,
    in_place: bool = False,
    ufunc: np.ufunc | None = None,
    linear: Sequence[str] = (),
) -> Any:
    """Make a function on ndarrays into an op that is recorded when it meets a Tensor.

    Array inputs are positional, parameters keyword-only. A keyword ``out=None`` is no parameter: it says that `raw` can
    write its result into an array of the result's shape, dtype and memory order. For an elementwise op, and one that is
    declared `in_place`, that may be one of the inputs: no element of an input is to be read once it has been written in `out`.

    Give the gradients with ``.vjp(input=rule, ...)``; a rule's parameter names say what it needs: ``g`` the incoming
    gradient, ``y`` the output, ``in_shape`` the shape of the input it serves, any input, parameter or residual, and in a
    variadic op ``i``, the position of the input it serves. Gradients that share work are given by one rule:
    ``@f.joint_vjp("a", "b")``. An input without a rule cannot require a gradient; an op without rules gives constants.

    Args:
        elementwise: inputs broadcast, so a gradient is summed back to its input's shape.
        residuals: names for what `raw` returns after its output, kept for the rules (max-pool's argmax).
        numpy: the NumPy function that this op stands for when a Tensor is passed to NumPy.
        in_place: `out` may be an input, as it may be for every elementwise op.
        ufunc: NumPy's function that this elementwise op is, and stands for: it is what runs, and the function below the
            decorator only names it and its inputs.
        linear: inputs in each of which the op is linear while the others stay as they are: forward mode calls the op itself on
            a tangent.

    Raises:
        TypeError: at declaration, if a name is reserved, a rule asks for a name that does not exist, or the inputs are not
            as many as those of `ufunc`.

    >>> import numpy as np, tinygrad_cnn as tg
    >>> @tg.op(elementwise=True)
    ... def cube(a):
    ...     return a * a * a
    >>> cube.vjp(a=lambda g, a: 3 * g * a * a)
    >>> x = tg.Tensor(2.0, requires_grad=True)
    >>> cube(x).backward()
    >>> x.grad.item()
    12.0
    """

    def declare(raw: Callable[..., Any]) -> Any:
        made = Op(raw, elementwise, tuple(residuals), numpy, in_place, ufunc, tuple(linear))
        registry[f"{raw.__module__}.{raw.__qualname__}"] = made
        if made.numpy is not None:
            numpy_ops[made.numpy] = made.function
        return made.function

    return declare if raw is None else declare(raw)


def accelerate(function: Any, prepare: Prepare, *, along: Sequence[str] = (), in_place: bool = False) -> None:
    """Attach a kernel to an op: ``prepare(out, *inputs, **params)`` returns a task that computes what the definition does.

    A task is a function without arguments that returns the result. Eager calls give ``out=None``, for a new array, and run the
    task once. A compiled program gives an array of the result's shape, dtype and memory order, and runs the task in each
    replay, on the same memory. ``prepare`` returns None where the definition is good enough.

    Args:
        function: what ``@op`` returned.
        prepare: the kernel. If it has a parameter ``shared``, a program also gives it a dictionary, the same for all that is
            prepared with the same first input: what one task works out of that input, those after it need not.
        along: the inputs, and ``y``, whose first axis counts the same images, where a task may touch the images one by one.
        in_place: whether `out` may be an input. Elementwise kernels must allow it.
    """
    unknown = [repr(n) for n in along if n not in (*function.op.signature.inputs, OUTPUT)]
    if unknown:
        legal = ", ".join((*function.op.signature.inputs, OUTPUT))
        raise TypeError(f"accelerate: `along` names {', '.join(unknown)}; legal names of {function.op} are {legal}")
    function.op.accelerate(prepare, tuple(along), in_place or function.op.elementwise)


F = TypeVar("F", bound=Callable[..., Any])


def implements(*numpy_functions: Any) -> Callable[[F], F]:
    """Declare that a function composed of ops stands for these NumPy functions when they are given a Tensor."""

    def declare(function: F) -> F:
        numpy_ops.update(dict.fromkeys(numpy_functions, function))
        return function

    return declare


def _explain(op: Op, error: Exception, inputs: Sequence[Any]) -> Exception:
    """The same error in terms of the op: its name, and each input with dtype and shape."""
    tracer().impure(f"goes on after an error of `{op.name}`, which depends on values")
    text = str(error)
    speaker, _, rest = text.partition(": ")
    if speaker == op.name or (
        speaker.isidentifier() and "`" in rest
    ):  # the function that called the op may speak for it
        return error
    sig = op.signature
    names = [f"{sig.inputs[0]}[{i}]" for i in range(len(inputs))] if sig.variadic else sig.inputs
    shown = ", ".join(
        f"`{name}` is {value.dtype} {value.shape}" if isinstance(value, np.ndarray) else f"`{name}` is {value!r:.60}"
        for name, value in zip(names, inputs, strict=True)
    )
    if "broadcast" in text and op.elementwise:
        text = "shapes do not broadcast: from the right, sizes must be equal or 1; reshape or expand_dims one input"
    if "not supported for the input types" in text:
        text = "the op has no meaning for these dtypes; convert an input with astype, or compare it first, as in x != 0"
    kind = next(k for k in (IndexError, TypeError, ValueError) if isinstance(error, k))
    return kind(f"{op.name}: {text} ({shown})")


def _refuse(op: Op, name: str) -> None:
    raise TypeError(f"{op.name}: `{name}` requires a gradient but {op.name} has none for it; pass `{name}.detach()`")


_namespace.update(
    _Node=Node, _new=object.__new__, _ndarray=np.ndarray, _asarray=np.asarray, _count=tick, _recording=_recording.get,
    _watchers=watchers, _notify=notify, _adapt=adapt, _gather=operands.gather,
    _FINE=operands.FINE, _NUMBERS=operands.NUMBERS, _explain=_explain, _refuse=_refuse,
)  # fmt: skip
