"""Making Tensors, asking them, and what dtype they have."""

from __future__ import annotations

import copy
import pickle
from dataclasses import asdict, dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import tinygrad_cnn as tg

DTYPES = [np.float16, np.float32, np.float64, np.int8, np.int32, np.int64, np.uint8, np.bool_]
arrays = hnp.arrays(
    st.sampled_from(DTYPES), hnp.array_shapes(min_dims=0, min_side=0), elements={"min_value": 0, "max_value": 1}
)


@pytest.fixture
def default_dtype():
    yield
    tg.set_default_dtype(np.float32)


@given(arrays)
def test_an_array_keeps_its_dtype_and_is_copied(a):
    t = tg.Tensor(a)
    assert (t.shape, t.ndim, t.size, t.dtype) == (a.shape, a.ndim, a.size, a.dtype)
    np.testing.assert_array_equal(t.numpy(), a)
    assert not np.shares_memory(t.numpy(), a)
    assert not t.requires_grad
    assert t.is_leaf
    assert t.grad is None
    assert t.tolist() == a.tolist()


@given(arrays)
def test_from_numpy_shares_and_numpy_is_a_read_only_view(a):
    t = tg.from_numpy(a)
    assert a.size == 0 or np.shares_memory(t.numpy(), a)
    assert not t.numpy().flags.writeable
    assert not np.asarray(t).flags.writeable
    assert a.flags.writeable
    with pytest.raises(ValueError, match="read-only"):
        t.numpy()[...] = 1
    if a.size:
        a[...] = 1 - a
        np.testing.assert_array_equal(t.numpy(), a)
    assert np.array(t).flags.writeable


@pytest.mark.parametrize(
    ("data", "dtype"),
    [
        (1, np.float32), (2.5, np.float32), ([1, 2], np.float32), ([[1.0], [2.0]], np.float32), ((1, 2), np.float32),
        ([], np.float32), (range(3), np.float32), (True, np.bool_), ([True, False], np.bool_),
        (np.float64(1), np.float64), (np.int64(1), np.int64), (np.arange(2), np.int64),
    ],
)  # fmt: skip
def test_python_numbers_become_the_default_dtype_and_numpy_ones_keep_theirs(data, dtype):
    assert tg.Tensor(data).dtype == dtype


def test_the_default_dtype_can_be_set(default_dtype):
    tg.set_default_dtype(np.float64)
    assert tg.get_default_dtype() == np.float64
    made = [
        tg.Tensor(1),
        tg.Tensor([1, 2]),
        tg.zeros(2),
        tg.ones(2),
        tg.eye(2),
        tg.full(2, 1.0),
        tg.rand(2),
        tg.randn(2),
    ]
    assert {t.dtype for t in made} == {np.dtype(np.float64)}
    with pytest.raises(TypeError, match="set_default_dtype: `dtype` is int64; it must be a floating-point dtype"):
        tg.set_default_dtype(int)
    assert tg.get_default_dtype() == np.float64


@pytest.mark.parametrize("dtype", DTYPES)
def test_dtype_converts(dtype):
    assert tg.Tensor([0, 1], dtype=dtype).dtype == dtype
    assert tg.Tensor(np.zeros(2), dtype=dtype).dtype == dtype


@pytest.mark.parametrize("data", ["text", None, object(), ["a"], [None], {"a": 1}, np.array(["a"]), 10**40])
def test_what_is_not_a_number_is_refused(data):
    with pytest.raises(TypeError, match="Tensor: `data` has dtype .*; it must hold numbers or Booleans"):
        tg.Tensor(data)


def test_a_ragged_list_is_refused():
    with pytest.raises(ValueError, match="Tensor: `data` is not a full array of numbers"):
        tg.Tensor([[1, 2], [3]])


@pytest.mark.parametrize("dtype", [np.int64, np.bool_, np.uint8])
def test_only_floating_point_tensors_require_gradients(dtype):
    with pytest.raises(TypeError, match="requires_grad: only floating-point Tensors have gradients"):
        tg.Tensor(np.zeros(2, dtype), requires_grad=True)
    t = tg.Tensor(np.zeros(2, dtype))
    with pytest.raises(TypeError, match=r"astype\(np.float32\)"):
        t.requires_grad = True
    assert not t.requires_grad


def test_requires_grad_is_also_set_by_a_method():
    x = tg.ones(2)
    assert x.requires_grad_() is x
    assert x.requires_grad
    assert not x.requires_grad_(False).requires_grad
    with pytest.raises(TypeError, match="requires_grad: only floating-point Tensors have gradients"):
        tg.Tensor(np.zeros(2, int)).requires_grad_()
    with pytest.raises(RuntimeError, match="requires_grad: this Tensor is the result of"):
        (x.requires_grad_() * 2).requires_grad_(False)


