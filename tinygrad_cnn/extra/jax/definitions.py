"""The definitions of ops, run on arrays of JAX.

A definition is a function of NumPy. NumPy gives its functions of an :class:`~.array.Array` to JAX by itself, but not those
that make an array of whatever they are given, such as ``np.asarray``, or of nothing, such as ``np.zeros``. So the function
that runs has the same code, and for ``np`` a namespace in which these few give Arrays, too.
"""

from __future__ import annotations

import builtins
import functools
import inspect
import math
import threading
import types
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ...core.codegen import emit_pull
from ...core.graph import Op
from ...generated import made
from ...ops.elementwise import REAL
from ...ops.real import refuse
from . import calls as _calls  # noqa: F401 - it says what NumPy does with an Array
from . import checks
from .array import Array, held, is_traced
from .trees import has_arrays, is_jax, plain

ROWS: dict[str, Callable[..., Any]] = {}
"""By the name of an op, "module.name": the function in place of a definition that JAX cannot run."""


BY_JAX: set[str] = set()
"""Names of ops whose row JAX differentiates itself: the same derivatives, and a rule that is a loop would be unrolled."""


def row(*ops: Any, by_jax: bool = False) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Declare a function of arrays of JAX as what these ops compute: ops, or names in parts that may be absent."""

    def declare(f: Callable[..., Any]) -> Callable[..., Any]:
        names = [op if isinstance(op, str) else _key(op.op) for op in ops]
        ROWS.update(dict.fromkeys(names, f))
        if by_jax:
            BY_JAX.update(names)
        return f

    return declare


def _key(op: Op) -> str:
    return f"{op.raw.__module__}.{op.name}" if isinstance(op.raw, types.FunctionType) else op.name


def defined(op: Op) -> Callable[..., Any]:
    """The function of Arrays that computes an op: its row, or its definition.

    A row is written for the numbers that the op's rules hold for. So that of an op of real numbers refuses complex ones.
    """
    f = ROWS.get(_key(op))
    if f is None:
        return here(op.raw)  # type: ignore[no-any-return]

    def call(*inputs: Any, **params: Any) -> Any:
        if not op.signature.takes_complex and any(x.dtype.kind == "c" for x in inputs if hasattr(x, "dtype")):
            raise TypeError(f"{op.name}: {REAL}")
        return f(*map(plain, inputs), **params)

    return call


def is_by_jax(op: Op) -> bool:
    """Whether JAX itself differentiates what an op computes."""
    return _key(op) in BY_JAX


@functools.cache
def pull(op: Op) -> Callable[..., Any]:
    """The function that applies an op's rules: ``pull(g, saved, params, parents)``."""
    scope = {name: here(value) if name.startswith("_rule_") else value for name, value in op.globals.items()}
    return made(f"<{op.name}: pull in JAX>", emit_pull(op.signature), scope)  # type: ignore[no-any-return]


# NumPy, as definitions see it


class _NumPy(types.ModuleType):
    """NumPy, but for the functions that make an array: they make an :class:`Array`, which other Arrays may index or be written
    into."""

    ndarray = (np.ndarray, Array)  # for isinstance

    def __getattr__(self, name: str) -> Any:
        f = getattr(np, name)
        if name in _MAKING:
            return lambda *args, **kwargs: f(*args, **kwargs) if has_arrays(args) else Array(f(*args, **kwargs))
        return f

    @staticmethod
    def asarray(a: Any, dtype: Any = None, order: Any = None, *, copy: Any = None) -> Array:
        if isinstance(a, Array):
            return a if dtype is None else a.astype(dtype, copy=False)
        if not is_jax(a):
            return Array(np.asarray(plain(a), dtype, order, copy=copy))
        parts = [_NumPy.asarray(part) for part in a]
        common = np.result_type(*(part.dtype for part in parts)) if dtype is None else np.dtype(dtype)
        return Array(jnp.stack([jnp.asarray(plain(part), held(common)) for part in parts]), common)

    @staticmethod
    def array(a: Any, dtype: Any = None, *, copy: Any = True, order: Any = "K", **options: Any) -> Array:
        made = _NumPy.asarray(a, dtype)
        return Array(made.value if isinstance(made.value, jax.Array) else np.array(made.value), made.dtype)

    ascontiguousarray = asarray

    @staticmethod
    def take(a: Any, indices: Any, axis: int | None = None) -> Any:
        return np.take(_NumPy.asarray(a), indices, axis)  # NumPy looks at the class of `a` alone

    @staticmethod
    def full(shape: Any, value: Any, dtype: Any = None, order: str = "C") -> Array:
        return (
            Array(jnp.full(shape, plain(value), held(dtype)), dtype)
            if is_jax(value)
            else Array(np.full(shape, value, dtype))
        )


