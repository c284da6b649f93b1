"""Play a system without what only some have, before the package is imported: ``pytest -p tests.elsewhere``.

Modules, functions and constants of Linux are absent, ``/proc`` cannot be read, and as on Windows an open file is neither
renamed, replaced nor removed. With ``PYTHONWARNDEFAULTENCODING=1`` a text file that is opened without an encoding is an error:
elsewhere it would be read in another code page.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from pathlib import Path

MODULES = ("ctypes", "fcntl", "grp", "pwd", "resource", "termios", "scipy", "numba")  # the last two need the first
NAMES = {
    os: "fork forkpty register_at_fork sched_yield sched_getaffinity O_NOFOLLOW O_NONBLOCK mkfifo",
    signal: "SIGALRM setitimer alarm SIGHUP SIGKILL SIGQUIT SIGUSR1",
    socket: "AF_UNIX",
}


def remove() -> None:
    """Remove what another system lacks. There is no way back: this is for a process of its own."""
    for name in MODULES:
        sys.modules[name] = None  # type: ignore[assignment]
    for module, names in NAMES.items():
        for name in names.split():
            vars(module).pop(name, None)
    sys.addaudithook(_refuse)


def _refuse(event: str, arguments: tuple[object, ...]) -> None:
    if event == "open" and str(arguments[0]).startswith("/proc/"):
        raise FileNotFoundError(2, "there is no /proc", str(arguments[0]))
    if event in ("os.rename", "os.remove"):
        for path in arguments[: 2 if event == "os.rename" else 1]:
            if isinstance(path, str | os.PathLike) and _is_open(os.path.realpath(path)):
                raise PermissionError(13, "another handle has this file open", str(path))


def _is_open(path: str) -> bool:
    """Whether this process has the file open."""
    for entry in Path("/proc/self/fd").iterdir():
        try:
            if os.readlink(entry) == path:
                return True
        except OSError:  # the descriptor that lists the folder
            continue
    return False


remove()
