"""Ops: the ``@op`` decorator.

An op is a plain NumPy function plus one gradient rule per differentiable input. Called with arrays it *is* that
function. Called with a Tensor it also records a node (see ``node.py``): the op, the nodes of its inputs, the values that
the rules will need, and its parameters. Reverse-mode differentiation walks these nodes (see ``backward.py``).
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from threading import RLock
from types import FunctionType
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Protocol, TypeAlias, TypeVar, overload

import numpy as np

from ..generated import become, build_and_call, head, made
from . import codegen, operands
from .acceleration import Accelerated, into_out
from .codegen import rule_name
from .errors import explain, lacking, miscounted, real_only, refuse
from .grad_mode import _recording
from .node import Node
from .registry import implements as implements
from .registry import namespace, numpy_ops, registry
from .signature import BY_NAME, BY_POSITION, OUT, OUTPUT, TANGENT, Signature, asked, check_names, declared
from .tracing import tracer, watchers
from .versions import tick

if TYPE_CHECKING:
    from ..tensor import Tensor as Tensor
else:
    Tensor = Any  # ops name it in annotations but must not import it

Array: TypeAlias = Any
"""An ndarray or a Tensor. Rules are written once for both, which a type checker cannot express."""

P = ParamSpec("P")
T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])


class OpFunction(Protocol[P]):
    """What ``@op`` returns: a function of arrays or Tensors, usable as a method, that carries its :class:`Op`."""

    op: Op

    @overload
    def __call__(self, first: Any, /, *args: P.args, **kwargs: P.kwargs) -> Tensor: ...
    @overload  # parameters by position
    def __call__(self, first: Any, second: Any, /, *args: Any, **kwargs: Any) -> Tensor: ...
    def __get__(self, instance: Any, owner: Any = None) -> Callable[P, Tensor]: ...
    def vjp(self, **rules: Callable[..., Any]) -> None:
        """Register the gradient rules, one per differentiable input, named by the input."""

    def jvp(self, **rules: Callable[..., Any]) -> None:
        """Register forward rules, named by the input: each gives dy for the tangent ``t`` of that input.

        A forward rule may ask for ``t``, parameters, ``out_shape``, and those of the inputs, residuals and ``y`` that the
        backward rule of that input asks for. A variadic op has one forward rule; its ``t`` is a tuple with a tangent or None
        for each input. Forward rules are optional: elementwise and `linear` ops have them, others use backward rules
        (:mod:`tinygrad_cnn.transforms.forward`).
        """

    def joint_vjp(self, *inputs: str) -> Callable[[Rule], Rule]:
        """Register, as a decorator, one rule for several inputs, or for all of a variadic op: it returns a gradient for each.

        It may ask for the same names as a rule, except ``in_shape`` and ``i``, and for three more: ``needs``, whether the
        gradient of each input is wanted; ``in_shapes``, the shape of each input, or None if not wanted; ``parents``, their
        nodes. It returns None for a gradient that is not wanted.
        """


Rule = TypeVar("Rule", bound=Callable[..., Any])


class Op(Accelerated):
    """An op's declaration: its definition in NumPy, its signature, its gradient rules and its kernel.

    The keywords are those of :func:`op`, which registers the op, too.
    """

    def __init__(
        self, raw: Callable[..., Any], *, ufunc: np.ufunc | None = None, elementwise: bool = False, in_place: bool = False,
        **declaration: Any,
    ) -> None:  # fmt: skip
        self.raw = ufunc or raw
        self.name = raw.__name__
        self.elementwise = elementwise or ufunc is not None
        self.in_place = ufunc is not None  # whether `out` may be an input
        self.rules: dict[str, Callable[..., Any]] = {}  # by input; a joint rule serves several
        self.forward_rules: dict[str, Callable[..., Any]] = {}
        self.signature = declared(raw, ufunc, **declaration)
        self.globals: dict[str, Any] = {
            **namespace,
            "__name__": raw.__module__,
            "_op": self,
            "_raw": self.raw,
            "_build": self.build,
        }
        function: Any = FunctionType(build_and_call.__code__, self.globals, raw.__name__)
        functools.update_wrapper(function, raw)
        function.__signature__ = _by_position(self.signature)
        function.op, function.vjp, function.joint_vjp, function.jvp = self, self.vjp, self.joint_vjp, self.jvp
        self.function: Any = function
        self.pull: Callable[..., tuple[Any, ...]] = self._build_and_pull
        self.adds: Callable[..., bool] | None = None  # of an op that takes a part of its input: see `_Walk.adds`
        if ufunc is None and OUT in [p.name for p in self.signature.given]:
            self.accelerate(into_out(raw), (), in_place or elementwise)

    def __reduce__(self) -> Any:
        return _op_of, (self.function,)

    def __repr__(self) -> str:
        return f"<op {self.name}>"

    @property
    def source(self) -> str:
        """The Python source generated for this op."""
        return self._call_source() + "\n" + codegen.emit_pull(self.signature)

    def _call_source(self) -> str:
        given = inspect.signature(self.function).parameters
        return codegen.emit_call(self.signature, head(self.name, given.values(), self.globals))

    def vjp(self, *unnamed: Any, **rules: Callable[..., Any]) -> None:
        """Register rules (see :func:`op`). TypeError, naming the legal names, if one is ill-formed."""
        if unnamed or not rules:
            raise TypeError(
                f"{self.name}.vjp: name the input of each rule: {self.name}.vjp({self.signature.inputs[0]}=...)"
            )
        self._register({(served,): rule for served, rule in rules.items()}, joint=False)

    def joint_vjp(self, *inputs: str) -> Callable[[Rule], Rule]:
        """See :meth:`OpFunction.joint_vjp`. TypeError, naming the legal names, if the rule is ill-formed."""
        if not inputs or not all(isinstance(name, str) for name in inputs):
            names = ", ".join(map(repr, self.signature.inputs))
            raise TypeError(
                f"{self.name}.joint_vjp: name the inputs that the rule serves: @{self.name}.joint_vjp({names})"
            )

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
            raise TypeError(f"{sig.name}.jvp: `{TANGENT}` is the tangent in forward rules; rename that name of the op")
        for served, rule in rules.items():
            if served not in self.rules:
                raise TypeError(f"{sig.name}.jvp: `{served}` has no backward rule; it has {', '.join(self.rules)}")
            check_names(f"{sig.name}.jvp", (served,), rule, sig.legal_forward(served))
        self.forward_rules.update(rules)

    def compose(self, function: F) -> F:
        """Let `function`, composed of ops, compute the calls with a keyword that was declared as `composed`."""
        self.globals["_composed"] = function
        return function

    def _register(self, rules: dict[tuple[str, ...], Callable[..., Any]], joint: bool) -> None:
        sig = self.signature
        kind = "joint_vjp" if joint else "vjp"
        if not sig.differentiable:
            raise TypeError(
                f"{sig.name}.{kind}: {sig.name} is declared with differentiable=False, which rules contradict"
            )
        for inputs, rule in rules.items():
            for served in inputs:
                if served not in sig.inputs:
                    raise TypeError(
                        f"{sig.name}.{kind}: `{served}` is not an input; the inputs are {', '.join(sig.inputs)}"
                    )
            check_names(f"{sig.name}.{kind}", inputs, rule, sig.legal(joint))
        for inputs, rule in rules.items():
            self.rules.update(dict.fromkeys(inputs, rule))
            self.globals[rule_name(inputs)] = rule
            sig.add_rule(inputs, asked(rule))
        self.rules = {n: self.rules[n] for n in sig.served}
        sig.joins = joint and sig.variadic
        self.forget()

    def forget(self) -> None:
        """Drop the generated code, which depends on the declaration, rules and kernel; the next call generates it again."""
        self.function.__code__ = build_and_call.__code__
        self.pull = self._build_and_pull

    def build(self) -> Any:
        """The public function, generated on first use."""
        with _building:
            if self.function.__code__ is build_and_call.__code__:
                become(self.function, self._made("call", self._call_source()))
        return self.function

    def _build_and_pull(self, *args: Any) -> tuple[Any, ...]:
        self.pull = self._made("pull", codegen.emit_pull(self.signature))
        return self.pull(*args)

    def _made(self, kind: str, source: str) -> Any:
        return made(f"<{self.name}: {kind}>", source, self.globals)

    def saved_tensors(self, node: Node) -> tuple[Any, ...]:
        """The saved values of `node`, with differentiable inputs and the output as Tensors at their places in the graph."""
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


_building = RLock()


def _by_position(sig: Signature) -> inspect.Signature:
    """The signature of an op's public function: parameters by position too, and one sequence for a variadic op."""
    by_name = sig.required and sig.optional
    found = []
    for p in sig.given:
        keeps = p.kind is BY_POSITION or p.name in sig.composed or (by_name and p.kind is BY_NAME)
        if p.name != OUT:
            found.append(p if keeps else inspect.Parameter(p.name, BY_POSITION, default=p.default))
    found.sort(key=lambda p: (p.kind, p.default is not p.empty))
    return inspect.Signature(found)


