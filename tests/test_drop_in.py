"""The drop-in for HIPS/autograd: its names, conventions and errors. Values are closed forms and central differences."""

from __future__ import annotations

import importlib
import importlib.util
import math
import os
import subprocess
import sys
from operator import attrgetter
from pathlib import Path

import numpy as onp
import pytest

import tinygrad_cnn.extra.autograd.numpy as np
from tinygrad_cnn.extra import autograd
from tinygrad_cnn.extra.autograd import core, extend, grad, hessian, jacobian, tracer, vspaces
from tinygrad_cnn.extra.autograd.extend import defjvp, defvjp, primitive
from tinygrad_cnn.extra.autograd.misc import flatten, optimizers
from tinygrad_cnn.extra.autograd.misc.fixed_points import fixed_point
from tinygrad_cnn.extra.autograd.numpy.numpy_boxes import ArrayBox
from tinygrad_cnn.extra.autograd.numpy.numpy_vjps import unbroadcast_f
from tinygrad_cnn.extra.autograd.numpy.numpy_vspaces import ComplexArrayVSpace
from tinygrad_cnn.extra.autograd.test_util import check_grads
from tinygrad_cnn.extra.autograd.tracer import getval, isbox

from .dependents import programs

ROOT = Path(__file__).parents[1]
X = onp.array([1.0, 2.0])
VALUES = onp.random.default_rng(0)


def cubes(x):
    return np.sum(x**3)


OPERATORS = {
    "grad": (lambda: grad(cubes)(X), [3.0, 12.0]),
    "grad of a float": (lambda: grad(lambda x: x**3)(2.0), 12.0),
    "second argument": (lambda: grad(lambda x, y: np.sum(x * y), 1)(X, 3 * X), [1.0, 2.0]),
    "value_and_grad": (lambda: autograd.value_and_grad(cubes)(X)[0], 9.0),
    "grad_and_aux": (lambda: autograd.grad_and_aux(lambda x: (cubes(x), "more"))(X)[0], [3.0, 12.0]),
    "elementwise_grad": (lambda: autograd.elementwise_grad(lambda x: x**3)(X), [3.0, 12.0]),
    "jacobian": (lambda: jacobian(lambda x: x**3)(X), [[3.0, 0.0], [0.0, 12.0]]),
    "jacobian of a list": (lambda: jacobian(lambda x: [x[0] * x[1], x[1]])(X), [[2.0, 1.0], [0.0, 1.0]]),
    "jacobian of a number": (lambda: jacobian(cubes)(X), [3.0, 12.0]),
    "hessian": (lambda: hessian(lambda x: x[0] ** 2 * x[1])(X), [[4.0, 2.0], [2.0, 0.0]]),
    "hessian of a float": (lambda: hessian(lambda x: x**3)(2.0).reshape(1), [12.0]),
    "hessian of a vector": (lambda: hessian(lambda x: x**3)(X)[1], [[0.0, 0.0], [0.0, 12.0]]),
    "hessian_vector_product": (lambda: autograd.hessian_vector_product(cubes)(X, X), [6.0, 24.0]),
    "tensor_jacobian_product": (lambda: autograd.tensor_jacobian_product(lambda x: x**3)(X, X), [3.0, 24.0]),
    "make_vjp": (lambda: autograd.make_vjp(lambda x: x**3)(X)[0](X), [3.0, 24.0]),
    "make_jvp": (lambda: autograd.make_jvp(lambda x: x**3)(X)(X)[1], [3.0, 24.0]),
    "make_hvp": (lambda: autograd.make_hvp(cubes)(X)[0](X), [6.0, 24.0]),
    "make_ggnvp": (lambda: autograd.make_ggnvp(lambda x: x**2)(X)(X), [4.0, 32.0]),
    "deriv": (lambda: autograd.deriv(lambda x: np.array([x**3, x]))(2.0), [12.0, 1.0]),
    "grad_named": (lambda: autograd.grad_named(lambda x, y: x * y**2, "y")(2.0, 3.0), 12.0),
    "grad_named by keyword": (lambda: autograd.grad_named(lambda x, y: x * y**2, "y")(2.0, y=3.0), 12.0),
    "checkpoint": (lambda: grad(autograd.checkpoint(cubes))(X), [3.0, 12.0]),
    "nested": (lambda: grad(lambda x: x * grad(lambda y: x * y**2)(2.0))(3.0), 24.0),
    "third": (lambda: grad(grad(grad(np.sin)))(3.0), -math.cos(3.0)),
    "jacobian of a gradient": (lambda: jacobian(grad(cubes))(X), [[6.0, 0.0], [0.0, 12.0]]),
    "product with a gradient": (lambda: grad(lambda x: np.sum(grad(cubes)(x) * x))(X), [9.0, 36.0]),
}


@pytest.mark.parametrize("name", OPERATORS)
def test_operators(name):
    make, expected = OPERATORS[name]
    found = make()
    assert type(found) is (onp.ndarray if isinstance(expected, list) else onp.float64)
    assert found.dtype == onp.float64
    onp.testing.assert_allclose(found, expected, rtol=1e-13)


def test_arguments_and_results_are_nested():
    p = {"a": 2.0, "b": [X, (3.0,)]}
    found = grad(lambda p: p["a"] ** 2 * p["b"][1][0] + cubes(p["b"][0]))(p)
    assert (found["a"], found["b"][0].tolist(), found["b"][1][0]) == (12.0, [3.0, 12.0], 4.0)
    value, tangent = autograd.make_jvp(lambda p: {"y": p["a"] ** 3})(p)(p)
    assert (value["y"], tangent["y"]) == (8.0, 24.0)
    assert autograd.multigrad_dict(lambda x, y=2.0: x * y**2)(1.0) == {"x": 4.0, "y": 4.0}
    assert [g.tolist() for g in grad(lambda x, y: np.sum(x * y), (0, 1))(X, 3 * X)] == [[3.0, 6.0], [1.0, 2.0]]


