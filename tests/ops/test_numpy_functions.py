"""NumPy's functions that are composed of ops: operators, corners, creation, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import tinygrad_cnn as tg
from tinygrad_cnn.core.tracing import observe

numbers = st.floats(-4, 4).map(lambda x: round(x * 8) / 8)


@given(hnp.arrays(np.float64, 3, elements=numbers), hnp.arrays(np.float64, 3, elements=numbers.filter(bool)))
def test_operators_of_remainders_are_those_of_numpy(a, b):
    x, y = tg.Tensor(a, requires_grad=True), tg.Tensor(b, requires_grad=True)
    for found, expected in (
        (x % y, a % b), (x // y, a // b), (7.0 % y, 7.0 % b), (7.0 // y, 7.0 // b), (divmod(x, y)[0], a // b),
        (divmod(x, y)[1], a % b), (divmod(7.0, y)[1], 7.0 % b), (a % y, a % b),
    ):  # fmt: skip
        np.testing.assert_array_equal(found.numpy(), expected)
    dx, dy = tg.gradients((x % y).sum(), [x, y])
    np.testing.assert_array_equal(dx, np.ones(3))
    np.testing.assert_array_equal(dy, -(a // b))
    i = tg.arange(4)
    assert ((i << 2).tolist(), (i >> 1).tolist(), (1 << i).tolist(), (8 >> i).tolist()) == (
        [0, 4, 8, 12], [0, 0, 1, 1], [1, 2, 4, 8], [8, 4, 2, 1],
    )  # fmt: skip


def test_infinities_and_nan():
    a, b = np.array([np.nan, 1.0, np.nan, np.inf]), np.array([1.0, np.nan, np.nan, -np.inf])
    for f, g in ((tg.fmax, np.fmax), (tg.fmin, np.fmin)):
        x, y = tg.Tensor(a, requires_grad=True), tg.Tensor(b, requires_grad=True)
        z = f(x, y)
        np.testing.assert_array_equal(z.numpy(), g(a, b))
        dx, dy = tg.gradients(z.sum(), [x, y])
        np.testing.assert_array_equal((dx + dy).numpy(), np.ones(4))  # all of g is somewhere
        assert (dx.tolist()[:2], dy.tolist()[:2]) == ([0, 1], [1, 0])
    for value, reference in zip(
        tg.modf(np.array([np.inf, -np.inf, -0.25])), np.modf([np.inf, -np.inf, -0.25]), strict=True
    ):
        np.testing.assert_array_equal(value, reference)
        np.testing.assert_array_equal(np.signbit(value), np.signbit(reference))
    x = tg.Tensor([np.nan, np.inf, -np.inf, 2.0], requires_grad=True)
    y = np.nan_to_num(x)
    top = np.finfo(np.float32).max
    np.testing.assert_array_equal(y.numpy(), [0, top, -top, 2])
    assert tg.gradients(y.sum(), x)[0].tolist() == [0, 0, 0, 1]
    assert np.isnan(np.median(tg.Tensor([1.0, np.nan, 2.0])).item())
    for a, q, expected in (  # the weighted mean of the elements on both sides, without 0 times infinity
        ([1, 2, np.inf], 0.5, 2), ([-np.inf, 1, 2], 0.25, -np.inf), ([1, np.inf, np.inf], [0, 0.75], [1, np.inf]),
        ([-np.inf, np.inf], [0, 1], [-np.inf, np.inf]),
    ):  # fmt: skip
        np.testing.assert_array_equal(tg.quantile(np.array(a, float), q), expected)
    assert np.isnan(tg.nanmean(np.array([np.nan]))).all()
    assert np.isnan(tg.nanmax(np.full((1, 2), np.nan), axis=1)).all()
    x = tg.Tensor([2.0, 2.0, np.nan], requires_grad=True)
    assert tg.gradients(tg.nanstd(x), x)[0].tolist() == [0, 0, 0]


def test_derivatives_of_sinc_at_zero_and_far_away():
    x = tg.Tensor(np.array([0.0, 1e-9, 0.3183, 1e6 + 0.5]), requires_grad=True)
    y, found = np.sinc(x), []
    np.testing.assert_allclose(y.numpy(), np.sinc(x.numpy()), rtol=1e-9)
    for _ in range(4):
        (y,) = tg.gradients(y.sum(), x, create_graph=True)
        found.append(y.numpy()[0])
    np.testing.assert_allclose(found, [0, -(np.pi**2) / 3, 0, np.pi**4 / 5], rtol=1e-14, atol=1e-14)


def test_running_logarithm_of_sums_neither_overflows_nor_loses_infinities():
    x = tg.Tensor(np.array([-np.inf, -np.inf, 1000.0, 1000.0, -1000.0]), requires_grad=True)
    y = tg.logcumsumexp(x, axis=0)
    two = 1000 + np.log(2)
    np.testing.assert_allclose(y.numpy(), [-np.inf, -np.inf, 1000, two, two])
    np.testing.assert_allclose(tg.gradients(y[2:].sum(), x)[0].numpy(), [0, 0, 2, 1, 0], atol=1e-12)


def test_cummax_keeps_the_last_of_equals_and_nan():
    values, at = result = tg.cummax(np.array([1.0, 3.0, 3.0, 2.0, np.nan, 5.0]), 0)
    assert result.values is values
    assert result.indices is at
    assert at.tolist() == [0, 1, 2, 2, 4, 5] or at.tolist() == [0, 1, 2, 2, 4, 4]
    np.testing.assert_array_equal(values[:4], [1, 3, 3, 3])
    assert np.isnan(values[4])


@pytest.mark.parametrize("endpoint", [True, False])
@pytest.mark.parametrize("num", [0, 1, 2, 5])
def test_spaces(num, endpoint):
    a, b = tg.Tensor(np.array([1.0, 2.0]), requires_grad=True), tg.Tensor(np.array(3.0), requires_grad=True)
    for f, keywords in (
        (np.linspace, {}),
        (np.linspace, {"axis": -1}),
        (np.logspace, {"base": 2.0}),
        (np.geomspace, {}),
    ):
        y = f(a, b, num, endpoint=endpoint, **keywords)
        assert y.requires_grad
        expected = f(a.numpy(), b.numpy(), num, endpoint=endpoint, **keywords)
        np.testing.assert_allclose(y.numpy(), expected, rtol=1e-14)
    da, db = tg.gradients(np.linspace(a, b, num, endpoint=endpoint).sum(), [a, b])
    weights = np.linspace(0, 1, num, endpoint=endpoint)
    np.testing.assert_allclose(da.numpy(), np.full(2, (1 - weights).sum()))
    np.testing.assert_allclose(db.numpy(), 2 * weights.sum())


def test_what_spaces_return():
    assert tg.linspace(0, 1, 3).dtype == np.float32
    y, step = tg.linspace(0.0, 3.0, 4, retstep=True)
    assert (y.tolist(), step.item()) == ([0, 1, 2, 3], 1)
    assert tg.linspace(0, 4, 3, dtype=np.int64).tolist() == [0, 2, 4]
    assert tg.tri(2, 3, 1).tolist() == [[1, 1, 0], [1, 1, 1]]


def test_shifts_of_frequencies_and_axes():
    for n in (4, 5):
        x = np.arange(float(n * 3)).reshape(n, 3)
        t = tg.Tensor(x)
        for f in (np.fft.fftshift, np.fft.ifftshift):
            np.testing.assert_array_equal(f(t).numpy(), f(x))
            np.testing.assert_array_equal(f(t, axes=0).numpy(), f(x, axes=0))
    x = np.zeros((2, 3, 4))
    for axis in range(-3, 3):
        for start in range(-3, 4):
            assert np.rollaxis(tg.Tensor(x), axis, start).shape == np.rollaxis(x, axis, start).shape


@pytest.mark.parametrize("numbers", [[3, 1, 2], (0.1, 2.0, 4.0)])
@pytest.mark.parametrize("f", [
    np.convolve, np.correlate, np.polyadd, np.polysub, np.polymul, np.cross, np.kron, np.polyval,
    lambda a, b: np.polyfit(a, b, 1), lambda a, b: np.atleast_1d(a, b)[0] + np.atleast_2d(a, b)[1],
])  # fmt: skip
def test_lists_of_numbers_beside_tensors(f, numbers):
    values = np.array([1.0, -2.0, 5.0])
    t = tg.Tensor(values, requires_grad=True)
    np.testing.assert_allclose(f(t, numbers).detach(), f(values, numbers), rtol=1e-6)
    np.testing.assert_allclose(f(numbers, t).detach(), f(numbers, values), rtol=1e-6)


@pytest.mark.parametrize("f", ["diag", "nan_to_num", "polyder", "polyint", "atleast_1d"])
def test_lists_of_numbers(f):
    np.testing.assert_array_equal(getattr(tg, f)([1.0, 2.0, 4.0]), getattr(np, f)([1.0, 2.0, 4.0]))


def test_lists_of_numbers_are_chosen_from_and_split():
    numbers, others = [1.0, 2.0, 4.0], (5.0, 6.0, 7.0)
    mask = np.array([True, False, True])
    np.testing.assert_array_equal(tg.where(mask, numbers, others), [1.0, 6.0, 4.0])
    np.testing.assert_array_equal(tg.where(mask, numbers, 0), [1.0, 0.0, 4.0])
    assert [part.tolist() for part in tg.array_split(numbers, 2)] == [[1.0, 2.0], [4.0]]


@pytest.mark.parametrize("places", [[0.0, 1.0, 1.0, 2.0], [0.0, 0.0, 1.0, 1.0]], ids=["inside", "ends"])
def test_interpolation_with_a_jump(places):
    x = np.array([-1.0, 0.0, 0.5, 1.0, 1.5, 2.0, 3.0])
    heights = np.array([1.0, 2.0, 5.0, 7.0])
    np.testing.assert_array_equal(np.interp(tg.Tensor(x), places, heights).numpy(), np.interp(x, places, heights))
    slopes = tg.grad(lambda x: np.interp(x, places, heights).sum())(np.array([-1.0, 0.5, 3.0]))
    np.testing.assert_array_equal(slopes, [0.0, 1.0 if places[1] else 3.0, 0.0])


def test_lists_that_hold_tensors():
    x = tg.Tensor(np.array([1.0, 2.0]), requires_grad=True)
    y = tg.vstack([[x[0], x[1]], x])
    assert tg.gradients(y.sum(), x)[0].tolist() == [2, 2]
    assert tg.gradients(tg.median([x[0], 3.0, x[1]]), x)[0].tolist() == [0, 1]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: np.nan_to_num(x, copy=False), "nan_to_num: `copy` is False"),
        (lambda x: tg.block([[x], x]), "block: lists are nested"),
        (lambda x: tg.unstack(x[0]), "unstack: `x` is 0-d"),
        (lambda x: tg.vsplit(x, 2), r"vsplit: `ary` has shape \(4,\)"),
        (lambda x: tg.delete(x, 9), "out of bounds"),
        (lambda x: tg.insert(tg.zeros(2, 2), 1, x, 0), r"insert: `values` \(1, 4\) does not broadcast"),
        (lambda x: tg.resize(x, (-1,)), "resize: `new_shape`"),
        (lambda x: tg.vstack([x], dtype=np.int64), "vstack: float64 does not become"),
        (lambda x: tg.select([x], [x]), "select: a condition is"),
        (lambda x: tg.select([x > 0], [x, x]), "select: there are 1 conditions for 2 choices"),
        (lambda x: tg.choose(np.array([0, 2]), [x, x]), "choose: `a` holds 2"),
        (lambda x: tg.choose(np.array([0]), [x], mode="x"), "choose: `mode` is 'x'"),
        (lambda x: tg.compress([[True]], x), "compress: `condition`"),
        (lambda x: tg.trim_zeros(x, "x"), "trim_zeros: "),
        (lambda x: tg.meshgrid(x, indexing="x"), "meshgrid: `indexing`"),
        (lambda x: tg.diff(x, -1), "diff: `n` is -1"),
        (lambda x: tg.gradient(x[:1]), r"gradient: axis 0 of \(1,\) has 1 samples; it needs at least 2"),
        (lambda x: tg.gradient(x, 1.0, 2.0), "gradient: there are 2 distances for 1 axes"),
        (lambda x: tg.gradient(x, x[:2]), "gradient: coordinates"),
        (lambda x: tg.gradient(x, edge_order=3), "gradient: `edge_order` is 3"),
        (lambda x: tg.interp(x, x, x[:2]), "interp: `xp`"),
        (lambda x: tg.interp(x, x, x, period=0), "interp: `period` is 0"),
        (lambda x: tg.convolve(x, x, "x"), "convolve: `mode` is 'x'"),
        (lambda x: tg.correlate(x, x[:0]), "correlate: the sequences have shapes"),
        (lambda x: tg.vander(tg.zeros(2, 2)), "vander: `x` has shape"),
        (lambda x: tg.polyder(x, -1), "polyder: `m` is -1"),
        (lambda x: tg.polyint(x, 3, [1.0, 2.0]), "polyint: `m` is 3"),
        (lambda x: tg.polyfit(x, x, -1), "polyfit: `deg` -1"),
        (lambda x: tg.poly(tg.zeros(1, 1, 1)), "poly: `seq_of_zeros`"),
        (lambda x: tg.quantile(x, 1.5), "quantile: `q` is 1.5; it must lie from 0 to 1"),
        (lambda x: tg.quantile(x, 0.5, method="x"), "quantile: `method` is 'x'"),
        (lambda x: tg.quantile(x[:0], 0.5), "quantile: there are no elements"),
        (lambda x: tg.average(x, weights=x[:2]), "average: `weights`"),
        (lambda x: tg.cov(x, fweights=[1, 2]), "cov: `fweights`"),
        (lambda x: tg.cumulative_sum(tg.zeros(2, 2)), "cumulative_sum: `axis` is None"),
        (lambda x: tg.linspace(x, 1.0, -1), "linspace: `num` is -1"),
        (lambda x: tg.matrix_transpose(x), "matrix_transpose: `x`"),
        (lambda x: np.rollaxis(x, 0, 3), "rollaxis: `start` is 3"),
    ],
)
def test_what_is_refused(call, message):
    with pytest.raises((ValueError, TypeError, IndexError), match=message):
        call(tg.Tensor(np.array([1.0, 2.0, 4.0, 3.0]), requires_grad=True))


@pytest.mark.parametrize("places", [np.array(1), np.array([1, 3]), np.array([True, False, False, True])], ids=str)
def test_deleted_and_inserted_at_places_in_a_tensor(places):
    x, recorded = np.arange(4.0), tg.Tensor(np.arange(4.0), requires_grad=True)
    for function, rest in ((np.delete, ()), (np.insert, (5.0,))):
        found = function(recorded, tg.Tensor(places), *rest)
        integers = np.flatnonzero(places) if places.dtype == bool else places  # NumPy 2.0 takes none but these
        np.testing.assert_array_equal(found.numpy(), function(x, integers, *rest))
        assert found.requires_grad


WHOLE = [
    (np.gradient, ()), (np.gradient, (np.array([0, 100, 120]),)),
    (np.interp, (np.array([0, 3]), np.array([-99, 99], np.int8))),
    (np.poly, ()), (np.polyder, ()), (np.polyint, ()), (np.vander, ()), (np.sinc, ()), (np.i0, ()), (np.linspace, (5,)),
    (np.logspace, (5,)), (np.geomspace, (5,)), (np.linalg.norm, ()), (np.linalg.norm, (1,)), (np.linalg.vector_norm, ()),
    (np.nanstd, ()), (np.nanmax, ()), (np.nanmin, ()), (np.modf, ()), (np.nanmean, ()),
    (np.average, (None, np.array([100, 20, 3], np.int8))),
]  # fmt: skip


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.int64, np.uint64, np.bool_])
@pytest.mark.parametrize(("f", "args"), WHOLE, ids=[f.__name__ for f, _ in WHOLE])
def test_integers_neither_wrap_around_nor_become_short_floats(f, args, dtype):
    if dtype is np.bool_ and f is np.gradient:
        pytest.skip("NumPy has no slopes of Booleans")
    x = np.array([1, 127, 3], np.uint8).astype(dtype)
    x = np.where(np.arange(3) == 2, x, -x).astype(dtype) if np.dtype(dtype).kind == "i" else x
    if f in (np.logspace, np.geomspace):
        x = np.abs(x)
    found, expected = f(tg.Tensor(x), *args), f(x, *args)
    for y, z in zip(found, expected, strict=True) if isinstance(expected, tuple) else [(found, expected)]:
        np.testing.assert_allclose(y.numpy(), z, rtol=1e-12, atol=1e-15)
        assert y.dtype == z.dtype or f is np.modf  # where NumPy's are as short as np.exp's


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int64, np.bool_])
def test_matrices_of_integers_are_not_added_in_their_own_dtype(dtype):
    a = np.array([[100, 90, 0], [90, 120, 7], [0, 7, 110]]).astype(dtype)
    for f in (np.linalg.eigvalsh, np.linalg.matrix_norm, np.linalg.cond, lambda m: np.linalg.norm(m, np.inf)):
        np.testing.assert_allclose(f(tg.Tensor(a)).numpy(), f(a), rtol=1e-10, atol=1e-12, strict=True)
    w, v = np.linalg.eigh(tg.Tensor(a))
    np.testing.assert_allclose((v * w) @ v.T, a, atol=1e-12)
    y = np.vecdot(tg.Tensor(a), tg.Tensor(a))
    np.testing.assert_array_equal(y.numpy(), np.vecdot(a, a), strict=True)
    for more in ({}, {"aweights": [0.2, 0.3, 0.4]}, {"fweights": [1, 2, 3], "aweights": [0.2, 0.3, 0.4]}, {"y": a}):
        np.testing.assert_allclose(np.cov(tg.Tensor(a), **more).numpy(), np.cov(a, **more), rtol=1e-12, atol=1e-12)


def test_interpolation_with_a_period_of_integers():
    x, xp, fp = (np.array(v, np.int8) for v in ([-37, 4], [0, 1], [-91, 75]))
    np.testing.assert_allclose(np.interp(tg.Tensor(x), xp, fp, period=2.5).numpy(), np.interp(x, xp, fp, period=2.5))


def test_numbers_in_an_integer_dtype_are_those_of_numpy():
    for found, expected in (
        (tg.linspace(-2.5, 2.5, 4, dtype=int), np.linspace(-2.5, 2.5, 4, dtype=int)),
        (tg.geomspace(np.float64(1), 1000.0, 4, dtype=int), np.geomspace(1.0, 1000.0, 4, dtype=int)),
        (tg.geomspace(np.float64(-256), -1.0, 9), np.geomspace(-256.0, -1.0, 9)),
    ):
        np.testing.assert_allclose(found.numpy(), expected, rtol=1e-15, strict=True)


def test_the_largest_of_integers_beside_nan_functions_is_exact():
    x = np.array([2**53, 2**53 + 1])
    assert np.nanmax(tg.Tensor(x)).item() == 2**53 + 1
    assert np.nanmin(tg.Tensor(-x)).item() == -(2**53) - 1


@pytest.mark.parametrize("error", [ValueError, IndexError, np.exceptions.AxisError])
@pytest.mark.parametrize("f", [np.sum, np.cumsum, np.sort, np.prod, np.roll])
def test_a_wrong_axis_raises_both_of_numpy_s_errors(f, error):
    with pytest.raises(error, match="axis 2 is out of bounds"):
        f(tg.ones(3, 2), *((1,) if f is np.roll else ()), axis=2)


def test_reflected_borders_are_made_before_a_negative_width_crops():
    # torch.nn.functional.pad([[a, b, c, d]], widths, mode="reflect")
    x = tg.Tensor(np.array([[1.0, 2.0, 3.0, 4.0]]))
    for widths, expected in (
        ((1, -3), [2, 1]),
        ((-3, 3), [4, 3, 2, 1]),
        ((-1, 2), [2, 3, 4, 3, 2]),
        ((3, -1), [4, 3, 2, 1, 2, 3]),
    ):
        assert tg.pad(x, ((0, 0), widths), mode="reflect").tolist() == [expected]


infinite = numbers.filter(bool) | st.sampled_from([np.inf, -np.inf, np.nan])  # BLAS leaves out products with zeros


@given(
    hnp.arrays(np.float64, st.integers(1, 6), elements=infinite),
    hnp.arrays(np.float64, st.integers(1, 6) | st.just(70), elements=infinite),
    st.sampled_from(["full", "same", "valid"]),
)
def test_infinities_in_a_sequence_meet_no_border(a, v, mode):
    x = tg.Tensor(a)
    with np.errstate(invalid="ignore"):
        np.testing.assert_allclose(np.convolve(x, v, mode).numpy(), np.convolve(a, v, mode))
        np.testing.assert_allclose(np.correlate(x, v, mode).numpy(), np.correlate(a, v, mode))


def test_an_element_that_takes_no_part_may_be_nan():
    a = np.array([1.0, np.nan, 3.0, 5.0])
    np.testing.assert_array_equal(np.gradient(tg.Tensor(a)).numpy(), np.gradient(a))
    m = np.array([[np.nan, np.inf], [1.0, 2.0]])
    np.testing.assert_array_equal(np.linalg.matrix_power(tg.Tensor(m), 0).numpy(), np.eye(2))
    with pytest.raises(ValueError, match="must broadcast to the shape"):
        np.max(tg.zeros(0, 4), axis=0, where=np.ones((3, 4), bool), initial=1.0)


@pytest.mark.parametrize("axis", [0, 1])
def test_slices_of_a_large_array_have_small_gradients(axis):
    """A gradient as large as the array for each slice would take time that grows with the square of their number."""
    x = tg.Tensor(np.random.default_rng(0).normal(size=(100, 103)), requires_grad=True)
    n, weights = x.shape[axis], np.random.default_rng(1).normal(size=x.shape)
    sizes = []
    with observe(lambda op, inputs, *_: sizes.append(np.size(inputs[0]))):
        parts = tg.unstack(x, axis)
    assert len(parts) == n
    for i, part in enumerate(parts):
        np.testing.assert_array_equal(part.numpy(), np.take(x.numpy(), i, axis))
    y = sum((part * w).sum() for part, w in zip(parts, np.moveaxis(weights, axis, 0), strict=True))
    assert sum(size < x.size / 5 for size in sizes) == n  # each slice is taken from a small part
    np.testing.assert_array_equal(tg.gradients(y, [x])[0].numpy(), weights)


def test_many_vectors_are_stacked_by_one_op():
    parts = [tg.Tensor(np.arange(3.0) + i, requires_grad=True) for i in range(50)]
    called = []
    with observe(lambda op, *_: called.append(op.name)):
        y = tg.stack(parts)
    assert len(called) == 2
    np.testing.assert_array_equal(y.numpy(), [p.numpy() for p in parts])
    np.testing.assert_array_equal(
        tg.gradients((y * np.arange(150.0).reshape(50, 3)).sum(), parts)[7].numpy(), [21, 22, 23]
    )
    with pytest.raises(ValueError, match="shape|dimension"):
        tg.stack([tg.ones(1), tg.ones(2), tg.ones(0)])


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("quantile: `q`", lambda x, w: tg.quantile(x, w[0])),
        ("quantile: `q`", lambda x, w: tg.quantile(x, [0.5, w[0]])),
        ("percentile: `q`|quantile: `q`", lambda x, w: tg.percentile(x, w)),
        ("nanquantile: `q`", lambda x, w: tg.nanquantile(x, w)),
        ("cov: `aweights`", lambda x, w: tg.cov(x, aweights=w)),
    ],
)
def test_an_argument_without_a_gradient_that_requires_one_is_named(name, call):
    x, w = tg.Tensor([0.25, 0.5, 1.0]), tg.Tensor([0.25, 0.5, 0.75], requires_grad=True)
    with pytest.raises(TypeError, match=rf"({name}) requires a gradient.*detach"):
        call(x, w)
    with tg.no_grad():
        call(x, w)
