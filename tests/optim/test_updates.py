"""The update rules against their equations, and how they treat arrays of any kind."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_cnn as tg
from tinygrad_cnn.kernels import update
from tinygrad_cnn.ops import updates

from .optimizers import NUMBERS, every_elementwise_variant, every_row, every_variant


@every_row
@given(data=st.data(), seed=st.integers(0, 2**32 - 1), steps=st.integers(1, 6))
def test_steps_follow_the_equations(row, data, seed, steps):
    kinds = st.fixed_dictionaries({name: kind.good for name, kind in row.options.items()})
    options = data.draw(kinds.map(row.valid))
    rng = np.random.default_rng(seed)
    start, gradients = rng.normal(size=3), rng.normal(size=(steps, 3)) * 10.0 ** rng.uniform(-3, 3, 3)
    p = tg.Tensor(start, requires_grad=True)
    stepping = row.optimizer([p], **options)
    for g in gradients:
        p.grad = tg.Tensor(g)
        stepping.step()
    if row.elementwise:
        expected = [row.reference(x, gs, **options) for x, gs in zip(start, gradients.T, strict=True)]
    else:
        expected = row.reference(start, gradients, **options)
    scale = np.abs(start) + np.abs(gradients).max(axis=0)
    np.testing.assert_allclose(p.numpy() / scale, expected / scale, rtol=1e-9, atol=1e-11)


def run(optimizer, options, start, gradients, layout):
    """The parameter after steps whose arrays are laid out by `layout`, and its optimizer."""
    p = tg.from_numpy(layout(start), requires_grad=True)
    stepping = optimizer([p], **options)
    for g in gradients:
        p.grad = tg.from_numpy(layout(g))
        stepping.step()
    return p, stepping


def fortran(a):
    """The same values, first axis fastest."""
    return np.array(a, order="F")


def spread(a):
    """The same values in every other place of a larger array, last axis first."""
    wide = np.full([2 * size for size in reversed(a.shape)], np.nan, a.dtype).T
    view = wide[(..., *[slice(None, None, 2)] * a.ndim)]
    view[...] = a
    return view


def backwards(a):
    """The same values in memory from last to first."""
    flip = (..., *[slice(None, None, -1)] * a.ndim)
    return a[flip].copy()[flip]


LAYOUTS = [fortran, spread, backwards]


@every_variant
@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda f: f.__name__)
@pytest.mark.parametrize("shape", [(), (0,), (2, 0), (1,), (3, 4), (2, 3, 2)], ids=str)
@pytest.mark.parametrize("piece", [5, 32768])
def test_layout_and_pieces_do_not_matter(optimizer, options, layout, shape, piece, tuning):
    rng = np.random.default_rng(0)
    start, gradients = rng.normal(size=shape), rng.normal(size=(3, *shape))
    expected, _ = run(optimizer, options, start, gradients, np.array)
    tuning(updates, PIECE=piece)
    tuning(update, LONG=piece)
    p, stepping = run(optimizer, options, start, gradients, layout)
    np.testing.assert_array_equal(p.numpy(), expected.numpy())
    assert p.shape == shape
    if optimizer.elementwise:
        assert all(np.shape(v) == shape for s in stepping.state.values() for n, v in s.items() if n not in NUMBERS)
    if p.size:
        assert not np.array_equal(p.numpy(), start)


@every_variant
def test_only_the_parameter_is_written_and_in_place(optimizer, options):
    array = np.full((4, 6), np.nan)
    view = array[::2, 1::2]
    view[...] = 1.0
    p = tg.from_numpy(view, requires_grad=True)
    gradient = np.ones((2, 3))
    p.grad = tg.from_numpy(gradient)
    optimizer([p], **options).step()
    assert np.shares_memory(p.numpy(), array)
    assert np.isfinite(view).all()
    assert np.isnan(array).sum() == 18
    np.testing.assert_array_equal(gradient, 1.0)


@every_variant
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.longdouble])
def test_the_dtype_stays(optimizer, options, dtype):
    p = tg.Tensor(np.ones(3, dtype), requires_grad=True)
    options = options | {"lr": np.float64(0.1)}
    stepping = optimizer([p], **options)
    for _ in range(2):
        (p * p).sum().backward()
        stepping.step()
        stepping.zero_grad()
    assert p.dtype == dtype
    assert all(v.dtype == dtype for name, v in stepping.state.get(p, {}).items() if name not in NUMBERS)


@every_variant
@pytest.mark.parametrize("kind", [np.float64, np.array])
def test_options_that_are_numpy_scalars_or_arrays_without_axes_do_not_promote(optimizer, options, kind):
    start, gradients = np.array([1.0, -2.0, 3.0], np.float32), np.float32([[0.1, 0.7, -3], [2, -0.3, 0.2]])
    expected, _ = run(optimizer, options, start, gradients, np.array)
    scalars = {name: kind(v) if isinstance(v, float) else v for name, v in options.items()}
    p, stepping = run(optimizer, options, start, np.empty((0, 3)), np.array)
    stepping.param_groups[0].update(scalars)
    for g in gradients:
        p.grad = tg.Tensor(g)
        stepping.step()
    np.testing.assert_array_equal(p.numpy(), expected.numpy())


@every_elementwise_variant
def test_a_later_step_allocates_no_array(optimizer, options, one_thread):
    p = tg.Tensor(np.ones((512, 512), np.float32), requires_grad=True)
    small = [tg.Tensor(np.ones(1000, np.float32), requires_grad=True) for _ in range(20)]
    stepping = optimizer([p, *small], **options)
    for q in (p, *small):
        q.grad = tg.ones(q.shape)
    stepping.step()
    stepping.step()  # it may prepare those that repeat it
    tracemalloc.start()
    try:
        stepping.step()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # A few small objects per parameter; an array for the large one would be 1 MiB, for all small ones 80 kB.
    assert peak < 40_000


@every_variant
@pytest.mark.parametrize("piece", [2, 32768])
def test_a_gradient_in_the_memory_of_the_parameter_is_read_before_it_is_written(optimizer, options, piece, tuning):
    start = np.array([1.0, -2.0, 3.0, -4.0, 5.0, -6.0])
    views = [(start, start), (start, start[::-1]), (start[1:], start[:-1]), (start[:-1], start[1:])]
    expected = [run(optimizer, options, p, [g.copy()], np.array)[0].numpy() for p, g in views]
    tuning(updates, PIECE=piece)
    tuning(update, LONG=piece)
    for (values, gradient), result in zip(views, expected, strict=True):
        before = start.copy()
        p = tg.from_numpy(values, requires_grad=True)
        p.grad = tg.from_numpy(gradient)
        optimizer([p], **options).step()
        np.testing.assert_array_equal(values, result)
        start[:] = before


@every_elementwise_variant
def test_not_a_number_stays_in_its_element_and_no_warning_stops_the_step(optimizer, options):
    values = np.array([1.0, np.nan, np.inf, -np.inf, 1e300, 0.0])
    p, q = (tg.Tensor(np.ones(6), requires_grad=True) for _ in range(2))
    no_guard = {"eps": 0.0} if "eps" in optimizer.options and "weight_decay" not in options else {}
    stepping = optimizer([p, q], **options | no_guard)
    with np.errstate(all="raise"):
        for _ in range(3):
            p.grad, q.grad = tg.Tensor(values), tg.Tensor(np.ones(6))
            stepping.step()
    assert np.isfinite(p.numpy()[0])
    assert np.isnan(p.numpy()[1])
    assert np.isfinite(q.numpy()).all()


def test_centered_rmsprop_stays_finite_when_the_gradient_is_constant():
    p = tg.Tensor(np.linspace(0.1, 3, 500, dtype=np.float32), requires_grad=True)
    stepping = tg.optim.RMSprop([p], lr=1e-9, alpha=0.5, centered=True)
    p.grad = tg.Tensor(np.linspace(0.1, 3, 500, dtype=np.float32))
    for _ in range(60):
        stepping.step()
    assert np.isfinite(p.numpy()).all()


@every_variant
def test_a_recorded_gradient_counts_as_its_values(optimizer, options):
    results = []
    for create in (False, True):
        p = tg.Tensor([1.0, 2.0, -3.0], requires_grad=True)
        (p * p * p).sum().backward(create_graph=create)
        assert p.grad.requires_grad is create
        stepping = optimizer([p], **options)
        stepping.step()
        assert p.is_leaf
        results.append(p.tolist())
    assert results[0] == results[1]
