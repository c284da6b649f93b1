"""Names of PyTorch, and what to use for them here: for the errors of names that do not exist and for the documentation."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import NoReturn

import numpy as np

from .torch import FUNCTIONS, IN_PLACE, TABLES

PACKAGE = __name__.partition(".")[0]
MODULES = {"tg": "", "tg.linalg": ".linalg", "nn": ".nn", "optim": ".optim", "tg.data": ".data"}
"""Where a name may be that is looked for in another place."""


def _elsewhere(name: str) -> str | None:
    """Where there is something of this name, in this package or in NumPy, whose functions take Tensors."""
    for place, module in MODULES.items():
        if name in getattr(import_module(PACKAGE + module), "__all__", ()):  # the module may be half imported
            return f"{place}.{name}"
    return f"np.{name}" if hasattr(np, name) else None


def remedy(theirs: str, name: str, others: object = None) -> str | None:
    """What to use for a name of PyTorch's namespace `theirs`, or, in brackets, why there is nothing; None if it is unknown.

    A name that ends with an underscore writes in place in PyTorch; `others` has the attributes that exist here.
    """
    if name.startswith("_"):
        return None
    known = TABLES[theirs].get(name) or TABLES["torch"].get(name)
    if known is None and name.endswith("_"):
        use = name[:-1] if hasattr(others, name[:-1]) else remedy(theirs, name[:-1])
        return use if use is None or use.startswith("(") else IN_PLACE.format(use)
    return known or _elsewhere(name)


def missing(name: str, where: str, theirs: str, others: object = None) -> AttributeError:
    """The error for a name that `where` lacks, with the :func:`remedy` if PyTorch has the name in its namespace `theirs`."""
    text = f"{where} has no attribute {name!r}"
    known = remedy(theirs, name, others)
    if known is None:
        return AttributeError(text)
    if known.startswith("("):
        return AttributeError(f"{text} {known}")
    return AttributeError(f"{text}; for {theirs}.{name} use {known} (docs/from-pytorch.md)")


class Absent:
    """A class attribute that raises the error of :func:`missing`, as if there was none.

    The class has one for each name instead of a ``__getattr__``, which makes Python 3.11 four times slower to read every
    other attribute.
    """

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __get__(self, instance: object, owner: type) -> NoReturn:
        raise missing(self.name, owner.__name__, "torch.Tensor", owner)


def answer(tensor: type) -> None:
    """Let the class of Tensors answer the names of PyTorch's that it lacks."""
    there = {name for name in dir(tensor) if not name.startswith("_")}
    absent = {*TABLES["torch.Tensor"], *FUNCTIONS}
    for name in {*absent, *(f"{name}_" for name in there | absent if not name.endswith("_"))} - there:
        setattr(tensor, name, Absent(name))


def answering(where: str, theirs: str) -> Callable[[str], NoReturn]:
    """The ``__getattr__`` of a module that stands for PyTorch's `theirs`."""

    def answer(name: str) -> NoReturn:
        raise missing(name, where, theirs)

    return answer
