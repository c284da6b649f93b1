"""Derivatives of functions beside torch.func's, in one process with one thread each: medians of calls in turn.

    python -m tests.benchmarks.func [--dtype float64] [--seconds 0.4] [names ...]

The first table has Jacobians, Hessians and gradients of small functions for each of 256 samples. The second has `jvp` and `hvp`
of networks, along a direction of the input and of the parameters, in runs of the library's own forward pass. The third has one
function of 100 numbers, beside HIPS/autograd, too. What the libraries compute is compared first. It needs PyTorch.
"""

from __future__ import annotations

import argparse
import importlib.util
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from statistics import median
from types import SimpleNamespace
from typing import Any

import numpy as np

import tinygrad_cnn as tg

SAMPLES = 256

Function = Callable[[Any], Any]


# Libraries: the same few names for each


def _ours() -> SimpleNamespace:
    return SimpleNamespace(
        array=lambda a: tg.Tensor(np.array(a)), sin=tg.sin, cos=tg.cos, exp=tg.exp, log=tg.log, tanh=tg.tanh, relu=tg.relu,
        sigmoid=tg.sigmoid, gelu=tg.gelu, linear=tg.linear, softmax=lambda a: tg.softmax(a, axis=-1),
        logsumexp=lambda a: tg.logsumexp(a, axis=-1), sum=tg.sum, transpose=tg.transpose,
        conv=lambda x, w, stride: tg.conv2d(x, w, stride=stride, padding=1),
        norm=lambda x, w, b: tg.layer_norm(x, x.shape[-1], weight=w, bias=b),
        vmap=tg.vmap, grad=tg.grad, jacrev=tg.jacrev, jacfwd=tg.jacfwd, hessian=tg.hessian,
        jvp=lambda f, x, t: tg.jvp(f, (x,), (t,))[1], hvp=lambda f, x, t: tg.hvp(f, (x,), (t,)),
    )  # fmt: skip


def _pytorch() -> SimpleNamespace:
    import torch
    from torch import func
    from torch.nn import functional as F

    return SimpleNamespace(
        array=lambda a: torch.from_numpy(np.array(a)), sin=torch.sin, cos=torch.cos, exp=torch.exp, log=torch.log,
        tanh=torch.tanh, relu=torch.relu, sigmoid=torch.sigmoid, gelu=F.gelu, linear=F.linear,
        softmax=lambda a: torch.softmax(a, -1), logsumexp=lambda a: torch.logsumexp(a, -1), sum=torch.sum,
        transpose=torch.permute, conv=lambda x, w, stride: F.conv2d(x, w, stride=stride, padding=1),
        norm=lambda x, w, b: F.layer_norm(x, x.shape[-1:], w, b),
        vmap=func.vmap, grad=func.grad, jacrev=func.jacrev, jacfwd=func.jacfwd, hessian=func.hessian,
        jvp=lambda f, x, t: func.jvp(f, (x,), (t,))[1], hvp=lambda f, x, t: func.jvp(func.grad(f), (x,), (t,))[1],
    )  # fmt: skip


def _autograd() -> SimpleNamespace:
    import autograd
    import autograd.numpy as anp

    return SimpleNamespace(
        array=np.array, sin=anp.sin, cos=anp.cos, exp=anp.exp, log=anp.log, tanh=anp.tanh, sum=anp.sum,
        jacfwd=autograd.jacobian, hessian=autograd.hessian,
    )  # fmt: skip


# Small functions: of n numbers, and as many results or more


def _layers(*sizes: int) -> tuple[int, Callable[[Any, Any], Function]]:
    def made(xp: Any, draw: Any) -> Function:
        weights = [(xp.array(draw(a, b) / a**0.5), xp.array(draw(b) / 10)) for a, b in pairwise(sizes)]

        def f(x: Any) -> Any:
            for w, b in weights[:-1]:
                x = xp.tanh(x @ w + b)
            return x @ weights[-1][0] + weights[-1][1]

        return f

    return sizes[0], made


def _trigonometric(xp: Any, draw: Any) -> Function:
    return lambda x: xp.sin(x) * x**2 + xp.cos(x)


def _rosenbrock(xp: Any, draw: Any) -> Function:
    return lambda x: 100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2


def _probabilities(xp: Any, draw: Any) -> Function:
    w = xp.array(draw(8, 8))
    return lambda x: xp.softmax(x @ w)


def _logistic(xp: Any, draw: Any) -> Function:
    w = xp.array(draw(16, 8))
    return lambda x: xp.sigmoid(w @ x)


FUNCTIONS: dict[str, tuple[int, Callable[[Any, Any], Function]]] = {
    "mlp 10-32-10": _layers(10, 32, 10),
    "mlp 32-64-64-32": _layers(32, 64, 64, 32),
    "trigonometric": (8, _trigonometric),
    "rosenbrock": (8, _rosenbrock),
    "softmax": (8, _probabilities),
    "logistic": (8, _logistic),
}

