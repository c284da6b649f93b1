"""Shapes, repeats, orders, splits and diagonals against NumPy on drawn arguments, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import tinygrad_cnn as tg

MODES = ["reflect", "symmetric", "edge", "wrap"]
shapes = hnp.array_shapes(min_dims=2, max_dims=3, min_side=1, max_side=4)


def check(f, reference, shape, *args, **kwargs):
    """An op that moves, repeats or drops elements: its value is NumPy's, and its gradient follows where each one went."""
    a = np.arange(1.0, np.prod(shape) + 1).reshape(shape)
    x = tg.Tensor(a, requires_grad=True)
    y, expected = f(x, *args, **kwargs), reference(a, *args, **kwargs)
    assert y.shape == expected.shape
    np.testing.assert_array_equal(y.numpy(), expected)
    weights = np.arange(2.0, 2.0 + y.size).reshape(y.shape)
    (g,) = tg.gradients(y, x, weights)
    np.testing.assert_array_equal(g.numpy().reshape(-1), [weights[expected == value].sum() for value in a.flat])


def axes_of(shape):
    return st.integers(-len(shape), len(shape) - 1)


@given(shape=shapes, data=st.data())
def test_repeats_and_orders_are_numpys(shape, data):
    axis = data.draw(axes_of(shape))
    n = shape[axis]
    check(tg.repeat, np.repeat, shape, data.draw(st.lists(st.integers(0, 3), min_size=n, max_size=n)), axis)
    check(tg.repeat, np.repeat, shape, data.draw(st.integers(0, 3)), data.draw(st.sampled_from([None, axis])))
    check(tg.tile, np.tile, shape, data.draw(st.lists(st.integers(0, 3), max_size=4)))
    check(tg.flip, np.flip, shape, data.draw(st.sampled_from([None, axis, (axis,)])))
    check(tg.roll, np.roll, shape, data.draw(st.integers(-9, 9)), data.draw(st.sampled_from([None, axis])))
    check(tg.roll, np.roll, shape, data.draw(st.tuples(st.integers(-9, 9), st.integers(-9, 9))), (axis, 0))
    plane = data.draw(st.permutations(range(len(shape))))[:2]
    check(tg.rot90, np.rot90, shape, data.draw(st.integers(-5, 5)), plane)
    places = data.draw(st.permutations(range(len(shape))))[:2]
    check(tg.moveaxis, np.moveaxis, shape, plane, places)
    check(tg.ravel, np.ravel, shape)


@given(shape=shapes, data=st.data())
def test_diagonals_and_triangles_are_numpys(shape, data):
    k = data.draw(st.integers(-5, 5))
    plane = data.draw(st.permutations(range(len(shape))))[:2]
    check(tg.diagonal, np.diagonal, shape, k, *plane)
    check(tg.tril, np.tril, shape, k)
    check(tg.triu, np.triu, shape, k)
    check(tg.diag, np.diag, shape[:2], k)
    check(tg.diag, np.diag, shape[:1], k)
    a = np.arange(1.0, np.prod(shape) + 1).reshape(shape)
    np.testing.assert_array_equal(tg.trace(a, k, *plane), np.trace(a, k, *plane))


@pytest.mark.filterwarnings("ignore:split. .* are positions")  # where they may be PyTorch's sizes
@given(shape=shapes, data=st.data())
def test_splits_are_numpys_and_joining_them_undoes_them(shape, data):
    axis = data.draw(axes_of(shape))
    n = shape[axis]
    cuts = data.draw(st.lists(st.integers(0, n + 1), max_size=3).map(sorted))
    divisor = data.draw(st.sampled_from([d for d in range(1, n + 1) if n % d == 0]))
    for f, reference, sections in (
        (tg.array_split, np.array_split, data.draw(st.integers(1, 6))),
        (tg.array_split, np.array_split, cuts),
        (tg.split, np.split, cuts),
        (tg.split, np.split, divisor),
    ):
        a = np.arange(1.0, np.prod(shape) + 1).reshape(shape)
        x = tg.Tensor(a, requires_grad=True)
        parts, expected = f(x, sections, axis), reference(a, sections, axis)
        for part, whole in zip(parts, expected, strict=True):
            np.testing.assert_array_equal(part.numpy(), whole)
        np.testing.assert_array_equal(tg.concatenate(parts, axis=axis).numpy(), a)
        sum(((i + 1.0) * part).sum() for i, part in enumerate(parts)).backward()
        marks = np.concatenate([np.full(p.shape, i + 1.0) for i, p in enumerate(expected)], axis=axis)
        np.testing.assert_array_equal(x.grad.numpy(), marks)


