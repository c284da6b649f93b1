"""A function's calls captured as a flat program, which is repeated into planned memory: see :func:`compile`."""

from .codegen import Program
from .compiled import Compiled, compile
from .steps import CaptureError

__all__ = ["CaptureError", "Compiled", "Program", "compile"]
