"""The computation graph: nodes, and the ``@op`` decorator.

An op is a plain NumPy function plus one gradient rule per differentiable input. Called with arrays it *is* that
function. Called with a Tensor it also leaves a :class:`Node` behind: the op, the nodes of its inputs, the values that
the rules will need, and its parameters. Reverse-mode differentiation is then a walk over nodes (see ``autograd.py``).
"""

from __future__ import annotations

import inspect
import linecache
import weakref
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Protocol, TypeAlias, TypeVar, overload

import numpy as np

from . import operands
from .codegen import IN_SHAPE, OUT, OUTPUT, TAKEN, TAKEN_FORM, emit_call, emit_pull
from .grad_mode import _recording
from .operands import adapt
from .signature import declared
from .tracing import notify, tracer, watchers
from .versions import tick

if TYPE_CHECKING:
    from ..kernels.parallel.task import Work
    from ..tensor import Tensor

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

    def common(self, **parts: Callable[..., Any]) -> None:
        """Register what several rules need, to be computed once for all of them: a rule asks for it by the name it has here.

        Where the gradient of only one of them is wanted it is None, and the rule does what it can do better alone. What a part
        asks for is kept only where it is computed. It may ask for what a rule may, but for ``in_shape`` and other parts; and
        for ``a_shape``, the shape of input `a`, or None if no gradient in it is wanted. Register parts before the rules.
        """

    def bind(self, binder: Callable[..., Any]) -> Callable[..., Any]:
        """Register, as a decorator, how the op is prepared for being called again and again on the same memory.

        ``binder(*inputs, out, **params)`` is given what the raw function is given, and returns a function without arguments
        that does the same, with checks made and views arranged, or None where nothing is gained. Where it would be work for
        several threads, it may be given as such (``kernels/work.py``), to be done together with that of other ops. If it has a
        parameter ``shared``, it is also given a dictionary, the same for all that is prepared in a program with the same first
        input: what one call works out of that input, those after it need not.
        """


Binder: TypeAlias = "Callable[..., Work | Callable[[], object] | None]"

registry: dict[str, Op] = {}
numpy_ops: dict[Any, Callable[..., Any]] = {}

_namespace: dict[str, Any] = {}


