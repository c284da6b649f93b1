"""Nested lists, tuples and dicts as arguments and results: their leaves, in order, and the same structure with others.

A leaf is any other value. Its path, for messages, is the Python that reaches it: ``['w'][0]``.
"""

from collections.abc import Iterable, Iterator
from copy import copy
from typing import Any


def leaves(tree: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Path and value of every leaf, depth first. Dicts keep their order."""
    if isinstance(tree, dict):
        for key, branch in tree.items():
            yield from leaves(branch, f"{path}[{key!r}]")
    elif isinstance(tree, list | tuple):
        for i, branch in enumerate(tree):
            yield from leaves(branch, f"{path}[{i}]")
    else:
        yield path, tree


def rebuild(tree: Any, values: Iterable[Any]) -> Any:
    """A tree of the same structure with these values as leaves, in the order of :func:`leaves`."""
    return _rebuild(tree, iter(values))


def _rebuild(tree: Any, values: Iterator[Any]) -> Any:
    new: Any
    if isinstance(tree, dict):
        new = copy(tree)  # of the same class
        for key, branch in tree.items():
            new[key] = _rebuild(branch, values)
        return new
    if isinstance(tree, list) and type(tree) is not list:
        new = copy(tree)  # of the same class, with its attributes
        new[:] = [_rebuild(branch, values) for branch in tree]
        return new
    if isinstance(tree, list | tuple):
        branches = [_rebuild(branch, values) for branch in tree]
        if hasattr(tree, "_make"):  # a named tuple
            return tree._make(branches)
        return branches if isinstance(tree, list) else tuple(branches)
    return next(values)


def matched(name: str, what: str, other: Any, like: Any) -> list[tuple[str, Any, Any]]:
    """Path, leaf of `like` and leaf of `other`, for trees of one structure; dicts are matched by key.

    Raises:
        ValueError: if the structures differ, with the place.
    """
    expected, found = dict(leaves(like)), dict(leaves(other))
    wrong = [f"has no leaf {path or 'of its own'}" for path in expected if path not in found]
    wrong += [f"has a leaf {path or 'of its own'} too many" for path in found if path not in expected]
    if wrong:
        raise ValueError(f"{name}: {what} {wrong[0]}; it must have the same structure of nested containers")
    return [(path, leaf, found[path]) for path, leaf in expected.items()]