def test_results_are_arrays_of_their_own():
    for found in (grad(cubes)(X), grad(np.sum)(X), autograd.value_and_grad(lambda x: np.sum(x))(X)[1]):
        assert found.flags.writeable
        found[:] = 0
    assert X.tolist() == [1.0, 2.0]
    assert grad(cubes)(X.astype(onp.float32)).dtype == onp.float32
    assert autograd.elementwise_grad(np.exp)(onp.array([0, 0])).tolist() == [1.0, 1.0]  # whole numbers are float64


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: grad(cubes)(2), "grad: the argument is 2, which has no derivative"),
        (lambda: grad(cubes)(onp.array([True, False])), "ndarray of bool, which has no derivative"),
        (
            lambda: grad(lambda x: x**2)(X),
            r"the function returned shape \(2,\), and only a single number has a gradient",
        ),
        (lambda: grad(cubes)(2 + 1j), "the result is complex128, .* use holomorphic_grad"),
        (lambda: jacobian(lambda z: z**2)(X * 1j), "must return floating-point numbers"),
        (lambda: grad(lambda x: np.random.normal(x))(1.0), "draws pass no gradient"),
        (lambda: grad(cubes, 3)(X), "`argnum` is 3, but the function was called with 1 arguments by position"),
        (lambda: grad(cubes, "x"), "`argnum` is 'x'; it must be the position"),
        (lambda: jacobian(lambda x: {"y": x})(X), "the function returned a dict"),
        (lambda: autograd.grad_named(cubes, "z")(X), "`argname` is 'z'; it must be one of x"),
    ],
)
def test_errors(call, message):
    with pytest.raises(TypeError, match=message):
        call()


def test_assignment_to_a_copy_is_recorded_and_to_the_argument_an_error():
    def f(x):
        y = x * 1
        y[0] = x[1] ** 2
        y[1:] += 1
        return np.sum(y * y)

    onp.testing.assert_allclose(grad(f)(onp.array([3.0, 2.0])), [0, 4 * 8 + 2 * 3])
    for call in (grad, jacobian, autograd.make_vjp, lambda f: lambda x: autograd.make_jvp(f)(x)(x)):
        with pytest.raises(RuntimeError, match=r"assign to a copy, x = x.copy\(\), or use tinygrad_cnn.index_set"):
            call(lambda x: x.__setitem__(0, 1.0))(X)


@pytest.mark.parametrize("rows", [1, 2, 12, 13])
def test_jacobians_of_few_rows_and_of_many(rows):
    """Few rows are computed one by one, and more as a batch."""
    x, eye = onp.linspace(0.5, 2.0, rows), onp.eye(rows)
    onp.testing.assert_allclose(jacobian(lambda x: x**3)(x), onp.diag(3 * x**2), rtol=1e-14)
    found = jacobian(lambda p: p["s"] * p["x"] ** 2)({"s": 3.0, "x": x})
    onp.testing.assert_allclose(found["x"], onp.diag(6 * x), rtol=1e-14)
    onp.testing.assert_allclose(found["s"], x**2, rtol=1e-14)
    first, second = jacobian(lambda x, y: [x[0] * y[-1], 2.0], (0, 1))(x, x)
    onp.testing.assert_allclose(first, [x[-1] * eye[0], 0 * x], rtol=1e-14)
    onp.testing.assert_allclose(second, [x[0] * eye[-1], 0 * x], rtol=1e-14)
    onp.testing.assert_allclose(hessian(lambda x: np.sum(x**4))(x), onp.diag(12 * x**2), rtol=1e-14)
    third = jacobian(hessian(lambda x: np.sum(x**4)))(x)
    onp.testing.assert_allclose(third, onp.einsum("i,ij,ik->ijk", 24 * x, eye, eye), rtol=1e-14)
    inner = grad(lambda s: np.sum(jacobian(lambda x: s**2 * x**3)(x)))(2.0)
    onp.testing.assert_allclose(inner, 4 * np.sum(3 * x**2), rtol=1e-14)
    assert [type(v) for v in (jacobian(lambda s: s**2)(2.0), jacobian(np.sum)(x))] == [onp.ndarray] * 2


def test_a_constant_result_warns():
    with pytest.warns(UserWarning, match="Output seems independent of input"):
        assert grad(lambda x: 3.0)(X).tolist() == [0.0, 0.0]
    with pytest.warns(UserWarning, match="Output seems independent of input"):
        assert hessian(lambda x: x[0] + np.sum(x))(X).tolist() == [[0.0, 0.0], [0.0, 0.0]]


# NumPy


def test_functions_of_arrays_are_those_of_numpy():
    assert np.exp(X).tolist() == onp.exp(X).tolist()
    assert type(np.array([1, 2])) is onp.ndarray
    assert np.float64 is onp.float64
    assert np.where([True, False], [1, 2], [3.5, 4.5]) == [1.0, 4.5]
    assert np.where(onp.array([True, False]), 1.0, 2.0).tolist() == [1.0, 2.0]
    assert np.pi == math.pi
    missing = [name for name in dir(onp) if not name.startswith("_") and not hasattr(np, name)]
    assert missing == []


def test_lists_of_what_is_differentiated_become_arrays():
    def f(x):
        return np.sum(np.array([[x, 1.0], [x**2, x]]) * onp.array([[1.0, 2.0], [3.0, 4.0]])) + np.sum([x, x**2])

    assert grad(f)(2.0) == 1 + 12 + 4 + 1 + 4
    assert grad(lambda x: np.sum(np.r_[x, 3.0, x] * np.arange(5.0)))(X).tolist() == [3.0, 5.0]
    assert grad(lambda x: np.sum(np.c_[x, x] * onp.array([[1.0, 2.0], [3.0, 4.0]])))(X).tolist() == [3.0, 7.0]
    assert grad(lambda x: np.sum(np.full((2, 3), x)))(2.0) == 6.0
    assert grad(lambda x: np.sum(np.where(condition=x > 1.5, x=x, y=0.0)))(X).tolist() == [0.0, 1.0]
    assert grad(lambda x: np.asarray(x, dtype=float)[0])(X).tolist() == [1.0, 0.0]


