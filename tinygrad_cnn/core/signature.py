"""An op's declaration: its signature, and the checks that it is well-formed, before code is generated for it."""

from __future__ import annotations

import inspect
import keyword
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from inspect import Parameter
from types import FunctionType
from typing import Any

import numpy as np

TAKEN = {"Tensor", "any", "enumerate", "isinstance", "params", "parents", "saved", "tuple"}
"""Names that the generated functions use."""

TAKEN_FORM = re.compile("^_|_$|_n$")
"""The form of their other names: for an input `a`, `a_` is its array and `a_n` its node."""

OUTPUT, COTANGENT, POSITION, IN_SHAPE = "y", "g", "i", "in_shape"
TANGENT, OUT_SHAPE = "t", "out_shape"
"""Names that only a forward rule may ask for."""

NEEDS, IN_SHAPES, PARENTS = JOINT = "needs", "in_shapes", "parents"
"""Names that only a joint rule may ask for: which gradients are wanted, and the shape and node of each input, or None."""

RESERVED = {COTANGENT, OUTPUT, POSITION, IN_SHAPE, "out", *JOINT}
"""Names that inputs, parameters and residuals may not have."""


@dataclass
class Signature:
    """An op's declared signature: the names of its inputs and parameters, and the names each rule asks for."""

    name: str
    given: list[Parameter]
    """The parameters of the definition."""
    inputs: tuple[str, ...]
    params: tuple[str, ...]
    required: frozenset[str]
    residuals: tuple[str, ...]
    variadic: bool
    optional: frozenset[str]
    composed: tuple[str, ...]
    """Keywords of calls that a function composed of ops computes."""
    differentiable: bool
    linear: tuple[str, ...]
    """Inputs in which the op is linear."""
    complex: bool
    """Whether the rules are declared to hold for complex inputs."""
    run: str = "_raw({0})"
    """Source of the output, given that of the arguments: by the definition, or by the kernel."""
    rules: dict[tuple[str, ...], tuple[str, ...]] = field(default_factory=dict)
    """The names that each rule asks for, by the inputs that it serves."""
    joins: bool = False
    """Whether the rule of a variadic op returns all gradients."""
    served: tuple[str, ...] = ()
    """The inputs whose nodes are parents of the op's nodes, in order: those with a rule, and all while there is no rule."""
    saved: tuple[str, ...] = ()
    """Names whose values a node saves: those that a rule asks for."""

    def __post_init__(self) -> None:
        self.served = self.inputs if self.differentiable else ()

    @property
    def takes_complex(self) -> bool:
        """Whether the rules hold for complex inputs: it is declared, or the op is linear in each input that has a rule."""
        return self.complex or {*self.served} <= {*self.linear}

    @property
    def lacks_rules(self) -> bool:
        """Whether gradients through the op are an error: it has no rules, and is not declared to need none."""
        return self.differentiable and not self.rules

    @property
    def saveable(self) -> tuple[str, ...]:
        """Names whose values a node can save for its rules."""
        return (*self.inputs, OUTPUT, *self.residuals)

    def add_rule(self, inputs: tuple[str, ...], names: tuple[str, ...]) -> None:
        """Note that a rule serves these inputs and asks for these names. It replaces the rules that did."""
        self.rules = {known: n for known, n in self.rules.items() if set(known).isdisjoint(inputs)} | {inputs: names}
        served, asked = ({name for each in group for name in each} for group in (self.rules, self.rules.values()))
        self.served = tuple(name for name in self.inputs if name in served)
        self.saved = tuple(name for name in self.saveable if name in asked)

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


OUT = "out"
BY_POSITION, BY_NAME = Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY


def asked(rule: Callable[..., Any]) -> tuple[str, ...]:
    """The names of a rule's parameters."""
    if _is_plain(rule):
        code = rule.__code__  # ten times faster than `inspect`
        return code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    return tuple(inspect.signature(rule).parameters)


def _is_plain(function: Any) -> bool:
    return isinstance(function, FunctionType) and {"__wrapped__", "__signature__"}.isdisjoint(vars(function))


