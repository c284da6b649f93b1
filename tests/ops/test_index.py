"""Indexing: every index that NumPy takes, its gradient by np.add.at, and what is refused."""

from __future__ import annotations

import collections

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import tinygrad_cnn as tg
from tinygrad_cnn.testing import assert_gradients
from tinygrad_cnn.testing.strategies import indices

shapes = hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)


def counting(shape, start=0.0):
    return np.arange(start, start + np.prod(shape, dtype=int)).reshape(shape)


def with_tensors(index):
    """The same index with Tensors for its arrays and lists for those that have one axis."""
    parts = index if isinstance(index, tuple) else (index,)
    made = tuple(tg.Tensor(p) if isinstance(p, np.ndarray) else p for p in parts)
    return made if isinstance(index, tuple) else made[0]


@given(st.data())
def test_getitem_is_numpys_and_its_gradients_are_adjoint(data):
    shape = data.draw(shapes)
    index = data.draw(indices(shape))
    a = counting(shape)
    expected = np.asarray(a[index])
    x = tg.Tensor(a, requires_grad=True)
    y = x[index]
    np.testing.assert_array_equal(y.numpy(), expected)
    np.testing.assert_array_equal(x[with_tensors(index)].numpy(), expected)

    u = tg.Tensor(counting(expected.shape, 1.0), requires_grad=True)
    (g,) = tg.gradients(y, x, u, create_graph=True)
    field = np.zeros(shape)
    np.add.at(field, index, u.numpy())
    np.testing.assert_array_equal(g.numpy(), field)

    v = counting(shape, 3.0)
    (back,) = tg.gradients(g, u, v)  # the adjoint of the adjoint reads the index again
    np.testing.assert_array_equal(back.numpy(), np.asarray(v[index]))


@given(st.data())
def test_index_set_is_numpys_assignment_and_its_gradients_stop_where_written(data):
    shape = data.draw(shapes)
    index = data.draw(indices(shape))
    a = counting(shape)
    value = counting(a[index].shape, 100.0)
    expected, origin = a.copy(), np.full(shape, -1.0)
    expected[index] = value
    origin[index] = value  # each place tells which value it got
    x, v = tg.Tensor(a, requires_grad=True), tg.Tensor(value, requires_grad=True)
    y = tg.index_set(x, with_tensors(index), v)
    np.testing.assert_array_equal(y.numpy(), expected)
    np.testing.assert_array_equal(x.numpy(), a)
    g = counting(shape, 1.0)
    gx, gv = tg.gradients(y, [x, v], g)
    np.testing.assert_array_equal(gx.numpy(), np.where(origin == -1, g, 0))
    given_back = np.zeros(value.shape)
    for place in np.argwhere(origin >= 0):
        given_back[value == origin[tuple(place)]] = g[tuple(place)]
    np.testing.assert_array_equal(gv.numpy(), given_back)


@given(rows=hnp.arrays(np.int64, hnp.array_shapes(max_dims=2, max_side=8), elements=st.integers(-3, 2)))
def test_looking_up_rows_of_a_table_adds_up_their_gradients(rows):
    table = tg.Tensor(counting((3, 2), 1.0), requires_grad=True)
    weights = counting((*rows.shape, 2), 1.0)
    for look_up in (
        lambda: table[rows],
        lambda: tg.take(table, tg.Tensor(rows), axis=0),
        lambda: tg.moveaxis(tg.take(table.T, rows, axis=1), 0, -1),
    ):
        (g,) = tg.gradients(look_up(), table, weights)
        expected = [weights[rows % 3 == k].sum(axis=0) for k in range(3)]
        np.testing.assert_array_equal(g.numpy(), expected)


def test_float32_sums_of_repeats_err_no_more_than_a_plain_loop():
    u = np.random.default_rng(0).normal(size=(3000, 2)).astype(np.float32)
    table = tg.zeros(1, 2, requires_grad=True)
    (g,) = tg.gradients(table[np.zeros(3000, int)], table, u)
    loop = np.zeros(2, np.float32)
    for row in u:
        loop += row
    np.testing.assert_array_equal(g.numpy()[0], loop)


