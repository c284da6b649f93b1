"""Control messages: how the ranks of a run report failures to each other. All Worlds of a process share them."""

from __future__ import annotations

import atexit
import signal
import sys
import time
from typing import Any

import numpy as np

POLL = 0.01
"""Seconds between two polls for control messages."""
ABORT_TIMEOUT = 1.0
"""Seconds after which a rank that cannot abort the others ends alone."""


class Control:
    """The control messages between this rank and the others.

    Args:
        comm: a communicator for these messages only.
        hosts: the name of every rank's host.
    """

    def __init__(self, comm: Any, hosts: list[str]) -> None:
        from mpi4py import MPI

        self._mpi, self._comm, self.hosts = MPI, comm, hosts
        self.rank, self.others = comm.rank, [rank for rank in range(comm.size) if rank != comm.rank]
        self._sent: list[tuple[Any, Any]] = []
        self.at = ""
        """Where this rank is, in words, for ranks that ask."""
        self.answers: dict[int, str] = {}
        self.ended: dict[int, tuple[float, str]] = {}
        """When and how other ranks ended."""
        self.failure: str | None = None
        """The first failure that another rank has reported."""
        self.failed = False
        """Whether this rank has failed, which it does if another one has."""
        self.patience = 0.0
        """Seconds that this rank waits for the others when it ends."""
        atexit.register(self._at_exit)

    def send(self, rank: int, kind: str, text: str = "") -> None:
        """Send a message."""
        data = f"{kind}:{text}".encode()
        # MPI may read the message after Python has freed its own memory: it sends the last messages when it ends.
        memory = self._mpi.Alloc_mem(len(data))
        memory[:] = data
        try:
            self._sent.append((self._comm.Isend(memory, dest=rank), memory))
        except self._mpi.Exception:
            self._mpi.Free_mem(memory)

    def send_all(self, kind: str, text: str = "") -> None:
        """Send a message to every other rank."""
        for rank in self.others:
            self.send(rank, kind, text)

    def receive(self) -> None:
        """Receive and answer what has arrived."""
        status = self._mpi.Status()
        while self._comm.Iprobe(status=status):
            rank = status.Get_source()
            message = np.empty(status.Get_count(self._mpi.BYTE), np.uint8)
            self._comm.Recv(message, source=rank)
            kind, _, text = message.tobytes().decode().partition(":")
            if kind == "where":
                self.send(rank, "here", self.at)
            elif kind == "here":
                self.answers[rank] = text
            elif kind == "ended":
                self.ended[rank] = time.monotonic(), text
            elif self.failure is None:
                self.failure = text
        self._free()

    def _free(self) -> None:
        """Free the memory of messages that have been sent."""
        pending = []
        for request, memory in self._sent:
            if request.Test():
                self._mpi.Free_mem(memory)
            else:
                pending.append((request, memory))
        self._sent = pending

    def _at_exit(self) -> None:
        """Tell the others that this rank ends, and receive what they send until they end. After a failure, abort all."""
        if self._mpi.Is_finalized():
            return
        until = time.monotonic() + self.patience
        try:
            self.send_all("ended", f"rank {self.rank} on {self.hosts[self.rank]} ended, {self.at}")
            while (len(self.ended) < len(self.others) or self._sent) and time.monotonic() < until:
                self.receive()
                time.sleep(POLL)
        except self._mpi.Exception:  # a rank is gone
            pass
        if self.failed:
            sys.stdout.flush()
            sys.stderr.flush()
            if hasattr(signal, "setitimer"):  # without a connection to the launcher, MPI_Abort may not return
                signal.signal(signal.SIGALRM, signal.SIG_DFL)
                signal.setitimer(signal.ITIMER_REAL, ABORT_TIMEOUT)
            self._comm.Abort(1)
