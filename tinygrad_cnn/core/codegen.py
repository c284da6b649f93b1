"""Generate the Python that an op runs: one function that records a call, one that applies the rules.

An op is declared once and called a million times. Everything that depends only on the declaration (which inputs can
carry a gradient, which values a rule needs, the order of parameters) is therefore decided here, in source text, and
nothing is looked up or inspected per call. Print ``tinygrad_cnn.mul.op.source`` to read the generated code of an op.
"""

from __future__ import annotations

import linecache
import re
from dataclasses import dataclass, field
from typing import Any

from .operands import ODD

TAKEN = {"Tensor", "any", "enumerate", "isinstance", "params", "parents", "saved", "tuple"}
"""Names that the generated functions use."""

TAKEN_FORM = re.compile("^_|_$|_n$")
"""The form of their other names: for an input `a`, `a_` is its array and `a_n` its node."""

OUTPUT, COTANGENT, POSITION, IN_SHAPE = "y", "g", "i", "in_shape"
TANGENT, OUT_SHAPE = "t", "out_shape"
"""Names that only a forward rule may ask for."""

NEEDS, IN_SHAPES, PARENTS = JOINT = "needs", "in_shapes", "parents"
"""Names that only a joint rule may ask for: which gradients are wanted, and the shape and node of each input, or None."""


@dataclass
class Signature:
    """An op's declared signature: the names of its inputs and parameters, and the names each rule asks for."""

    name: str
    inputs: tuple[str, ...]
    params: tuple[str, ...]
    required: frozenset[str]
    residuals: tuple[str, ...]
    variadic: bool
    optional: frozenset[str]
    rules: dict[tuple[str, ...], tuple[str, ...]] = field(
        default_factory=dict
    )  # inputs that a rule serves -> its names
    joins: bool = False  # whether the rule of a variadic op returns all gradients
    composed: tuple[str, ...] = ()  # keywords of calls that a function composed of ops computes
    accelerated: bool = False
    differentiable: bool = True

    @property
    def lacks_rules(self) -> bool:
        """Whether gradients through the op are an error: it has no rules, and is not declared to need none."""
        return self.differentiable and not self.rules

    @property
    def served(self) -> list[str]:
        """The inputs whose nodes are parents of the op's nodes, in order: those with a rule, and all while there is no rule."""
        return [name for name in self.inputs if self.lacks_rules or any(name in inputs for inputs in self.rules)]

    @property
    def saveable(self) -> tuple[str, ...]:
        """Names whose values a node can save for its rules."""
        return (*self.inputs, OUTPUT, *self.residuals)

    @property
    def saved(self) -> tuple[str, ...]:
        """Names whose values a node does save: those that a rule asks for."""
        wanted = {name for names in self.rules.values() for name in names}
        return tuple(name for name in self.saveable if name in wanted)

    def legal(self, joint: bool) -> tuple[str, ...]:
        """Names that a rule may ask for."""
        if joint:
            return (COTANGENT, *self.saveable, *self.params, *JOINT)
        return (COTANGENT, *self.saveable, *self.params, IN_SHAPE, *((POSITION,) if self.variadic else ()))

    def asked_for(self, served: str) -> set[str]:
        """Names that the backward rule of an input asks for."""
        return {name for inputs, names in self.rules.items() if served in inputs for name in names}

    def legal_forward(self, served: str) -> tuple[str, ...]:
        """Names that the forward rule of an input may ask for: only saved values that its backward rule asks for too."""
        asked = self.asked_for(served)
        return (TANGENT, *(n for n in self.saveable if n in asked), *self.params, OUT_SHAPE)


def _tuple(items: list[str]) -> str:
    return f"({', '.join(items)}{',' if len(items) == 1 else ''})"


def _some(inputs: tuple[str, ...] | list[str]) -> str:
    """Python source for: is the gradient of one of these inputs wanted?"""
    return " or ".join(f"{n}_n is not None" for n in inputs)


def rule_name(inputs: tuple[str, ...]) -> str:
    """The name of the rule for some inputs in the generated functions."""
    return f"_rule_{'_'.join(inputs)}"


def _header(sig: Signature) -> str:
    # A variadic op takes its inputs as one sequence, as np.concatenate does, so parameters may follow by position.
    inputs = [f"{n}=None" if n in sig.optional else n for n in sig.inputs]
    required = [p for p in sig.params if p in sig.required]
    if required and sig.optional:
        required.insert(0, "*")
    defaulted = [f"{p}=_default_{p}" for p in sig.params if p not in sig.required]
    composed = [f"{k}=None" for k in sig.composed]
    if composed and "*" not in required:
        composed.insert(0, "*")
    out = [f"def {sig.name}({', '.join([*inputs, *required, *defaulted, *composed])}):"]
    if composed:
        first = [n if sig.variadic else f"_gather({n}, '{sig.name}')" for n in sig.inputs]
        given = ", ".join([*first, *(f"{n}={n}" for n in (*sig.params, *sig.composed))])
        out.append(f"    if {' or '.join(f'{k} is not None' for k in sig.composed)}: return _composed({given})")
    return "\n".join(out)


