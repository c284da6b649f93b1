"""Large inputs in any memory order, and shapes in turns: compiled steps have the bits of plain ones."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_cnn as tg

from ..graphs import programs_of


def laid_out(rng: np.random.Generator, a: np.ndarray) -> np.ndarray:
    """The same values in a random order of memory, maybe with gaps or reversed."""
    order = rng.permutation(a.ndim)
    memory = a.transpose(order).copy() if a.ndim else a.copy()
    kind = rng.integers(4)
    if a.ndim and kind == 0:
        memory = np.repeat(memory, 2, axis=-1)[..., ::2]
    elif a.ndim and kind == 1:
        memory = memory[::-1].copy()[::-1]
    return memory.transpose(np.argsort(order)) if a.ndim else memory


def steps(a: np.ndarray) -> list[int]:
    """The strides of the axes with several elements."""
    return [step for step, n in zip(a.strides, a.shape, strict=True) if n > 1]


def check(call, shapes_and_values, seed: int, calls: int = 5) -> None:
    """A step of `call`, compiled and plain, in the same memory orders."""
    arrays = shapes_and_values

    def step(*xs):
        y = call(*xs)
        y = next((v for v in y if v.requires_grad), y[0]) if isinstance(y, tuple) else y
        if y.requires_grad:
            (y * y * 0.5).sum().backward()
        return y

    compiled = tg.compile(step)
    for n in range(calls):
        rng = np.random.default_rng((seed, n))
        given = [a if a.dtype.kind != "f" else np.asarray(a + rng.normal(0, 1e-3, a.shape), a.dtype) for a in arrays]
        results = []
        for run in (step, compiled):
            again = np.random.default_rng(seed)
            xs = [tg.from_numpy(laid_out(again, a)).requires_grad_(a.dtype.kind == "f") for a in given]
            y = run(*xs)
            results.append([y.numpy(), *[np.asarray(x.grad) for x in xs if x.grad is not None]])
        for a, b in zip(*results, strict=True):
            assert steps(a) == steps(b)
            np.testing.assert_array_equal(a, b, strict=True)


LARGE = {
    "binary_cross_entropy_with_logits": lambda x, t: tg.binary_cross_entropy_with_logits(x, tg.abs(t).detach()),
    "gelu": lambda x, t: tg.gelu(x) * t,
    "softmax": lambda x, t: tg.softmax(x, axis=1) * t,
    "log_softmax": lambda x, t: tg.log_softmax(x, axis=0) * t,
    "silu": lambda x, t: tg.silu(x * t),
    "layer_norm": lambda x, t: tg.layer_norm(x, x.shape[-1]) * t,
    "mean": lambda x, t: (x - x.mean(axis=0)) / (1 + tg.square(t)),
    "norm": lambda x, t: x / tg.sqrt(tg.square(x).sum(axis=(0, 2), keepdims=True) + 1) + t,
    "where": lambda x, t: tg.where(x > t, x, t * x),
    "max": lambda x, t: x.max(axis=1) * t.sum(axis=1),
}


@pytest.mark.part(6)
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("name", LARGE)
def test_large_arrays_in_a_random_memory_order(name, seed):
    rng = np.random.default_rng(seed)
    shape = tuple(rng.permutation([16, 32, 128]))
    check(LARGE[name], [rng.normal(size=shape).astype(np.float32) for _ in range(2)], seed)


@pytest.mark.parametrize("sizes", [(3, 4, 5, 6), (1, 2), (8, 1, 8, 3, 2)])
def test_batch_sizes_in_turns_have_programs(sizes):
    w = tg.Tensor(np.ones((4, 2)), requires_grad=True)

    @tg.compile
    def step(x):
        w.grad = None
        tg.tanh(x @ w).sum().backward()
        return w.grad.tolist()

    for turn in range(5):
        for n in sizes:
            x = np.random.default_rng((turn, n)).normal(size=(n, 4))
            g = 1 - np.tanh(x.sum(1)) ** 2
            found = step(tg.Tensor(x))
            if turn == 0:
                np.testing.assert_allclose(found, np.stack([g @ x, g @ x], 1))
    assert len(programs_of(step)) == len({*sizes})