def test_lists_and_tensors_serve_as_indices():
    x = tg.Tensor(counting((2, 3)))
    one, zero = tg.Tensor(np.array(1)), tg.Tensor(np.array(0))
    np.testing.assert_array_equal(x[[1, 0]].numpy(), x.numpy()[[1, 0]])
    np.testing.assert_array_equal(x[[one, zero]].numpy(), x.numpy()[[1, 0]])
    np.testing.assert_array_equal(x[one, [True, False, True]].numpy(), [3.0, 5.0])
    np.testing.assert_array_equal(x[one : one + 1].numpy(), x.numpy()[1:2])
    assert x[[]].shape == (0, 3)
    assert x[tg.Tensor(np.array(True))].shape == (1, 2, 3)
    assert tg.take(x, [], axis=0).shape == (0, 3)


@pytest.mark.parametrize("shape", [(3,), (3, 2)])
def test_an_index_without_axes_sends_its_gradient_to_one_place(shape):
    for index in (np.array(1), np.array(-2)):
        x = tg.Tensor(counting(shape), requires_grad=True)
        (tg.take(x, index, axis=0) + tg.take(x, int(index), axis=0) + x[index]).sum().backward()
        expected = np.zeros(shape)
        expected[1] = 3
        np.testing.assert_array_equal(x.grad.numpy(), expected)


@given(st.data())
def test_what_was_put_is_taken(data):
    shape = data.draw(hnp.array_shapes(min_dims=1, max_dims=3, max_side=4))
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    order = np.argsort(data.draw(hnp.arrays(np.int64, shape, elements=st.integers(0, 99))), axis=axis)
    values = counting(shape, 1.0)
    y = tg.put_along_axis(np.zeros(shape), tg.Tensor(order), tg.Tensor(values), axis)
    np.testing.assert_array_equal(tg.take_along_axis(y, order, axis).numpy(), values)
    z = tg.scatter_add(np.zeros(shape), axis, order, tg.Tensor(values))
    np.testing.assert_array_equal(z.numpy(), y.numpy())


@pytest.mark.parametrize("kind", [np.array, tg.Tensor], ids=["array", "Tensor"])
@pytest.mark.parametrize(
    ("index", "other"), [([1, 1], [0, 2]), ([True, False, True], [False, True, True])], ids=["positions", "mask"]
)
@pytest.mark.parametrize("select", [lambda x, i: x[i], lambda x, i: x[:, i], lambda x, i: tg.index_set(x, i, 0.0)])
def test_an_index_written_later_leaves_the_gradient_as_recorded(kind, index, other, select):
    index, other = np.array(index), np.array(other)
    x = tg.Tensor(np.arange(9.0).reshape(3, 3), requires_grad=True)
    (expected,) = tg.gradients(select(x, index).sum(), x)
    written = kind(index)
    y = select(x, written).sum()
    if kind is tg.Tensor:
        written.copy_(other)
    else:
        written[:] = other
    (g,) = tg.gradients(y, x)
    np.testing.assert_array_equal(g, expected)


def test_gradients_through_a_chain_of_selections_are_exact_to_third_order():
    def chain(x, v):
        y = tg.index_set(x[[0, 2, 2]] ** 3, (slice(None), [1, 1]), v)
        return tg.take_along_axis(y, tg.argsort(-y), -1) * tg.take(y, [[0], [2]], axis=0)

    x = np.array([[0.5, -1.0], [1.5, 2.0], [-0.25, 1.25]])
    assert_gradients(chain, x, np.array([[0.75, -0.5]] * 3), order=3)


def test_values_set_keep_the_dtype_of_what_they_are_set_in():
    assert tg.index_set(tg.zeros(3), 0, np.float64(1.5)).dtype == np.float32
    assert tg.index_set(tg.zeros(3), 0, np.zeros(())).dtype == np.float32
    assert tg.masked_fill(tg.zeros(3), np.ones(3, bool), 2.0).dtype == np.float32


@given(
    shape=hnp.array_shapes(min_dims=0, max_dims=3, max_side=3),
    mask=hnp.array_shapes(min_dims=0, max_dims=3, max_side=3),
)
def test_masked_fill_broadcasts_what_it_fills(shape, mask):
    try:
        together = np.broadcast_shapes(shape, mask)
    except ValueError:
        with pytest.raises(ValueError, match="masked_fill: `mask` .* does not broadcast with `a`"):
            tg.masked_fill(tg.zeros(*shape), np.zeros(mask, bool), 1.0)
        return
    where = np.arange(np.prod(mask, dtype=int)).reshape(mask) % 2 == 0
    a, value = (tg.Tensor(np.full(s, v), requires_grad=True) for s, v in ((shape, 3.0), ((), 7.0)))
    y = tg.masked_fill(a, where, value)
    np.testing.assert_array_equal(y.detach().numpy(), np.where(np.broadcast_to(where, together), 7.0, 3.0))
    y.sum().backward()
    hits = np.broadcast_to(where, together).sum()
    assert a.grad.shape == shape
    assert (value.grad.item(), a.grad.numpy().sum()) == (hits, np.prod(together, dtype=int) - hits)


