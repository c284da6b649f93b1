"""What the quick profile leaves out has its turn on another day, or with --thorough."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from .profiles import turn

SUITE = """
import pytest

@pytest.mark.parametrize("n", range(100))
def test_many(n): pass

@pytest.mark.part(3)
@pytest.mark.parametrize("n", range(100))
def test_few(n): pass

@pytest.mark.whole
@pytest.mark.parametrize("n", range(100))
def test_whole(n): pass

@pytest.mark.slow
def test_slow(): pass
"""


@given(n=st.integers(0, 100), count=st.integers(1, 40), first=st.integers(0, 10**6))
def test_all_have_their_turn(n, count, first):
    values = [f"value {i}" for i in range(n)]
    seen = []
    for rotation in range(first, first + -(-n // count)):
        found = turn(values, count, rotation, "a test")
        assert len(found) == min(n, count)
        assert found == sorted(found, key=values.index)
        assert found == turn(values, count, rotation, "a test")
        seen += found
    assert set(seen) == set(values)


def test_two_tests_of_the_same_rows_run_different_ones():
    values = list(range(1000))
    assert turn(values, 20, 0, "one") != turn(values, 20, 0, "another")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "counts"),
    [
        ([], {"many": 24, "few": 3, "whole": 100, "slow": 0}),
        (["--thorough"], {"many": 100, "few": 100, "whole": 100, "slow": 1}),
        (["::test_few"], {"few": 100}),
    ],
)
def test_what_runs(options, counts, tmp_path):
    root = Path(__file__).parents[1]
    (tmp_path / "conftest.py").write_text(
        f"import sys\nsys.path.insert(0, {str(root)!r})\nfrom tests.conftest import *\n"
    )
    (tmp_path / "test_suite.py").write_text(SUITE)
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers =\n  slow\n  part(n)\n  whole\n")
    named = [f"test_suite.py{option}" for option in options if option.startswith("::")]
    command = [sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider", *(named or options)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert {name: done.stdout.count(f"::test_{name}") for name in counts} == counts
    assert ("This was the quick profile" in done.stdout) == (not options)