def test_the_gradient_of_a_result_is_asked_for_in_vain():
    """As in a loop with w = w - lr * w.grad, whose second step finds no gradient."""
    w = tg.Tensor([1.0, 2.0], requires_grad=True)
    w.sum().backward()
    w = w - 0.1 * w.grad
    w.sum().backward()
    with pytest.warns(UserWarning, match=r"result of `sub` .*w\.detach\(\)\.requires_grad_\(\)") as caught:
        assert w.grad is None
    assert caught[0].filename == __file__
    w = w.detach().requires_grad_()
    w.sum().backward()
    assert w.grad.tolist() == [1.0, 1.0]
    assert tg.ones(2).grad is None


def test_requires_grad_is_set_on_leaves_only():
    x = tg.Tensor([1.0], requires_grad=True)
    y = x * 2
    assert x.is_leaf
    assert not y.is_leaf
    with pytest.raises(RuntimeError, match="result of `mul` and not a leaf; use detach"):
        y.requires_grad = False
    assert y.requires_grad
    x.requires_grad = False
    assert not x.requires_grad
    assert not (x * 2).requires_grad


class TestDtypeOfResults:
    @pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
    @pytest.mark.parametrize("scalar", [2, 2.5, True, np.float64(2.5), np.float32(2), np.int64(3), [2.0], [1, 2]])
    @pytest.mark.parametrize("op", [tg.add, tg.sub, tg.mul, tg.div, tg.pow, tg.maximum, tg.minimum])
    def test_a_scalar_or_list_beside_a_tensor_never_promotes_it(self, dtype, scalar, op):
        x = tg.Tensor(np.array([1.0, 2.0], dtype), requires_grad=True)
        expected = np.result_type(dtype, np.float32) if isinstance(scalar, list) else dtype  # a list is Tensor(list)
        for y in (op(x, scalar), op(scalar, x)):
            assert y.dtype == expected
            y.sum().backward()
            assert x.grad.dtype == dtype

    @pytest.mark.parametrize("x", [tg.Tensor(np.array([1.0, 2.0])), tg.Tensor(np.array([1.0, 2.0], np.float32))])
    def test_a_list_beside_a_tensor_has_all_the_digits_that_the_tensor_has(self, x):
        numbers = [1.1, 2**24 + 1]
        exact = np.array(numbers, x.dtype)
        for y in (x + numbers, numbers + x, np.add(x, numbers), tg.add([numbers], x)[0], tg.add(numbers, 1 * x)):
            assert y.tolist() == (x.numpy() + exact).tolist()
        assert tg.concatenate([x, numbers]).tolist() == [1.0, 2.0, *exact.tolist()]
        assert np.concatenate([numbers, x]).tolist() == [*exact.tolist(), 1.0, 2.0]
        assert tg.where([True, False], x, numbers).tolist() == [1.0, exact[1]]
        assert tg.clip(x, numbers, None).tolist() == [exact[0], exact[1]]
        assert tg.concatenate([x, [True]]).tolist() == [1.0, 2.0, 1.0]

    def test_operators_agree_with_the_functions_from_both_sides(self):
        x = tg.Tensor([1.0, 2.0])
        for scalar in (3, 2.5, np.float64(2.5), np.float32(2.0)):
            for y in (x + scalar, scalar + x, x - scalar, scalar - x, x * scalar, scalar * x, x / scalar, scalar / x,
                      x**scalar, scalar**x):  # fmt: skip
                assert y.dtype == np.float32
        np.testing.assert_allclose((3 - x).numpy(), [2, 1])
        np.testing.assert_allclose((3 / x).numpy(), [3, 1.5])
        np.testing.assert_allclose((3**x).numpy(), [3, 9])
        np.testing.assert_allclose((-x).numpy(), [-1, -2])
        np.testing.assert_allclose(abs(-x).numpy(), [1, 2])
        np.testing.assert_allclose((np.eye(2, dtype=np.float32) @ x).numpy(), [1, 2])
        assert (+x) is x

    def test_mixed_arrays_promote_as_numpy_and_each_gradient_keeps_its_own_dtype(self):
        x = tg.Tensor(np.ones(2, np.float32), requires_grad=True)
        w = tg.Tensor(np.ones(2, np.float64), requires_grad=True)
        y = x * w
        assert y.dtype == np.float64
        y.sum().backward()
        assert (x.grad.dtype, w.grad.dtype) == (np.float32, np.float64)


def test_astype_is_recorded_between_floating_dtypes_only():
    x = tg.Tensor([1.5, 2.5], requires_grad=True)
    y = x.astype(np.float64)
    assert y.dtype == np.float64
    (y * y).sum().backward()
    assert x.grad.dtype == np.float32
    np.testing.assert_allclose(x.grad.numpy(), [3, 5])
    assert not x.astype(np.int64).requires_grad
    assert x.astype(np.int64).tolist() == [1, 2]


