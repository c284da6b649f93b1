"""How exact float32 is: reductions, scans, normalizations and losses against float64, with PyTorch's error beside ours.

    python -m tests.benchmarks.accuracy               print the table, and fail if an error is too large

Errors are the largest |y - exact| over the largest |exact|, in units in the last place of float32. `exact` is the formula in
NumPy with float64. There are columns for PyTorch if it is installed. tests/test_accuracy.py asserts the bounds.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

import tinygrad_cnn as tg

ULP = 2.0**-23
EPS = 1e-5
ALLOWED = 4
"""Times PyTorch's error, or units in the last place, that ours may be."""

Axes = tuple[int, ...]


@dataclass
class Exact:
    """A value and its gradient in x in float64, and the size of the terms that each was computed from, to which rounding is
    in proportion: the largest element by default."""

    y: Any
    dx: Any
    y_scale: float = 0.0
    dx_scale: float = 0.0

    def __post_init__(self) -> None:
        self.y_scale = max(self.y_scale, np.abs(self.y).max(initial=0))
        self.dx_scale = max(self.dx_scale, np.abs(self.dx).max(initial=0))


@dataclass(frozen=True)
class Function:
    """What is measured: f(x, axes) of this library and of PyTorch, and its formula of x, the incoming gradient u and axes."""

    name: str
    ours: Callable[[Any, Axes], Any]
    exact: Callable[[np.ndarray, np.ndarray, Axes], Exact]
    theirs: Callable[[Any, Any, Axes], Any]
    several: bool = True
    """Whether it reduces several axes at once."""


def _sum(x: np.ndarray, u: np.ndarray, axes: Axes) -> Exact:
    return Exact(x.sum(axes, keepdims=True), u + 0 * x, np.abs(x).sum(axes).max())


def _mean(x: np.ndarray, u: np.ndarray, axes: Axes) -> Exact:
    y = x.mean(axes, keepdims=True)
    return Exact(y, u * y.size / x.size + 0 * x, np.abs(x).mean(axes).max())


def _var(x: np.ndarray, u: np.ndarray, axes: Axes) -> Exact:
    centred = x - x.mean(axes, keepdims=True)
    y = np.square(centred).mean(axes, keepdims=True)
    return Exact(y, 2 * u * centred * y.size / x.size)


def _std(x: np.ndarray, u: np.ndarray, axes: Axes) -> Exact:
    of = _var(x, u, axes)
    y = np.sqrt(of.y)
    return Exact(y, of.dx / (2 * np.where(y == 0, 1, y)))


def _logsumexp(x: np.ndarray, u: np.ndarray, axes: Axes) -> Exact:
    top = x.max(axes, keepdims=True)
    y = np.log(np.exp(x - top).sum(axes, keepdims=True)) + top
    dx = u * np.exp(x - y)  # of a y that was rounded
    return Exact(y, dx, 1.0, np.abs(dx).max() * (1 + np.abs(y).max()))


def _norm(p: int) -> Callable[[np.ndarray, np.ndarray, Axes], Exact]:
    def exact(x: np.ndarray, u: np.ndarray, axes: Axes) -> Exact:
        top = np.abs(x).max()
        y = top * ((np.abs(x) / top) ** p).sum(axes, keepdims=True) ** (1 / p)
        return Exact(y, u * np.sign(x) * (np.abs(x) / y) ** (p - 1))

    return exact


def _prod(x: np.ndarray, u: np.ndarray, axes: Axes) -> Exact:
    y = x.prod(axes, keepdims=True)
    return Exact(y, u * y / x)


def _softmax(x: np.ndarray, u: np.ndarray, axes: Axes) -> Exact:
    y = np.exp(x - x.max(axes, keepdims=True))
    y /= y.sum(axes, keepdims=True)
    return Exact(y, y * (u - (u * y).sum(axes, keepdims=True)), 0, np.abs(u).max() * y.max())


def _log_softmax(x: np.ndarray, u: np.ndarray, axes: Axes) -> Exact:
    of = _logsumexp(x, np.ones(()), axes)
    y, p = x - of.y, of.dx
    whole = np.abs(u).sum(axes, keepdims=True)
    return Exact(y, u - p * u.sum(axes, keepdims=True), 1.0, (np.abs(u) + p * whole * (1 + np.abs(y))).max())


def _cumsum(x: np.ndarray, u: np.ndarray, axes: Axes) -> Exact:
    return Exact(np.cumsum(x, *axes), np.flip(np.cumsum(np.flip(u, axes), *axes), axes))


