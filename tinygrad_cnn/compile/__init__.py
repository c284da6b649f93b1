"""A function's calls captured as a flat program, which is repeated into planned memory: see :func:`compile`."""

from .compiled import Compiled, compile
from .program import Program
from .steps import CaptureError

__all__ = ["CaptureError", "Compiled", "Program", "compile"]
