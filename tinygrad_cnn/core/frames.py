"""Tell stack frames of the library from those of user code."""

from __future__ import annotations

import os
import re
import sys
from types import FrameType

PACKAGE = os.path.dirname(os.path.dirname(__file__)) + os.sep
GENERATED = re.compile(r"<\w+: (call|pull)>")


def is_library(filename: str) -> bool:
    """Whether code belongs to the library: in a file of the package, or generated for an op."""
    return filename.startswith(PACKAGE) or GENERATED.fullmatch(filename) is not None


def caller() -> FrameType:
    """The innermost frame of user code."""
    frame = sys._getframe(1)
    while frame.f_back is not None and is_library(frame.f_code.co_filename):
        frame = frame.f_back
    return frame
