"""What only some systems have: the rest of the package asks for it here, and each function says what happens without it.

The monitor of ``extra/distributed`` runs without the package, so it looks for the sockets of Unix itself.
"""

from __future__ import annotations

import os
import platform
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

LOCKS = fcntl is not None
"""Whether files can be locked. Windows has no such locks, and neither renames nor removes open files."""

THREADS = sys.platform not in ("emscripten", "wasi")
"""Whether threads can be started: not by Python in a browser."""

PORTS_ARE_HELD = os.name == "posix"
"""Whether a port with ``SO_REUSEADDR`` still belongs to one program; on Windows two would share it."""


PATIENCE = 10.0
"""Seconds for which a replacement waits for those who read the old file, where open files cannot be replaced."""


def replace(new: Path, target: Path) -> None:
    """Rename `new`, which is closed if :data:`LOCKS` is false, to `target`, and replace that file.

    Raises:
        PermissionError: if it is not allowed, on Windows also if a program still reads the old file after `PATIENCE` seconds.
    """
    until = time.monotonic() + (0 if LOCKS else PATIENCE)
    while True:
        try:
            os.replace(new, target)
        except PermissionError:
            if time.monotonic() >= until:
                raise
            time.sleep(0.002)
        else:
            return


def library(path: str | None) -> Any:
    """A library of C functions that this process has loaded, or its own with None; None where that is not possible."""
    try:
        import ctypes

        return ctypes.CDLL(path)
    except (ImportError, OSError, TypeError):  # Python without ctypes; no such library; Windows has none of the process
        return None


def heap() -> tuple[int, int] | None:
    """The addresses where the memory begins and ends that C programs take small blocks from; None where that is unknown."""
    try:
        with open("/proc/self/maps", "rb") as maps:
            found = [line.split(maxsplit=1)[0].split(b"-") for line in maps if line.endswith(b" [heap]\n")]
    except OSError:
        return None
    return (int(found[0][0], 16), int(found[-1][1], 16)) if found else None


def limits_addresses() -> bool:
    """Whether this process may only have so many addresses (``ulimit -v``); False where the system does not tell."""
    try:
        import resource
    except ImportError:  # Windows
        return False
    return resource.getrlimit(resource.RLIMIT_AS)[0] != resource.RLIM_INFINITY


def lock(descriptor: int, shared: bool) -> bool | None:
    """Lock an open file, or return False if another process has locked it, and None if files cannot be locked."""
    if fcntl is None:
        return None
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # this file system has no locks
        return None
    return True


def kernel() -> str:
    """A name of the running kernel, which containers share; without Linux's, the name of the machine."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read()
    except OSError:
        return platform.node()


def after_fork(call: Callable[[], object]) -> None:
    """Make `call` in each child of a fork. Where processes cannot fork, nothing happens."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=call)


def let_others_run() -> None:
    """Offer the processor to another process or thread."""
    os.sched_yield() if hasattr(os, "sched_yield") else time.sleep(0)


def end_after(seconds: float) -> None:
    """End this process by a signal after so many seconds. Without timers of POSIX, it goes on."""
    import signal

    if hasattr(signal, "setitimer"):
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, seconds)