@pytest.mark.parametrize("name", ["concatenate", "stack", "vstack", "hstack", "dstack", "column_stack"])
def test_iterators_of_arrays_are_joined(name):
    join, joined = getattr(np, name), getattr(onp, name)
    onp.testing.assert_array_equal(join(iter([X, 2 * X])), joined([X, 2 * X]))
    onp.testing.assert_array_equal(grad(lambda x: np.sum(join(a * x for a in (2.0, x)) ** 2))(X), 8 * X + 4 * X**3)
    values = {"a": X, "b": 2 * X}.values()
    onp.testing.assert_array_equal(join(values), joined(list(values)))


def test_lists_of_numbers_are_in_float64():
    def f(x):
        return (
            np.sum(np.concatenate([x, [1.1]]) * [0.1, 0.2, 0.3])
            + np.dot([1.1, 2.2], x)
            + np.sum(np.where(x > [0.5], [1.3], x))
        )

    assert autograd.value_and_grad(f)(X)[0] == pytest.approx(f(X), rel=1e-15)
    assert grad(f)(X).tolist() == [0.1 + 1.1, 0.2 + 2.2]


def test_indices_and_booleans_are_arrays():
    def f(x):
        order, positive, where = np.argsort(-x), np.isfinite(x), np.argmax(x)
        assert [type(v) for v in (order, positive, where)] == [onp.ndarray, onp.ndarray, onp.int64]
        return np.sum(x[order] * onp.array([3.0, 5.0])) + {1: 10.0}[where] * x[where] + np.sum(x[positive])

    assert grad(f)(X).tolist() == [6.0, 14.0]


def test_getval_and_isbox():
    def f(x):
        assert isbox(x)
        assert autograd.isinstance(x, onp.ndarray)
        assert autograd.type(x) is onp.ndarray
        assert not isbox(getval(x))
        return np.sum(x * getval(x))

    assert grad(f)(X).tolist() == [1.0, 2.0]
    assert not isbox(X)
    assert getval(X) is X


# Primitives


def power(rules=True):
    @primitive
    def raised(x, y, n=2):
        return x**n * y

    if rules:
        defvjp(
            raised, lambda ans, x, y, n=2: lambda g: g * n * x ** (n - 1) * y, lambda ans, x, y, n=2: lambda g: g * x**n
        )
    return raised


def test_primitives_have_derivatives_of_every_order():
    f = power()
    assert f(2.0, 3.0) == 12.0
    assert (grad(f)(2.0, 3.0), grad(f)(2.0, 3.0, n=3), grad(f, 1)(2.0, 3.0)) == (12.0, 36.0, 4.0)
    assert grad(grad(f))(2.0, 3.0, n=3) == 36.0
    assert grad(grad(grad(f)))(2.0, 3.0, n=3) == 18.0
    check_grads(f, (0, 1), order=3)(2.0, 3.0)  # forward by the transposed rules
    check_grads(lambda x: f(x, x, n=3), order=2)(X + 1)


def test_a_rule_that_is_missing_is_an_error():
    f = power(rules=False)
    with pytest.raises(NotImplementedError, match="raised: no rule gives its gradient; define one with defvjp"):
        grad(f)(2.0, 3.0)
    defvjp(f, lambda ans, x, y, n=2: lambda g: g * n * x ** (n - 1) * y)
    assert grad(f)(2.0, 3.0) == 12.0
    with pytest.raises(NotImplementedError, match="raised: no rule gives its derivative by argument 1"):
        grad(f, 1)(2.0, 3.0)
    defvjp(f, None, lambda ans, x, y, n=2: lambda g: g * x**n)
    assert (grad(f)(2.0, 3.0), grad(f, 1)(2.0, 3.0)) == (0.0, 4.0)


def test_forward_rules():
    f, calls = power(), []
    defjvp(f, lambda g, ans, x, y, n=2: (calls.append("x"), g * n * x ** (n - 1) * y)[1], "same")
    assert autograd.make_jvp(f)(2.0, 3.0)(1.0)[1] == 12.0
    assert autograd.make_jvp(f, 1)(2.0, 3.0)(2.0)[1] == 8.0
    assert autograd.make_jvp(f, (0, 1))(2.0, 3.0)((1.0, 2.0))[1] == 20.0
    assert calls == ["x", "x"]
    check_grads(f, (0, 1))(2.0, 3.0)
    f = power()
    defjvp(f, lambda g, ans, x, y, n=2: (calls.append(n), g * n * x ** (n - 1) * y)[1], argnums=[0])
    assert autograd.make_jvp(f)(2.0, 3.0)(1.0)[1] == 12.0
    assert autograd.make_jvp(f, 1)(2.0, 3.0)(2.0)[1] == 8.0  # by the transposed rule
    assert autograd.make_jvp(f, (1, 0))(2.0, 3.0)((2.0, 1.0))[1] == 20.0
    assert calls[-1] == 2
    assert calls.count(2) == 1


def test_the_tangent_of_a_primitive_depends_on_the_direction():
    f = power()
    tangent = lambda v: autograd.make_jvp(f)(2.0, 3.0)(v)[1]  # noqa: E731
    assert (grad(lambda v: tangent(v) ** 2)(5.0), grad(lambda v: tangent(5.0) * v)(1.0)) == (2 * 60.0 * 12.0, 60.0)
    value, tangent = autograd.make_jvp(lambda x: {"y": f(x, 3.0), "n": 1.0})(2.0)(1.0)
    assert (float(value["y"]), float(tangent["y"]), float(tangent["n"])) == (12.0, 12.0, 0.0)


def test_rules_for_all_arguments_at_once():
    @primitive
    def product(*args):
        return math.prod(args)

    extend.defvjp_argnums(product, lambda argnums, ans, args, kwargs: lambda g: [g * ans / args[i] for i in argnums])
    assert grad(lambda x: product(x, 3.0, x))(2.0) == 12.0
    extend.defvjp_argnum(product, lambda argnum, ans, args, kwargs: lambda g: g * 7.0)
    assert grad(product, 1)(2.0, 3.0) == 7.0

    @primitive
    def added(x, y):
        return x + 2 * y

    extend.def_linear(added)
    assert autograd.make_jvp(added, (0, 1))(1.0, 1.0)((3.0, 4.0))[1] == 3 + 2 * 1 + 1 + 2 * 4


