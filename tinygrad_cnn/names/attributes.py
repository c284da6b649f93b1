"""Attributes that do not exist: synonyms, and errors with what to use instead."""

from __future__ import annotations

from importlib import import_module
from inspect import getattr_static
from types import MethodType
from typing import Any

import numpy as np

from .synonyms import SYNONYMS, described
from .torch import FUNCTIONS, IN_PLACE, TABLES

PACKAGE = __name__.partition(".")[0]
MODULES = {"tg": "", "tg.linalg": ".linalg", "nn": ".nn", "optim": ".optim", "tg.data": ".data"}
"""The modules in which a name is looked up."""

WRITTEN = "; use x.copy_(value), which writes a leaf in place, or x = x.detach() for one without a graph"
"""The end of the error of ``x.data = value``."""

OTHERS = {
    "torch": ("torch.nn.functional", "mygrad", "autograd"), "torch.Tensor": ("mygrad.Tensor", "numpy.ndarray"),
    "torch.nn.functional": ("mygrad.nnet",), "torch.nn": ("mygrad.nnet", "keras.layers"), "torch.nn.Module": ("keras.Model",),
    "torch.utils.data": ("torchvision.transforms",),
}  # fmt: skip
"""Tables to look in next. `tg` has the functions of `torch.nn.functional`, too."""


def remedy(theirs: str, name: str, others: object = None) -> str | None:
    """The replacement for a name of the namespace `theirs`, such as "torch.nn": Python, or a reason in brackets.

    A name that ends with an underscore writes in place in PyTorch. It is answered if `others` has the name without the
    underscore. None for a name that nobody has; of private ones, those in the table of `theirs` alone are answered.
    """
    if name.startswith("_") and name not in TABLES[theirs]:
        return None
    places = (theirs, "torch", *OTHERS.get(theirs, ()))
    known = next((TABLES[place][name] for place in places if name in TABLES[place]), None)
    if known is None and name in SYNONYMS["torch"]:
        known = described(SYNONYMS["torch"][name]).replace("`", "")
    if known is None and name.endswith("_"):
        use = name[:-1] if hasattr(others, name[:-1]) else remedy(theirs, name[:-1])
        if use is not None:
            return use if use.startswith("(") else IN_PLACE.format(use)
    return known or _elsewhere(name)


def with_page(theirs: str, name: str, use: str) -> str:
    """A replacement, with the page that lists it."""
    page = f" (docs/from-{'keras' if theirs.startswith('keras') else 'pytorch'}.md)"
    return use if use.startswith("(") or name not in TABLES[theirs] else use + page


def _elsewhere(name: str) -> str | None:
    """The name in the module of this package that has it, or in NumPy, whose functions take Tensors."""
    for place, module in MODULES.items():
        if name in getattr(import_module(PACKAGE + module), "__all__", ()):  # the module may be half imported
            return f"{place}.{name}"
    function = getattr(np, name, None)
    ops = import_module(f"{PACKAGE}.core.registry").numpy_ops
    known = getattr(ops.get(function) if callable(function) else None, "__name__", "")
    if known in getattr(import_module(PACKAGE), "__all__", ()):
        return f"tg.{known}"
    return f"np.{name}" if hasattr(np, name) else None


def _absent(kind: type, theirs: str) -> set[str]:
    """The names of the other library's class that `kind` lacks."""
    names = {name for place in (theirs, *OTHERS.get(theirs, ())) for name in TABLES[place]}
    if theirs == "torch.Tensor":
        there = {name for name in dir(kind) if not name.startswith("_")}
        names |= {*FUNCTIONS}
        names |= {f"{name}_" for name in there | names | {*SYNONYMS[theirs]} if not name.endswith("_")}
    return names - {*dir(kind)}


def _error(instance: object, owner: type, name: str, theirs: str) -> AttributeError:
    whose = f"type object {owner.__name__!r}" if instance is None else f"{owner.__name__!r} object"
    use = remedy(theirs, name, owner)
    assert use is not None
    ending = f" {use}" if use.startswith("(") else f"; use {with_page(theirs, name, use)}"
    return AttributeError(f"{whose} has no attribute {name!r}{ending}")


def answer_misses(kind: Any, theirs: str) -> None:
    """Give a class a ``__getattr__``, whose errors have remedies for the names of the class `theirs`."""
    names, methods = _absent(kind, theirs), SYNONYMS.get(theirs, {})
    own = vars(kind).get("__getattr__", object.__getattribute__)

    def __getattr__(self: object, name: str) -> Any:
        if name in methods and getattr_static(type(self), name, None) is None:
            return MethodType(methods[name], self)
        if name in names and getattr_static(type(self), name, None) is None:
            raise _error(self, type(self), name, theirs)
        return own(self, name)  # raises Python's error, or that of a property of this name

    kind.__getattr__ = __getattr__


class _Unlisted(type):
    """The type of a class whose attributes `dir` and `help` do not list."""

    __dict__ = property(lambda cls: {})  # type: ignore[misc]


class _Absent:
    """An attribute that is a synonym, or raises the AttributeError of a name that does not exist."""

    __slots__ = ("name", "theirs")

    def __init__(self, name: str, theirs: str) -> None:
        self.name, self.theirs = name, theirs

    def __get__(self, instance: object, owner: type) -> Any:
        own = getattr(instance, "__dict__", {})  # of a subclass
        if self.name in own:
            return own[self.name]
        method = SYNONYMS[self.theirs].get(self.name)
        if method is None:
            raise _error(instance, owner, self.name, self.theirs)
        if isinstance(method, property):
            return method if instance is None else method.fget(instance)  # type: ignore[misc]
        return method if instance is None else MethodType(method, instance)

    def __set__(self, instance: object, value: object) -> None:
        if hasattr(instance, "__dict__"):
            instance.__dict__[self.name] = value
        elif self.name == "data":
            raise AttributeError(f"{type(instance).__name__!r} object has no attribute 'data'{WRITTEN}")
        else:
            raise _error(instance, type(instance), self.name, self.theirs)


def answer_misses_of_tensors(kind: Any, theirs: str) -> None:
    """The same for the Tensor, by a base class with an attribute for each name, which ``dir`` and ``help`` do not list.

    A ``__getattr__`` would slow down every Tensor. Python 3.11 then reads a slot in 29 ns instead of 2, without its inline
    cache: ``x * y`` takes 11 % longer, and a step of the notebook's network 3 %. Later versions read properties so. And NumPy
    asks each Tensor for protocols that it lacks: ``np.asarray(x)`` takes 0.4 us longer in Python 3.13, 1.9 us in 3.11.
    """
    names = _absent(kind, theirs) | SYNONYMS[theirs].keys() - {*dir(kind)}
    attributes: dict[str, Any] = {name: _Absent(name, theirs) for name in names}
    kind.__bases__ += (_Unlisted("Remedies", (), {"__slots__": (), "__module__": __name__, **attributes}),)
