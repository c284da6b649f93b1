"""Winograd's convolutions beside plain sums in float64: values, gradients, bits, and numbers that are not finite."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tinygrad_cnn as tg
from tinygrad_cnn import nn
from tinygrad_cnn.ops import conv

from .test_accelerations import Compared, run, users

if find_spec("numba") is None:
    pytest.skip("not installed: pip install numba", allow_module_level=True)

from tinygrad_cnn.extra.numba import attached, winograd

EPS = float(np.finfo(np.float32).eps)
UNITS = {2: 4, 4: 16}
"""The largest error in units of EPS, relative to the largest sum of the sizes of products."""

HOW = {"stride": (1, 1), "dilation": (1, 1), "groups": 1}


@pytest.fixture(params=[2, 4])
def tile(request, tuning, monkeypatch):
    """Tiles with so many outputs along an axis, for all sizes."""
    extra = {2: 10**9 if request.param == 4 else 0, 4: 0}
    tuning(winograd, GAIN=1e6, EXTRA=extra, EXTRA_DW=extra)
    monkeypatch.setattr(winograd, "largest", request.param)
    return request.param


@pytest.fixture
def blocks(tuning):
    """Blocks of few tiles, so that small images have several, and sums several lanes."""
    tuning(winograd, FEWEST=3, MOST=3)


@pytest.fixture
def numba():
    """A function that attaches the kernels, with tiles of a size; what was before returns at the end."""
    before, largest = attached.is_attached(), winograd.largest
    yield tg.use_numba
    tg.use_numba(before, winograd=largest)


# Plain sums


def padded(x, padding):
    return np.pad(x, ((0, 0), (0, 0), *padding))


def shifts():
    return [(i, j) for i in range(3) for j in range(3)]


def convolve(x, w, b, padding):
    p = padded(x, padding)
    h, v = p.shape[2] - 2, p.shape[3] - 2
    y = sum(np.einsum("nchw,oc->nohw", p[:, :, i : i + h, j : j + v], w[:, :, i, j]) for i, j in shifts())
    return y if b is None else y + b[:, None, None]


def convolve_dx(u, w, shape, padding):
    x = padded(np.zeros(shape), padding)
    h, v = u.shape[2:]
    for i, j in shifts():
        x[:, :, i : i + h, j : j + v] += np.einsum("nohw,oc->nchw", u, w[:, :, i, j])
    (top, _), (left, _) = padding
    return x[:, :, top : top + shape[2], left : left + shape[3]]


def convolve_dw(x, u, padding):
    p = padded(x, padding)
    h, v = u.shape[2:]
    parts = [np.einsum("nohw,nchw->oc", u, p[:, :, i : i + h, j : j + v]) for i, j in shifts()]
    return np.stack(parts, -1).reshape(*parts[0].shape, 3, 3)


def ordered(a, order):
    """The array with its axes in this order in memory."""
    return np.ascontiguousarray(a.transpose(order)).transpose(np.argsort(order))


def drawn(seed):
    """Images, filters, biases, padding and a gradient that arrives, in random sizes and orders of memory."""
    rng = np.random.default_rng(seed)
    n, o, c = int(rng.integers(1, 6)), *(int(rng.choice([16, 32, 48, 80, 112, 144])) for _ in range(2))
    padding = tuple(tuple(map(int, rng.integers(0, 3, 2))) for _ in range(2))
    sizes = [int(rng.integers(max(1, 3 - sum(pair)), 14)) for pair in padding]
    out = [size + sum(pair) - 2 for size, pair in zip(sizes, padding, strict=True)]
    shapes = (n, c, *sizes), (o, c, 3, 3), (n, o, *out)
    orders = [(0, 2, 3, 1) if rng.random() < 0.5 else rng.permutation(4) for _ in range(3)]
    scale = np.float32(10.0 ** rng.integers(-12, 13))
    x, w, u = (ordered(rng.standard_normal(s, np.float32), o) for s, o in zip(shapes, orders, strict=True))
    return x * scale, w, rng.standard_normal(o, np.float32) * scale, u, padding


def wide(*arrays):
    return [None if a is None else a.astype(np.float64) for a in arrays]


def check(y, exact, sizes, tile):
    assert y.shape == exact.shape
    assert y.dtype == np.float32
    assert np.abs(y - exact).max() <= UNITS[tile] * EPS * np.abs(sizes).max()


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.parametrize("cut", [False, True])
def test_convolution_and_its_adjoints_are_plain_sums(tile, cut, seed, request):
    if cut:
        request.getfixturevalue("blocks")
    x, w, b, u, padding = drawn(seed)
    how = {**HOW, "padding": padding}
    before = [a.copy() for a in (x, w, b, u)]
    y = winograd.prepare(None, x, w, b, **how)()
    check(y, convolve(*wide(x, w, b), padding), convolve(*map(np.abs, wide(x, w, b)), padding), tile)
    dx = winograd.prepare_dx(None, u, w, shape=x.shape, **how)()
    exact, sizes = (convolve_dx(*map(f, wide(u, w)), x.shape, padding) for f in (np.asarray, np.abs))
    check(dx, exact, sizes, tile)
    dw = winograd.prepare_dw(None, x, u, shape=w.shape, **how)()
    exact, sizes = (convolve_dw(*map(f, wide(x, u)), padding) for f in (np.asarray, np.abs))
    check(dw, exact, sizes, tile)
    for kept, a in zip(before, (x, w, b, u), strict=True):
        np.testing.assert_array_equal(a, kept)


@pytest.mark.parametrize("order", [(0, 2, 3, 1), (0, 1, 2, 3), (1, 0, 2, 3)])
@pytest.mark.parametrize("sizes", [(7, 9), (1, 2), (8, 4)])
def test_results_fill_their_memory_and_no_other(tile, blocks, order, sizes):
    rng = np.random.default_rng(0)
    x, w, u = (rng.standard_normal(s, np.float32) for s in ((3, 32, *sizes), (16, 32, 3, 3), (3, 16, *sizes)))
    how = {**HOW, "padding": ((1, 1), (1, 1))}
    for prepare, arrays, more in (
        (winograd.prepare, (x, w, rng.standard_normal(16, np.float32)), {}),
        (winograd.prepare_dx, (u, w), {"shape": x.shape}),
        (winograd.prepare_dw, (x, u), {"shape": w.shape}),
    ):
        expected = prepare(None, *arrays, **more, **how)()
        memory = np.full(expected.size + 64, 7, np.float32)
        shape = [expected.shape[axis] for axis in order]
        out = memory[32:-32].reshape(shape).transpose(np.argsort(order))
        task = prepare(out, *arrays, **more, **how)
        for call in (task, task, task.prepared(), task.prepared()):
            memory[:] = 7
            call()
            np.testing.assert_array_equal(out, expected)
            assert (memory[:32] == 7).all()
            assert (memory[-32:] == 7).all()


@pytest.mark.parametrize("number", [np.inf, -np.inf, np.nan])
@pytest.mark.parametrize("place", [(0, 3, 0, 0), (2, 31, 8, 5), (1, 0, 4, 4)])
def test_a_pixel_that_is_not_finite_reaches_the_windows_that_hold_it(tile, place, number, request):
    rng = np.random.default_rng(0)
    if place[0]:
        request.getfixturevalue("blocks")
    x, w, u = (rng.standard_normal(s, np.float32) for s in ((3, 32, 9, 11), (16, 32, 3, 3), (3, 16, 9, 11)))
    how = {**HOW, "padding": ((1, 1), (1, 1))}
    for prepare, op, arrays, more in (
        (winograd.prepare, conv.convolve, [x, w], {}),
        (winograd.prepare_dx, conv.convolve_dx, [u, w], {"shape": x.shape}),
        (winograd.prepare_dw, conv.convolve_dw, [x, u], {"shape": w.shape}),
    ):
        bad = arrays[0].copy()
        bad[place[0], place[1] % bad.shape[1], *place[2:]] = number
        with np.errstate(invalid="ignore"):
            exact = op.op.raw(*wide(bad, arrays[1]), **more, **how)
            y = prepare(None, bad, arrays[1], **more, **how)()
        finite = np.isfinite(exact)
        assert 0 < finite.sum() < finite.size
        np.testing.assert_array_equal(np.isfinite(y), finite)
        np.testing.assert_allclose(y[finite], exact[finite], rtol=1e-3, atol=1e-4)
        np.testing.assert_array_equal(y[~finite], exact[~finite].astype(np.float32))


def test_a_weight_that_is_not_finite_meets_no_zeros_around_the_gradient(tile, blocks):
    rng = np.random.default_rng(0)
    u, w = (rng.uniform(0.5, 1.5, s).astype(np.float32) for s in ((3, 16, 9, 11), (16, 32, 3, 3)))
    w[5, 7, 0, 2] = np.inf
    how = {**HOW, "shape": (3, 32, 9, 11), "padding": ((1, 1), (1, 1))}
    expected = conv.convolve_dx.op.raw(u, w, **how)
    with np.errstate(invalid="ignore"):
        found = winograd.prepare_dx(None, u, w, **how)()
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_numbers_near_the_largest(tile):
    rng = np.random.default_rng(0)
    x, w, u = (rng.random(s, np.float32) for s in ((2, 16, 8, 8), (16, 16, 3, 3), (2, 16, 8, 8)))
    x, u = x * np.float32(2e36), u * np.float32(1e34)
    how = {**HOW, "padding": ((1, 1), (1, 1))}
    x[0, :, 3, 3] = 3e38 / 200
    for y, exact in (
        (winograd.prepare(None, x, w, **how)(), convolve(*wide(x, w), None, how["padding"])),
        (winograd.prepare_dx(None, x, w, shape=x.shape, **how)(), convolve_dx(*wide(x, w), x.shape, how["padding"])),
        (winograd.prepare_dw(None, x / x.max(), u, shape=w.shape, **how)(),
         convolve_dw(*wide(x / x.max(), u), how["padding"])),
    ):  # fmt: skip
        assert np.isfinite(exact.astype(np.float32)).all()
        np.testing.assert_allclose(y, exact, rtol=0, atol=20 * EPS * exact.max())


@pytest.mark.parametrize("channels", [64, 256])
def test_errors_of_a_typical_output(tile, channels):
    rng = np.random.default_rng(0)
    x = np.maximum(rng.standard_normal((4, channels, 8, 8)), 0).astype(np.float32)
    w, u = (rng.standard_normal(s, np.float32) for s in ((channels, channels, 3, 3), (4, channels, 8, 8)))
    how = {**HOW, "padding": ((1, 1), (1, 1))}
    for y, exact in (
        (winograd.prepare(None, x, w, **how)(), convolve(*wide(x, w), None, how["padding"])),
        (winograd.prepare_dx(None, u, w, shape=x.shape, **how)(), convolve_dx(*wide(u, w), x.shape, how["padding"])),
        (winograd.prepare_dw(None, x, u, shape=w.shape, **how)(), convolve_dw(*wide(x, u), how["padding"])),
    ):
        error = np.sqrt(np.mean((y - exact) ** 2) / np.mean(exact**2))
        assert error < (1e-6 if tile == 4 else 4e-7)


# Which convolutions


def test_what_they_do_not_serve_is_computed_as_before(numba):
    def values():
        rng = np.random.default_rng(0)
        found = []
        for n, c, o, k, sizes, more in (
            (4, 32, 32, 3, (16, 16), {"stride": 2}), (4, 32, 32, 3, (16, 16), {"dilation": 2}),
            (4, 32, 32, 3, (16, 16), {"groups": 2}), (4, 24, 32, 3, (16, 16), {}), (4, 32, 24, 3, (16, 16), {}),
            (4, 32, 32, 5, (16, 16), {}), (4, 32, 32, 3, (100,), {}), (2, 16, 16, 3, (6, 6, 6), {}),
            (1, 256, 256, 3, (4, 4), {}), (0, 32, 32, 3, (16, 16), {}),
        ):  # fmt: skip
            x = tg.Tensor(rng.standard_normal((n, c, *sizes), np.float32), requires_grad=True)
            w = tg.Tensor(
                rng.standard_normal((o, c // more.get("groups", 1), *(k,) * len(sizes)), np.float32), requires_grad=True
            )
            f = {1: tg.conv1d, 2: tg.conv2d, 3: tg.conv3d}[len(sizes)]
            y = f(x, w, padding=1, **more)
            found += [y.detach(), *tg.gradients((y * y).sum(), [x, w])]
        x = rng.standard_normal((4, 32, 16, 16))
        return [a.numpy() for a in [*found, tg.conv2d(tg.Tensor(x), tg.Tensor(rng.standard_normal((32, 32, 3, 3))))]]

    numba(True, winograd=0)
    before = values()
    numba(True, winograd=4)
    assert all(map(np.array_equal, before, values()))


@pytest.mark.parametrize(("function", "prepare"), [row for row in attached.KERNELS if "winograd" in row[1].__module__])
@settings(max_examples=5, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32 - 1), data=st.data())
def test_rows_of_the_table_agree(tile, blocks, function, prepare, seed, data):
    op = function.op
    compared, before = Compared(op), op.prepare or attached.definition
    compared.prepare = attached.first_of([prepare], before)
    try:
        with compared.attached():
            run(data.draw(st.sampled_from(users()[op])), np.random.default_rng(seed), np.float32)
    finally:
        op.accelerate(before, op.along, op.in_place)


# In networks


def network():
    rng = np.random.default_rng(0)
    tg.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(),
        nn.Conv2d(32, 32, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(32, 48, 3, padding=2), nn.Flatten(), nn.Linear(3888, 10),
    )  # fmt: skip
    x, target = tg.Tensor(rng.standard_normal((6, 3, 16, 16), np.float32)), rng.integers(0, 10, 6)

    def step():
        model.zero_grad()
        loss = tg.cross_entropy(model(x), target)
        loss.backward()
        return loss

    return step, lambda: [p.grad.numpy().copy() for p in model.parameters()]


def test_eager_and_compiled_steps_have_the_same_bits_on_any_number_of_threads(tile, blocks, numba):
    numba(False)
    numba(True, winograd=tile)
    found, threads_before = [], tg.get_num_threads()
    try:
        for threads in (1, 2, 3):
            tg.set_num_threads(threads)
            for compiled in (False, True):
                step, gradients = network()
                step = tg.compile(step) if compiled else step
                for _ in range(5):
                    loss = step()
                found.append([loss.numpy().copy(), *gradients()])
    finally:
        tg.set_num_threads(threads_before)
    for other in found[1:]:
        assert all(map(np.array_equal, found[0], other))


def test_gradients_of_gradients_are_those_of_plain_sums(tile, blocks, numba):
    rng = np.random.default_rng(0)
    x, w, u, v = (
        rng.standard_normal(s, np.float32) for s in ((2, 16, 9, 7), (32, 16, 3, 3), (2, 16, 9, 7), (32, 16, 3, 3))
    )

    def second():
        a, b = tg.Tensor(x, requires_grad=True), tg.Tensor(w, requires_grad=True)
        y = tg.conv2d(a, b, padding=1)
        first = tg.gradients((y * y * y).sum(), [a, b], create_graph=True)
        return [g.numpy() for g in tg.gradients((first[0] * u).sum() + (first[1] * v).sum(), [a, b])]

    numba(True, winograd=0)
    exact = second()
    numba(True, winograd=tile)
    for a, b in zip(second(), exact, strict=True):
        assert not np.array_equal(a, b)
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-5 * np.abs(b).max())


def test_a_compiled_step_follows_the_choice_of_tiles(numba):
    found = []
    step = None
    for largest in (4, 2, 0, 4):
        numba(True, winograd=largest)
        eager, gradients = network()
        eager()
        expected = gradients()
        if step is None:
            compiled, of_compiled = network()
            step = tg.compile(compiled)
        for _ in range(5):
            step()
        assert all(map(np.array_equal, of_compiled(), expected))
        found.append(expected)
    assert not np.array_equal(found[0][2], found[1][2])
    assert not np.array_equal(found[1][2], found[2][2])
    assert all(map(np.array_equal, found[0], found[3]))


@pytest.mark.parametrize("given", [1, 3, "4", 2.0, None, np.ones(2)])
def test_other_sizes_of_tiles_are_an_error(numba, given):
    before = winograd.largest
    with pytest.raises(ValueError, match=r"use_numba: `winograd` is .*; it must be 4, 2 or 0"):
        tg.use_numba(winograd=given)
    assert winograd.largest == before