DERIVATIVES: dict[str, Callable[[Any, Function], Function]] = {
    "jacrev": lambda xp, f: xp.vmap(xp.jacrev(f)),
    "jacfwd": lambda xp, f: xp.vmap(xp.jacfwd(f)),
    "hessian": lambda xp, f: xp.vmap(xp.hessian(lambda x: xp.sum(f(x) ** 2))),
    "grad": lambda xp, f: xp.vmap(xp.grad(lambda x: xp.sum(f(x) ** 2))),
}


# Networks: parameters, an input, and a function of both


def _mlp(draw: Any) -> tuple[list[Any], Any, Any]:
    sizes = (784, 512, 512, 10)
    parameters = [a for n, m in pairwise(sizes) for a in (draw(m, n) / n**0.5, draw(m) / 10)]

    def network(xp: Any, p: Any, x: Any) -> Any:
        for i in (0, 2):
            x = xp.relu(xp.linear(x, p[i], p[i + 1]))
        return xp.linear(x, p[4], p[5])

    return parameters, draw(128, 784), network


def _convolutions(draw: Any) -> tuple[list[Any], Any, Any]:
    parameters = [draw(m, n, 3, 3) / (3 * n**0.5) for n, m in pairwise((3, 16, 32, 32, 64, 64))]

    def network(xp: Any, p: Any, x: Any) -> Any:
        for w, stride in zip(p, (1, 2, 1, 2, 1), strict=True):
            x = xp.relu(xp.conv(x, w, stride))
        return x

    return parameters, draw(16, 3, 32, 32), network