def _place(value: Any, at: Any, tensor_of: Callable[..., Any]) -> Any:
    """`value` as a Tensor at its place in the graph. Not a nested function: a recursive closure is a reference cycle."""
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
    composed: Sequence[str] = (),
    differentiable: bool = True,
    complex: bool = False,
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
    composed: Sequence[str] = (),
    differentiable: bool = True,
    complex: bool = False,
) -> Any:
    """Make a function on ndarrays into an op, which is recorded when it is called with a Tensor.

    Array inputs are positional, parameters keyword-only. A keyword ``out=None`` is not a parameter: it says that `raw` can
    write its result into an array of the result's shape, dtype and memory order. For an elementwise op, or one declared
    `in_place`, `out` may be one of the inputs: `raw` must not read an input element after writing that element of `out`.

    Give the gradients with ``.vjp(input=rule, ...)``. A rule's parameter names say what it needs: ``g`` the incoming
    gradient, ``y`` the output, ``in_shape`` the shape of the input it serves, any input, parameter or residual, and in a
    variadic op ``i``, the position of the input it serves. Gradients that share work are given by one rule:
    ``@f.joint_vjp("a", "b")``. An input without a rule cannot require a gradient. Without any rule, a floating-point result
    raises in backward, unless the op is declared not to be `differentiable`: its results are then constants.

    Args:
        elementwise: inputs broadcast, so a gradient is summed back to its input's shape.
        residuals: names for extra values that `raw` returns after its output, kept for the rules (max-pool's argmax).
        numpy: the NumPy function for which NumPy calls this op when it is given a Tensor.
        in_place: `out` may be an input; always true for elementwise ops.
        ufunc: the NumPy ufunc that defines this elementwise op. The ufunc runs; the decorated function gives only the
            names of the op and its inputs.
        linear: inputs in which the op is linear while the others are fixed: forward mode calls the op itself on their
            tangents.
        composed: keywords, None by default, of calls that ``f.op.compose(function)`` computes instead of the op: the function
            is given them, and the op's inputs and parameters. They are not parameters of the op.
        differentiable: False for an op that has no gradient by intention, such as a draw or a step function. It has no rules,
            and its results require no gradient.
        complex: the rules hold for complex inputs, too. The rule of a holomorphic function does as it stands, since the
            gradient of a real f in z = x + i y is df/dx - i df/dy. Without it, a gradient in a complex input is an error.

    Raises:
        TypeError: at declaration, if a name is reserved, a rule asks for a name that does not exist, or the number of
            inputs differs from that of `ufunc`.

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
        if not callable(raw) or not hasattr(raw, "__code__"):
            raise TypeError(
                f"op: it is given {raw!r:.60}; it must be a function, defined by `def`; options are given by name"
            )
        made = Op(
            raw, ufunc=ufunc, elementwise=elementwise, in_place=in_place, residuals=tuple(residuals), linear=tuple(linear),
            composed=tuple(composed), differentiable=differentiable, complex=complex,
        )  # fmt: skip
        registry[f"{raw.__module__}.{raw.__qualname__}"] = made
        if replaced := ufunc or numpy:
            numpy_ops[replaced] = made.function
        return made.function

    return declare if raw is None else declare(raw)


namespace.update(
    _Node=Node, _new=object.__new__, _ndarray=np.ndarray, _count=tick, _recording=_recording.get,
    _watchers=watchers, _tracer=tracer, _FINE=operands.FINE, _PLAIN=operands.PLAIN, _NUMBERS=operands.NUMBERS,
    _EXPECTED=operands.PLAIN, _operand=operands.operand, _operands=operands.operands, _inside=operands.call_with_lists,
    _output=operands.output, _explain=explain, _refuse=refuse, _lacking=lacking, _miscounted=miscounted, _real_only=real_only,
)  # fmt: skip