@given(shape=shapes, data=st.data())
def test_borders_are_numpys_even_wider_than_the_array(shape, data):
    width = data.draw(st.tuples(*(st.tuples(st.integers(0, 6), st.integers(0, 6)) for _ in shape)))
    for mode in MODES:
        check(tg.pad, np.pad, shape, width, mode=mode)


@given(shape=shapes, data=st.data())
def test_borders_of_statistics_and_ramps_are_numpys(shape, data):
    a = np.arange(1.0, np.prod(shape) + 1).reshape(shape) ** 2
    n = len(shape)

    def each(least, most):
        numbers = st.integers(least, most)
        pair = st.tuples(numbers, numbers)
        return data.draw(numbers | pair | st.lists(pair, min_size=n, max_size=n))

    width = each(0, 4)
    for mode, more in (
        *((mode, {"stat_length": each(1, 5)}) for mode in ("maximum", "mean", "median", "minimum")),
        ("mean", {}), ("linear_ramp", {}), ("linear_ramp", {"end_values": each(-3, 3)}),
        ("constant", {"constant_values": each(-3, 3)}),
    ):  # fmt: skip
        found, expected = np.pad(tg.Tensor(a), width, mode, **more), np.pad(a, width, mode, **more)
        np.testing.assert_allclose(found.numpy(), expected, rtol=1e-12)
    by_axis = tg.pad(tg.Tensor(a), {-1: (1, 2), 0: 3})
    np.testing.assert_array_equal(by_axis.numpy(), np.pad(a, [(3, 3), *[(0, 0)] * (n - 2), (1, 2)]))


@pytest.mark.parametrize(("name", "same"), [("replicate", "edge"), ("circular", "wrap")])
def test_borders_have_pytorchs_names_too(name, same):
    a = np.arange(6.0).reshape(2, 3)
    np.testing.assert_array_equal(tg.pad(a, 2, mode=name), np.pad(a, 2, mode=same))


def test_flatten_joins_a_run_of_axes():
    x = tg.Tensor(np.arange(24.0).reshape(2, 3, 4))
    assert x.flatten().shape == (24,)
    assert x.flatten(1).shape == (2, 12)
    assert x.flatten(0, -2).shape == (6, 4)
    assert x.flatten(1, 1).shape == (2, 3, 4)
    assert x.sum().flatten().shape == (1,)
    assert tg.zeros(0, 3, 2).flatten(1).shape == (0, 6)


def test_what_only_reorders_is_a_view():
    x = tg.Tensor(np.arange(24.0).reshape(2, 3, 4))
    views = [x.flip(0), tg.rot90(x), tg.rot90(x, 2), x.moveaxis(0, -1), x.diagonal(), *tg.split(x, 2)]
    assert all(np.shares_memory(x.numpy(), view.numpy()) for view in views)


