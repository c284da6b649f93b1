"""Find what the modules of the package keep between calls: state that all threads share unless something keeps it apart."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1] / "tinygrad_cnn"

CHANGES = {
    "add", "append", "appendleft", "clear", "discard", "extend", "insert", "pop", "popitem", "popleft", "put", "remove", "set",
    "setdefault", "update",
}  # fmt: skip
"""Methods that change what they are called on."""

MADE_TO_CHANGE = {
    "ContextVar",
    "Scoped",
    "_Errors",
    "Lock",
    "RLock",
    "local",
    "SimpleQueue",
    "WeakKeyDictionary",
    "WeakValueDictionary",
    "count",
}
"""What a module only makes in order to change it."""

CACHES = {"cache", "lru_cache"}


def shared_state() -> tuple[set[str], set[str]]:
    """The state of the package: names that functions change, each as "file: name", and cached functions."""
    changed, cached = set(), set()
    for path in sorted(PACKAGE.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        changed |= {place for name in changed_names(tree) if (place := _place(tree, path, name))}
        cached |= {f"{path.relative_to(PACKAGE).as_posix()}: {name}" for name in cached_names(tree)}
    return changed, cached


def changed_names(tree: ast.Module) -> set[str]:
    """The names of a module that are made to be changed, or are changed by a function."""
    known = set(_bound(tree.body))
    found = {name for node in tree.body for name in _made_to_change(node)}
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            found |= _changed(node, known)
    return found


def cached_names(tree: ast.Module) -> set[str]:
    """Functions whose results are kept for later calls."""
    found = {
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and any(_called(d) in CACHES for d in node.decorator_list)
    }
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call) and _called(node.value.func) in CACHES:
            found |= {t.id for t in node.targets if isinstance(t, ast.Name)}
    return found


def _place(tree: ast.Module, path: Path, name: str) -> str | None:
    """ "file: name" of what a module changes, in the file that defines it; None for a module, whose functions are called."""
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.level:
            for alias in node.names:
                if name == (alias.asname or alias.name):
                    base = path.parents[node.level - 1].joinpath(*(node.module or "").split("."))
                    if (base / f"{alias.name}.py").exists():
                        return None
                    path, name = (
                        base.with_suffix(".py") if base.with_suffix(".py").exists() else base / "__init__.py",
                        alias.name,
                    )
                    return f"{path.relative_to(PACKAGE).as_posix()}: {name}"
    return f"{path.relative_to(PACKAGE).as_posix()}: {name}"


def _bound(body: list[ast.stmt]) -> Iterator[str]:
    """The names that statements of a module bind: assigned, imported, defined."""
    for node in body:
        match node:
            case ast.Assign(targets=targets):
                yield from (n.id for t in targets for n in ast.walk(t) if isinstance(n, ast.Name))
            case ast.AnnAssign(target=ast.Name(id=name)) | ast.ClassDef(name=name):
                yield name
            case ast.ImportFrom(names=names, level=level) if level:
                yield from (alias.asname or alias.name for alias in names)
            case ast.If() | ast.Try():
                yield from _bound([n for n in ast.iter_child_nodes(node) if isinstance(n, ast.stmt)])


def _called(node: ast.AST) -> str:
    """The last part of the name of a function, or of one that is called."""
    match node:
        case ast.Call(func=function):
            return _called(function)
        case ast.Subscript(value=value):
            return _called(value)
        case ast.Attribute(attr=name) | ast.Name(id=name):
            return name
    return ""


def _made_to_change(node: ast.stmt) -> Iterator[str]:
    match node:
        case ast.Assign(targets=targets, value=ast.Call() as value) if _called(value) in MADE_TO_CHANGE:
            yield from (t.id for t in targets if isinstance(t, ast.Name))
        case ast.AnnAssign(target=ast.Name(id=name), value=ast.Call() as value) if _called(value) in MADE_TO_CHANGE:
            yield name
        case ast.ClassDef(name=name, bases=bases) if any(_called(b) in MADE_TO_CHANGE for b in bases):
            yield name


def _changed(function: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda, known: set[str]) -> set[str]:
    """The names of the module that a function changes: by ``global``, by a method, at an index or in an attribute."""
    nodes = list(ast.walk(function))
    shared = {name for node in nodes if isinstance(node, ast.Global) for name in node.names}
    local = {node.arg for node in nodes if isinstance(node, ast.arg)}
    local |= {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)} - shared
    known = known - local
    for node in nodes:
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr=method)) if (
                name in known and method in CHANGES
            ):
                shared.add(name)
            case (
                ast.Subscript(value=value, ctx=ast.Store() | ast.Del())
                | ast.Attribute(value=value, ctx=ast.Store() | ast.Del())
            ):
                while isinstance(value, ast.Subscript | ast.Attribute):
                    value = value.value
                if isinstance(value, ast.Name) and value.id in known:
                    shared.add(value.id)
    return shared
