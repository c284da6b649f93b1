"""Data-parallel training over MPI, whose results do not depend on the number of ranks."""

from .communicator import DistributedError
from .world import World

__all__ = ["DistributedError", "World"]


def __dir__() -> list[str]:
    """Public names only."""
    return list(__all__)
