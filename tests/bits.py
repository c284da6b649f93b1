"""Drawn networks trained eagerly and compiled, with one thread and two, from images in every memory order: all have one set of
bits for each order. `python -m tests.bits [COUNT] [FIRST]`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np

import tinygrad_cnn as tg
from tinygrad_cnn import nn

STEPS = 5
ORDERS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "C": np.ascontiguousarray,
    "Fortran": np.asfortranarray,
    "last": lambda x: np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2),
    "backward": lambda x: np.ascontiguousarray(x[..., ::-1])[..., ::-1],
    "skipping": lambda x: np.repeat(x, 2, axis=1)[:, ::2],
}
ACTIVATIONS = (
    nn.ReLU, nn.GELU, nn.SiLU, nn.Sigmoid, nn.Tanh, nn.ELU, nn.Hardswish, nn.LeakyReLU, nn.Softplus, nn.ReLU6, nn.SELU, nn.Mish,
)  # fmt: skip


def network(rng: np.random.Generator, channels: int, size: int, classes: int) -> nn.Module:
    """Blocks of a convolution, a normalization, an activation and a pooling layer, and one or two linear layers."""
    pick: Callable[[Any], Any] = lambda options: options[rng.integers(len(options))]  # noqa: E731
    layers: list[nn.Module] = []
    for _ in range(rng.integers(1, 4)):
        groups = pick([1, 1, channels])
        wide = channels * pick([1, 2]) if groups > 1 else pick([4, 8, 16, 24])
        kernel, stride = pick([1, 3, 3, 5]), pick([1, 1, 2])
        layers.append(
            nn.Conv2d(
                channels, wide, kernel, stride=stride, padding=kernel // 2, groups=groups, bias=pick([True, False])
            )
        )
        channels, size = wide, -(-size // stride)
        norms = [
            nn.Identity(),
            nn.GroupNorm(channels // 2 if channels % 2 == 0 else channels, channels),
            nn.LayerNorm([channels, size, size]),
        ]
        if size > 1:  # else each mean would be of one value
            norms += [nn.BatchNorm2d(channels), nn.InstanceNorm2d(channels, affine=True)]
        layers.append(pick(norms))
        layers.append(pick(ACTIVATIONS)())
        if size >= 2 and rng.integers(2):
            layers.append(pick([nn.MaxPool2d, nn.AvgPool2d])(2))
            size //= 2
        if not rng.integers(4):
            layers.append(nn.Dropout(0.25))
    layers.append(nn.Flatten())
    width, hidden = channels * size * size, pick([0, 17, 64])
    if hidden:
        layers += [nn.Linear(width, hidden), pick([nn.Identity(), nn.LayerNorm(hidden)])]
        layers += [pick(ACTIVATIONS)()]
    return nn.Sequential(*layers, nn.Linear(hidden or width, classes))


def loss_of(name: str, y: Any, t: Any) -> Any:
    """A loss of scores y for labels t."""
    one = np.eye(y.shape[1], dtype=np.float32)[np.asarray(t)]
    if name == "mse":
        return tg.mse(y, one)
    if name == "bce":
        return tg.binary_cross_entropy_with_logits(y, one)
    if name == "kl":
        return -(tg.log_softmax(y, axis=1) * one).mean()
    if name == "softmax":
        return ((tg.softmax(y, axis=1) - one) ** 2).sum(axis=1).mean()
    if name == "norm":
        return tg.norm(y - one, axis=1).mean() + (y**3).mean() * 1e-3
    return tg.cross_entropy(y, t)


def trained(seed: int, order: str, compiled: bool, threads: int) -> list[bytes]:
    """The bytes of every loss, gradient and parameter in a run of some steps."""
    tg.set_num_threads(threads)
    tg.manual_seed(seed)
    rng = np.random.default_rng(seed)
    n, channels, size, classes = (int(rng.choice(c)) for c in ([1, 2, 8, 40], [1, 2, 3, 8], [5, 8, 14, 24], [2, 3, 10]))
    model = network(rng, channels, size, classes)
    weights = list(model.parameters())
    for p in weights:
        p.copy_(rng.standard_normal(p.shape, np.float32) / np.sqrt(max(p.shape[-1], 4)))
    name = ("mse", "bce", "kl", "softmax", "norm", "cross_entropy")[rng.integers(6)]
    optimizer = (tg.optim.SGD, tg.optim.Adam)[rng.integers(2)](weights, lr=1e-3)

    def step(x: Any, t: Any) -> Any:
        optimizer.zero_grad()
        loss = loss_of(name, model(x), t)
        loss.backward()
        return loss

    run = tg.compile(step) if compiled else step
    found: list[bytes] = []
    for _ in range(STEPS):
        x, t = rng.standard_normal((n, channels, size, size), np.float32), rng.integers(0, classes, n)
        found.append(run(tg.Tensor(ORDERS[order](x)), t).numpy().tobytes())
        found += [p.grad.numpy().tobytes() for p in weights if p.grad is not None]
        optimizer.step()
        found += [p.numpy().tobytes() for p in weights]
    return found


def differing(seed: int) -> list[str]:
    """The ways in which a network has other bits than when it is trained eagerly with one thread."""
    found = []
    for order in ORDERS:
        first, *others = ((way, trained(seed, order, *way)) for way in product((False, True), (1, 2)))
        found += [f"{seed} {order} compiled={way[0]} threads={way[1]}" for way, run in others if run != first[1]]
    return found


def main() -> None:
    """Print each difference, and how many networks there were."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 60
    first = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    threads, bad = tg.get_num_threads(), 0
    try:
        for seed in range(first, first + count):
            for line in differing(seed):
                bad += 1
                print(line, flush=True)
    finally:
        tg.set_num_threads(threads)
    print(f"{count} networks, {bad} differences")
    raise SystemExit(bool(bad))


if __name__ == "__main__":
    main()
