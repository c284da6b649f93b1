"""Einstein summation: NumPy's value for any subscripts, exact derivatives, and errors that name the operand."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import tinygrad_cnn as tg
from tinygrad_cnn.testing import assert_gradients
from tinygrad_cnn.testing.strategies import einsum_subscripts


def integers(shapes):
    """Arrays of small whole numbers, so that sums are exact in any order."""
    rng = np.random.default_rng(0)
    return [rng.integers(-3, 4, shape).astype(np.float64) for shape in shapes]


def by_loops(subscripts, arrays):
    """The definition: one loop per letter, for explicit subscripts without an ellipsis."""
    left, out = subscripts.split("->")
    terms = left.split(",")
    sizes = {c: n for term, a in zip(terms, arrays, strict=True) for c, n in zip(term, a.shape, strict=True)}
    y = np.zeros([sizes[c] for c in out])
    for values in itertools.product(*(range(n) for n in sizes.values())):
        at = dict(zip(sizes, values, strict=True))
        product = np.prod([a[tuple(at[c] for c in term)] for term, a in zip(terms, arrays, strict=True)])
        y[tuple(at[c] for c in out)] += product
    return y


@pytest.mark.parametrize(
    ("subscripts", "shapes"),
    [
        ("ij,jk->ik", [(2, 3), (3, 2)]), ("iij->j", [(2, 2, 3)]), ("iijj->ij", [(2, 2, 3, 3)]), ("ij,kl->", [(2, 2), (3, 1)]),
        ("ab,bc,ca->", [(2, 3), (3, 2), (2, 2)]), ("i,j->ji", [(2,), (3,)]), (",->", [(), ()]), ("ij->ji", [(2, 3)]),
    ],
)  # fmt: skip
def test_value_is_the_definitions(subscripts, shapes):
    arrays = integers(shapes)
    np.testing.assert_array_equal(tg.einsum(subscripts, *arrays), by_loops(subscripts, arrays))


@given(einsum_subscripts())
@example(("...,...i->...i", ((2, 3), (3, 2))))  # "..." is aligned at the right
def test_value_is_numpys_for_any_subscripts(drawn):
    subscripts, shapes = drawn
    arrays = integers(shapes)
    expected = np.einsum(subscripts, *arrays, optimize=True)
    y = tg.einsum(subscripts, *map(tg.Tensor, arrays))
    assert y.shape == np.shape(expected)
    np.testing.assert_array_equal(y.numpy(), expected)
    np.testing.assert_array_equal(tg.einsum(" ".join(subscripts).replace(". . .", "..."), *arrays), expected)
    np.testing.assert_array_equal(np.einsum(subscripts, *map(tg.Tensor, arrays), optimize=True).numpy(), expected)


@given(einsum_subscripts())
def test_the_form_with_lists_is_the_form_with_letters(drawn):
    subscripts, shapes = drawn
    arrays = integers(shapes)

    def numbers(term):
        return [... if c == "." else "abcd".index(c) for c in term.replace("...", ".")]

    left, arrow, right = subscripts.partition("->")
    args = [x for pair in zip(arrays, map(numbers, left.split(",")), strict=True) for x in pair]
    args += [numbers(right)] if arrow else []
    np.testing.assert_array_equal(tg.einsum(*args), tg.einsum(subscripts, *arrays))


@given(einsum_subscripts(), st.data())
def test_gradients_are_the_linear_maps_coefficients(drawn, data):
    """einsum is linear in each operand, so its gradient, times the operand, is <y, g> again, and so at second order."""
    subscripts, shapes = drawn
    xs = [tg.Tensor(a, requires_grad=True) for a in integers(shapes)]
    y = tg.einsum(subscripts, *xs)
    u = tg.Tensor(np.random.default_rng(1).integers(-3, 4, y.shape).astype(np.float64), requires_grad=True)
    grads = tg.gradients(y, xs, u, create_graph=True)
    total = (y * u).sum().item()
    for x, g in zip(xs, grads, strict=True):
        assert g.shape == x.shape
        assert (g * x).sum().item() == total
        back = tg.gradients(g, [*xs, u], x.detach(), retain_graph=True, allow_unused=True)
        for z, h in zip([*xs, u], back, strict=True):
            assert h is None if z is x else (h * z).sum().item() == total
    which = data.draw(st.integers(0, len(xs) - 1))
    moved = xs[which].numpy() + 1
    others = [moved if i == which else x.numpy() for i, x in enumerate(xs)]
    change = (tg.einsum(subscripts, *others) - y.numpy()) * u.numpy()
    assert change.sum() == grads[which].numpy().sum()


@pytest.mark.parametrize(
    ("subscripts", "shapes"),
    [("iij,jk,...->...k", [(2, 2, 3), (3, 2), (2, 1)]), ("ii,ij,ij->j", [(2, 2), (2, 3), (1, 3)])],
)
def test_derivatives_of_a_function_of_one_input_are_exact_to_third_order(subscripts, shapes):
    xs = [a / 4 + 0.3 for a in integers(shapes)]
    assert_gradients(lambda *xs: tg.einsum(subscripts, *(x * x for x in xs)), *xs, order=3, budget=4)


def test_python_numbers_do_not_promote_and_float32_stays():
    x = tg.ones(3, requires_grad=True)
    y = tg.einsum(",i->i", 2.0, x)
    assert y.dtype == np.float32
    y.sum().backward()
    assert x.grad is not None
    assert x.grad.dtype == np.float32
    np.testing.assert_array_equal(x.grad.numpy(), [2.0, 2.0, 2.0])


A, B = np.zeros((2, 3)), np.zeros((3, 4))


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("ij,jk->ik", A), "'ij,jk->ik' name 2 operands but 1 were given"),
        (("ij->ij", A, B), "name 1 operands but 2 were given"),
        (("ij",), "name 1 operands but 0 were given"),
        ((), "name 1 operands but 0"),
        (("ij,jkl->i", A, B), r"operand 1 has shape \(3, 4\), 2 axes, but its subscripts 'jkl' name 3"),
        (("i,jk->i", A, B), "operand 0 .* 2 axes, but its subscripts 'i' name 1; name every axis, or let"),
        (("...ijk->i", A), "operand 0 .* subscripts '...ijk' name 3"),
        (("ij,kj->ik", A, B), r"axis 'j' of operand 1 \(3, 4\) has size 4 but was 3 before"),
        (("ii->i", A), r"axis 'i' of operand 0 \(2, 3\) has size 3 but was 2 before"),
        (("ii->i", A[:1]), r"axis 'i' of operand 0 \(1, 3\) has size 3 but was 1 before"),
        (("...,...->...", A, B), r"an axis of '...' of operand 1 \(3, 4\) has size"),
        (("i1->i", A), "subscripts of operand 0 are 'i1' .* must be letters"),
        (("i..j->i", A), "subscripts of operand 0 are 'i..j'"),
        (("...i...->i", A), "subscripts of operand 0 are '...i...'"),
        (("ij->i->j", A), "subscripts of the output are 'i->j'"),
        (("ij->ii", A), "output 'ii' has 'i', which must occur once"),
        (("ij->ik", A), "output 'ik' has 'k', which must occur once in it and at least once in the operands"),
        ((A, [0, 52]), r"\[0, 52\] is not a list of axis numbers"),
        ((A, [0, -1]), r"\[0, -1\] is not a list of axis numbers"),
        ((A, 0), "0 is not a list of axis numbers"),
    ],
)  # fmt: skip
def test_bad_subscripts_are_refused(args, message):
    tensors = [tg.Tensor(x) if isinstance(x, np.ndarray) else x for x in args]
    with pytest.raises(ValueError, match=f"^einsum: .*{message}"):
        tg.einsum(*tensors)
