"""Tell stack frames of the library from those of user code.

Frames are read on the way to an error or a warning, and where a user asks to see the lines of a program: by ``show``,
``detect_anomaly`` and ONNX export. Of other calls that succeed, only ``float`` of a Tensor that requires a gradient reads one.
"""

from __future__ import annotations

import os
import re
import sys
import warnings
from opcode import opmap
from types import FrameType

import numpy

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
    module = frame.f_globals.get("__name__")
    warnings.warn_explicit(text, category, frame.f_code.co_filename, frame.f_lineno, module, registry)


ASKING = (f"{numpy.__path__[0]}{os.sep}", *(f"{PACKAGE}{folder}{os.sep}" for folder in ("ops", "tensor", "numpy_api")))


def asks_unseen(frame: FrameType) -> bool:
    """Whether NumPy or an op asks for a Python number by itself, as in ``a[i] = t`` or ``np.sum(a, initial=t)``.

    NumPy calls ``__float__`` there, as a user does with ``float(loss)``, and would store the value without its gradient: a
    silently wrong result. Only the caller's instruction tells the two apart.
    """
    return frame.f_code.co_filename.startswith(ASKING) or frame.f_code.co_code[frame.f_lasti] == opmap["STORE_SUBSCR"]
