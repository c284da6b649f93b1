"""What a type checker makes of a user's program."""

from __future__ import annotations

import pytest

api = pytest.importorskip("mypy.api", reason="types are checked where mypy is installed")

PROGRAM = """
import numpy as np
import tinygrad_cnn as tg
from tinygrad_cnn import Tensor, conv2d, mse, optim

w = tg.randn(4, 1, 3, 3, requires_grad=True)
optimizer = optim.Adam([w], lr=1e-3)

@tg.no_grad()
def predict(x: Tensor) -> Tensor:
    return conv2d(x, w, stride=2, padding=1).relu()

@tg.no_grad
def halves(x: Tensor) -> Tensor:
    return x / 2 - tg.softmax(x)

def step(x: Tensor) -> float:
    loss: Tensor = mse(conv2d(x, w).reshape(len(x), -1), np.zeros(1))
    optimizer.zero_grad()
    with tg.enable_grad():
        loss.backward()
    optimizer.step()
    return float(loss)

reveal_type(predict(w))
reveal_type(halves(w))
reveal_type((w == w.argmax(axis=1)).sum())
reveal_type(abs(w != 1) + tg.sum(w, 0))
reveal_type(tg.functional.relu(w))
reveal_type(tg.functional.cross_entropy(w, np.zeros(4)))
"""


def test_a_typed_program_passes_the_strictest_check(tmp_path):
    (tmp_path / "program.py").write_text(PROGRAM)
    report, _, status = api.run(["--strict", f"--cache-dir={tmp_path}", str(tmp_path / "program.py")])
    assert status == 0, report
    assert report.count('Revealed type is "tinygrad_cnn.tensor.tensor.Tensor"') == 6, report


def test_what_a_function_does_not_take_is_an_error(tmp_path):
    (tmp_path / "program.py").write_text(
        "import tinygrad_cnn as tg\ntg.sum(tg.ones(2), dim=0)\ntg.functional.nothing_of_this_name\n"
    )
    report, _, status = api.run(["--strict", f"--cache-dir={tmp_path}", str(tmp_path / "program.py")])
    assert status == 1
    assert report.count("error:") == 2, report
