"""Remedies for names and keywords of PyTorch, Keras, MyGrad and autograd, attached to ``core/remedies.py``.

Only the package's ``__init__`` imports this folder, and nothing needs it. It changes what users see of a public module: unknown
attributes are answered, and functions, constructors and a few methods are wrapped in :func:`~.calls.explaining`.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from opcode import opmap
from types import FunctionType, ModuleType
from typing import Any

from ..core import remedies
from .assigned import adapt
from .attributes import PACKAGE, answer_misses, answer_misses_of_tensors, remedy, with_page
from .calls import explaining, has_foreign
from .foreign_modules import answer, below, enter
from .others import HOOKS
from .synonyms import SYNONYMS, modules
from .synonyms.functions import tensor
from .torch import TABLES

__all__ = ["SYNONYMS", "TABLES", "original", "published", "remedy", "replacement", "synonym"]

NAMESPACES = {
    "": "torch", "functional": "torch.nn.functional", "linalg": "torch.linalg", "autograd": "torch.autograd", "nn": "torch.nn",
    "nn.init": "torch.nn.init", "optim": "torch.optim", "optim.lr_scheduler": "torch.optim.lr_scheduler",
    "data": "torch.utils.data", "data.transforms": "torchvision.transforms", "ops.random": "torch.random",
    "vision.models": "torchvision.models", "vision.ops": "torchvision.ops",
    "vision.transforms": "torchvision.transforms", "vision.transforms.functional": "torchvision.transforms.functional",
    "training": "keras.callbacks", "metrics": "keras.metrics",
}  # fmt: skip
"""The table for each public module."""

CLASSES = {
    "Tensor": "torch.Tensor", "Module": "torch.nn.Module", "Optimizer": "torch.optim.Optimizer",
    "LRScheduler": "torch.optim.lr_scheduler.LRScheduler", "History": "keras.callbacks.History",
    "Metric": "torchmetrics.Metric",
}  # fmt: skip
"""The table for the attributes of a class and its subclasses."""

METHODS = ("Tensor", "Module", "LRScheduler", "Metric", "Estimator")
"""Classes whose methods are wrapped, if there is an answer to a keyword. Other classes explain their constructors."""

CALLBACK = "training.Callback"

_wrappers: dict[tuple[FunctionType, str], Any] = {}
"""The wrapper of each function by its public name: ``tg.amax`` and ``tg.max`` are one function, and two in PyTorch."""

_originals: dict[Any, FunctionType] = {}
"""The function of each wrapper."""

_opened: set[type] = set()
"""Classes whose constructors and methods are wrapped."""


def original(function: Any) -> Any:
    """See :meth:`tinygrad_cnn.core.remedies.Remedies.original`."""
    return _originals.get(function, function) if isinstance(function, FunctionType) else function


def replacement(place: str, name: str) -> str | None:
    """See :meth:`tinygrad_cnn.core.remedies.Remedies.replacement`."""
    place = place.removeprefix(PACKAGE).removeprefix(".")
    if place == CALLBACK:
        return HOOKS.get(name)
    theirs = NAMESPACES.get(place)
    use = None if theirs is None else remedy(theirs, name)
    return None if theirs is None or use is None else with_page(theirs, name, use)


def synonym(place: str, name: str) -> Any:
    """See :meth:`tinygrad_cnn.core.remedies.Remedies.synonym`.

    Raises:
        ImportError: if ``from place import name`` asks, and there is a replacement: Python takes an AttributeError for a name
            that nobody knows, and does not show its text.
    """
    theirs = NAMESPACES[place.removeprefix(PACKAGE).removeprefix(".")]
    found = SYNONYMS.get(theirs, {}).get(name)
    if found is None and _is_imported() and (ending := remedies.hint(place, name)):
        raise ImportError(f"cannot import name {name!r} from {place!r}{ending}", name=place)
    return found


def _is_imported() -> bool:
    """Whether the name that a module lacks is asked for by ``from module import name``.

    The frames are this function's, ``synonym``, ``remedies.missing``, the module's ``__getattr__``, and the one that asks.
    """
    asking = sys._getframe(3).f_back  # None if C asks, with no Python behind it
    return asking is not None and asking.f_code.co_code[asking.f_lasti] == opmap["IMPORT_FROM"]


def published(namespace: dict[str, Any]) -> None:
    """Answer unknown attributes of a module and of its classes, and wrap its functions, constructors and methods."""
    module = namespace["__name__"]
    if module.removeprefix(PACKAGE).removeprefix(".") in NAMESPACES:
        namespace.setdefault("__getattr__", _getattr_of(module))
    elif found := answer(module):
        namespace.setdefault("__getattr__", found)
    if module == PACKAGE:
        sys.modules[f"{PACKAGE}.tensor"].__class__ = _TensorModule
        random = f"{PACKAGE}.ops.random"  # which `tg.random` is
        vars(sys.modules[random]).setdefault("__getattr__", _getattr_of(random))
    for name, thing in below(module).items():
        namespace.setdefault(name, thing)
    public = {name: namespace[name] for name in namespace["__all__"] if name in namespace}  # others are imported later
    for name, thing in public.items():
        if isinstance(thing, FunctionType):
            namespace[name] = _wrapped(thing, name, _parameters(thing), module)
    for thing in public.values():
        if isinstance(thing, type) and _is_ours(thing):
            has_methods = not {kind.__name__ for kind in thing.__mro__}.isdisjoint(METHODS)
            for kind in thing.__mro__:
                if _is_ours(kind) and kind not in _opened:
                    _opened.add(kind)
                    _open(kind, has_methods)


def _getattr_of(module: str) -> Callable[[str], Any]:
    def __getattr__(name: str) -> Any:
        return remedies.missing(module, name)

    return __getattr__


class _TensorModule(ModuleType):
    """The folder ``tensor/``, which has the name of PyTorch's function."""

    def __call__(self, *args: Any, **named: Any) -> Any:
        return tensor(*args, **named)


