"""Check gradients against numerical derivatives, to any order."""

import inspect
from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..tensor import Tensor
from .levels import Arrays, Level
from .parts import CLOSE, Parts
from .report import Failure, Report, reproducer
from .search import Search, away_from_zero
from .structure import TOLERANCES, Structure, check_forward, most_different

Function: TypeAlias = Callable[..., Any]
Gradients: TypeAlias = Sequence[NDArray[Any] | None]
Method: TypeAlias = Literal["central", "complex"]

FLOAT64 = TOLERANCES[np.dtype(np.float64)]

EPS = {"central": 1e-3, "complex": 1e-30}
"""The first step by method."""


def gradcheck(
    f: Function, *inputs: Any, order: int = 2, rtol: float | None = None, atol: float | None = None,
    eps: float | None = None, rng: np.random.Generator | int | None = None, method: Method = "central",
    directions: int = 2, budget: int = 24,
) -> Report:  # fmt: skip
    """Compare f's derivatives with numerical ones, up to an order.

    At each order the function (x, u) -> gradient of <f(x), u> is checked in the same way, by one numerical differentiation:
    in float64, along random directions through all inputs at once, and along single coordinates. The step is refined where
    the first one does not decide.

    A relative error of 1e-3 in one of 10^4 normally distributed elements is missed with a probability far below 1e-3, and
    wrong alarms are as rare; ``docs/testing.md`` derives both. ``unseen`` counts the elements that could not be checked.

    Order 1 includes checks of the gradients' shapes and dtypes, and that gradients are linear in the incoming gradient, are
    the same twice and for another memory layout, share memory with nothing, and agree between rules on arrays and rules on
    Tensors (``create_graph=True``); and that the inputs are not modified.

    Where the derivatives from the left and from the right differ, at a kink, the analytic value must lie between the two,
    output by output, or between slopes at points nearby. Elements with a common kink, such as two that are both the largest,
    are also moved together. Above order 1, outputs that jump are not checked.

    Args:
        f: a function of Tensors to a Tensor or a sequence of them.
        inputs: arrays or Tensors. Floating-point and complex ones are differentiated, others passed as they are. A complex
            input and a complex result count as their real and imaginary parts, each of which is checked; the gradient of the
            whole must be df/dx - i df/dy.
        order: the highest derivative checked.
        rtol, atol: tolerances for an element; by default from ``TOLERANCES``. Against numerical derivatives, atol is absolute:
            scale f so that the gradients that matter are well above 4e3 atol. Between a narrow dtype and float64, atol is
            relative to the largest element of all gradients, if that is above 1.
        eps: the first step of the differences, by default 1e-3, or 1e-30 for "complex".
        rng: a generator or seed for directions and incoming gradients; None is a fixed seed.
        method: "central" for differences of fourth order, "complex" for the imaginary part of f(x + i h d) / h, which is
            exact to rounding but needs an analytic f, without abs or comparisons.
        directions: random directions per order.
        budget: coordinates checked one by one per order.

    Returns:
        A report: true if there are no ``failures``, with ``kinks``, ``unseen`` and a text that can be printed.

    Raises:
        ValueError: if no input is floating-point or complex, one has NaN or infinity, an argument is out of range, f does not
            return floating-point or complex Tensors, or f is not analytic with "complex", or an input is complex then.

    >>> import numpy as np, tinygrad_cnn as tg
    >>> from tinygrad_cnn.testing import gradcheck
    >>> print(gradcheck(lambda x: x.exp().sum(), np.array([0.5, -1.0])))
    gradcheck: no failures
    >>> print(gradcheck(tg.relu, np.array([0.0, 1.0]), order=1))
    gradcheck: no failures
      order 1, input 0, index (0,): a kink; analytic 0 lies between the one-sided derivatives ...
    """
    given = _checked(inputs, order, rtol, atol, eps, method, directions, budget)
    parts = Parts(f, given)
    arrays = parts.arrays
    seed = 0 if rng is None else rng if isinstance(rng, int | np.integer) else int(rng.integers(2**32))
    generator = np.random.default_rng(seed)
    report, before, copies = Report(), [a.copy() for a in arrays], [a.copy() for a in given]
    level = Level(f if method == "complex" else parts, arrays, parts.names)
    for n in range(1, order + 1):
        record = level.record(level.arrays)
        us = [away_from_zero(generator, y.shape).astype(y.dtype) for y in record.values]
        if n == 1:
            Structure(level, rtol or 0.0, report).check(record, us, before, generator)
            if report and parts.complex:
                parts.check_whole(us, record.pull(us), report)
        check_forward(level, record, us, n, rtol or 0.0, report.failures)
        wide, wide_us = level.widened(), [u.astype(np.float64, copy=False) for u in us]
        if any(a.dtype.kind == "f" and a.dtype != np.float64 for a in (*level.arrays, *us)):
            coarse, record = record, wide.record(wide.arrays)
            _compare_precisions(level, coarse.pull(us), record.pull(wide_us), n, rtol, atol, report.failures)
        if report:
            chosen = (FLOAT64[0] if rtol is None else rtol, FLOAT64[1] if atol is None else atol)
            search = Search(wide, record, wide_us, n, report, generator, chosen, eps or EPS[method], method)
            search.run(directions, budget)
        if not report:
            options = {"order": order, "rtol": rtol, "atol": atol, "eps": eps, "rng": seed, "method": method,
                       "directions": directions, "budget": budget}  # fmt: skip
            report.reproducer = reproducer(f, copies, {k: v for k, v in options.items() if v != DEFAULTS[k]})
            break
        level = level.above(us, n)
    parts.place(report)
    return report


