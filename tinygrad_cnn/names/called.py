"""A property that is a method in PyTorch: the error of a call names ours."""

from __future__ import annotations

import dis
import sys
from collections.abc import Callable
from opcode import opmap
from types import FrameType
from typing import Any

_OLD = sys.version_info < (3, 12)
_LOAD = opmap["LOAD_METHOD" if _OLD else "LOAD_ATTR"]
"""The instruction that reads an attribute which is called next. In Python 3.12 and newer its argument is odd then."""


class Uncalled(property):
    """A property that raises `error`, of its name, where the code reads ``x.name(``.

    Python reads the attribute first, and then finds that its value cannot be called. So the getter looks at the instruction
    that reads it. A call that is written in another way, such as ``getattr(x, "size")()``, gets Python's own error.

    This is a class of its own because Python 3.12 inlines the getter of a plain property, and the caller's frame then shows
    another instruction.
    """

    def __init__(self, read: property, error: Callable[[str], Exception]) -> None:
        get = read.fget
        assert get is not None
        name, load, old, frame_of = get.__name__, _LOAD, _OLD, sys._getframe

        def getter(instance: Any) -> Any:
            frame = frame_of(1)
            code, at = frame.f_code.co_code, frame.f_lasti
            if code[at] == load and (old or code[at + 1] & 1) and _reads(frame, name):
                raise error(name)
            return get(instance)

        super().__init__(getter)
        self.__doc__ = read.__doc__


def _reads(frame: FrameType, name: str) -> bool:
    """Whether the frame reads this attribute itself, and not another one, which reads this one in C."""
    return any(i.offset == frame.f_lasti and i.argval == name for i in dis.get_instructions(frame.f_code))