def test_item_and_conversions():
    assert tg.Tensor([[2.5]]).item() == 2.5
    assert float(tg.Tensor(2.5)) == 2.5
    assert int(tg.Tensor(2.5)) == 2
    assert [10, 20, 30][tg.Tensor(np.int64(1))] == 20
    assert bool(tg.Tensor([0.5])) is True
    assert f"{tg.Tensor(2.0):.3f}" == "2.000"
    with pytest.raises(ValueError, match=r"item: the Tensor has shape \(2,\); it must have exactly one element"):
        tg.ones(2).item()
    with pytest.raises(ValueError, match=r"truth value of a Tensor of shape \(2,\) is ambiguous"):
        bool(tg.ones(2))
    with pytest.raises(
        TypeError, match=r"only integer Tensors without axes can be an index, not float32 of shape \(\)"
    ):
        [1, 2][tg.Tensor(1.0)]
    assert np.eye(4)[tg.Tensor(np.array([2]))].shape == (1, 4)  # as with an array, by a compiled function, too
    with pytest.raises(TypeError, match=r"not int64 of shape \(1,\)"):
        [1, 2][tg.Tensor(np.array([1], np.int64))]


@pytest.mark.parametrize("dtype", [object, "U5", "datetime64[s]"])
def test_other_things_than_numbers_are_no_dtype_of_a_tensor(dtype):
    for x in (tg.ones(2), tg.Tensor([1.0], requires_grad=True)):
        with pytest.raises(TypeError, match="a Tensor holds numbers or Booleans"):
            x.astype(dtype)


def test_length_iteration_and_membership():
    x = tg.Tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    assert len(x) == 2
    rows = list(x)
    assert [row.tolist() for row in rows] == [[1, 2], [3, 4]]
    (rows[1] * rows[0]).sum().backward()
    assert x.grad.tolist() == [[3, 4], [1, 2]]
    assert 3.0 in x
    assert 5.0 not in x
    with pytest.raises(TypeError, match="len: a 0-d Tensor"):
        len(tg.Tensor(1.0))
    with pytest.raises(TypeError, match="iteration: a 0-d Tensor"):
        iter(tg.Tensor(1.0))


def test_comparisons_give_boolean_tensors_and_hash_is_identity():
    a, b = tg.Tensor([1.0, 2.0, 3.0]), tg.Tensor([3.0, 2.0, 1.0])
    for result, expected in [
        (a == b, [False, True, False]), (a != b, [True, False, True]), (a < b, [True, False, False]),
        (a <= b, [True, True, False]), (a > b, [False, False, True]), (a >= 2, [False, True, True]),
        ((a > 1) & (b > 1), [False, True, False]), ((a > 2) | (b > 2), [True, False, True]),
        ((a > 2) ^ (b > 0), [True, True, False]), (~(a > 1), [True, False, False]),
    ]:  # fmt: skip
        assert isinstance(result, tg.Tensor)
        assert result.dtype == np.bool_
        assert result.tolist() == expected
    same = tg.Tensor([1.0, 2.0, 3.0])
    assert len({a, b, same}) == 3
    assert {a: 1}[a] == 1


def test_repr_shows_values_dtype_and_the_op():
    x = tg.Tensor([1.0, 2.0], requires_grad=True)
    assert repr(x) == "Tensor([1., 2.], dtype=float32, requires_grad=True)"
    assert repr(x * 2) == "Tensor([2., 4.], dtype=float32, op=mul)"
    assert repr(tg.Tensor(np.arange(2))) == "Tensor([0, 1], dtype=int64)"
    assert "..." in repr(tg.zeros(10_000))


def test_detach_shares_memory_outside_the_graph():
    x = tg.Tensor([1.0, 2.0], requires_grad=True)
    d = (x * 2).detach()
    assert not d.requires_grad
    assert np.shares_memory(x.detach().numpy(), x.numpy())


@dataclass
class Batch:
    x: tg.Tensor


DUPLICATES = {
    "pickle": lambda t: pickle.loads(pickle.dumps(t)),
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "deepcopy of a list": lambda t: copy.deepcopy([t])[0],
    "asdict": lambda t: asdict(Batch(t))["x"],
}


@pytest.mark.parametrize("name", DUPLICATES)
def test_pickling_and_copying_a_leaf(name):
    x = tg.Tensor([1.0, 2.0], requires_grad=True)
    for t in (x, x.detach()):
        a = DUPLICATES[name](t)
        assert a.tolist() == [1, 2]
        assert a.requires_grad == t.requires_grad
        assert a.is_leaf
        assert not np.shares_memory(a.numpy(), x.numpy())


