"""GradBench's protocol: each line of the input is a message, each line of the output its response."""

from __future__ import annotations

import json
import sys
import traceback
from typing import Any, TextIO

from .function import load


def answer(message: dict[str, Any]) -> dict[str, Any]:
    """The response to a message."""
    response: dict[str, Any] = {"id": message["id"]}
    if message["kind"] == "start":
        response["tool"] = "tinygrad_cnn"
    elif message["kind"] in ("define", "evaluate"):
        try:
            functions = load(message["module"])
            response["success"] = True
            if message["kind"] == "evaluate":
                response |= functions[message["function"]].repeat(message["input"])
        except Exception:
            response |= {"success": False, "error": traceback.format_exc()}
    return response


def main(given: TextIO, printed: TextIO) -> None:
    """Answer until the input ends."""
    for line in given:
        print(json.dumps(answer(json.loads(line))), file=printed, flush=True)


if __name__ == "__main__":
    main(sys.stdin, sys.stdout)
