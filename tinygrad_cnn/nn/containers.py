"""Containers of modules and of parameters."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from itertools import count, groupby
from operator import index, is_not, itemgetter
from typing import Any, ClassVar, Self, overload

from .joined import sequence
from .module import TYPES, Kind, Module
from .parameter import Parameter

__all__ = ["ModuleDict", "ModuleList", "ParameterDict", "ParameterList", "Sequential"]


_is_there = partial(is_not, None)


class _Sequence(Module):
    """A sequence of modules, registered as "0", "1" and so on unless they have names; or of parameters."""

    _kind: ClassVar[Kind] = "module"

    def __len__(self) -> int:
        return len(self._names())

    def __iter__(self) -> Iterator[Any]:
        own, kind = vars(self), self._kind
        names = [name for name, each in self._kinds.items() if each == kind]
        return filter(_is_there, map(own.__getitem__, names))  # without a frame for each

    def __contains__(self, value: object) -> bool:
        return any(value is each for each in self)

    @overload
    def __getitem__(self, key: int) -> Any: ...
    @overload
    def __getitem__(self, key: slice) -> Self: ...
    def __getitem__(self, key: int | slice) -> Any:
        if not isinstance(key, slice):
            return vars(self)[self._name(key)]
        kind = next(kind for kind in (Sequential, ModuleList, ParameterList) if isinstance(self, kind))
        part = kind()
        for name in self._names()[key]:
            part._register(part._kind, name if kind is Sequential else str(len(part)), vars(self)[name], new=True)
        return part

    def __setitem__(self, key: int, value: Any) -> None:
        setattr(self, self._name(key), *self._checked([value]))

    def __delitem__(self, key: int | slice) -> None:
        kept = list(self)
        del kept[key if isinstance(key, slice) else self._names().index(self._name(key))]
        self._replace(kept)

    def append(self, module: Any) -> Self:
        """Add one at the end."""
        return self.extend([module])

    def extend(self, modules: Iterable[Any]) -> Self:
        """Add several at the end."""
        for value in self._checked(modules):
            name = next(str(n) for n in count(len(self)) if str(n) not in self._kinds)
            self._register(self._kind, name, value, new=True)
        return self

    __iadd__ = extend

    def insert(self, index: int, module: Any) -> Self:
        """Insert one before position `index`, as in a list. All are renumbered."""
        values = list(self)
        values.insert(index, *self._checked([module]))
        return self._replace(values)

    def pop(self, key: int = -1) -> Any:
        """Remove one, the last by default, and return it. All are renumbered."""
        value = self[key]
        del self[key]
        return value

    def _names(self) -> list[str]:
        return [name for name, _ in self._own(self._kind)]

    def _name(self, key: int) -> str:
        names = self._names()
        try:
            return names[index(key)]
        except IndexError:
            raise IndexError(f"{type(self).__name__}: there is no {self._kind} {key} among {len(names)}") from None

    def _checked(self, values: Iterable[Any]) -> list[Any]:
        if not isinstance(values, Iterable):
            raise TypeError(f"{type(self).__name__}: {values!r:.60} is no list; put it in one")
        listed, wanted = list(values), TYPES[self._kind]
        for value in listed:
            if not isinstance(value, wanted):
                what = f"{type(self).__name__}: {value!r:.60} is a {type(value).__name__}"
                remedy = ": unpack it with *" if isinstance(value, list | tuple) else ""
                remedy = f": write {value.__name__}(...)" if isinstance(value, type) else remedy
                raise TypeError(f"{what}; it must be a {wanted.__name__}{remedy}")
        return listed

    def _replace(self, values: list[Any]) -> Self:
        """Replace all items by these, numbered from 0."""
        for name in self._names():
            delattr(self, name)
        return self.extend(values)


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
            self.extend(modules)

    def forward(self, x: Any) -> Any:
        """Call every module in turn, the first with x, and return the last output."""
        for call in sequence.get()(self):
            x = call(x)
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
        """Consecutive equal items on one line."""
        for text, group in groupby(super()._rows(), key=itemgetter(1)):
            names = [name for name, _ in group]
            yield (names[0], text) if len(names) == 1 else (f"{names[0]}-{names[-1]}", f"{len(names)} x {text}")


class ParameterList(_Sequence):
    """A list whose parameters are registered. The module that owns it uses its elements.

    >>> from tinygrad_cnn import nn
    >>> nn.ParameterList(nn.Parameter([1.0] * n) for n in (2, 3))
    ParameterList(
      (0): Parameter float32 (2,)
      (1): Parameter float32 (3,)
    )
    """

    _kind: ClassVar[Kind] = "parameter"

    def __init__(self, values: Iterable[Parameter] = ()) -> None:
        self.extend(values)

    def append(self, value: Parameter) -> Self:
        """Add one at the end."""
        return super().append(value)

    def extend(self, values: Iterable[Parameter]) -> Self:
        """Add several at the end."""
        return super().extend(values)

    def insert(self, index: int, value: Parameter) -> Self:
        """Insert one before position `index`, as in a list. All are renumbered."""
        return super().insert(index, value)

    def _rows(self) -> Iterator[tuple[str, str]]:
        return _parameter_rows(self)


class _Dict(Module):
    """A dict of modules or of parameters."""

    _kind: ClassVar[Kind]

    def __getitem__(self, key: str) -> Any:
        if self._kinds.get(key) != self._kind:
            raise KeyError(key)
        return vars(self)[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self._register(self._kind, key, value, new=True)

    def __delitem__(self, key: str) -> None:
        self.pop(key)

    def __len__(self) -> int:
        return len(self.keys())

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def keys(self) -> list[str]:
        """The names."""
        return [name for name, _ in self._own(self._kind)]

    def values(self) -> list[Any]:
        """The items."""
        return [value for _, value in self._own(self._kind)]

    def items(self) -> list[tuple[str, Any]]:
        """The pairs of names and items."""
        return list(self._own(self._kind))

    def update(self, modules: Mapping[str, Any] | Iterable[tuple[str, Any]]) -> None:
        """Add the items of a dict, or replace those of the same names."""
        try:
            items = dict(modules).items()
        except (TypeError, ValueError):
            raise TypeError(f"{type(self).__name__}: {modules!r:.60} is no dict; give a dict, by names") from None
        for name, value in items:
            self._may_register(self._kind, name, value, new=True)
        for name, value in items:
            self[name] = value

    def pop(self, key: str) -> Any:
        """Remove an item and return it."""
        value = self[key]
        delattr(self, key)
        return value

    def clear(self) -> None:
        """Remove all items."""
        for name in self.keys():
            delattr(self, name)


class ModuleDict(_Dict):
    """A dict whose modules are registered, in the order in which they were added.

    >>> from tinygrad_cnn import nn
    >>> heads = nn.ModuleDict({"digit": nn.Linear(8, 10), "parity": nn.Linear(8, 2)})
    >>> heads["parity"].out_features
    2
    """

    _kind: ClassVar[Kind] = "module"

    def __init__(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]] = ()) -> None:
        self.update(modules)


class ParameterDict(_Dict):
    """A dict whose parameters are registered, in the order in which they were added.

    >>> from tinygrad_cnn import nn
    >>> scales = nn.ParameterDict({"left": nn.Parameter([1.0]), "right": nn.Parameter([2.0])})
    >>> [name for name, _ in scales.named_parameters()], scales["right"].item()
    (['left', 'right'], 2.0)
    """

    _kind: ClassVar[Kind] = "parameter"

    def __init__(self, parameters: Mapping[str, Parameter] | Iterable[tuple[str, Parameter]] = ()) -> None:
        self.update(parameters)

    def update(self, parameters: Mapping[str, Parameter] | Iterable[tuple[str, Parameter]]) -> None:
        """Add the items of a dict, or replace those of the same names."""
        super().update(parameters)

    def _rows(self) -> Iterator[tuple[str, str]]:
        return _parameter_rows(self)


def _parameter_rows(container: Module) -> Iterator[tuple[str, str]]:
    return ((name, f"Parameter {p.dtype} {p.shape}") for name, p in container._own("parameter"))
