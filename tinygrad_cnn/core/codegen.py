"""Write the Python that an op runs: one function that records a call, one that pulls a gradient back.

An op is called a million times and declared once. What depends only on the declaration (which inputs can carry a
gradient, what a rule needs saved, in which order parameters stand) is therefore settled here, in source text, and
nothing is looked up or inspected per call. Print ``tinygrad_cnn.mul.op.source`` to read the result for an op.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from .operands import ODD

TAKEN = {"Tensor", "any", "enumerate", "isinstance", "params", "parents", "saved", "tuple"}
"""Names that the written functions use, and ..."""

TAKEN_FORM = re.compile("^_|_$|_n$")
"""... the form of all others: for an input `a`, `a_` is its array and `a_n` its node."""

SHAPE_OF = "{}_shape"
"""What a part that rules have in common may ask for an input `a`: its shape, or None where no gradient in it is wanted."""

OUTPUT, COTANGENT, POSITION, IN_SHAPE, OUT = "y", "g", "i", "in_shape", "out"


@dataclass
class Signature:
    """What an op declares: the names of its inputs, parameters and residuals, and what each rule names."""

    name: str
    inputs: tuple[str, ...]
    params: tuple[str, ...]
    required: frozenset[str]
    residuals: tuple[str, ...]
    variadic: bool
    optional: frozenset[str]
    rules: dict[str, tuple[str, ...]] = field(default_factory=dict)
    common: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def saveable(self) -> tuple[str, ...]:
        """Names whose values a node may keep for its rules."""
        return (*self.inputs, OUTPUT, *self.residuals)

    @property
    def saved(self) -> tuple[str, ...]:
        """Names whose values a node does keep: those that some rule asks for."""
        wanted = {name for names in (*self.rules.values(), *(self.common[p] for p in self.parts)) for name in names}
        return tuple(name for name in self.saveable if name in wanted)

    @property
    def parts(self) -> list[str]:
        """The common parts that some rule asks for."""
        return [name for name in self.common if self.users(name)]

    @property
    def shapes(self) -> dict[str, str]:
        """By name, the shapes that a part may ask for, in Python."""
        asked = {SHAPE_OF.format(n): f"{n}_n and {n}_n.shape" if n in self.rules else "None" for n in self.inputs}
        return {name: text for name, text in asked.items() if name not in (*self.saveable, *self.params)}

    def users(self, part: str) -> list[str]:
        """The inputs whose rules ask for a part."""
        return [served for served in self.inputs if part in self.rules.get(served, ())]

    def wanted(self, part: str) -> str:
        """Whether a part is to be computed, in Python: for a rule alone, or for two at least."""
        users = self.users(part)
        return f"{users[0]}_n is not None" if len(users) == 1 else f"{_count(users)} > 1"

    def legal(self, served: str) -> tuple[str, ...]:
        """Names that the rule for input `served` may ask for."""
        position = (POSITION,) if self.variadic else ()
        return (COTANGENT, *self.saveable, *self.params, *self.common, IN_SHAPE, *position)


def _count(inputs: list[str]) -> str:
    """How many of these inputs want a gradient, in Python."""
    return " + ".join(f"({n}_n is not None)" for n in inputs)


def _tuple(items: list[str]) -> str:
    return f"({', '.join(items)}{',' if len(items) == 1 else ''})"


def _header(sig: Signature) -> str:
    # A variadic op takes its inputs as one sequence, as np.concatenate does, so parameters may follow by position.
    inputs = [f"{n}=None" if n in sig.optional else n for n in sig.inputs]
    required = [p for p in sig.params if p in sig.required]
    if required and sig.optional:
        required.insert(0, "*")
    defaulted = [f"{p}=_default_{p}" for p in sig.params if p not in sig.required]
    return f"def {sig.name}({', '.join([*inputs, *required, *defaulted])}):"


def _raw_call(sig: Signature, arguments: list[str]) -> str:
    return f"_raw({', '.join([*arguments, *(f'{p}={p}' for p in sig.params)])})"


def _unpack(sig: Signature) -> str:
    """The left side that receives what the raw function returns: the output, then the residuals."""
    return ", ".join(["_y", *(f"{r}_" for r in sig.residuals)])


def _plain(sig: Signature, arguments: list[str]) -> str:
    return f"return {_raw_call(sig, arguments)}{'[0]' if sig.residuals else ''}"


def _saved_expression(sig: Signature, name: str) -> str:
    """A value is kept only when an input whose rule names it takes part in the gradient."""
    value = "_y" if name == OUTPUT else f"{name}_"
    if sig.variadic:
        return f"tuple({value})" if name in sig.inputs else value
    users = [served for served, names in sig.rules.items() if name in names]
    if len(users) == len(sig.rules):
        return value
    reasons = [f"{u}_n is not None" for u in users]
    reasons += [sig.wanted(part) for part in sig.parts if name in sig.common[part]]
    return f"{value} if {' or '.join(dict.fromkeys(reasons))} else None"


def emit_call(sig: Signature) -> str:
    """Source of the public function: unwrap, run, wrap, and record if an input requires a gradient."""
    out = [_header(sig)]
    if sig.variadic:
        xs = sig.inputs[0]
        out += [
            f"    {xs} = tuple([_gather(x, '{sig.name}') if {ODD.format('x', '_FINE')} else x for x in {xs}])",
            f"    if not any([isinstance(x, Tensor) for x in {xs}]):",
            f"        {_plain(sig, [f'*{xs}'])}",
            f"    {xs}_ = [x._array if isinstance(x, Tensor) else _adapt(x) for x in {xs}]",
        ]
        arguments, shown = [f"*{xs}_"], f"tuple({xs}_)"
    else:
        for n in sig.inputs:
            node = f"; {n}_n = {n}._node" if n in sig.rules else ""
            absent = f"; {n}_n = None" if n in sig.rules else ""
            out += [
                f"    if isinstance({n}, Tensor): {n}_ = {n}._array{node}",
                f"    else: {n}_ = {n}{absent}",
            ]
        out.append(f"    if {' and '.join(f'{n}_ is {n}' for n in sig.inputs)}:")
        out += [f"        if {ODD.format(n, '_FINE')}: {n} = _gather({n}, '{sig.name}')" for n in sig.inputs]
        out += [
            f"        if {' and '.join(f'{n}_ is {n}' for n in sig.inputs)}: {_plain(sig, list(sig.inputs))}",
            f"        return _op.function({', '.join([*sig.inputs, *(f'{p}={p}' for p in sig.params)])})",
        ]
        if len(sig.inputs) > 1:
            for n in sig.inputs:  # labels and indices have no rule: lists of integers stay as they are
                take = "_adapt" if n in sig.rules or not sig.rules else "_gather"
                odd = ODD.format(f"{n}_", "_NUMBERS")
                node = f"; {n}_n = {n}._node" if n in sig.rules else ""
                out += [
                    f"    if {n}_ is {n} and {odd}:",
                    f"        {n}_ = {take}({n}_, '{sig.name}')",
                    f"        if isinstance({n}_, Tensor): {n} = {n}_; {n}_ = {n}._array{node}",
                ]
        arguments = [f"{n}_" for n in sig.inputs]
        shown = _tuple(arguments)
    out += [
        f"    try: {_unpack(sig)} = {_raw_call(sig, arguments)}",
        f"    except (ValueError, TypeError, IndexError) as _error: raise _explain(_op, _error, {shown}) from _error",
        "    if _y.__class__ is not _ndarray: _y = _asarray(_y)",
        "    _t = _new(Tensor)",
        "    _t._array = _y",
        "    _t._node = None",
    ]
    out += _emit_record(sig)
    originals = sig.inputs[0] if sig.variadic else _tuple(list(sig.inputs))
    call = f"_op, {originals}, {_tuple(list(sig.params))}, _t, {_tuple([f'{r}_' for r in sig.residuals])}"
    out += [f"    if _watchers: _notify({call})", "    return _t"]
    return "\n".join(out) + "\n"


def _emit_record(sig: Signature) -> list[str]:
    if not sig.rules:
        return []
    if sig.variadic:
        xs = sig.inputs[0]
        out = [f"    {xs}_n = tuple([x._node if isinstance(x, Tensor) else None for x in {xs}])"]
        alive, parents = f"any([n is not None for n in {xs}_n])", f"{xs}_n"
    else:
        out = []
        served = [n for n in sig.inputs if n in sig.rules]
        alive = " or ".join(f"{n}_n is not None" for n in served)
        parents = _tuple([f"{n}_n" for n in served])
    out += [
        f"    if ({alive}) and _recording():",
        "        _n = _t._node = _new(_Node)",
        f"        _n.op = _op; _n.parents = {parents}",
        f"        _n.saved = {_tuple([_saved_expression(sig, name) for name in sig.saved])}",
        f"        _n.params = {_tuple(list(sig.params))}",
        "        _n.shape = _y.shape; _n.strides = _y.strides; _n.dtype = _y.dtype; _n.number = _count()",
    ]
    if not sig.variadic:
        for n in sig.inputs:
            if n not in sig.rules:
                out.append(
                    f"    if isinstance({n}, Tensor) and {n}._node is not None and _recording(): _refuse(_op, '{n}')"
                )
    return out


def emit_pull(sig: Signature) -> str:
    """Source of ``pull(g, saved, params, parents)``: one gradient per parent, None where a parent is None."""
    out = ["def _pull(g, saved, params, parents):"]
    if not sig.rules:
        return out[0] + " return ()\n"
    if sig.saved:
        out.append(f"    {_tuple(list(sig.saved))} = saved")
    if sig.params:
        out.append(f"    {_tuple(list(sig.params))} = params")

    def call(served: str, node: str) -> str:
        asked = [f"{node}.shape" if name == IN_SHAPE else name for name in sig.rules[served]]
        return f"_rule_{served}({', '.join(asked)})"

    if sig.variadic:
        xs = sig.inputs[0]
        out.append(f"    return tuple([{call(xs, '_n')} if _n is not None else None for i, _n in enumerate(parents)])")
    else:
        served = [n for n in sig.inputs if n in sig.rules]
        out.append(f"    {_tuple([f'{n}_n' for n in served])} = parents")
        for name in sig.parts:
            asked = ", ".join(sig.shapes.get(need, need) for need in sig.common[name])
            out.append(f"    {name} = _common_{name}({asked}) if {sig.wanted(name)} else None")
        results = [f"{call(n, f'{n}_n')} if {n}_n is not None else None" for n in served]
        out.append(f"    return {_tuple(results)}")
    return "\n".join(out) + "\n"