def test_results_and_arguments_of_primitives_may_be_nested():
    @primitive
    def both(x):
        return x**2, {"cube": x**3, "name": "c"}

    defvjp(both, lambda ans, x: lambda g: g[0] * 2 * x + g[1]["cube"] * 3 * x**2)
    check_grads(lambda x: np.sum(both(x)[0] * both(x)[1]["cube"]))(X)
    assert both(X)[1]["name"] == "c"

    @primitive
    def total(parts, factor):
        return sum(onp.sum(part) for part in parts["p"]) * factor

    defvjp(
        total, lambda ans, parts, factor: lambda g: {"p": [g * factor * np.ones(np.shape(p)) for p in parts["p"]]}, None
    )
    assert grad(lambda x: total({"p": [x[0], 5.0, x]}, 2.0))(X).tolist() == [4.0, 2.0]


def test_results_may_be_real_beside_complex():
    @primitive
    def split(x):
        return x**2, np.exp(1j * x)

    defvjp(split, lambda ans, x: lambda g: g[0] * 2 * x + np.real(g[1] * 1j * ans[1]))

    def f(x):
        square, phase = split(x)
        assert (square.dtype, phase.dtype) == (onp.float64, onp.complex128)
        return np.sum(square * np.imag(phase))

    onp.testing.assert_allclose(grad(f)(X), 2 * X * onp.sin(X) + X**2 * onp.cos(X), rtol=1e-14)
    onp.testing.assert_allclose(hessian(f)(X).diagonal(), (2 - X**2) * onp.sin(X) + 4 * X * onp.cos(X), rtol=1e-13)


def test_a_rule_that_loses_how_g_depends_is_an_error_and_not_zero():
    """A rule with `getval` is constant to a second derivative, and zero to the transpose, which begins with a g of zeros."""

    @primitive
    def square(x):
        return x**2

    defvjp(square, lambda ans, x: lambda g: getval(g) * 2 * getval(x))
    assert grad(square)(3.0) == 6.0
    push = autograd.make_jvp(square)(3.0)
    for second in (lambda: grad(grad(square))(3.0), lambda: hessian(square)(3.0), lambda: push(1.0)):
        with pytest.raises(TypeError, match="square: a rule of defvjp returned an array where it was given Tensors"):
            second()
    defvjp(square, lambda ans, x: lambda g: onp.zeros(np.shape(x)))  # zero, whatever g is
    with pytest.warns(UserWarning, match="Output seems independent of input"):
        assert grad(grad(square))(3.0) == 0.0


def test_rows_of_a_jacobian_pass_through_rules_of_primitives():
    """Many rows are computed at once: a rule then gets a Tensor that stands for all of them."""
    c = onp.linspace(0.0, 1.0, 40)  # the first row is zero

    @primitive
    def scaled(s):
        return s * c

    defvjp(scaled, lambda ans, s: unbroadcast_f(s, lambda g: g * (scaled(s + 1.0) - scaled(s))))
    onp.testing.assert_allclose(jacobian(scaled)(2.0), c, atol=1e-15)
    onp.testing.assert_allclose(jacobian(lambda x: scaled(x[0]) * x[1])(X), onp.stack([2 * c, c], 1), atol=1e-15)


def test_the_rules_of_a_function_of_numpy_can_be_replaced():
    rules = np.sinc.rules
    try:
        defvjp(np.sinc, lambda ans, x: lambda g: g * 100.0)
        assert grad(np.sinc)(0.3) == 100.0
    finally:
        rules.pull = None
        rules.changed()
    assert grad(np.sinc)(0.0) == 0.0


# Modules beside


def test_flatten():
    value = {"b": X, "a": (3.0, [onp.ones((1, 2))])}
    vector, unflatten = flatten(value)
    assert vector.tolist() == [3, 1, 1, 1, 2]  # by sorted keys, whatever order they were written in
    back = unflatten(2 * vector)
    assert list(back) == ["b", "a"]
    assert (back["b"].tolist(), back["a"][0], back["a"][1][0].tolist()) == ([2.0, 4.0], 6.0, [[2.0, 2.0]])
    assert grad(lambda v: np.sum(flatten(v)[0] ** 2))(value)["a"][0] == 6.0


def test_optimizers():
    seen = []
    nested = {"w": onp.array([1.0, -2.0]), "b": 3.0}
    slope = grad(lambda p, i: np.sum(p["w"] ** 2) + p["b"] ** 2)
    one = optimizers.sgd(slope, nested, lambda p, i, g: seen.append((p["b"], i, g["b"])), num_iters=2, step_size=0.5)
    v1 = -0.1 * 6
    b1 = 3 + 0.5 * v1
    assert one["b"] == pytest.approx(b1 + 0.5 * (0.9 * v1 - 0.1 * 2 * b1), rel=1e-14)
    assert seen[0] == (3.0, 0, 6.0)
    for optimize, first in (
        (optimizers.adam, 3 - 0.01),
        (optimizers.rmsprop, 3 - 0.01 * 6 / math.sqrt(0.9 + 0.1 * 36)),
    ):
        assert optimize(slope, nested, num_iters=1, step_size=0.01)["b"] == pytest.approx(first, rel=1e-8)
        end = optimize(slope, nested, num_iters=400, step_size=0.03)
        assert onp.abs(flatten(end)[0]).max() < 0.02


