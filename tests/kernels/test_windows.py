"""Compiled convolutions from few channels to few channels, beside float64; no cut and no memory order changes a bit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import tinygrad_cnn as tg
from tinygrad_cnn import nn
from tinygrad_cnn.ops import conv

from ..tuning import tuned

pytest.importorskip("numba", reason="not installed: pip install numba")

from tinygrad_cnn.extra.numba import images, windows

from .compiled import agrees, filled, last, needs_vectors, normal

pytestmark = [pytest.mark.usefixtures("numba"), needs_vectors]


def how(stride, padding):
    return {"stride": stride, "padding": padding, "dilation": (1, 1), "groups": 1}


pairs = st.tuples(st.integers(0, 4), st.integers(0, 4))


@given(
    seed=st.integers(0, 2**32 - 1), n=st.integers(1, 4), before=st.integers(1, 20), after=st.integers(1, 40),
    tall=st.integers(1, 6), long=st.integers(1, 6), more=st.tuples(st.integers(0, 9), st.integers(0, 9)),
    stride=st.tuples(st.integers(1, 3), st.integers(1, 3)), padding=st.tuples(pairs, pairs), bias=st.booleans(),
    cut=st.booleans(), first=st.booleans(),
)  # fmt: skip
@example(0, 1, 2, 2, 1, 1, (0, 0), (7, 7), ((3, 3), (3, 3)), False, False, False)  # the only window is in the padding
def test_convolution_and_both_adjoints(
    seed, n, before, after, tall, long, more, stride, padding, bias, cut, first
):  # fmt: skip
    x, w = normal(seed, n, before, tall + more[0], long + more[1]), normal(seed + 1, after, before, tall, long)
    b = normal(seed + 2, after) if bias else None
    params = how(stride, padding)
    with tuned() as tune:
        tune(windows, LEAST=1, LARGE=1, FEWEST=1, MOST=1000, OUTPUTS=64, USED=0)
        if cut:
            tune(images, LARGE=2)
        given_x = x if first else last(x)
        y = windows.prepare(None, given_x, w, b, **params)()
        assert agrees(y, conv.convolve.op, x, w, b, **params)
        assert filled(windows.prepare, y, given_x, w, b, **params)
        u = last(normal(seed + 3, *y.shape))
        dx = windows.prepare_dx(None, u if first else np.ascontiguousarray(u), w, shape=x.shape, **params)()
        assert agrees(dx, conv.convolve_dx.op, u, w, shape=x.shape, **params)
        assert filled(windows.prepare_dx, dx, u, w, shape=x.shape, **params)
        dw = windows.prepare_dw(None, given_x, u, shape=w.shape, **params)()
        assert agrees(dw, conv.convolve_dw.op, x, u, shape=w.shape, **params)
        assert filled(windows.prepare_dw, dw, last(x) if first else x, u, shape=w.shape, **params)
        if not cut:  # an image has the same bits whatever the others are
            assert np.array_equal(windows.prepare(None, given_x[-1:], w, b, **params)(), y[-1:])
            assert np.array_equal(windows.prepare_dx(None, u[-1:], w, shape=x[:1].shape, **params)(), dx[-1:])


def test_other_arrays_are_left_to_blas():
    x, w, params = last(normal(0, 2, 6, 14, 14)), normal(1, 16, 6, 5, 5), how((1, 1), ((0, 0), (0, 0)))
    u = last(normal(2, 2, 16, 10, 10))
    assert windows.prepare(None, x, w, **params) is not None
    for first, second in (
        (x.astype(np.float64), w),
        (x, w.astype(np.float64)),
        (x, w[:, :, ::2]),
        (x, w[:, :, :3, :3].copy()),  # BLAS is as fast
        (x, w[:9].copy()),  # lanes would compute what is not wanted
        (x[:0], w),
        (x[:, :, ::2], w),
    ):
        assert windows.prepare(None, first, second, **params) is None
    for change in ({"dilation": (2, 2)}, {"groups": 2}):
        assert windows.prepare(None, x, w, **params | change) is None
        assert windows.prepare_dx(None, u, w, shape=x.shape, **params | change) is None
        assert windows.prepare_dw(None, x, u, shape=w.shape, **params | change) is None
    with pytest.raises(ValueError, match="conv2d"):
        tg.conv2d(tg.Tensor(x[:, :5]), tg.Tensor(w))


def test_a_number_that_is_not_finite_reaches_its_own_windows():
    x, w, params = normal(0, 1, 8, 12, 12), normal(1, 16, 8, 5, 5), how((1, 1), ((2, 2), (2, 2)))
    x[0, 3, 4, 5] = np.inf
    y = windows.prepare(None, last(x), w, **params)()
    reached = np.zeros((12, 12), bool)
    reached[2:7, 3:8] = True
    assert (np.isfinite(y) != reached).all()
    dx = windows.prepare_dx(None, last(np.concatenate([x, x], 1)), w, shape=x.shape, **params)()
    assert (np.isfinite(dx) != reached).all()


def test_steps_of_a_network_compiled_plain_and_on_threads():
    x = normal(0, 9, 1, 28, 28)

    def results(compiled, threads):
        tg.set_num_threads(threads)
        tg.manual_seed(0)
        layers = [nn.Conv2d(1, 6, 5, 1, 2), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU(), nn.Flatten()]
        model = nn.Sequential(*layers, nn.Linear(1600, 40))

        def step(x):
            y = model(x)
            (y * y).mean().backward()
            return y.detach()

        found, call = [], tg.compile(step) if compiled else step
        for i in range(4):
            model.zero_grad()
            found += [call(tg.Tensor(x + np.float32(i))).numpy(), *(p.grad.numpy().copy() for p in model.parameters())]
        return found

    before = tg.get_num_threads()
    with tuned() as tune:
        tune(images, LARGE=2)
        try:
            first = results(False, 1)
            for compiled, threads in ((True, 1), (False, 2), (True, 2)):
                for a, b in zip(first, results(compiled, threads), strict=True):
                    assert np.array_equal(a, b)
        finally:
            tg.set_num_threads(before)
