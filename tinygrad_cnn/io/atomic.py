"""Replacing a file in one stroke: whoever looks, at any moment, finds the old file or the new one, whole."""

from __future__ import annotations

import errno
import hashlib
import os
import platform
import re
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import BinaryIO

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

FOREIGN = 24 * 3600
"""Seconds after which the temporary file of another machine, whose locks may not be seen here, counts as left behind."""


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A new file to write to, which takes the place of `path` if the block ends well, and vanishes if it does not.

    It is made beside `path`, because a file can be renamed in one stroke only within a file system, and it reaches the
    disk before it gets its name. A symbolic link stays, and what it leads to is replaced; so do the permissions of a
    file that was there. A process that is killed leaves the new file behind, as ``.name.*.tmp``: the next one removes it.

    Raises:
        OSError: if the folder is not there, or the file cannot be written. The old file is then untouched.
    """
    target = path.resolve()
    if not target.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, "no such folder to save into; make it first", str(target.parent))
    known = target.exists()
    if known and not os.access(target, os.W_OK):
        raise PermissionError(errno.EACCES, "the file is there and read-only", str(target))
    new, file = _created(target)
    try:
        with file:
            _sweep(target, os.fstat(file.fileno()).st_mtime)
            if known:
                new.chmod(stat.S_IMODE(target.stat().st_mode))
            yield file
            file.flush()
            os.fsync(file.fileno())
            if fcntl is None:
                file.close()  # Windows does not rename open files; elsewhere the file stays locked until it has its name
            os.replace(new, target)
        _sync_folder(target.parent)
    except BaseException:
        new.unlink(missing_ok=True)
        raise


def _created(target: Path) -> tuple[Path, BinaryIO]:
    """A new file beside `target`, locked for as long as it is open."""
    while True:
        new = target.with_name(f"{_prefix(target)}{_machine()}-{secrets.token_hex(8)}.tmp")
        file = open(new, "xb")  # noqa: SIM115
        if _locked(file.fileno(), shared=False) is not False:
            return new, file
        file.close()  # another process took it for left behind, before it was locked


def _locked(descriptor: int, shared: bool) -> bool | None:
    """Whether an open file of ours is now locked and still has a name; None where files cannot be locked."""
    if fcntl is None:
        return None
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return os.fstat(descriptor).st_nlink > 0


def _sweep(target: Path, now: float) -> None:
    """Remove the new files of earlier savers to `target` that were killed.

    A saver holds a lock on its file, which ends with the process however that ends, so a file that can be locked has none.
    That is known for savers on the same running kernel; what others have is left alone until it is old, `now` being the
    time of their file system.
    """
    if fcntl is None:
        return
    form = re.compile(re.escape(_prefix(target)) + r"(?:(?P<machine>[0-9a-f]{8})-)?[0-9a-f]{16}\.tmp")
    with suppress(OSError), os.scandir(target.parent) as entries:
        for entry in entries:
            found = form.fullmatch(entry.name)
            if found and entry.is_file(follow_symlinks=False):
                with suppress(OSError):
                    _remove(entry.path, 0 if found["machine"] == _machine() else FOREIGN, now)


def _remove(path: str, least_age: float, now: float) -> None:
    """Remove a file that no process has locked and that was not written to for so many seconds."""
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    try:
        if _locked(descriptor, shared=True) and now - os.fstat(descriptor).st_mtime >= least_age:
            os.unlink(path)
    finally:
        os.close(descriptor)


def _prefix(target: Path) -> str:
    return f".{target.name[:40]}."


@cache
def _machine() -> str:
    """Eight digits for the running kernel, which containers share, and with it the locks on files."""
    try:
        name = Path("/proc/sys/kernel/random/boot_id").read_text()
    except OSError:
        name = platform.node()
    return hashlib.sha256(name.encode()).hexdigest()[:8]


def _sync_folder(folder: Path) -> None:
    """Let the new name reach the disk too, where that can be asked for: not on Windows, nor of a folder that may not be read.

    The file has its name by now, so nothing here makes the saving fail.
    """
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
