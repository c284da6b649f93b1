"""What the tests of this folder need, and say plainly when they are skipped without it."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

REASON = "not installed: pip install {}"
MODELS = {"rapidocr_onnxruntime": "rapidocr-onnxruntime==1.4.4", "magika": "magika==1.0.3"}
"""Packages whose models are read; the packages themselves are not used, nor what they depend on."""


def onnx() -> Any:
    """The package onnx; without it the tests of the module are skipped."""
    return pytest.importorskip("onnx", reason=REASON.format("onnx"))


def runtime() -> Any:
    """The package onnxruntime, likewise. It says only what is an error."""
    onnx()
    found = pytest.importorskip("onnxruntime", reason=REASON.format("onnxruntime"))
    found.set_default_logger_severity(4)
    return found


def model_path(package: str, path: str) -> Path:
    """The file of a model in a package, which is looked for but not imported."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        pytest.skip(REASON.format(f"--no-deps {MODELS.get(package, package)}"))
    return Path(spec.submodule_search_locations[0]) / path


def run(source: bytes | str | Path, *inputs: Any) -> list[Any]:
    """What onnxruntime makes of a model."""
    given = source if isinstance(source, bytes) else str(source)
    options = runtime().SessionOptions()
    options.intra_op_num_threads = 1
    session = runtime().InferenceSession(given, options, providers=["CPUExecutionProvider"])
    return session.run(None, {i.name: x for i, x in zip(session.get_inputs(), inputs, strict=True)})  # type: ignore[no-any-return]
