"""Errors of import statements that name a module of PyTorch's, such as ``import tinygrad_cnn.nn.functional as F``."""

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
"""Modules of PyTorch's, and the import that serves here."""


class _Finder:
    """Python asks it last, for modules that are nowhere."""

    @staticmethod
    def find_spec(name: str, path: Any = None, target: Any = None) -> None:
        package, _, module = name.partition(".")
        if package == PACKAGE and module in USE:
            raise ModuleNotFoundError(f"No module named {name!r}; write: {USE[module]}", name=name)


def answer_imports() -> None:
    """Let import statements answer."""
    sys.meta_path.append(_Finder)
