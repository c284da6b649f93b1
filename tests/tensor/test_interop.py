"""NumPy functions on Tensors record properly or raise and name what to do; none makes an object array."""

from __future__ import annotations

import operator

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import tinygrad_cnn as tg
from tinygrad_cnn.core.registry import numpy_ops

UFUNCS = sorted((u for u in vars(np).values() if isinstance(u, np.ufunc)), key=lambda u: u.__name__)


@pytest.fixture
def x():
    return tg.Tensor([1.0, 2.0, 3.0], requires_grad=True)


@pytest.mark.parametrize("ufunc", UFUNCS, ids=lambda u: u.__name__)
def test_every_ufunc_records_or_raises_and_says_what_to_do(ufunc, x):
    inputs = [x] * ufunc.nin
    if ufunc.signature:  # of matrices, such as matvec
        parts = ufunc.signature.split("->")[0].split("),(")
        inputs = [tg.Tensor(np.eye(3, dtype=np.float32)) if "," in part else x for part in parts]
    if ufunc in numpy_ops:
        try:
            with np.errstate(all="ignore"):  # some are not defined at these values
                y = ufunc(*inputs)
        except TypeError as error:  # no floating-point version, such as a bitwise one
            assert "float32" in str(error)  # noqa: PT017
            return
        for part in y if ufunc.nout > 1 else [y]:
            assert isinstance(part, tg.Tensor)
            assert part.dtype != object
    else:
        with pytest.raises(
            TypeError, match=rf"np.{ufunc.__name__}: no op records it on Tensors; call .* on t.numpy\(\)"
        ):
            ufunc(*inputs)


def test_ufuncs_and_functions_are_recorded(x):
    y = np.sum(np.exp(x) * np.array([1, 2, 3], np.float32))
    y.backward()
    np.testing.assert_allclose(x.grad.numpy(), np.exp([1, 2, 3]) * [1, 2, 3], rtol=1e-6)
    assert np.where(x > 1.5, x, 0.0).tolist() == [0, 2, 3]
    assert np.concatenate([x, x]).shape == (6,)
    assert np.concatenate((x, np.zeros(1, np.float32)), axis=0).requires_grad
    assert np.reshape(x, (3, 1)).shape == (3, 1)
    assert np.mean(x).item() == 2
    assert np.zeros_like(x).dtype == np.float32


@given(hnp.arrays(np.float64, 3, elements=st.floats(-2, 2)))
def test_an_array_at_the_left_of_an_operator(a):
    t = tg.Tensor([1.0, 2.0, 3.0], requires_grad=True, dtype=np.float64)
    for y, expected in [(a + t, a + t.numpy()), (a - t, a - t.numpy()), (a * t, a * t.numpy()), (a / t, a / t.numpy()),
                        (a @ t, a @ t.numpy()), (a > t, a > t.numpy())]:  # fmt: skip
        assert isinstance(y, tg.Tensor)
        np.testing.assert_array_equal(y.numpy(), expected)
    assert (a * t).requires_grad


BITS = st.sampled_from([bool, np.int8, np.uint8, np.int32, np.int64])


@given(BITS, BITS, st.sampled_from([operator.and_, operator.or_, operator.xor]), st.data())
def test_bits_are_combined_as_numpy_does_from_both_sides(one, other, combine, data):
    a, b = (
        data.draw(hnp.arrays(dtype, hnp.array_shapes(min_dims=0, max_dims=2, max_side=3))) for dtype in (one, other)
    )
    number = data.draw(st.sampled_from([True, 0, 5]))
    assume(_broadcast(a, b))
    for y, expected in [
        (combine(a, tg.from_numpy(b)), combine(a, b)), (combine(tg.from_numpy(a), b), combine(a, b)),
        (combine(tg.from_numpy(a), tg.from_numpy(b)), combine(a, b)),
        (combine(number, tg.from_numpy(b)), combine(number, b)), (combine(tg.from_numpy(a), number), combine(a, number)),
        (~tg.from_numpy(a), ~a),
    ]:  # fmt: skip
        assert isinstance(y, tg.Tensor)
        assert y.dtype == np.asarray(expected).dtype
        np.testing.assert_array_equal(y.numpy(), expected)


def _broadcast(a, b):
    try:
        np.broadcast_shapes(a.shape, b.shape)
    except ValueError:
        return False
    return True


def test_numbers_with_a_fraction_have_no_bits(x):
    with pytest.raises(TypeError, match=r"bitwise_and: .*compare it first, as in x != 0 \(`a` is float32"):
        operator.and_(x, x)
    with pytest.raises(TypeError, match="bitwise_not: .*`a` is float32"):
        operator.invert(x)


