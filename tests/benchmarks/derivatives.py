"""What derivatives of functions cost, beside the function itself and beside PyTorch, JAX and HIPS/autograd.

    python -m tests.benchmarks.derivatives            about two minutes; libraries that are not installed are left out

The first table has forward mode and Hessian products of a small network, in runs of its forward pass, and Jacobians, a Hessian
and gradients for each sample in milliseconds. The second has the gradients of functions that are benchmarked in GradBench
(https://github.com/gradbench/gradbench), written here once for all libraries.

Every cell is measured in a process of its own, with one thread: the median of its calls. Compilation by JAX is not counted.
"""

from __future__ import annotations

import importlib.util
import os
import time
from collections.abc import Callable
from itertools import pairwise
from statistics import median
from types import SimpleNamespace
from typing import Any

import numpy as np

from .measure import isolated

SECONDS = 1.0
"""How long a cell is measured."""


# Libraries: the same few names for each


def _ours() -> SimpleNamespace:
    import tinygrad_cnn as tg

    tg.set_num_threads(1)
    return SimpleNamespace(
        array=tg.Tensor, grad=tg.grad, jvp=lambda f, x, t: tg.jvp(f, (x,), (t,))[1], hvp=lambda f, x, t: tg.hvp(f, (x,), (t,)),
        jacobian=tg.jacrev, hessian=tg.hessian, vmap=tg.vmap, compiled=lambda f: f, ready=lambda y: y,
        conv=lambda x, w, stride: tg.conv2d(x, w, stride=stride, padding=1), relu=tg.relu, exp=tg.exp, log=tg.log, tanh=tg.tanh,
        sigmoid=tg.sigmoid, sin=tg.sin, sum=lambda a, axis=None: tg.sum(a, axis=axis), stack=tg.stack,
        logsumexp=lambda a, axis: tg.logsumexp(a, axis=axis), min=lambda a, axis: tg.min(a, axis=axis),
        reshape=lambda a, s: a.reshape(s), cross_entropy=lambda z, y: tg.cross_entropy(z, y), linear=tg.linear,
    )  # fmt: skip


def _pytorch() -> SimpleNamespace:
    import torch
    from torch import func
    from torch.nn import functional as F

    torch.set_num_threads(1)

    def array(a: Any) -> Any:
        return torch.from_numpy(np.array(a))

    return SimpleNamespace(
        array=array, grad=lambda f, argnums=0: func.grad(f, argnums), jvp=lambda f, x, t: func.jvp(f, (x,), (t,))[1],
        hvp=lambda f, x, t: func.jvp(func.grad(f), (x,), (t,))[1], jacobian=func.jacrev, hessian=func.hessian,
        vmap=lambda f, in_axes: func.vmap(f, in_dims=in_axes), compiled=lambda f: f, ready=lambda y: y,
        conv=lambda x, w, stride: F.conv2d(x, w, stride=stride, padding=1), relu=torch.relu, exp=torch.exp, log=torch.log,
        tanh=torch.tanh, sigmoid=torch.sigmoid, sin=torch.sin,
        sum=lambda a, axis=None: torch.sum(a) if axis is None else torch.sum(a, dim=axis), stack=torch.stack,
        logsumexp=lambda a, axis: torch.logsumexp(a, dim=axis), min=lambda a, axis: torch.amin(a, dim=axis),
        reshape=lambda a, s: a.reshape(s), cross_entropy=F.cross_entropy, linear=F.linear,
    )  # fmt: skip


def _jax() -> SimpleNamespace:
    import jax
    import jax.numpy as jnp

    return SimpleNamespace(
        array=jnp.asarray, grad=lambda f, argnums=0: jax.grad(f, argnums), jvp=lambda f, x, t: jax.jvp(f, (x,), (t,))[1],
        hvp=lambda f, x, t: jax.jvp(jax.grad(f), (x,), (t,))[1], jacobian=jax.jacrev, hessian=jax.hessian, vmap=jax.vmap,
        compiled=jax.jit, ready=jax.block_until_ready,
        conv=lambda x, w, stride: jax.lax.conv_general_dilated(x, w, (stride, stride), ((1, 1), (1, 1))),
        relu=jax.nn.relu, exp=jnp.exp, log=jnp.log, tanh=jnp.tanh, sigmoid=jax.nn.sigmoid, sin=jnp.sin, sum=jnp.sum,
        stack=jnp.stack, logsumexp=lambda a, axis: jax.nn.logsumexp(a, axis=axis), min=lambda a, axis: jnp.min(a, axis=axis),
        reshape=lambda a, s: a.reshape(s),
        cross_entropy=lambda z, y: -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(z), y[:, None], 1)),
        linear=lambda x, w, b: x @ w.T + b,
    )  # fmt: skip


