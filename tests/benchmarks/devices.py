"""A step of training under JAX beside eager and compiled ones, and PyTorch's, on one core: medians, and the time to compile.

Run:  OPENBLAS_NUM_THREADS=1 XLA_FLAGS=--xla_cpu_multi_thread_eigen=false taskset -c 0 python -m tests.benchmarks.devices
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import torch

import tinygrad_cnn as tg

BATCH, ROUNDS = 32, 15


def networks(lib: Any, cat: Callable[..., Any], attend: Callable[..., Any]) -> dict[str, Any]:
    """Three networks of a library whose layers have PyTorch's names."""
    nn = lib

    class UNet(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.down = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU())
            self.deep = nn.Sequential(nn.MaxPool2d(2), nn.Conv2d(8, 16, 3, padding=1), nn.GroupNorm(4, 16), nn.SiLU())
            self.up = nn.ConvTranspose2d(16, 8, 2, stride=2)
            self.out = nn.Linear(16, 10)

        def forward(self, x: Any) -> Any:
            across = self.down(x)
            return self.out(cat([across, self.up(self.deep(across))], 1).mean((2, 3)))

    class ViT(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.patches = nn.Conv2d(1, 48, 4, stride=4)
            self.first, self.second = nn.LayerNorm(48), nn.LayerNorm(48)
            self.q, self.k, self.v, self.project = (nn.Linear(48, 48) for _ in range(4))
            self.mlp = nn.Sequential(nn.Linear(48, 96), nn.GELU(), nn.Linear(96, 48))
            self.out = nn.Linear(48, 10)

        def forward(self, x: Any) -> Any:
            x = self.patches(x).flatten(2).swapaxes(1, 2)
            y = self.first(x)
            x = x + self.project(attend(self.q(y), self.k(y), self.v(y)))
            return self.out((x + self.mlp(self.second(x))).mean(1))

    convolutional = nn.Sequential(
        nn.Conv2d(1, 8, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 16, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(400, 10),
    )  # fmt: skip
    return {"MNIST-like": convolutional, "U-Net-like": UNet(), "ViT-like": ViT()}


def steps(name: str, x: Any, y: Any) -> dict[str, Callable[[], Any]]:
    """By library, a function that takes a step of Adam."""
    found: dict[str, Callable[[], Any]] = {}
    for way in ("eager", "compiled"):
        model = networks(tg.nn, tg.concatenate, tg.scaled_dot_product_attention)[name]
        step: Any = tg.training.train_step(model, tg.cross_entropy, tg.optim.Adam(model.parameters()))
        step = step if way == "eager" else tg.compile(step)
        batch = tg.Tensor(x), tg.Tensor(y)
        found[way] = lambda step=step, batch=batch: step(*batch)
    model = networks(tg.nn, tg.concatenate, tg.scaled_dot_product_attention)[name]
    apply, loss = tg.jax.apply(model), tg.jax.function(tg.cross_entropy)
    adam = tg.jax.transformation(tg.optim.Adam(model.parameters()), model)

    def objective(params: Any, buffers: Any) -> Any:
        scores, after = apply(params, buffers, x, training=True)
        return loss(scores, y), after

    def whole(params: Any, buffers: Any, state: Any) -> Any:
        (value, buffers), g = jax.value_and_grad(objective, has_aux=True)(params, buffers)
        updates, state = adam.update(g, state, params)
        return jax.tree.map(lambda p, u: p + u, params, updates), buffers, state, value

    params, buffers = tg.jax.state(model)
    state, jitted = [params, buffers, adam.init(params)], jax.jit(whole, donate_argnums=(0, 1, 2))

    def on_jax() -> None:
        *state[:], value = jitted(*state)
        value.block_until_ready()

    found["JAX"] = on_jax
    theirs = networks(torch.nn, torch.cat, torch.nn.functional.scaled_dot_product_attention)[name]
    optimizer, xt, yt = torch.optim.Adam(theirs.parameters()), torch.tensor(x), torch.tensor(y)

    def in_torch() -> None:
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(theirs(xt), yt).backward()
        optimizer.step()

    found["PyTorch"] = in_torch
    return found


def main() -> None:
    """Print a row for each network: milliseconds for a step, and seconds to compile JAX's."""
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    print("| network | eager | compiled | JAX | PyTorch | compiling JAX's |\n| --- | --- | --- | --- | --- | --- |")
    for name in ("MNIST-like", "U-Net-like", "ViT-like"):
        x, y = rng.standard_normal((BATCH, 1, 28, 28), np.float32), rng.integers(0, 10, BATCH)
        ways = steps(name, x, y)
        began = time.perf_counter()
        ways["JAX"]()
        compiling = time.perf_counter() - began
        times: dict[str, list[float]] = {way: [] for way in ways}
        for turn in range(ROUNDS + 5):
            for way, step in ways.items():
                began = time.perf_counter()
                step()
                if turn >= 5:
                    times[way].append(1000 * (time.perf_counter() - began))
        row = " | ".join(f"{statistics.median(each):.1f} ms" for each in times.values())
        print(f"| {name} | {row} | {compiling:.1f} s |")


if __name__ == "__main__":
    main()
