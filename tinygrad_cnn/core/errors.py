"""The errors of an op's call, in terms of the op."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from .graph import Op


def explain(op: Op, error: Exception, inputs: Sequence[Any]) -> Exception:
    """The same error in terms of the op: its name, and the dtype and shape of each input."""
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
    if isinstance(error, AttributeError):
        return TypeError(
            f"{op.name}: an argument is not what it must be, such as an array or a number: {text} ({shown})"
        )
    kinds = (np.exceptions.AxisError, IndexError, TypeError, ValueError)
    kind = next(k for k in kinds if isinstance(error, k))
    return kind(f"{op.name}: {text} ({shown})")


def refuse(op: Op, name: str) -> None:
    """TypeError for an input that requires a gradient but has no rule."""
    raise TypeError(f"{op.name}: `{name}` requires a gradient but {op.name} has none for it; pass `{name}.detach()`")


def real_only(op: Op, parents: Sequence[Any]) -> None:
    """TypeError for the first of these parents that is complex, in an op whose rules hold for real inputs alone."""
    sig = op.signature
    for i, parent in enumerate(parents):
        if parent is not None and parent.dtype.kind == "c":
            name = f"{sig.inputs[0]}[{i}]" if sig.variadic else sig.served[i]
            raise TypeError(
                f"{op.name}: `{name}` is {parent.dtype} and requires a gradient, but the rules of {op.name} hold for real "
                "inputs; compose it of ops that take complex ones, of real(z) and imag(z), or pass z.detach()"
            )


def lacking(op: Op, parents: Sequence[Any]) -> Exception:
    """The error of a gradient through an op without rules."""
    name, sig = op.name, op.signature
    wanted = [sig.inputs[0]] if sig.variadic else [n for n, p in zip(sig.served, parents, strict=True) if p is not None]
    return NotImplementedError(
        f"{name}: `{wanted[0]}` requires a gradient, but {name} has no gradient rule; give it one with "
        f"{name}.vjp({wanted[0]}=...), or declare it with @op(differentiable=False) if its results are constants"
    )


def miscounted(op: Op, inputs: Sequence[Any], found: Any) -> Exception:
    """The error of a joint rule that does not return a gradient for each of `inputs`."""
    count = f"{len(found)} values" if isinstance(found, tuple | list) else f"{found!r:.60}"
    return ValueError(
        f"{op.name}: the joint rule returned {count} for {len(inputs)} inputs; it must return a gradient for each, and None "
        "for one that is not wanted"
    )