class _Above:
    """What the core takes from above, once: ops that the backward walk itself applies to gradients."""

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
    """An op's declaration: its raw NumPy function, its signature, and the rules that pull gradients back."""

    def __init__(
        self,
        raw: Callable[..., Any],
        elementwise: bool,
        residuals: tuple[str, ...],
        numpy: Any = None,
        in_place: bool = False,
        ufunc: np.ufunc | None = None,
        batched: tuple[str, ...] = (),
    ) -> None:
        self.raw = ufunc or raw
        self.numpy = ufunc or numpy
        self.name = raw.__name__
        self.elementwise = elementwise or ufunc is not None
        self.in_place = in_place or self.elementwise
        self.takes_out = ufunc is not None or OUT in inspect.signature(raw).parameters
        self.batched = batched
        self.binder: Binder | None = None
        self.binder_shares = False
        self.rules: dict[str, Callable[..., Any]] = {}
        self.signature = declared(raw, residuals, ufunc, batched)
        self.globals: dict[str, Any] = {
            **_namespace,
            "__name__": raw.__module__,
            "_op": self,
            "_raw": self.raw,
            **{f"_default_{p.name}": p.default for p in inspect.signature(raw).parameters.values()},
        }
        self.function: Any = self._compile(emit_call(self.signature))
        self.function.__doc__ = raw.__doc__
        self.function.__module__ = raw.__module__
        self.function.__qualname__ = raw.__qualname__
        self.function.op = self
        self.function.vjp = self.vjp
        self.function.common = self.common
        self.function.bind = self.bind
        self.pull: Callable[..., tuple[Any, ...]] = self._compile(emit_pull(self.signature))

    def __reduce__(self) -> Any:
        return _op_of, (self.function,)

    def __repr__(self) -> str:
        return f"<op {self.name}>"

    @property
    def source(self) -> str:
        """The Python that was written for this op."""
        return emit_call(self.signature) + "\n" + emit_pull(self.signature)

    def vjp(self, **rules: Callable[..., Any]) -> None:
        """Register rules (see :func:`op`). TypeError, naming the legal names, if one is ill-formed."""
        asked = {served: self._names(served, rule) for served, rule in rules.items()}
        self.rules.update(rules)
        self.signature.rules = {
            n: asked.get(n, self.signature.rules.get(n, ())) for n in self.signature.inputs if n in self.rules
        }
        self.globals.update({f"_rule_{served}": rule for served, rule in rules.items()})
        self.function.__code__ = self._compile(emit_call(self.signature)).__code__
        self.pull = self._compile(emit_pull(self.signature))

    def common(self, **parts: Callable[..., Any]) -> None:
        """See :meth:`OpFunction.common`. TypeError, naming the legal names, if a part is ill-formed."""
        sig = self.signature
        legal = (*(n for n in sig.legal(sig.inputs[0]) if n not in (IN_SHAPE, *sig.common)), *sig.shapes)
        clash = [n for n in parts if n in (*legal, IN_SHAPE, OUT) or n in TAKEN or TAKEN_FORM.search(n)]
        if clash or sig.variadic:
            fault = "is variadic, and has but one rule" if sig.variadic else f"has {', '.join(clash)}; rename the part"
            raise TypeError(f"{sig.name}.common: {sig.name} {fault}")
        sig.common = {**sig.common, **{n: self._legal(f"common: `{n}`", part, legal) for n, part in parts.items()}}
        self.globals.update({f"_common_{name}": part for name, part in parts.items()})

    def bind(self, binder: Binder) -> Binder:
        """See :meth:`OpFunction.bind`."""
        self.binder = binder
        self.binder_shares = "shared" in inspect.signature(binder).parameters
        return binder

    def revive(self, node: Node) -> tuple[Any, ...]:
        """What `node` saved, with differentiable inputs and output as Tensors that stand where they stood in the graph."""
        assert node.saved is not None
        assert node.parents is not None
        sig, tensor_of = self.signature, self.globals["Tensor"]._of

        if sig.variadic:
            places: dict[str, Any] = {sig.inputs[0]: node.parents}
        else:
            places = dict(zip([n for n in sig.inputs if n in sig.rules], node.parents, strict=True))
        places[OUTPUT] = node
        return tuple(
            _place(value, places[n], tensor_of) if n in places else value
            for n, value in zip(sig.saved, node.saved, strict=True)
        )

    def _names(self, served: str, rule: Callable[..., Any]) -> tuple[str, ...]:
        sig = self.signature
        if served not in sig.inputs:
            raise TypeError(f"{sig.name}.vjp: `{served}` is not an input; the inputs are {', '.join(sig.inputs)}")
        return self._legal(f"vjp: the rule for `{served}`", rule, sig.legal(served))

    def _legal(self, what: str, rule: Callable[..., Any], legal: tuple[str, ...]) -> tuple[str, ...]:
        """The names that a rule asks for. TypeError if one of them is not `legal`."""
        names = tuple(inspect.signature(rule).parameters)
        unknown = [n for n in names if n not in legal]
        if unknown:
            raise TypeError(
                f"{self.signature.name}.{what} names {', '.join(f'`{n}`' for n in unknown)}; legal names are "
                f"{', '.join(legal)}"
            )
        return names

    def _compile(self, source: str) -> Any:
        filename = f"<{self.name}: {'call' if source.startswith(f'def {self.name}(') else 'pull'}>"
        linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
        scope: dict[str, Any] = {}
        exec(compile(source, filename, "exec"), self.globals, scope)
        return scope.popitem()[1]


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
    batched: Sequence[str] = (),
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
    batched: Sequence[str] = (),
) -> Any:
    """Make a function on ndarrays into an op that is recorded when it meets a Tensor.

    Array inputs are positional, parameters keyword-only. A keyword ``out=None`` is no parameter: it says that `raw` can
    write its result into an array of the result's shape, dtype and memory order. For an elementwise op, and one that is
    declared `in_place`, that may be one of the inputs: no element of an input is to be read once it has been written in `out`.

    Give the gradients with ``.vjp(input=rule, ...)``; a rule's parameter names say what it needs: ``g`` the incoming
    gradient, ``y`` the output, ``in_shape`` the shape of the input it serves, any input, parameter or residual, and in a
    variadic op ``i``, the position of the input it serves. An input without a rule cannot require a gradient; an op
    without rules gives constants.

    Args:
        elementwise: inputs broadcast, so a gradient is summed back to its input's shape.
        residuals: names for what `raw` returns after its output, kept for the rules (max-pool's argmax).
        numpy: the NumPy function that this op stands for when a Tensor is passed to NumPy.
        in_place: `out` may be an input, as it may be for every elementwise op.
        ufunc: NumPy's function that this elementwise op is, and stands for: it is what runs, and the function below the
            decorator only names it and its inputs.
        batched: the inputs, and ``y``, whose first axis counts the same images (or rows), where the op is prepared as work of
            which each part touches some of them alone; see ``kernels/work.py``.

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
        made = Op(raw, elementwise, tuple(residuals), numpy, in_place, ufunc, tuple(batched))
        registry[f"{raw.__module__}.{raw.__qualname__}"] = made
        if made.numpy is not None:
            numpy_ops[made.numpy] = made.function
        return made.function

    return declare if raw is None else declare(raw)


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
