"""The error of this folder, and the way to the packages that it needs."""

from __future__ import annotations

from types import ModuleType
from typing import Any

__all__ = ["OnnxError", "package"]


class OnnxError(ValueError):
    """A model cannot be written as ONNX, or a file cannot be read or run: the message says what, where and the way out."""


def package(caller: str) -> Any:
    """The package ``onnx``. ImportError that says how to get it."""
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
