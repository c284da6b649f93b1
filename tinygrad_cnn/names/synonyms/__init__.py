"""PyTorch's names that can mean one thing only: they work, though no ``dir``, ``__all__`` or reference lists them.

A name whose meaning here is another one, such as ``split``, stays an error that says so (``names/torch.py``). Type checkers do
not know these names: a checker is where one learns the library's own.
"""

from __future__ import annotations

from typing import Any

from . import functional, functions, methods, modules, types

SYNONYMS: dict[str, dict[str, Any]] = {
    "torch": functions.TABLE,
    "torch.nn.functional": functional.TABLE,
    "torch.Tensor": methods.TABLE,
    "torch.nn.Module": modules.TABLE,
    "torchvision.transforms": types.TRANSFORMS,
}
"""For each namespace of PyTorch, its names here: functions, dtypes, and for classes methods and properties."""


def described(synonym: Any) -> str:
    """What a synonym is by this library's own names: the first line of its docstring, or the type."""
    if isinstance(synonym, float):
        return f"`{synonym}`"
    if isinstance(synonym, type) and synonym.__module__ in ("numpy", "builtins"):
        return f"`{'np.' * (synonym.__module__ == 'numpy')}{synonym.__name__}`"
    return str(synonym.__doc__).partition("\n")[0]
