"""tinygrad_cnn. Steps are written once; `compiled=True` hands the same function to :func:`tinygrad_cnn.compile`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import tinygrad_cnn as tg

from .. import networks
from ..problems import CHANNELS, Problem

set_threads, keep_freed_memory = tg.set_num_threads, tg.keep_freed_memory


def begin(numba: bool) -> None:
    """Take compiled kernels, or NumPy's."""
    if numba or "numba" in sys.modules:
        tg.use_numba(numba)


def chain(p: Problem) -> Callable[[], Any]:
    """Multiply, and walk back."""
    x, w = tg.Tensor(p.x, requires_grad=True), tg.Tensor(p.weights[0])

    def call() -> Any:
        y = x
        for _ in range(p.options["length"]):
            y = y * w
        x.grad = None
        y.backward(p.target)
        return x.grad

    return call


def convolution(p: Problem) -> Callable[[], Any]:
    """The output and all three gradients."""
    leaves = [tg.Tensor(a, requires_grad=True) for a in (p.x, *p.weights)]

    def call() -> Any:
        y = tg.conv2d(*leaves, **p.options)
        return [y.detach(), *tg.gradients(y, leaves, p.target)]

    return call


def _differentiated(f: Callable[..., Any]) -> Callable[[Problem], Callable[[], Any]]:
    """The value of a function and its gradients, for the gradient that arrives at it."""

    def build(p: Problem) -> Callable[[], Any]:
        leaves = [tg.Tensor(a, requires_grad=True) for a in (p.x, *p.weights)]

        def call() -> Any:
            y = f(*leaves)
            return [y.detach(), *tg.gradients(y, leaves, p.target)]

        return call

    return build


linear = _differentiated(tg.linear)
gelu, silu, sigmoid = map(_differentiated, (tg.gelu, tg.silu, tg.sigmoid))
softmax = _differentiated(lambda x: tg.softmax(x, axis=-1))
log_softmax = _differentiated(lambda x: tg.log_softmax(x, axis=-1))
cumsum = _differentiated(lambda x: tg.cumsum(x, axis=-1))
max_pool = _differentiated(lambda x: tg.max_pool2d(x, 2))
layer_norm = _differentiated(lambda x, w, b: tg.layer_norm(x, x.shape[-1], w, b))


def cross_entropy(p: Problem) -> Callable[[], Any]:
    """The loss, and the gradient in the scores."""
    x = tg.Tensor(p.x, requires_grad=True)
    return lambda: [loss := tg.cross_entropy(x, p.target), *tg.gradients(loss, [x])]


def embedding(p: Problem) -> Callable[[], Any]:
    """Rows of a table, and the gradient in the table."""
    table = tg.Tensor(p.weights[0], requires_grad=True)
    return lambda: [y := tg.embedding(p.x, table), *tg.gradients(y, [table], p.target)]


def adam(p: Problem) -> Callable[[], Any]:
    """One update of every parameter, the gradients being there."""
    weights = _leaves(p)
    for w in weights:
        w.grad = tg.ones_like(w)
    optimizer = tg.optim.Adam(weights, lr=1e-3)

    def call() -> Any:
        optimizer.step()
        return weights[0].detach()

    return call


def notebook(p: Problem, compiled: bool = False) -> Callable[[], Any]:
    """Gradient descent."""
    w = _leaves(p)

    def loss(x: Any, target: Any) -> Any:
        hidden = tg.conv2d(x, w[0], w[1], stride=2, padding=1).relu().reshape(x.shape[0], 1024)
        return tg.mse((hidden @ w[2] + w[3]) @ w[4] + w[5], target)

    return _train(loss, tg.optim.SGD(w, lr=1e-4), p, compiled)


def perceptron(p: Problem, compiled: bool = False) -> Callable[[], Any]:
    """Gradient descent."""
    w = _leaves(p)

    def loss(x: Any, target: Any) -> Any:
        h = tg.linear(tg.linear(x, w[0], w[1]).relu(), w[2], w[3]).relu()
        return tg.cross_entropy(tg.linear(h, w[4], w[5]), target)

    return _train(loss, tg.optim.SGD(w, lr=1e-2), p, compiled)


