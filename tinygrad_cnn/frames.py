"""Tell stack frames of the library from those of user code.

Frames are read on the way to an error or a warning, and where a user asks to see the lines of a program: by ``show``,
``detect_anomaly`` and ONNX export.
"""

from __future__ import annotations

import os
import re
import sys
import warnings
from types import FrameType

PACKAGE = os.path.dirname(__file__) + os.sep
GENERATED = re.compile(r"<(\w+): (?:call|pull)>")


def is_library(filename: str) -> bool:
    """Whether code belongs to the library: in a file of the package, or generated for an op."""
    return filename.startswith(PACKAGE) or GENERATED.fullmatch(filename) is not None


def caller() -> FrameType:
    """The innermost frame of user code."""
    frame = sys._getframe(1)
    while frame.f_back is not None and is_library(frame.f_code.co_filename):
        frame = frame.f_back
    return frame


def warn_user(text: str, category: type[Warning] = UserWarning) -> None:
    """Warn at the innermost line of user code."""
    frame = caller()
    registry = frame.f_globals.setdefault("__warningregistry__", {})
    module = frame.f_globals.get("__name__") or frame.f_code.co_filename  # for None, Python warns of nothing
    warnings.warn_explicit(text, category, frame.f_code.co_filename, frame.f_lineno, module, registry)
