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
    kinds = [[("number", i)] for i in range(n)]
    seen = []
    for rotation in range(first, first + -(-n // count)):
        found = turn(kinds, count, rotation, "a test")
        assert len(found) == min(n, count)
        assert found == sorted(found) == turn(kinds, count, rotation, "a test")
        seen += found
    assert set(seen) == {*range(n)}


@given(rotation=st.integers(0, 10**6))
def test_each_value_of_a_parameter_that_has_few_is_chosen(rotation):
    kinds = [
        [("optimizer", f"optimizer {i}"), ("error", j), ("number", 13 * i + j)] for i in range(20) for j in range(13)
    ]
    found = turn(kinds, 24, rotation, "a test")
    assert {kinds[i][0] for i in found} == {kind for kind, _, _ in kinds}
    assert {kinds[i][1] for i in found} == {kind for _, kind, _ in kinds}
    assert len(found) < 24 + 13


def test_two_tests_of_the_same_rows_run_different_ones():
    kinds = [[("row", i)] for i in range(1000)]
    assert turn(kinds, 20, 0, "one") != turn(kinds, 20, 0, "another")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "counts"),
    [
        ([], {"many": 20, "few": 3, "whole": 100, "slow": 0}),
        (["--thorough"], {"many": 100, "few": 100, "whole": 100, "slow": 1}),
        (["::test_few"], {"few": 100}),
    ],
)
def test_what_runs(options, counts, tmp_path):
    root = Path(__file__).parents[1]
    (tmp_path / "conftest.py").write_text(
        f"import sys\nsys.path.insert(0, {str(root)!r})\nfrom tests.conftest import *\n",
        encoding="utf-8",
    )
    (tmp_path / "test_suite.py").write_text(SUITE, encoding="utf-8")
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers =\n  slow\n  part(n)\n  whole\n", encoding="utf-8")
    named = [f"test_suite.py{option}" for option in options if option.startswith("::")]
    command = [sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider", *(named or options)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert {name: done.stdout.count(f"::test_{name}") for name in counts} == counts
    assert ("This was the quick profile" in done.stdout) == (not options)
