"""What runs in ``conv2d(x, w).relu().sum().backward()``: every function of the package, and every line, once.

    python -m tests.benchmarks.path [--definitions] [--lines]

counts the first call after the import (cold) and the third (warm), and prints the functions in the order in which they are
entered. With ``--definitions`` the folders ``kernels/`` and ``compile/`` are absent; with ``--lines`` each function is
followed by the lines that ran.
"""

from __future__ import annotations

import linecache
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

PACKAGE = str(Path(__file__).parents[2] / "tinygrad_cnn")
GENERATED = re.compile(r"<\w+: \w+>")


def followed(call: Callable[[], Any]) -> dict[CodeType, set[int]]:
    """The functions of the package, and of the code that it generates, that a call enters, and the lines that run in each."""
    found: dict[CodeType, set[int]] = {}

    def follow(frame: FrameType, event: str, _: object) -> Any:
        code = frame.f_code
        if not (code.co_filename.startswith(PACKAGE) or GENERATED.fullmatch(code.co_filename)):
            return None
        lines = found.setdefault(code, set())
        if event == "line":
            lines.add(frame.f_lineno)
        return follow

    sys.settrace(follow)
    try:
        call()
    finally:
        sys.settrace(None)
    return found


def shown(title: str, found: dict[CodeType, set[int]], lines: bool) -> None:
    """Print the counts, then the functions in order, each with its number of lines."""
    files = {code.co_filename for code in found}
    count = len({(code.co_filename, line) for code, numbers in found.items() for line in numbers})
    print(f"{title}: {len(found)} functions, {len(files)} files, {count} lines")
    for code, numbers in found.items():
        print(f"  {len(numbers):4d}  {code.co_filename.removeprefix(PACKAGE + '/')}: {code.co_qualname}")
        for number in sorted(numbers) if lines else ():
            print(f"        {number:5d} {linecache.getline(code.co_filename, number).rstrip()}")


def main(arguments: list[str]) -> None:
    if "--definitions" in arguments:
        for folder in ("kernels", "compile"):
            sys.modules[f"tinygrad_cnn.{folder}"] = None  # type: ignore[assignment]
    import numpy as np

    import tinygrad_cnn as tg

    rng = np.random.default_rng(0)
    x = tg.Tensor(rng.standard_normal((2, 1, 8, 8), np.float32), requires_grad=True)
    w = tg.Tensor(rng.standard_normal((4, 1, 3, 3), np.float32), requires_grad=True)
    cold, _, warm = [followed(lambda: tg.conv2d(x, w).relu().sum().backward()) for _ in range(3)]
    shown("cold", cold, "--lines" in arguments)
    shown("warm", warm, "--lines" in arguments)


if __name__ == "__main__":
    main(sys.argv[1:])