def test_fixed_point():
    def newton(a):
        return lambda x: 0.5 * (x + a / x)

    def root(a):
        return fixed_point(newton, a, 1.0, lambda x, y: abs(x - y), 1e-14)

    assert root(2.0) == pytest.approx(math.sqrt(2), rel=1e-14)
    assert grad(root)(2.0) == pytest.approx(0.5 / math.sqrt(2), rel=1e-12)
    assert grad(grad(root))(2.0) == pytest.approx(-0.25 * 2**-1.5, rel=1e-12)
    assert grad(grad(grad(lambda a: a * root(a))))(2.0) == pytest.approx(-0.375 * 2**-1.5, rel=1e-12)
    several = hessian(lambda a: np.sum(fixed_point(newton, a, X, lambda x, y: np.max(abs(x - y)), 1e-14)))(X)
    onp.testing.assert_allclose(several, onp.diag(-0.25 * X**-1.5), rtol=1e-12)


@pytest.mark.parametrize("x", [X, {"x": X, "n": 2.0}], ids=["array", "dict"])
def test_a_product_with_a_cotangent_that_is_differentiated(x):
    """The call is over, and its argument is a constant for derivatives by the cotangent."""
    nested = isinstance(x, dict)
    pull, _ = autograd.make_vjp(lambda x: np.sin(x["x"] if nested else x) ** 2)(x)
    product = (lambda g: pull(g)["x"]) if nested else pull
    found = grad(lambda g: np.sum(product(g) ** 2))(3 * X)
    assert type(found) is onp.ndarray
    onp.testing.assert_allclose(found, 2 * 3 * X * onp.sin(2 * X) ** 2, rtol=1e-14)
    assert type(jacobian(product)(X)) is type(hessian(lambda g: np.sum(product(g) ** 3))(X)) is onp.ndarray

    def again(x):  # runs again in the walk, where its argument is no constant
        return autograd.checkpoint(lambda: jacobian(lambda a: a**3)(x))()

    assert autograd.make_vjp(again)(2.0)[0](1.0) == 12.0
    assert grad(autograd.make_vjp(again)(2.0)[0])(1.0) == 12.0

    def mixed(x):  # x is recorded outside of the call
        pull, y = autograd.make_vjp(lambda z: x * z**2)(3.0)
        return grad(lambda g: pull(g) ** 2)(1.0) * y

    assert grad(mixed)(2.0) == 3 * 2 * 36 * 9 * 2.0**2


def differences(f, x, h=1e-6):
    """The derivatives of f by the elements of x, along the first axis."""
    units = onp.eye(x.size).reshape(x.size, *x.shape)
    return onp.array([(f(x + h * u) - f(x - h * u)) / (2 * h) for u in units])


@pytest.mark.filterwarnings("ignore:Output seems independent")
@pytest.mark.part(8)
@pytest.mark.parametrize("seed", range(200))
def test_random_programs_have_the_derivatives_of_differences(seed):
    text, (x, y) = programs.source(seed), programs.arguments(seed)
    f = programs.function(text, np, autograd)
    assert autograd.value_and_grad(f)(x, y)[0] == pytest.approx(programs.function(text, onp)(x, y), rel=1e-12)
    for found, expected in (
        (grad(f)(x, y), differences(lambda x: f(x, y), x)),
        (grad(f, 1)(x, y).ravel(), differences(lambda y: f(x, y), y)),
        (hessian(f)(x, y), differences(lambda x: grad(f)(x, y), x)),
        (jacobian(grad(f), 1)(x, y).reshape(3, 9).T, differences(lambda y: grad(f)(x, y), y)),
    ):
        onp.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7 * max(1.0, abs(expected).max()))


def test_check_grads_finds_a_wrong_rule():
    f = power(rules=False)
    defvjp(f, lambda ans, x, y, n=2: lambda g: g * 3 * x * y)
    with pytest.raises(AssertionError, match=r"Derivative \(VJP\) check of raised failed"):
        check_grads(f, modes=["rev"], order=1)(2.0, 3.0)
    with pytest.raises(AssertionError, match=r"Derivative \(JVP\) check of raised failed"):
        check_grads(f, modes=["fwd"], order=1)(2.0, 3.0)
    with pytest.raises(ValueError, match="`modes` is"):
        check_grads(f, modes=["backward"])(2.0, 3.0)


def test_check_grads_finds_a_wrong_derivative_of_a_rule():
    twice, same = primitive(lambda x: x * 2.0), primitive(lambda x: x)
    defvjp(twice, lambda ans, x: lambda g: same(g) * 2)
    defvjp(same, lambda ans, x: lambda g: g * 1.001)
    check_grads(twice, modes=["rev"], order=1)(1.0)
    with pytest.raises(AssertionError, match=r"Derivative \(VJP\) check of vjp_<lambda> failed"):
        check_grads(twice, modes=["rev"])(1.0)


def test_derivatives_are_named_after_the_function():
    assert grad(cubes).__name__ == "grad_of_cubes_wrt_argnum_0"
    assert grad(cubes, 1).__doc__.strip() == "grad of function cubes with respect to argument number 1"


def test_vector_spaces():
    space = extend.vspace({"a": 1.0, "b": onp.ones((2, 1))})
    assert space.size == 3
    assert [row["b"].tolist() for row in space.standard_basis()] == [[[0], [0]], [[1], [0]], [[0], [1]]]
    assert space == extend.vspace({"a": 2.0, "b": onp.zeros((2, 1))})
    assert space != extend.vspace({"a": 2.0, "b": onp.zeros(2)})
    assert extend.vspace(X).shape == (2,)
    with pytest.raises(TypeError, match="must be a floating-point number or array"):
        extend.vspace(3)


# SciPy


