"""Atomic replacement of a file: at any moment, its name leads to the complete old file or the complete new one."""

import errno
import hashlib
import os
import re
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import BinaryIO

from ..system import LOCKS, kernel, lock, replace

FOREIGN = 24 * 3600
"""Seconds after which the temporary file of another machine, whose locks may be invisible here, counts as abandoned."""


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A new file to write to. It replaces `path` at the end of the block, or is removed after an exception.

    The file is in the folder of `path`, since a rename is atomic only within a file system, and it is on the disk before the
    rename. A symbolic link is kept and its target replaced; the permissions of an old file are kept. A process that is killed
    leaves the new file as ``.name.*.tmp``, which the next call removes.

    Raises:
        OSError: if the folder does not exist, `path` exists and is not a file but a folder or a device, or the file cannot
            be written: it names the file, also where the disk is full. The old file is unchanged then.
    """
    target = path.resolve()
    if not target.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, "no such folder to save into; make it first", str(target.parent))
    known = target.exists()
    if known and not target.is_file():
        what = "a folder" if target.is_dir() else "a device or a pipe"
        raise OSError(errno.EISDIR if target.is_dir() else errno.EINVAL, f"it is {what}, not a file", str(target))
    if known and not os.access(target, os.W_OK):
        raise PermissionError(errno.EACCES, "the file is there and read-only", str(target))
    new, file = _created(target)
    try:
        with file:
            _sweep(target, os.fstat(file.fileno()).st_mtime)
            if known and (mode := stat.S_IMODE(target.stat().st_mode)) != stat.S_IMODE(new.stat().st_mode):
                new.chmod(mode)  # some file systems have no modes of their own, and refuse any change
            yield file
            file.flush()
            os.fsync(file.fileno())
            if not LOCKS:
                file.close()  # Windows does not rename open files; elsewhere the file is locked until the rename
            replace(new, target)
        _sync_folder(target.parent)
    except BaseException as error:
        new.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno and error.filename is None:  # such as a full disk
            error.filename = str(target)
        raise


def _created(target: Path) -> tuple[Path, BinaryIO]:
    """A new file beside `target`, locked while it is open."""
    while True:
        new = target.with_name(f"{_prefix(target)}{_machine()}-{secrets.token_hex(8)}.tmp")
        file = open(new, "xb")  # noqa: SIM115
        if _locked(file.fileno(), shared=False) is not False:
            return new, file
        file.close()  # another process has removed it as abandoned, before it was locked


def _locked(descriptor: int, shared: bool) -> bool | None:
    """Lock an open file; return whether that succeeded and the file still has a name, or None if files cannot be locked."""
    locked = lock(descriptor, shared)
    return os.fstat(descriptor).st_nlink > 0 if locked else locked


def _sweep(target: Path, now: float) -> None:
    """Remove the temporary files of killed processes that were to replace `target`.

    A process holds a lock on its file until it ends, so a file that can be locked is abandoned. Only the locks of this running
    kernel can be seen: other files are removed when they are old at `now`, the time of their file system.
    """
    if not LOCKS:
        return
    form = re.compile(re.escape(_prefix(target)) + r"(?:(?P<machine>[0-9a-f]{8})-)?[0-9a-f]{16}\.tmp")
    with suppress(OSError), os.scandir(target.parent) as entries:
        for entry in entries:
            found = form.fullmatch(entry.name)
            if found and entry.is_file(follow_symlinks=False):
                with suppress(OSError):
                    _remove(entry.path, 0 if found["machine"] == _machine() else FOREIGN, now)


def _remove(path: str, least_age: float, now: float) -> None:
    """Remove a file that no process has locked, and that was last written at least `least_age` seconds ago."""
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
    """Eight digits for the running kernel. Containers share the kernel and its locks."""
    return hashlib.sha256(kernel().encode()).hexdigest()[:8]


def _sync_folder(folder: Path) -> None:
    """Write the new name to the disk, too."""
    with suppress(OSError):  # not on Windows, nor in a folder that may not be read; the file has its name in any case
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
