"""What a World needs of the processes that share its work."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy as np

Message: TypeAlias = tuple[int, np.ndarray]
"""The rank that a buffer goes to or comes from, and the buffer."""


class DistributedError(RuntimeError):
    """Ranks disagree, or one of them has failed, ended or does not answer: the message names it, its host and its step."""


class Communicator(Protocol):
    """Messages between ranks. Between two ranks they arrive in the order in which they were sent."""

    rank: int
    size: int
    at: str
    """Where this rank is, in words, for messages about failures."""
    failures: Path | None
    """The file to which failures are written, as well as being raised."""

    def post(self, sends: Sequence[Message], receives: Sequence[Message]) -> Any:
        """Begin to send and to receive; no buffer may be touched until :meth:`wait` has returned."""

    def wait(self, posted: Any) -> None:
        """Wait until what was posted is done. DistributedError if a rank fails, or does not answer in time."""

    def fail(self, error: BaseException) -> None:
        """Tell the other ranks that this one ends with an error."""

    def call_witness(self) -> None:
        """Let it be reported, too, if this rank is killed. All ranks call this together."""

    def leave_witness(self) -> None:
        """Training is over: nothing is to be reported any more."""


def gather(link: Communicator, data: bytes) -> list[bytes]:
    """The bytes of all ranks, in the order of their numbers."""
    others = [rank for rank in range(link.size) if rank != link.rank]
    length = np.array([len(data)])
    lengths = {rank: np.empty_like(length) for rank in others}
    link.wait(link.post([(rank, length) for rank in others], [*lengths.items()]))
    mine = np.frombuffer(data, np.uint8)
    parts = {rank: np.empty(int(lengths[rank][0]), np.uint8) for rank in others}
    link.wait(link.post([(rank, mine) for rank in others], [*parts.items()]))
    return [data if rank == link.rank else parts[rank].tobytes() for rank in range(link.size)]


def broadcast(link: Communicator, data: bytes) -> bytes:
    """The bytes of rank 0, on every rank."""
    length = np.array([len(data)])
    _from_first(link, length)
    array = np.frombuffer(bytearray(data) if link.rank == 0 else bytearray(int(length[0])), np.uint8)
    _from_first(link, array)
    return array.tobytes()


def _from_first(link: Communicator, array: np.ndarray) -> None:
    if link.rank == 0:
        link.wait(link.post([(rank, array) for rank in range(1, link.size)], []))
    else:
        link.wait(link.post([], [(0, array)]))
