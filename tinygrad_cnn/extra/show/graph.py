"""The graph of a page: items (values and the ops that made them), groups of modules, and their form as a plain dict."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np

from ...core.graph import Op
from .rules import op_text
from .summary import Summaries

FORMAT = 1
"""The version of the dict: it grows when a key changes its meaning."""

PART = 100
"""The size of groups of items without a module. Items are grouped if there are more than twice as many."""

LONG = 80
"""The most characters that are shown of a parameter or a plain input."""


@dataclass(eq=False, slots=True)
class Input:
    """One input of an op: its item, or the text of a plain value, and its gradient."""

    name: str
    item: Item | None = None
    text: str = ""
    gradient: dict[str, Any] | None = None

    def as_dict(self) -> dict[str, Any]:
        """The input as a plain dict."""
        if self.item is None:
            return {"name": self.name, "text": self.text}
        return {"name": self.name, "node": self.item.id, "gradient": self.gradient}


@dataclass(eq=False, slots=True)
class Group:
    """One call of a module or of a function that called several ops, or a run of items where there are no modules."""

    id: int
    name: str
    type: str
    parent: Group | None

    def as_dict(self) -> dict[str, Any]:
        """The group as a plain dict."""
        return {"id": self.id, "name": self.name, "type": self.type, "parent": self.parent and self.parent.id}


@dataclass(eq=False, slots=True)
class Item:
    """A value in the graph: the result of an op, or an input of the graph."""

    id: int
    kind: str
    shape: tuple[int, ...]
    dtype: str
    name: str = ""
    label: str = ""
    op: Op | None = None
    inputs: list[Input] = field(default_factory=list)
    params: dict[str, str] = field(default_factory=dict)
    group: Group | None = None
    place: tuple[str, int] | None = None
    value: dict[str, Any] | None = None
    gradient: dict[str, Any] | None = None
    requires_grad: bool = False
    output: bool = False
    recomputed: bool = False

    def as_dict(self, op: str | None) -> dict[str, Any]:
        """The item as a plain dict; `op` is the key of its op in the graph."""
        return {
            "id": self.id, "kind": self.kind, "op": op, "name": self.name, "label": self.label,
            "shape": list(self.shape), "dtype": self.dtype, "inputs": [i.as_dict() for i in self.inputs],
            "params": self.params, "group": self.group and self.group.id, "place": self.place and list(self.place),
            "value": self.value, "gradient": self.gradient, "requires_grad": self.requires_grad, "output": self.output,
            "recomputed": self.recomputed,
        }  # fmt: skip


@cache
def _name(dtype: np.dtype[Any]) -> str:
    """The name of a dtype, which NumPy puts together anew each time."""
    return str(dtype)


class Graph:
    """Items in the order of their creation, so an item comes after its inputs."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.items: list[Item] = []
        self.groups: list[Group] = []
        self.notes: list[str] = []
        self.summaries = Summaries()
        self.order: list[Item] = []  # in which the backward pass visited the items

    def add(self, kind: str, like: Any, **more: Any) -> Item:
        """A new item with the shape and dtype of `like`."""
        item = Item(len(self.items), kind, tuple(like.shape), _name(like.dtype), **more)
        self.items.append(item)
        return item

    def add_group(self, name: str, kind: str, parent: Group | None) -> Group:
        """A new group."""
        self.groups.append(Group(len(self.groups), name, kind, parent))
        return self.groups[-1]

    def keep(self, roots: Iterable[Item]) -> list[Item]:
        """Remove the items that the roots do not depend on, and renumber the others. Returns those that were removed."""
        kept = {item.id: item for item in roots}
        waiting = list(kept.values())
        while waiting:
            for given in waiting.pop().inputs:
                if given.item is not None and given.item.id not in kept:
                    kept[given.item.id] = given.item
                    waiting.append(given.item)
        removed = [item for item in self.items if item.id not in kept]
        self.items = [item for item in self.items if item.id in kept]
        for number, item in enumerate(self.items):
            item.id = number
        return removed

    def place_leaves(self) -> None:
        """Put each input of the graph into the innermost group that contains all its uses."""
        paths: dict[Item, list[Group]] = {}
        for item in self.items:
            around = _path(item.group)
            for given in item.inputs:
                leaf = given.item
                if leaf is not None and leaf.kind in ("parameter", "buffer", "constant", "leaf"):
                    pairs = zip(paths.get(leaf, around), around, strict=False)
                    paths[leaf] = [a for a, _ in takewhile(lambda pair: pair[0] is pair[1], pairs)]
        for leaf, path in paths.items():
            leaf.group = path[-1] if path else None

    def divide(self) -> None:
        """Group items by their order if too many are outside of modules to be drawn side by side."""
        members: dict[int | None, list[Item]] = {}
        for item in self.items:
            members.setdefault(None if item.group is None else item.group.id, []).append(item)
        for items in members.values():
            if len(items) > 2 * PART:
                for start in range(0, len(items), PART):
                    some = items[start : start + PART]
                    part = self.add_group(f"{some[0].id} to {some[-1].id}", "part", some[0].group)
                    for item in some:
                        item.group = part

    def as_dict(self) -> dict[str, Any]:
        """The graph as plain dicts and lists."""
        self.summaries.fill()
        keys: dict[Op, str] = {}
        for op in dict.fromkeys(item.op for item in self.items if item.op is not None):
            keys[op] = op.name if op.name not in keys.values() else f"{op.function.__module__}.{op.name}"
        used = {item.group.id for item in self.items if item.group is not None}
        for group in reversed(self.groups):
            if group.id in used and group.parent is not None:
                used.add(group.parent.id)
        return {
            "format": FORMAT,
            "title": self.title,
            "notes": self.notes,
            "nodes": [item.as_dict(None if item.op is None else keys[item.op]) for item in self.items],
            "groups": [group.as_dict() for group in self.groups if group.id in used],
            "ops": {key: op_text(op) for op, key in keys.items()},
            "order": [item.id for item in self.order],
        }


