"""Generate the Python that an op runs: one function that records a call, one that applies the rules.

An op is declared once and called a million times. Everything that depends only on the declaration (which inputs can
carry a gradient, which values a rule needs, the order of parameters) is therefore decided here, in source text, and
nothing is looked up or inspected per call. Print ``tinygrad_cnn.mul.op.source`` to read the generated code of an op: for
an input `a`, `a_` is its array and `a_n` its node.
"""

from __future__ import annotations

from collections.abc import Sequence

from .operands import ODD
from .signature import IN_SHAPE, IN_SHAPES, NEEDS, OUTPUT, PARENTS, Signature

ARRAYS = """\
    if not {some_tensor}:
        {inside}try: return {run}
        except AttributeError as _error: raise _explain(_op, _error, {inputs}) from _error
"""
"""A call without a Tensor."""

OPERAND = """\
    if isinstance({n}, Tensor): {n}_ = {n}._array; {n}_n = {n}._node
    elif {n}.__class__ in _NUMBERS: {n}_ = {n}; {n}_n = None
    else: {n}, {n}_, {n}_n = _operand({n}, '{name}', {is_label}, {inputs})
"""
"""One of several inputs, of which some are Tensors."""

TENSORS = """\
    if _watchers and (_t := _tracer().call(_op, {inputs}, {params})) is not None: return _t
    try: {results} = {run}
    except (ValueError, TypeError, IndexError, AttributeError) as _error:
        raise _explain(_op, _error, {arrays}) from _error
    if _y.__class__ is not _ndarray or _y.dtype not in _EXPECTED: _y = _output(_y, _op, {inputs})
    _t = _new(Tensor); _t._array = _y; _t._node = None
"""
"""A call with a Tensor."""

RECORD = """\
    if {wanted} and _recording(){floating}:
        _n = _t._node = _new(_Node); _n.op = _op; _n.number = _count()
        _n.parents = {parents}
        _n.saved = {saved}
        _n.params = {params}
        _n.shape = _y.shape; _n.strides = _y.strides; _n.dtype = _y.dtype
"""

COMPLEX = "({0}_n is not None and {0}_n.dtype.kind == 'c')"
"""Whether an input has a gradient and is complex."""


def emit_call(sig: Signature, first: str) -> str:
    """Source of the public function: unwrap, run, wrap, and record if an input requires a gradient. `first` is its head."""
    inputs, served, xs = sig.inputs, sig.served, sig.inputs[0]
    s = {"name": sig.name, "params": _tuple(sig.params), "inside": ""}
    s["results"] = ", ".join(["_y", *map("{}_".format, sig.residuals)])
    if sig.variadic:
        source, given, arrays = f"    {xs} = _operands({xs}, '{sig.name}')\n", [f"*{xs}"], [f"*{xs}_"]
        s |= {"inputs": xs, "arrays": f"tuple({xs}_)", "parents": f"{xs}_n", "wanted": f"any({xs}_n)"}
        s |= {"some_tensor": f"any([isinstance(x, Tensor) for x in {xs}])"}
        labels = []
        unpack = (
            f"    {xs}_ = [x._array if isinstance(x, Tensor) else x for x in {xs}]\n"
            f"    {xs}_n = tuple([x._node if isinstance(x, Tensor) else None for x in {xs}])\n"
        )
    else:
        source, given, arrays = "", list(inputs), [*map("{}_".format, inputs)]
        s |= {"inputs": _tuple(given), "arrays": _tuple(arrays), "parents": _tuple([*map("{}_n".format, served)])}
        is_tensor = "({0}.__class__ is not _ndarray and isinstance({0}, Tensor))"  # comparing the class is fastest
        s |= {"some_tensor": _any(is_tensor, inputs), "wanted": _any("{}_n is not None", served)}
        s |= {"inside": f"if {_any(ODD, inputs)}: return _inside(_op, {s['inputs']}, {s['params']})\n        "}
        labels = [n for n in inputs if served and n not in served]
        form = OPERAND if len(inputs) > 1 else "    {n}_ = {n}._array; {n}_n = {n}._node\n"
        unpack = "".join([form.format(n=n, is_label=n in labels, **s) for n in inputs])
    source += ARRAYS.format(run=_run(sig, given, sig.residuals), **s) + unpack
    source += TENSORS.format(run=_run(sig, arrays), **s)
    source += "".join([f"    if {n}_n is not None and _recording(): _refuse(_op, '{n}')\n" for n in labels])
    if served:
        s |= {"saved": _tuple([_saved(sig, name) for name in sig.saved])}
        source += RECORD.format(floating="" if sig.rules else " and _y.dtype.kind in 'fc'", **s)
    return first + _composed(sig) + source + "    return _t\n"