def _autograd() -> SimpleNamespace:
    import autograd
    import autograd.numpy as anp
    from autograd.scipy.special import logsumexp

    return SimpleNamespace(
        array=np.asarray, grad=lambda f, argnums=0: autograd.grad(f, argnums), compiled=lambda f: f, ready=lambda y: y,
        jacobian=autograd.jacobian, hessian=autograd.hessian, exp=anp.exp, log=anp.log, tanh=anp.tanh, sin=anp.sin,
        sigmoid=lambda a: 1 / (1 + anp.exp(-a)), sum=anp.sum, stack=anp.stack,
        logsumexp=lambda a, axis: logsumexp(a, axis=axis), min=lambda a, axis: anp.min(a, axis=axis), reshape=anp.reshape,
        hvp=lambda f, x, t: autograd.hessian_vector_product(f)(x, t),
    )  # fmt: skip


LIBRARIES: dict[str, tuple[str, str, Callable[[], SimpleNamespace]]] = {
    "ours": ("tinygrad_cnn", "tinygrad_cnn", _ours),
    "pytorch": ("PyTorch", "torch", _pytorch),
    "jax": ("jax.jit", "jax", _jax),
    "autograd": ("autograd", "autograd", _autograd),
}


# Derivatives of networks


def _rng() -> np.random.Generator:
    return np.random.default_rng(0)


def _network(xp: Any) -> tuple[Callable[[Any], Any], Any, Any]:
    """Five convolutions of 16 images of 32 x 32, an input and a direction."""
    rng, channels = _rng(), (3, 16, 32, 32, 64, 64)
    weights = [
        xp.array((rng.standard_normal((after, before, 3, 3)) / (3 * before**0.5)).astype(np.float32))
        for before, after in pairwise(channels)
    ]

    def network(x: Any) -> Any:
        for w, stride in zip(weights, (1, 2, 1, 2, 1), strict=True):
            x = xp.relu(xp.conv(x, w, stride))
        return x

    x, t = (xp.array(rng.standard_normal((16, 3, 32, 32)).astype(np.float32)) for _ in range(2))
    return network, x, t


def forward(xp: Any) -> Callable[[], Any]:
    """The network's forward pass."""
    f, x, _ = _network(xp)
    run = xp.compiled(f)
    return lambda: xp.ready(run(x))


def jvp(xp: Any) -> Callable[[], Any]:
    """The derivative of the network along a direction."""
    f, x, t = _network(xp)
    run = xp.compiled(lambda x, t: xp.jvp(f, x, t))
    return lambda: xp.ready(run(x, t))


def hvp(xp: Any) -> Callable[[], Any]:
    """The Hessian of the sum of the network's squares times a direction."""
    f, x, t = _network(xp)

    def loss(x: Any) -> Any:
        y = f(x)
        return xp.sum(y * y)

    run = xp.compiled(lambda x, t: xp.hvp(loss, x, t))
    return lambda: xp.ready(run(x, t))


def jacobian(xp: Any) -> Callable[[], Any]:
    """The Jacobian, 1000 x 1000, of a network of three matrices."""
    rng = _rng()
    a, b, c = (xp.array((rng.standard_normal((1000, 1000)) / 30).astype(np.float32)) for _ in range(3))
    x = xp.array(rng.standard_normal(1000).astype(np.float32))
    run = xp.compiled(xp.jacobian(lambda x: xp.tanh(xp.tanh(x @ a) @ b) @ c))
    return lambda: xp.ready(run(x))


