"""The summary of a file: a row for each node."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike

from ..core.grad_mode import no_grad
from ..core.graph import Op
from ..core.tracing import observe
from ..nn.summary import WORK, Row, Summary, summary_of
from ..tensor import Tensor
from .errors import OnnxError
from .port import Port
from .program import run_step

if TYPE_CHECKING:
    from .model import GraphModule


def summarize(model: GraphModule, given: tuple[Any, ...], dtype: DTypeLike | None) -> Summary:
    """The summary of one call without gradients, in evaluation mode. OnnxError if a required shape is unknown."""
    ports = model.ports
    if given and len(given) != len(ports):
        raise OnnxError(f"summary: {len(given)} inputs are given; the graph takes {', '.join(model.input_names)}")
    inputs = [_example(port, x, dtype) for port, x in zip(ports, given or (None,) * len(ports), strict=True)]
    env = model.environment(tuple(inputs), {})
    sizes = {name: p.size for name, owner, leaf in model._places if (p := getattr(owner, leaf)).requires_grad}
    rows: list[Row] = []

    def count(op: Op, arrays: tuple[Any, ...], params: tuple[Any, ...], output: Tensor) -> None:
        if op.name in WORK:
            rows[-1].multiply_adds += WORK[op.name](output.shape, *map(np.shape, arrays), params=params)

    with no_grad(), observe(count):
        for step in model.program.steps:
            own = sum(sizes.pop(name, 0) for name in sorted(step.uses()))
            rows.append(Row(step.name.replace(".", "/"), step.operator, parameters=own))
            after, step.after = step.after, ()
            try:
                run_step(step, env, False)
            finally:
                step.after = after
            made = next((env[name] for name in step.outputs if name), None)
            rows[-1].output = None if made is None else tuple(np.shape(made))
            for name in after:
                del env[name]
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
