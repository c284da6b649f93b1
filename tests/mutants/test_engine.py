"""The edits of the engine can be made: what they notice is measured with ``python -m tests.mutants.engine``."""

from __future__ import annotations

import ast

import pytest

from .engine import PACKAGE, ROOT, Edit, edits


@pytest.mark.slow
def test_every_edit_finds_its_text_and_leaves_a_program():
    for edit in edits():
        source = (ROOT / PACKAGE / edit.file).read_text(encoding="utf-8")
        ast.parse(edit.applied(source))
        assert edit.old != edit.new


def test_an_edit_is_made_in_its_function_alone():
    source = "class A:\n    def f(self):\n        return 1\n\n\ndef f():\n    return 1\n"
    assert Edit("a.py", "f", "return 1", "return 2").applied(source).endswith("def f():\n    return 2\n")
    assert "        return 2" in Edit("a.py", "A.f", "return 1", "return 2").applied(source)


@pytest.mark.parametrize(("function", "old"), [("g", "return 1"), ("f", "return 3"), ("", "return 1")])
def test_an_edit_that_does_not_fit_any_more_is_an_error(function, old):
    source = "class A:\n    def f(self):\n        return 1\n\n\ndef f():\n    return 1\n"
    with pytest.raises(LookupError, match=r"edits\.txt"):
        Edit("a.py", function, old, "pass").applied(source)