def parameters(function: Any) -> list[Parameter]:
    """The parameters of a function, without their annotations."""
    while "__wrapped__" in vars(function) and "__signature__" not in vars(function):
        function = function.__wrapped__
    code = function.__code__
    if not _is_plain(function) or code.co_posonlyargcount or code.co_flags & inspect.CO_VARKEYWORDS:
        return [p.replace(annotation=p.empty) for p in inspect.signature(function).parameters.values()]
    # three times faster than `inspect`
    count, keywords, names = code.co_argcount, code.co_kwonlyargcount, code.co_varnames
    defaults = dict(zip(reversed(names[:count]), reversed(function.__defaults__ or ()), strict=False))
    defaults |= function.__kwdefaults__ or {}
    found = [Parameter(n, BY_POSITION, default=defaults.get(n, Parameter.empty)) for n in names[:count]]
    if code.co_flags & inspect.CO_VARARGS:
        found.append(Parameter(names[count + keywords], Parameter.VAR_POSITIONAL))
    only = names[count : count + keywords]
    return [*found, *[Parameter(n, BY_NAME, default=defaults.get(n, Parameter.empty)) for n in only]]


def check_names(where: str, served: Sequence[str], rule: Callable[..., Any], legal: Sequence[str]) -> None:
    """TypeError, beginning with `where`, if the rule for the inputs `served` asks for other names than the legal ones."""
    unknown = ", ".join(f"`{n}`" for n in asked(rule) if n not in legal)
    if unknown:
        inputs = ", ".join(f"`{n}`" for n in served)
        raise TypeError(f"{where}: the rule for {inputs} names {unknown}; legal names are {', '.join(legal)}")


def declared(
    raw: Callable[..., Any], ufunc: np.ufunc | None, *, residuals: tuple[str, ...] = (), linear: tuple[str, ...] = (),
    composed: tuple[str, ...] = (), differentiable: bool = True, complex: bool = False,
) -> Signature:  # fmt: skip
    """The signature of an op defined by `raw`, or by `ufunc` with raw's names. TypeError if the declaration is ill-formed."""
    name, given = raw.__name__, parameters(raw)
    variadic = [p.name for p in given if p.kind is p.VAR_POSITIONAL]
    inputs = [p.name for p in given if p.kind is BY_POSITION]
    keywords = tuple([p.name for p in given if p.kind is BY_NAME and p.name != OUT and p.name not in composed])
    reserved = sorted(RESERVED.intersection((*inputs, *variadic, *keywords, *residuals)))
    if reserved:
        raise TypeError(f"op {name}: {', '.join(reserved)} are names with a meaning in rules; rename them")
    if not name.isidentifier() or keyword.iskeyword(name):
        raise TypeError(f"op {name}: the name must be an identifier, as `def` gives it; a lambda has none")
    taken = sorted([n for n in (*inputs, *variadic, *keywords, *residuals) if n in TAKEN or TAKEN_FORM.search(n)])
    if taken:
        raise TypeError(
            f"op {name}: {', '.join(taken)} may clash with names in the function that is written for the op; "
            "rename names that begin or end with `_`, end with `_n`, or are builtins"
        )
    if bool(inputs) == bool(variadic) or len(variadic) > 1 or any(p.kind is p.VAR_KEYWORD for p in given):
        raise TypeError(
            f"op {name}: array inputs are positional (a, b) or all variadic (*xs), the rest keyword-only; "
            f"got {inspect.signature(raw)}"
        )
    unknown = [n for n in linear if n not in inputs]
    if unknown:
        raise TypeError(
            f"op {name}: `linear` names {', '.join(unknown)}; it must name inputs: {', '.join(inputs or variadic)}"
        )
    optional = frozenset([p.name for p in given if p.name in inputs and p.default is None])
    lost = [p.name for p in given if p.name in inputs and p.default is not p.empty and p.default is not None]
    if lost:
        raise TypeError(
            f"op {name}: `{lost[0]}` has a default, which an input may not have, other than None; if it is a "
            f"parameter and no array, write it behind a star: *, {lost[0]}=..."
        )
    required = frozenset([p.name for p in given if p.name in keywords and p.default is p.empty])
    names = tuple(inputs or variadic)
    if ufunc is not None and (ufunc.nin, ufunc.nout) != (len(names), 1):
        raise TypeError(
            f"op {name}: `ufunc` is {ufunc.__name__}, of {ufunc.nin} inputs and {ufunc.nout} outputs; the op has "
            f"{len(names)} and 1, and they must agree: declare a function with a body"
        )
    return Signature(
        name, given, names, keywords, required, residuals, bool(variadic), optional, composed, differentiable, linear, complex
    )  # fmt: skip