def _run(sig: Signature, arguments: list[str]) -> str:
    """Source for the output: from the definition, or from the kernel if it returns a task."""
    given = ", ".join([*arguments, *(f"{p}={p}" for p in sig.params)])
    if not sig.accelerated:
        return f"_raw({given})"
    return f"_raw({given}) if (_task := _prepare(None, {given})) is None else _task()"


def _unpack(sig: Signature) -> str:
    """The assignment target for the result of the raw function: the output, then the residuals."""
    return ", ".join(["_y", *(f"{r}_" for r in sig.residuals)])


def _plain(sig: Signature, arguments: list[str], shown: str) -> list[str]:
    """Source of a call without Tensors, below an `if`."""
    return [
        f"            try: return {_run(sig, arguments)}{'[0]' if sig.residuals else ''}",
        f"            except AttributeError as _error: raise _explain(_op, _error, {shown}) from _error",
    ]


def _saved_expression(sig: Signature, name: str) -> str:
    """Save a value only if an input whose rule asks for it requires a gradient."""
    value = "_y" if name == OUTPUT else f"{name}_"
    if sig.variadic:
        return f"tuple({value})" if name in sig.inputs else value
    users = [n for inputs, names in sig.rules.items() if name in names for n in inputs]
    return value if set(users) >= set(sig.served) else f"{value} if {_some(users)} else None"


def emit_call(sig: Signature) -> str:
    """Source of the public function: unwrap, run, wrap, and record if an input requires a gradient."""
    out, served = [_header(sig)], sig.served
    if sig.variadic:
        xs = sig.inputs[0]
        out += [
            f"    {xs} = tuple([_gather(x, '{sig.name}') if {ODD.format('x', '_FINE')} else x for x in {xs}])",
            f"    if not any([isinstance(x, Tensor) for x in {xs}]):",
            *_plain(sig, [f"*{xs}"], xs),
            f"    {xs} = tuple([x if isinstance(x, Tensor) else _adapt(x) for x in {xs}])",
            f"    {xs}_ = [x._array if isinstance(x, Tensor) else x for x in {xs}]",
        ]
        arguments, shown = [f"*{xs}_"], f"tuple({xs}_)"
    else:
        node = {n: f"; {n}_n = {n}._node" if n in served else "" for n in sig.inputs}
        several = len(sig.inputs) > 1
        for n in sig.inputs:
            out.append(f"    if isinstance({n}, Tensor): {n}_ = {n}._array{node[n]}")
            out += ["    else:", f"        {n}_ = {n}{f'; {n}_n = None' if n in served and several else ''}"]
        plain = " and ".join(f"{n}_ is {n}" for n in sig.inputs)
        out += [f"    if {plain}:"] if several else []
        out += [f"        if {ODD.format(n, '_FINE')}: {n} = _gather({n}, '{sig.name}')" for n in sig.inputs]
        out += [
            f"        if {plain}:",
            *_plain(sig, list(sig.inputs), _tuple(list(sig.inputs))),
            f"        return _op.function({', '.join([*sig.inputs, *(f'{p}={p}' for p in sig.params)])})",
        ]
        if several:
            for n in sig.inputs:  # labels and indices have no rule: lists of integers are not converted
                take = "_adapt" if n in served or not sig.rules else "_gather"
                out += [
                    f"    if {n}_ is {n} and {ODD.format(f'{n}_', '_NUMBERS')}:",
                    f"        {n}_ = {take}({n}_, '{sig.name}')",
                    f"        {n} = {n}_",
                    f"        if isinstance({n}, Tensor): {n}_ = {n}._array{node[n]}",
                ]
        arguments = [f"{n}_" for n in sig.inputs]
        shown = _tuple(arguments)
    operands = sig.inputs[0] if sig.variadic else _tuple(list(sig.inputs))
    followed = f"_tracer().call(_op, {operands}, {_tuple(list(sig.params))})"
    out += [
        f"    if _watchers and (_t := {followed}) is not None: return _t",
        f"    try: {_unpack(sig)} = {_run(sig, arguments)}",
        "    except (ValueError, TypeError, IndexError, AttributeError) as _error:",
        f"        raise _explain(_op, _error, {shown}) from _error",
        "    if _y.__class__ is not _ndarray: _y = _asarray(_y)",
        "    _t = _new(Tensor)",
        "    _t._array = _y",
        "    _t._node = None",
        *_emit_record(sig),
    ]
    out.append("    return _t")
    return "\n".join(out) + "\n"