def _cumprod(x: np.ndarray, u: np.ndarray, axes: Axes) -> Exact:
    y = np.cumprod(x, *axes)
    return Exact(y, np.flip(np.cumsum(np.flip(u * y, axes), *axes), axes) / x)


def _normalized(
    axes_of: Callable[[int], Axes], centred: bool = True
) -> Callable[[np.ndarray, np.ndarray, Axes], Exact]:
    """(x - mean) / sqrt(variance + EPS) over these axes of x. A mean is rounded before it is subtracted."""

    def exact(x: np.ndarray, u: np.ndarray, _: Axes) -> Exact:
        axes = axes_of(x.ndim)
        mean = x.mean(axes, keepdims=True) * centred
        r = 1 / np.sqrt(np.square(x - mean).mean(axes, keepdims=True) + EPS)
        y = (x - mean) * r
        dx = r * (u - u.mean(axes, keepdims=True) * centred - y * (u * y).mean(axes, keepdims=True))
        far = 1 + np.abs(mean * r).max()
        return Exact(y, dx, np.abs(y).max() + far, (np.abs(r) * far).max() * np.abs(u).max())

    return exact


def _response(x: np.ndarray, u: np.ndarray, _: Axes) -> Exact:
    """Local response normalization over five channels, with alpha = k = 1 and beta = 0.75."""

    def windows(a: np.ndarray) -> np.ndarray:
        padded = np.pad(a, [(0, 0), (2, 2)] + [(0, 0)] * (a.ndim - 2))
        total: np.ndarray = sum(padded[:, i : i + a.shape[1]] for i in range(5))
        return total

    d = 1 + windows(x * x) / 5
    dx = u * d**-0.75 - 2 * 0.75 / 5 * x * windows(u * x * d**-1.75)
    return Exact(x * d**-0.75, dx, 0, np.abs(u).max())


def _mse(x: np.ndarray, u: np.ndarray, _: Axes) -> Exact:
    return Exact(np.square(x).mean(), u * 2 * x / x.size)


def _l1(x: np.ndarray, u: np.ndarray, _: Axes) -> Exact:
    return Exact(np.abs(x).mean(), u * np.sign(x) / x.size)


def _huber(x: np.ndarray, u: np.ndarray, _: Axes) -> Exact:
    c = np.clip(x, -1, 1)
    return Exact((c * (x - c / 2)).mean(), u * c / x.size)


def _cross_entropy(x: np.ndarray, u: np.ndarray, _: Axes) -> Exact:
    """Of class 0."""
    x = x.reshape(len(x), -1)
    of = _log_softmax(x, np.ones_like(x), (1,))
    dx = np.exp(of.y)
    dx[:, 0] -= 1
    return Exact(
        -of.y[:, 0].mean(), u * dx / len(x), 1 + np.abs(x).max(), np.abs(u).max() * (1 + np.abs(of.y).max()) / len(x)
    )


def _bce(x: np.ndarray, u: np.ndarray, _: Axes) -> Exact:
    """With logits x and target 0."""
    return Exact(np.logaddexp(0, x).mean(), u * np.exp(-np.logaddexp(0, -x)) / x.size)


def _trace(x: np.ndarray, u: np.ndarray, _: Axes) -> Exact:
    x = x.reshape(len(x), -1)
    return Exact(np.trace(x), u * np.eye(*x.shape), np.abs(np.diag(x)).sum())


def _images(x: Any) -> Axes:
    return (0, *range(2, x.ndim))


def _last(x: Any) -> list[int]:
    return list(x.shape[1:])


def _inner(ndim: int) -> Axes:
    return tuple(range(1, ndim))


def _flat(x: Any) -> Any:
    return x.reshape(len(x), -1)


def _zeros(x: Any) -> Any:
    return np.zeros(len(x), np.int64)


