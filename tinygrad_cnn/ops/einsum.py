"""Einstein summation: one op with explicit subscripts, whose rules are einsums too. g is the incoming gradient."""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..core.graph import Array, Tensor, implements, op
from .elementwise import where
from .lists import gather
from .matmul import matmul
from .reduce import sum
from .shape import broadcast_to, reshape

__all__ = ["einsum"]

LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


@op(complex=True)
def contract(*operands: Array, subscripts: str) -> Array:
    """y = the product of the operands, summed over each letter that is not in the output; no ellipsis, explicit output.

    The gradient of an operand is the same sum, with g in place of the operand and the operand's letters as the output. A letter
    that occurs in this operand alone broadcasts; a letter that it has twice puts the gradient on that diagonal.
    """
    dtype = np.result_type(*operands)  # np.einsum would treat a Python number as float64
    arrays = [np.asarray(x, dtype) if isinstance(x, int | float) else x for x in operands]
    terms, out = _parsed(subscripts)
    for i, (term, a) in enumerate(zip(terms, arrays, strict=True)):
        alone = tuple(p for p, c in enumerate(term) if subscripts.count(c) == 1)  # in no other operand or output
        if alone and dtype.kind == "f":
            arrays[i] = sum(np.asarray(a), axis=alone)
            terms[i] = "".join(c for p, c in enumerate(term) if p not in alone)
    if len(arrays) < 3:
        return _product(terms, arrays, out)
    path, _ = np.einsum_path(f"{','.join(terms)}->{out}", *arrays, optimize="greedy")
    for places in path[1:]:
        chosen = [(terms.pop(i), arrays.pop(i)) for i in sorted(places, reverse=True)]
        names = "".join(dict.fromkeys(c for term, _ in chosen for c in term if c in "".join([out, *terms])))
        names = names if terms else out
        arrays.append(_product([term for term, _ in chosen], [a for _, a in chosen], names))
        terms.append(names)
    return arrays[0]


def _product(terms: Sequence[str], arrays: Sequence[Any], out: str) -> Any:
    """The sum of products of arrays: of two floating-point ones by matmul, if letters are summed and others are not shared."""
    if len(arrays) == 2 and all(a.dtype.kind == "f" for a in arrays):
        one, other = terms
        shared, summed = [c for c in one if c in other and c in out], [c for c in one if c in other and c not in out]
        left, right = [c for c in one if c not in other], [c for c in other if c not in one]
        sizes = [dict(zip(term, a.shape, strict=True)) for term, a in zip(terms, arrays, strict=True)]
        alike = all(sizes[0][c] == sizes[1][c] for c in (*shared, *summed)) and set(left + right) <= set(out)
        if summed and (left or right or not shared) and alike and all(len(set(t)) == len(t) for t in terms):
            a, b = (
                np.transpose(x, [term.index(c) for c in order]).reshape(
                    *(size[c] for c in shared), *(math.prod(size[c] for c in part) for part in parts)
                )
                for x, term, size, order, parts in (
                    (arrays[0], one, sizes[0], [*shared, *left, *summed], (left, summed)),
                    (arrays[1], other, sizes[1], [*shared, *summed, *right], (summed, right)),
                )
            )  # fmt: skip
            names = [*shared, *left, *right]
            y = np.reshape(matmul(a, b), [{**sizes[0], **sizes[1]}[c] for c in names])
            return np.transpose(y, [names.index(c) for c in out])
    return np.einsum(f"{','.join(terms)}->{out}", *arrays)


def _contract_rule(g: Array, operands: Sequence[Array], i: int, in_shape: tuple[int, ...], subscripts: str) -> Array:
    terms, out = _parsed(subscripts)
    own = terms.pop(i)
    others = [x for j, x in enumerate(operands) if j != i]
    # An axis of size 1 was broadcast to the other operands: leaving its letter out sums over it.
    asked = [c for c, n in zip(own, in_shape, strict=True) if n != 1 and c in "".join([out, *terms])]
    letters = "".join(dict.fromkeys(asked))
    t = contract([g, *others], subscripts=f"{','.join([out, *terms])}->{letters}")
    sizes = dict(zip(letters, t.shape, strict=True))
    first = [own.index(c) == p for p, c in enumerate(own)]
    t = reshape(t, shape=tuple(sizes.get(c, 1) if once else 1 for c, once in zip(own, first, strict=True)))
    if not all(first):
        t = where(_on_diagonals(own, in_shape), t, 0)
    return broadcast_to(t, shape=in_shape)


def _contract_forward(t: Sequence[Array | None], operands: Sequence[Array], subscripts: str) -> Array:
    terms = [
        contract([*operands[:i], each, *operands[i + 1 :]], subscripts=subscripts)
        for i, each in enumerate(t)
        if each is not None
    ]
    return functools.reduce(operator.add, terms)


contract.vjp(operands=_contract_rule)
contract.jvp(operands=_contract_forward)


def _parsed(subscripts: str) -> tuple[list[str], str]:
    left, _, out = subscripts.partition("->")
    return left.split(","), out


def _on_diagonals(letters: str, shape: tuple[int, ...]) -> np.ndarray:
    """A mask of `shape`: whether the axes with equal letters have equal indices."""
    grid = np.ogrid[tuple(map(slice, shape))]
    on: Any = True
    for p, letter in enumerate(letters):
        on = on & (grid[p] == grid[letters.index(letter)])
    return np.asarray(on)


