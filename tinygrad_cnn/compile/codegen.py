"""Generate the Python that takes a step: compare the operands, run the task, and return a Tensor with a new node.

The code depends only on the kinds of the operands and on what the node saves, so steps of one form share it. Print
``source(form)`` to read it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from itertools import count
from sys import getrefcount
from typing import Any, NamedTuple

import numpy as np

from ..core.codegen import made
from ..core.errors import explain
from ..core.grad_mode import _recording
from ..core.node import Node
from ..core.versions import tick
from ..tensor import Tensor
from .slots import alike, same


class Form(NamedTuple):
    """What the code of a step depends on."""

    kinds: str
    """For each operand: `t` a Tensor of a slot, `d` a detached one, `a` an array, `c` an array from outside that stays the
    same, `n` a number, `v` a number that varies, `m` a Tensor from outside, `r` an array from outside."""
    copied: tuple[int, ...]
    """The operands that are copied to where the task reads them."""
    parents: tuple[int | None, ...] | None
    """For each parent of the node, the operand that it is from; None if there is no node."""
    saved: tuple[Any, ...]
    """For each value that the node saves: the number of an operand, "y", "r0" for a residual, "all" operands, or None."""
    params: int
    varies: bool
    """Whether parameters are not compared."""
    recording: bool | None
    """Whether calls are recorded in the graph; None if no operand has a node."""
    memory: str
    """Of the output: "own", "copy" or "" for a new array."""
    keeps: bool
    """Whether a new array is copied to where later tasks read it."""
    releases: bool
    """Whether some slots are not needed any more."""


def source(form: Form) -> str:
    """A function that makes the function ``take(inputs, params)`` of a step; that one returns None if the step is another."""
    n = len(form.kinds)
    slots = [f"s{i}" for i in range(n)]
    names = [
        *slots, "course", "step", "op", "out", "task", "view", "block", "renew", "recorded", "dumped", "shape", "strides",
        "dtype", "residuals", "releases", "expected",
    ]  # fmt: skip
    lines = [f"def make({', '.join(names)}):", "    def take(inputs, params):"]
    body = [f"{', '.join(f'x{i}' for i in range(n))}, = inputs", "try:"]
    wrong: list[str] = []
    for i, kind in enumerate(form.kinds):
        if kind in "td":
            wrong += [
                f"x{i}._array is not s{i}.array",
                f"x{i}._node is not {'None' if kind == 'd' else f's{i}.node'}",
            ]
        elif kind in "ac":
            wrong += [f"x{i} is not s{i}.array"]
            wrong += [f"x{i}.strides != s{i}.strides", f"x{i}.shape != s{i}.shape"] if kind == "c" else []
        elif kind == "n":
            wrong.append(f"(x{i} is not s{i}.array and not same((x{i},), (s{i}.array,)))")
        elif kind == "v":
            wrong.append(f"x{i}.__class__ is not s{i}.array.__class__")
        else:
            body.append(f"    a{i} = x{i}{'._array' if kind == 'm' else ''}")
            wrong += [
                f"a{i}.__class__ is not ndarray",
                f"a{i}.shape != s{i}.shape",
                f"a{i}.strides != s{i}.strides",
                f"a{i}.dtype != s{i}.dtype",
            ]
            wrong += [f"x{i}._node.__class__ is not s{i}.placed_as"] if kind == "m" else []
    body += [f"    if {' or '.join(wrong) or 'False'}: return None", "except AttributeError: return None"]
    if form.recording is not None:
        body.append(f"if recording() is not {form.recording}: return None")
    if form.params and not form.varies:
        given, known = (", ".join(f"{p}{i}" for i in range(form.params)) for p in "pq")
        lines[1:1] = [f"    {known}, = recorded"]
        differ = " or ".join(f"p{i} is not q{i}" for i in range(form.params))
        body += [f"{given}, = params", f"if ({differ}) and not alike(params, recorded, dumped): return None"]
    for i, kind in enumerate(form.kinds):
        if kind in "mr":
            body.append(f"s{i}.array = a{i}")
        if kind == "m":
            body.append(f"s{i}.node = x{i}._node")
        if kind == "v":
            body.append(f"s{i}.array = x{i}")
    if form.varies:
        body.append("step.params = params")
    if form.releases:
        body.append("for slot, what in releases: setattr(slot, what, None)")
    if form.memory == "own":
        body.append("if getrefcount(block.raw) > block.limit: return renew(inputs, params)")
    body.append("try:")
    body += [f"    copyto(s{i}.fixed, s{i}.array)" for i in form.copied]
    body.append(f"    {'' if form.memory else 'y = '}task()")
    arrays = "".join(f"s{i}.array, " for i in range(n))
    body.append(
        f"except (ValueError, TypeError, IndexError, AttributeError) as error: raise explain(op, error, ({arrays})) from error"
    )
    if form.memory:
        body.append("y = view()")
    body += ["out.array = y", "t = new(Tensor)", "t._array = y"]
    if form.parents is None:
        body.append("t._node = None")
    else:
        parents = "".join("None, " if i is None else f"s{i}.node, " for i in form.parents)
        saved = "".join(f"{_saved(value, n)}, " for value in form.saved)
        body += [
            "n = out.node = t._node = new(Node)",
            f"n.op = op; n.parents = ({parents}); n.saved = ({saved}); n.params = params",
            "n.shape = y.shape; n.strides = y.strides; n.dtype = y.dtype; n.number = tick()"
            if not form.memory
            else "n.shape = shape; n.strides = strides; n.dtype = dtype; n.number = tick()",
        ]
    body += ["course.last = step", "course.expected = expected"]
    if not form.memory:
        body.append("if y.strides != strides or y.shape != shape or y.dtype != dtype: course.stop()")
        if form.keeps:
            body.append("else: copyto(out.fixed, y)")
    body.append("return t")
    lines += [f"        {line}" for line in body]
    return "\n".join([*lines, "    return take"]) + "\n"


def _saved(value: Any, n: int) -> str:
    if isinstance(value, int):
        return f"s{value}.array"
    if value == "all":
        return f"({''.join(f's{i}.array, ' for i in range(n))})"
    return f"residuals[{value[1:]}].array" if value not in ("y", None) else str(value)


_numbers = count()
_scope: dict[str, Any] = {
    "Node": Node, "Tensor": Tensor, "alike": alike, "copyto": np.copyto, "explain": explain, "getrefcount": getrefcount,
    "ndarray": np.ndarray,
    "new": object.__new__, "recording": _recording.get, "same": same, "tick": tick,
}  # fmt: skip


@cache
def maker(form: Form) -> Callable[..., Callable[..., Tensor | None]]:
    """The function that :func:`source` defines."""
    return made(f"<compiled step: form {next(_numbers)}>", source(form), _scope)  # type: ignore[no-any-return]
