"""How processes that share a training find each other."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .communicator import Communicator, Message
from .watch import Link

LAUNCHED = ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "PMIX_SIZE", "MPI_LOCALNRANKS", "SLURM_STEP_NUM_TASKS")
"""Variables by which launchers tell a process how many there are."""


class Alone:
    """The communicator of one process, which has nobody to wait for."""

    rank, size, at = 0, 1, ""
    failures: Path | None = None

    def post(self, sends: Sequence[Message], receives: Sequence[Message]) -> None:
        """Nothing can be asked for."""

    def wait(self, posted: Any) -> None:
        """Nothing was posted."""

    def fail(self, error: BaseException) -> None:
        """There is nobody to tell."""

    def call_witness(self) -> None:
        """A launcher that ends one process says so."""

    def leave_witness(self) -> None:
        """There is none."""


def connect(timeout: float) -> Communicator:
    """The processes that a launcher has started together with this one, or this one alone.

    Raises:
        ImportError: if this is one of several processes, but mpi4py or an MPI library is missing.
        RuntimeError: if the launcher and mpi4py belong to different MPI libraries.
    """
    launched = max([int(text) for name in LAUNCHED if (text := os.environ.get(name, "")).isdigit()], default=1)
    if launched == 1 and "mpi4py.MPI" not in sys.modules:
        return Alone()
    try:
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:  # mpi4py raises RuntimeError where there is no MPI library
        raise ImportError(
            f"World: this is one of {launched} processes, but mpi4py cannot be used ({error}); install it with "
            "pip install 'tinygrad_cnn[mpi]', for the Python that runs this program"
        ) from error
    if MPI.COMM_WORLD.size == 1:
        if launched > 1:
            raise RuntimeError(
                f"World: the launcher started {launched} processes, but MPI counts one: `mpiexec` and mpi4py belong to "
                f"different MPI libraries. Use the mpiexec of this Python's environment, beside {sys.executable}"
            )
        return Alone()
    return Link(MPI.COMM_WORLD, timeout)