X = np.arange(6.0).reshape(2, 3)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda x: tg.moveaxis(x, 2, 0), ValueError, "moveaxis: axis 2 is out of bounds"),
        (lambda x: tg.moveaxis(x, (0, 0), (0, 1)), ValueError, "moveaxis: the axes .* hold the same one twice"),
        (lambda x: tg.moveaxis(x, (0, 1), (0, -2)), ValueError, "moveaxis: the axes .* hold the same one twice"),
        (lambda x: tg.moveaxis(x, (0, 1), 0), ValueError, "moveaxis: `source` has 2 axes but `destination` 1"),
        (lambda x: x.flatten(1, 0), ValueError, "flatten: `start_axis` 1 comes after `end_axis` 0"),
        (lambda x: x.flatten(2), ValueError, "flatten: axis 2 is out of bounds"),
        (lambda x: tg.pad(x, 1, mode="mirror"), ValueError, "pad: `mode` is 'mirror'; it must be one of 'constant', 'refl"),
        (lambda x: tg.pad(x, -2), ValueError, r"pad: `pad_width` -2 crops more than `a` \(2, 3\) has"),
        (lambda x: tg.pad(x, ((0, 0), (-4, 5))), ValueError, r"crops more than `a` \(2, 3\) has"),
        (lambda x: tg.pad(x, 0.5, mode="wrap"), ValueError, "pad: `pad_width` is 0.5"),
        (lambda x: tg.pad(x, 1, stat_length=2), ValueError, "pad: `stat_length` is for mode .*, not 'constant'; leave it out"),
        (lambda x: tg.pad(x, 1, "mean", stat_length=0), ValueError, "pad: `stat_length` is 0; it must be positive"),
        (lambda x: tg.pad(x > 0, 1, "mean"), TypeError, "pad: `a` is bool, and mode 'mean' makes fractions; convert it"),
        (lambda x: tg.pad(x[:0], 1, mode="mean"), ValueError, r"pad: axis 0 of `a` \(0, 3\) has no element"),
        (lambda x: tg.pad(x[:0], 1, mode="edge"), ValueError, r"pad: axis 0 of `a` \(0, 3\) has no element"),
        (lambda x: x.flip(2), IndexError, "flip: axis 2 is out of bounds"),
        (lambda x: x.flip((0, 0)), ValueError, "flip: the axes .* hold the same one twice"),
        (lambda x: x.roll(0.5), TypeError, "roll: `shift` is 0.5; it must be an integer"),
        (lambda x: x.roll(1, 2), IndexError, "roll: axis 2 is out of bounds"),
        (lambda x: tg.rot90(x, 1, (0, -2)), ValueError, "rot90: the axes are 0 and -2 of 2"),
        (lambda x: tg.tile(x, (2, -1)), ValueError, r"tile: `reps` is \(2, -1\)"),
        (lambda x: x.repeat(-1), ValueError, "repeat: `repeats` is -1"),
        (lambda x: x.repeat([1, 2], 1), ValueError, r"repeat: `repeats` is \[1, 2\].* each of the 3 slices of axis 1"),
        (lambda x: x.repeat(1.5), TypeError, "repeat: `repeats` is float64"),
        (lambda x: x.repeat(1, 2), ValueError, "repeat: axis 2 is out of bounds"),
        (lambda x: tg.split(x, 2, 1), ValueError, "split: 2 sections do not divide axis 1 of size 3; .*array_split"),
        (lambda x: tg.split(x, 0), ValueError, "split: `indices_or_sections` is 0"),
        (lambda x: tg.array_split(x, -1), ValueError, "array_split: `indices_or_sections` is -1"),
        (lambda x: tg.array_split(x, 1, 2), ValueError, "array_split: axis 2 is out of bounds"),
        (lambda x: x.diagonal(0, 1, 1), ValueError, "diagonal: the axes are 1 and 1 of 2"),
        (lambda x: x.trace(0, 0, 2), ValueError, "diagonal: axis 2 is out of bounds"),
        (lambda x: tg.diag(x[None]), ValueError, r"diag: `v` has shape \(1, 2, 3\); it must be 1-D or 2-D"),
        (lambda x: tg.tril(x[0, 0]), ValueError, r"tril: `m` has no axis"),
        (lambda x: tg.triu(x[0, 0]), ValueError, r"triu: `m` has no axis"),
    ],
)  # fmt: skip
def test_bad_arguments_are_refused(call, error, message):
    with pytest.raises(error, match=message):
        call(tg.Tensor(X, requires_grad=True))


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.uint32, np.int64])
@pytest.mark.parametrize("end", ["min", "max"])
def test_roll_by_the_ends_of_an_integer_type(dtype, end):
    shift = dtype(getattr(np.iinfo(dtype), end) // (2 if dtype is np.int64 else 1))
    x = tg.Tensor(np.arange(3.0), requires_grad=True)
    y = tg.roll(x, shift)
    y.backward(np.arange(3.0))
    np.testing.assert_array_equal(y.numpy(), np.roll(np.arange(3.0), int(shift)))
    np.testing.assert_array_equal(x.grad.numpy(), np.roll(np.arange(3.0), -int(shift)))


def test_the_end_of_a_ramp_has_a_gradient():
    """On each side, the outer element moves as much as the end, and the inner one half as much."""
    x, end = tg.ones(3, requires_grad=True), tg.Tensor(2.0, requires_grad=True)
    y = tg.pad(x, 2, mode="linear_ramp", end_values=end)
    assert y.tolist() == [2, 1.5, 1, 1, 1, 1.5, 2]
    assert [g.tolist() for g in tg.gradients(y.sum(), [x, end])] == [[1.5, 1, 1.5], 3]
