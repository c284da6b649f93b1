"""The result of a gradient check, as text, and the Python that reproduces a failure."""

import functools
import importlib
import inspect
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .levels import Arrays

LITERALS = 200
"""Elements up to which a reproducer spells arrays out."""
SHOWN = 8


@dataclass(frozen=True)
class Failure:
    """One error.

    Args:
        text: the error in words.
        order: the order of the derivative.
        input: the position of the array: f's inputs first, then incoming gradients.
        index: the element, or None if many are concerned.
        analytic: the derivative by the rules.
        numeric: the derivative by finite differences.
        step: the step of the differences.
    """

    text: str
    order: int
    input: int | None = None
    index: tuple[int, ...] | None = None
    analytic: float | None = None
    numeric: float | None = None
    step: float | None = None

    def __str__(self) -> str:
        return f"order {self.order}, {self.text}"


@dataclass(frozen=True)
class Kink:
    """A point where f has two one-sided derivatives, and the analytic one lies between them."""

    order: int
    input: int
    index: tuple[int, ...]
    analytic: float
    low: float
    high: float

    def __str__(self) -> str:
        return (
            f"order {self.order}, input {self.input}, index {self.index}: a kink; analytic {self.analytic:.9g} lies between "
            f"the one-sided derivatives {self.low:.9g} and {self.high:.9g}"
        )


@dataclass
class Report:
    """The result of :func:`~tinygrad_cnn.testing.gradcheck`: true if there are no failures. Its string is readable.

    Args:
        failures: the errors.
        kinks: points at which f is not differentiable, and its gradient is one of the possible ones.
        unseen: the number of elements whose gradient is so small beside the others that an error of 0.1 % in it would not
            show, nor an error of 4e3 atol if the gradient is nearly zero.
        reproducer: Python that fails in the same way.
        notes: what was not checked, and why.
    """

    failures: list[Failure] = field(default_factory=list)
    kinks: list[Kink] = field(default_factory=list)
    unseen: int = 0
    reproducer: str = ""
    notes: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return not self.failures

    def __str__(self) -> str:
        n = len(self.failures)
        lines = [f"gradcheck: {n} failure{'s' * (n > 1)}" if n else "gradcheck: no failures"]
        lines += [f"  {failure}" for failure in self.failures[:SHOWN]]
        lines += [f"  ... and {n - SHOWN} more"] * (n > SHOWN)
        lines += [f"  {kink}" for kink in self.kinks[:SHOWN]]
        lines += [f"  ... and {len(self.kinks) - SHOWN} more kinks"] * (len(self.kinks) > SHOWN)
        lines += [f"  {self.unseen} elements are too small for an error of 0.1 % to be seen"] * (self.unseen > 0)
        lines += [f"  {note}" for note in self.notes]
        return "\n".join([*lines, "Reproduce with:", self.reproducer] if n else lines)


def reproducer(f: Callable[..., Any], inputs: Arrays, options: dict[str, Any]) -> str:
    """A script that calls :func:`~tinygrad_cnn.testing.assert_gradients` as it was called."""
    imports, shown = expression(f)
    lines = ["import numpy as np", "from tinygrad_cnn.testing import assert_gradients", *sorted(imports), ""]
    arguments = []
    for i, a in enumerate(inputs):
        arguments.append(literal(a) if a.size <= LITERALS else f"input{i}")
        if a.size > LITERALS:
            about = f"{a.dtype} {a.shape}: write it where the check failed"
            lines.append(f'input{i} = np.load("input{i}.npy")  # {about}, np.save("input{i}.npy", ...)')
    arguments += [f"{name}={value!r}" for name, value in options.items()]
    if not shown.isidentifier():
        lines.append(f"f = {shown}")
        shown = "f"
    return "\n".join([*lines, f"assert_gradients({shown}, {', '.join(arguments)})"])


def literal(value: Any) -> str:
    """Python for this value; arrays are spelt out to the last bit."""
    if isinstance(value, np.ndarray):
        name = "bool" if value.dtype == bool else f"np.{value.dtype.name}"
        return f"np.array({_finite(value.tolist())}, {name})" if value.size else f"np.zeros({value.shape}, {name})"
    if isinstance(value, np.dtype):
        return f"np.dtype(np.{value.name})"
    if isinstance(value, type) and issubclass(value, np.generic):
        return f"np.{np.dtype(value).name}"
    if value is Ellipsis:
        return "..."
    if hasattr(value, "_fields"):  # a named tuple, whose class `called` imports
        return f"{type(value).__name__}({', '.join(map(literal, value))})"
    if isinstance(value, tuple | list):
        body = ", ".join(map(literal, value)) + ("," if isinstance(value, tuple) and len(value) == 1 else "")
        return f"({body})" if isinstance(value, tuple) else f"[{body}]"
    return _finite(value.item() if isinstance(value, np.generic) else value)


def _finite(value: Any) -> str:
    """repr, with NumPy's names for infinity and NaN."""
    return re.sub(r"\b(nan|inf)\b", r"np.\1", repr(value)) if isinstance(value, float | list) else repr(value)


def expression(f: Callable[..., Any]) -> tuple[set[str], str]:
    """Imports and an expression for a function, with a comment in place of one that cannot be imported."""
    if hasattr(f, "python"):
        return f.python()  # type: ignore[no-any-return]
    if isinstance(f, functools.partial) and not f.args:
        return called(f.func, f.keywords)
    module, name = getattr(f, "__module__", None), getattr(f, "__qualname__", "")
    if module and name.isidentifier() and module != "__main__":
        with suppress(ImportError):
            if getattr(importlib.import_module(module), name, None) is f:
                return {f"from {module} import {name}"}, name
    f = f.op.raw if hasattr(f, "op") else f
    place = ""
    with suppress(OSError, TypeError):
        place = f" at {inspect.getsourcefile(f)}, line {inspect.getsourcelines(f)[1]}"
    return set(), f"...  # put the function here: {name or repr(f)}{place}"


def called(f: Callable[..., Any], params: Any, sequence: bool = False) -> tuple[set[str], str]:
    """Imports and an expression for f with keyword arguments bound, taking its arrays as a sequence or one by one."""
    imports, name = expression(f)
    if name.startswith("..."):
        return imports, name
    bound = "".join(f", {key}={literal(value)}" for key, value in params.items())
    named = [type(value) for value in params.values() if hasattr(value, "_fields")]
    imports = imports | {f"from {kind.__module__} import {kind.__name__}" for kind in named}
    if sequence:
        return imports, f"lambda *arrays: {name}(arrays{bound})"
    return (imports | {"from functools import partial"}, f"partial({name}{bound})") if bound else (imports, name)
