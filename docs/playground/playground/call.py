"""Calls from the page: text that the user wrote is run, and results, output and errors go back as JSON."""

from __future__ import annotations

import ast
import io
import linecache
import traceback
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from types import CodeType
from typing import Any

OUTPUT = 20_000
"""Characters of printed text that the page is sent; of a longer text, the end."""

LINES = 60
"""Lines of a traceback."""


class Refusal(Exception):
    """An error in what the user asked for, which its message explains without a traceback."""


def answer(function: Callable[..., Any], *args: Any) -> str:
    """``function(*args)`` as JSON: "result" or "error", and "output", what was printed."""
    from tinygrad_cnn.extra.show.page import embedded  # not before the first call, since Python should be ready soon

    printed = io.StringIO()
    try:
        with redirect_stdout(printed), redirect_stderr(printed):
            reply = {"result": function(*args)}
    except BaseException as error:  # also SystemExit: the worker must live on
        reply = {"error": described(error)}
    return embedded({**reply, "output": printed.getvalue()[-OUTPUT:]})


def execute(source: str, filename: str, space: dict[str, Any], tree: ast.Module | None = None) -> None:
    """Run the user's text, with its lines known to tracebacks."""
    remember(filename, source)
    code: CodeType = compile(source if tree is None else tree, filename, "exec")
    space.setdefault("__name__", "__main__")
    exec(code, space)


def remember(filename: str, source: str) -> None:
    """Let tracebacks show the lines of a text that is no file."""
    linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)


def described(error: BaseException) -> dict[str, Any]:
    """The text of an error and the user's line: of the traceback only the user's own frames, so that it ends in that line."""
    if isinstance(error, Refusal):
        return {"text": str(error), "file": None, "line": None}
    found = traceback.TracebackException.from_exception(error)
    found.stack = traceback.StackSummary.from_list([f for f in found.stack if f.filename.startswith("your ")])
    text = "".join(found.format(chain=False)).rstrip().splitlines()
    if len(text) > LINES:
        text = [*text[: LINES // 2], "  ...", *text[-LINES // 2 :]]
    if isinstance(error, SyntaxError) and (error.filename or "").startswith("your "):
        place = error.filename, error.lineno
    elif found.stack:
        place = found.stack[-1].filename, found.stack[-1].lineno
    else:
        place, text = (None, None), text[-1:] if isinstance(error, SystemExit) else [t for t in text if t != HEAD]
    return {"text": "\n".join(text), "file": place[0], "line": place[1]}


HEAD = "Traceback (most recent call last):"
