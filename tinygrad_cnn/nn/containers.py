"""Containers of modules."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import count, groupby
from operator import index, itemgetter
from typing import Any, Self, overload

from .module import Module

__all__ = ["ModuleDict", "ModuleList", "Sequential"]


class _Sequence(Module):
    """A sequence of modules, registered as "0", "1" and so on unless they have names."""

    def __len__(self) -> int:
        return len(self._names())

    def __iter__(self) -> Iterator[Any]:
        return (module for _, module in self._own("module"))

    @overload
    def __getitem__(self, key: int) -> Any: ...
    @overload
    def __getitem__(self, key: slice) -> Self: ...
    def __getitem__(self, key: int | slice) -> Any:
        if not isinstance(key, slice):
            return vars(self)[self._name(key)]
        part = Sequential() if isinstance(self, Sequential) else ModuleList()
        for name in self._names()[key]:
            part.register_module(name if isinstance(part, Sequential) else str(len(part)), vars(self)[name])
        return part

    def __setitem__(self, key: int, module: Module) -> None:
        setattr(self, self._name(key), *self._checked([module]))

    def __delitem__(self, key: int | slice) -> None:
        kept = list(self)
        del kept[key if isinstance(key, slice) else self._names().index(self._name(key))]
        self._replace(kept)

    def append(self, module: Module) -> Self:
        """Add a module at the end."""
        return self.extend([module])

    def extend(self, modules: Iterable[Module]) -> Self:
        """Add modules at the end."""
        for module in self._checked(modules):
            name = next(str(n) for n in count(len(self)) if str(n) not in self._kinds)
            self.register_module(name, module)
        return self

    __iadd__ = extend

    def insert(self, index: int, module: Module) -> Self:
        """Insert a module before position `index`, as in a list. All modules are renumbered."""
        modules = list(self)
        modules.insert(index, *self._checked([module]))
        return self._replace(modules)

    def _names(self) -> list[str]:
        return [name for name, _ in self._own("module")]

    def _name(self, key: int) -> str:
        names = self._names()
        try:
            return names[index(key)]
        except IndexError:
            raise IndexError(f"{type(self).__name__}: there is no module {key} among {len(names)}") from None

    def _checked(self, modules: Iterable[Module]) -> list[Module]:
        listed = list(modules)
        for module in listed:
            if not isinstance(module, Module):
                kind = type(module).__name__
                raise TypeError(f"{type(self).__name__}: {module!r:.60} is a {kind}; it must be a Module")
        return listed

    def _replace(self, modules: list[Module]) -> Self:
        """Hold `modules`, numbered from 0, instead of the present ones."""
        for name in self._names():
            delattr(self, name)
        return self.extend(modules)


class Sequential(_Sequence):
    """Modules called one after the other, each with the output of the one before.

    Args:
        modules: modules; or one dict of them, whose keys become their names. TypeError for anything else.

    >>> import tinygrad_cnn as tg
    >>> from tinygrad_cnn import nn
    >>> model = nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 10))
    >>> model(tg.zeros(5, 1, 8, 8)).shape
    (5, 10)
    >>> model[:2]
    Sequential(
      (0): Conv2d(1, 8, kernel_size=(3, 3), stride=(1, 1))
      (1): ReLU()
    )
    """

    def __init__(self, *modules: Module | Mapping[str, Module]) -> None:
        if len(modules) == 1 and isinstance(modules[0], Mapping):
            for name, module in modules[0].items():
                self.register_module(name, *self._checked([module]))
        else:
            self.extend(modules)  # type: ignore[arg-type]

    def forward(self, x: Any) -> Any:
        """Call every module in turn, the first with x, and return the last output."""
        for module in self:
            x = module(x)
        return x


class ModuleList(_Sequence):
    """A list whose modules are registered. It is not called; the module that owns it uses its elements.

    >>> from tinygrad_cnn import nn
    >>> nn.ModuleList(nn.Linear(4, 4) for _ in range(3))
    ModuleList(
      (0-2): 3 x Linear(in_features=4, out_features=4, bias=True)
    )
    """

    def __init__(self, modules: Iterable[Module] = ()) -> None:
        self.extend(modules)

    def _rows(self) -> Iterator[tuple[str, str]]:
        """Equal neighbours on one line."""
        for text, group in groupby(super()._rows(), key=itemgetter(1)):
            names = [name for name, _ in group]
            yield (names[0], text) if len(names) == 1 else (f"{names[0]}-{names[-1]}", f"{len(names)} x {text}")


class ModuleDict(Module):
    """A dict whose modules are registered, in the order in which they were added.

    >>> from tinygrad_cnn import nn
    >>> heads = nn.ModuleDict({"digit": nn.Linear(8, 10), "parity": nn.Linear(8, 2)})
    >>> heads["parity"].out_features
    2
    """

    def __init__(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]] = ()) -> None:
        self.update(modules)

    def __getitem__(self, key: str) -> Any:
        if self._kinds.get(key) != "module":
            raise KeyError(key)
        return vars(self)[key]

    def __setitem__(self, key: str, module: Module) -> None:
        self.register_module(key, module)

    def __delitem__(self, key: str) -> None:
        self.pop(key)

    def __len__(self) -> int:
        return len(self.keys())

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def keys(self) -> list[str]:
        """The names."""
        return [name for name, _ in self._own("module")]

    def values(self) -> list[Any]:
        """The modules."""
        return [module for _, module in self._own("module")]

    def items(self) -> list[tuple[str, Any]]:
        """The names with their modules."""
        return list(self._own("module"))

    def update(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]]) -> None:
        """Add modules, or replace those of the same names."""
        for name, module in dict(modules).items():
            self.register_module(name, module)

    def pop(self, key: str) -> Any:
        """Remove a module and return it."""
        module = self[key]
        delattr(self, key)
        return module
