"""Exports that are compared with onnxruntime and with themselves after `load`."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import nn
from tinygrad_cnn.extra.onnx import OnnxError, export, load

from . import needs


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    """Random float32 numbers."""
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


class Function(nn.Module):
    """A module that calls a function."""

    def __init__(self, function: Any) -> None:
        self.function = function

    def forward(self, *inputs: Any) -> Any:
        return self.function(*inputs)


def exported(model: Any, *inputs: Any, **options: Any) -> bytes:
    """The file of a model."""
    file = io.BytesIO()
    export(model, inputs, file, **options)
    return file.getvalue()


def refused(model: Any, *inputs: Any, **options: Any) -> str:
    """The message of the error; nothing is written."""
    file = io.BytesIO()
    with pytest.raises(OnnxError) as error:
        export(model, inputs, file, **options)
    assert file.getvalue() == b""
    return str(error.value)


def outputs(found: Any) -> list[np.ndarray]:
    """What a model returns, as a list of arrays."""
    found = list(found.values()) if isinstance(found, dict) else found
    found = found if isinstance(found, tuple | list) else (found,)
    return [y.numpy() if isinstance(y, tg.Tensor) else np.asarray(y) for y in found]


def check(
    model: Any, *inputs: np.ndarray, batches: Sequence[int] = (1, 3), tolerance: float = 1e-5, **options: Any
) -> bytes:
    """The file of a model. onnxruntime and `load` give from it what the model gives, for inputs repeated `batches` times."""
    was = model.training
    source = exported(model, *inputs, **options)
    assert model.training == was
    again = load(source)
    model.eval()
    for times in batches:
        given = [np.concatenate([x] * times) for x in inputs] if times > 1 else inputs
        wanted = outputs(model(*given))
        for other in (needs.run(source, *given), outputs(again(*given))):
            for ours, theirs in zip(wanted, other, strict=True):
                assert ours.dtype == theirs.dtype
                assert ours.shape == theirs.shape
                scale = max(1.0, float(np.abs(ours).max(initial=0))) if ours.dtype.kind == "f" else 1
                np.testing.assert_allclose(theirs, ours, rtol=tolerance, atol=tolerance * scale)
    model.train(was)
    return source


def shaken(model: Any, seed: int = 0) -> Any:
    """The model with random parameters and statistics, positive where they must be."""
    rng = np.random.default_rng(seed)
    for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
        if tensor.dtype.kind == "f":
            low = 0.5 if "var" in name else -1.0
            tensor.copy_(rng.uniform(low, 1.5, tensor.shape).astype(tensor.dtype))
    return model
