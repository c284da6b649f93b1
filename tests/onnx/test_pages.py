"""The page about ONNX lists what there is, and the example that fine-tunes a file runs."""

from __future__ import annotations

import re

from ..test_examples import load as example
from ..test_examples import number
from . import needs

needs.onnx()

from . import tables  # noqa: E402


def test_what_is_written_is_read():
    assert set(tables.written()) <= set(tables.read())


def test_the_example_learns(capsys):
    module = example("onnx_finetune")
    assert module.main(["--quick"]) == 0
    out = capsys.readouterr().out
    assert 80 < number(r"^([\d.]+)% of 796 images of new digits right$", out) < 100, "guessing gives 20"
    assert re.search(r"\nRun:  python examples/onnx_finetune.py", module.__doc__)
