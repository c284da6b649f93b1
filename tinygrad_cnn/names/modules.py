"""Errors of import statements that name one of PyTorch's modules, such as ``import tinygrad_cnn.nn.functional as F``."""

from __future__ import annotations

import sys
from typing import Any

PACKAGE = __name__.partition(".")[0]

USE = {
    "nn.functional": "import tinygrad_cnn.functional as F",
    "utils": "from tinygrad_cnn.data import DataLoader; from tinygrad_cnn import checkpoint",
    "func": "from tinygrad_cnn import grad, vmap, jvp, vjp, jacrev, hessian",
    "nn.utils": "from tinygrad_cnn.optim import clip_grad_norm_, clip_grad_value_",
    "nn.modules": "from tinygrad_cnn import nn",
}
"""PyTorch's modules, and the import to use instead."""


class _Finder:
    """The last finder that Python calls, for modules that do not exist."""

    @staticmethod
    def find_spec(name: str, path: Any = None, target: Any = None) -> None:
        package, _, module = name.partition(".")
        if package == PACKAGE and module in USE:
            raise ModuleNotFoundError(f"No module named {name!r}; write: {USE[module]}", name=name)


def explain_imports() -> None:
    """Install the finder."""
    sys.meta_path.append(_Finder)