def test_out_is_refused_for_tensors_and_arrays(x):
    out = np.zeros(3, np.float32)
    for target in (x, out):
        with pytest.raises(TypeError, match=r"np.add: `out=` is refused beside a Tensor.*use y = tinygrad_cnn.add"):
            np.add(x, 1.0, out=target)
    with pytest.raises(TypeError, match=r"`out=` is refused.*write a = a - t, or a -= t\.numpy\(\)"):
        out += x
    with pytest.raises(TypeError, match="`where=` is refused beside a Tensor"):
        np.add(x, 1.0, where=np.array([True, False, True]))
    assert out.tolist() == [0, 0, 0]
    assert x.tolist() == [1, 2, 3]


def test_ufunc_methods_are_refused(x):
    with pytest.raises(
        TypeError, match="np.add.reduce: not recorded on Tensors; use a reduction such as tinygrad_cnn.sum"
    ):
        np.add.reduce(x)
    with pytest.raises(TypeError, match="np.add.at"):
        np.add.at(x, 0, 1.0)


def test_a_function_without_an_op_is_refused(x):
    with pytest.raises(TypeError, match="np.*histogram: no op records it on Tensors.*counts have no derivative"):
        np.histogram(x)
    with pytest.raises(TypeError, match="np.unique"):
        np.unique(x)


ARRAY = np.array([[3.0, 1.0, 1.0], [0.0, 2.0, 2.0]])
CALLS = {
    "unique": np.unique, "histogram": lambda a: np.histogram(a, bins=3),
    "list": lambda a: np.union1d(a, [7.0]),
    "bincount": lambda a: np.bincount(a.astype(int)[0]), "along": lambda a: np.apply_along_axis(sorted, 1, a),
    "reduce": np.add.reduce, "accumulate": lambda a: np.maximum.accumulate(a, axis=1), "ufunc": np.spacing,
    "where": lambda a: np.add(a, 1.0, where=np.array([True, False, True]), out=np.zeros((2, 3))),
    "out": lambda a: np.sum(a, axis=0, out=np.zeros(3)), "dtype": lambda a: np.cumsum(a, 1, np.float64, np.zeros((2, 3))),
}  # fmt: skip


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_numpy_computes_what_no_op_does_where_no_gradient_is_lost(call):
    found, expected = call(tg.from_numpy(ARRAY)), call(ARRAY)
    assert type(found) is type(expected)
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    recorded = tg.Tensor(ARRAY, requires_grad=True)
    if call is not CALLS["bincount"]:  # integers have no gradient
        with pytest.raises(TypeError, match=r"not recorded|no op records it|is refused beside a Tensor"):
            call(recorded)
    with tg.no_grad():
        call(recorded)


def test_arrays_are_written_and_tensors_are_not():
    total, values = np.zeros(2), tg.from_numpy(np.array([1.0, 2.0]))
    total += values
    np.add.at(total, tg.from_numpy(np.array([0, 0])), values)
    assert total.tolist() == [4.0, 2.0]
    np.copyto(total, values)
    assert total.tolist() == [1.0, 2.0]
    for write in (
        lambda: np.add(total, 1.0, out=values), lambda: np.add.at(values, 0, 1.0), lambda: np.copyto(values, total),
        lambda: np.put(values, [0], 3.0), lambda: np.cumsum(total, out=values),
    ):  # fmt: skip
        with pytest.raises(TypeError, match=r"recorded|refused"):
            write()
    assert values.tolist() == [1.0, 2.0]


def test_values_that_numpy_computes_are_read_under_a_tracer():
    with pytest.raises(ValueError, match="reads the values of a batched Tensor"):
        tg.vmap(lambda a: a * np.unique(a)[0])(tg.from_numpy(np.array([[1, 2]])))


def test_queries_answer(x):
    assert np.shape(x) == (3,)
    assert np.ndim(x) == 1
    assert np.size(x) == 3
    assert np.allclose(x, [1, 2, 3])
    assert np.array_equal(x, x)
    np.testing.assert_allclose(x.detach(), [1, 2, 3])


def test_asarray_converts_and_refuses_what_cannot_be_done_without_a_copy(x):
    x = x.detach()
    assert np.asarray(x).dtype == np.float32
    assert np.asarray(x, dtype=np.float64).dtype == np.float64
    with pytest.raises(ValueError, match="cannot become float64 without a copy"):
        np.array(x, dtype=np.float64, copy=False)


def test_a_list_of_tensors_is_an_array_of_numbers(x):
    assert tg.Tensor([x[0], x[1]]).tolist() == [1, 2]
    assert np.array([x.detach(), x.detach()]).dtype == np.float32