@pytest.mark.parametrize("name", DUPLICATES)
def test_pickling_and_copying_what_is_recorded_would_lose_its_gradient(name):
    duplicate, x = DUPLICATES[name], tg.Tensor([1.0, 2.0], requires_grad=True)
    with pytest.raises(RuntimeError, match=r"this one is the result of `mul`, and .* t\.detach\(\) .* Tensor\(t\)"):
        duplicate(x * 2)
    assert duplicate((x * 2).detach()).tolist() == [2, 4]
    with pytest.raises(RuntimeError, match="this one is the argument of a function that is differentiated"):
        tg.grad(lambda x: (duplicate(x) * x).sum())(x.detach())
    tg.Tensor(x * 2).sum().backward()
    assert x.grad.tolist() == [2, 2]


def test_copy_writes_a_leaf_in_place():
    x = tg.Tensor([1.0, 2.0], requires_grad=True)
    before = x.numpy()
    assert x.copy_([3, 4]) is x
    assert before.tolist() == [3, 4]
    with pytest.raises(ValueError, match=r"copy_: `source` has shape \(3,\), which does not broadcast to \(2,\)"):
        x.copy_(np.zeros(3))
    with pytest.raises(RuntimeError, match="result of `mul`; nothing recorded is ever written"):
        (x * 2).copy_([1, 2])
    y = x * 2
    with tg.no_grad(), pytest.raises(RuntimeError, match="nothing recorded is ever written"):
        y.copy_([1, 2])
    assert y.tolist() == [6, 8]
    with pytest.raises(TypeError, match="copy_: `source` is float64, which does not become int64; convert it"):
        tg.Tensor(np.arange(2)).copy_(np.ones(2))
    assert x.tolist() == [3, 4]


def test_copy_does_not_lose_the_gradient_of_what_it_copies():
    x, target = tg.Tensor([1.0, 2.0], requires_grad=True), tg.zeros(2)
    for source in (x * 2, [x[0], 4.0]):
        with pytest.raises(
            RuntimeError, match=r"copy_: `source` is the result of `(mul|concatenate)`.* source\.detach\(\) .*no_grad"
        ):
            target.copy_(source)
    assert target.tolist() == [0, 0]
    assert target.copy_((x * 2).detach()).tolist() == [2, 4]
    with tg.no_grad():
        assert target.copy_(x * 3).tolist() == [3, 6]
    assert target.copy_(x).tolist() == [1, 2]  # of a leaf, as for the average of weights


def test_copy_does_not_write_the_argument_of_a_function_that_is_differentiated():
    x = tg.Tensor([1.0, 2.0])
    with pytest.raises(RuntimeError, match="copy_: this Tensor is the argument of a function that is differentiated"):
        tg.grad(lambda t: t.copy_([0.0, 0.0]).sum())(x)
    assert x.tolist() == [1, 2]
    with pytest.raises(RuntimeError, match="copy_: `source` is the argument of a function that is differentiated"):
        tg.grad(lambda t: (tg.zeros(2).copy_(t) * t).sum())(x)


def test_grad_can_be_set_and_is_checked():
    x = tg.Tensor([1.0, 2.0], requires_grad=True)
    x.grad = tg.Tensor([5.0, 6.0])
    assert x.grad.tolist() == [5, 6]
    for wrong, error, message in [
        (tg.ones(3), ValueError, r"grad: the value is float32 \(3,\) but the Tensor is float32 \(2,\)"),
        (tg.Tensor(np.ones(2)), ValueError, "float64"),
        (np.ones(2), TypeError, "grad: the value is a ndarray; it must be a Tensor or None"),
    ]:
        with pytest.raises(error, match=message):
            x.grad = wrong
    assert x.grad.tolist() == [5, 6]
    x.zero_grad()
    assert x.grad is None
    with pytest.raises(RuntimeError, match="result of `mul` and not a leaf"):
        (x * 2).grad = tg.ones(2)


def test_methods_are_the_functions():
    x = tg.Tensor([[1.0, -2.0], [3.0, 4.0]])
    at = np.array([[0, 1], [1, 1]])
    for method, function in [
        (x.gelu(), tg.gelu(x)),
        (x.silu(), tg.silu(x)),
        (x.softplus(), tg.softplus(x)),
        (x.pow(2), tg.pow(x, 2)),
        (x.pad(1), tg.pad(x, 1)),
        (x.tile((2, 1)), tg.tile(x, (2, 1))),
        (x.tril(), tg.tril(x)),
        (x.triu(1), tg.triu(x, 1)),
        (x.scatter_add(0, at, x), tg.scatter_add(x, 0, at, x)),
    ]:
        np.testing.assert_array_equal(method.numpy(), function.numpy())
