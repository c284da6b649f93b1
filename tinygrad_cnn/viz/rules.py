"""The text of an op: its formula, its definition, and each of its rules as it was written."""

from __future__ import annotations

import ast
import inspect
import linecache
import textwrap
from collections.abc import Callable
from types import CodeType, FunctionType
from typing import Any

import numpy as np

from ..core.graph import Op

UNKNOWN = "(the source is not available)"


def op_text(op: Op) -> dict[str, Any]:
    """What a page says about an op: its family, its docstring, its definition, and its rules."""
    return {
        "family": str(op.function.__module__).rpartition(".")[2],
        "formula": inspect.getdoc(op.function) or "",
        "definition": _definition(op),
        "rules": [
            {"inputs": list(inputs), "names": list(names), "text": source(op.rules[inputs[0]])}
            for inputs, names in op.signature.rules.items()
        ],
    }


def _definition(op: Op) -> str:
    raw: Any = op.raw
    if isinstance(raw, np.ufunc):
        return f"np.{raw.__name__}({', '.join(op.signature.inputs)})"
    return source(raw)


def source(function: Callable[..., Any]) -> str:
    """The text of a function, of a lambda just its own part, and that of private functions beside it that it names."""
    if not isinstance(function, FunctionType):
        return f"{getattr(function, '__module__', None)}.{getattr(function, '__qualname__', repr(function))}"
    texts = [_own(function)]
    for name in function.__code__.co_names:
        helper = function.__globals__.get(name)
        if isinstance(helper, FunctionType) and name.startswith("_") and helper.__module__ == function.__module__:
            texts.append(_own(helper))
    return "\n\n".join(dict.fromkeys(texts))


def _own(function: FunctionType) -> str:
    try:
        if function.__name__ == "<lambda>":
            return _lambda(function.__code__)
        return textwrap.dedent(inspect.getsource(function)).rstrip()
    except (OSError, TypeError, SyntaxError):
        return UNKNOWN


def _lambda(code: CodeType) -> str:
    """The text of a lambda: that of the smallest one around what its code was compiled from."""
    text = "".join(linecache.getlines(code.co_filename))
    if not text:
        raise OSError("no source")
    spots = [(line, column) for line, _, column, _ in code.co_positions() if line and column]
    inside = max(spots, default=(code.co_firstlineno, 0))
    names = list(code.co_varnames[: code.co_argcount + code.co_kwonlyargcount])
    found = [
        node
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Lambda)
        and (node.lineno, node.col_offset) <= inside <= (node.end_lineno or 0, node.end_col_offset or 0)
        and [a.arg for a in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)] == names
    ]
    if not found:
        return UNKNOWN
    smallest = max(found, key=lambda node: (node.lineno, node.col_offset))
    return textwrap.dedent(ast.get_source_segment(text, smallest) or UNKNOWN)
