"""What to use here for names of PyTorch, MyGrad, autograd and Keras: for errors of absent names, and the documentation."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from importlib import import_module
from inspect import getattr_static
from typing import Any, NoReturn

import numpy as np

from .called import Uncalled
from .torch import FUNCTIONS, IN_PLACE, PROPERTIES, TABLES

PACKAGE = __name__.partition(".")[0]
MODULES = {"tg": "", "tg.linalg": ".linalg", "nn": ".nn", "optim": ".optim", "tg.data": ".data"}
"""The modules in which a name is looked up."""

OTHERS = {
    "torch": ("torch.nn.functional", "mygrad", "autograd"), "torch.Tensor": ("mygrad.Tensor",),
    "torch.nn.functional": ("mygrad.nnet",), "torch.nn": ("mygrad.nnet", "keras.layers"), "torch.nn.Module": ("keras.Model",),
}  # fmt: skip
"""Namespaces to look in next: `tg` has the functions of `torch.nn.functional`, too; others are of other packages."""


def _elsewhere(name: str) -> str | None:
    """The name with its module, if this package has it, or NumPy, whose functions take Tensors."""
    for place, module in MODULES.items():
        if name in getattr(import_module(PACKAGE + module), "__all__", ()):  # the module may be half imported
            return f"{place}.{name}"
    function = getattr(np, name, None)
    ops = import_module(f"{PACKAGE}.core.registry").numpy_ops
    known = getattr(ops.get(function) if callable(function) else None, "__name__", "")
    if known in getattr(import_module(PACKAGE), "__all__", ()):
        return f"tg.{known}"
    return f"np.{name}" if hasattr(np, name) else None


def remedy(theirs: str, name: str, others: object = None) -> str | None:
    """What to use for a name of PyTorch's `theirs`, or of MyGrad's, or, in brackets, why there is nothing; None if unknown.

    A name that ends with an underscore writes in place in PyTorch; `others` has the attributes that exist here.
    """
    if name.startswith("_"):
        return None
    places = (theirs, "torch", *OTHERS.get(theirs, ()))
    known = next((TABLES[place][name] for place in places if name in TABLES[place]), None)
    if known is None and name.endswith("_"):
        use = name[:-1] if hasattr(others, name[:-1]) else remedy(theirs, name[:-1])
        if use is not None:
            return use if use.startswith("(") else IN_PLACE.format(use)
    return known or _elsewhere(name)


def missing(name: str, where: str, theirs: str, others: object = None) -> AttributeError:
    """The error for a name that `where` lacks, with the :func:`remedy` if PyTorch has the name in its namespace `theirs`."""
    text = f"{where} has no attribute {name!r}"
    known = remedy(theirs, name, others)
    if known is None:
        return AttributeError(text)
    if known.startswith("("):
        return AttributeError(f"{text} {known}")
    page = f" (docs/from-{'keras' if theirs.startswith('keras') else 'pytorch'}.md)" if name in TABLES[theirs] else ""
    return AttributeError(f"{text}; use {known}{page}")


class Absent:
    """A class attribute that raises the error of :func:`missing`, as if it did not exist.

    The class has one for each name instead of a ``__getattr__``, which makes Python 3.11 four times slower to read every
    other attribute.
    """

    __slots__ = ("name", "theirs")

    def __init__(self, name: str, theirs: str) -> None:
        self.name, self.theirs = name, theirs

    def __get__(self, instance: object, owner: type) -> NoReturn:
        raise missing(self.name, owner.__name__, self.theirs, owner)


def _present(instance: object) -> list[str]:
    """The names that ``dir`` lists, without absent ones."""
    own = getattr(instance, "__dict__", ())
    return [
        n
        for n in object.__dir__(instance)
        if n in own or not isinstance(getattr_static(type(instance), n, None), Absent)
    ]


def _called(name: str) -> TypeError:
    return TypeError(f"Tensor has no method {name!r}; use {PROPERTIES[name]} (docs/from-pytorch.md)")


def explain_names(kind: Any, theirs: str, names: Iterable[str] = ()) -> None:
    """Make a class raise :func:`missing` for the names of PyTorch's class `theirs` that it lacks, and for `names`."""
    tables = [TABLES[place] for place in (theirs, *OTHERS.get(theirs, ()))]
    for name in {*names, *(name for table in tables for name in table)} - {*dir(kind)}:
        setattr(kind, name, Absent(name, theirs))
    kind.__dir__ = _present


def explain_tensor_names(tensor: Any) -> None:
    """The same for Tensors, with names that write in place, and calls of properties that are methods in PyTorch."""
    there = {name for name in dir(tensor) if not name.startswith("_")}
    absent = {*TABLES["torch.Tensor"], *TABLES["mygrad.Tensor"], *FUNCTIONS}
    explain_names(tensor, "torch.Tensor", {*absent, *(f"{name}_" for name in there | absent if not name.endswith("_"))})
    for name in PROPERTIES:
        setattr(tensor, name, Uncalled(getattr(tensor, name), _called))


def explaining_getattr(where: str, theirs: str) -> Callable[[str], NoReturn]:
    """The ``__getattr__`` of a module: it raises :func:`missing` for the names of PyTorch's namespace `theirs`."""

    def getattr_(name: str) -> NoReturn:
        raise missing(name, where, theirs)

    return getattr_
