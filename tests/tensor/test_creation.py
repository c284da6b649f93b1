"""Functions that make Tensors, and the source of randomness."""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import tinygrad_cnn as tg

shapes = hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3)
DRAWS = [tg.rand, tg.randn]


@given(shapes, st.sampled_from([np.float32, np.float64, np.int64]))
def test_constants(shape, dtype):
    for made, expected in [(tg.zeros, 0), (tg.ones, 1)]:
        for t in (made(shape, dtype=dtype), made(*shape, dtype=dtype) if shape else made(shape, dtype=dtype)):
            assert (t.shape, t.dtype) == (shape, dtype)
            assert (t.numpy() == expected).all()
    assert (tg.full(shape, 7, dtype=dtype).numpy() == 7).all()
    like = tg.zeros(shape, dtype=dtype)
    for t, expected in [(tg.zeros_like(like), 0), (tg.ones_like(like), 1), (tg.full_like(like, 3), 3)]:
        assert (t.shape, t.dtype) == (shape, dtype)
        assert (t.numpy() == expected).all()


def test_defaults():
    assert {t.dtype for t in (tg.zeros(2), tg.ones(2), tg.full(2, 1), tg.eye(2), tg.arange(0.0, 1.0, 0.5))} == {
        np.dtype(np.float32)
    }
    assert tg.arange(3).dtype == np.int64
    assert tg.arange(1, 7, 2).tolist() == [1, 3, 5]
    assert tg.eye(2, 3).tolist() == [[1, 0, 0], [0, 1, 0]]
    assert {tg.full(2, 1.5).dtype, tg.full(2, np.float32(1)).dtype} == {np.dtype(np.float32)}
    assert tg.full(2, np.ones(2)).dtype == np.float64
    assert tg.full((), True).dtype == np.bool_
    assert all(t.requires_grad for t in (tg.zeros(1, requires_grad=True), tg.randn(1, requires_grad=True)))
    with pytest.raises(TypeError, match="requires_grad"):
        tg.arange(3, requires_grad=True)


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [((5,), {"step": 2}), ((1, 5), {"step": 3}), ((2,), {"stop": 5}), ((), {"stop": 3}), ((), {"start": 1, "stop": 4}),
     ((), {"start": 4, "stop": 0, "step": -1})],
)  # fmt: skip
def test_arange_takes_numpys_keywords(args, kwargs):
    np.testing.assert_array_equal(tg.arange(*args, **kwargs).numpy(), np.arange(*args, **kwargs), strict=True)


@pytest.mark.parametrize(
    ("args", "kwargs"), [((), {"start": 1}), ((5,), {"start": 1}), ((1, 5), {"stop": 6}), (("a",), {})]
)
def test_what_arange_refuses_is_refused_by_numpy(args, kwargs):
    with pytest.raises(TypeError, match="arange"):
        np.arange(*args, **kwargs)
    with pytest.raises(TypeError, match="arange: start, stop and step are numbers, each given once: "):
        tg.arange(*args, **kwargs)


@given(st.integers(0, 4), st.none() | st.integers(0, 4), st.integers(-5, 5))
def test_eye_has_numpys_diagonals(n, m, k):
    np.testing.assert_array_equal(tg.eye(n, m, k).numpy(), np.eye(n, m, k))
    np.testing.assert_array_equal(tg.eye(n, m, k=k, dtype=np.int64).numpy(), np.eye(n, m, k, int), strict=True)


def test_eye_of_a_dtype_in_the_place_of_the_diagonal():
    with pytest.raises(TypeError, match=r"eye: `k` is <class 'numpy.float64'>; it must be .*; dtype= is given by name"):
        tg.eye(2, 2, np.float64)


@pytest.mark.parametrize("draw", DRAWS)
@given(shape=shapes, seed=st.integers(0, 2**32))
def test_a_seed_fixes_the_draw_and_a_generator_goes_on(draw, shape, seed):
    tg.manual_seed(seed)
    a, a_next = draw(shape), draw(shape)
    tg.manual_seed(seed)
    b = draw(shape)
    np.testing.assert_array_equal(a.numpy(), b.numpy())
    rng = np.random.default_rng(seed)
    c, c_next = draw(shape, rng=rng), draw(shape, rng=rng)
    np.testing.assert_array_equal(a.numpy(), c.numpy())
    np.testing.assert_array_equal(a_next.numpy(), c_next.numpy())
    np.testing.assert_array_equal(draw(shape, rng=seed).numpy(), a.numpy())
    assert (a.shape, a.dtype) == (shape, np.float32)


def test_distributions():
    u, n = tg.rand(20_000, rng=0).numpy(), tg.randn(20_000, rng=0, dtype=np.float64).numpy()
    assert u.min() >= 0
    assert u.max() < 1
    assert abs(u.mean() - 0.5) < 0.01
    assert abs(n.mean()) < 0.03
    assert abs(n.std() - 1) < 0.03
    assert tg.rand_like(tg.zeros(2, dtype=np.float64)).dtype == np.float64
    assert tg.randn_like(tg.zeros(2)).dtype == np.float32
    assert tg.rand(2, dtype=np.float16).dtype == np.float16


def test_bad_arguments():
    with pytest.raises(
        TypeError, match="`rng` is RandomState.*must be a numpy.random.Generator, an integer seed or None"
    ):
        tg.rand(2, rng=np.random.RandomState(0))
    with pytest.raises(TypeError, match="rand: `dtype` is int64; random numbers are drawn in a floating-point dtype"):
        tg.rand(2, dtype=int)
    with pytest.raises(TypeError, match="from_numpy: `array` is list; it must be a numeric ndarray"):
        tg.from_numpy([1, 2])
    with pytest.raises(
        TypeError, match=r"`array` is an ndarray of <U3; it must be .*np\.unique\(labels, return_inverse=True\)"
    ):
        tg.from_numpy(np.array(["cat"]))


@pytest.mark.slow
def test_the_global_generator_of_numpy_is_never_used():
    allowed = {"Generator", "PCG64", "default_rng", "RandomState", "SeedSequence", "get_state", "set_state"}
    folder = Path(tg.__file__).parent
    for path in {*folder.rglob("*.py")} - {*(folder / "extra" / "autograd").rglob("*.py")}:  # where users seed it
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            text = ast.unparse(node) if isinstance(node, ast.Attribute) else ""
            if text.startswith("np.random."):
                assert text.split(".")[2].split("(")[0] in allowed, f"{path.name}: {text}"
