"""Control messages, by which ranks report failures to each other. All Worlds of a process share one Control."""

from __future__ import annotations

import atexit
import sys
import time
from typing import Any

import numpy as np

from ...system import end_after

POLL = 0.01
"""Seconds between two looks for control messages."""
ABORT_TIMEOUT = 1.0
"""Seconds that a failed rank gives MPI to abort all ranks before it ends alone."""


class Control:
    """Sends and receives this rank's control messages.

    Args:
        comm: a communicator that carries nothing else.
        hosts: the host of every rank, by name.
    """

    def __init__(self, comm: Any, hosts: list[str]) -> None:
        from mpi4py import MPI

        self._mpi, self._comm, self.hosts = MPI, comm, hosts
        self.rank, self.others = comm.rank, [rank for rank in range(comm.size) if rank != comm.rank]
        self._sent: list[tuple[Any, Any]] = []
        self.at = ""
        """Where this rank is, in words: the answer to a rank that asks."""
        self.answers: dict[int, str] = {}
        self.ended: dict[int, tuple[float, str]] = {}
        """When other ranks ended, and their last messages."""
        self.failure: str | None = None
        """The first failure that another rank reported."""
        self.failed = False
        """Whether this rank failed, or raised because another one did."""
        self.patience = 0.0
        """Seconds that this rank waits for the others at exit."""
        atexit.register(self._at_exit)

    def send(self, rank: int, kind: str, text: str = "") -> None:
        """Send a message."""
        data = f"{kind}:{text}".encode()
        # MPI may send the last messages at exit, after Python has freed its own memory.
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
        """Receive all messages that have arrived, and answer those that ask."""
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
        """Free the memory of messages that MPI has sent."""
        pending = []
        for request, memory in self._sent:
            if request.Test():
                self._mpi.Free_mem(memory)
            else:
                pending.append((request, memory))
        self._sent = pending

    def _at_exit(self) -> None:
        """Announce exit; keep receiving until all ranks exit. After a failure, abort all ranks."""
        if self._mpi.Is_finalized():
            return
        until = time.monotonic() + self.patience
        try:
            self.send_all("ended", f"rank {self.rank} on {self.hosts[self.rank]} ended, {self.at}")
            while (len(self.ended) < len(self.others) or self._sent) and time.monotonic() < until:
                self.receive()
                time.sleep(POLL)
        except self._mpi.Exception:  # another rank is gone
            pass
        if self.failed:
            sys.stdout.flush()
            sys.stderr.flush()
            end_after(ABORT_TIMEOUT)  # without a connection to the launcher, MPI_Abort may not return
            self._comm.Abort(1)
