"""The table's form: a function that reads an ONNX operator, and one that writes an op, are registered side by side.

A reader is a function of the operator's inputs, in their order, with its attributes as keywords under ONNX's names. An input
that was an attribute in an older opset stands among the inputs: it is passed by keyword then. The annotation of an input says
what a constant there is: `Weight` a parameter, `Statistic` a buffer, `Structural` a part of the graph such as a shape. Without
such an annotation, that depends on the size of the constant. A reader may ask for ``opset``, for ``outputs``, the number of
outputs that are wanted, and for ``training``, the module's mode.

A writer is a function of a :class:`~.write.Writer` and the op's inputs, with its parameters as keywords. It
may ask for ``out``, the value it is to make.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, TypeAlias, TypeVar

import numpy as np

from ....core.graph import Array, Op, op
from ....scope import Scoped
from ..errors import OnnxError

Weight: TypeAlias = Any
Statistic: TypeAlias = Any
Structural: TypeAlias = Any
F = TypeVar("F", bound=Callable[..., Any])

CONTEXT = ("opset", "outputs", "training")
ROLES = ("Weight", "Statistic", "Structural")
LARGEST = 1 << 31
"""The most elements of an operator's output. A file can ask for any number in a few bytes."""


class Reader(NamedTuple):
    """A row of the table, from ONNX."""

    function: Callable[..., Any]
    inputs: tuple[str, ...]  # positional
    variadic: bool
    keywords: frozenset[str]  # attributes, among them inputs that were attributes
    context: frozenset[str]
    roles: tuple[str, ...]  # of the inputs: one of ROLES, or ""
    required: int  # inputs
    needed: frozenset[str] = frozenset()  # attributes without a default


class Writer(NamedTuple):
    """A row of the table, to ONNX."""

    function: Callable[..., Any]
    wants_out: bool
    ignored: frozenset[str]  # inputs that the reader ignores
    varies: bool  # whether parameters may differ with the sizes of dynamic axes


READERS: dict[str, Reader] = {}
"""By ONNX operator."""

WRITERS: dict[Any, Writer] = {}
"""By op; and by function, for :func:`discrete`."""


def reads(*operators: str) -> Callable[[F], F]:
    """Register a function as the reader of these ONNX operators."""

    def register(function: F) -> F:
        parameters = list(inspect.signature(function).parameters.values())
        inputs = [p for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
        variadic = [p for p in parameters if p.kind is p.VAR_POSITIONAL]
        names = {p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
        roles = tuple(str(p.annotation) if str(p.annotation) in ROLES else "" for p in (inputs or variadic))
        row = Reader(
            function,
            tuple(p.name for p in inputs),
            bool(variadic),
            frozenset(names - set(CONTEXT)),
            frozenset(names & set(CONTEXT)),
            roles,
            sum(p.default is p.empty for p in inputs),
            frozenset(p.name for p in parameters if p.kind is p.KEYWORD_ONLY and p.default is p.empty) - {"training"},
        )
        READERS.update(dict.fromkeys(operators, row))
        return function

    return register


def writes(*ops: Any, ignored: Iterable[str] = (), varies: bool = False) -> Callable[[F], F]:
    """Register a function as the writer of these ops (or functions of :func:`discrete`)."""

    def register(function: F) -> F:
        row = Writer(function, "out" in inspect.signature(function).parameters, frozenset(ignored), varies)
        WRITERS.update(dict.fromkeys((key(f) for f in ops), row))
        return function

    return register


def key(function: Any) -> Any:
    """The key of a writer's function."""
    return getattr(function, "op", getattr(function, "raw", function))


def pair(operator: str, function: Any, **attributes: Any) -> None:
    """Register an op and an ONNX operator that are the same, without attributes."""

    def read(*inputs: Array) -> Array:
        return function(*inputs)

    def write(w: Any, *inputs: Any, out: Any) -> Any:
        return w.node(operator, *inputs, **attributes)

    count = len(function.op.signature.inputs)
    row = Reader(function, tuple(function.op.signature.inputs), False, frozenset(), frozenset(), ("",) * count, count)
    READERS.setdefault(operator, row)
    writes(function)(write)


@op(differentiable=False)
def discrete(*arrays: Array, function: Callable[..., Any]) -> Array:
    """y = function(*arrays), a NumPy function without a gradient, for operators on integers and bits, among others."""
    return function(*arrays)


def flat(function: F) -> F:
    """A NumPy function that is called on Tensors as :func:`discrete`."""

    def call(*arrays: Any) -> Any:
        return discrete(arrays, function=function)

    call.__name__, call.__doc__ = function.__name__, function.__doc__
    call.raw = function  # type: ignore[attr-defined]
    return call  # type: ignore[return-value]


def values(x: Any) -> np.ndarray:
    """The values of an array or Tensor, for an input that determines shapes."""
    return np.asarray(x.numpy() if hasattr(x, "_node") else x)


def integers(x: Any) -> tuple[int, ...]:
    """A 1-D input of integers, or an attribute, as a tuple."""
    return x if x.__class__ is tuple else tuple(values(x).reshape(-1).tolist())


def number(x: Any) -> Any:
    """An input of one element, as a Python number."""
    return values(x).reshape(()).item()


def text(value: Any) -> str:
    """An attribute of type string."""
    return value.decode() if isinstance(value, bytes) else str(value)


limited = Scoped("limited", LARGEST)
"""The most elements that an operator's output may have in a block: an OnnxError for more."""


def bounded(shape: Iterable[Any], what: str) -> tuple[int, ...]:
    """`shape`, if its number of elements is within the limit."""
    sizes, count = tuple(int(n) for n in shape), 1
    for n in sizes:
        if n < 0:
            raise OnnxError(f"{what}: the shape {sizes} has a negative size")
        count *= n
    if count > limited.get():
        raise OnnxError(f"{what}: the shape {sizes} has {count} elements; more than {limited.get()} are refused")
    return sizes


def refuse(condition: Any, message: str) -> None:
    """OnnxError with this message if the condition holds."""
    if condition:
        raise OnnxError(message)


def is_tensor(x: Any) -> bool:
    """Whether x is a Tensor."""
    return hasattr(x, "_node")


def dtype_of(x: Any) -> np.dtype[Any]:
    """The dtype of an array or Tensor."""
    return x.dtype if hasattr(x, "dtype") else np.asarray(x).dtype


def as_dtype(x: Any, dtype: Any) -> Any:
    """x in a dtype; x itself if it has this dtype."""
    return x if dtype_of(x) == dtype else x.astype(dtype)


__all__ = [
    "LARGEST", "READERS", "WRITERS", "Op", "Statistic", "Structural", "Weight", "as_dtype", "bounded", "discrete", "dtype_of",
    "flat", "integers", "is_tensor", "limited", "number", "pair", "reads", "refuse", "text", "values", "writes",
]  # fmt: skip
