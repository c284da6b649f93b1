"""PyTorch in eager mode, default settings: the same arithmetic as ours, line for line. A network may also be compiled by
`torch.compile` or frozen by `torch.jit.freeze`, and have its images and filters channels-last in memory."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import torch
from torch.nn import functional as F

from .. import networks
from ..problems import CHANNELS, Problem

set_threads = torch.set_num_threads


def chain(p: Problem) -> Callable[[], Any]:
    """Multiply, and walk back."""
    x, w, ones = torch.tensor(p.x, requires_grad=True), torch.tensor(p.weights[0]), torch.tensor(p.target)

    def call() -> Any:
        y = x
        for _ in range(p.options["length"]):
            y = y * w
        x.grad = None
        y.backward(ones)
        return x.grad

    return call


def convolution(p: Problem) -> Callable[[], Any]:
    """The output and all three gradients."""
    leaves = [torch.tensor(a, requires_grad=True) for a in (p.x, *p.weights)]
    u = torch.tensor(p.target)

    def call() -> Any:
        y = F.conv2d(*leaves, **p.options)
        return [y.detach(), *torch.autograd.grad(y, leaves, u)]

    return call


def _differentiated(f: Callable[..., Any]) -> Callable[[Problem], Callable[[], Any]]:
    """The value of a function and its gradients, for the gradient that arrives at it."""

    def build(p: Problem) -> Callable[[], Any]:
        leaves = [torch.tensor(a, requires_grad=True) for a in (p.x, *p.weights)]
        u = torch.tensor(p.target)

        def call() -> Any:
            y = f(*leaves)
            return [y.detach(), *torch.autograd.grad(y, leaves, u)]

        return call

    return build


gelu, silu, sigmoid = map(_differentiated, (F.gelu, F.silu, torch.sigmoid))
softmax = _differentiated(lambda x: torch.softmax(x, -1))
linear = _differentiated(F.linear)
log_softmax = _differentiated(lambda x: torch.log_softmax(x, -1))
cumsum = _differentiated(lambda x: torch.cumsum(x, -1))
max_pool = _differentiated(lambda x: F.max_pool2d(x, 2))
layer_norm = _differentiated(lambda x, w, b: F.layer_norm(x, x.shape[-1:], w, b))


def cross_entropy(p: Problem) -> Callable[[], Any]:
    """The loss, and the gradient in the scores."""
    x, target = torch.tensor(p.x, requires_grad=True), torch.tensor(p.target)
    return lambda: [loss := F.cross_entropy(x, target), *torch.autograd.grad(loss, x)]


def embedding(p: Problem) -> Callable[[], Any]:
    """Rows of a table, and the gradient in the table."""
    table, x, u = torch.tensor(p.weights[0], requires_grad=True), torch.tensor(p.x), torch.tensor(p.target)
    return lambda: [y := F.embedding(x, table), *torch.autograd.grad(y, table, u)]


def adam(p: Problem) -> Callable[[], Any]:
    """One update of every parameter, the gradients being there."""
    weights = _leaves(p)
    for w in weights:
        w.grad = torch.ones_like(w)
    optimizer = torch.optim.Adam(weights, lr=1e-3, fused=p.options.get("fused"))

    def call() -> Any:
        optimizer.step()
        return weights[0].detach()

    return call


def notebook(p: Problem) -> Callable[[], Any]:
    """Gradient descent."""
    w = _leaves(p)

    def loss(x: Any, target: Any) -> Any:
        hidden = F.conv2d(x, w[0], w[1], stride=2, padding=1).relu().reshape(x.shape[0], 1024)
        return F.mse_loss((hidden @ w[2] + w[3]) @ w[4] + w[5], target)

    return _train(loss, torch.optim.SGD(w, lr=1e-4), p)


def perceptron(p: Problem) -> Callable[[], Any]:
    """Gradient descent."""
    w = _leaves(p)

    def loss(x: Any, target: Any) -> Any:
        h = F.linear(F.linear(x, w[0], w[1]).relu(), w[2], w[3]).relu()
        return F.cross_entropy(F.linear(h, w[4], w[5]), target)

    return _train(loss, torch.optim.SGD(w, lr=1e-2), p)


def mnist(p: Problem) -> Callable[[], Any]:
    """Dropout and Adam."""
    w = _leaves(p)

    def loss(x: Any, target: Any) -> Any:
        return F.cross_entropy(_mnist(w, x, p.dropout), target)

    return _train(loss, torch.optim.Adam(w, lr=1e-3), p)


def mnist_inference(p: Problem) -> Callable[[], Any]:
    """The scores of a batch."""
    w, x = _leaves(p), torch.tensor(p.x)

    def call() -> Any:
        with torch.no_grad():
            return _mnist(w, x, dropout=False).numpy()

    return call


def residual(p: Problem) -> Callable[[], Any]:
    """Batch normalization with running statistics, and gradient descent with momentum."""
    w = _leaves(p)
    running = [(torch.zeros(len(a)), torch.ones(len(a))) for a in p.weights if a.ndim == 4]

    def loss(x: Any, target: Any) -> Any:
        layers = zip(w[:-2:3], w[1:-2:3], w[2:-2:3], running, strict=True)

        def layer(x: Any, stride: int = 1) -> Any:
            kernel, scale, shift, statistics = next(layers)
            x = F.conv2d(x, kernel, stride=stride, padding=kernel.shape[2] // 2)
            return F.batch_norm(x, *statistics, scale, shift, training=True)

        x = layer(x).relu()
        for before, after in pairwise(CHANNELS):
            stride = 1 if before == after else 2
            y = layer(layer(x, stride).relu())
            x = (y + (x if before == after else layer(x, stride))).relu()
        return F.cross_entropy(F.linear(x.mean((2, 3)), w[-2], w[-1]), target)

    return _train(loss, torch.optim.SGD(w, lr=1e-2, momentum=0.9), p)


LIBRARY = SimpleNamespace(
    nn=torch.nn,
    cat=lambda tensors: torch.cat(tensors, 1),
    attend=F.scaled_dot_product_attention,
    split=lambda x, parts: x.chunk(parts, -1),
)
"""What `networks.py` builds from."""


def network(p: Problem, last: bool = False, compiled: bool = False, frozen: bool = False) -> Callable[[], Any]:
    """A step with momentum, or the scores in evaluation."""
    model: Any = getattr(networks, p.network)(LIBRARY)
    with torch.no_grad():
        for parameter, value in zip(model.parameters(), networks.initial(model.named_parameters()), strict=True):
            parameter.copy_(torch.tensor(value))
    x = torch.tensor(p.x)
    if last:
        model, x = model.to(memory_format=torch.channels_last), x.to(memory_format=torch.channels_last)
    run = torch.compile(model) if compiled else model
    if p.options["training"]:
        optimizer = torch.optim.SGD(model.parameters(), lr=1e-2, momentum=0.9)
        return _train(lambda x, target: F.cross_entropy(run(x), target), optimizer, p, x)
    model.eval()
    if frozen:
        with torch.no_grad():
            run = torch.jit.freeze(torch.jit.trace(model, x))  # type: ignore[no-untyped-call]

    def call() -> Any:
        with torch.no_grad():
            return run(x).numpy()

    return call


def _leaves(p: Problem) -> list[Any]:
    return [torch.tensor(a, requires_grad=True) for a in p.weights]


def _mnist(w: list[Any], x: Any, dropout: bool) -> Any:
    h = F.conv2d(F.conv2d(x, w[0], w[1]).relu(), w[2], w[3]).relu()
    h = F.dropout(F.max_pool2d(h, 2), 0.25, training=dropout).reshape(x.shape[0], 9216)
    h = F.dropout(F.linear(h, w[4], w[5]).relu(), 0.5, training=dropout)
    return F.linear(h, w[6], w[7])


def _train(loss: Callable[..., Any], optimizer: Any, p: Problem, x: Any = None) -> Callable[[], float]:
    x, target = torch.tensor(p.x) if x is None else x, torch.tensor(p.target)

    def call() -> float:
        value = loss(x, target)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        return float(value.item())

    return call
