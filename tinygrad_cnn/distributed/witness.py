"""A process beside the ranks of a host, which reports the rank that is killed and can say nothing itself.

Each rank holds a connection to the witness, which the kernel closes when the rank ends, and notes in shared memory where
it is. The first connection that is closed decides: a launcher kills the other ranks, too, but only milliseconds later.
Connections carry nothing to the witness after the first bytes, so the kernel lists them in the order in which they were
closed. A rank waits until the witness listens to it, so none is missing from that list.

Ranks import this file; the witness runs it as a program, so it imports nothing but the standard library.
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

NOTE = 256
"""Bytes for the note of a rank."""
NOBODY = 60.0
"""Seconds after which a witness ends that no rank has called."""
END = 5.0
"""Seconds after which a witness is ended that does not end by itself."""


class Call:
    """The connection of a rank to the witness of its host.

    Args:
        folder: as :func:`summon` gives it.
        place: the number of the rank among those that share the witness.
        process: the witness, for the rank that has started it.

    Raises:
        OSError: if there is no witness, or it does not answer within :data:`NOBODY` seconds.
    """

    def __init__(self, folder: str, place: int, process: subprocess.Popen[bytes] | None = None) -> None:
        self._process = process
        self._start = place * NOTE
        with open(Path(folder, "notes"), "r+b") as file:
            self._notes = mmap.mmap(file.fileno(), 0)
        self._connection = socket.socket(socket.AF_UNIX)
        try:
            self._connection.settimeout(NOBODY)
            self._connection.connect(f"{folder}/door")
            self._connection.sendall(place.to_bytes(4, "little"))
            # Only from the witness's answer on is this rank seen to end; those that it has not met yet would come after it.
            if not self._connection.recv(1):
                raise ConnectionError("the witness has ended")
        except OSError:
            self._connection.close()
            raise
        # A child would hold the connection open after the end of the rank.
        os.register_at_fork(after_in_child=self._connection.close)

    def note(self, text: str) -> None:
        """Keep what is to be reported if this rank ends now; nothing, if `text` is empty."""
        self._notes[self._start : self._start + NOTE] = text.encode()[:NOTE].ljust(NOTE, b"\0")

    def end(self) -> None:
        """Take leave: nothing is to be reported. The witness ends, too."""
        self.note("")
        self._connection.close()
        self._notes.close()
        if self._process is None:
            return
        try:
            self._process.wait(END)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def summon(failures: str, ranks: int) -> tuple[str, subprocess.Popen[bytes] | None]:
    """Start the witness of `ranks` ranks of this host: the folder by which they reach it, or "" where there can be none."""
    if not hasattr(socket, "AF_UNIX"):
        return "", None
    folder = ""
    try:
        folder = tempfile.mkdtemp(prefix="tinygrad_cnn-")
        with open(Path(folder, "notes"), "wb+") as notes, closing(socket.socket(socket.AF_UNIX)) as door:
            notes.write(bytes(NOTE * ranks))
            notes.flush()
            door.bind(f"{folder}/door")
            door.listen(ranks)
            files = door.fileno(), notes.fileno()
            process = subprocess.Popen(
                [sys.executable, "-I", "-S", __file__, *map(str, files), os.path.abspath(failures)], pass_fds=files,
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip
    except OSError:
        dismiss(folder)
        return "", None
    return folder, process


def dismiss(folder: str) -> None:
    """Remove the folder, once all ranks have called."""
    shutil.rmtree(folder, ignore_errors=True)


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0


def _attend(door: socket.socket, notes: mmap.mmap, failures: str) -> None:
    """Wait for the first rank to end, and report it if it left a note and nobody has reported anything."""
    before = _size(failures)
    selector = selectors.DefaultSelector()
    selector.register(door, selectors.EVENT_READ)
    while ready := selector.select(None if len(selector.get_map()) > 1 else NOBODY):
        for key, _ in ready:
            if key.data is None:
                rank, _ = door.accept()
                place = rank.recv(4)
                if not place:  # it has ended already
                    return
                selector.register(rank, selectors.EVENT_READ, int.from_bytes(place, "little") * NOTE)
                rank.sendall(b"1")
                continue
            text = notes[key.data : key.data + NOTE].rstrip(b"\0").decode(errors="ignore")
            if text and _size(failures) == before:
                now = time.strftime("%Y-%m-%d %H:%M:%S")
                with open(failures, "a") as file:
                    file.write(
                        f"{now} {text}, ended without a word, as the first on its host: it was killed, or crashed\n"
                    )
            return


if __name__ == "__main__":
    with suppress(OSError):
        _attend(socket.socket(fileno=int(sys.argv[1])), mmap.mmap(int(sys.argv[2]), 0), sys.argv[3])
