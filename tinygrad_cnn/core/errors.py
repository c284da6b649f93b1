"""The errors of an op's call, in terms of the op."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .tracing import tracer

if TYPE_CHECKING:
    from .graph import Op


def explain(op: Op, error: Exception, inputs: Sequence[Any]) -> Exception:
    """The same error in terms of the op: its name, and the dtype and shape of each input."""
    tracer().impure(f"continues after an error of `{op.name}`, which depends on values")
    text = str(error)
    speaker, _, rest = text.partition(": ")
    if speaker == op.name or (speaker.isidentifier() and "`" in rest):  # the message names the op or its caller
        return error
    sig = op.signature
    names = [f"{sig.inputs[0]}[{i}]" for i in range(len(inputs))] if sig.variadic else sig.inputs
    shown = ", ".join(
        f"`{name}` is {value.dtype} {value.shape}" if isinstance(value, np.ndarray) else f"`{name}` is {value!r:.60}"
        for name, value in zip(names, inputs, strict=True)
    )
    if "broadcast" in text and op.elementwise:
        text = "shapes do not broadcast: from the right, sizes must be equal or 1; reshape or expand_dims one input"
    if "not supported for the input types" in text or "did not contain a loop" in text:
        text = "the op has no meaning for these dtypes; convert an input with astype, or compare it first, as in x != 0"
    kinds = (np.exceptions.AxisError, IndexError, TypeError, ValueError)
    kind = next(k for k in kinds if isinstance(error, k))
    return kind(f"{op.name}: {text} ({shown})")


def refuse(op: Op, name: str) -> None:
    """TypeError for an input that requires a gradient but has no rule."""
    raise TypeError(f"{op.name}: `{name}` requires a gradient but {op.name} has none for it; pass `{name}.detach()`")