_MAKING = {"arange", "empty", "eye", "identity", "linspace", "ones", "tri", "zeros"}


class _Math(types.ModuleType):
    """Python's math, whose functions of an Array are NumPy's."""

    def __getattr__(self, name: str) -> Any:
        f, g = getattr(math, name), getattr(np, name, None)
        return (lambda *a: g(*a) if has_arrays(a) else f(*a)) if callable(f) and g else f


class _Module(types.ModuleType):
    """A module of the library, with what takes the place of its globals."""

    def __init__(self, module: types.ModuleType) -> None:
        super().__init__(module.__name__)
        self._module = module

    def __getattr__(self, name: str) -> Any:
        return here(getattr(self._module, name))


def _refuse(values: Any, wrong: Any, message: str, error: type[Exception] = ValueError) -> None:
    """:func:`~tinygrad_cnn.ops.real.refuse` of values that may not be known: results become NaN then."""
    if isinstance(wrong, Array) and is_traced(wrong.value):
        checks.note(wrong.value)
    else:
        refuse(np.asarray(values), wrong, message, error)


NUMPY, MATH = _NumPy("numpy"), _Math("math")
_here: dict[Any, Any] = {refuse: _refuse}
_lock = threading.RLock()


def helper(function: Callable[..., Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Declare what takes the place of a function of the library that definitions call, given Arrays."""

    def declare(f: Callable[..., Any]) -> Callable[..., Any]:
        _here[function] = f
        return f

    return declare


def here(value: Any) -> Any:
    """What takes the place of a global of a definition: itself, but for NumPy, math, and functions of the library."""
    with _lock:  # a function is in the table before its globals are complete, since it may call itself
        return _replaced(value)


def _replaced(value: Any) -> Any:
    if value is np or value is math:
        return NUMPY if value is np else MATH
    if callable(value) and value.__hash__ is not None and value in _here:
        return _here[value]
    if isinstance(value, types.FunctionType) and hasattr(value, "op"):
        return _here.setdefault(value, _nested(value))
    if isinstance(value, types.ModuleType):
        return _Module(value) if value.__name__.startswith("tinygrad_cnn.") else value
    if (
        not isinstance(value, types.FunctionType)
        or hasattr(value, "op")
        or value.__module__.startswith(("numpy", "jax"))
    ):
        return value
    if "_build" in value.__globals__:  # generated: it takes lists, which definitions do not give
        return here(inspect.unwrap(value))
    scope: dict[str, Any] = {"__builtins__": builtins, "__name__": value.__module__}
    cells = tuple(types.CellType() for _ in value.__closure__ or ())
    made = types.FunctionType(value.__code__, scope, value.__name__, value.__defaults__, cells or None)
    made.__kwdefaults__ = value.__kwdefaults__
    _here[value] = made
    scope.update({name: here(value.__globals__[name]) for name in _names(value.__code__) if name in value.__globals__})
    for cell, original in zip(cells, value.__closure__ or (), strict=True):
        cell.cell_contents = here(original.cell_contents)
    return made


def _nested(function: Any) -> Callable[..., Any]:
    """An op as definitions call it: of Arrays, by its own definition."""
    op: Op = function.op

    def call(*args: Any, **kwargs: Any) -> Any:
        tensors = any(hasattr(x, "_node") for x in (*args, *kwargs.values()))
        if tensors or not has_arrays((args, kwargs)):
            return function(*args, **kwargs)
        bound = inspect.signature(function).bind(*args, **kwargs)
        bound.apply_defaults()
        given = {name: value for name, value in bound.arguments.items() if name not in op.signature.composed}
        inputs = [given.pop(name) for name in op.signature.inputs]
        found = defined(op)(*(inputs[0] if op.signature.variadic else inputs), **given)
        y = found[0] if op.signature.residuals else found
        return Array(y) if isinstance(y, jax.Array) else y

    return call


def _names(code: types.CodeType) -> set[str]:
    """The global names in the code of a function, and in functions that it defines."""
    inner = [_names(constant) for constant in code.co_consts if isinstance(constant, types.CodeType)]
    return set(code.co_names).union(*inner)
