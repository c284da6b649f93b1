"""Networks large enough for prepared kernels and for threads leave the bits of eager, too."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import optim
from tinygrad_cnn.kernels.parallel import chunks

from ..graphs import programs_of

CHANNELS = 16


@pytest.fixture(autouse=True)
def as_many_threads():
    before = tg.get_num_threads()
    yield
    tg.set_num_threads(before)


def stepping(size: int = 16):
    """A step of a small residual network: strides of 1 and 2, single pixels, normalization with running statistics."""
    rng = np.random.default_rng(0)

    def leaf(*shape):
        return tg.Tensor(rng.normal(0, 0.2, shape).astype(np.float32), requires_grad=True)

    shapes = [(CHANNELS, 3, 3, 3), (CHANNELS, CHANNELS, 3, 3), (24, CHANNELS, 3, 3), (24, CHANNELS, 1, 1)]
    kernels = [leaf(*shape) for shape in shapes]
    affine = [(leaf(len(k)), leaf(len(k)), tg.zeros(len(k)), tg.ones(len(k))) for k in kernels]
    last = leaf(10, 24)
    optimizer = optim.SGD([*kernels, *(p for a in affine for p in a[:2]), last], lr=0.1, momentum=0.9)

    def layer(x, i, stride=1):
        w, b, mean, var = affine[i]
        x = tg.conv2d(x, kernels[i], stride=stride, padding=kernels[i].shape[2] // 2)
        return tg.batch_norm(x, mean, var, w, b, training=True)

    def step(x, y):
        h = layer(x, 0).relu()
        h = (layer(h, 1) + h).relu()
        h = (layer(h, 2, 2) + layer(h, 3, 2)).relu()
        loss = tg.cross_entropy(tg.linear(h.mean(axis=(2, 3)), last), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    x = rng.normal(size=(16, 3, size, size)).astype(np.float32)
    y = rng.integers(0, 10, 16)
    watched = [*kernels, *(t for a in affine for t in a), last]
    return step, x, y, watched


@pytest.mark.part(1)
@pytest.mark.parametrize("n", [1, 2, 3])
def test_ten_steps_for_any_number_of_threads(n):
    eager, x, y, left = stepping()
    replayed, _, _, right = stepping()
    compiled = tg.compile(replayed)
    tg.set_num_threads(1)
    expected = [eager(x * (1 - 0.01 * i), y).item() for i in range(10)]
    tg.set_num_threads(n)
    assert [compiled(x * np.float32(1 - 0.01 * i), y).item() for i in range(10)] == expected
    for a, b in zip(left, right, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy(), strict=True)
        if a.requires_grad:
            np.testing.assert_array_equal(a.grad, b.grad, strict=True)


def many(x, w, row):
    """Elementwise ops of arrays of one shape, of one with axes of one element, with fewer axes, and of numbers."""
    y = tg.exp(-x) * w + tg.tanh(x * row) / (1.5 + tg.square(w))
    y = tg.maximum(y, tg.sin(x)) - tg.log(tg.abs(x) + 1) ** 2
    return tg.where(y > w, y, 0.5 * tg.sqrt(tg.abs(y)))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("axes", [(0, 1), (1, 0)])
def test_large_elementwise_ops_are_cut_for_any_number_of_threads(axes, dtype, tuning):
    tuning(chunks, LARGE=1 << 14)
    rng = np.random.default_rng(0)
    x = tg.Tensor(rng.normal(size=(161, 161)).astype(dtype).transpose(axes), requires_grad=True)
    w, row = (tg.Tensor(rng.normal(size=s).astype(dtype), requires_grad=True) for s in ((x.shape[0], 1), x.shape[1:]))
    leaves = [x, w, row]

    def loss():
        y = many(x, w, row)
        return [y.detach(), *tg.gradients((y * y).sum(), leaves)]

    compiled = tg.compile(loss)
    for n in (1, 1, 2, 3, 2, 1, 3, 1, 2):
        tg.set_num_threads(n)
        with tg.no_grad():
            for a in leaves:
                a *= 0.99
        for found, expected in zip(compiled(), loss(), strict=True):
            np.testing.assert_array_equal(np.asarray(found), np.asarray(expected), strict=True)
    (program,) = programs_of(compiled)
    assert sum(map(len, program.streams)) >= 12