@implements(np.einsum)
def einsum(*args: Any, optimize: Any = True) -> Tensor:
    """Sums of products over named axes, as np.einsum: ``einsum("ij,jk->ik", a, b)`` is the matrix product.

    Axes with the same letter are matched (a letter repeated within one operand selects its diagonal), and letters that
    are missing from the output are summed over. Without "->" the output has the letters that occur once, in alphabetical
    order. "..." stands for the remaining axes, which broadcast; if an explicit output lacks it, they are summed.

    Args:
        args: subscripts and operands; or each operand followed by the list of its axes' numbers, and optionally the output's
            list at the end: ``einsum(a, [0, 1], b, [1, 2], [0, 2])``.
        optimize: accepted for compatibility with np.einsum; several operands are always multiplied in a good order.

    Raises:
        ValueError: naming the operand, if subscripts are ill-formed or do not fit the shapes.

    >>> import tinygrad_cnn as tg
    >>> tg.einsum("ii->", tg.Tensor([[1.0, 2.0], [3.0, 4.0]])).item()
    5.0
    """
    args = tuple([gather(x, "einsum") for x in args])
    lists = bool(args) and not isinstance(args[0], str)
    subscripts, operands = _from_lists(args) if lists else ("".join(args[:1]), args[1:])
    return contract(operands, subscripts=explicit(subscripts, [np.shape(x) for x in operands]))


def _from_lists(args: Sequence[Any]) -> tuple[str, Sequence[Any]]:
    """Subscripts and operands from operands that alternate with lists of axis numbers."""
    # In the sorting order of the default output.
    names: dict[Any, str] = {Ellipsis: "...", **dict(enumerate(sorted(LETTERS)))}
    operands, lists = args[: len(args) // 2 * 2 : 2], [*args[1::2], *(args[-1:] if len(args) % 2 else [])]

    def word(numbers: Any) -> str:
        try:
            return "".join(names[n] for n in numbers)
        except (TypeError, KeyError):
            raise ValueError(
                f"einsum: {numbers!r:.60} is not a list of axis numbers; each operand is followed by a list of integers from "
                "0 to 51 or Ellipsis"
            ) from None

    words = [word(numbers) for numbers in lists]
    out = f"->{words.pop()}" if len(args) % 2 else ""
    return ",".join(words) + out, operands


def explicit(subscripts: str, shapes: Sequence[tuple[int, ...]]) -> str:
    """Checked subscripts with an explicit output, and with "..." replaced by letters.

    Raises:
        ValueError: naming the operand, if they are ill-formed or do not fit the shapes.
    """
    text = "".join(subscripts.split())
    left, arrow, right = text.partition("->")
    terms = left.split(",")
    if not shapes or len(terms) != len(shapes):
        raise ValueError(
            f"einsum: the subscripts {subscripts!r} name {len(terms)} operands but {len(shapes)} were given; separate the "
            "subscripts of operands by commas"
        )
    for place, term in [*((f"operand {i}", term) for i, term in enumerate(terms)), ("the output", right)]:
        letters = term.replace("...", "", 1)
        if not all(c in LETTERS for c in letters):
            raise ValueError(
                f"einsum: the subscripts of {place} are {term!r} in {subscripts!r}; they must be letters and at most one '...'"
            )
    hidden = [_hidden(i, term, shape) for i, (term, shape) in enumerate(zip(terms, shapes, strict=True))]
    fill = "".join(c for c in LETTERS if c not in text)[: max(hidden)]
    if len(fill) < max(hidden):
        raise ValueError(
            f"einsum: {subscripts!r} needs {max(hidden)} more letters for '...' than the alphabet has left"
        )
    full = [term.replace("...", fill[len(fill) - n :]) for term, n in zip(terms, hidden, strict=True)]
    _check_sizes(full, shapes, fill)
    if not arrow:
        every = left.replace("...", "")
        right = "..." + "".join(sorted(c for c in set(every) - {","} if every.count(c) == 1))
    out = right.replace("...", fill)
    wrong = [c for c in out if out.count(c) > 1 or c not in "".join(full)]
    if wrong:
        raise ValueError(
            f"einsum: the output {right!r} has {wrong[0]!r}, which must occur once in it and at least once in the operands"
        )
    return f"{','.join(full)}->{out}"


def _hidden(i: int, term: str, shape: tuple[int, ...]) -> int:
    """The number of axes that "..." stands for in an operand."""
    named = len(term.replace("...", ""))
    if named > len(shape) or (named < len(shape) and "..." not in term):
        raise ValueError(
            f"einsum: operand {i} has shape {shape}, {len(shape)} axes, but its subscripts {term!r} name {named}; name every "
            "axis, or let '...' stand for some"
        )
    return len(shape) - named


def _check_sizes(terms: Sequence[str], shapes: Sequence[tuple[int, ...]], fill: str) -> None:
    """ValueError unless axes with the same letter have equal sizes, or one has size 1 and they belong to two operands."""
    sizes: dict[str, int] = {}
    for i, (term, shape) in enumerate(zip(terms, shapes, strict=True)):
        for letter, n in zip(term, shape, strict=True):
            within, before = shape[term.index(letter)], sizes.get(letter, 1)
            if n != within or (n != before and 1 not in (n, before)):
                shown = "an axis of '...'" if letter in fill else f"axis {letter!r}"
                raise ValueError(
                    f"einsum: {shown} of operand {i} {shape} has size {n} but was {within if n != within else before} before; "
                    "sizes must agree, or be 1 in one of two operands"
                )
            sizes[letter] = before if n == 1 else n