FUNCTIONS = [
    Function("sum", lambda x, a: tg.sum(x, a, True), _sum, lambda t, x, a: x.sum(a, True)),
    Function("mean", lambda x, a: tg.mean(x, a, True), _mean, lambda t, x, a: x.mean(a, True)),
    Function(
        "var", lambda x, a: tg.var(x, a, keepdims=True), _var, lambda t, x, a: x.var(a, correction=0, keepdim=True)
    ),
    Function(
        "std", lambda x, a: tg.std(x, a, keepdims=True), _std, lambda t, x, a: x.std(a, correction=0, keepdim=True)
    ),
    Function("logsumexp", lambda x, a: tg.logsumexp(x, a, True), _logsumexp, lambda t, x, a: x.logsumexp(a, True)),
    *(
        Function(
            f"norm, ord={p}",
            lambda x, a, p=p: tg.norm(x, p, a, True),  # type: ignore[misc]
            _norm(p),
            lambda t, x, a, p=p: t.linalg.vector_norm(x, p, a, True),  # type: ignore[misc]
        )
        for p in (1, 2, 3)
    ),
    Function("prod", lambda x, a: tg.prod(x, a, True), _prod, lambda t, x, a: x.prod(*a, True), several=False),
    Function("softmax", lambda x, a: tg.softmax(x, *a), _softmax, lambda t, x, a: x.softmax(*a), several=False),
    Function(
        "log_softmax",
        lambda x, a: tg.log_softmax(x, *a),
        _log_softmax,
        lambda t, x, a: x.log_softmax(*a),
        several=False,
    ),
    Function("cumsum", lambda x, a: tg.cumsum(x, *a), _cumsum, lambda t, x, a: x.cumsum(*a), several=False),
    Function("cumprod", lambda x, a: tg.cumprod(x, *a), _cumprod, lambda t, x, a: x.cumprod(*a), several=False),
]

WHOLE = [
    Function(
        "batch_norm",
        lambda x, a: tg.batch_norm(x, None, None, tg.ones(x.shape[1]), tg.zeros(x.shape[1]), training=True),
        _normalized(lambda ndim: (0, *range(2, ndim))),
        lambda t, x, a: t.nn.functional.batch_norm(x, None, None, training=True),
    ),
    Function(
        "instance_norm",
        lambda x, a: tg.instance_norm(x),
        _normalized(lambda ndim: tuple(range(2, ndim))),
        lambda t, x, a: t.nn.functional.instance_norm(x),
    ),
    Function(
        "layer_norm",
        lambda x, a: tg.layer_norm(x, _last(x)),
        _normalized(_inner),
        lambda t, x, a: t.nn.functional.layer_norm(x, _last(x)),
    ),
    Function(
        "group_norm",
        lambda x, a: tg.group_norm(x, 1),
        _normalized(_inner),
        lambda t, x, a: t.nn.functional.group_norm(x, 1),
    ),
    Function(
        "rms_norm",
        lambda x, a: tg.rms_norm(x, _last(x), eps=EPS),
        _normalized(_inner, centred=False),
        lambda t, x, a: t.nn.functional.rms_norm(x, _last(x), eps=EPS),
    ),
    Function(
        "local_response_norm",
        lambda x, a: tg.local_response_norm(x, 5, alpha=1.0),
        _response,
        lambda t, x, a: t.nn.functional.local_response_norm(x, 5, alpha=1.0),
    ),
    Function("mse", lambda x, a: tg.mse(x, 0 * x), _mse, lambda t, x, a: t.nn.functional.mse_loss(x, 0 * x)),
    Function("l1_loss", lambda x, a: tg.l1_loss(x, 0 * x), _l1, lambda t, x, a: t.nn.functional.l1_loss(x, 0 * x)),
    Function(
        "huber_loss", lambda x, a: tg.huber_loss(x, 0 * x), _huber, lambda t, x, a: t.nn.functional.huber_loss(x, 0 * x)
    ),
    Function(
        "cross_entropy",
        lambda x, a: tg.cross_entropy(_flat(x), _zeros(x)),
        _cross_entropy,
        lambda t, x, a: t.nn.functional.cross_entropy(_flat(x), t.from_numpy(_zeros(x))),
    ),
    Function(
        "binary_cross_entropy_with_logits",
        lambda x, a: tg.binary_cross_entropy_with_logits(x, 0 * x),
        _bce,
        lambda t, x, a: t.nn.functional.binary_cross_entropy_with_logits(x, 0 * x),
    ),
    Function("trace", lambda x, a: tg.trace(_flat(x)), _trace, lambda t, x, a: _flat(x).trace()),
]
"""Functions whose axes are part of what they are."""


@dataclass(frozen=True)
class Situation:
    """An array x = scale (normal numbers + offset), its axes in some order in memory, and axes to reduce."""

    shape: tuple[int, ...]
    axes: Axes
    order: Axes = ()
    offset: float = 0.0
    scale: float = 1.0
    seed: int = 0

    def array(self, rng: np.random.Generator) -> np.ndarray:
        """x."""
        order = self.order or tuple(range(len(self.shape)))
        memory = (rng.standard_normal([self.shape[i] for i in order]) + self.offset) * self.scale
        return memory.astype(np.float32).transpose(np.argsort(order))

    def data(self, function: Function) -> tuple[np.ndarray, np.ndarray]:
        """x, whose products stay in range, and the incoming gradient."""
        rng = np.random.default_rng(self.seed)
        x = self.array(rng)
        if "prod" in function.name:
            z = x / np.abs(x).max() - np.sign(self.offset)
            x = (1 + z / np.sqrt(x.size)).astype(np.float32)
        y = function.ours(x[(slice(0, 4),) * x.ndim] if function in WHOLE else x, self.axes)
        shape = () if y.ndim == 0 else x.shape if function in WHOLE else y.shape
        return x, np.asarray(rng.standard_normal(shape) if shape else 1, np.float32)