def hessian(xp: Any) -> Callable[[], Any]:
    """The Hessian, 200 x 200, of a network of two matrices."""
    rng = _rng()
    a, b = (xp.array((rng.standard_normal(s) / 14).astype(np.float32)) for s in ((200, 64), (64, 1)))
    x = xp.array(rng.standard_normal(200).astype(np.float32))
    run = xp.compiled(xp.hessian(lambda x: xp.sum(xp.tanh(x @ a) @ b)))
    return lambda: xp.ready(run(x))


def per_sample(xp: Any) -> Callable[[], Any]:
    """The gradients for each of 64 images of a small classifier."""
    rng = _rng()
    shapes = [(16, 1, 3, 3), (32, 16, 3, 3), (10, 32 * 49), (10,)]
    weights = tuple(xp.array((rng.standard_normal(s) * 0.05).astype(np.float32)) for s in shapes)
    x = xp.array(rng.standard_normal((64, 1, 28, 28)).astype(np.float32))
    y = xp.array(rng.integers(0, 10, 64))

    def loss(w: Any, x: Any, y: Any) -> Any:
        h = xp.relu(xp.conv(xp.relu(xp.conv(x[None], w[0], 2)), w[1], 2))
        return xp.cross_entropy(xp.linear(xp.reshape(h, (1, -1)), w[2], w[3]), y[None])

    run = xp.compiled(xp.vmap(xp.grad(loss), in_axes=(None, 0, 0)))
    return lambda: xp.ready(run(weights, x, y))


# Functions of GradBench, in float64


def lse(xp: Any) -> Callable[[], Any]:
    """log of the sum of 10,000 exponentials."""
    return _gradient(xp, lambda x: xp.logsumexp(x, 0), _rng().standard_normal(10_000))


def llsq(xp: Any) -> Callable[[], Any]:
    """Least squares of a polynomial: 128 coefficients at 4096 points."""
    t = np.linspace(-1, 1, 4096)
    powers, target = xp.array(t[:, None] ** np.arange(128)), xp.array(np.sign(t))
    return _gradient(xp, lambda x: xp.sum((target - powers @ x) ** 2) / 2, np.ones(128))


def gmm(xp: Any) -> Callable[[], Any]:
    """The log-likelihood of a mixture of 10 Gaussians of 8 dimensions, with triangular factors, for 500 points."""
    rng, k, d = _rng(), 10, 8
    points, lower = xp.array(rng.standard_normal((500, 1, d))), xp.array(np.tri(d, k=-1))

    def likelihood(p: Any) -> Any:
        weights, means = p[:k], xp.reshape(p[k : k + k * d], (k, d))
        diagonals = xp.reshape(p[k + k * d : k + 2 * k * d], (k, d))
        factors = xp.reshape(p[k + 2 * k * d :], (k, d, d)) * lower
        centred = points - means
        turned = centred * xp.exp(diagonals) + xp.sum(factors * xp.reshape(centred, (500, k, 1, d)), axis=3)
        inner = weights + xp.sum(diagonals, axis=1) - xp.sum(turned**2, axis=2) / 2
        return xp.sum(xp.logsumexp(inner, 1)) - 500 * xp.logsumexp(weights, 0)

    return _gradient(xp, likelihood, rng.standard_normal(k + 2 * k * d + k * d * d) * 0.1)


def kmeans(xp: Any) -> Callable[[], Any]:
    """The cost of 10 means for 2000 points of 5 dimensions, and the diagonal of its Hessian, by a Hessian product."""
    rng = _rng()
    points, means = xp.array(rng.standard_normal((2000, 1, 5))), rng.standard_normal((10, 5))

    def cost(m: Any) -> Any:
        return xp.sum(xp.min(xp.sum((points - m) ** 2, axis=2), 1))

    x, ones = xp.array(means), xp.array(np.ones_like(means))
    run = xp.compiled(lambda x, t: (xp.grad(cost)(x), xp.hvp(cost, x, t)))
    return lambda: xp.ready(run(x, ones))


