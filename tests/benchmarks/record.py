"""What was measured, kept in a file: a run of some rows replaces those rows and leaves the others."""

from __future__ import annotations

import json
import os
import platform
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from .curves import Points
from .measure import Figure, Outcome

PACKAGES = ("numpy", "torch", "jax", "autograd", "mygrad", "tinygrad")


@dataclass
class Record:
    """Outcomes by row and peer, curves by name and threads, and the machine that they hold for."""

    machine: str
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    curves: dict[str, dict[str, Points]] = field(default_factory=dict)

    def add(self, outcome: Outcome) -> None:
        """Put it in the place of what was measured before."""
        self.outcomes[f"{outcome.row} {outcome.peer}"] = outcome

    def of(self, row: str, peer: str) -> Outcome | None:
        """What was measured."""
        return self.outcomes.get(f"{row} {peer}")

    def save(self, path: Path) -> None:
        """Write it."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(asdict(self), indent=1) + "\n")

    @classmethod
    def load(cls, path: Path) -> Record:
        """Read it. On another machine, or with other versions, nothing that was measured before holds."""
        record = cls(machine())
        if path.exists():
            kept = json.loads(path.read_text())
            if kept["machine"] == record.machine:
                record.outcomes = {key: _outcome(value) for key, value in kept["outcomes"].items()}
                record.curves = kept["curves"]
            else:
                print(f"{path} was measured elsewhere ({kept['machine']}): its rows are dropped.")
        return record


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
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
