"""The summary of a model: a row for each call of a module, with its output, parameters and multiply-adds."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import DTypeLike

from ..core.grad_mode import no_grad
from ..core.graph import Op
from ..core.tracing import observe
from ..tensor import Tensor, get_default_dtype

if TYPE_CHECKING:
    from .module import Module

Shape: TypeAlias = tuple[int, ...]


def _contraction(_: Shape, *operands: Shape, params: tuple[Any, ...]) -> int:
    """One for each combination of the indices of an einsum."""
    terms = params[0].partition("->")[0].split(",")
    pairs = zip(terms, operands, strict=True)
    return math.prod(dict(pair for term, shape in pairs for pair in zip(term, shape, strict=True)).values())


WORK: dict[str, Callable[..., int]] = {
    "matmul": lambda y, a, b, params: math.prod(y) * a[-1],
    "linear": lambda y, x, *_, params: math.prod(y) * x[-1],
    "convolve": lambda y, x, w, *_, params: math.prod(y) * math.prod(w[1:]),
    "convolve_dx": lambda y, u, w, *_, params: math.prod(u) * math.prod(w[1:]),
    "contract": _contraction,
}
"""The number of multiply-adds of the ops that have most of them, from the shapes of output and inputs."""


@dataclass
class Row:
    """One call of a module."""

    path: str  # of the module, such as "features.0"; "" for the model itself
    kind: str  # the name of its class
    output: Shape | None = None  # None if the output is not an array
    parameters: int = 0  # elements of its own parameters, without its children's; 0 if they were counted before
    multiply_adds: int = 0  # of the ops that it called itself, without its children's


@dataclass
class Summary:
    """The rows of a model in the order of the calls, and their sums. ``str`` gives the table."""

    rows: list[Row] = field(repr=False)
    parameters: int  # elements of all parameters of the model, used or not
    trainable: int  # elements of those that require gradients
    size: int  # bytes of parameters and buffers

    def __post_init__(self) -> None:
        self._printed = False  # by Module.summary, whose cell in a notebook then shows it no second time

    def _ipython_display_(self) -> None:
        if not self._printed:
            print(self)
        self._printed = False

    @property
    def multiply_adds(self) -> int:
        """The multiply-adds of all matrix products and convolutions."""
        return sum(row.multiply_adds for row in self.rows)

    def __str__(self) -> str:
        table = [("layer", "output", "parameters", "multiply-adds"), *map(_cells, self.rows)]
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        header, *lines = [
            f"{label:<{widths[0]}}  {output:<{widths[1]}}  {count:>{widths[2]}}  {work:>{widths[3]}}".rstrip()
            for label, output, count, work in table
        ]
        rule = "-" * (sum(widths) + 6)
        frozen = "" if self.trainable == self.parameters else f", {self.trainable:,} of them trainable"
        sums = [
            f"parameters: {self.parameters:,}{frozen} ({self.size / 1e6:,.2f} MB with buffers)",
            f"multiply-adds: {self.multiply_adds:,}",
        ]
        return "\n".join([header, rule, *lines, rule, *sums])


def _cells(row: Row) -> tuple[str, str, str, str]:
    """The texts of a row in the table."""
    depth, name = row.path.count(".") + bool(row.path), row.path.rpartition(".")[2]
    label = "  " * depth + (f"{name} ({row.kind})" if name else row.kind)
    output = "-" if row.output is None else " x ".join(map(str, row.output)) or "scalar"
    count, work = (f"{n:,}" if n else "" for n in (row.parameters, row.multiply_adds))
    return label, output, count, work


def summarize(model: Module, inputs: tuple[Any, ...], dtype: DTypeLike | None) -> Summary:
    """The summary of one call of the model, in evaluation mode and without gradients. The model does not change."""
    arguments = [_example(value, dtype) for value in inputs]
    paths = {id(module): path for path, module in model.named_modules()}
    rows: list[Row] = []
    active: list[Row] = []
    counted: set[int] = set()

    def enter(module: Module, _: Any) -> None:
        own = {id(p): p.size for p in module.parameters(recurse=False) if id(p) not in counted}
        counted.update(own)
        rows.append(Row(paths[id(module)], type(module).__name__, parameters=sum(own.values())))
        active.append(rows[-1])

    def leave(_: Module, __: Any, output: Any) -> None:
        active.pop().output = tuple(output.shape) if hasattr(output, "shape") else None

    def count(op: Op, given: tuple[Any, ...], params: tuple[Any, ...], output: Tensor) -> None:
        if op.name in WORK and active:
            active[-1].multiply_adds += WORK[op.name](output.shape, *map(np.shape, given), params=params)

    with followed(model, enter, leave), observe(count):
        model(*arguments)
    return summary_of(model, rows)


@contextmanager
def followed(model: Module, enter: Callable[..., None], leave: Callable[..., None]) -> Iterator[None]:
    """Evaluation mode without gradients, with `enter` and `leave` as hooks of every module. The model does not change."""
    with ExitStack() as stack:
        for module in model.modules():
            stack.callback(setattr, module, "training", module._training)
            stack.enter_context(module.register_forward_pre_hook(enter))
            stack.enter_context(module.register_forward_hook(leave))
        model.eval()
        stack.enter_context(no_grad())
        yield


def summary_of(model: Module, rows: list[Row]) -> Summary:
    """The rows with the sums over the model."""
    parameters = list(model.parameters())
    return Summary(
        rows,
        parameters=sum(p.size for p in parameters),
        trainable=sum(p.size for p in parameters if p.requires_grad),
        size=sum(t._array.nbytes for t in (*parameters, *model.buffers())),
    )


def _example(value: Any, dtype: DTypeLike | None) -> Tensor:
    """A Tensor of the shape `value`, or `value` if it is an array."""
    if isinstance(value, Tensor | np.ndarray):
        return value if isinstance(value, Tensor) else Tensor(value)
    if not isinstance(value, Sequence) or not all(isinstance(n, int) for n in value):
        raise TypeError(f"summary: {value!r:.60} is not a shape; give a tuple such as (1, 3, 32, 32), or an array")
    return Tensor(np.zeros(value, get_default_dtype() if dtype is None else dtype))
