"""The summary of a file: a row for each node."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike

from ...core.graph import Op
from ...core.tracing import observe
from ...nn import Module
from ...nn.summary import WORK, Row, Summary, followed, summary_of
from ...tensor import Tensor
from .errors import OnnxError
from .parts import Part, at
from .port import Port

if TYPE_CHECKING:
    from .model import GraphModule


def summarize(model: GraphModule, given: tuple[Any, ...], dtype: DTypeLike | None) -> Summary:
    """The summary of one call without gradients, in evaluation mode. OnnxError if a required shape is unknown."""
    ports = model.ports
    if given and len(given) != len(ports):
        raise OnnxError(f"summary: {len(given)} inputs are given; the graph takes {', '.join(model.input_names)}")
    inputs = [_example(port, x, dtype) for port, x in zip(ports, given or (None,) * len(ports), strict=True)]
    paths = {id(module): path.replace(".", "/") for path, module in model.named_modules()}
    waiting = {id(p): p.size for p in model.parameters()}  # those that no row has counted
    by_name = {
        name: at(part, path) for part in model.modules() if isinstance(part, Part) for name, path in part._places
    }
    rows: list[Row] = []
    active: list[Row] = []

    def enter(module: Module, _: Any) -> None:
        if not isinstance(module, Part):
            active.append(Row(paths[id(module)], type(module).__name__))
            rows.append(active[-1])
            active[-1].parameters = sum(waiting.pop(id(p), 0) for p in module.parameters(recurse=False))
        elif module._is_leaf:
            step = module._steps[-1]
            active.append(Row(step.name.replace(".", "/"), step.operator))
            rows.append(active[-1])
            used = sorted(set[str]().union(*(each.uses() for each in module._steps)))
            active[-1].parameters = sum(waiting.pop(id(by_name.get(name)), 0) for name in used)

    def leave(module: Module, _: Any, output: Any) -> None:
        if not isinstance(module, Part) or module._is_leaf:
            first = output[0] if isinstance(output, tuple) and output else output
            active.pop().output = tuple(first.shape) if hasattr(first, "shape") else None

    def count(op: Op, arrays: tuple[Any, ...], params: tuple[Any, ...], output: Tensor) -> None:
        if op.name in WORK:
            active[-1].multiply_adds += WORK[op.name](output.shape, *map(np.shape, arrays), params=params)

    with followed(model, enter, leave), observe(count):
        model(*inputs)
    return summary_of(model, rows)


def _example(port: Port, given: Any, dtype: DTypeLike | None) -> Tensor:
    """An input: an example, or zeros of a shape. The default is the shape in the file with a batch of 1."""
    if isinstance(given, Tensor | np.ndarray):
        return given if isinstance(given, Tensor) else Tensor(given)
    if given is None:
        stated = port.sizes
        if stated is None or any(not isinstance(n, int) for n in stated[1:]):
            shown = "unknown" if stated is None else f"({', '.join('?' if n is None else str(n) for n in stated)})"
            raise OnnxError(
                f"summary: the shape of the input {port.name!r} is {shown} in the file; give one, such as (1, 3, 48, 192)"
            )
        given = tuple(n if isinstance(n, int) else 1 for n in stated)
    return Tensor(np.zeros(given, (port.dtype or np.float32) if dtype is None else dtype))
