"""Messages over MPI with failure detection: if a rank fails, ends or does not answer, all others raise an error that names it.

Ranks report failures by control messages, which every rank polls while it waits. After a timeout a waiting rank
asks all others for their status. Ranks that are waiting answer; a rank that is stopped or hangs does not. A killed rank
is reported by the monitor of its host, a separate process.
"""

from __future__ import annotations

import atexit
import contextlib
import sys
import time
import zlib
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Any

from ...system import let_others_run
from . import monitor
from .communicator import DistributedError, Message, gather
from .control import POLL, Control

SPIN = 200e-6
"""Seconds of busy waiting for messages; after that a rank sleeps between polls."""
LATE = 1.0
"""Seconds within which messages of a rank may still arrive after it has ended."""


class MPICommunicator:
    """All ranks of an MPI communicator.

    Args:
        comm: the communicator; it is duplicated for the first World.
        timeout: the seconds within which all ranks end after one has stopped answering. After 0.8 of the timeout a
            waiting rank asks the others. They have 0.1 of it to answer, and 0.1 to print their errors.
    """

    def __init__(self, comm: Any, timeout: float) -> None:
        from mpi4py import MPI

        self._mpi = MPI
        self.control, self._data, self._number = _connection(comm)
        self.rank, self.size, self._timeout = comm.rank, comm.size, timeout
        self.control.patience = max(self.control.patience, 0.1 * timeout)
        self._host = self.control.hosts[self.rank]
        self._monitor: monitor.Connection | None = None
        self.at = "before the first step"
        self.failures: Path | None = None
        atexit.register(self._at_exit)

    @property
    def at(self) -> str:
        """Where this rank is, in words."""
        return self._at

    @at.setter
    def at(self, text: str) -> None:
        self._at = text
        self._place = self.control.at = f"{text}, of World number {self._number}" if self._number > 1 else text
        self._tag = zlib.crc32(self._place.encode()) % 32768  # as many tags as every MPI has
        if self._monitor is not None:
            self._monitor.set_status(f"rank {self.rank} on {self._host}, {text}")

    # Data

    def post(self, sends: Sequence[Message], receives: Sequence[Message]) -> tuple[list[Any], list[int]]:
        """Start to send and to receive. By its tag a message reaches only a rank that is at the same place."""
        with self._errors():
            requests = [self._data.Irecv(buffer, rank, self._tag) for rank, buffer in receives]
            requests += [self._data.Isend(buffer, rank, self._tag) for rank, buffer in sends]
        return requests, [rank for rank, _ in (*receives, *sends)]

    def wait(self, posted: tuple[list[Any], list[int]]) -> None:
        """Wait until the posted messages are complete; DistributedError if a rank fails, or does not answer in time."""
        requests, ranks = posted
        with self._errors():
            if self._mpi.Request.Testall(requests):
                return
            self.control.at = self._place
            start = polled = time.monotonic()
            ask, suspected = start + 0.8 * self._timeout, None
            while not self._mpi.Request.Testall(requests):
                now = time.monotonic()
                if now - polled > POLL:
                    polled = now
                    self._check_failure()
                    waiting_for = {rank for r, rank in zip(requests, ranks, strict=True) if r != self._mpi.REQUEST_NULL}
                    self._check_ended(waiting_for, now)
                    if now > ask:
                        suspected, ask = self._ask(suspected)
                if now - start < SPIN:
                    let_others_run()
                else:
                    time.sleep(min(1e-3, (now - start) / 10))

    @contextlib.contextmanager
    def _errors(self) -> Any:
        """Convert an exception of MPI, which it raises if the other process is gone, to a DistributedError."""
        try:
            yield
        except self._mpi.Exception as error:
            self._raise(
                f"rank {self.rank} on {self._host}, {self.at}: MPI cannot reach another rank, or ranks exchange arrays of "
                f"different lengths: {error}", tell=True,
            )  # fmt: skip

    # Failures

    def _check_failure(self) -> None:
        """Receive control messages; DistributedError if one reports a failure."""
        self.control.receive()
        if self.control.failure is not None and not self.control.failed:
            self._raise(self.control.failure)

    def _check_ended(self, waiting_for: set[int], now: float) -> None:
        for rank in sorted(waiting_for & self.control.ended.keys()):
            when, text = self.control.ended[rank]
            if now - when > LATE:
                self._raise(f"{text}, while rank {self.rank} waits for it, {self.at}", tell=True)

    def _ask(self, suspected: dict[int, str] | None) -> tuple[dict[int, str] | None, float]:
        """Ask the other ranks where they are. Raise if one does not answer, or if they differ as they did the time before.

        Args:
            suspected: where the ranks were the time before, if they differed. A rank that was merely late has moved since.

        Returns:
            Where the ranks are, or None if all are at the same place; and when to ask again.
        """
        answers = self.control.answers
        answers.clear()
        self.control.send_all("where")
        until = time.monotonic() + 0.1 * self._timeout
        while (silent := self._silent()) and time.monotonic() < until:
            self._check_failure()
            time.sleep(POLL)
        places = {**answers, self.rank: self._place}
        if silent:
            names = " and ".join(f"rank {rank} on {self.control.hosts[rank]}" for rank in silent)
            self._raise(
                f"{names} did not answer for {self._timeout:g} s; rank {self.rank} on {self._host} waits {self.at}. It is "
                "stopped, or hangs, or its step takes longer: then give World a larger `timeout`", tell=True,
            )  # fmt: skip
        if len(set(places.values())) == 1:  # the messages are slow
            return None, time.monotonic() + 0.8 * self._timeout
        if places == suspected:
            where = ", ".join(f"rank {rank} {text}" for rank, text in sorted(places.items()))
            self._raise(
                f"the ranks wait for different things: {where}. Every rank must make the same calls in the same order",
                tell=True,
            )  # fmt: skip
        return places, time.monotonic() + 0.05 * self._timeout

    def _silent(self) -> list[int]:
        """The ranks that have neither answered nor ended."""
        return [rank for rank in self.control.others if rank not in {**self.control.answers, **self.control.ended}]

    def _raise(self, text: str, tell: bool = False) -> None:
        """Raise DistributedError with this text. With `tell`, first send it to the other ranks."""
        self.control.failed = True
        self.control.failure = text
        if tell:
            self.control.send_all("failed", text)
        self._report(text)
        raise DistributedError(text)

    def start_monitor(self) -> None:
        """Connect to a monitor, which reports this rank if it is killed. All ranks use rank 0's file of failures."""
        self.stop_monitor()
        file = gather(self, str(self.failures or "").encode())[0].decode()
        if not file:
            return
        self.failures = Path(file)
        neighbours = [rank for rank, host in enumerate(self.control.hosts) if host == self._host]
        is_first = neighbours[0] == self.rank
        folder, process = monitor.start_monitor(file, len(neighbours)) if is_first else ("", None)
        try:
            where = gather(self, folder.encode())[neighbours[0]].decode()
            if where:
                with contextlib.suppress(OSError):  # training continues without a monitor
                    self._monitor = monitor.Connection(where, neighbours.index(self.rank), process)
            connected = gather(self, b"" if self._monitor is None else b"connected")
        finally:
            monitor.remove_folder(folder)
            if process is not None and self._monitor is None:
                process.kill()
                process.wait()
        if all(connected[rank] for rank in neighbours):
            self.at = self.at
        else:  # the monitor could report another rank as the first
            self.stop_monitor()

    def stop_monitor(self) -> None:
        """Disconnect from the monitor, which then reports nothing."""
        if self._monitor is not None:
            self._monitor.close()
            self._monitor = None

    def fail(self, error: BaseException) -> None:
        """Report to the other ranks that this one ends with an error."""
        if self.control.failed:  # it was reported before
            return
        self.control.failed = True
        text = f"rank {self.rank} on {self._host}, {self.at}, raised {type(error).__name__}: {error}"
        self.control.send_all("failed", text)
        self._report(text)

    def _report(self, text: str) -> None:
        """Append a line to the file of failures. A launcher may kill all ranks before it shows their output."""
        if self.failures is not None:
            line = f"{time.strftime('%Y-%m-%d %H:%M:%S')} rank {self.rank} on {self._host}: {text}\n"
            with contextlib.suppress(OSError), open(self.failures, "a", encoding="utf-8") as file:
                file.write(line)

    def _at_exit(self) -> None:
        """Report the error with which the program ends, if it was raised in a loop of the user's own."""
        self.stop_monitor()
        if not self._mpi.Is_finalized() and isinstance(error := getattr(sys, "last_value", None), Exception):
            self.fail(error)


_connections: list[tuple[Control, Any]] = []
"""The control messages, and the communicator for data, of this process."""
_numbers = count(1)


def _connection(comm: Any) -> tuple[Control, Any, int]:
    """What the Worlds of this process share, and the number of this one. All ranks call this together.

    MPI has only some 2,000 communicators. After a failure there may be messages that nobody will receive, so the next
    World gets new ones.
    """
    from mpi4py import MPI

    is_new = not _connections or _connections[-1][0].failed
    states = comm.allgather((MPI.Get_processor_name(), is_new))
    hosts, news = zip(*states, strict=True)
    if any(news):
        _connections.append((Control(comm.Dup(), [*hosts]), comm.Dup()))
    return *_connections[-1], next(_numbers)
