"""Empty and 0-d arrays, empty tuples, NumPy integers and every dtype as arguments: NumPy's answer, or both refuse."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import tinygrad_cnn as tg

shapes = hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3)
dtypes = st.sampled_from([np.bool_, np.int8, np.uint8, np.int64, np.float32, np.float64])
axis = st.sampled_from([0, 1, -1, 2, np.int64(0), np.int64(-1)])
axes = st.one_of(axis, st.none(), st.lists(st.integers(-2, 1), max_size=2).map(tuple))
places = axes.filter(lambda a: a is not None)
few = st.lists(st.integers(-3, 3), max_size=3)
counts = st.one_of(st.integers(0, 2), st.lists(st.integers(0, 2), max_size=3), st.just(()), st.just(np.int64(2)))
pairs = st.tuples(st.integers(0, 2), st.integers(0, 2))

CALLS = {
    **{name: st.fixed_dictionaries({"axis": axes}, optional={"keepdims": st.booleans()})
       for name in ("sum", "mean", "max", "min", "prod", "any", "all", "var", "std")},
    **{name: st.fixed_dictionaries({"axis": axes}) for name in ("flip", "squeeze", "expand_dims")},
    **{name: st.fixed_dictionaries({"axis": st.one_of(axis, st.none())}) for name in ("argmax", "argmin", "cumsum", "cumprod")},
    "transpose": st.fixed_dictionaries({"axes": axes}),
    "swapaxes": st.fixed_dictionaries({"axis1": axis, "axis2": axis}),
    "moveaxis": st.fixed_dictionaries({"source": places, "destination": places}),
    "repeat": st.fixed_dictionaries({"repeats": counts, "axis": st.one_of(axis, st.none())}),
    "roll": st.fixed_dictionaries({"shift": st.one_of(st.integers(-4, 4), few, few.map(tuple)), "axis": axes}),
    "tile": st.fixed_dictionaries({"reps": counts}),
    "pad": st.fixed_dictionaries({"pad_width": st.one_of(st.integers(0, 2), pairs, st.lists(pairs, max_size=3)),
                                  "mode": st.sampled_from(["constant", "edge", "wrap", "reflect", "symmetric"])}),
    "reshape": st.fixed_dictionaries({"shape": st.one_of(st.integers(-1, 3), few.map(tuple))}),
    "broadcast_to": st.fixed_dictionaries({"shape": st.lists(st.integers(0, 3), max_size=4).map(tuple)}),
    "take": st.fixed_dictionaries({"indices": st.sampled_from([[], 0, [0], [0, 0]]), "axis": st.one_of(axis, st.none())}),
    "split": st.fixed_dictionaries({"indices_or_sections": st.one_of(st.integers(1, 3), few), "axis": axis}),
    "array_split": st.fixed_dictionaries({"indices_or_sections": st.one_of(st.integers(1, 3), few), "axis": axis}),
    "diagonal": st.fixed_dictionaries({"offset": st.integers(-3, 3)}),
    "diag": st.fixed_dictionaries({"k": st.integers(-3, 3)}),
    "tril": st.fixed_dictionaries({"k": st.integers(-3, 3)}),
    "triu": st.fixed_dictionaries({"k": st.integers(-3, 3)}),
    "ravel": st.just({}),
}  # fmt: skip


def outcome(call):
    """What a call gives as a list of arrays, or None if it refuses."""
    with np.errstate(all="ignore"):
        try:
            result = call()
        except (ValueError, TypeError, IndexError):
            return None
    return result if isinstance(result, list) else [result]


def documented(name, shape, how):
    """Where the library's own rules, which its docstrings state, are stricter than NumPy."""
    if name in ("tril", "triu"):
        return len(shape) < 2
    if name == "take" and 0 not in np.shape(how["indices"]):  # an index outside an axis, even of an empty array
        return 0 in shape
    return False


@pytest.mark.parametrize("axis", [None, 0])
@pytest.mark.parametrize("shape", [(), (3,), (3, 2)])
def test_the_gradient_of_nothing_taken(shape, axis):
    x = tg.ones(*shape, requires_grad=True) if shape else tg.Tensor(1.0, requires_grad=True)
    tg.take(x, [], axis=axis).sum().backward()
    assert np.array_equal(x.grad.numpy(), np.zeros(shape))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # means of nothing
@pytest.mark.parametrize("name", CALLS)
@given(shape=shapes, dtype=dtypes, data=st.data())
def test_corners_are_numpys(name, shape, dtype, data):
    how = data.draw(CALLS[name], label="arguments")
    assume(not documented(name, shape, how))
    a = (np.arange(np.prod(shape, dtype=int)) % 5).reshape(shape).astype(dtype)
    by_position = name == "reshape"  # whose keyword was another one in NumPy 2.0
    expected = outcome(lambda: np.reshape(a, how["shape"]) if by_position else getattr(np, name)(a, **how))
    x = tg.Tensor(a, requires_grad=a.dtype.kind == "f")
    for given_as in (a, x):
        results = outcome(lambda given_as=given_as: getattr(tg, name)(given_as, **how))
        assert (results is None) == (expected is None), (results, expected)
        for result, wanted in zip(results or [], expected or [], strict=True):
            value = np.asarray(result.detach() if isinstance(result, tg.Tensor) else result)
            assert value.shape == np.shape(wanted)
            assert value.dtype == np.asarray(wanted).dtype
            np.testing.assert_allclose(value, wanted, rtol=1e-6)
            if isinstance(result, tg.Tensor) and result.requires_grad:
                (g,) = tg.gradients(result, x, np.ones(result.shape, result.dtype))
                assert (g.shape, g.dtype) == (x.shape, x.dtype)


@given(st.sampled_from(["matmul", "dot", "inner", "outer"]), shapes, shapes)
def test_products_of_nothing_are_numpys_and_their_gradients_have_the_inputs_shapes(name, one, other):
    a, b = np.ones(one), np.ones(other)
    expected = outcome(lambda: getattr(np, name)(a, b))
    x, w = tg.Tensor(a, requires_grad=True), tg.Tensor(b, requires_grad=True)
    results = outcome(lambda: getattr(tg, name)(x, w))
    assert (results is None) == (expected is None)
    if results is not None:
        np.testing.assert_array_equal(results[0].detach().numpy(), expected[0])
        gradients = tg.gradients(results[0], [x, w], np.ones(results[0].shape))
        assert [g.shape for g in gradients] == [one, other]


@pytest.mark.parametrize(
    ("one", "other"), [((5, 5, 0), (0, 5)), ((2, 0, 3), (3, 4)), ((2, 3, 4), (4, 0)), ((0, 2, 0), (0, 5))]
)
def test_the_gradient_of_a_product_over_an_empty_axis_is_zeros(one, other):
    x, w = tg.ones(*one), tg.ones(*other)
    x.requires_grad = w.requires_grad = True
    y = x @ w
    np.testing.assert_array_equal(y.detach().numpy(), np.ones(one) @ np.ones(other))
    y.sum().backward()
    np.testing.assert_array_equal(w.grad.numpy(), np.full(other, np.prod(one[:-1], dtype=float)))
    assert x.grad.shape == one
    layer = tg.linear(x, w.detach().T)
    np.testing.assert_array_equal(layer.detach().numpy(), y.detach().numpy())
