"""The interface of a communicator, and collective operations on bytes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy as np

Message: TypeAlias = tuple[int, np.ndarray]
"""The rank that a buffer goes to or comes from, and the buffer."""


class DistributedError(RuntimeError):
    """Ranks disagree, or a rank has failed, ended or does not answer. The message names the rank, its host and its step."""


class Communicator(Protocol):
    """Messages between ranks. Between two ranks they arrive in the order in which they were sent."""

    rank: int
    size: int
    at: str
    """Where this rank is, such as "at step 3", for messages about failures."""
    failures: Path | None
    """The file to which failures are written, as well as being raised."""

    def post(self, sends: Sequence[Message], receives: Sequence[Message]) -> Any:
        """Start to send and to receive. Buffers must not be read or written until :meth:`wait` has returned."""

    def wait(self, posted: Any) -> None:
        """Wait until the posted messages are complete; DistributedError if a rank fails, or does not answer in time."""

    def fail(self, error: BaseException) -> None:
        """Report to the other ranks that this one ends with an error."""

    def start_monitor(self) -> None:
        """Connect to a monitor, which reports this rank if it is killed. All ranks call this together."""

    def stop_monitor(self) -> None:
        """Disconnect from the monitor, at the end of the training."""


def gather(comm: Communicator, data: bytes) -> list[bytes]:
    """The bytes of all ranks, in the order of their numbers."""
    others = [rank for rank in range(comm.size) if rank != comm.rank]
    length = np.array([len(data)])
    lengths = {rank: np.empty_like(length) for rank in others}
    comm.wait(comm.post([(rank, length) for rank in others], [*lengths.items()]))
    mine = np.frombuffer(data, np.uint8)
    parts = {rank: np.empty(int(lengths[rank][0]), np.uint8) for rank in others}
    comm.wait(comm.post([(rank, mine) for rank in others], [*parts.items()]))
    return [data if rank == comm.rank else parts[rank].tobytes() for rank in range(comm.size)]


def broadcast(comm: Communicator, data: bytes) -> bytes:
    """The bytes of rank 0, on every rank."""
    length = np.array([len(data)])
    _from_first(comm, length)
    array = np.frombuffer(bytearray(data) if comm.rank == 0 else bytearray(int(length[0])), np.uint8)
    _from_first(comm, array)
    return array.tobytes()


def _from_first(comm: Communicator, array: np.ndarray) -> None:
    if comm.rank == 0:
        comm.wait(comm.post([(rank, array) for rank in range(1, comm.size)], []))
    else:
        comm.wait(comm.post([], [(0, array)]))