def _path(group: Group | None) -> list[Group]:
    """A group and the groups around it, outermost first."""
    found: list[Group] = []
    while group is not None:
        found.insert(0, group)
        group = group.parent
    return found


def shown(value: Any) -> str:
    """The text of a plain input or a parameter, in one line."""
    if isinstance(value, np.ndarray):
        return f"{value.dtype} {value.shape}"
    text = " ".join(repr(value).split())
    return text if len(text) <= LONG else f"{text[: LONG - 1]}…"


def unused(items: Sequence[Item]) -> str:
    """A note about items that were left out: why, and what they are."""
    kinds = Counter(_origin(item) for item in items).most_common()
    what = ", ".join(f"{n} {text}" if kind is None else plural(n, kind) for (text, kind), n in kinds[:3])
    more = len(items) - sum(n for _, n in kinds[:3])
    what += f", {more} more" if more else ""
    them = "it" if len(items) == 1 else "them"
    return f"{counted(len(items), 'value')} left out, because no result depends on {them}: {what}."


def _origin(item: Item) -> tuple[str, str | None]:
    """Where the op of an item was called; for other items their kind."""
    if item.op is None:
        return "", "earlier value" if item.kind == "before" else item.kind
    if item.group is not None:
        return f"in {item.group.name if item.group.type == 'function' else item.group.type}", None
    return f"of {item.label or item.op.name}{f' in line {item.place[1]}' if item.place else ''}", None


def plural(n: int, noun: str) -> str:
    """A count with its noun."""
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def counted(n: int, what: str) -> str:
    """A count with its noun: "1 value", "2 values"."""
    return f"{plural(n, what)} {'was' if n == 1 else 'were'}"


def shown_place(filename: str) -> str:
    """A file name, relative to the working directory if the file is below it."""
    try:
        return str(Path(filename).relative_to(Path.cwd()))
    except (ValueError, OSError):
        return filename