def _scipy_calls():
    pytest.importorskip("scipy")
    from tinygrad_cnn.extra.autograd.scipy import linalg, signal, special, stats

    r = onp.random.RandomState(0)
    a, b, wide = r.randn(3, 3) + 4 * onp.eye(3), r.randn(3), r.randn(3, 2)
    band = r.randn(4, 6)
    band[1] += 6
    x, y = r.randn(2, 3, 5), r.randn(3, 4, 3)
    lower = {"lower": True, "unit_diagonal": True}
    p = onp.array([0.2, 0.5, 0.3])
    t = onp.array([0.3, 1.2])
    return {
        "solve_triangular": (linalg.solve_triangular, (0, 1), (a, b)),
        "solve_triangular transposed": (lambda a, b: linalg.solve_triangular(a, b, trans=1, lower=True), (0, 1), (a, wide)),
        "solve_triangular unit": (lambda a, b: linalg.solve_triangular(a, b, **lower), (0, 1), (a / 4, b)),
        "solve_sylvester": (linalg.solve_sylvester, (0, 1, 2), (a, onp.eye(2) * 5, wide)),
        "solve_banded": (lambda ab, b: linalg.solve_banded((2, 1), ab, b), (0, 1), (band, r.randn(6))),
        "sqrtm": (linalg.sqrtm, 0, (a @ a.T,)),
        "expm": (linalg.expm, 0, (a / 8,)),
        "cholesky": (lambda a: linalg.cholesky(a @ a.T), 0, (a,)),
        "block_diag": (lambda a, b: linalg.block_diag(a, b) ** 2, (0, 1), (a, wide)),
        "solve": (linalg.solve, (0, 1), (a, b)),
        **{
            f"convolve {mode}": (
                lambda x, y, mode=mode: signal.convolve(x, y, axes=[(2,), (2,)], dot_axes=[(1,), (0,)], mode=mode),
                (0, 1), (x, y),
            )
            for mode in ("full", "valid", "same")
        },
        "norm.logpdf": (stats.norm.logpdf, (0, 1, 2), (t, 0.5, 2.0)),
        "norm.logcdf": (stats.norm.logcdf, (0, 1, 2), (t, 0.5, 2.0)),
        "norm.sf": (stats.norm.sf, (0, 1, 2), (t, 0.5, 2.0)),
        "t.logpdf": (stats.t.logpdf, (0, 1, 2, 3), (t, 3.5, 0.5, 2.0)),
        "t.cdf": (stats.t.cdf, (0, 1, 2, 3), (t, 3.5, 0.5, 2.0)),
        "beta.logpdf": (stats.beta.logpdf, (0, 1, 2), (p, 1.5, 2.5)),
        "beta.cdf": (stats.beta.cdf, (0, 1, 2), (p, 1.5, 2.5)),
        "gamma.logpdf": (stats.gamma.logpdf, (0, 1), (t, 1.5)),
        "gamma.cdf": (stats.gamma.cdf, (0, 1), (t, 1.5)),
        "chi2.pdf": (stats.chi2.pdf, (0, 1), (t, 3.5)),
        "chi2.cdf": (stats.chi2.cdf, (0, 1), (t, 3.5)),
        "poisson.logpmf": (stats.poisson.logpmf, 1, (onp.array([0, 3]), 2.5)),
        "poisson.cdf": (stats.poisson.cdf, 1, (onp.array([0, 3]), 2.5)),
        "dirichlet.logpdf": (stats.dirichlet.logpdf, 1, (p, onp.array([1.5, 2.0, 2.5]))),
        "multivariate_normal.logpdf": (
            lambda x, m, c: stats.multivariate_normal.logpdf(x, m, c @ c.T), (0, 1, 2), (wide.T, b, a),
        ),
        "multivariate_normal.entropy": (lambda c: stats.multivariate_normal.entropy(b, c @ c.T), 0, (a,)),
        "special.gammainc": (special.gammainc, (0, 1), (t + 1, t)),
        "special.logsumexp": (special.logsumexp, 0, (t,)),
        "special.multigammaln": (lambda a: special.multigammaln(a, 2), 0, (2.5,)),
        "special.jn": (lambda x: special.jn(2, x), 0, (t,)),
    }  # fmt: skip


@pytest.mark.parametrize("name", _scipy_calls() if importlib.util.find_spec("scipy") else [])
def test_functions_of_scipy(name):
    """Their values with arrays are SciPy's, with Tensors the same, and derivatives agree with differences to second order."""
    function, argnums, args = _scipy_calls()[name]
    values = []
    positions = argnums if isinstance(argnums, tuple) else (argnums,)

    def noted(*args):
        values.append(getval(y := function(*args)))
        return y

    autograd.make_vjp(noted, positions[0])(*args)
    onp.testing.assert_allclose(values[0], function(*args), rtol=1e-10, atol=1e-12)
    np.random.seed(0)
    check_grads(function, positions)(*args)


def test_the_density_of_a_singular_normal_distribution():
    """Along its line it is that of one number; beside the line it is zero."""
    pytest.importorskip("scipy")
    from tinygrad_cnn.extra.autograd.scipy.stats import multivariate_normal, norm

    line = onp.array([2.0, 1.0])

    def density(s, factor):
        return multivariate_normal.logpdf(s * line, onp.zeros(2), np.outer(line, line) * factor, allow_singular=True)

    def expected(s, factor):
        return norm.logpdf(s * math.sqrt(5.0), 0.0, np.sqrt(5 * factor))

    for argnum in (0, 1):
        assert grad(density, argnum)(0.3, 2.0) == pytest.approx(grad(expected, argnum)(0.3, 2.0), rel=1e-12)
        assert grad(grad(density, argnum), argnum)(0.3, 2.0) == pytest.approx(
            grad(grad(expected, argnum), argnum)(0.3, 2.0), rel=1e-10
        )
    value, _ = autograd.value_and_grad(lambda x: multivariate_normal.logpdf(x, line, np.outer(line, line), True))(
        line + X
    )
    assert value == -onp.inf


def test_odeint():
    pytest.importorskip("scipy")
    from tinygrad_cnn.extra.autograd.scipy.integrate import odeint

    def final(y0, k, t):
        return odeint(lambda y, t, k: -k * y, y0, np.array([0.0, 0.3, t]), (k,), rtol=1e-11, atol=1e-11)

    check_grads(final, (0, 1, 2), modes=["rev"], order=1)(onp.array([1.0, 2.0]), 0.7, 1.1)
    slope = grad(lambda k: np.sum(final(onp.array([1.0]), k, 1.1)[-1]))(0.7)
    assert slope == pytest.approx(-1.1 * math.exp(-0.77), rel=1e-8)


