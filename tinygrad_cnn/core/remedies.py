"""The seam for remedies: what is attached here answers names, keywords and positions that do not exist.

With nothing attached, errors are Python's own. ``names/`` attaches remedies for users of PyTorch, Keras, MyGrad and autograd;
they are asked after a look-up or a call has failed.
"""

from __future__ import annotations

from typing import Any, Protocol


class Remedies(Protocol):
    """What may be attached."""

    def published(self, namespace: dict[str, Any]) -> None:
        """A public module is complete; `namespace` is its ``globals()``, in which functions may be replaced by wrappers."""

    def original(self, function: Any) -> Any:
        """The library's own function, for one that was wrapped; any other value itself."""

    def replacement(self, place: str, name: str) -> str | None:
        """What to use for a name that `place` lacks: Python, or a reason in brackets; None if there is nothing to say."""

    def synonym(self, place: str, name: str) -> Any:
        """The value of a name that `place` lacks, if the name can mean one thing only; else None."""


_attached: list[Remedies] = []
_published: list[dict[str, Any]] = []


def attach(remedies: Remedies) -> None:
    """Attach remedies, in place of others; they are told of every public module, earlier ones too."""
    _attached[:] = [remedies]
    for namespace in _published:
        remedies.published(namespace)


def publish(namespace: dict[str, Any]) -> None:
    """Say, at the end of a public module, that its ``globals()`` are complete."""
    _published.append(namespace)
    for remedies in _attached:
        remedies.published(namespace)


def original(function: Any) -> Any:
    """The library's own function, for one that a user took from a public module, which may be a wrapper."""
    return next((remedies.original(function) for remedies in _attached), function)


def replacement(place: str, name: str) -> str | None:
    """See :meth:`Remedies.replacement`."""
    return next((remedies.replacement(place, name) for remedies in _attached), None)


def missing(module: str, name: str) -> Any:
    """What a public module answers for a name that it lacks: a synonym, or an AttributeError that says what to use."""
    for remedies in _attached:
        if (value := remedies.synonym(module, name)) is not None:
            return value
    raise AttributeError(f"module {module!r} has no attribute {name!r}{hint(module, name)}")


def hint(place: str, name: str) -> str:
    """The :func:`replacement`, as the end of an error; "" if there is none."""
    use = replacement(place, name)
    return "" if use is None else f" {use}" if use.startswith("(") else f"; use {use}"