def _emit_record(sig: Signature) -> list[str]:
    if not sig.rules and not sig.lacks_rules:
        return []
    if sig.variadic:
        xs = sig.inputs[0]
        out = [f"    {xs}_n = tuple([x._node if isinstance(x, Tensor) else None for x in {xs}])"]
        alive, parents = f"any([n is not None for n in {xs}_n])", f"{xs}_n"
    else:
        out, alive, parents = [], _some(sig.served), _tuple([f"{n}_n" for n in sig.served])
    floating = " and _y.dtype.kind in 'fc'" if sig.lacks_rules else ""
    out += [
        f"    if ({alive}) and _recording(){floating}:",
        "        _n = _t._node = _new(_Node)",
        f"        _n.op = _op; _n.parents = {parents}",
        f"        _n.saved = {_tuple([_saved_expression(sig, name) for name in sig.saved])}",
        f"        _n.params = {_tuple(list(sig.params))}",
        "        _n.shape = _y.shape; _n.strides = _y.strides; _n.dtype = _y.dtype; _n.number = _count()",
    ]
    for n in () if sig.variadic else [n for n in sig.inputs if n not in sig.served]:
        out.append(f"    if isinstance({n}, Tensor) and {n}._node is not None and _recording(): _refuse(_op, '{n}')")
    return out


def emit_pull(sig: Signature) -> str:
    """Source of ``pull(g, saved, params, parents)``: one gradient per parent, None where a parent is None."""
    out = ["def _pull(g, saved, params, parents):"]
    if sig.lacks_rules:
        return out[0] + " raise _lacking(_op, parents)\n"
    if not sig.rules:
        return out[0] + " return ()\n"
    if sig.saved:
        out.append(f"    {_tuple(list(sig.saved))} = saved")
    if sig.params:
        out.append(f"    {_tuple(list(sig.params))} = params")
    if sig.variadic:
        ((xs, names),) = sig.rules.items()
        if sig.joins:
            given = {
                NEEDS: "tuple([_n is not None for _n in parents])",
                IN_SHAPES: "tuple([_n and _n.shape for _n in parents])",
            }
            out += [
                f"    _found = {rule_name(xs)}({', '.join(given.get(n, n) for n in names)})",
                "    try: _fits = len(_found) == len(parents)",
                "    except TypeError: _fits = False",
                "    if not _fits: raise _miscounted(_op, parents, _found)",
                "    return _found",
            ]
        else:
            call = f"{rule_name(xs)}({', '.join('_n.shape' if n == IN_SHAPE else n for n in names)})"
            out.append(f"    return tuple([{call} if _n is not None else None for i, _n in enumerate(parents)])")
        return "\n".join(out) + "\n"
    out.append(f"    {_tuple([f'{n}_n' for n in sig.served])} = parents")
    for inputs, names in sig.rules.items():
        nodes = [f"{n}_n" for n in inputs]
        given = {
            IN_SHAPE: f"{nodes[0]}.shape",
            NEEDS: _tuple([f"{node} is not None" for node in nodes]),
            IN_SHAPES: _tuple([f"{node} and {node}.shape" for node in nodes]),
            PARENTS: _tuple(nodes),
        }
        call = f"{rule_name(inputs)}({', '.join(given.get(n, n) for n in names)})"
        results, nothing = ", ".join(f"_{n}" for n in inputs), _tuple(["None" for _ in inputs])
        if len(inputs) == 1:
            out.append(f"    {results} = {call} if {_some(inputs)} else None")
        else:
            out += [
                f"    _found = {call} if {_some(inputs)} else {nothing}",
                f"    try: {results} = _found",
                f"    except (TypeError, ValueError): raise _miscounted(_op, {inputs}, _found) from None",
            ]
    out.append(f"    return {_tuple([f'_{n}' for n in sig.served])}")
    return "\n".join(out) + "\n"


def made(filename: str, source: str, scope: dict[str, Any]) -> Any:
    """The function that `source` defines in the globals `scope`; tracebacks show its lines."""
    linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
    found: dict[str, Any] = {}
    exec(compile(source, filename, "exec"), scope, found)
    return found.popitem()[1]


def build_and_call(*args: Any, **kwargs: Any) -> Any:
    """The code of a function until its first call: build it, by the `_build` among its globals, then call it."""
    return _build()(*args, **kwargs)  # type: ignore[name-defined]  # noqa: F821


def become(function: Any, made: Any) -> Any:
    """`function`, with the code and the defaults of another one of the same globals."""
    function.__defaults__, function.__kwdefaults__ = made.__defaults__, made.__kwdefaults__
    function.__code__ = made.__code__
    return function