def _is_ours(kind: type) -> bool:
    return kind.__module__.partition(".")[0] == PACKAGE


def _open(kind: Any, has_methods: bool) -> None:
    """Wrap the constructor that a class defines, and perhaps its methods, and answer its unknown attributes."""
    for name, function in list(vars(kind).items()):
        if not isinstance(function, FunctionType):
            continue
        if name == "__init__":
            setattr(kind, name, explaining(function))
        elif has_methods and name != "forward" and (name[0] != "_" or name == "__call__"):
            names = _parameters(function)
            if names is not None and not any(n[0] == "*" for n in names):
                setattr(kind, name, _wrapped(function, name.removeprefix("__call__"), ["self", *names[1:]]))
    adapt(kind)
    theirs = CLASSES.get(kind.__name__)
    if theirs == "torch.nn.Module":
        kind.to = modules.with_devices(kind.to)
    if theirs == "torch.Tensor":
        answer_misses_of_tensors(kind, theirs)
    elif theirs:
        answer_misses(kind, theirs)


def _wrapped(function: FunctionType, name: str, names: list[str] | None, module: str = "") -> Any:
    """`function`, wrapped if there is an answer to a keyword that its parameters `names` lack.

    A wrapper is pickled by its name in a public module.
    """
    if function in _originals or names is None or not has_foreign(name, names):
        return function
    if (function, name) not in _wrappers:
        _wrappers[function, name] = wrapper = explaining(function, name)
        _originals[wrapper] = function
        if module:
            wrapper.__module__, wrapper.__qualname__ = module, name
    return _wrappers[function, name]


def _parameters(function: Any) -> list[str] | None:
    """The names of a function's parameters, with a star for any number of them; None if it takes any keyword.

    ``inspect.signature`` would take a tenth of the library's import.
    """
    own = vars(function)
    if "__signature__" in own:
        return [*own["__signature__"].parameters]
    if "__wrapped__" in own:
        return _parameters(own["__wrapped__"])
    code = function.__code__
    if code.co_flags & inspect.CO_VARKEYWORDS:
        return None
    count = code.co_argcount + code.co_kwonlyargcount
    return [*code.co_varnames[:count], *([f"*{code.co_varnames[count]}"] if code.co_flags & inspect.CO_VARARGS else ())]


enter()
remedies.attach(sys.modules[__name__])
