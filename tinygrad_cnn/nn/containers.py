"""Modules that hold modules."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import count, groupby
from operator import index
from typing import Any, Self, overload

from .module import Module

__all__ = ["ModuleDict", "ModuleList", "Sequential"]


class _Numbered(Module):
    """A sequence of modules, registered as "0", "1" and so on unless they were named."""

    def _names(self) -> list[str]:
        return [name for name, _ in self._own("module")]

    def _checked(self, modules: Iterable[Module]) -> list[Module]:
        listed = list(modules)
        for module in listed:
            if not isinstance(module, Module):
                raise TypeError(
                    f"{type(self).__name__}: {module!r:.60} is a {type(module).__name__}; it must be a Module"
                )
        return listed

    def _renumber(self, modules: list[Module]) -> None:
        """Hold `modules`, numbered from 0, in place of what is here."""
        for name in self._names():
            delattr(self, name)
        self.extend(modules)

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
        self._renumber(kept)

    def _name(self, key: int) -> str:
        names = self._names()
        try:
            return names[index(key)]
        except IndexError:
            raise IndexError(f"{type(self).__name__}: there is no module {key} among {len(names)}") from None

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
        """Put a module before place `index`, as in a list. All are numbered afresh."""
        modules = list(self)
        modules.insert(index, *self._checked([module]))
        self._renumber(modules)
        return self


class Sequential(_Numbered):
    """Modules one after the other: each gets what the one before it gave.

    Args:
        modules: modules; or one dict of them, whose keys become their names.

    Raises:
        TypeError: if one is not a Module.

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
        """What the last module makes of what the one before it makes of ... x."""
        for module in self:
            x = module(x)
        return x


class ModuleList(_Numbered):
    """A list of modules that are registered; ``forward`` of the module that owns it decides what to do with them.

    >>> from tinygrad_cnn import nn
    >>> nn.ModuleList(nn.Linear(4, 4) for _ in range(3))
    ModuleList(
      (0-2): 3 x Linear(in_features=4, out_features=4, bias=True)
    )
    """

    def __init__(self, modules: Iterable[Module] = ()) -> None:
        self.extend(modules)

    def _rows(self) -> Iterator[tuple[str, Any]]:
        """Equal neighbours on one line."""
        for text, group in groupby(super()._rows(), key=lambda row: repr(row[1])):
            names = [name for name, _ in group]
            several = f"{len(names)} x {text}"
            yield (names[0], _Text(text)) if len(names) == 1 else (f"{names[0]}-{names[-1]}", _Text(several))


class _Text(str):
    """Text that is its own ``repr``."""

    __repr__ = str.__str__


class ModuleDict(Module):
    """Modules by name, registered; in the order in which they were added.

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

    def __contains__(self, key: object) -> bool:
        return key in self.keys()

    def keys(self) -> list[str]:
        """The names."""
        return [name for name, _ in self._own("module")]

    def values(self) -> list[Any]:
        """The modules."""
        return [module for _, module in self._own("module")]

    def items(self) -> list[tuple[str, Any]]:
        """The names and modules."""
        return list(self._own("module"))

    def update(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]]) -> None:
        """Add modules, or put them in the place of those of the same names."""
        for name, module in modules.items() if isinstance(modules, Mapping) else modules:
            self.register_module(name, module)

    def pop(self, key: str) -> Any:
        """Remove a module and return it."""
        module = self[key]
        delattr(self, key)
        return module