def _composed(sig: Signature) -> str:
    """Source for the calls that a function composed of ops computes."""
    if not sig.composed:
        return ""
    inputs = [n if sig.variadic else f"_gather({n}, '{sig.name}')" for n in sig.inputs]
    given = ", ".join([*inputs, *map("{0}={0}".format, (*sig.params, *sig.composed))])
    return f"    if {_any('{} is not None', sig.composed)}: return _composed({given})\n"


def _tuple(items: Sequence[str]) -> str:
    return f"({', '.join(items)}{',' if len(items) == 1 else ''})"


def _any(form: str, names: Sequence[str]) -> str:
    """Source of a test: whether `form` holds with one of the names in place of {}."""
    text = " or ".join([form.format(name) for name in names])
    return text if len(names) == 1 else f"({text})"


def rule_name(inputs: tuple[str, ...]) -> str:
    """The name of the rule for some inputs in the generated functions."""
    return f"_rule_{'_'.join(inputs)}"


def _run(sig: Signature, arguments: Sequence[str], residuals: Sequence[str] = ()) -> str:
    """Source for the output, without the `residuals`, if any."""
    run = sig.run.format(", ".join([*arguments, *map("{0}={0}".format, sig.params)]))
    return f"({run})[0]" if residuals else run


def _saved(sig: Signature, name: str) -> str:
    """Source for a value that a node saves, if an input whose rule asks for it requires a gradient."""
    value = "_y" if name == OUTPUT else f"{name}_"
    if sig.variadic:
        return f"tuple({value})" if name in sig.inputs else value
    users = [n for inputs, names in sig.rules.items() if name in names for n in inputs]
    return value if {*users}.issuperset(sig.served) else f"{value} if {_any('{}_n is not None', users)} else None"


def emit_pull(sig: Signature) -> str:
    """Source of ``pull(g, saved, params, parents)``: one gradient per parent, None where a parent is None."""
    source = "def _pull(g, saved, params, parents):\n"
    if not sig.rules:
        return source + ("    raise _lacking(_op, parents)\n" if sig.lacks_rules else "    return ()\n")
    if sig.saved:
        source += f"    {_tuple(sig.saved)} = saved\n"
    if sig.params:
        source += f"    {_tuple(sig.params)} = params\n"
    if sig.variadic:
        ((xs, names),) = sig.rules.items()
        if not sig.takes_complex:
            source += "    if 'c' in [_n.dtype.kind for _n in parents if _n is not None]: _real_only(_op, parents)\n"
        if not sig.joins:
            call = f"{rule_name(xs)}({', '.join(['_n.shape' if n == IN_SHAPE else n for n in names])})"
            return source + f"    return tuple([{call} if _n is not None else None for i, _n in enumerate(parents)])\n"
        given = {
            NEEDS: "tuple([_n is not None for _n in parents])",
            IN_SHAPES: "tuple([_n and _n.shape for _n in parents])",
        }
        return source + (
            f"    _found = {rule_name(xs)}({', '.join([given.get(n, n) for n in names])})\n"
            "    try: _fits = len(_found) == len(parents)\n"
            "    except TypeError: _fits = False\n"
            "    if not _fits: raise _miscounted(_op, parents, _found)\n"
            "    return _found\n"
        )
    source += f"    {_tuple([*map('{}_n'.format, sig.served)])} = parents\n"
    if not sig.takes_complex:
        source += f"    if {_any(COMPLEX, sig.served)}: _real_only(_op, parents)\n"
    for inputs, names in sig.rules.items():
        source += _emit_rule(inputs, names)
    return source + f"    return {_tuple([*map('_{}'.format, sig.served)])}\n"


def _emit_rule(inputs: tuple[str, ...], names: Sequence[str]) -> str:
    """Source that applies a rule, for one input or for several."""
    wanted = _any("{}_n is not None", inputs)
    if len(inputs) == 1:
        call = ", ".join([f"{inputs[0]}_n.shape" if n == IN_SHAPE else n for n in names])
        return f"    _{inputs[0]} = {rule_name(inputs)}({call}) if {wanted} else None\n"
    given = {
        NEEDS: _tuple([*map("{}_n is not None".format, inputs)]),
        IN_SHAPES: _tuple([*map("{0}_n and {0}_n.shape".format, inputs)]),
        PARENTS: _tuple([*map("{}_n".format, inputs)]),
    }
    call = ", ".join([given.get(n, n) for n in names])
    return (
        f"    _found = {rule_name(inputs)}({call}) if {wanted} else {_tuple(['None' for _ in inputs])}\n"
        f"    try: {', '.join(map('_{}'.format, inputs))} = _found\n"
        f"    except (TypeError, ValueError): raise _miscounted(_op, {inputs}, _found) from None\n"
    )