def mnist(p: Problem, compiled: bool = False) -> Callable[[], Any]:
    """Dropout and Adam."""
    w = _leaves(p)

    def loss(x: Any, target: Any) -> Any:
        return tg.cross_entropy(_mnist(w, x, p.dropout), target)

    return _train(loss, tg.optim.Adam(w, lr=1e-3), p, compiled)


def mnist_inference(p: Problem, compiled: bool = False) -> Callable[[], Any]:
    """The scores of a batch."""
    w = _leaves(p)

    def infer(x: Any) -> Any:
        with tg.no_grad():
            return _mnist(w, x, dropout=False)

    infer = tg.compile(infer) if compiled else infer
    x = tg.Tensor(p.x)
    return lambda: infer(x).numpy()


def residual(p: Problem, compiled: bool = False) -> Callable[[], Any]:
    """Batch normalization with running statistics, and gradient descent with momentum."""
    w = _leaves(p)
    running = [(tg.zeros(a.shape[0]), tg.ones(a.shape[0])) for a in p.weights if a.ndim == 4]

    def loss(x: Any, target: Any) -> Any:
        layers = zip(w[:-2:3], w[1:-2:3], w[2:-2:3], running, strict=True)

        def layer(x: Any, stride: int = 1) -> Any:
            kernel, scale, shift, statistics = next(layers)
            x = tg.conv2d(x, kernel, stride=stride, padding=kernel.shape[2] // 2)
            return tg.batch_norm(x, *statistics, scale, shift, training=True)

        x = layer(x).relu()
        for before, after in pairwise(CHANNELS):
            stride = 1 if before == after else 2
            y = layer(layer(x, stride).relu())
            x = (y + (x if before == after else layer(x, stride))).relu()
        return tg.cross_entropy(tg.linear(x.mean(axis=(2, 3)), w[-2], w[-1]), target)

    return _train(loss, tg.optim.SGD(w, lr=1e-2, momentum=0.9), p, compiled)


LIBRARY = SimpleNamespace(
    nn=tg.nn,
    cat=lambda tensors: tg.concatenate(tensors, 1),
    attend=tg.scaled_dot_product_attention,
    split=lambda x, parts: tg.split(x, parts, axis=-1),
)
"""What `networks.py` builds from."""


def network(p: Problem, compiled: bool = False, frozen: bool = False) -> Callable[[], Any]:
    """A step with momentum, or the scores in evaluation."""
    model: Any = getattr(networks, p.network)(LIBRARY)
    with tg.no_grad():
        for parameter, value in zip(model.parameters(), networks.initial(model.named_parameters()), strict=True):
            parameter.copy_(value)
    if p.options["training"]:
        optimizer = tg.optim.SGD(model.parameters(), lr=1e-2, momentum=0.9)
        return _train(lambda x, target: tg.cross_entropy(model(x), target), optimizer, p, compiled)
    model.eval()

    def infer(x: Any) -> Any:
        with tg.no_grad():
            return model(x)

    infer = tg.compile(model, freeze=True) if frozen else tg.compile(infer) if compiled else infer
    x = tg.Tensor(p.x)
    return lambda: infer(x).numpy()


def _leaves(p: Problem) -> list[Any]:
    return [tg.Tensor(a, requires_grad=True) for a in p.weights]


def _mnist(w: list[Any], x: Any, dropout: bool) -> Any:
    h = tg.conv2d(tg.conv2d(x, w[0], w[1]).relu(), w[2], w[3]).relu()
    h = tg.dropout(tg.max_pool2d(h, 2), 0.25, training=dropout).reshape(x.shape[0], 9216)
    h = tg.dropout(tg.linear(h, w[4], w[5]).relu(), 0.5, training=dropout)
    return tg.linear(h, w[6], w[7])


def _train(loss: Callable[..., Any], optimizer: Any, p: Problem, compiled: bool) -> Callable[[], float]:
    def step(x: Any, target: Any) -> Any:
        value = loss(x, target)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        return value

    step = tg.compile(step) if compiled else step
    x, target = tg.Tensor(p.x), tg.Tensor(p.target)
    return lambda: float(step(x, target).item())
