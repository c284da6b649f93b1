"""Threads that work on what is their own get what one thread gets, and the state that they share is known."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from .state import cached_names, changed_names, shared_state

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.slow
def test_the_state_that_threads_share_is_listed_with_its_reason():
    page = (ROOT / "docs" / "design.md").read_text(encoding="utf-8")
    section = page.split("## State that threads share\n")[1].split("\n## ")[0]
    listed = re.findall(r"`([\w/]+\.py: \w+)`", section.split("| --- |", 1)[1])
    assert len(set(listed)) == len(listed)
    changed, _ = shared_state()
    assert changed - set(listed) == set(), "list these in docs/design.md, with a reason"
    assert set(listed) - changed == set(), "remove these from docs/design.md"


@pytest.mark.parametrize(
    ("program", "changed", "cached"),
    [
        ("TABLE = {}\ndef f(x):\n    TABLE[x] = 1", {"TABLE"}, set()),
        ("TABLE = []\ndef f(x):\n    TABLE.append(x)", {"TABLE"}, set()),
        ("class K:\n    n = 0\ndef f(x):\n    K.n += 1", {"K"}, set()),
        ("n = 0\ndef f():\n    global n\n    n += 1", {"n"}, set()),
        ("def f():\n    global n\n    n = 1", {"n"}, set()),
        ("v: ContextVar[int] = ContextVar('v')", {"v"}, set()),
        ("class Kept(threading.local):\n    pass", {"Kept"}, set()),
        ("TABLE = {1: 2}\ndef f(x):\n    return TABLE[x]", set(), set()),
        ("TABLE = {}\ndef f(TABLE):\n    TABLE[1] = 1\ndef g():\n    TABLE = {}\n    TABLE[1] = 2", set(), set()),
        ("@cache\ndef f(x):\n    return x", set(), {"f"}),
        ("@lru_cache(maxsize=4)\ndef f(x):\n    return x\ng = lru_cache(maxsize=4)(f)", set(), {"f", "g"}),
    ],
)
def test_what_counts_as_state(program, changed, cached):
    tree = ast.parse(program)
    assert changed_names(tree) == changed
    assert cached_names(tree) == cached


@pytest.mark.parametrize(("rounds", "threads"), [(1, 5), pytest.param(15, 16, marks=pytest.mark.slow)])
def test_many_threads_get_the_bits_of_one(rounds, threads):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "tests.thread_stress", str(rounds), str(threads)],
        capture_output=True, encoding="utf-8", cwd=ROOT, env={**os.environ, "OPENBLAS_NUM_THREADS": "2"}, check=False,
    )  # fmt: skip
    assert not done.returncode, done.stdout + done.stderr
    assert done.stdout == "0 differences\n"
