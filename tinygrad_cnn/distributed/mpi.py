"""Messages over MPI with failure detection: if a rank fails, ends or does not answer, all others raise an error that names it.

Ranks report failures on a second communicator, which every rank polls while it waits. After a timeout a waiting rank
asks all others for their status. Ranks that are waiting answer; a rank that is stopped or hangs does not. A killed rank
is reported by the monitor of its host, a separate process.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
import time
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from . import monitor
from .communicator import DistributedError, Message, gather

SPIN = 200e-6
"""Seconds of busy waiting for messages; after that a rank sleeps between polls."""
POLL = 0.01
"""Seconds between two polls for failures."""
LATE = 1.0
"""Seconds within which messages of a rank may still arrive after it has ended."""


class MPICommunicator:
    """All ranks of an MPI communicator.

    Args:
        comm: the communicator; it is duplicated.
        timeout: the seconds within which all ranks end after one has stopped explain_keywords. After 0.8 of the timeout a
            waiting rank asks the others. They have 0.1 to answer, and 0.1 to print their errors.
    """

    def __init__(self, comm: Any, timeout: float) -> None:
        from mpi4py import MPI

        self._mpi = MPI
        self._data, self._control = comm.Dup(), comm.Dup()
        self.rank, self.size, self._timeout = comm.rank, comm.size, timeout
        self._host = MPI.Get_processor_name()
        self._hosts = dict.fromkeys(range(self.size), "an unknown host")
        self._monitor: monitor.Connection | None = None
        self.at = "before the first step"
        self.failures: Path | None = None
        self._sent: list[Any] = []  # control messages: their memory must not be freed before they are received
        self._answers: dict[int, str] = {}
        self._ended: dict[int, tuple[float, str]] = {}  # when and how ranks ended
        self._failure: str | None = None
        self._failed = False
        atexit.register(self._at_exit)
        for rank in self._others():
            self._send(rank, "host", self._host)

    def _others(self) -> list[int]:
        return [rank for rank in range(self.size) if rank != self.rank]

    @property
    def at(self) -> str:
        """Where this rank is, in words."""
        return self._at

    @at.setter
    def at(self, text: str) -> None:
        self._at = text
        self._tag = zlib.crc32(text.encode()) % 32768  # as many tags as every MPI has
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
            start = polled = time.monotonic()
            while not self._mpi.Request.Testall(requests):
                now = time.monotonic()
                if now - polled > POLL:
                    polled = now
                    self._receive()
                    waiting_for = {rank for r, rank in zip(requests, ranks, strict=True) if r != self._mpi.REQUEST_NULL}
                    self._check_ended(waiting_for, now)
                    if now - start > 0.8 * self._timeout:
                        self._ask()
                        start = time.monotonic()
                if now - start < SPIN:
                    os.sched_yield() if hasattr(os, "sched_yield") else time.sleep(0)
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

    def _send(self, rank: int, kind: str, text: str = "") -> None:
        message = f"{kind}:{text}".encode()
        with contextlib.suppress(self._mpi.Exception):
            self._sent.append((self._control.Isend(np.frombuffer(message, np.uint8), dest=rank), message))

    def _receive(self) -> None:
        """Receive control messages; DistributedError if one reports a failure."""
        status = self._mpi.Status()
        while self._control.Iprobe(status=status):
            rank = status.Get_source()
            message = np.empty(status.Get_count(self._mpi.BYTE), np.uint8)
            self._control.Recv(message, source=rank)
            kind, _, text = message.tobytes().decode().partition(":")
            if kind == "host":
                self._hosts[rank] = text
            elif kind == "where":
                self._send(rank, "here", self.at)
            elif kind == "here":
                self._answers[rank] = text
            elif kind == "ended":
                self._ended[rank] = time.monotonic(), text
            elif self._failure is None:
                self._failure = text
        if self._failure is not None and not self._failed:
            self._raise(self._failure)

    def _check_ended(self, waiting_for: set[int], now: float) -> None:
        for rank in sorted(waiting_for & self._ended.keys()):
            when, text = self._ended[rank]
            if now - when > LATE:
                self._raise(f"{text}, while rank {self.rank} waits for it, {self.at}", tell=True)

    def _ask(self) -> None:
        """Find the ranks that do not answer. If all answer, they wait for different messages."""
        self._answers.clear()
        for rank in self._others():
            self._send(rank, "where")
        until = time.monotonic() + 0.1 * self._timeout
        while len(self._answers) < self.size - 1 and time.monotonic() < until:
            self._receive()
            time.sleep(POLL)
        silent = [rank for rank in self._others() if rank not in self._answers]
        if not silent and all(text == self.at for text in self._answers.values()):
            return  # the messages are slow
        if silent:
            names = " and ".join(f"rank {rank} on {self._hosts[rank]}" for rank in silent)
            text = (
                f"{names} did not answer for {self._timeout:g} s; rank {self.rank} on {self._host} waits {self.at}. It is "
                "stopped, or hangs, or its step takes longer: then give World a larger `timeout`"
            )
        else:
            places = ", ".join(
                f"rank {rank} {text}" for rank, text in sorted({**self._answers, self.rank: self.at}.items())
            )
            text = (
                f"the ranks wait for different things: {places}. Every rank must make the same calls in the same order"
            )
        self._raise(text, tell=True)

    def _raise(self, text: str, tell: bool = False) -> None:
        """Raise DistributedError with this text. With `tell`, first send it to the other ranks."""
        self._failed = True
        self._failure = text
        if tell:
            for rank in self._others():
                self._send(rank, "failed", text)
        self._report(text)
        raise DistributedError(text)

    def start_monitor(self) -> None:
        """Connect to a monitor, which reports this rank if it is killed. All ranks use rank 0's file of failures."""
        self.stop_monitor()
        data = gather(self, f"{self._host}\0{self.failures or ''}".encode())
        hosts, files = zip(*(part.decode().split("\0") for part in data), strict=True)
        if not files[0]:
            return
        self.failures = Path(files[0])
        neighbours = [rank for rank, host in enumerate(hosts) if host == self._host]
        is_first = neighbours[0] == self.rank
        folder, process = monitor.start_monitor(files[0], len(neighbours)) if is_first else ("", None)
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
        if self._failed:  # it was reported before
            return
        self._failed = True
        text = f"rank {self.rank} on {self._host}, {self.at}, raised {type(error).__name__}: {error}"
        for rank in self._others():
            self._send(rank, "failed", text)
        self._report(text)

    def _report(self, text: str) -> None:
        """Append a line to the file of failures. A launcher may kill all ranks before it shows their output."""
        if self.failures is not None:
            line = f"{time.strftime('%Y-%m-%d %H:%M:%S')} rank {self.rank} on {self._host}: {text}\n"
            with contextlib.suppress(OSError), open(self.failures, "a") as file:
                file.write(line)

    def _at_exit(self) -> None:
        """Tell the other ranks that this one ends. After a failure, abort all ranks when they have had time to print."""
        self.stop_monitor()
        if self._mpi.Is_finalized():
            return
        if isinstance(error := getattr(sys, "last_value", None), Exception):
            self.fail(error)  # it was raised in a loop of the user's own
        for rank in self._others():
            self._send(rank, "ended", f"rank {self.rank} on {self._host} ended, {self.at}")
        if not self._failed:
            return
        until = time.monotonic() + 0.1 * self._timeout
        with contextlib.suppress(DistributedError, self._mpi.Exception):
            while len(self._ended) < self.size - 1 and time.monotonic() < until:
                self._receive()
                time.sleep(POLL)
        sys.stdout.flush()
        sys.stderr.flush()
        self._control.Abort(1)