def errors(got: tuple[Any, Any], exact: Exact) -> tuple[float, float]:
    """Those of value and gradient, in units in the last place of the largest element."""
    found = []
    for one, wanted in zip(got, (exact.y, exact.dx), strict=True):
        size = np.abs(wanted).max(initial=0) or 1
        found.append(
            float(np.abs(np.asarray(one, np.float64) - wanted.reshape(np.shape(one))).max(initial=0) / size / ULP)
        )
    return found[0], found[1]


def ours(function: Function, x: np.ndarray, u: np.ndarray, axes: Axes) -> tuple[np.ndarray, np.ndarray]:
    """Value and gradient by this library."""
    a = tg.from_numpy(x)
    a.requires_grad = True
    y = function.ours(a, axes)
    y.backward(tg.Tensor(u))
    assert y.dtype == a.grad.dtype == np.float32
    return y.numpy(), a.grad.numpy()


def theirs(function: Function, x: np.ndarray, u: np.ndarray, axes: Axes) -> tuple[np.ndarray, np.ndarray] | None:
    """Value and gradient by PyTorch, if it is installed."""
    if importlib.util.find_spec("torch") is None:
        return None
    torch = importlib.import_module("torch")
    a = torch.from_numpy(x).requires_grad_(True)
    y = function.theirs(torch, a, axes)
    y.backward(torch.from_numpy(u))
    return y.detach().numpy(), a.grad.numpy()


def situations(function: Function) -> Iterator[Situation]:
    """Where it is measured."""
    if function.name in ("batch_norm", "instance_norm"):
        yield Situation((64, 64, 16, 16), (), (0, 2, 3, 1))
        yield Situation((2, 3, 500, 500), (), offset=1000)
    elif function in WHOLE:
        yield Situation((1000, 10, 10, 10), (), (3, 2, 1, 0))
        yield Situation((4, 1000, 250), (), offset=100)
    else:
        yield Situation((1_000_000, 3), (0,))
        yield Situation((3, 1_000_000), (1,), (1, 0), offset=100)
        if function.several:
            yield Situation((100, 100, 100), (0, 2), offset=1)
            yield Situation((10_000_000,), (0,))


def table() -> tuple[list[str], bool]:
    """The lines of the table, and whether an error is larger than it may be."""
    beside = importlib.util.find_spec("torch") is not None
    heads = ["function", "x", "axes"]
    for part in ("value", "gradient"):
        heads += [f"{part}: ours", "PyTorch", "ratio"] if beside else [f"{part}: error"]
    lines, missed = [_row(heads), _row(["---"] * len(heads))], False
    for function in FUNCTIONS + WHOLE:
        for situation in situations(function):
            x, u = situation.data(function)
            exact = function.exact(x.astype(np.float64), u.astype(np.float64), situation.axes)
            mine = errors(ours(function, x, u, situation.axes), exact)
            other = theirs(function, x, u, situation.axes)
            cells = []
            for i, error in enumerate(mine):
                cells.append(f"{error:.2g}")
                if other is not None:
                    their_error = errors(other, exact)[i]
                    bad = error > max(ALLOWED, ALLOWED * their_error)
                    missed |= bad
                    ratio = f"{error / their_error:.2g}" if their_error else "-"
                    cells += [f"{their_error:.2g}", f"**{ratio}**" if bad else ratio]
            kind = f"{' x '.join(map(str, x.shape))}{f', mean {situation.offset:g} std' if situation.offset else ''}"
            kind += f", axes {situation.order} in memory" if situation.order else ""
            lines.append(_row([function.name, kind, ", ".join(map(str, situation.axes)), *cells]))
    return lines, missed


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Measure and print."""
    argparse.ArgumentParser("python -m tests.benchmarks.accuracy", description="Errors beside float64.").parse_args()
    lines, missed = table()
    print("\n".join(lines))
    if missed:
        raise SystemExit(f"an error is more than {ALLOWED} units and {ALLOWED} times PyTorch's")


if __name__ == "__main__":
    main()