def test_scipy_refuses_what_no_op_records():
    pytest.importorskip("scipy")
    from tinygrad_cnn.extra.autograd.scipy import special, stats

    with pytest.raises(
        TypeError, match="scipy.special.zeta: no op records it; define its derivative with autograd.extend"
    ):
        grad(special.zeta)(2.0)
    with pytest.raises(TypeError, match="`k` and `loc` are whole numbers"):
        grad(stats.poisson.pmf)(2.0, 3.0)


# Instead of the package


def _run(*arguments, **options):
    return subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, capture_output=True, encoding="utf-8", check=False, **options
    )


def test_scripts_that_import_autograd_run_unchanged(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import sys\nimport helper\nimport autograd\nimport autograd.numpy as np\nfrom autograd import grad\n"
        "from autograd.numpy import exp\nfrom autograd.misc.optimizers import adam\nfrom autograd.extend import primitive\n"
        "print(grad(lambda x: np.sum(exp(x)))(0.0), sys.argv[1:], __name__, helper.x)\n",
        encoding="utf-8",
    )
    (tmp_path / "helper.py").write_text("x = 'found'\n", encoding="utf-8")
    ended = _run(
        "-m",
        "tinygrad_cnn.extra.autograd",
        str(script),
        "one",
        "two",
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert ended.stdout == "1.0 ['one', 'two'] __main__ found\n", ended.stderr
    assert "usage" in _run("-m", "tinygrad_cnn.extra.autograd").stderr


def test_install():
    ended = _run(
        "-c",
        "from tinygrad_cnn.extra import autograd as ours\nours.install()\nours.install()\n"
        "import autograd, autograd.numpy.linalg\nassert autograd is ours and autograd.numpy is ours.numpy\n"
        "from autograd.numpy.numpy_boxes import ArrayBox\nfrom autograd.differential_operators import make_jvp\n"
        "assert autograd.numpy.builtins.SequenceBox is autograd.builtins.SequenceBox\n",
    )
    assert ended.returncode == 0, ended.stderr
    ended = _run(
        "-c", "from tinygrad_cnn.extra.autograd import install; import sys; sys.modules['autograd'] = sys; install()"
    )
    assert "was already imported; call install before" in ended.stderr


def test_an_installed_tensor_has_the_name_of_a_box():
    ended = _run(
        "-c",
        "import pickle\nimport tinygrad_cnn as tg\nfrom tinygrad_cnn.extra import autograd as ours\n"
        "before = tg.Tensor\nprint(before)\n"
        "ours.install()\nx = tg.Tensor([1.0])\nprint(x.__class__, x.__class__.__name__, x.__class__ is before)\n"
        "written = pickle.dumps(x)\nprint(pickle.loads(written), b'autograd' in written)\n",
    )
    before, after, read = ended.stdout.splitlines()
    assert before == "<class 'tinygrad_cnn.tensor.tensor.Tensor'>"
    assert after == "<class 'autograd.numpy.numpy_boxes.ArrayBox'> Tensor True"
    assert read == "Tensor([1.], dtype=float32) False"


class Circuit:
    """Holds parameters where a primitive does not see them."""

    def __init__(self, *held):
        self.held = held


@primitive
def product(parts, circuit):
    return np.prod(np.array([*circuit.held])) ** 2


def _pull_product(ans, parts, circuit):
    def pull(g):
        v = np.array([g * 2 * np.prod(np.array([*circuit.held])) ** 2 / x for x in circuit.held])
        return attrgetter("_value")(v) if isinstance(v, ArrayBox) else v

    return pull


defvjp(product, _pull_product, None)


def test_a_primitive_may_record_what_its_rules_say():
    f = lambda x, y: product([x, np.sin(y)], Circuit(x, np.sin(y)))  # noqa: E731
    same = lambda x, y: product([x, s := np.sin(y)], Circuit(x, s))  # noqa: E731
    plain = lambda x, y: (x * np.sin(y)) ** 2  # noqa: E731
    for argnum in (0, 1):
        for order in range(3):
            ours, expected = same, plain
            for _ in range(order + 1):
                ours, expected = grad(ours, argnum), grad(expected, argnum)
            assert ours(0.5, 0.7) == pytest.approx(float(expected(0.5, 0.7)), rel=1e-12)
    mixed = grad(grad(same, 0), 1)(0.5, 0.7), grad(grad(same, 1), 0)(0.5, 0.7)
    assert mixed == pytest.approx([4 * 0.5 * onp.sin(0.7) * onp.cos(0.7)] * 2, rel=1e-12)
    with pytest.raises(RuntimeError, match="the gradient would be lost"):
        grad(f, 1)(0.5, 0.7)  # the other sine is none of the arguments


def test_a_rule_may_return_anything_for_an_empty_list():
    @primitive
    def first(parts, lists):
        return parts[0] * 2.0

    defvjp(first, None, lambda ans, parts, lists: lambda g: [np.zeros(1), g * np.array([3.0])])
    assert grad(lambda x: first([1.0], [[], [x]]))(1.0) == 3.0


def test_scipy_under_the_installed_name():
    pytest.importorskip("scipy")
    ended = _run(
        "-c",
        "from tinygrad_cnn.extra import autograd as ours\nours.install()\n"
        "import autograd.scipy.stats\nfrom autograd.scipy.special import gammaln\nfrom autograd.scipy.stats import norm\n"
        "from autograd import grad\nprint(grad(gammaln)(1.0), grad(norm.logpdf)(2.0))\n",
    )
    assert ended.stdout == "-0.5772156649015329 -2.0\n", ended.stderr


def test_a_rule_may_return_an_array_for_a_list():
    @primitive
    def norm2(parts, tree):
        return sum(onp.sum(p) ** 2 for p in parts) * tree["a"][1]

    defvjp(
        norm2,
        lambda ans, parts, tree: lambda g: np.array([2 * np.sum(p) for p in parts]) * g * tree["a"][1],
        lambda ans, parts, tree: lambda g: {"a": np.array([0.0, 1.0]) * g * np.sum(np.array(parts) ** 2)},
    )

    def f(x):
        return norm2([x, 2 * x, 3.0], {"a": (7.0, x)})  # (5 x^2 + 9) x

    point = 1.5
    assert math.isclose(grad(f)(point), 15 * point**2 + 9)
    assert math.isclose(grad(grad(f))(point), 30 * point)
    defvjp(norm2, lambda ans, parts, tree: lambda g: np.ones(2), None)
    with pytest.raises(ValueError, match="returned 2 gradients for a sequence of 3"):
        grad(f)(point)


def test_functions_without_a_rule_can_be_given_one():
    pytest.importorskip("scipy")
    linalg, special = (importlib.import_module(f"tinygrad_cnn.extra.autograd.scipy.{m}") for m in ("linalg", "special"))
    x = onp.array([[2.0, 3.0], [0.5, 0.0]])
    with pytest.raises(TypeError, match=r"define its derivative with autograd.extend.defvjp"):
        grad(lambda x: np.sum(linalg.cholesky_banded(x, lower=True)))(x)
    assert grad(lambda x: x * special.gammasgn(x))(2.5) == 1
    rules = [linalg.cholesky_banded.rules, special.gammasgn.rules]
    try:
        defvjp(linalg.cholesky_banded, lambda ans, ab, **kwargs: lambda g: 10 * g)
        defjvp(special.gammasgn, lambda g, ans, x: 0 * g)
        defvjp(special.gammasgn, lambda ans, x: lambda g: 0 * g)
        onp.testing.assert_array_equal(
            grad(lambda x: np.sum(linalg.cholesky_banded(x, lower=True)))(x), onp.full((2, 2), 10.0)
        )
        assert grad(lambda x: x * special.gammasgn(x))(2.5) == 1
    finally:
        for own in rules:
            own.pull = own.push = None
            own.changed()


node_of, trace_of = attrgetter("_node"), attrgetter("_trace")  # names that HIPS/autograd's users read


def test_recording_begins_at_a_box():
    node = core.VJPNode.new_root()
    with tracer.trace_stack.new_trace() as trace:
        x = tracer.new_box(X, trace, node)
        y = np.sum(x**3)
        with tracer.trace_stack.new_trace() as inner:
            z = tracer.new_box(2.0, inner, core.VJPNode.new_root()) * x
    assert tracer.isbox(y)
    assert (trace, inner) == (0, 1)
    assert (trace_of(x), trace_of(y), trace_of(z)) == (0, 0, 1)
    assert tracer.getval(x).tolist() == X.tolist()
    onp.testing.assert_allclose(core.backward_pass(2.0, node_of(y)), 6 * X**2)
    with pytest.raises(ValueError, match="computed from 2 boxes"):
        core.backward_pass(X, node_of(z))
    with pytest.raises(ValueError, match=r"`g` has shape \(2,\); it must be that of the result, \(\)"):
        core.backward_pass(X, node_of(y))
    pair = tracer.new_box((X, 3.0, "name"), 5, node)
    assert (trace_of(pair), pair[2], trace_of(pair[0] * 2)) == (5, "name", 5)
    with pytest.raises(TypeError, match="new_box: the value is 'name'"):
        tracer.new_box("name", 0, node)


def test_a_program_may_register_its_arrays():
    class Marked(onp.ndarray):
        free = True

    def box(x, *args):
        if not x.free:
            raise ValueError("this one is a constant")
        return tracer.ArrayBox(x, *args)

    class Space(vspaces.VSpace):
        pass

    try:
        tracer.Box.type_mappings[Marked] = box
        vspaces.VSpace.register(Marked, Space)
        x = X.view(Marked)
        onp.testing.assert_allclose(grad(cubes)(x), 3 * X**2)
        assert type(extend.vspace(x)) is Space
        x.free = False
        with pytest.raises(ValueError, match="this one is a constant"):
            grad(cubes)(x)
        tracer.ArrayBox.register(Marked)
        onp.testing.assert_allclose(grad(cubes)(x), 3 * X**2)
        with pytest.raises(TypeError, match="str is no subclass of np.ndarray"):
            tracer.ArrayBox.register(str)
    finally:
        tracer.Box.type_mappings.pop(Marked, None)
        vspaces.VSpace.mappings.pop(Marked, None)
    assert isinstance(tracer.new_box(1.0, 0, None), tracer.ArrayBox)
    assert not isinstance(X, tracer.Box)


def test_the_space_of_complex_arrays():
    space = ComplexArrayVSpace(X + 1j)
    assert isinstance(extend.vspace(X + 1j), ComplexArrayVSpace)
    assert (space.shape, space.iscomplex, space.size) == (X.shape, True, 2 * X.size)
    assert space == extend.vspace(1j * X)
    assert space != extend.vspace(X)


def test_names_of_made_functions():
    @autograd.wrap_util.wraps(cubes, "{op}_of_{fun}", "{op} of {doc}", op="slope")
    def f(x):
        return x

    assert (f.__name__, f.__doc__) == ("slope_of_cubes", "slope of ")
    assert grad(cubes).__name__ == "grad_of_cubes_wrt_argnum_0"
    assert autograd.wrap_util.get_name(3) == "[unknown name]"


def test_containers_are_pythons_and_classes_of_their_own():
    own = autograd.builtins
    made = own.list([1, 2]), own.tuple("ab"), own.dict(a=1)
    assert made == ([1, 2], ("a", "b"), {"a": 1})
    assert [type(value) for value in made] == [list, tuple, dict]
    assert own.list is not list
    assert isinstance([], own.list)
    assert own.isinstance((), (own.list, own.tuple))
    assert not own.isinstance(3.0, own.dict)


def test_an_array_of_objects_holds_what_is_differentiated():
    def f(x):
        parts = np.array([x * 2, 3.0, x**2], dtype=object).ravel()
        return np.sum(np.array(parts, dtype=float) * parts)

    assert math.isclose(grad(f)(2.0), 8 * 2.0 + 4 * 2.0**3)
