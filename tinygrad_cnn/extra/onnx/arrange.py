"""Finds the modules of the network that was exported among the nodes of a file.

The name of a node says which module it belongs to, as "layer1/conv/Conv" does, else the names of its parameters do, as
"layer1.conv.weight" does. A module whose nodes can run one after the other becomes one :class:`~.parts.Part`;
of one that was called several times there is one part with several calls. Where the nodes of a module cannot be put together,
each is a part of its own, and the module a :class:`~.parts.Scope`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np

from ...nn import Module
from .names import Paths, call_of_module, module_of
from .parts import Call, Part, Path, Scope, at
from .program import Env, Program, Step

MOST_MOVES = 1_000_000
"""The most runs that are looked at to put the nodes of modules together. Exporters write them together already."""


class Origin(Enum):
    """What wrote the names of the nodes in a file."""

    OURS = "this package"
    OLD = "this package, when it did not number the calls of a module"
    OTHER = "another package"


class Unit(NamedTuple):
    """A node, with the nodes before it that only prepare its weights."""

    steps: tuple[Step, ...]
    scope: Path  # the module that it belongs to, as it is named in the file
    call: Path | None  # the same with the numbers of calls; None if the file does not tell
    uses: tuple[str, ...]  # values from outside, in a fixed order
    makes: tuple[str, ...]


class Run:
    """Consecutive units of one submodule; or one unit of the module itself, without a key."""

    def __init__(self, key: Path | None, units: Sequence[Unit]) -> None:
        self.key = key
        self.segments = [list(units)]  # one for each call
        self.uses = {name for unit in units for name in unit.uses}
        self.makes = {name for unit in units for name in unit.makes}

    @property
    def units(self) -> list[Unit]:
        """All units."""
        return [unit for segment in self.segments for unit in segment]


class Arrangement:
    """The parts of a program, as a tree below its root.

    Args:
        root: what becomes the root; it is given parts without parameters.
        program: the steps of the file.
        owners: by name of a parameter or buffer, the module that it belongs to, as it is named in the file.
        constants: the other values that are known.
        paths: assigns attributes to names.
        origin: what wrote the names of the nodes.
    """

    def __init__(
        self, root: Part, program: Program, owners: Mapping[str, Path], constants: Env, paths: Paths, origin: Origin
    ) -> None:
        self.root, self.owners, self.constants, self.paths = root, owners, constants, paths
        self.fixed = owners.keys() | constants.keys()
        self.parts: dict[Path, Part] = {(): root}
        self._made: dict[Path, list[int]] = {}  # which values of a part's units are its outputs
        self._split: set[Path] = set()  # modules whose nodes are parts of their own
        self._moves = 0
        units = _units(program, owners, self.fixed, origin)
        self._users: dict[str, set[int]] = {}
        for unit in units:
            for name in unit.uses:
                self._users.setdefault(name, set()).add(id(unit))
        root._inputs, root._outputs = tuple(program.inputs), tuple(program.outputs)
        root._constants = {name: constants[name] for name in root._outputs if name in constants}
        self._fill(root, (), units)

    # The tree

    def _fill(self, part: Part, prefix: Path, units: Sequence[Unit]) -> None:
        """Give a part its steps, which call the parts within it."""
        runs = self._runs(prefix, units)
        segments: dict[Path | None, list[list[Unit]]] = {}
        for run in runs:
            segments.setdefault(run.key, []).extend(run.segments)
        for run in runs:
            if run.key is None:
                (unit,) = run.units
                path = self.paths.node(unit.scope, _label(unit.steps[-1]))
                self._make(part, path, unit.scope, run.segments, is_node=True)
            else:
                path = self.paths.scope(run.key)
                if path not in self.parts:
                    self._make(part, path, run.key, segments[run.key], is_node=False)
            for segment in run.segments:
                names = _makes(segment)
                outputs = [names[i] for i in self._made[path]]
                part._steps.append(Call(path[len(part._path) :], self._inputs(segment), outputs))
        made = {name for call in part._steps for name in call.outputs}
        gone = set(part._outputs)
        for call in reversed(part._steps):
            last = {n for n in (*call.inputs, *call.outputs) if n in made and n not in gone}
            call.after = tuple(last)
            gone |= last

    def _make(self, above: Part, path: Path, key: Path, segments: Sequence[list[Unit]], is_node: bool) -> None:
        """Make the part at a path, of the units of its first call."""
        part = self.parts[path] = Part()
        part._path, part._is_node = path, is_node
        self.holder(path[:-1]).register_module(path[-1], part)
        first = segments[0]
        names = _makes(first)
        self._made[path] = self._wanted(above, segments)
        part._inputs, part._outputs = tuple(self._inputs(first)), tuple(names[i] for i in self._made[path])
        if len(first) == 1 and (is_node or first[0].scope == key):
            part._steps = list(first[0].steps)
            used = sorted(set[str]().union(*(step.uses() for step in part._steps)))
            part._constants = {name: self.constants[name] for name in used if name in self.constants}
        else:
            self._fill(part, key, first)

    def holder(self, path: Path) -> Module:
        """The module at a path, a new :class:`Scope` if there is none."""
        found: Module = self.root
        for length, name in enumerate(path, 1):
            if name not in found._kinds:
                scope = Scope()
                scope._path = path[:length]
                found.register_module(name, scope)
            found = vars(found)[name]
        return found

    def _inputs(self, units: Sequence[Unit]) -> list[str]:
        """The values that units take from other units, in the order of their first use."""
        inside = set(_makes(units))
        found = dict.fromkeys(name for unit in units for name in unit.uses)
        return [name for name in found if name not in inside and name not in self.fixed]

    def _wanted(self, above: Part, segments: Sequence[list[Unit]]) -> list[int]:
        """Which of the values that a part makes are used outside of it, in any of its calls."""
        found: set[int] = set()
        for segment in segments:
            inside = {id(unit) for unit in segment}
            for i, name in enumerate(_makes(segment)):
                if name in above._outputs or self._users.get(name, set()) - inside:
                    found.add(i)
        return sorted(found)

    # Parameters and buffers

    def pass_on(self, places: Mapping[str, Path]) -> None:
        """Let the parts read the parameters and buffers, which are at `places` now."""
        readers: dict[str, list[Path]] = {}
        for path, part in self.parts.items():
            names = set[str]().union(*(step.uses() for step in part._steps)) if part._is_leaf else set()
            names |= set(self.root._outputs) if part is self.root else set()
            for name in names & places.keys():
                readers.setdefault(name, []).append(path)
        needs: dict[Path, set[str]] = {}
        for name, place in places.items():
            found = readers.get(name, [])
            keeper = _common([place[:-1], *found])
            while keeper not in self.parts:
                keeper = keeper[:-1]
            part = self.parts[keeper]
            part._places.append((name, place[len(keeper) :]))
            if not part._is_leaf and len(place) == len(keeper) + 1:
                part._lent[place[-1]] = name
            for reader in found:
                for length in range(len(keeper) + 1, len(reader) + 1):
                    needs.setdefault(reader[:length], set()).add(name)
            self._say(place[:-1], found)
        for path in self.parts:
            self._say(path[:-1], [path])
        for path, found_names in needs.items():
            if path in self.parts:
                self.parts[path]._needs = frozenset(found_names)

    def _say(self, path: Path, users: Sequence[Path]) -> None:
        """Note in the scopes along a path what is called in their stead."""
        for length in range(1, len(path) + 1):
            above = at(self.root, path[:length])
            if isinstance(above, Scope):
                above._users = tuple(dict.fromkeys([*above._users, *map(".".join, users)]))

    # Which units are put together

    def _runs(self, prefix: Path, units: Sequence[Unit]) -> list[Run]:
        """The units in runs, in an order in which they can run. The runs of one submodule are alike, or there is one."""
        while True:
            runs = self._consecutive(prefix, units)
            several: dict[Path, list[Run]] = {}
            for run in runs:
                if run.key is not None:
                    run.segments = self._calls(run.key, run.units)
                    several.setdefault(run.key, []).append(run)
            split = {
                key
                for key, own in several.items()
                if len(own) + len(own[0].segments) > 2 and not self._together(runs, key, own)
            }
            if not split:
                return runs
            self._split |= split

    def _consecutive(self, prefix: Path, units: Sequence[Unit]) -> list[Run]:
        found: list[tuple[Path | None, list[Unit]]] = []
        for unit in units:
            key = self._key(prefix, unit)
            if key is not None and found and found[-1][0] == key:
                found[-1][1].append(unit)
            else:
                found.append((key, [unit]))
        return [Run(key, some) for key, some in found]

    def _key(self, prefix: Path, unit: Unit) -> Path | None:
        """The submodule that a unit belongs to: the outermost one that is called as a whole."""
        for length in range(len(prefix) + 1, len(unit.scope) + 1):
            if unit.scope[:length] not in self._split:
                return unit.scope[:length]
        return None

    def _together(self, runs: list[Run], key: Path, own: Sequence[Run]) -> bool:
        """Whether the runs of a submodule are calls of it. Else put them together as one, which may be impossible: False."""
        if len({self._signature(segment) for run in own for segment in run.segments}) == 1:
            return True
        if len({unit.call and unit.call[: len(key)] for run in own for unit in run.units}) > 1:
            return False  # calls that differ
        self._moves += len(runs)
        if self._moves > MOST_MOVES:
            return False
        places = [i for i, run in enumerate(runs) if run.key == key]
        first, last = places[0], places[-1]
        made: set[str] = set()
        behind: set[str] = set()  # values that depend on the submodule, made outside of it
        core: list[Unit] = []
        before: list[Run] = []
        after: list[Run] = []
        for run in runs[first : last + 1]:
            if run.key == key:
                if run.uses & behind:
                    return False
                core += run.units
                made |= run.makes
            elif run.uses & (made | behind):
                behind |= run.makes
                after.append(run)
            else:
                before.append(run)
        runs[first : last + 1] = [*before, Run(key, core), *after]
        return True

    def _calls(self, key: Path, units: list[Unit]) -> list[list[Unit]]:
        """Consecutive units of a submodule, divided into its calls.

        Where the names do not tell, units that repeat with the same parameters, or as a chain, are calls.
        """
        if all(unit.call is not None for unit in units):
            return [list(some) for _, some in groupby(units, lambda unit: unit.call[: len(key)])]  # type: ignore[index]
        if len(_common([unit.scope for unit in units])) > len(key):
            return [units]  # what repeats is within a submodule
        count = len(units)
        kinds = [tuple(step.operator for step in unit.steps) for unit in units]
        for length in range(1, count // 2 + 1):
            if count % length or kinds[length:] != kinds[:-length]:
                continue
            segments = [units[i : i + length] for i in range(0, count, length)]
            owned = any(name in self.owners for unit in units for name in unit.uses)
            chain = all(len(self._inputs(segment)) == 1 for segment in segments)
            if (owned or chain) and len({self._signature(segment) for segment in segments}) == 1:
                return segments
        return [units]

    def _signature(self, units: Sequence[Unit]) -> Any:
        """What calls of one module have in common: operators, attributes, parameters, constants and how they are connected."""
        known: dict[str, Any] = {"": None}
        found = []
        for step in (step for unit in units for step in unit.steps):
            given: list[Any] = []
            for name in step.inputs:
                if name in self.constants:
                    array = self.constants[name]
                    given.append((str(array.dtype), array.shape, array.tobytes()))
                elif name in self.fixed:
                    given.append(name)
                else:
                    given.append(known.setdefault(name, len(known)))
            known.update({name: len(known) + i for i, name in enumerate(step.outputs) if name})
            function = step.function
            keywords = [(k, _text(v)) for k, v in sorted(getattr(function, "keywords", {}).items())]
            special = id(step) if type(step) is not Step else None  # of control flow
            found.append((step.operator, tuple(keywords), tuple(given), tuple(map(bool, step.outputs)), special))
        return tuple(found)


def _text(value: Any) -> Any:
    return (str(value.dtype), value.shape, value.tobytes()) if isinstance(value, np.ndarray) else repr(value)


def _makes(units: Iterable[Unit]) -> list[str]:
    return [name for unit in units for name in unit.makes]


def _label(step: Step) -> str:
    """The attribute of a node: the last part of its name, or its operator and number if it has none."""
    last = step.name.rpartition("/")[2].replace(".", "_")[:100]
    return f"{step.operator}_{last[1:]}" if last.startswith("#") else last


def _common(paths: Sequence[Path]) -> Path:
    """The longest beginning that paths have in common."""
    low, high = min(paths), max(paths)
    same = 0
    while same < len(low) and low[same] == high[same]:
        same += 1
    return low[:same]


# Nodes


def _units(program: Program, owners: Mapping[str, Path], fixed: Iterable[str], origin: Origin) -> list[Unit]:
    """The nodes, each with those before it that only prepare weights for it."""
    known = {scope[:length] for scope in owners.values() for length in range(1, len(scope) + 1)}
    uses = [_ordered(step) for step in program.steps]
    readers: dict[str, set[int]] = {}
    for i, names in enumerate(uses):
        for name in names:
            readers.setdefault(name, set()).add(i)
    derived = dict(owners)  # by name of a parameter, or of what is made of parameters only, its module
    settled = set(fixed)
    kept = set(program.outputs)
    waiting: dict[int, list[Step]] = {}  # by the step that uses them, steps that prepare its weights
    found = []
    for i, (step, names) in enumerate(zip(program.steps, uses, strict=True)):
        steps = [*waiting.pop(i, ()), step]
        scopes = [derived[name] for name in names if name in derived]
        call = call_of_module(step.name)
        if call is None and origin is Origin.OURS:
            call = ()
        scope = module_of(call, known, origin is not Origin.OTHER) if call is not None else _common(scopes or [()])
        made = [name for name in step.outputs if name]
        if scopes and settled.issuperset(names):
            settled.update(made)
            derived.update(dict.fromkeys(made, _common(scopes)))
            users = set[int]().union(*(readers.get(name, set()) for name in made))
            if len(users) == 1 and kept.isdisjoint(made) and type(step) is Step:
                waiting.setdefault(users.pop(), []).extend(steps)
                continue
        inside = {name for each in steps[:-1] for name in each.outputs}
        outside = dict.fromkeys(n for each in steps for n in _ordered(each) if n not in inside)
        found.append(Unit(tuple(steps), scope, None if origin is Origin.OLD else call, tuple(outside), tuple(made)))
    return found


def _ordered(step: Step) -> list[str]:
    """The names that a step uses: its inputs, then those within its graphs."""
    inputs = dict.fromkeys(name for name in step.inputs if name)
    return [*inputs, *sorted(step.uses() - inputs.keys())]
