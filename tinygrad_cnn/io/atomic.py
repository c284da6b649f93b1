"""Replacing a file in one stroke: whoever looks, at any moment, finds the old file or the new one, whole."""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A new file to write to, which takes the place of `path` if the block ends well, and vanishes if it does not.

    It is made beside `path`, because a file can be renamed in one stroke only within a file system, and it reaches the
    disk before it gets its name. A symbolic link stays, and what it leads to is replaced; so do the permissions of a
    file that was there. A process that is killed may leave the new file behind, as ``.name.*.tmp``.

    Raises:
        OSError: if the folder is not there, or the file cannot be written. The old file is then untouched.
    """
    target = path.resolve()
    if not target.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, "no such folder to save into; make it first", str(target.parent))
    known = target.exists()
    if known and not os.access(target, os.W_OK):
        raise PermissionError(errno.EACCES, "the file is there and read-only", str(target))
    new = target.with_name(f".{target.name[:40]}.{secrets.token_hex(8)}.tmp")
    file = open(new, "xb")  # noqa: SIM115
    try:
        with file:
            if known:
                new.chmod(stat.S_IMODE(target.stat().st_mode))
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(new, target)
        _sync_folder(target.parent)
    except BaseException:
        new.unlink(missing_ok=True)
        raise


def _sync_folder(folder: Path) -> None:
    """Let the new name reach the disk too. Only POSIX opens folders."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
