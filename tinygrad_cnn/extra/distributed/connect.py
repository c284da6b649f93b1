"""The communicator of this process: of MPI if a launcher started several processes."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .communicator import Communicator, Message
from .mpi import MPICommunicator

LAUNCHED = ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "PMIX_SIZE", "MPI_LOCALNRANKS", "SLURM_STEP_NUM_TASKS")
"""Environment variables in which launchers set the number of processes."""


class SingleProcess:
    """The communicator of a single process, which sends and receives nothing."""

    rank, size, at = 0, 1, ""
    failures: Path | None = None

    def post(self, sends: Sequence[Message], receives: Sequence[Message]) -> None:
        """There are no other ranks."""

    def wait(self, posted: Any) -> None:
        """There are no messages."""

    def fail(self, error: BaseException) -> None:
        """There are no other ranks."""

    def start_monitor(self) -> None:
        """There is no monitor: the launcher itself reports a killed process."""

    def stop_monitor(self) -> None:
        """There is no monitor."""


def connect(timeout: float) -> Communicator:
    """The communicator of the processes that a launcher started together with this one.

    Raises:
        ImportError: if this is one of several processes, but mpi4py or an MPI library is missing.
        RuntimeError: if the launcher and mpi4py belong to different MPI libraries.
    """
    launched = max([int(text) for name in LAUNCHED if (text := os.environ.get(name, "")).isdigit()], default=1)
    if launched == 1 and "mpi4py.MPI" not in sys.modules:
        return SingleProcess()
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
                f"different MPI libraries. Use the mpiexec of this Python's environment, beside {sys.executable}; under "
                "SLURM, with the MPICH of the extra, srun --mpi=pmi2"
            )
        return SingleProcess()
    return MPICommunicator(MPI.COMM_WORLD, timeout)
