"""Small programs of ops, for tests on random graphs. They run on Tensors or arrays, and print as Python."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from ..ops import activation, elementwise, transcendental

SMOOTH = {
    "neg": "-a",
    "add": "a + b",
    "sub": "a - b",
    "mul": "a * b",
    "tanh": "tg.tanh(a)",
    "bump": "tg.exp(-(a * a))",
    "log1p_square": "tg.log(a * a + 1.0)",
    "norm1": "tg.sqrt(a * a + 1.0)",
    "ratio": "a / (b * b + 1.0)",
}
"""Operations that are defined and smooth everywhere, of one operand or two."""

KINKED = {"abs": "tg.abs(a)", "relu": "tg.relu(a)", "maximum": "tg.maximum(a, b)", "minimum": "tg.minimum(a, b)"}
"""Operations with a kink."""

OPERATIONS = {**SMOOTH, **KINKED}

_TG = SimpleNamespace(**{**vars(activation), **vars(elementwise), **vars(transcendental)})
FUNCTIONS: dict[str, Callable[..., Any]] = {
    name: eval(f"lambda a, b=None: {text}", {"tg": _TG}) for name, text in OPERATIONS.items()
}


def arity(operation: str) -> int:
    """How many operands an operation takes."""
    return len(set(re.findall(r"\b[ab]\b", OPERATIONS[operation])))


@dataclass(frozen=True)
class Expression:
    """A function of some inputs that computes one value after another and returns the last.

    A value may be used many times or never, and so may an input.

    Args:
        inputs: how many inputs there are: values 0 to inputs - 1.
        steps: for each further value an operation, by name, and its operands.

    >>> from tinygrad_cnn.testing.expressions import Expression
    >>> f = Expression(2, (("mul", 0, 1), ("tanh", 2), ("add", 3, 0.5)))
    >>> print(f)
    def f(x0, x1):
        v2 = x0 * x1
        v3 = tg.tanh(v2)
        v4 = v3 + 0.5
        return v4
    >>> round(float(f(2.0, 0.25)), 3)
    0.962
    """

    inputs: int
    steps: tuple[tuple[Any, ...], ...]

    def __call__(self, *xs: Any) -> Any:
        """The value, of Tensors or of arrays."""
        return self.evaluate(FUNCTIONS, *xs)

    def evaluate(self, operations: Mapping[str, Callable[..., Any]], *xs: Any) -> Any:
        """The value by other operations, such as those of a reference."""
        values = list(xs)
        for name, *operands in self.steps:
            values.append(operations[name](*(values[o] if isinstance(o, int) else o for o in operands)))
        return values[-1]

    def python(self) -> tuple[set[str], str]:
        """Imports and an expression, for the reproducer of a failed check."""
        lines = ", ".join(f"{target} := {text}" for target, text in self._lines())
        return {"import tinygrad_cnn as tg"}, f"lambda {', '.join(self._names())}: [{lines}][-1]"

    def __str__(self) -> str:
        lines = [f"    {target} = {text}" for target, text in self._lines()]
        return "\n".join([f"def f({', '.join(self._names())}):", *lines, f"    return {lines[-1].split()[0]}"])

    __repr__ = __str__

    def _names(self) -> list[str]:
        return [f"x{i}" for i in range(self.inputs)]

    def _lines(self) -> list[tuple[str, str]]:
        names, lines = self._names(), []
        for name, *operands in self.steps:
            shown = dict(zip("ab", (names[o] if isinstance(o, int) else repr(o) for o in operands), strict=False))
            names.append(f"v{len(names)}")
            lines.append((names[-1], re.sub(r"\b[ab]\b", lambda match: shown[match.group()], OPERATIONS[name])))  # noqa: B023
        return lines