def _transformer(draw: Any) -> tuple[list[Any], Any, Any]:
    n, heads, batch, length = 128, 4, 8, 64
    parameters = [1 + draw(n) / 10, draw(n) / 10]
    for rows, columns in ((3 * n, n), (n, n)):
        parameters += [draw(rows, columns) / n**0.5, draw(rows) / 10]
    parameters += [1 + draw(n) / 10, draw(n) / 10]
    for rows, columns in ((4 * n, n), (n, 4 * n)):
        parameters += [draw(rows, columns) / columns**0.5, draw(rows) / 10]

    def network(xp: Any, p: Any, x: Any) -> Any:
        parts = xp.linear(xp.norm(x, p[0], p[1]), p[2], p[3]).reshape(batch, length, 3, heads, n // heads)
        q, k, v = (xp.transpose(parts, (2, 0, 3, 1, 4))[i] for i in range(3))
        seen = xp.softmax(q @ xp.transpose(k, (0, 1, 3, 2)) * (n // heads) ** -0.5) @ v
        x = x + xp.linear(xp.transpose(seen, (0, 2, 1, 3)).reshape(batch, length, n), p[4], p[5])
        return x + xp.linear(xp.gelu(xp.linear(xp.norm(x, p[6], p[7]), p[8], p[9])), p[10], p[11])

    return parameters, draw(batch, length, n), network


NETWORKS = {"MLP": _mlp, "five convolutions": _convolutions, "transformer block": _transformer}


def _directional(xp: Any, drawn: tuple[list[Any], Any, Any], draw: Any) -> dict[str, Callable[[], Any]]:
    """The forward pass of a network, and derivatives along a direction."""
    arrays, given, network = drawn
    p, x = [xp.array(a) for a in arrays], xp.array(given)
    to_p, to_x = [xp.array(draw(*a.shape)) for a in arrays], xp.array(draw(*given.shape))

    def loss(p: Any, x: Any) -> Any:
        return xp.sum(network(xp, p, x) ** 2) / len(given)

    return {
        "forward": lambda: network(xp, p, x),
        "jvp, input": lambda: xp.jvp(lambda x: network(xp, p, x), x, to_x),
        "jvp, parameters": lambda: xp.jvp(lambda p: network(xp, p, x), p, to_p),
        "hvp, input": lambda: xp.hvp(lambda x: loss(p, x), x, to_x),
        "hvp, parameters": lambda: xp.hvp(lambda p: loss(p, x), p, to_p),
    }


# One function of 100 numbers


def _waves(xp: Any, draw: Any) -> Function:
    a, b = xp.array(draw(100, 100) / 10), xp.array(draw(100, 200) / 10)
    return lambda x: xp.sin(xp.tanh(x @ a) @ b) * 0.5


# Measuring


def medians(calls: Sequence[Callable[[], Any]], seconds: float) -> list[float]:
    """The medians of the calls' milliseconds, measured in turn."""
    times: list[list[float]] = [[] for _ in calls]
    for call in calls:
        call()
    began = time.perf_counter()
    while time.perf_counter() - began < seconds * len(calls) or len(times[0]) < 5:
        for call, into in zip(calls, times, strict=True):
            start = time.perf_counter()
            call()
            into.append(1e3 * (time.perf_counter() - start))
    return [median(each) for each in times]


def agree(what: str, ours: Any, theirs: Any) -> None:
    """Raise unless both libraries have computed the same."""
    pairs = zip(ours, theirs, strict=True) if isinstance(ours, list) else [(ours, theirs)]
    for own, other in pairs:
        a, b = np.asarray(own.numpy()), np.asarray(other.detach() if hasattr(other, "detach") else other)
        assert (a.shape, a.dtype) == (b.shape, b.dtype), what
        error = np.abs(a - b).max() / np.abs(b).max()
        assert error < (1e-4 if a.dtype == np.float32 else 1e-10), f"{what}: the libraries differ by {error:.1e}"


def _drawer(dtype: Any) -> Callable[..., Any]:
    rng = np.random.default_rng(0)
    return lambda *shape: rng.standard_normal(shape).astype(dtype)


def _of_samples(name: str, dtype: Any, seconds: float) -> None:
    n, made = FUNCTIONS[name]
    ours, theirs = _ours(), _pytorch()
    f, g = made(ours, _drawer(dtype)), made(theirs, _drawer(dtype))
    samples = np.random.default_rng(1).standard_normal((SAMPLES, n)).astype(dtype)
    x, z = ours.array(samples), theirs.array(samples)
    cells = []
    for derivative, of in DERIVATIVES.items():
        own, other = of(ours, f), of(theirs, g)
        agree(f"{derivative} of {name}", own(x), other(z))
        here, there = medians(
            [lambda own=own: own(x), lambda other=other: other(z)],  # type: ignore[misc]
            seconds,
        )
        cells.append(f"{here:.2f} / {there:.2f} = **{here / there:.2f}**")
    print(f"| {name} | {' | '.join(cells)} |", flush=True)


def _of_network(name: str, dtype: Any, seconds: float) -> None:
    here, there = (
        _directional(xp, NETWORKS[name](draw), draw)
        for xp, draw in ((_ours(), _drawer(dtype)), (_pytorch(), _drawer(dtype)))
    )
    for what in here:
        agree(f"{what} of {name}", here[what](), there[what]())
    own, other = (medians([*calls.values()], seconds) for calls in (here, there))
    cells = [f"{a / own[0]:.2f}, {b / other[0]:.2f} ({a / b:.2f})" for a, b in zip(own[1:], other[1:], strict=True)]
    print(f"| {name}, {own[0]:.2f} ms ({own[0] / other[0]:.2f}) | {' | '.join(cells)} |", flush=True)


def _of_one(dtype: Any, seconds: float) -> None:
    x, found = np.random.default_rng(1).standard_normal(100).astype(dtype), []
    sides = [_ours(), _pytorch(), *([_autograd()] if importlib.util.find_spec("autograd") else [])]
    for derivative in ("jacfwd", "hessian"):
        calls = []
        for xp in sides:
            f, given = _waves(xp, _drawer(dtype)), xp.array(x)
            of = xp.jacfwd(f) if derivative == "jacfwd" else xp.hessian(lambda x, xp=xp, f=f: xp.sum(f(x) ** 2))
            calls.append(lambda of=of, given=given: of(given))
        for call in calls[1:]:
            agree(derivative, calls[0](), call())
        found.append((derivative, medians(calls, seconds)))
    for derivative, times in found:
        print(f"| {derivative} | {' | '.join(f'{t:.2f}' for t in times)} |", flush=True)


def main() -> None:
    """Measure, and print three tables."""
    import torch

    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*", help="of functions and networks; `waves` for the last table")
    parser.add_argument("--dtype", default="float32", choices=["float32", "float64"])
    parser.add_argument("--seconds", type=float, default=0.4, help="for each call that is measured")
    options = parser.parse_args()
    known = [*FUNCTIONS, *NETWORKS, "waves"]
    if unknown := [name for name in options.names if name not in known]:
        parser.error(f"{', '.join(unknown)}: none of {', '.join(known)}")
    torch.set_num_threads(1)
    tg.set_num_threads(1)
    dtype, asked = np.dtype(options.dtype), options.names or known
    if functions := [name for name in FUNCTIONS if name in asked]:
        print(
            f"| {SAMPLES} samples, ms, ours / PyTorch | {' | '.join(DERIVATIVES)} |\n{'| --- ' * (1 + len(DERIVATIVES))}|"
        )
        for name in functions:
            _of_samples(name, dtype, options.seconds)
    if networks := [name for name in NETWORKS if name in asked]:
        titles = ("jvp, input", "jvp, parameters", "hvp, input", "hvp, parameters")
        print(f"\n| forward passes, ours, PyTorch's (time, relative) | {' | '.join(titles)} |\n{'| --- ' * 5}|")
        for name in networks:
            _of_network(name, dtype, options.seconds)
    if "waves" in asked:
        print("\n| 100 numbers, ms | ours | PyTorch | autograd |\n| --- | --- | --- | --- |")
        _of_one(dtype, options.seconds)


if __name__ == "__main__":
    main()
