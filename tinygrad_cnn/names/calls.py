"""Calls that Python refuses: they are made with our keywords, or the error says what to use."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, TypeAlias, TypeVar

from .keywords import ABSENT, BESIDE, DONE, NOTES, OWN, POSITIONAL, RENAMED, TAKEN, THEIRS, UNCLEAR, WHOLE
from .others import KEYWORDS
from .synonyms.common import is_processor

Function: TypeAlias = Callable[..., Any]
F = TypeVar("F", bound=Function)


ALONE = {"where": "tg.nonzero(x) has the positions where x is not 0"}
"""What a function that was given one argument alone may have been meant for."""

SORTED = "topk", "sorted"
"""PyTorch's last argument of ``topk``, by position or name: whether the values are in order, which they are here."""


def explaining(function: F, name: str = "") -> F:
    """`function`, with :func:`understood` where Python refuses the arguments of a call.

    `name` is what the function is called in the tables; a constructor, or a method ``__call__``, has the name of the class.
    """

    @functools.wraps(function)
    def explained(*args: Any, **named: Any) -> Any:
        try:
            return function(*args, **named)
        except TypeError as error:
            if name == SORTED[0] and len(args) == 5:
                return function(*args[:4], **named)
            found = understood(function, name or type(args[0]).__name__, args, named, str(error))
            if found is None:
                raise
        return function(*args, **found)

    return explained  # type: ignore[return-value]


def understood(
    function: Function, owner: str, args: Sequence[Any], named: Mapping[str, Any], error: str
) -> dict[str, Any] | None:
    """The keywords of a call that failed with a TypeError, by our names.

    None if there is nothing to say: the body of the function raised the error, or nobody has such keywords.

    Raises:
        TypeError: that says what to use, for keywords that cannot be translated.
    """
    if " missing " in error and len(args) == 1 and not named and owner in ALONE:
        raise TypeError(f"{error}; {ALONE[owner]}") from None
    signature = inspect.signature(function)
    parameters = list(signature.parameters.values())
    names = [p.name for p in parameters if p.kind is not p.VAR_KEYWORD]
    unknown = _unknown(signature, args, named, error)
    if unknown is None:
        return None
    places = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    given = {*places[: len(args)], *(name for name in named if name in names)}
    found: dict[str, str] = {}  # their keyword: ours, or "" for one that has no effect
    for keyword in sorted(unknown, key=lambda k: (named[k] is None, k != "unbiased")):
        value, ours = named[keyword], ours_for(owner, keyword, names)
        if (keyword == "device" and is_processor(value)) or (owner, keyword) == SORTED:
            found[keyword] = ""
            continue
        if ours in given and keyword in DONE:
            raise TypeError(
                f"{owner}() got an unexpected keyword argument {keyword!r}; `{ours}` is given already"
            ) from None
        if ours is not None and ours in names and _means_the_same(owner, keyword, value, names, given):
            found[keyword] = ours
            given.add(ours)
        elif text := unexpected(owner, keyword, value, ours, names):
            raise TypeError(text) from None  # no variable may hold the error: with its traceback it would be a cycle
    if found:
        return {
            ours: int(bool(value)) if name == "unbiased" and name in found else value
            for name, value in named.items() if (ours := found.get(name, name))
        }  # fmt: skip
    if text := _twice(owner, places, len(args), named) or _too_many(owner, parameters, places, len(args)):
        raise TypeError(text) from None
    if owner in WHOLE and any(hasattr(value, "__array__") for value in args):
        raise TypeError(f"{error}{POSITIONAL[owner]}") from None
    return None


def _unknown(
    signature: inspect.Signature, args: Sequence[Any], named: Mapping[str, Any], error: str
) -> list[str] | None:
    """The keywords that a function does not have; None if its arguments fit, so that its body raised the error."""
    try:
        signature.bind(*args, **named)
    except TypeError:
        return [name for name in named if name not in signature.parameters]
    said = re.search(r"got an unexpected keyword argument '(\w+)'", error)  # by a function with **options
    return [said[1]] if said and said[1] in named and said[1] not in signature.parameters else None