@pytest.mark.parametrize("alpha", [2, -0.5, 0, 1, np.float64(3)])
def test_index_add_adds_so_many_times(alpha):
    x, src = counting((3, 2)), counting((2, 2), 10.0)
    x, src = (tg.Tensor(a, requires_grad=True, dtype=np.float32) for a in (x, src))
    y = tg.index_add(x, 0, [2, 2], src, alpha=alpha)
    expected = x.numpy().copy()
    expected[2] += alpha * src.numpy().sum(0)
    assert y.dtype == np.float32
    np.testing.assert_allclose(y.detach().numpy(), expected)
    y.sum().backward()
    np.testing.assert_array_equal(src.grad.numpy(), np.full((2, 2), alpha, np.float32))
    assert tg.index_add(np.zeros(2), 0, [0], [3.0], alpha=2).tolist() == [6, 0]


@given(data=st.data(), reduce=st.sampled_from(["sum", "prod", "mean", "amax", "amin"]), include_self=st.booleans())
def test_scatter_reduce_with_equal_elements_and_its_gradient(data, reduce, include_self):
    """The gradient with g = 1 is that of the reduction of each place's elements, by ops of their own."""
    numbers = st.sampled_from([-1.0, 0.0, 2.0])
    x, src = (np.array(data.draw(st.lists(numbers, min_size=n, max_size=n))) for n in (3, 5))
    index = np.array(data.draw(st.lists(st.integers(-3, 2), min_size=5, max_size=5)))
    a, b, c, d = (tg.Tensor(v, requires_grad=True) for v in (x, src, x, src))
    y = tg.scatter_reduce(a, 0, index, b, reduce, include_self)
    parts = []
    for place in range(3):
        found = d[index % 3 == place]
        if include_self or not found.size:
            found = tg.concatenate([found, c[place : place + 1]])
        parts.append(getattr(tg, reduce.removeprefix("a"))(found))
    expected = tg.stack(parts) + 0 * (c.sum() + d.sum())
    np.testing.assert_allclose(y.numpy(), expected.numpy(), rtol=1e-12)
    for ours, theirs in zip(tg.gradients(y.sum(), [a, b]), tg.gradients(expected.sum(), [c, d]), strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-12)


def test_scatter_reduce_of_integers_lists_and_nothing():
    x, index = np.arange(6).reshape(2, 3), np.array([[1, 1, 0]])
    assert tg.scatter_reduce(x, 0, index, x[1:], "amax").tolist() == [[0, 1, 5], [3, 4, 5]]
    assert tg.scatter_reduce(x, 0, index, x[1:], "prod", include_self=False).tolist() == [[0, 1, 5], [3, 4, 5]]
    assert tg.scatter_reduce([1.0, 2.0], 0, [0, 0], [3.0, 5.0], "mean").tolist() == [3, 2]
    for reduce in ("sum", "prod", "mean", "amax", "amin"):
        assert tg.scatter_reduce(np.ones(2), 0, np.zeros(0, int), np.zeros(1), reduce).tolist() == [1, 1]


def test_what_is_not_zero_is_found_and_selected():
    a = tg.Tensor([[1.0, 0.0, np.nan], [0.0, -2.0, 0.0]], requires_grad=True)
    assert tg.argwhere(a).tolist() == [[0, 0], [0, 2], [1, 1]]
    for find in (tg.nonzero, np.nonzero, lambda t: t.nonzero()):
        assert [places.tolist() for places in find(a)] == [[0, 0, 1], [0, 2, 1]]
    np.testing.assert_array_equal(a[tg.nonzero(a)].numpy(), a.masked_select(a != 0).numpy())
    assert tg.argwhere(tg.Tensor(3.0)).shape == (1, 0)
    row = tg.Tensor([1.0, 2.0], requires_grad=True)
    y = tg.masked_select(row, np.array([[True, False], [True, True]]))
    assert y.tolist() == [1, 1, 2]
    y.sum().backward()
    assert row.grad.tolist() == [2, 1]


