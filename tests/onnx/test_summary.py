"""The summary of a file, in Python and on the command line."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from tinygrad_cnn import nn

from . import needs

needs.onnx()

from tinygrad_cnn.extra.onnx import OnnxError, export, load  # noqa: E402
from tinygrad_cnn.extra.onnx.__main__ import main  # noqa: E402


@pytest.fixture
def path(tmp_path):
    model = nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 10))
    export(model, np.zeros((1, 1, 8, 8), np.float32), tmp_path / "model.onnx", input_names=["image"])
    return tmp_path / "model.onnx"


def test_the_rows_are_the_nodes(path, capsys):
    summary = load(path).summary()
    text = capsys.readouterr().out
    assert [(row.path, row.kind, row.output) for row in summary.rows] == [
        ("0/Conv", "Conv", (1, 8, 6, 6)), ("1/Relu", "Relu", (1, 8, 6, 6)), ("2/Reshape", "Reshape", (1, 288)),
        ("3/Gemm", "Gemm", (1, 10)),
    ]  # fmt: skip
    assert [row.parameters for row in summary.rows] == [80, 0, 0, 2890]
    assert [row.multiply_adds for row in summary.rows] == [2592, 0, 0, 2880]
    assert (summary.parameters, summary.trainable, summary.multiply_adds) == (2970, 2970, 5472)
    assert text == f"{summary}\n"


def test_a_batch_of_another_size(path):
    summary = load(path).summary((4, 1, 8, 8))
    assert summary.rows[-1].output == (4, 10)
    assert summary.multiply_adds == 4 * 5472
    assert load(path).summary(np.zeros((2, 1, 8, 8), np.float32)).rows[-1].output == (2, 10)


def test_a_shape_that_is_needed(tmp_path):
    export(
        nn.ReLU(),
        np.zeros((1, 3, 4), np.float32),
        tmp_path / "model.onnx",
        dynamic_axes={"a": [0, 1]},
        input_names=["a"],
    )
    with pytest.raises(OnnxError, match=r"the shape of the input 'a' is \(batch, a_1, 4\) in the file; give one"):
        load(tmp_path / "model.onnx").summary()
    assert main([str(tmp_path / "model.onnx"), "--shape", "2,3,4"]) == 0


def test_the_command_line(path):
    command = [sys.executable, "-W", "error", "-m", "tinygrad_cnn.extra.onnx", str(path)]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=True)
    first, *table = done.stdout.splitlines()
    assert first == "opset 18, inputs image: float32 (batch, 1, 8, 8), outputs output"
    assert "\n".join(table) == str(load(path).summary())
    assert done.stderr == ""


@pytest.mark.parametrize(("options", "words"), [
    (["--shape", "x=1,1,8,8"], "--shape x=1,1,8,8: name one of the inputs, image"),
    (["--shape", "image=one"], "'one' is not a list of sizes"),
    (["--shape", "1,1,8"], "it must be (batch, 1, 8, 8)"),
])  # fmt: skip
def test_wrong_shapes_on_the_command_line(path, options, words, capsys):
    assert main([str(path), *options]) == 1
    assert words in capsys.readouterr().err


def test_a_file_that_cannot_be_read(tmp_path, capsys):
    (tmp_path / "model.onnx").write_bytes(b"no model")
    assert main([str(tmp_path / "model.onnx")]) == 1
    assert main([str(tmp_path / "absent.onnx")]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert "this is not an ONNX model" in lines[0]
    assert "No such file" in lines[1]
