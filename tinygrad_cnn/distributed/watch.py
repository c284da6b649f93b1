"""Messages over MPI that never wait for ever: a rank that fails, ends or does not answer is named to all others.

Ranks tell each other of failures on a second communicator, to which every rank listens while it waits. A rank that has
waited too long asks all others where they are: one that is waiting, too, answers; one that is stopped or hangs does
not. A rank that is killed is reported by a witness, a process of its own.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from . import witness
from .communicator import DistributedError, Message, gather

SPIN = 200e-6
"""Seconds for which a rank looks for its messages without pause; longer waits leave the processor to others."""
LISTEN = 0.01
"""Seconds between two looks for failures."""
LATE = 1.0
"""Seconds that messages of a rank may still take after the rank has ended."""


class Link:
    """All ranks of an MPI communicator.

    Args:
        comm: the communicator; it is duplicated.
        timeout: within so many seconds all ranks end after one of them has stopped to answer. After 0.8 of them a rank
            that waits asks the others; a tenth is for their answers, and a tenth for all to print what they know.
    """

    def __init__(self, comm: Any, timeout: float) -> None:
        from mpi4py import MPI

        self._mpi = MPI
        self._data, self._control = comm.Dup(), comm.Dup()
        self.rank, self.size, self._timeout = comm.rank, comm.size, timeout
        self._host = MPI.Get_processor_name()
        self._hosts = dict.fromkeys(range(self.size), "an unknown host")
        self._call: witness.Call | None = None
        self.at = "before the first step"
        self.failures: Path | None = None
        self._sent: list[Any] = []  # messages about failures, whose memory must live until they are received
        self._answers: dict[int, str] = {}
        self._ended: dict[int, tuple[float, str]] = {}  # when and how ranks have ended
        self._failure: str | None = None
        self._failed = False
        atexit.register(self._leave)
        for rank in self._others():
            self._tell(rank, "host", self._host)

    def _others(self) -> list[int]:
        return [rank for rank in range(self.size) if rank != self.rank]

    @property
    def at(self) -> str:
        """Where this rank is, in words."""
        return self._at

    @at.setter
    def at(self, text: str) -> None:
        self._at = text
        if self._call is not None:
            self._call.note(f"rank {self.rank} on {self._host}, {text}")

    # Data

    def post(self, sends: Sequence[Message], receives: Sequence[Message]) -> tuple[list[Any], list[int]]:
        """Begin to send and to receive."""
        with self._errors():
            requests = [self._data.Irecv(buffer, source=rank) for rank, buffer in receives]
            requests += [self._data.Isend(buffer, dest=rank) for rank, buffer in sends]
        return requests, [rank for rank, _ in (*receives, *sends)]

    def wait(self, posted: tuple[list[Any], list[int]]) -> None:
        """Wait until what was posted is done; DistributedError if a rank fails, or does not answer in time."""
        requests, ranks = posted
        with self._errors():
            if self._mpi.Request.Testall(requests):
                return
            began = listened = time.monotonic()
            while not self._mpi.Request.Testall(requests):
                now = time.monotonic()
                if now - listened > LISTEN:
                    listened = now
                    self._listen()
                    waiting_for = {rank for r, rank in zip(requests, ranks, strict=True) if r != self._mpi.REQUEST_NULL}
                    self._look_at_the_ended(waiting_for, now)
                    if now - began > 0.8 * self._timeout:
                        self._ask()
                        began = time.monotonic()
                if now - began < SPIN:
                    os.sched_yield() if hasattr(os, "sched_yield") else time.sleep(0)
                else:
                    time.sleep(min(1e-3, (now - began) / 10))

    @contextlib.contextmanager
    def _errors(self) -> Any:
        """MPI's own errors, where a process it talks to is gone, as ours."""
        try:
            yield
        except self._mpi.Exception as error:
            self._end(f"rank {self.rank} on {self._host}, {self.at}: MPI cannot reach another rank: {error}", tell=True)

    # Failures

    def _tell(self, rank: int, kind: str, text: str = "") -> None:
        message = f"{kind}:{text}".encode()
        with contextlib.suppress(self._mpi.Exception):
            self._sent.append((self._control.Isend(np.frombuffer(message, np.uint8), dest=rank), message))

    def _listen(self) -> None:
        """Read what other ranks tell; DistributedError if it is a failure."""
        status = self._mpi.Status()
        while self._control.Iprobe(status=status):
            rank = status.Get_source()
            message = np.empty(status.Get_count(self._mpi.BYTE), np.uint8)
            self._control.Recv(message, source=rank)
            kind, _, text = message.tobytes().decode().partition(":")
            if kind == "host":
                self._hosts[rank] = text
            elif kind == "where":
                self._tell(rank, "here", self.at)
            elif kind == "here":
                self._answers[rank] = text
            elif kind == "ended":
                self._ended[rank] = time.monotonic(), text
            elif self._failure is None:
                self._failure = text
        if self._failure is not None and not self._failed:
            self._end(self._failure)

    def _look_at_the_ended(self, waiting_for: set[int], now: float) -> None:
        for rank in sorted(waiting_for & self._ended.keys()):
            when, text = self._ended[rank]
            if now - when > LATE:
                self._end(f"{text}, while rank {self.rank} waits for it, {self.at}", tell=True)

    def _ask(self) -> None:
        """Find out who does not answer. Where all do, they wait for different things."""
        self._answers.clear()
        for rank in self._others():
            self._tell(rank, "where")
        until = time.monotonic() + 0.1 * self._timeout
        while len(self._answers) < self.size - 1 and time.monotonic() < until:
            self._listen()
            time.sleep(LISTEN)
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
        self._end(text, tell=True)

    def _end(self, text: str, tell: bool = False) -> None:
        """Raise DistributedError with this text, after telling it to the other ranks."""
        self._failed = True
        self._failure = text
        if tell:
            for rank in self._others():
                self._tell(rank, "failed", text)
        self._report(text)
        raise DistributedError(text)

    def call_witness(self) -> None:
        """Let it be reported, too, if this rank is killed: in rank 0's file of failures, which becomes that of all."""
        self.leave_witness()
        data = gather(self, f"{self._host}\0{self.failures or ''}".encode())
        hosts, files = zip(*(part.decode().split("\0") for part in data), strict=True)
        if not files[0]:
            return
        self.failures = Path(files[0])
        neighbours = [rank for rank, host in enumerate(hosts) if host == self._host]
        is_first = neighbours[0] == self.rank
        folder, process = witness.summon(files[0], len(neighbours)) if is_first else ("", None)
        try:
            where = gather(self, folder.encode())[neighbours[0]].decode()
            if where:
                with contextlib.suppress(OSError):  # training goes on without it
                    self._call = witness.Call(where, neighbours.index(self.rank), process)
            called = gather(self, b"" if self._call is None else b"called")
        finally:
            witness.dismiss(folder)
            if process is not None and self._call is None:
                process.kill()
                process.wait()
        if all(called[rank] for rank in neighbours):
            self.at = self.at
        else:  # it would take another rank for the first
            self.leave_witness()

    def leave_witness(self) -> None:
        """Tell it that this rank needs no report any more."""
        if self._call is not None:
            self._call.end()
            self._call = None

    def fail(self, error: BaseException) -> None:
        """Tell the other ranks that this one ends with an error."""
        if self._failed:  # they know
            return
        self._failed = True
        text = f"rank {self.rank} on {self._host}, {self.at}, raised {type(error).__name__}: {error}"
        for rank in self._others():
            self._tell(rank, "failed", text)
        self._report(text)

    def _report(self, text: str) -> None:
        """Append a line to the file of failures: a launcher may end all ranks before what they print is shown."""
        if self.failures is not None:
            line = f"{time.strftime('%Y-%m-%d %H:%M:%S')} rank {self.rank} on {self._host}: {text}\n"
            with contextlib.suppress(OSError), open(self.failures, "a") as file:
                file.write(line)

    def _leave(self) -> None:
        """At the end of the process: tell the others, and end them all if there was a failure, once they had time to print."""
        self.leave_witness()
        if self._mpi.Is_finalized():
            return
        error = getattr(sys, "last_value", None)
        how = f" with {type(error).__name__}: {error}" if error is not None else ""
        for rank in self._others():
            self._tell(rank, "ended", f"rank {self.rank} on {self._host} ended{how}, {self.at}")
        if not self._failed:
            return
        until = time.monotonic() + 0.1 * self._timeout
        with contextlib.suppress(DistributedError, self._mpi.Exception):
            while len(self._ended) < self.size - 1 and time.monotonic() < until:
                self._listen()
                time.sleep(LISTEN)
        sys.stdout.flush()
        sys.stderr.flush()
        self._control.Abort(1)
