"""The same function in every way in which the library can compute it: values and gradients must agree."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..core.grad_mode import no_grad
from ..core.registry import registry
from ..scope import silent
from ..tensor.tensor import Tensor
from ..transforms.autograd import jvp, vjp
from ..transforms.pytree import leaves, rebuild
from ..transforms.vmap import vmap
from .layouts import LAYOUTS

Arrays: TypeAlias = Sequence[NDArray[Any]]
Result: TypeAlias = tuple[list[Any], list[Any]]
"""Values and gradients."""

TOLERANCE = {2: 1e-2, 4: 1e-5, 8: 1e-11}
"""Relative to the largest element, by the bytes of a number."""


def assert_regimes_agree(f: Callable[..., Any], *inputs: Any, rtol: float | None = None) -> None:
    """Raise AssertionError unless f has the same values and gradients in every regime.

    The regimes: on arrays, on Tensors under no_grad and recorded, with gradients by backward mode; by forward mode;
    ``vmap``ped; compiled; by the definitions of ops without their kernels; with inputs in odd memory layouts. Values on arrays,
    under no_grad, recorded and compiled have the same bits, and so have gradients in eager and compiled mode. An error in one
    regime must be an error in all.

    Args:
        f: a function of arrays or Tensors, deterministic and without side effects, that returns Tensors or arrays in nested
            containers. It must not read values in Python, or it could not be vmapped.
        inputs: arrays or Tensors.
        rtol: how far values and gradients may differ, relative to the largest element, where bits may: by default 1e-11 in
            float64, 1e-5 in float32 and 1e-2 in float16.

    >>> import numpy as np, tinygrad_cnn as tg
    >>> from tinygrad_cnn.testing import assert_regimes_agree
    >>> assert_regimes_agree(lambda x, w: tg.tanh(x @ w).sum(), np.eye(3), np.arange(3.0))
    """
    arrays = [np.array(x._array if isinstance(x, Tensor) else x) for x in inputs]
    found: dict[str, Result | Exception] = {}
    for name, regime in REGIMES.items():
        try:
            with silent:
                found[name] = regime(f, [a.copy() for a in arrays])
        except (TypeError, ValueError, IndexError, RuntimeError) as error:
            found[name] = error
    _compare(found, arrays, rtol)


def _compare(found: dict[str, Result | Exception], arrays: Arrays, rtol: float | None) -> None:
    failed = {name: error for name, error in found.items() if isinstance(error, Exception)}
    if failed:
        if len(failed) < len(found):
            fine = next(name for name in found if name not in failed)
            name, error = next(iter(failed.items()))
            raise AssertionError(
                f"regimes: {name} raises {type(error).__name__}, but {fine} does not: {error}"
            ) from error
        return
    values, gradients = found["recorded"]  # type: ignore[misc]
    sizes = [a.dtype.itemsize for a in (*values, *arrays) if a.dtype.kind == "f"]
    allowed = TOLERANCE[min(sizes, default=8)] if rtol is None else rtol
    for name, (ys, gs) in found.items():  # type: ignore[misc]
        exact = name in EXACT
        _same(name, "value", values, ys, 0.0 if exact else allowed)
        if gs:
            _same(name, "gradient", gradients, gs, 0.0 if exact else allowed)


def _same(name: str, what: str, expected: Sequence[Any], found: Sequence[Any], rtol: float) -> None:
    if len(found) != len(expected):
        raise AssertionError(
            f"regimes: the number of {what}s is {len(found)} in the regime {name!r}, but {len(expected)} recorded"
        )
    for i, (a, b) in enumerate(zip(expected, found, strict=True)):
        a, b = np.asarray(a), np.asarray(b)
        if a.shape != b.shape or a.dtype != b.dtype:
            raise AssertionError(
                f"regimes: {what} {i} is {b.dtype} {b.shape} in the regime {name!r}, but {a.dtype} {a.shape} recorded"
            )
        finite = np.abs(a[np.isfinite(a)]) if a.dtype.kind == "f" else np.zeros(0)
        scale = float(finite.max(initial=0.0))
        close = (
            np.isclose(b, a, rtol=0, atol=rtol * scale, equal_nan=True) if rtol else (a == b) | ((a != a) & (b != b))
        )
        if not close.all():
            index = tuple(int(k) for k in np.argwhere(~close)[0])
            raise AssertionError(
                f"regimes: {what} {i}, index {index}, is {b[index]!r} in the regime {name!r}, but {a[index]!r} recorded"
                + ("" if rtol else "; their bits must be equal")
            )


def _results(result: Any) -> list[NDArray[Any]]:
    return [np.asarray(y._array if isinstance(y, Tensor) else y) for _, y in leaves(result)]


def _tensors(arrays: Arrays, requires_grad: bool = False) -> list[Tensor]:
    return [Tensor(a, requires_grad=requires_grad and a.dtype.kind == "f") for a in arrays]


def _weights(ys: Sequence[Any]) -> list[NDArray[Any]]:
    """An incoming gradient for each floating-point result: no two of its elements cancel."""
    return [np.cos(np.arange(y.size)).reshape(y.shape).astype(y.dtype) for y in ys if y.dtype.kind == "f"]


def _objective(result: Any) -> Any:
    """The sum of the results times those weights, and None if none is recorded."""
    ys = [y for _, y in leaves(result) if isinstance(y, Tensor) and y.dtype.kind == "f"]
    terms = [(y * u).sum() for y, u in zip(ys, _weights(ys), strict=True) if y.requires_grad]
    total = None
    for term in terms:
        total = term if total is None else total + term
    return total


def _on_arrays(f: Callable[..., Any], arrays: Arrays) -> Result:
    return _results(f(*arrays)), []


def _unrecorded(f: Callable[..., Any], arrays: Arrays) -> Result:
    with no_grad():
        return _results(f(*_tensors(arrays, True))), []


def _step(f: Callable[..., Any], *xs: Tensor) -> tuple[Any, list[Any]]:
    for x in xs:
        x.zero_grad()
    result = f(*xs)
    objective = _objective(result)
    if objective is not None:
        objective.backward()
    return result, [x.grad for x in xs]


def _gradients(xs: Sequence[Tensor], found: Sequence[Any]) -> list[NDArray[Any]]:
    return [
        np.zeros(x.shape, x.dtype) if g is None else np.array(g._array)
        for x, g in zip(xs, found, strict=True)
        if x.dtype.kind == "f"
    ]


def _recorded(f: Callable[..., Any], arrays: Arrays) -> Result:
    xs = _tensors(arrays, True)
    result, found = _step(f, *xs)
    return _results(result), _gradients(xs, found)


def _by_vjp(f: Callable[..., Any], arrays: Arrays) -> Result:
    result, pull = vjp(f, *_tensors(arrays))
    ys = [y for _, y in leaves(result)]
    us = iter(_weights([y for y in ys if isinstance(y, Tensor)]))
    tree = [next(us) if isinstance(y, Tensor) and y.dtype.kind == "f" else None for y in ys]
    found = pull(rebuild(result, tree))
    return _results(result), _gradients(_tensors(arrays), found)


def _forward(f: Callable[..., Any], arrays: Arrays) -> Result:
    """The gradient along each of some directions must be that of backward mode: here it is put together from all units."""
    xs = _tensors(arrays)
    values: list[Any] = []
    gradients = []
    for i, x in enumerate(xs):
        if x.dtype.kind != "f":
            continue
        slopes = np.zeros(x.size, x.dtype)
        for k in range(x.size):
            t = np.zeros(x.size, x.dtype)
            t[k] = 1
            tangents = tuple(Tensor(t.reshape(x.shape)) if j == i else None for j in range(len(xs)))
            result, moved = jvp(f, tuple(xs), tangents)
            values = _results(result)
            ts = [np.asarray(v._array) for (_, v), y in zip(leaves(moved), values, strict=True) if y.dtype.kind == "f"]
            slopes[k] = sum(float(np.vdot(u, v)) for u, v in zip(_weights(values), ts, strict=True))
        gradients.append(slopes.reshape(x.shape))
    return values or _results(f(*xs)), gradients


def _vmapped(f: Callable[..., Any], arrays: Arrays) -> Result:
    # The sample beside it is another, so that a function that mixes samples has other values.
    xs = [np.stack([np.flip(a) * np.asarray(0.75 if a.dtype.kind == "f" else 1, a.dtype), a]) for a in arrays]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "vmap: ")  # an op without a batching rule loops
        inputs = _tensors(xs, True)
        result = vmap(f)(*inputs)
    objective = _objective([y[1] for _, y in leaves(result) if isinstance(y, Tensor)])
    if objective is not None:
        objective.backward()
    return [y[1] for y in _results(result)], [g[1] for g in _gradients(inputs, [x.grad for x in inputs])]


def _compiled(f: Callable[..., Any], arrays: Arrays) -> Result:
    try:
        from ..compile import compile
    except ModuleNotFoundError:
        return _recorded(f, arrays)
    xs = _tensors(arrays, True)
    step = compile(lambda *xs: _step(f, *xs))
    for _ in range(4):  # the second one records, the third prepares
        result, _ = step(*xs)
    return _results(result), _gradients(xs, [x.grad for x in xs])


def _defined(f: Callable[..., Any], arrays: Arrays) -> Result:
    with definitions():
        return _recorded(f, arrays)


def _laid_out(name: str) -> Callable[[Callable[..., Any], Arrays], Result]:
    def regime(f: Callable[..., Any], arrays: Arrays) -> Result:
        values, _ = _on_arrays(f, [LAYOUTS[name](a) for a in arrays])
        xs = [Tensor._of(LAYOUTS[name](a)).requires_grad_(a.dtype.kind == "f") for a in arrays]
        return values, _gradients(xs, _step(f, *xs)[1])

    return regime


REGIMES: dict[str, Callable[[Callable[..., Any], Arrays], Result]] = {
    "recorded": _recorded,
    "on arrays": _on_arrays,
    "under no_grad": _unrecorded,
    "by vjp": _by_vjp,
    "by forward mode": _forward,
    "vmapped": _vmapped,
    "compiled": _compiled,
    "without kernels": _defined,
    **{f"layout {name!r}": _laid_out(name) for name in ("transposed", "backward", "skipping", "readonly")},
}

EXACT = {"on arrays", "under no_grad", "compiled"}
"""Regimes whose bits are those of the recorded call."""


@contextmanager
def definitions() -> Iterator[None]:
    """Compute every op by its definition, without its kernel, in all threads."""
    kernels = [(op, op.prepare, op.along, op.in_place) for op in registry.values() if op.prepare]
    try:
        for op, *_ in kernels:
            op.accelerate(lambda out, *_, **__: None, (), False)
        yield
    finally:
        for op, prepare, along, in_place in kernels:
            op.accelerate(prepare, along, in_place)
