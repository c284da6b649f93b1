"""Strategies draw only what they promise, reach all of it, and shrink to what is read at a glance."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import find, given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import NoSuchExample

import tinygrad_cnn as tg
from tinygrad_cnn.testing import strategies as tst
from tinygrad_cnn.testing.layouts import LAYOUTS, strided

searching = settings(max_examples=1000, database=None, derandomize=True)


def simplest(strategy, condition=lambda value: True):
    return find(strategy, condition, settings=searching)


def same(a, b):
    return np.array_equal(a, b) and getattr(a, "shape", None) == getattr(b, "shape", None)


# Arrays


@given(data=st.data(), dtype=st.sampled_from([np.float16, np.float32, np.float64]))
def test_arrays_lie_where_they_should(data, dtype):
    a = data.draw(tst.arrays(dtype=dtype, low=-1.0, high=3.0, away=(0.0, 1.0)))
    assert a.dtype == dtype
    assert a.ndim <= 4
    assert all(n <= 13 for n in a.shape)
    assert sum(n > 3 for n in a.shape) <= 1
    assert ((a >= -1) & (a <= 3)).all()
    for kink in (0, 1):
        assert (np.abs(a - kink) >= 1 / 512).all()
    assert np.array_equal(a * 512, np.round(a.astype(np.float64) * 512)), "exact in any dtype"


def test_dtypes_are_drawn_for_each_array():
    pairs = st.tuples(*(tst.arrays((2,), tst.floating_dtypes()) for _ in range(2)))
    for a, b in [(np.float16, np.float16), (np.float16, np.float64), (np.float64, np.float32)]:
        assert simplest(pairs, lambda pair: (pair[0].dtype, pair[1].dtype) == (a, b))  # noqa: B023


@given(data=st.data())
def test_distinct_arrays_integers_and_truth_values(data):
    values = np.sort(data.draw(tst.arrays(distinct=True)), axis=None)
    assert (np.diff(values) >= 1 / 8).all()
    whole = data.draw(tst.arrays((2, 3), dtype=np.uint8, high=4))
    assert whole.dtype == np.uint8
    assert whole.shape == (2, 3)
    assert (whole <= 4).all()
    assert data.draw(tst.arrays(dtype=bool)).dtype == bool


def tie(a):
    return np.unique(a).size < a.size


def square(*shapes):
    return any(n > 1 and shape.count(n) > 1 for shape in shapes for n in shape)


def outer(a, b):
    """Whether a is a row (1, n) and b a column (n, 1)."""
    return len(a) == len(b) == 2 and a[0] == b[1] == 1 < min(a[1], b[0])


SHAPES = [
    (tst.shapes(), {"empty": (lambda s: 0 in s, 0.01, 0.1), "square": (square, 0.3, 0.7),
                    "long": (lambda s: max(s, default=0) > 3, 0.01, 0.15), "4-d": (lambda s: len(s) == 4, 0.05, 0.25)}),
    (tst.broadcastable(2), {
        "empty": (lambda s: 0 in s[0] + s[1], 0.0, 0.1),
        "equal": (lambda s: s[0] == s[1] and np.prod(s[0]) > 1, 0.2, 0.6),
        "not equal": (lambda s: s[0] != s[1], 0.15, 0.5),
        "square": (lambda s: square(*s), 0.15, 0.7),
        "row, column": (lambda s: outer(*s), 0.02, 0.1),
        "column, row": (lambda s: outer(*s[::-1]), 0.02, 0.1),
    }),
    (tst.matmul_shapes(), {
        "empty": (lambda s: 0 in s[0] + s[1], 0.0, 0.15),
        "square": (lambda s: square(*s), 0.1, 0.7),
    }),
]  # fmt: skip
VALUES = [
    (tst.arrays(), {
        "ties": (tie, 0.3, 0.7),
        "beyond 2": (lambda a: (np.abs(a) > 2).any(), 0.05, 0.25),
        "beyond 100": (lambda a: (np.abs(a) > 100).any(), 0.01, 0.15),
        "square": (lambda a: square(a.shape), 0.3, 0.7),
    }),
    (tst.arrays((2, 3), away=(0.0, 1.0)), {
        "ties": (tie, 0.4, 0.9),
        "near": (lambda a: (np.abs(a) < 1 / 64).any(), 0.1, 0.6),
        "near both": (lambda a: ((np.abs(a) < 1 / 64) | (np.abs(a - 1) < 1 / 64)).any(), 0.2, 0.7),
        "on either": (lambda a: ((a == 0) | (a == 1)).any(), 0.0, 0.0),
    }),
    (tst.arrays(low=-1.0, high=1.5), {"beyond 1.5": (lambda a: (np.abs(a) > 1.5).any(), 0.0, 0.0)}),
    (tst.arrays(distinct=True), {"ties": (tie, 0.0, 0.0), "beyond 8": (lambda a: (np.abs(a) > 8).any(), 0.02, 0.3)}),
    (st.tuples(tst.arrays((2, 3)), tst.arrays((2, 3))), {"ties of both": (lambda pair: np.equal(*pair).any(), 0.15, 0.6)}),
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("strategy", "shares"), [*SHAPES, *VALUES])
def test_what_matters_is_drawn_often(strategy, shares):
    """The shares of 2,000 draws that are the same in each run."""
    drawn = []

    @seed(0)
    @settings(max_examples=2000, database=None, derandomize=False)
    @given(strategy)
    def draw(value):
        drawn.append(value)

    draw()
    found = {name: np.mean([bool(condition(value)) for value in drawn]) for name, (condition, _, _) in shares.items()}
    assert {name: share for name, share in found.items() if not shares[name][1] <= share <= shares[name][2]} == {}, (
        found
    )


@given(data=st.data())
def test_tensors_share_the_memory_of_arrays(data):
    t = data.draw(tst.tensors(tst.shapes(min_dims=1), requires_grad=True))
    assert isinstance(t, tg.Tensor)
    assert t.requires_grad
    assert t.is_leaf
    assert t.ndim >= 1


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("shape", [(), (0, 2), (3,), (2, 3, 2)])
def test_layouts_keep_values(name, shape):
    a = np.arange(np.prod(shape, dtype=int)).reshape(shape)
    moved = LAYOUTS[name](a)
    assert same(moved, a)
    assert not np.shares_memory(moved, a)


def test_layouts_are_what_their_names_say():
    a = np.arange(6.0).reshape(2, 3)
    assert LAYOUTS["transposed"](a).flags.f_contiguous
    assert LAYOUTS["backward"](a).strides == (-24, -8)
    assert LAYOUTS["skipping"](a).strides == (96, 16)
    assert not LAYOUTS["readonly"](a).flags.writeable
    assert strided(a).strides == (-16, -64)
    assert not strided(a).flags.writeable


@pytest.mark.slow
def test_every_layout_is_drawn():
    for condition in (
        lambda a: a.size > 1 and a.strides[0] < 0 and a.flags.writeable,
        lambda a: a.ndim > 1 and a.flags.f_contiguous and not a.flags.c_contiguous,
        lambda a: a.size > 1 and not a.flags.writeable and a.flags.c_contiguous,
        lambda a: a.size > 1 and a.strides[-1] == 16,
        lambda a: a.shape == (),
        lambda a: a.size == 0,
    ):
        simplest(tst.arrays(), condition)
    with pytest.raises(NoSuchExample):
        find(tst.arrays(layouts=["plain"]), lambda a: not a.flags.c_contiguous, settings=settings(max_examples=50))


@pytest.mark.slow
def test_arrays_shrink():
    assert same(simplest(tst.arrays()), np.array(0.0))
    assert same(simplest(tst.arrays(), lambda a: a.size > 1), np.zeros(2))
    assert same(simplest(tst.arrays(), lambda a: (a > 1).any()), np.array(1 + 1 / 64))
    assert same(simplest(tst.arrays(away=(0.0,)), lambda a: a.ndim == 2 and a.size), np.array([[-1 / 8]]))
    assert simplest(tst.arrays(), lambda a: a.size).flags.writeable


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"low": 1.0, "high": 0.0}, "no value lies between `low` 1.0 and `high` 0.0"),
        ({"low": 0.0, "high": 0.1, "away": (0.0,)}, r"away from \(0.0,\)"),
        ({"layouts": ["upside down"]}, "`layouts` is \\['upside down'\\]; its names must be among 'plain'"),
        ({"distinct": True, "away": (0.0,)}, "beside `distinct`"),
    ],
)
def test_arrays_that_cannot_be(options, text):
    with pytest.raises(ValueError, match=text):
        simplest(tst.arrays(**options))


# Shapes, axes, indices


@given(data=st.data(), count=st.integers(1, 4))
def test_shapes_broadcast(data, count):
    found = data.draw(tst.broadcastable(count))
    assert len(found) == count
    np.broadcast_shapes(*found)


@given(data=st.data(), ndim=st.integers(0, 4))
def test_axes_and_permutations_are_numpy_s(data, ndim):
    a = np.zeros([2] * ndim)
    a.sum(axis=data.draw(tst.axes(ndim)))
    assert data.draw(tst.axes(ndim, none=False)) is not None
    assert a.transpose(data.draw(tst.permutations(ndim))).ndim == ndim


@given(shapes=tst.matmul_shapes())
def test_matmul_shapes_multiply(shapes):
    a, b = map(np.zeros, shapes)
    lead = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    assert np.matmul(a, b).shape == (*lead, *a.shape[-2:-1], *(b.shape[-1:] if b.ndim > 1 else ()))


@given(data=st.data(), shape=tst.shapes())
def test_indices_index(data, shape):
    numbers = np.arange(np.prod(shape, dtype=int)).reshape(shape)
    assert np.isin(numbers[data.draw(tst.indices(shape))], numbers).all()


@given(drawn=tst.einsum_subscripts())
def test_einsum_takes_the_subscripts(drawn):
    subscripts, shapes = drawn
    assert not np.einsum(subscripts, *map(np.zeros, shapes)).any()


@given(data=st.data(), ndim=st.integers(1, 3))
def test_geometries_are_valid(data, ndim):
    g = data.draw(tst.conv_geometries(ndim))
    y = (tg.conv1d, tg.conv2d, tg.conv3d)[ndim - 1](np.zeros(g.x), np.zeros(g.w), **g.kwargs)
    assert y.shape[:2] == (g.x[0], g.w[0])
    assert min(y.shape[2:]) >= 1
    p = data.draw(tst.pool_geometries(ndim))
    z = (tg.max_pool1d, tg.max_pool2d, tg.max_pool3d)[ndim - 1](np.zeros(p.x), **p.kwargs)
    assert z.shape[:2] == p.x[:2]
    assert min(z.shape[2:]) >= 1


SIMPLEST = [
    (tst.shapes(), None, ()),
    (tst.broadcastable(2), None, ((), ())),
    (tst.broadcastable(2), lambda s: s[0] != s[1] and all(map(all, s)), ((1,), ())),
    (tst.axes(3), None, None),
    (tst.axes(3), lambda axis: isinstance(axis, int), 0),
    (tst.axes(3), lambda axis: isinstance(axis, int) and axis < 0, -1),
    (tst.axes(3), lambda axis: isinstance(axis, tuple) and len(axis) == 2, (0, 1)),
    (tst.permutations(3), None, (0, 1, 2)),
    (tst.permutations(3), lambda order: order[0] != 0, (1, 0, 2)),
    (tst.matmul_shapes(min_side=1), None, ((1,), (1,))),
    (tst.matmul_shapes(min_side=1), lambda s: len(s[0]) == 3, ((1, 1, 1), (1,))),
    (tst.matmul_shapes(min_side=1), lambda s: len(s[1]) == 2, ((1,), (1, 1))),
    (tst.indices((2, 3)), lambda index: isinstance(index, tuple) and any(part is None for part in index), (None, 0, 0)),
    (tst.einsum_subscripts(), None, ("", ((),))),
    (tst.conv_geometries(), None, ((1, 1, 1, 1), (1, 1, 1, 1))),
    (tst.pool_geometries(), None, (1, 1, 1, 1)),
    (tst.expressions(), str, "def f(x0, x1):\n    v2 = -x0\n    return v2"),
    (
        tst.expressions(1, smooth=False),
        lambda e: e.steps[-1][0] == "maximum" and 0.5 in e.steps[-1],
        "def f(x0):\n    v1 = tg.maximum(x0, 0.5)\n    return v1",
    ),
    (
        tst.expressions(1),
        lambda e: len({o for step in e.steps for o in step if isinstance(o, int)}) == 3,
        "def f(x0):\n    v1 = -x0\n    v2 = -v1\n    v3 = -v2\n    return v3",
    ),
]


@pytest.mark.slow
@pytest.mark.parametrize(("strategy", "condition", "expected"), SIMPLEST)
def test_strategies_shrink_to_small_cases(strategy, condition, expected):
    found = simplest(strategy, condition or (lambda value: True))
    if hasattr(found, "kwargs"):
        found = found.x if isinstance(found, tst.PoolGeometry) else (found.x, found.w)
    assert (str(found) if isinstance(expected, str) else found) == expected