def lstm(xp: Any) -> Callable[[], Any]:
    """The loss of an LSTM of 14 numbers over 20 steps."""
    rng, n = _rng(), 14
    inputs = [xp.array(a) for a in rng.standard_normal((20, n))]

    def loss(p: Any) -> Any:
        w, b = xp.reshape(p[: 4 * n * 2 * n], (4, n, 2 * n)), xp.reshape(p[4 * n * 2 * n :], (4, n))
        h, c, total = inputs[0] * 0, inputs[0] * 0, 0.0
        for x, after in pairwise(inputs):
            gates = w[:, :, :n] @ x + w[:, :, n:] @ h + b
            forget, enter, leave = (xp.sigmoid(gates[i]) for i in range(3))
            c = forget * c + enter * xp.tanh(gates[3])
            h = leave * xp.tanh(c)
            total = total + xp.sum((h - after) ** 2)
        return total

    return _gradient(xp, loss, rng.standard_normal(4 * n * 2 * n + 4 * n) * 0.1)


def ode(xp: Any) -> Callable[[], Any]:
    """The end of y' = A sin y, of 50 numbers, after 100 steps of Runge and Kutta, by A's diagonal and the start."""
    rng = _rng()
    a = xp.array(rng.standard_normal((50, 50)) / 10)

    def end(p: Any) -> Any:
        def slope(y: Any) -> Any:
            return a @ xp.sin(y) - p[50:] * y

        y, h = p[:50], 0.01
        for _ in range(100):
            k1 = slope(y)
            k2 = slope(y + h / 2 * k1)
            k3 = slope(y + h / 2 * k2)
            y = y + h / 6 * (k1 + 2 * k2 + 2 * k3 + slope(y + h * k3))
        return xp.sum(y * y)

    return _gradient(xp, end, rng.standard_normal(100))


def particle(xp: Any) -> Callable[[], Any]:
    """Where a particle among two charges goes in 50 steps, by their strength and its start."""
    charges = xp.array(np.array([[10.0, 8.0], [12.0, 2.0]]))

    def end(p: Any) -> Any:
        x, v = p[:2], p[2:4]
        for _ in range(50):
            away = x - charges
            force = xp.sum(away * xp.reshape(p[4:6] / xp.sum(away * away, axis=1) ** 1.5, (2, 1)), axis=0)
            x, v = x + 0.05 * v, v + 0.05 * force
        return xp.sum(x * x)

    return _gradient(xp, end, np.array([0.0, 8.0, 0.75, 0.0, 1.0, 1.0]))


def saddle(xp: Any) -> Callable[[], Any]:
    """A step of a minimax problem: ten steps of ascent in y, differentiated by x."""

    def inner(x: Any, y: Any) -> Any:
        return xp.sum(x * x) - xp.sum((x - y) ** 2) - xp.sum(y * y * y * y) / 4

    def outer(x: Any) -> Any:
        y = x * 0.1
        for _ in range(10):
            y = y + 0.05 * (2 * (x - y) - y**3)
        return inner(x, y)

    return _gradient(xp, outer, np.array([1.0, 1.0]))


def _gradient(xp: Any, f: Callable[[Any], Any], x: Any) -> Callable[[], Any]:
    run, given = xp.compiled(xp.grad(f)), xp.array(x)
    return lambda: xp.ready(run(given))


NETWORKS = {task.__name__: task for task in (forward, jvp, hvp, jacobian, hessian, per_sample)}
FUNCTIONS = {task.__name__: task for task in (gmm, kmeans, lse, llsq, lstm, ode, particle, saddle)}


def milliseconds(library: str, task: str) -> float | None:
    """The median time of a task's calls; None where the library lacks something that the task needs."""
    xp = LIBRARIES[library][2]()
    try:
        call = {**NETWORKS, **FUNCTIONS}[task](xp)
        call()
    except AttributeError:
        return None
    times, began = [], time.perf_counter()
    while len(times) < 5 or time.perf_counter() - began < SECONDS:
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return 1e3 * median(times)


def main() -> None:
    """Measure, and print two tables."""
    os.environ.update(
        dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    )  # for processes below
    libraries = [name for name, (_, package, _) in LIBRARIES.items() if importlib.util.find_spec(package)]
    for tasks in (NETWORKS, FUNCTIONS):
        print(
            f"| milliseconds | {' | '.join(LIBRARIES[name][0] for name in libraries)} |\n{'| --- ' * (1 + len(libraries))}|"
        )
        for task in tasks:
            cells = [isolated(milliseconds, name, task) for name in libraries]
            print(f"| {task} | {' | '.join('' if c is None else f'{c:.3g}' for c in cells)} |", flush=True)
        print()


if __name__ == "__main__":
    main()
