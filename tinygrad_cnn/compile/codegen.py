"""Generate the Python that takes a step: compare the operands, compute the value, and return a Tensor with its node.

The code depends only on the kinds of the operands, the structure of the parameters and what the node saves, so steps of one
form share it. Print ``source(form)`` to read it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from itertools import count
from sys import getrefcount
from threading import get_ident
from typing import Any, NamedTuple

import numpy as np

from ..core.codegen import made
from ..core.errors import explain
from ..core.grad_mode import _recording
from ..core.node import Node
from ..core.versions import tick
from ..tensor import Tensor
from .slots import is_sequence, same


class Form(NamedTuple):
    """What the code of a step depends on."""

    kinds: str
    """For each operand: `k` a Tensor that is kept, `t` another Tensor of a slot, `d` a detached one, `a` an array, `c` an array
    from outside that stays the same, `n` a number, `v` a number that varies, `m` a Tensor from outside, `r` an array from
    outside."""
    twins: tuple[int | None, ...]
    """For each operand, an earlier one that binds the same slot in each call, as in x * x."""
    patterns: tuple[Any, ...]
    """For each number and each parameter that stays the same, its structure (see `pattern`), or None if it was the very same
    object twice."""
    copied: tuple[int, ...]
    """The operands that are copied to where the task reads them."""
    compute: str
    """How the value is computed: a statement about the arrays {0}, {1}, ... that sets `y` or fills the memory. Empty if the
    value is there already."""
    memory: str
    """Of the value: "kept" with its Tensor, "own", "copy" of the memory that the task fills, or "" for a new array."""
    parents: tuple[int | None, ...] | None
    """For each parent of the node, the operand that it is from; None if there is no node."""
    saved: tuple[Any, ...]
    """For each value that the node saves: the number of an operand, "y", "r0" for a residual, "all" operands, or None."""
    recording: bool | None
    """Whether calls are recorded in the graph; None if no operand has a node."""
    varies: bool
    """Whether parameters are not compared."""
    releases: bool
    """Whether some arrays are not needed any more."""


NAMES = (
    "course", "step", "op", "out", "call", "fixed", "view", "block", "renew", "stray", "constants", "shape", "strides", "dtype",
    "releases", "loose", "t", "n",
)  # fmt: skip
"""What the code of a step refers to, besides the slots of its operands."""


DIFFERS = "y.shape != shape or y.strides != strides or (y.dtype is not dtype and y.dtype != dtype)"
"""Whether a value has another form than in the record."""


def source(form: Form) -> str:
    """A function that makes the function ``take(got, inputs, params)`` of a step, which returns what the course returns for
    such a call of the op `got`."""
    n = len(form.kinds)
    numbers = [i for i, kind in enumerate(form.kinds) if kind == "n"]
    places = [f"x{i}" for i in numbers] + [f"params[{i}]" for i in range(len(form.patterns) - len(numbers))]
    constants: list[str] = []
    differ: list[str] = []
    for place, known in zip(places, form.patterns, strict=True):
        differ += _tests(place, known, constants)
    wrong, arrays = [], []
    for i, (kind, twin) in enumerate(zip(form.kinds, form.twins, strict=True)):
        array = f"s{i}.array" if kind == "k" else f"a{i}" if kind in "tdm" else f"x{i}"
        arrays.append(array)
        if kind == "k":
            wrong += [f"(x{i} is not s{i}.tensor and (x{i}._array is not s{i}.array or x{i}._node is not s{i}.node))"]
        elif kind in "td":
            wrong += [f"(a{i} := x{i}._array) is not {f's{i}.array' if twin is None else arrays[twin]}"]
            node = f"s{i}.node" if twin is None else f"x{twin}._node" if form.kinds[twin] == "m" else "None"
            wrong += [f"x{i}._node is not {'None' if kind == 'd' else node}"]
        elif kind in "ac":
            wrong += [f"x{i} is not {f's{i}.array' if twin is None else arrays[twin]}"]
            wrong += [f"x{i}.strides != s{i}.strides", f"x{i}.shape != s{i}.shape"] if kind == "c" else []
        elif kind == "v":
            wrong += [f"x{i}.__class__ is not s{i}.array.__class__"]
        elif kind in "mr":
            given = f"(a{i} := x{i}._array)" if kind == "m" else f"x{i}"
            wrong += [
                f"{given}.__class__ is not ndarray",
                f"{array}.shape != s{i}.shape",
                f"{array}.strides != s{i}.strides",
            ]
            wrong += [f"({array}.dtype is not s{i}.dtype and {array}.dtype != s{i}.dtype)"]
            wrong += [f"x{i}._node.__class__ is not s{i}.placed_as"] if kind == "m" else []
    other = "return step.otherwise(got, inputs, params)"
    body = [
        f"if got is not op or get_ident() != course.thread: {other}",
        "try:",
        f"    {', '.join(f'x{i}' for i in range(n))}, = inputs",
        *[f"    if {' or '.join(wrong + differ)}: {other}" for _ in range(bool(wrong or differ))],
        f"except (AttributeError, ValueError): {other}",
    ]
    if form.recording is not None:
        body += [f"if recording() is not {form.recording}: {other}"]
    if form.memory == "own":
        body += ["if getrefcount(block.raw) > block.limit: return renew(got, inputs, params)"]
    for i, kind in enumerate(form.kinds):
        if kind in "mrv":
            body += [f"s{i}.array = {arrays[i]}" + (f"; loose(s{i})" if kind != "v" else "")]
        if kind == "m":
            body += [f"s{i}.node = x{i}._node"]
    if form.varies:
        body += ["step.params = params"]
    if form.releases:
        body += ["for slot in releases: slot.array = None if slot.tensor is None else slot.array"]
    body += _computed(form, arrays)
    body += _returned(form)
    lines = [f"def make({', '.join([*(f's{i}' for i in range(n)), *NAMES])}):"]
    if constants:
        lines += [f"    {', '.join(constants)}, = constants"]
    lines += ["    def take(got, inputs, params):", *[f"        {line}" for line in body], "    return take"]
    return "\n".join(lines) + "\n"


def _computed(form: Form, arrays: list[str]) -> list[str]:
    """The lines that compute the value, y, unless it is there already."""
    copies = [f"copyto(s{i}.fixed, {arrays[i]})" for i in form.copied]
    if not form.compute:
        return []
    lines = [
        f"try: {'; '.join([*copies, form.compute.format(*arrays)])}",
        "except (ValueError, TypeError, IndexError, AttributeError) as error:",
        f"    raise explain(op, error, ({''.join(f'{a}, ' for a in arrays)})) from error",
    ]
    if form.compute.startswith("y"):
        lines += ["if y.__class__ is not ndarray: y = asarray(y)"]
        if form.memory:
            lines += [f"if {DIFFERS}: return stray()", "copyto(fixed, y)"]
    if form.memory == "own":
        lines += ["y = view()"]
    elif form.memory == "copy":
        lines += ["y = fixed.copy('K')"]
    return lines


def _returned(form: Form) -> list[str]:
    """The lines that make the Tensor t and its node, or set what is new in those that are kept, and move on."""
    n, keeps = len(form.kinds), form.memory == "kept"
    lines = [] if keeps else ["t = new(Tensor); t._array = out.array = y; loose(out)"]
    if form.parents is not None:
        parents = "".join("None, " if i is None else f"s{i}.node, " for i in form.parents)
        saved = "".join(f"{_saved(value, n, 'out.array' if keeps else 'y')}, " for value in form.saved)
        lines += [] if keeps else ["n = out.node = t._node = Node()"]
        lines += [f"n.parents = ({parents}); n.saved = ({saved}); n.number = tick()"]
        if not keeps:
            lines += ["n.op = op; n.params = params; n.shape = shape; n.strides = strides; n.dtype = dtype"]
    else:
        lines += ["t._grad = None" if keeps else "t._node = None"]
    lines += ["course.last = step; course.expected = step.next"]
    if not form.memory:
        form_of_y = "" if form.parents is None else "; n.shape = y.shape; n.strides = y.strides; n.dtype = y.dtype"
        lines += [f"if {DIFFERS}: course.stop(){form_of_y}"]
    return [*lines, "return t"]


def _saved(value: Any, n: int, y: str) -> str:
    if isinstance(value, int):
        return f"s{value}.array"
    if value == "all":
        return f"({''.join(f's{i}.array, ' for i in range(n))})"
    if value == "y":
        return y
    return str(value)


# Parameters


def pattern(x: Any) -> Any:
    """The structure of a plain value: nested tuples of its type and parts; the type of a value without parts."""
    kind = x.__class__
    if kind is slice:
        return slice, *map(pattern, (x.start, x.stop, x.step))
    if is_sequence(x):
        return kind, *map(pattern, x)
    compares = kind in (int, str, type(None), bool) or (kind is float and x == x and x)  # not NaN, nor a 0 with a sign
    return kind if compares else None


def leaves(x: Any) -> list[Any]:
    """What the code compares a plain value with, in order: its values without parts, each named tuple after its class."""
    if x.__class__ is slice:
        x = (x.start, x.stop, x.step)
    if not is_sequence(x):
        return [x]
    classes = [] if x.__class__ in (tuple, list) else [x.__class__]
    return classes + [leaf for part in x for leaf in leaves(part)]


def _tests(place: str, known: Any, constants: list[str]) -> list[str]:
    """Whether the value at `place`, an expression, differs from that of the record, as conditions of which one is then true.
    The names of the values that they compare it with are appended to `constants`."""
    if isinstance(known, tuple):
        kind, *parts = known
        if kind not in (slice, tuple, list):
            constants.append(f"c{len(constants)}")
        expected = kind.__name__ if kind in (slice, tuple, list) else constants[-1]
        found = [f"{place}.__class__ is not {expected}"]
        if kind is slice:
            places = [f"{place}.{name}" for name in ("start", "stop", "step")]
        else:
            found += [f"len({place}) != {len(parts)}"]
            places = [f"{place}[{i}]" for i in range(len(parts))]
        return found + [test for at, part in zip(places, parts, strict=True) for test in _tests(at, part, constants)]
    constants.append(name := f"c{len(constants)}")
    if known in (type(None), bool):
        return [f"{place} is not {name}"]
    if known in (int, float, str):
        return [f"({place} is not {name} and ({place}.__class__ is not {known.__name__} or {place} != {name}))"]
    return [f"({place} is not {name} and not same(({place},), ({name},)))"]


_numbers = count()
_scope: dict[str, Any] = {
    "Node": Node, "Tensor": Tensor, "asarray": np.asarray, "copyto": np.copyto, "explain": explain, "get_ident": get_ident,
    "getrefcount": getrefcount, "ndarray": np.ndarray, "new": object.__new__, "recording": _recording.get, "same": same,
    "tick": tick,
}  # fmt: skip


@cache
def maker(form: Form) -> Callable[..., Callable[..., Tensor | None]]:
    """The function that :func:`source` defines."""
    return made(f"<compiled step: form {next(_numbers)}>", source(form), _scope)  # type: ignore[no-any-return]
