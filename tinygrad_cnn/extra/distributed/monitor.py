"""A process that monitors the ranks of one host, and reports a rank that was killed and could not report it itself.

Each rank is connected to the monitor by a socket, which the kernel closes when the rank ends, and writes its status to
shared memory. The monitor reports the rank whose connection was closed first: the launcher then kills the other ranks,
but only milliseconds later. Ranks send nothing after the first bytes, so the kernel lists the connections in the order
in which they were closed. A rank waits until the monitor has accepted its connection, so no rank is missing from that
list.

Ranks import this file, and the monitor runs it as a program, so it imports only the standard library.
"""

from __future__ import annotations

import mmap
import os
import selectors
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import closing, suppress
from pathlib import Path

STATUS_SIZE = 256
"""Bytes of shared memory for the status of a rank."""
CONNECT_TIMEOUT = 60.0
"""Seconds that a rank waits for the monitor to accept, and the monitor for the first rank to connect."""
EXIT_TIMEOUT = 5.0
"""Seconds after which a monitor that does not exit is killed."""


class Connection:
    """The connection of a rank to the monitor of its host.

    Args:
        folder: from :func:`start_monitor`.
        index: the number of the rank among the ranks of this host.
        process: the monitor, on the rank that started it.

    Raises:
        OSError: if there is no monitor, or it does not accept within :data:`CONNECT_TIMEOUT` seconds.
    """

    def __init__(self, folder: str, index: int, process: subprocess.Popen[bytes] | None = None) -> None:
        self._process = process
        self._start = index * STATUS_SIZE
        with open(Path(folder, "status"), "r+b") as file:
            self._status = mmap.mmap(file.fileno(), 0)
        self._socket = socket.socket(socket.AF_UNIX)
        try:
            self._socket.settimeout(CONNECT_TIMEOUT)
            self._socket.connect(f"{folder}/socket")
            self._socket.sendall(index.to_bytes(4, "little"))
            # If this rank ended before the monitor accepts, another rank could be reported as the first.
            if not self._socket.recv(1):
                raise ConnectionError("the monitor has exited")
        except OSError:
            self._socket.close()
            raise
        # A child process would keep the connection open after this rank has ended.
        os.register_at_fork(after_in_child=self._socket.close)

    def set_status(self, text: str) -> None:
        """Set what the monitor reports if this rank is killed now. With an empty text it reports nothing."""
        self._status[self._start : self._start + STATUS_SIZE] = text.encode()[:STATUS_SIZE].ljust(STATUS_SIZE, b"\0")

    def close(self) -> None:
        """Close the connection without a report. The monitor exits."""
        self.set_status("")
        self._socket.close()
        self._status.close()
        if self._process is None:
            return
        try:
            self._process.wait(EXIT_TIMEOUT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def start_monitor(failures: str, ranks: int) -> tuple[str, subprocess.Popen[bytes] | None]:
    """Start the monitor for `ranks` ranks of this host.

    Returns:
        The folder with its socket and the status of the ranks, and the process; "" and None if it cannot be started.
    """
    if not hasattr(socket, "AF_UNIX"):
        return "", None
    folder = ""
    try:
        folder = tempfile.mkdtemp(prefix="tinygrad_cnn-")
        with open(Path(folder, "status"), "wb+") as status, closing(socket.socket(socket.AF_UNIX)) as listener:
            status.write(bytes(STATUS_SIZE * ranks))
            status.flush()
            listener.bind(f"{folder}/socket")
            listener.listen(ranks)
            files = listener.fileno(), status.fileno()
            process = subprocess.Popen(
                [sys.executable, "-I", "-S", __file__, *map(str, files), os.path.abspath(failures)], pass_fds=files,
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip
    except OSError:
        remove_folder(folder)
        return "", None
    return folder, process


def remove_folder(folder: str) -> None:
    """Remove the folder of a monitor. Connected ranks do not need it."""
    shutil.rmtree(folder, ignore_errors=True)


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0


def _monitor(listener: socket.socket, status: mmap.mmap, failures: str) -> None:
    """Wait until a rank ends. Report it if it has a status and no rank has written to the file of failures."""
    before = _size(failures)
    selector = selectors.DefaultSelector()
    selector.register(listener, selectors.EVENT_READ)
    while ready := selector.select(None if len(selector.get_map()) > 1 else CONNECT_TIMEOUT):
        for key, _ in ready:
            if key.data is None:
                rank, _ = listener.accept()
                index = rank.recv(4)
                if not index:  # the rank has already ended
                    return
                selector.register(rank, selectors.EVENT_READ, int.from_bytes(index, "little") * STATUS_SIZE)
                rank.sendall(b"1")
                continue
            text = status[key.data : key.data + STATUS_SIZE].rstrip(b"\0").decode(errors="ignore")
            if text and _size(failures) == before:
                now = time.strftime("%Y-%m-%d %H:%M:%S")
                with open(failures, "a", encoding="utf-8") as file:
                    file.write(
                        f"{now} {text}, was the first rank of its host to end, and reported no error: it was killed, or "
                        "crashed\n"
                    )
            return


if __name__ == "__main__":
    with suppress(OSError):
        _monitor(socket.socket(fileno=int(sys.argv[1])), mmap.mmap(int(sys.argv[2]), 0), sys.argv[3])
