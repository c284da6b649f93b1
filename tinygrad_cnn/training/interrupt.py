"""Ctrl-C as a request to stop after the current step."""

from __future__ import annotations

import signal
import threading
from types import FrameType


class Interrupt:
    """In a ``with`` block, the first SIGINT sets `asked`; a second one raises KeyboardInterrupt at once.

    It does nothing outside the main thread, or if the user has installed a handler.

    Attributes:
        asked: whether there was a SIGINT.
    """

    def __init__(self) -> None:
        self.asked = False
        self._ours = False

    def __enter__(self) -> Interrupt:
        main = threading.current_thread() is threading.main_thread()
        if main and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, self._ask)
            self._ours = True
        return self

    def __exit__(self, *_: object) -> None:
        if self._ours:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            self._ours = False

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            signal.default_int_handler(number, frame)
        self.asked = True
