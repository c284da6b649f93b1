"""Random graphs of ops, with values used again, dead branches and constants, against a scalar engine of forty lines."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_cnn as tg
from tinygrad_cnn.testing import assert_gradients
from tinygrad_cnn.testing.expressions import OPERATIONS
from tinygrad_cnn.testing.strategies import arrays, expressions


class Value:
    """A number that knows the numbers it was made from, and the derivative by each."""

    def __init__(self, number, parents=()):
        self.number, self.parents, self.grad = number, parents, 0.0

    def backward(self):
        order, seen = [], set()

        def visit(value):
            if value not in seen:
                seen.add(value)
                for parent, _ in value.parents:
                    visit(parent)
                order.append(value)

        visit(self)
        self.grad = 1.0
        for value in reversed(order):
            for parent, derivative in value.parents:
                parent.grad += value.grad * derivative


def unary(f, derivative):
    return lambda a: Value(f(a.number), [(a, derivative(a.number))])


def binary(f, by_a, by_b):
    def apply(a, b):
        b = b if isinstance(b, Value) else Value(b)
        x, y = a.number, b.number
        return Value(f(x, y), [(a, by_a(x, y)), (b, by_b(x, y))])

    return apply


REFERENCE = {
    "neg": unary(lambda a: -a, lambda a: -1.0),
    "add": binary(lambda a, b: a + b, lambda a, b: 1.0, lambda a, b: 1.0),
    "sub": binary(lambda a, b: a - b, lambda a, b: 1.0, lambda a, b: -1.0),
    "mul": binary(lambda a, b: a * b, lambda a, b: b, lambda a, b: a),
    "tanh": unary(math.tanh, lambda a: 1 - math.tanh(a) ** 2),
    "bump": unary(lambda a: math.exp(-a * a), lambda a: -2 * a * math.exp(-a * a)),
    "log1p_square": unary(lambda a: math.log(a * a + 1), lambda a: 2 * a / (a * a + 1)),
    "norm1": unary(lambda a: math.sqrt(a * a + 1), lambda a: a / math.sqrt(a * a + 1)),
    "ratio": binary(
        lambda a, b: a / (b * b + 1), lambda a, b: 1 / (b * b + 1), lambda a, b: -2 * a * b / (b * b + 1) ** 2
    ),
    "abs": unary(abs, lambda a: float(np.sign(a))),
    "relu": unary(lambda a: max(a, 0.0), lambda a: float(a > 0)),
    "maximum": binary(max, lambda a, b: (a > b) + (a == b) / 2, lambda a, b: (b > a) + (a == b) / 2),
    "minimum": binary(min, lambda a, b: (a < b) + (a == b) / 2, lambda a, b: (b < a) + (a == b) / 2),
}


def test_the_reference_knows_every_operation():
    assert REFERENCE.keys() == OPERATIONS.keys()


@given(f=expressions(inputs=3, max_steps=10, smooth=False), data=st.data())
def test_values_and_gradients_are_the_reference_s(f, data):
    xs = [data.draw(arrays((2,), low=-1.0, high=1.0)) for _ in range(3)]
    tensors = [tg.Tensor(x, requires_grad=True) for x in xs]
    y = f(*tensors)
    reference = [[Value(float(x[i])) for x in xs] for i in range(2)]
    results = [f.evaluate(REFERENCE, *values) for values in reference]
    np.testing.assert_allclose(y.numpy(), [result.number for result in results], rtol=1e-11, atol=1e-11)
    y.backward(np.ones(2))
    for result in results:
        result.backward()
    for k, tensor in enumerate(tensors):
        expected = [values[k].grad for values in reference]
        grad = np.zeros(2) if tensor.grad is None else tensor.grad.numpy()
        np.testing.assert_allclose(grad, expected, rtol=1e-10, atol=1e-10)


@given(f=expressions(smooth=False), data=st.data())
def test_arrays_give_what_tensors_give_and_so_does_the_printed_program(f, data):
    xs = [data.draw(arrays((3,), low=-1.0, high=1.0)) for _ in range(2)]
    y = f(*xs)
    np.testing.assert_array_equal(f(*map(tg.Tensor, xs)).numpy(), y)
    namespace = {"tg": tg}
    exec(str(f), namespace)
    np.testing.assert_array_equal(namespace["f"](*xs), y)
    imports, expression = f.python()
    exec("\n".join(imports), namespace)
    np.testing.assert_array_equal(eval(expression, namespace)(*xs), y)


@given(f=expressions(max_steps=4), data=st.data())
def test_derivatives_of_random_programs(f, data):
    xs = [data.draw(arrays((2,), low=-1.0, high=1.0)) for _ in range(2)]
    assert_gradients(f, *xs, order=3, directions=1, budget=2)


@given(f=expressions(inputs=1, max_steps=8), order=st.integers(1, 3))
def test_higher_derivatives_agree_between_forms(f, order):
    """Differentiating one derivative after another, and through one graph per order, give the same."""
    g = f
    for _ in range(order):
        g = tg.autograd.grad(g)
    x = tg.Tensor(np.array(0.375), requires_grad=True)
    y = f(x)
    for _ in range(order):
        (y,) = tg.gradients(y, x, create_graph=True, allow_unused=True) if y.requires_grad else (None,)
        if y is None:
            break
    np.testing.assert_allclose(g(np.array(0.375)), 0.0 if y is None else y.numpy(), rtol=1e-9, atol=1e-9)
