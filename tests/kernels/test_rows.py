"""Kernels of rows: softmax and the cross-entropy beside formulas in long double; a row does not depend on its neighbours."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn.kernels import rows
from tinygrad_cnn.ops import softmax as ops
from tinygrad_cnn.ops.losses import classification


def exact(x):
    """The softmax and its logarithm."""
    x = x.astype(np.longdouble)
    z = x - x.max(-1, keepdims=True)
    log = z - np.log(np.exp(z).sum(-1, keepdims=True))
    return np.exp(log), log


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("columns", [2, 7, 64, 128, 130, 997, 1000])
@pytest.mark.parametrize("scale", [1, 10, 1000])
def test_softmax_and_its_logarithm(columns, scale, dtype):
    x = (np.random.default_rng(0).normal(size=(1 + 4096 // columns, columns)) * scale).astype(dtype)
    p, log = exact(x)
    eps, tiny = np.finfo(dtype).eps, np.finfo(dtype).tiny
    span = np.abs(x - x.max(-1, keepdims=True))  # the difference is rounded
    assert tg.softmax.op.prepare(None, x, axis=-1) is not None
    assert (np.abs(tg.softmax(x, axis=-1) - p) <= eps * (4 + (span if scale > 10 else 0)) * p + tiny).all()
    assert (np.abs(tg.log_softmax(x, axis=-1) - log) <= 4 * eps * (1 + np.abs(log))).all()


@pytest.mark.parametrize("columns", [2, 7, 16, 31, 32, 64, 128, 130, 997])
def test_their_gradients(columns):
    x, u = np.random.default_rng(0).normal(size=(2, 1 + 4096 // columns, columns)).astype(np.float32)
    p, log = (a.astype(np.float32) for a in exact(x))
    wide, exp = u.astype(np.longdouble), np.exp(log.astype(np.longdouble))
    for pull, y, expected in (
        (ops.softmax_pull, p, p * (wide - (wide * p).sum(-1, keepdims=True))),
        (ops.log_softmax_pull, log, wide - exp * wide.sum(-1, keepdims=True)),
    ):
        np.testing.assert_allclose(pull(u, y, axis=-1), expected, rtol=0, atol=4e-7 * np.abs(u).max())


@pytest.mark.parametrize("shape", [(64, 50), (600, 5)])
def test_a_row_does_not_depend_on_its_neighbours(shape):
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    alone = tg.softmax(x, axis=-1)
    for far in (100.0, -100.0, np.inf, np.nan):
        other = x.copy()
        other[::2, 3] = far
        np.testing.assert_array_equal(tg.softmax(other, axis=-1)[1::2], alone[1::2])


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
@pytest.mark.parametrize("shape", [(3, 40, 100), (3, 400, 10)])
def test_blocks_and_threads_change_little_or_nothing(shape, name, threads, tuning):
    from tinygrad_cnn.kernels.parallel import chunks

    rng = np.random.default_rng(0)
    x, u = rng.normal(size=(2, *shape)).astype(np.float32)
    f, pull = getattr(ops, name), getattr(ops, f"{name}_pull")
    y = f(x, axis=-1)
    dx = pull(u, y, axis=-1)
    tuning(rows, BLOCK=1000)
    tuning(chunks, LARGE=1)
    tg.set_num_threads(1)
    one = f(x, axis=-1), pull(u, y, axis=-1)
    tg.set_num_threads(threads)
    for a, b, c in zip((f(x, axis=-1), pull(u, y, axis=-1)), one, (y, dx), strict=True):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_allclose(a, c, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("special", [np.inf, -np.inf, np.nan])
@pytest.mark.parametrize("shape", [(32, 80), (320, 8)])
def test_rows_with_infinity_and_nan_are_those_of_the_definition(shape, special):
    x = np.zeros(shape, np.float32)
    x[3, 5], x[7], x[9, : shape[1] // 2] = special, special, special
    for f in (tg.softmax, tg.log_softmax):
        np.testing.assert_allclose(f(x, axis=-1), f.op.raw(x, axis=-1), rtol=1e-6)


# Few logits have a form of their own, many rows of few classes another one, and BLAS adds few classes.
@pytest.mark.parametrize(("rows", "classes"), [(40, 100), (40, 50), (40, 3), (5, 3), (16, 16), (700, 10), (9000, 10)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_cross_entropy_of_a_matrix(rows, classes, dtype):
    rng = np.random.default_rng(0)
    x, u = (rng.normal(size=(rows, classes)) * 5).astype(dtype), rng.normal(size=rows).astype(dtype)
    target = rng.integers(0, classes, rows)
    target[:3] = -1, classes, -100
    w = np.where((target < 0) | (target >= classes), 0, rng.uniform(1, 2, rows)).astype(dtype)
    for op, args in ((classification.softmax_nll, (x, target, w)), (classification.softmax_nll_pull, (u, x, target))):
        assert op.op.prepare(None, *args) is not None
        most = 4 * np.finfo(dtype).eps  # each of the two is exact to two units: see `least`
        np.testing.assert_allclose(op(*args), op.op.raw(*args), rtol=2e-6, atol=most)
    p, log = exact(x)
    rest = slice(3, None)
    known = np.arange(rows)[rest], target[rest]
    least = 2 * np.finfo(dtype).eps  # the sum of a row with one large number is near 1, and rounded
    np.testing.assert_allclose(classification.softmax_nll(x, target, w)[rest] / w[rest], -log[known], 1e-6, least)
    dx = p.copy()
    dx[known] -= 1
    np.testing.assert_allclose(classification.softmax_nll_pull(u, x, target) / u[:, None], dx, rtol=1e-5, atol=least)


@pytest.mark.parametrize("special", [np.inf, -np.inf, np.nan])
@pytest.mark.parametrize(("rows", "classes"), [(4, 80), (400, 80), (40, 10), (400, 10)])
def test_the_cross_entropy_of_infinity_and_nan_is_that_of_the_definition(rows, classes, special):
    rng = np.random.default_rng(0)
    x, u = rng.normal(size=(rows, classes)).astype(np.float32), rng.normal(size=rows).astype(np.float32)
    x[0, 5], x[1], x[2, : classes // 2] = special, special, special
    u[3] = np.inf
    target, w = rng.integers(0, classes, rows), np.ones(rows, np.float32)
    target[3] = -1
    with np.errstate(invalid="ignore"):
        for op, args in (
            (classification.softmax_nll, (x, target, w)),
            (classification.softmax_nll_pull, (u, x, target)),
        ):
            np.testing.assert_allclose(op(*args), op.op.raw(*args), rtol=2e-6, atol=1e-6)


@pytest.mark.parametrize("rows", [4, 40])
@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.uint16, np.uint64])
def test_labels_may_have_a_dtype_that_does_not_hold_the_number_of_classes(dtype, rows):
    rng = np.random.default_rng(0)
    x, target = rng.normal(size=(rows, 300)).astype(np.float32), rng.integers(0, 100, rows)
    found = []
    for labels in (target, target.astype(dtype)):
        logits = tg.Tensor(x, requires_grad=True)
        loss = tg.cross_entropy(logits, labels)
        loss.backward()
        found.append((loss.item(), logits.grad.tolist()))
    assert found[0] == found[1]


@pytest.mark.parametrize("shares", [[0.25, 0.0, 0.75], [0.0, 0.0, 0.0], [1.0], [1 / 80] * 80])
def test_the_mean_by_shares_is_that_of_the_definition(shares):
    share = np.array(shares, np.float32)
    x = np.random.default_rng(0).normal(size=(len(share), 4)).astype(np.float32)
    x[-1, 0] = np.inf if not share.any() else 60  # 0 shares of infinity are NaN, too
    target, out = np.ones(len(share), int), np.empty((), np.float32)
    expected = classification.mean_nll.op.raw(x, target, share)
    assert np.isnan(expected) == (not share.any())
    assert classification.mean_nll.op.prepare(None, x, target, share) is not None
    for y in (classification.mean_nll(x, target, share), classification.mean_nll.op.bind(out, x, target, share)()):
        np.testing.assert_allclose(y, expected, rtol=1e-6)
        assert y.dtype == np.float32


def test_the_softmax_of_one_number_is_1_and_does_not_depend_on_it():
    x = tg.Tensor(np.random.default_rng(0).normal(0, 10, (4096, 1)).astype(np.float32), requires_grad=True)
    y = tg.softmax(x, axis=1)
    (y * 3).sum().backward()
    assert (y.numpy() == 1).all()
    assert not x.grad.numpy().any()
