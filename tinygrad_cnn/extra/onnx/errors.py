"""The error of this package, and the import of the package onnx."""

from __future__ import annotations

from types import ModuleType
from typing import Any

__all__ = ["OnnxError", "package"]


class OnnxError(ValueError):
    """A model cannot be written as ONNX, or a file cannot be read or run. The message says what, where, and what to do."""


def package(caller: str) -> Any:
    """The package ``onnx``. ImportError with the command that installs it."""
    found: ModuleType
    try:
        import onnx.checker
        import onnx.external_data_helper
        import onnx.helper
        import onnx.inliner
        import onnx.numpy_helper
        import onnx.shape_inference

        found = onnx
    except ImportError as error:
        raise ImportError(f"{caller}: ONNX files need the package onnx: pip install 'tinygrad_cnn[onnx]'") from error
    return found
