"""What was measured, kept in a file: a run of some rows replaces those rows and leaves the others."""

from __future__ import annotations

import json
import os
import platform
from dataclasses import asdict, dataclass, field
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from .measure import Figure, Outcome

PACKAGES = ("numpy", "numba", "torch", "jax")


@dataclass
class Record:
    """Outcomes by row and peer, the machine that they hold for, and the day of the last."""

    machine: str
    day: str = ""
    outcomes: dict[str, Outcome] = field(default_factory=dict)

    def add(self, outcome: Outcome) -> None:
        """Put it in the place of what was measured before."""
        self.outcomes[f"{outcome.row} {outcome.peer}"] = outcome
        self.day = date.today().isoformat()

    def of(self, row: str, peer: str) -> Outcome | None:
        """What was measured."""
        return self.outcomes.get(f"{row} {peer}")

    @property
    def processor(self) -> str:
        """The first part of `machine`."""
        return self.machine.split(",")[0]


def read(path: Path) -> Record:
    """What a file has of this machine, with the versions that are installed: an empty record if it has another's."""
    here = Record(machine())
    if not path.exists():
        return here
    kept = json.loads(path.read_text(encoding="utf-8"))
    if kept["machine"] != here.machine:
        print(f"{path}: what was measured elsewhere or with other versions ({kept['machine']}) is dropped.")
        return here
    return Record(**kept | {"outcomes": {key: _outcome(value) for key, value in kept["outcomes"].items()}})


def save(record: Record, path: Path) -> None:
    """Write it, if something was measured."""
    if record.outcomes:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(asdict(record), indent=1) + "\n", encoding="utf-8")


def _outcome(kept: dict[str, Any]) -> Outcome:
    return Outcome(**kept | {"figures": {side: Figure(**figure) for side, figure in kept["figures"].items()}})


def machine() -> str:
    """Processor, system, and the versions of all that is installed."""
    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    parts = [f"{_processor()}, {os.cpu_count()} cores", platform.system(), f"Python {platform.python_version()}"]
    for package in PACKAGES:
        try:
            parts.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            continue
    return ", ".join(parts).replace(
        f"numpy {np.__version__}", f"numpy {np.__version__} ({blas['name']} {blas['version']})"
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
