"""SciPy's and scikit-learn's functions on Tensors: right gradients or an error, and the table of these in docs/interop.md."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MADE_WITH = {"scipy": "1.17", "sklearn": "1.9"}


def verdicts(package):
    """In a process of its own: SciPy reads the setting once, when it is imported."""
    env = os.environ | {"SCIPY_ARRAY_API": "1", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "tests.array_api.functions", package]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def in_table(package):
    """The functions in the table of docs/interop.md."""
    text = (ROOT / "docs" / "interop.md").read_text(encoding="utf-8")
    rows = re.findall(rf"^\| `({package}[\w.]*)` \| (.*) \|$", text, re.MULTILINE)
    return {f"{part}.{name}" for part, names in rows for name in re.findall(r"`(\w+)`", names)}


@pytest.mark.slow
@pytest.mark.parametrize(("package", "least"), [("scipy", 60), ("sklearn", 20)])
def test_gradients_are_right_or_refused_and_the_table_says_which(package, least):
    version = pytest.importorskip(package).__version__
    found = verdicts(package)
    right = {name for name, verdict in found.items() if verdict == "right"}
    others = {
        name: verdict for name, verdict in found.items() if verdict != "right" and not verdict.startswith("refuses")
    }
    assert others.keys() <= {"sklearn.preprocessing.StandardScaler"}, others
    assert set(others.values()) <= {"NaN"}
    assert len(right) >= least or not version.startswith(MADE_WITH[package])
    if version.startswith(MADE_WITH[package]):
        assert right == in_table(package)