def ours_for(function: str, keyword: str, names: Sequence[str]) -> str | None:
    """Our name for a keyword, among the parameters `names`; or a reason in brackets; or None."""
    known = (
        OWN.get(function, {}).get(keyword) or RENAMED.get(keyword) or BESIDE.get(keyword) or KEYWORDS.get(keyword) or ""
    )
    if keyword == "input" and known == BESIDE[keyword]:
        names = names[:1]  # take(a, indices) has two of these
    return known if known.startswith("(") else next((name for name in known.split() if name in names), None)


def _means_the_same(function: str, keyword: str, value: Any, names: Collection[str], given: Collection[str]) -> bool:
    """Whether a keyword can only mean our parameter, so that the call is made with it."""
    if keyword != "dim":
        return keyword in DONE
    if _is_unclear(value, names):
        return False
    return function not in NOTES or (function in ("var", "std") and not {"correction", "ddof"}.isdisjoint(given))


def _is_unclear(dim: Any, names: Collection[str]) -> bool:
    """Whether it depends on PyTorch's function which axes are meant. None is all axes for those with `keepdim`."""
    return (isinstance(dim, tuple | list) and not dim) or (dim is None and "keepdims" not in names)


def unexpected(owner: str, keyword: str, value: Any, ours: str | None, names: Collection[str]) -> str | None:
    """The error for a keyword that `owner` does not have; None if there is nothing to say."""
    text = f"{owner}() got an unexpected keyword argument {keyword!r}"
    if ours is None:
        return f"{text}; {ABSENT[keyword]}" if keyword in ABSENT else None
    if ours.startswith("("):
        return f"{text}; {ours[1:-1]}"
    if keyword == "dim" and _is_unclear(value, names):
        return f"{text}; {UNCLEAR}"
    shown = repr(value) if isinstance(value, int | str | float | tuple | list) and len(repr(value)) < 40 else "..."
    shown = repr(bool(value)) if ours == "progress" else shown
    note = f"; {NOTES[owner]}" if keyword == "dim" and owner in NOTES else ""
    return f"{text}; use {ours}={shown}{note}"


def _twice(owner: str, places: Sequence[str], given: int, named: Iterable[str]) -> str | None:
    """The error for an argument that is given by position and by name, as in Keras's fit(model, x, y, loss=...)."""
    twice = next((name for name in places[:given] if name in named), None)
    if twice is None:
        return None
    shown = ", ".join(f"`{name}`" for name in places if name != "self")
    return f"{owner}() got `{twice}` by position and by name; its positions are {shown}{POSITIONAL.get(owner, '')}"


def _too_many(owner: str, parameters: Sequence[inspect.Parameter], places: Sequence[str], given: int) -> str | None:
    """The error for more arguments by position than a function takes."""
    named = ", ".join(f"{p.name}=" for p in parameters if p.kind is p.KEYWORD_ONLY)
    more = f"; give the others by name: {named}" if named else ""
    more += POSITIONAL.get(owner, "; several axes are one tuple" if "axis" in places else "")
    if given <= len(places) or not more or any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return None
    shown = " and ".join(f"`{name}`" for name in places if name != "self") or "nothing"
    return f"{owner}() takes {shown} by position{more}"


def foreign(function: str, names: Sequence[str]) -> list[str]:
    """Other libraries' keywords for a function with parameters `names`, for which there is an answer.

    A function with one or two parameters has none of them for `input`, `other` and `out` alone, so that calls of it, which are
    the shortest, are not wrapped. Methods have none of these.
    """
    return [*dict.fromkeys(_keywords(function, names))]


def has_foreign(function: str, names: Sequence[str]) -> bool:
    """Whether there are keywords as in :func:`foreign`."""
    return next(_keywords(function, names), None) is not None


def _keywords(function: str, names: Sequence[str]) -> Iterator[str]:
    own, is_method, some = OWN.get(function, {}), "self" in names, False
    theirs = (k for name in names for k in THEIRS.get(name, ()) if k not in own)
    for k in chain(theirs, (k for k in own if ours_for(function, k, names)), TAKEN.get(function, ())):
        some = True
        if k not in names and not (is_method and k == "inplace"):
            yield k
    if not is_method and len(names) > (0 if some else 2):
        for k in BESIDE:
            if k not in names and ((k in ABSENT and len(names) > 1) or ours_for(function, k, names)):
                yield k
