"""Runs of several ranks, each a process that `mpiexec` starts."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAMS = Path(__file__).parent / "programs"
MPIEXEC = shutil.which("mpiexec", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
HAS_MPI = MPIEXEC is not None and importlib.util.find_spec("mpi4py") is not None

needs_mpi = pytest.mark.skipif(not HAS_MPI, reason="needs MPI: pip install 'tinygrad_cnn[mpi]'")
LIMIT = 600
"""Seconds after which a run counts as one that hangs, however busy the machine is."""


class Job:
    """A program on `ranks` processes, in a folder of its own; a plain call of Python for one rank."""

    def __init__(self, folder, ranks, program, *arguments, environment=None):
        plain = [sys.executable, "-W", "error"]
        launch = [MPIEXEC, "-n", str(ranks), *plain, "-m", "mpi4py"] if ranks > 1 else plain
        path = PROGRAMS / program if not Path(program).is_absolute() else program
        self.output = folder / "output.txt"
        self.name = f"{folder}-{time.monotonic()}"
        with self.output.open("w", encoding="utf-8") as file:
            self.process = subprocess.Popen(
                [*launch, str(path), *map(str, arguments)], cwd=folder, stdout=file, stderr=subprocess.STDOUT,
                start_new_session=True, env={**os.environ, "PYTHONPATH": str(ROOT), "JOB": self.name, **(environment or {})},
            )  # fmt: skip
        self.launcher = self.process.pid if ranks > 1 else None

    def end(self, limit=LIMIT):
        """The exit code and what was printed."""
        try:
            code = self.process.wait(limit)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGTERM)  # by which mpiexec ends all ranks
            self.process.wait(60)
            pytest.fail(f"still running after {limit} s:\n{self.output.read_text(encoding='utf-8')}")
        return code, self.output.read_text(encoding="utf-8")

    def kill(self, rank):
        """Kill the process of a rank, not the monitor, which has its variables; wait until the launcher has ended all."""
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                variables = (folder / "environ").read_bytes().split(b"\0")
                is_rank = f"PMI_RANK={rank}".encode() in variables or int(folder.name) == self.process.pid
                is_monitor = b"monitor.py" in (folder / "cmdline").read_bytes()
                is_ours = f"JOB={self.name}".encode() in variables and int(folder.name) != self.launcher
                if is_rank and is_ours and not is_monitor:
                    os.kill(int(folder.name), signal.SIGKILL)
        self.process.wait(LIMIT)

    def wait_for(self, path):
        """Wait until a file exists; fail if the program ends before."""
        until = time.monotonic() + LIMIT
        while not path.exists():
            assert self.process.poll() is None, self.output.read_text(encoding="utf-8")
            assert time.monotonic() < until, "the file was not written"
            time.sleep(0.01)


def finished(folder, ranks, program, *arguments, **options):
    """What a program prints that ends well."""
    code, output = Job(folder, ranks, program, *arguments, **options).end()
    assert code == 0, output
    return output