X, I, F = np.zeros((2, 3)), np.zeros((2, 3), np.int64), np.zeros((2, 3))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda x: x[5], IndexError, r"getitem: index 5 is out of bounds .* size 2 .*`a` is float64 \(2, 3\)"),
        (lambda x: x[:, [0, -4]], IndexError, "getitem: .*-4 is out of bounds"),
        (lambda x: x[0.5], IndexError, "getitem: only integers"),
        (lambda x: x[np.zeros(3, bool)], IndexError, "getitem: boolean index"),
        (lambda x: x[0, 0, 0], IndexError, "getitem: too many indices"),
        (lambda x: x[[0, 1], [0, 1, 2]], IndexError, "getitem: shape mismatch"),
        (lambda x: x.take([0, 6]), IndexError, "take: `indices` holds 6, but the axis has size 6; .* from -6 to 5"),
        (lambda x: x.take(-3, axis=0), IndexError, "take: `indices` holds -3, but the axis has size 2"),
        (lambda x: x.take(0.5), TypeError, "take: `indices` is float64; it must hold integers"),
        (lambda x: x.take(np.ones(2, bool)), TypeError, "take: `indices` is bool"),
        (lambda x: x.take(0, axis=2), IndexError, "take: axis 2 is out of bounds"),
        (lambda x: tg.take_along_axis(x, I + 3, 1), IndexError, "take_along_axis: `indices` holds 3, but .* size 3"),
        (lambda x: tg.take_along_axis(x, I[0], 1), IndexError, r"take_along_axis: `indices` \(3,\) does not fit"),
        (lambda x: tg.take_along_axis(x, np.zeros((4, 3), int), 1), IndexError, r"`indices` \(4, 3\) does not fit"),
        (lambda x: tg.put_along_axis(x, I - 3, F, 0), IndexError, "put_along_axis: `indices` holds -3, but .* size 2"),
        (lambda x: tg.put_along_axis(x, I, F[:, :2], 1), ValueError, r"put_along_axis: .*\(2, 2\).* shape \(2, 3\)"),
        (lambda x: tg.scatter_add(x, 1, I + 3, F), IndexError, "scatter_add: `index` holds 3, but .* size 3"),
        (lambda x: tg.scatter_add(x, 1, F, F), TypeError, "scatter_add: `index` is float64"),
        (lambda x: tg.scatter_add(x, 1, I, F[:1]), ValueError, r"scatter_add: `index` \(2, 3\) .* no larger than `src`"),
        (lambda x: tg.scatter_add(x, 0, np.zeros((2, 4), int), np.zeros((2, 4))), ValueError, "scatter_add: .*on axis 0"),
        (lambda x: tg.scatter_add(x, 2, I, F), ValueError, "scatter_add: axis 2 is out of bounds"),
        (lambda x: tg.scatter_reduce(x, 1, I + 3, F, "amax"), IndexError, "scatter_reduce: `index` holds 3, but .* size 3"),
        (lambda x: tg.scatter_reduce(x, 1, I, F, "max"), ValueError, "scatter_reduce: `reduce` is 'max'; .* 'sum', 'prod',"),
        (lambda x: tg.scatter_reduce(x, 1, I, F[:1], "sum"), ValueError, r"scatter_reduce: `index` \(2, 3\) must .* `src`"),
        (lambda x: tg.scatter_reduce(x, 1, I, I, "sum"), TypeError, "`x` is float64 and `src` int64; they must have one"),
        (lambda x: tg.scatter_reduce(I, 1, I, I, "mean"), TypeError, "`x` is int64 .* of floating point for a mean"),
        (lambda x: tg.masked_select(x, I), TypeError, "masked_select: `mask` is int64; it must be a Boolean"),
        (lambda x: tg.masked_select(x, X[:, :2] > 0), ValueError, r"masked_select: `mask` \(2, 2\) does not broadcast"),
        (lambda x: tg.nonzero(x[0, 0]), ValueError, "nonzero: `a` has no axis"),
        (lambda x: tg.index_add(x, 0, [0, 2], F), IndexError, "index_add: `index` holds 2, but the axis has size 2"),
        (lambda x: tg.index_add(x, 0, [0], F), ValueError, r"index_add: `src` is \(2, 3\) and `index` is \(1,\)"),
        (lambda x: tg.index_add(x, 0, I, F), ValueError, "index_add: .*`index` must be 1-D"),
        (lambda x: tg.index_add(x, 0, [0], F[:1], alpha=1j), TypeError, "index_add: `alpha` is 1j; it must be a number"),
        (lambda x: tg.index_set(x, 2, 0.0), IndexError, r"index_set: index 2 is out of bounds .*`x` has shape \(2, 3\)"),
        (lambda x: tg.index_set(x, 0, np.zeros(2)), ValueError, r"index_set: .*\(2,\).* selection's shape \(3,\)"),
        (lambda x: tg.index_set(tg.Tensor(I), 0, 0.5), TypeError, "index_set: an array of int64 cannot hold .* float64"),
        (lambda x: tg.masked_fill(x, I, 0.0), TypeError, "masked_fill: `mask` is int64; it must be a Boolean"),
        (lambda x: tg.masked_fill(x, [True], 0.0), TypeError, "masked_fill: `mask` is list"),
        (lambda x: tg.masked_fill(x, np.zeros((3, 2), bool), 0.0), ValueError, r"masked_fill: `mask` \(3, 2\)"),
        (lambda x: tg.masked_fill(x, np.zeros((2, 3), bool), np.zeros(2)), ValueError, r"masked_fill: `value` \(2,\)"),
        (lambda x: tg.masked_fill(x, np.ones(3, bool), np.zeros((4, 2, 3))), ValueError, "masked_fill: `value` .* to .2, 3."),
    ],
)  # fmt: skip
def test_bad_indices_are_refused(call, error, message):
    with pytest.raises(error, match=message):
        call(tg.Tensor(X, requires_grad=True))


