"""The tables of NumPy's functions, from what the library itself knows of each, and of MyGrad's names.

An op or a composite stands for a function of NumPy, or NumPy computes it without recording, or it is refused with a reason. The
test of NumPy's names calls each of them.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

import tinygrad_cnn as tg
from tinygrad_cnn.core.registry import numpy_ops
from tinygrad_cnn.core.remedies import original
from tinygrad_cnn.names import TABLES
from tinygrad_cnn.numpy_api import dispatch  # noqa: F401 - it brings the functions that are registered
from tinygrad_cnn.numpy_api.refused import FORM, QUERIES, REFUSED

VERSION = ".".join(np.__version__.split(".")[:2])

CONSTANT = {np.zeros_like, np.ones_like, np.empty_like, np.isneginf, np.isposinf, np.nonzero}
"""Functions composed of ops that record nothing: what they return is constant."""

ASIDE = {
    "makes arrays from sizes and numbers; use the function of tinygrad_cnn": """
        arange bartlett blackman diag_indices empty eye full hamming hanning identity indices kaiser mask_indices ones tri
        tril_indices triu_indices zeros fft.fftfreq fft.rfftfreq fromfunction""",
    "asks a Tensor for its values: RuntimeError if it requires a gradient": """
        array asanyarray asarray asarray_chkfinite ascontiguousarray asfortranarray asmatrix bmat from_dlpack frombuffer require
        isfortran nested_iters""",
    "converts to Python numbers, as float(t) does: without a gradient": "fromiter",
    "is about files and text": """
        base_repr binary_repr format_float_positional format_float_scientific fromfile fromregex fromstring genfromtxt load
        loadtxt""",
    "is about dtypes, shapes or NumPy itself": """
        broadcast_shapes datetime_data frompyfunc get_include get_printoptions getbufsize geterr geterrcall info isdtype
        isscalar issubdtype iterable mintypecode printoptions promote_types set_printoptions setbufsize seterr seterrcall
        show_config show_runtime test typename""",
}
"""Functions that NumPy does not hand to Tensors, by what they do."""


class Row(NamedTuple):
    """What happens to a function of NumPy on Tensors."""

    name: str
    function: Callable[..., Any]
    kind: str  # "recorded", "plain", "refused" or "aside"
    why: str


def rows() -> Iterator[Row]:
    """A row for every public function of numpy, numpy.linalg and numpy.fft. KeyError for one that nothing is known about."""
    aside = {name: why for why, names in ASIDE.items() for name in names.split()}
    for module, prefix in ((np, ""), (np.linalg, "linalg."), (np.fft, "fft.")):
        for name in sorted(getattr(module, "__all__", dir(module))):
            function = getattr(module, name, None)
            if name.startswith("_") or not callable(function) or inspect.isclass(function):
                continue
            yield Row(prefix + name, function, *_fate(prefix + name, function, aside))


def _fate(name: str, function: Callable[..., Any], aside: dict[str, str]) -> tuple[str, str]:
    standing = numpy_ops.get(function)
    if standing is not None:
        op = getattr(standing, "op", None)
        if function in CONSTANT:
            return "plain", "a constant Tensor"
        if op is not None and not op.rules:
            return "plain", "a Tensor without a gradient"
        return "recorded", f"`tg.{where}`" if (where := _public(name, standing)) else "under this name"
    if function in FORM:
        return "plain", "looks at shapes and dtypes only"
    if function in QUERIES:
        return "plain", "indices, Booleans, integers or text"
    if function in REFUSED:
        return "refused", REFUSED[function]
    return "aside", aside[name]


def _public(name: str, standing: Callable[..., Any]) -> str:
    """The public name of a function, the same as NumPy's if it has several."""
    found = [
        prefix + public
        for prefix, namespace in (("", tg), ("linalg.", tg.linalg))
        for public in namespace.__all__
        if original(vars(namespace).get(public)) is standing
    ]
    return name if name in found else (found or [""])[0]


KINDS = {
    "recorded": "Recorded: with derivatives of every order",
    "plain": "Computed without recording: there is no derivative",
    "refused": "Refused, with a TypeError, where a Tensor requires a gradient",
    "aside": "Not handed to Tensors",
}


def tables() -> str:
    """A section for each kind of row."""
    found = list(rows())
    lines = [f"NumPy {VERSION}:", ""]
    for kind, title in KINDS.items():
        lines += [f"### {title}", "", "| NumPy | |", "| --- | --- |"]
        lines += [f"| `np.{row.name}` | {row.why} |" for row in found if row.kind == kind] + [""]
    return "\n".join(lines)


def mygrad_tables() -> str:
    """A table for each namespace of MyGrad."""
    lines = []
    for theirs in ("mygrad", "mygrad.Tensor", "mygrad.nnet"):
        lines += [f"| `{theirs}` | here |", "| --- | --- |"]
        for name, use in TABLES[theirs].items():
            lines.append(f"| `{name}` | {use.strip('()') if use.startswith('(') else f'`{use}`'} |")
        lines.append("")
    return "\n".join(lines)
