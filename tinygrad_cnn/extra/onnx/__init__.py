"""Models as ONNX files: :func:`export` writes one, and :func:`load` makes a module of one.

Needs the package onnx: pip install 'tinygrad_cnn[onnx]'.
"""

from ...core.remedies import publish
from .errors import OnnxError
from .export import export
from .model import GraphModule, load

__all__ = ["GraphModule", "OnnxError", "export", "load"]


def __dir__() -> list[str]:
    """Public names only."""
    return list(__all__)


publish(globals())
