"""A location and a scale for the formulas of standard distributions."""

from __future__ import annotations

from collections.abc import Callable
from inspect import signature
from typing import Any

from ... import numpy as np

Formula = Callable[..., Any]


def located(formula: Formula, kind: str = "") -> Formula:
    """A formula of x and shapes with SciPy's further arguments ``loc`` and ``scale``.

    `kind` says what the scale does to it: "pdf" is divided by the scale, and its logarithm less that of the scale.
    """
    names = [*signature(formula).parameters][1:]
    count = len(names)

    def moved(x: Any, *args: Any, **named: Any) -> Any:
        shapes = args[:count] or tuple(named[name] for name in names)
        given = {**named, **dict(zip(("loc", "scale"), args[count:], strict=False))}
        loc, scale = given.get("loc", 0.0), given.get("scale", 1.0)
        value = formula((x - loc) / scale, *shapes)
        return value / scale if kind == "pdf" else value - np.log(scale) if kind == "logpdf" else value

    return moved