def test_indices_are_checked_on_plain_arrays_too():
    with pytest.raises(IndexError, match="take: `indices` holds 3, but the axis has size 3"):
        tg.take(X, 3, axis=1)
    with pytest.raises(IndexError, match="take: .*size 0; its indices cannot exist"):
        tg.take(np.zeros(0), 0)


INTEGERS = ["i1", "i2", "i4", "u1", "u2", "u4", "u8", ">i2", ">i8", ">u8"]

BY_INDEX = {
    "take": lambda a, i: tg.take(a, i, axis=0),
    "take of all": lambda a, i: tg.take(a, i),
    "take_along_axis": lambda a, i: tg.take_along_axis(a, i[:, None], axis=0),
    "take_along_axis of all": lambda a, i: tg.take_along_axis(a, i, axis=None),
    "put_along_axis": lambda a, i: tg.put_along_axis(a, i[:, None], 5.0, axis=0),
    "getitem": lambda a, i: a[i, 1:],
    "index_set": lambda a, i: tg.index_set(a, i, 7.0),
    "index_add": lambda a, i: tg.index_add(a, 0, i, a[:3]),
    "scatter_add": lambda a, i: tg.scatter_add(a, 0, i[:, None], a),
    "scatter_reduce": lambda a, i: tg.scatter_reduce(a, 0, i[:, None], a, "prod"),
    "scatter_reduce of extremes": lambda a, i: tg.scatter_reduce(a, 0, i[:, None], a, "amax", include_self=False),
    "embedding": lambda a, i: tg.embedding(i, a),
    "one_hot": lambda a, i: tg.one_hot(i, num_classes=4) @ a,
    "cross_entropy": lambda a, i: tg.cross_entropy(a.T, i, ignore_index=-100),
    "roll": lambda a, i: tg.roll(a, i[0], 1),
    "roll of two": lambda a, i: tg.roll(a, i[:2], (0, 1)),
}


@pytest.mark.parametrize("dtype", INTEGERS)
@pytest.mark.parametrize("f", BY_INDEX.values(), ids=BY_INDEX.keys())
def test_integers_of_any_dtype_select(f, dtype):
    """As int64 does; NumPy has exceptions for unsigned integers and for another byte order, old versions even a crash."""
    found = []
    for kind in ("i8", dtype):
        a = tg.Tensor(np.arange(12.0).reshape(4, 3), requires_grad=True)
        y = f(a, np.array([3, 2, 1], kind))
        (y * y).sum().backward()
        found.append((y.numpy(), a.grad.numpy()))
    for expected, y in zip(*found, strict=True):
        np.testing.assert_array_equal(y, expected, strict=True)


SEQUENCES = [range(2), collections.deque([2, 0]), (range(2), 1), ((0, 2), slice(1, 3)), np.array([0, 2], ">i8")]


@pytest.mark.parametrize("index", SEQUENCES)
def test_any_sequence_of_integers_is_an_index(index):
    a = np.arange(12.0).reshape(3, 4)
    x = tg.Tensor(a, requires_grad=True)
    f = tg.compile(lambda x: x[index] * 2)
    for found in (x[index] * 2, f(x), f(x)):
        np.testing.assert_array_equal(found.numpy(), a[index] * 2)
    (g,) = tg.gradients(x[index].sum(), x)
    expected = np.zeros((3, 4))
    expected[index] = 1
    np.testing.assert_array_equal(g.numpy(), expected)
