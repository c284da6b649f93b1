"""`kernels/` and `compile/` can be deleted: everything goes on by the definitions alone."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

from .definitions import BLOCKED


def test_everything_goes_on_by_the_definitions_alone():
    ended = subprocess.run(
        [sys.executable, "-m", "tests.definitions"],
        capture_output=True, text=True, cwd=Path(__file__).parents[1], timeout=900, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "the definitions suffice" in ended.stdout


def test_the_folders_that_may_be_absent_exist():
    """Else the test above would block nothing."""
    assert [name for name in BLOCKED if importlib.util.find_spec(name) is None] == []
