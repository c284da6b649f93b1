"""The text of an op: its formula, its definition, and the source of its rules."""

from __future__ import annotations

import ast
import inspect
import linecache
import textwrap
from collections.abc import Callable
from types import CodeType, FunctionType
from typing import Any

import numpy as np

from ...core.graph import Op

UNKNOWN = "(the source is not available)"


def op_text(op: Op) -> dict[str, Any]:
    """The data of an op on a page: its family, its docstring, its definition, and its rules."""
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
    """The source of a function, and of the private functions of its module that it names. Of a lambda only its expression."""
    function = inspect.unwrap(function)
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
    """The source of a lambda: the one whose body begins at the position of the code."""
    text = "".join(linecache.getlines(code.co_filename))
    if not text:
        raise OSError("no source")
    begins = min((line, column) for line, _, column, end in code.co_positions() if line and column is not None and end)
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Lambda) and (node.body.lineno, node.body.col_offset) == begins:
            return textwrap.dedent(ast.get_source_segment(text, node) or UNKNOWN)
    return UNKNOWN
