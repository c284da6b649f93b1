"""Clipping: norms against NumPy's, what is scaled, what stays untouched, what is refused."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_cnn as tg
from tinygrad_cnn.optim import clip_grad_norm_, clip_grad_value_

from .common import leaf
from .test_updates import LAYOUTS

NONE = "`parameters` is empty; give at least one Tensor: an iterator, such as model.parameters(), can be used once"


def with_gradients(arrays):
    params = []
    for array in arrays:
        p = tg.Tensor(np.zeros(array.shape, array.dtype), requires_grad=True)
        p.grad = tg.from_numpy(array)
        params.append(p)
    return params


def drawn(seed, shapes=((2, 3), (), (0,), (4,)), dtype=np.float64):
    rng = np.random.default_rng(seed)
    return [np.asarray(rng.normal(size=shape) * 10.0 ** rng.uniform(-3, 3, shape), dtype) for shape in shapes]


@given(
    seed=st.integers(0, 2**32 - 1),
    order=st.sampled_from([0.5, 1, 2, 2.0, 3.5, math.inf, "inf", np.float32(2)]),
    limit=st.sampled_from([0, math.inf]) | st.floats(1e-6, 1e4),  # far from what float32 cannot hold
    dtype=st.sampled_from([np.float32, np.float64]),
)
def test_the_norm_is_that_of_all_elements_and_gradients_are_scaled_to_it(seed, order, limit, dtype):
    arrays = drawn(seed, dtype=dtype)
    params = with_gradients(arrays)
    norm = clip_grad_norm_(params, limit, order)
    expected = np.linalg.norm(np.concatenate([a.ravel() for a in arrays]).astype(np.float64), float(order))
    assert (norm.shape, norm.dtype) == ((), dtype)
    rounding = 4 * float(np.finfo(dtype).eps)
    assert norm.item() == pytest.approx(expected, rel=max(rounding, 1e-13))
    for p, a in zip(params, arrays, strict=True):
        assert p.grad.dtype == dtype
        np.testing.assert_allclose(p.grad.numpy(), a * min(1.0, limit / (norm.item() + 1e-6)), rtol=rounding)


def test_a_small_number_is_added_to_the_norm():
    """As in PyTorch, so that the norm may be 0: it is seen where the norm is small, too."""
    (p,) = with_gradients([np.array([3e-6, 4e-6])])
    clip_grad_norm_([p], 1e-6)
    np.testing.assert_allclose(p.grad.numpy(), np.array([3e-6, 4e-6]) / 6, rtol=1e-12)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("clip", [lambda p: clip_grad_norm_(p, 1e-3), lambda p: clip_grad_value_(p, 1e-3)])
def test_the_old_gradient_is_not_written_wherever_it_is(clip, layout):
    shared = layout(np.arange(-3.0, 3.0).reshape(2, 3))
    before = shared.copy()
    p, q = with_gradients([shared, shared])
    old = p.grad
    clip([p, q])
    np.testing.assert_array_equal(shared, before)
    np.testing.assert_array_equal(old.numpy(), before)
    np.testing.assert_array_equal(p.grad.numpy(), q.grad.numpy())
    assert np.abs(p.grad.numpy()).max() <= 1e-3
    p.grad.copy_(7.0)  # nor are two new ones the same array
    assert np.abs(q.grad.numpy()).max() <= 1e-3


def test_gradients_within_the_limit_stay_the_same_objects():
    params = with_gradients(drawn(0))
    before = [p.grad for p in params]
    norm = clip_grad_norm_(params, math.inf)
    clip_grad_norm_(params, norm.item() * 1.01)
    assert all(p.grad is g for p, g in zip(params, before, strict=True))


def test_parameters_may_be_one_or_drawn_from_a_generator_twice_or_without_gradients():
    (p,) = with_gradients([np.array([3.0, 4.0])])
    assert clip_grad_norm_(p, 10.0).item() == 5
    assert clip_grad_norm_((q for q in [leaf(2), p, p]), 1.0).item() == 5
    np.testing.assert_allclose(p.grad.numpy(), [0.6, 0.8], rtol=1e-6)
    clip_grad_value_(p, 0.7)
    np.testing.assert_allclose(p.grad.numpy(), [0.6, 0.7], rtol=1e-6)
    for nothing in ([leaf(2)], leaf(2)):
        assert clip_grad_norm_(nothing, 1.0).item() == 0
        assert clip_grad_value_(nothing, 1.0) is None


@pytest.mark.parametrize(
    ("dtype", "scale"), [(np.float64, 1e200), (np.float64, 1e-200), (np.float32, 1e30), (np.float16, 1e3)]
)
def test_squares_neither_overflow_nor_vanish(dtype, scale):
    arrays = [np.array([3, -4], dtype) * dtype(scale), np.zeros(1, dtype)]
    params = with_gradients(arrays)
    assert clip_grad_norm_(params, 1.0).item() == pytest.approx(5 * scale, rel=1e-3)
    if scale > 1:
        np.testing.assert_allclose(params[0].grad.numpy(), [0.6, -0.8], rtol=1e-3)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("order", [1, 2, math.inf])
def test_norms_that_are_not_finite(bad, order):
    params = with_gradients([np.array([1.0, bad]), np.array([2.0])])
    before = [p.grad for p in params]
    with pytest.raises(
        RuntimeError, match="clip_grad_norm_: the norm of the gradients is (nan|inf), so they cannot be scaled"
    ):
        clip_grad_norm_(params, 1.0, order, error_if_nonfinite=True)
    assert not math.isfinite(clip_grad_norm_(params, math.inf, order).item())
    assert all(p.grad is g for p, g in zip(params, before, strict=True))
    assert not math.isfinite(clip_grad_norm_(params, 1.0, order).item())
    rest = [params[0].grad.numpy()[0], params[1].grad.item()]
    np.testing.assert_array_equal(rest, [math.nan] * 2 if math.isnan(bad) else [0.0] * 2)
    assert math.isnan(params[0].grad.numpy()[1])


@given(seed=st.integers(0, 2**32 - 1), limit=st.floats(0, 100) | st.just(math.inf))
def test_values_are_cut_elementwise(seed, limit):
    arrays = drawn(seed, dtype=np.float32)
    arrays[0][0, 0] = np.nan
    params = with_gradients(arrays)
    clip_grad_value_(params, limit)
    for p, a in zip(params, arrays, strict=True):
        assert p.grad.dtype == np.float32
        np.testing.assert_array_equal(p.grad.numpy(), np.minimum(np.maximum(a, np.float32(-limit)), np.float32(limit)))


def test_a_recorded_gradient_is_replaced_by_its_values():
    p = leaf(3)
    (p**3).sum().backward(create_graph=True)
    clip_grad_norm_(p, 1.0)
    assert not p.grad.requires_grad


LIMIT, ORDER = "it must be a number of at least 0", "it must be a number above 0, or math.inf"


@pytest.mark.parametrize(
    ("clip", "arguments", "error", "message"),
    [
        *(
            (f, (leaf(1), v), e, f"`{n}` is {v!r}; {LIMIT}")
            for f, n in [(clip_grad_norm_, "max_norm"), (clip_grad_value_, "clip_value")]
            for v, e in [(-1.0, ValueError), (math.nan, ValueError), ("1", TypeError), (True, TypeError)]
        ),
        *(
            (clip_grad_norm_, (leaf(1), 1.0, v), ValueError, f"`norm_type` is {v!r}; {ORDER}")
            for v in (0, -1, math.nan)
        ),
        (clip_grad_norm_, (leaf(1), 1.0, "two"), TypeError, f"`norm_type` is 'two'; {ORDER}"),
        (clip_grad_norm_, (leaf(1), 1.0, 2, 1), TypeError, "`error_if_nonfinite` is 1; it must be True or False"),
        (clip_grad_norm_, ([leaf(1), 3], 1.0), TypeError, "parameter 1 is a int; it must be a Tensor"),
        (clip_grad_value_, ([np.ones(2)], 1.0), TypeError, "parameter 0 is a ndarray; it must be a Tensor"),
        *((f, (given, 1.0), ValueError, NONE) for f in (clip_grad_norm_, clip_grad_value_) for given in ([], iter(()))),
    ],
)
def test_bad_arguments_are_named(clip, arguments, error, message):
    with pytest.raises(error) as caught:
        clip(*arguments)
    assert str(caught.value) == f"{clip.__name__}: {message}"