def assert_gradients(f: Function, *inputs: Any, allow_unseen: bool = False, **options: Any) -> None:
    """Raise AssertionError with the report of :func:`gradcheck` if it has failures or elements that could not be checked.

    Args:
        f, inputs, options: see :func:`gradcheck`. A larger ``budget`` leaves fewer elements unseen.
        allow_unseen: whether to pass although some gradients are so small, compared with the others or with f's values, that an
            error of 0.1 % in them would not show.

    >>> import numpy as np, tinygrad_cnn as tg
    >>> from tinygrad_cnn.testing import assert_gradients
    >>> assert_gradients(tg.matmul, np.ones((2, 3)), np.ones((3, 4)), order=3)
    """
    report = gradcheck(f, *inputs, **options)
    if not report:
        raise AssertionError(str(report))
    if report.unseen and not allow_unseen:
        raise AssertionError(
            f"assert_gradients: {report.unseen} elements could not be checked. Check fewer elements at a time, raise `budget`, "
            f"or pass allow_unseen=True\n{report}"
        )


DEFAULTS = {name: p.default for name, p in inspect.signature(gradcheck).parameters.items()}


def _compare_precisions(
    level: Level, coarse: Gradients, fine: Gradients, order: int, rtol: float | None, atol: float | None,
    failures: list[Failure],
) -> None:  # fmt: skip
    """Compare the gradients in the inputs' own dtypes with those in float64, element by element."""
    lowest = min((level.arrays[p].dtype for p in level.floating), key=lambda dtype: dtype.itemsize)
    rtol, atol = (d if t is None else t for t, d in zip((rtol, atol), TOLERANCES[lowest], strict=True))
    scale = max((float(np.abs(g).max(initial=0.0)) for g in fine if g is not None), default=0.0)
    for position, a, b in zip(level.floating, coarse, fine, strict=True):
        if a is None or b is None:
            continue
        tolerance = rtol * np.abs(b) + atol * max(1.0, scale)
        index = most_different(a, b, tolerance)
        if index is not None:
            failures.append(
                Failure(
                    f"{level.names[position]}, index {index}: the rules give {float(a[index])!r} in {a.dtype} but "
                    f"{float(b[index])!r} in float64, tolerance {tolerance[index]:.3g}",
                    order, position, index, float(a[index]), float(b[index]),
                )
            )  # fmt: skip


def _checked(
    inputs: tuple[Any, ...], order: int, rtol: float | None, atol: float | None, eps: float | None, method: str,
    directions: int, budget: int,
) -> Arrays:  # fmt: skip
    """Copies of the inputs as arrays, after all arguments are checked."""
    for name, value, least in (("order", order, 1), ("directions", directions, 1), ("budget", budget, 0)):
        if not isinstance(value, int | np.integer) or value < least:
            raise ValueError(f"gradcheck: `{name}` is {value!r}; it must be an integer of at least {least}")
    for name, tolerance in (("rtol", rtol), ("atol", atol)):
        if tolerance is not None and not 0 <= tolerance < 1:
            raise ValueError(f"gradcheck: `{name}` is {tolerance!r}; it must be at least 0 and below 1")
    if eps is not None and not 0 < eps < np.inf:
        raise ValueError(f"gradcheck: `eps` is {eps!r}; it must be a positive number")
    if method not in EPS:
        raise ValueError(f"gradcheck: `method` is {method!r}; it must be one of {', '.join(map(repr, EPS))}")
    arrays = [np.array(x._array if isinstance(x, Tensor) else x) for x in inputs]
    for i, a in enumerate(arrays):
        floating = a.dtype.kind in "fc"
        if a.dtype.kind not in "biufc" or (floating and a.dtype not in TOLERANCES and a.dtype not in CLOSE):
            allowed = ", ".join(map(str, (*TOLERANCES, *CLOSE)))
            raise ValueError(f"gradcheck: input {i} has dtype {a.dtype}; it must hold {allowed}, integers or Booleans")
        if a.dtype.kind == "c" and method == "complex":
            raise ValueError(f"gradcheck: `method` is 'complex' and input {i} is {a.dtype}; use method='central'")
        if floating and not np.isfinite(a).all():
            raise ValueError(f"gradcheck: input {i} holds NaN or infinity; derivatives are checked at finite points")
    if not any(a.dtype.kind in "fc" for a in arrays):
        found = [str(a.dtype) for a in arrays]
        raise ValueError(f"gradcheck: the inputs have dtypes {found}; at least one must be floating-point or complex")
    return arrays
