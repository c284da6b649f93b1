"""Derivatives of functions, against closed forms: whatever they are nested in, and whatever their arguments look like."""

from __future__ import annotations

import collections
import math
import pickle
import weakref

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import tinygrad_cnn as tg
from tinygrad_cnn.core.node import Node
from tinygrad_cnn.transforms.pytree import leaves, matched, rebuild

from ..graphs import array_of, node_of

numbers = st.floats(-2, 2).map(lambda v: round(v, 3))
vectors = hnp.arrays(np.float64, st.integers(0, 4), elements=numbers)
matrices = hnp.arrays(np.float64, hnp.array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=3), elements=numbers)


def close(found, expected):
    assert isinstance(found, tg.Tensor)
    expected = np.asarray(expected)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-10, atol=1e-10)


def like(shape, seed):
    return np.random.default_rng(seed).uniform(-2, 2, shape)


def cubic(a, c):
    """sum c (A x)^3: its derivatives of any order are those of a power."""
    return lambda x: (c * (a @ x) ** 3).sum()


@st.composite
def cubics(draw):
    a = draw(matrices)
    seed = draw(st.integers(0, 2**32 - 1))
    return a, like(a.shape[0], seed), like(a.shape[1], seed + 1), like(a.shape[1], seed + 2)


class TestClosedForms:
    @given(cubics())
    def test_every_transform_of_a_cubic(self, drawn):
        a, c, x, t = drawn
        f, z = cubic(a, c), a @ x
        gradient = a.T @ (3 * c * z**2)
        hessian = a.T @ np.diag(6 * c * z) @ a
        close(tg.grad(f)(x), gradient)
        value, found = tg.value_and_grad(f)(x)
        close(value, np.sum(c * z**3))
        close(found, gradient)
        value, pull = tg.vjp(f, x)
        close(pull(2.0)[0], 2 * gradient)
        value, moved = tg.jvp(f, (x,), (t,))
        close(value, np.sum(c * z**3))
        close(moved, gradient @ t)
        close(tg.hvp(f, (x,), (t,)), hessian @ t)
        close(tg.jacobian(f)(x), gradient)
        close(tg.hessian(f)(x), hessian)
        close(tg.jacobian(tg.grad(f))(x), hessian)
        close(tg.grad(lambda x: (tg.grad(f)(x) * t).sum())(x), hessian @ t)
        close(tg.jvp(tg.grad(f), (x,), (t,))[1], hessian @ t)
        close(tg.jacobian(tg.hessian(f))(x), np.einsum("i,ij,ik,il->jkl", 6 * c, a, a, a))

    @pytest.mark.parametrize("columns", [3, 700])
    @pytest.mark.parametrize("f", [tg.matmul, lambda x, c: tg.linear(x, c.T)], ids=["matmul", "linear"])
    def test_the_jacobian_of_a_product_is_its_matrix_infinities_too(self, f, columns):
        c = like((4, columns), 0)
        c[1, -1] = c[2, 0] = math.inf  # 0 times infinity would be NaN
        with np.errstate(invalid="ignore"):
            close(tg.jacobian(lambda x: f(x, tg.Tensor(c)))(like((4,), 1)), c.T)

    @given(matrices, st.integers(0, 2**32 - 1))
    def test_jacobians_have_the_result_s_shape_and_then_the_argument_s(self, a, seed):
        x = like(a.shape, seed)
        found = tg.jacobian(lambda x: (a @ x.T) * 2)(x)
        n, k = a.shape
        expected = np.zeros((n, n, n, k))
        for j in range(n):
            expected[:, j, j, :] = 2 * a
        close(found, expected)
        second = tg.hessian(lambda x: x * x * x)(x)
        close(second, np.einsum("ijkl,klmn->ijklmn", 6 * _diagonal(x), _diagonal(np.ones(x.shape))))

    @given(numbers, st.integers(0, 5))
    def test_nested_to_any_order(self, x, order):
        f = lambda x: x**6  # noqa: E731
        for _ in range(order):
            f = tg.grad(f)
        close(tg.Tensor(f(np.float64(x))), math.perm(6, order) * x ** (6 - order))

    @given(vectors, st.integers(0, 2**32 - 1))
    def test_jvp_is_linear_in_the_tangent_and_the_transpose_of_vjp(self, x, seed):
        f = lambda x: tg.concatenate([(x * x).exp() * x.sum(), x[::-1] * 3.0])  # noqa: E731
        t, s, u = like(x.shape, seed), like(x.shape, seed + 1), like((2 * len(x),), seed + 2)
        y, along_t = tg.jvp(f, (x,), (t,))
        _, along_s = tg.jvp(f, (x,), (s,))
        _, along_both = tg.jvp(f, (x,), (2 * t - s,))
        close(along_both, 2 * along_t.numpy() - along_s.numpy())
        _, pull = tg.vjp(f, x)
        np.testing.assert_allclose(u @ along_t.numpy(), pull(u)[0].numpy() @ t, rtol=1e-9, atol=1e-9)
        close(y, np.concatenate([np.exp(x * x) * x.sum(), x[::-1] * 3]))

    def test_through_a_convolution_the_hessian_is_that_of_finite_differences(self):
        w = like((2, 1, 2, 2), 0)
        f = lambda x: (tg.conv2d(x.reshape(1, 1, 3, 3), w, padding=1) ** 3).mean()  # noqa: E731
        x, h = like(9, 1), 1e-4
        rows = [(tg.grad(f)(x + h * e).numpy() - tg.grad(f)(x - h * e).numpy()) / (2 * h) for e in np.eye(9)]
        np.testing.assert_allclose(tg.hessian(f)(x).numpy(), rows, rtol=1e-6, atol=1e-7)


def _diagonal(x):
    return np.einsum("ij,ik,jl->ijkl", x, np.eye(x.shape[0]), np.eye(x.shape[1]))


class TestNesting:
    """Perturbation confusion: an inner derivative must not take the outer variable for its own."""

    @given(numbers, numbers)
    def test_the_inner_variable_is_not_the_outer_one(self, a, b):
        a, b = np.float64(a), np.float64(b)
        close(tg.grad(lambda x: x * tg.grad(lambda y: x + y)(b))(a), 1.0)
        close(tg.grad(lambda x: x * tg.grad(lambda y: x * y)(b))(a), 2 * a)
        close(tg.grad(lambda x: x * tg.grad(lambda y: x + y)(x))(a), 1.0)
        close(tg.grad(lambda x: x * tg.grad(lambda y: x * y)(x))(a), 2 * a)
        close(tg.jvp(lambda x: x * tg.jvp(lambda y: x + y, (b,), (1.0,))[1], (a,), (1.0,))[1], 1.0)
        close(tg.jvp(lambda x: x * tg.jvp(lambda y: x * y, (x,), (x,))[1], (a,), (1.0,))[1], 3 * a * a)
        close(tg.grad(lambda x: tg.vjp(lambda y: x * y * y, x)[1](x)[0])(a), 6 * a * a)

    @given(numbers)
    def test_all_transforms_in_all(self, x):
        x = np.float64(x)
        first = {
            "grad": tg.grad,
            "value_and_grad": lambda f: lambda x: tg.value_and_grad(f)(x)[1],
            "vjp": lambda f: lambda x: tg.vjp(f, x)[1](1.0)[0],
            "jvp": lambda f: lambda x: tg.jvp(f, (x,), (1.0,))[1],
            "jacobian": tg.jacobian,
            "checkpoint": lambda f: tg.grad(lambda x: tg.checkpoint(f, x)),
        }
        for outer in first.values():
            for inner in first.values():
                close(outer(inner(lambda x: x**4))(x), 12 * x**2)
            close(outer(tg.hessian(lambda x: x**4))(x), 24 * x)
            close(outer(lambda x: tg.hvp(lambda x: x**4, (x,), (1.0,)))(x), 24 * x)

    def test_the_value_of_an_inner_transform_is_differentiable_too(self):
        both = lambda x: tg.value_and_grad(lambda y: y**3)(x)  # noqa: E731
        close(tg.grad(lambda x: both(x)[0] * both(x)[1])(np.float64(2.0)), 15 * 2.0**4)

    def test_a_pull_back_is_differentiable_by_its_cotangent(self):
        _, pull = tg.vjp(lambda x: x**3, np.float64(2.0))
        close(tg.grad(lambda u: pull(u * u)[0])(np.float64(5.0)), 2 * 5.0 * 12.0)
        u = tg.Tensor(np.float64(5.0), requires_grad=True)
        pull(u * u)[0].backward()
        close(u.grad, 2 * 5.0 * 12.0)

    def test_a_tangent_is_differentiable(self):
        t = tg.Tensor(np.float64(5.0), requires_grad=True)
        tg.jvp(lambda x: x**3, (2.0,), (t,))[1].backward()
        close(t.grad, 12.0)
        t.zero_grad()
        tg.hvp(lambda x: x**3, (np.float64(2.0),), (t * t,)).backward()
        close(t.grad, 12.0 * 10.0)


class TestWhatIsOutside:
    def test_no_grad_attribute_is_touched(self):
        x = tg.Tensor([1.0, 2.0], requires_grad=True)
        w = tg.Tensor([3.0, 4.0], requires_grad=True)
        f = lambda x: (x * x * w).sum()  # noqa: E731
        for transform in (tg.grad, tg.value_and_grad, tg.jacobian, tg.hessian):
            transform(f)(x)
        tg.vjp(f, x)[1](1.0)
        tg.jvp(f, (x,), (x,))
        tg.hvp(f, (x,), (w,))
        assert x.grad is None
        assert w.grad is None

    def test_results_stay_in_the_graph_of_what_the_function_closes_over(self):
        w = tg.Tensor(np.float64(3.0), requires_grad=True)
        value, g = tg.value_and_grad(lambda x: w * w * x)(np.float64(2.0))
        (value + 10 * g).backward()
        close(w.grad, 2 * 3 * 2 + 10 * 2 * 3)

    def test_and_of_arguments_that_require_a_gradient(self):
        x = tg.Tensor(np.float64(3.0), requires_grad=True)
        tg.grad(lambda x: x**3)(x).backward()
        close(x.grad, 18.0)
        middle = x * 2
        x.zero_grad()
        tg.grad(lambda m: m**3)(middle).backward()
        close(x.grad, 6 * 6 * 2)

    def test_but_of_nothing_else(self):
        w, outer = tg.Tensor(2.0, requires_grad=True), tg.Tensor([1.0, 2.0])
        f = lambda x: (x * x).sum()  # noqa: E731
        for found in (
            tg.grad(f)(outer),
            *tg.value_and_grad(f)(outer),
            *tg.jvp(f, (outer,), (outer,)),
            tg.hvp(f, (outer,), (outer,)),
            tg.jacobian(f)(outer),
            tg.hessian(f)(outer),
            tg.vjp(f, outer)[0],
            *tg.vjp(f, outer)[1](1.0),
            tg.grad(lambda x: (w.detach() * x).sum())(outer),
        ):
            assert not found.requires_grad
        with tg.no_grad():
            assert not tg.grad(lambda x: (w * x * x).sum())(outer).requires_grad
            _, pull = tg.vjp(lambda x: (w * x * x).sum(), outer)
        assert not pull(1.0)[0].requires_grad

    def test_a_gradient_that_is_constant_in_what_is_outside_is_cut_off(self):
        w = tg.Tensor(2.0, requires_grad=True)
        value, g = tg.value_and_grad(lambda x: x * x + w)(3.0)
        assert value.requires_grad
        assert not g.requires_grad

    def test_inside_no_grad_values_are_cut_off_too(self):
        w = tg.Tensor(2.0, requires_grad=True)
        f = lambda x: w * x * x  # noqa: E731
        with tg.no_grad():
            results = [
                *tg.value_and_grad(f)(3.0),
                *tg.jvp(f, (3.0,), (1.0,)),
                tg.vjp(f, 3.0)[0],
                tg.hvp(f, (3.0,), (1.0,)),
            ]
        assert not any(t.requires_grad for t in results)

    def test_the_last_walk_runs_on_arrays_unless_an_outer_derivative_may_ask(self):
        given = []

        @tg.op(elementwise=True)
        def probe(a):
            return a * 1.0

        probe.vjp(a=lambda g: (given.append(type(g)), g)[1])
        w = tg.Tensor(2.0, requires_grad=True)
        x, t = tg.Tensor(3.0), tg.Tensor(1.0)
        closed, free = lambda x: probe(x) ** 2 * w, lambda x: probe(x) ** 2
        calls = [
            lambda f: tg.grad(f)(x),
            lambda f: tg.jacobian(f)(x),
            lambda f: tg.vjp(f, x)[1](1.0),
            lambda f: tg.hvp(f, (x,), (t,)),
            lambda f: tg.vjp(f, x)[1](t),
        ]
        for call in calls:
            with tg.no_grad():
                call(closed)
            assert given[-1] is not tg.Tensor
            call(free)
            assert given[-1] is not tg.Tensor
            call(closed)
            assert given[-1] is tg.Tensor
        _, pull = tg.vjp(closed, x)
        with tg.no_grad():
            pull(1.0)
        assert given[-1] is not tg.Tensor

    @pytest.mark.parametrize("nested", [tg.grad, tg.jacobian, lambda f: lambda x: tg.jvp(f, (x,), (1.0,))[1]])
    def test_inside_no_grad(self, nested):
        with tg.no_grad():
            close(nested(tg.grad(lambda x: x**3))(np.float64(2.0)), 12.0)
            assert not tg.is_grad_enabled()

    def test_no_grad_inside_the_function_makes_constants(self):
        def f(x):
            with tg.no_grad():
                constant = x * x
            return constant * x + tg.no_grad(tg.grad(lambda x: x**3))(x) * x

        close(tg.grad(f)(np.float64(2.0)), 4.0 + 12.0)

    def test_a_graph_outside_that_was_freed_or_written_is_a_constant(self):
        w = tg.Tensor(np.array([1.0, 2.0]), requires_grad=True)
        middle = w * w
        middle.sum().backward()
        close(tg.grad(lambda x: (middle * x).sum())(np.ones(2)), [1.0, 4.0])
        v = tg.Tensor(np.array([1.0, 2.0]), requires_grad=True)
        middle = v * v
        v.copy_(np.zeros(2))
        close(tg.grad(lambda x: (middle * x).sum())(np.ones(2)), [1.0, 4.0])

    def test_a_graph_outside_stays_usable(self):
        w = tg.Tensor(np.float64(3.0), requires_grad=True)
        middle = w * w
        with tg.no_grad():
            tg.grad(lambda x: middle * x * w)(2.0)
        tg.grad(lambda x: middle * x * w)(2.0)
        middle.backward()
        close(w.grad, 6.0)

    def test_arrays_are_copied_and_never_written(self):
        a = np.array([1.0, 2.0])
        value, pull = tg.vjp(lambda x: x * x, a)
        same, _ = tg.vjp(lambda x: x, a)
        a[:] = 0
        close(pull(np.ones(2))[0], [2.0, 4.0])
        close(same, [1.0, 2.0])
        assert not np.shares_memory(value.numpy(), a)


@pytest.mark.usefixtures("no_collector")
class TestMemory:
    @pytest.mark.parametrize("recording", [True, False])
    @pytest.mark.parametrize(
        "transform",
        [
            tg.grad,
            tg.value_and_grad,
            tg.jacobian,
            tg.hessian,
            lambda f: tg.grad(tg.grad(f)),
            lambda f: lambda x: tg.jvp(f, (x,), (1.0,)),
            lambda f: lambda x: tg.hvp(f, (x,), (1.0,)),
            lambda f: lambda x: (lambda y, pull: (y, pull(1.0), pull(1.0)))(*tg.vjp(f, x)),
        ],
    )
    def test_no_graph_is_left(self, transform, recording):
        nodes = []

        def f(x):
            middle = x * x
            nodes.append(weakref.ref(node_of(middle)))
            nodes.append(weakref.ref(array_of(middle)))
            return middle * x

        with tg.enable_grad() if recording else tg.no_grad():
            result = transform(f)(np.float64(2.0))
        assert nodes
        assert not any(node() is not None for node in nodes)
        del result

    def test_the_function_of_vjp_holds_its_graph_and_no_longer(self):
        x = tg.Tensor([1.0, 2.0])
        kept = []
        _, pull = tg.vjp(lambda x: (kept.append(weakref.ref(node_of(y := x * x))), y.exp())[1], x)
        pull(x)
        pull(x)
        assert kept[0]() is not None
        del pull
        assert kept[0]() is None

    def test_dropping_a_result_drops_the_graph_outside_with_it(self):
        w = tg.Tensor(3.0, requires_grad=True)
        g = tg.grad(lambda x: w * x * x)(2.0)
        node = weakref.ref(node_of(g))
        assert isinstance(node(), Node)
        del g
        assert node() is None


class TestContainers:
    Pair = collections.namedtuple("Pair", "first second")

    def test_the_gradient_has_the_structure_of_the_argument(self):
        tree = {
            "w": [np.ones(2), (np.float32(2.0), 3.0)],
            "pair": self.Pair(tg.Tensor([4.0]), None),
            "n": 5,
            "s": "name",
        }

        def f(tree):
            assert tree["n"] == 5
            assert type(tree["n"]) is int
            assert tree["s"] == "name"
            assert tree["pair"].second is None
            (a, (b, c)), d = tree["w"], tree["pair"].first
            return (a * b * c * d).sum() * tree["n"]

        g = tg.grad(f)(tree)
        assert list(g) == list(tree)
        assert isinstance(g["w"], list)
        assert isinstance(g["w"][1], tuple)
        assert isinstance(g["pair"], self.Pair)
        assert g["n"] is None
        assert g["s"] is None
        assert g["pair"].second is None
        close(g["w"][0], np.full(2, 120.0))
        close(g["w"][1][0], np.float32(120.0))
        close(g["w"][1][1], 80.0)
        close(g["pair"].first, [60.0])
        assert [g["w"][0].dtype, g["w"][1][0].dtype, g["w"][1][1].dtype] == [np.float64, np.float32, np.float64]

    def test_argnums_select_arguments_by_position(self):
        f = lambda a, b, c=1.0: a * b**2 * c  # noqa: E731
        close(tg.grad(f, 1)(np.float64(2), np.float64(3)), 12.0)
        close(tg.grad(f, -1)(np.float64(2), np.float64(3)), 12.0)
        db, da = tg.grad(f, (1, 0))(np.float64(2), np.float64(3), c=10.0)
        close(da, 90.0)
        close(db, 120.0)
        assert isinstance(tg.grad(f, [0])(2.0, 3.0), tuple)
        found = tg.hessian(f, (0, 1))(np.float64(2), np.float64(3))
        assert [[h.item() for h in row] for row in found] == [[0.0, 6.0], [6.0, 4.0]]

    def test_other_arguments_reach_the_function_as_they_are(self):
        array, labels, static = np.ones(2), np.array([1, 2]), object()

        def f(x, a, b, *, mode):
            assert a is array
            assert b is labels
            assert mode is static
            return (x * a * b).sum()

        close(tg.grad(f)(np.ones(2), array, labels, mode=static), [1.0, 2.0])

    def test_static_leaves_of_primals_pass_through_vjp_and_jvp(self):
        y, pull = tg.vjp(lambda x, n, name: {"y": x**n, "name": name, "index": x.astype(int)}, np.float64(2.0), 3, "id")
        assert y["name"] == "id"
        assert y["index"].item() == 2
        gradient = pull({"y": 1.0, "name": None, "index": None})
        close(gradient[0], 12.0)
        assert gradient[1:] == (None, None)
        value, moved = tg.jvp(lambda x, n: (x**n, n), (np.float64(2.0), 3), (1.0, None))
        assert value[1] == 3
        close(moved[0], 12.0)
        assert moved[1] is None

    def test_results_in_containers(self):
        f = lambda p: {"a": p["x"] * p["y"], "b": [p["x"].sum(), 7]}  # noqa: E731
        p = {"x": np.array([1.0, 2.0]), "y": np.float64(3.0)}
        found = tg.jacobian(f)(p)
        close(found["a"]["x"], 3 * np.eye(2))
        close(found["a"]["y"], [1.0, 2.0])
        close(found["b"][0]["x"], [1.0, 1.0])
        close(found["b"][0]["y"], 0.0)
        assert found["b"][1] is None
        _, pull = tg.vjp(f, p)
        (g,) = pull({"a": np.array([1.0, 10.0]), "b": [100.0, None]})
        close(g["x"], [103.0, 130.0])
        close(g["y"], 21.0)
        (g,) = pull({"a": None, "b": [None, None]})
        close(g["x"], [0.0, 0.0])
        _, moved = tg.jvp(f, (p,), ({"x": None, "y": 1.0},))
        close(moved["a"], [1.0, 2.0])
        close(moved["b"][0], 0.0)

    def test_hvp_over_several_arguments(self):
        f = lambda a, b: a * a * b  # noqa: E731
        a, b, s, t = np.float64(2.0), np.float64(3.0), 5.0, 7.0
        for_a, for_b = tg.hvp(f, (a, b), (s, t))
        close(for_a, 2 * 3 * s + 2 * 2 * t)
        close(for_b, 2 * 2 * s)

    def test_has_aux(self):
        f = lambda x: (x**2, {"seen": x * 2, "n": 1})  # noqa: E731
        g, aux = tg.grad(f, has_aux=True)(np.float64(3.0))
        close(g, 6.0)
        close(aux["seen"], 6.0)
        assert not aux["seen"].requires_grad
        assert aux["n"] == 1
        (value, aux), g = tg.value_and_grad(f, has_aux=True)(np.float64(3.0))
        close(value, 9.0)
        close(g, 6.0)
        close(tg.grad(lambda x: tg.grad(f, has_aux=True)(x)[1]["seen"])(np.float64(3.0)), 2.0)

    @given(
        st.recursive(
            numbers, lambda t: st.lists(t, max_size=3) | st.dictionaries(st.text("a.'[", max_size=2), t, max_size=3)
        )
    )
    def test_trees_are_taken_apart_and_put_together(self, tree):
        pairs = list(leaves(tree))
        assert rebuild(tree, [leaf for _, leaf in pairs]) == tree
        assert matched("f", "x", tree, tree) == [(path, leaf, leaf) for path, leaf in pairs]
        for path, leaf in pairs:
            assert eval(f"tree{path}", {"tree": tree}) == leaf

    def test_kinds_of_dict_are_kept(self):
        tree = collections.OrderedDict(b=1.0, a=2.0)
        found = tg.grad(lambda t: t["a"] * t["b"])(tree)
        assert type(found) is collections.OrderedDict
        assert list(found) == ["b", "a"]
        assert tree == {"b": 1.0, "a": 2.0}

    def test_empty_containers(self):
        assert tg.grad(lambda p: tg.Tensor(1.0))({}) == {}
        assert tg.grad(lambda p, x: x * 2, (0, 1))([], 1.0)[0] == []


class TestForms:
    def test_an_argument_that_does_not_matter_has_gradient_zero(self):
        ga, gb = tg.grad(lambda a, b: a * 2, (0, 1))(np.float64(1.0), np.ones((2, 0)))
        close(ga, 2.0)
        close(gb, np.zeros((2, 0)))
        for constant in (3.0, np.float64(3.0), np.array(3.0), tg.Tensor(3.0)):
            close(tg.grad(lambda x, c=constant: c)(np.ones(2)), np.zeros(2))
        value, moved = tg.jvp(lambda x: 3.0, (np.ones(2),), (np.ones(2),))
        close(value, 3.0)
        close(moved, 0.0)
        close(tg.jacobian(lambda x: np.ones(3))(np.ones(2)), np.zeros((3, 2)))
        close(tg.hvp(lambda x: x.sum(), (np.ones(2),), (np.ones(2),)), np.zeros(2))

    def test_zero_size(self):
        close(tg.jacobian(lambda x: x * 2)(np.ones((0, 2))), np.zeros((0, 2, 0, 2)))
        close(tg.jacobian(lambda x: x.sum(axis=0))(np.ones((0, 2))), np.zeros((2, 0, 2)))
        close(tg.hessian(lambda x: x.sum())(np.ones(0)), np.zeros((0, 0)))

    @pytest.mark.parametrize("kind", [float, np.float32, np.float16])
    def test_float32_and_float16_are_kept_and_a_python_float_is_float64(self, kind):
        dtype = np.dtype(kind)
        x = kind(1.5) if kind is float else np.array([1.5, 2.5], kind)
        f = lambda x: (x * x * 0.5).sum()  # noqa: E731
        found = [tg.grad(f)(x), *tg.value_and_grad(f)(x), tg.vjp(f, x)[1](1.0)[0], tg.jacobian(f)(x), tg.hessian(f)(x)]
        found += [*tg.jvp(f, (x,), (np.ones(np.shape(x)),)), tg.hvp(f, (x,), (np.ones(np.shape(x)),))]
        assert {t.dtype for t in found} == {dtype}

    def test_python_floats_lose_no_digits(self):
        """As arguments, directions and results."""
        third = 1 / 3
        assert tg.grad(lambda x: x * x)(third).item() == 2 * third
        assert [t.item() for t in tg.value_and_grad(lambda x: x * third)(third)] == [third * third, third]
        assert [t.item() for t in tg.jvp(lambda x: x * 1.0, (1.0,), (third,))] == [1.0, third]
        assert tg.vjp(lambda x: x * 1.0, 1.0)[1](third)[0].item() == third
        assert tg.value_and_grad(lambda x: third)(1.0)[0].item() == third

    def test_numbers_and_arrays_for_optimizers_of_other_libraries(self):
        def f(p, q, *, power):
            assert q.requires_grad
            return (p["a"] * p["b"] ** power).sum() * q, {"b": p["b"] * 2, "name": "f"}

        p = {"a": 3.0, "b": np.array([1.0, 2.0], np.float32), "n": 5}
        (value, more), (gp, gq) = tg.value_and_grad(f, argnums=(0, 1), has_aux=True, numpy=True)(p, 2.0, power=2)
        assert (value, gq, gp["a"], gp["n"]) == (30.0, 15.0, 10.0, None)
        assert {type(value), type(gq), type(gp["a"])} == {float}
        np.testing.assert_array_equal(gp["b"], np.array([12.0, 24.0], np.float32), strict=True)
        np.testing.assert_array_equal(more["b"], p["b"] * 2, strict=True)
        assert more["name"] == "f"
        gp["b"][:] = 0.0  # as optimizers do with their own
        np.testing.assert_array_equal(p["b"], [1.0, 2.0])

    def test_numbers_and_arrays_are_not_recorded(self):
        w = tg.Tensor(np.array([1.0, 2.0]), requires_grad=True)
        value, g = tg.value_and_grad(lambda x: (w * x * x).sum(), numpy=True)(np.ones(2))
        assert type(value) is float
        np.testing.assert_array_equal(g, [2.0, 4.0], strict=True)
        assert w.grad is None

    def test_scipy_minimizes(self):
        optimize = pytest.importorskip("scipy.optimize")
        a = np.array([[2.0, 1.0], [1.0, 3.0]])
        f = tg.value_and_grad(lambda x, b: (x @ a @ x) / 2 - b @ x, numpy=True)
        found = optimize.minimize(f, np.zeros(2), args=(np.array([1.0, -1.0]),), jac=True)
        np.testing.assert_allclose(found.x, np.linalg.solve(a, [1.0, -1.0]), atol=1e-6)

    def test_the_result_may_be_an_argument_or_come_twice(self):
        _, pull = tg.vjp(lambda x: (x, x, x * 2), np.ones(2))
        (g,) = pull((np.ones(2), 10 * np.ones(2), 100 * np.ones(2)))
        close(g, np.full(2, 211.0))
        close(tg.jacobian(lambda x: x)(np.ones(2)), np.eye(2))

    def test_tensors_instead_of_a_function_are_a_call_of_gradients(self):
        x = tg.Tensor(3.0, requires_grad=True)
        w = tg.Tensor(2.0, requires_grad=True)
        assert [g.item() for g in tg.grad(x * x * w, [x, w])] == [12.0, 9.0]
        assert [g.item() for g in tg.grad([x * x, x * w], x, grad_outputs=[1.0, 10.0])] == [26.0]
        assert tg.grad(outputs=x * 2, inputs=w, allow_unused=True) == (None,)
        assert tg.grad(f=lambda x: x * x, argnums=0)(3.0).item() == 6.0

    def test_ops_and_methods_are_functions_too(self):
        close(tg.grad(tg.exp)(np.float64(0.0)), 1.0)
        close(tg.grad(tg.Tensor.exp)(np.float64(0.0)), 1.0)
        assert not hasattr(tg.grad(tg.exp), "op")
        assert pickle.loads(pickle.dumps(tg.exp.op)) is tg.exp.op

        def named(x):
            """What it is."""
            return x

        assert tg.grad(named).__name__ == "named"
        assert tg.hessian(named).__doc__ == "What it is."


class TestErrors:
    @pytest.mark.parametrize(
        ("call", "error", "message"),
        [
            (lambda: tg.grad(lambda x: x)(np.ones(3)), ValueError, r"grad: f returned shape \(3,\).*sum\(\)"),
            (lambda: tg.grad(lambda x: x.sum().astype(int))(np.ones(3)), TypeError, "grad: f returned Tensor of int"),
            (lambda: tg.grad(lambda x: (x, x))(1.0), TypeError, "grad: f returned .*has_aux"),
            (lambda: tg.grad(lambda x: None)(1.0), TypeError, "grad: f returned None"),
            (lambda: tg.grad(lambda x: x, has_aux=True)(1.0), TypeError, "grad: f returned .*(result, more)"),
            (lambda: tg.value_and_grad(lambda x: x)(np.ones(3)), ValueError, "value_and_grad: f returned shape"),
            (lambda: tg.hvp(lambda x: x, (np.ones(2),), (np.ones(2),)), ValueError, "hvp: f returned shape"),
            (lambda: tg.grad(lambda x: x)(3), TypeError, "grad: argument 0 is 3, which has no derivative"),
            (lambda: tg.grad(lambda x: x)(np.arange(3)), TypeError, "grad: argument 0 is ndarray of int"),
            (lambda: tg.jacobian(lambda x, n: x, 1)(1.0, "a"), TypeError, "jacobian: argument 1 is 'a'"),
            (lambda: tg.grad(lambda x: x, 1)(1.0), ValueError, "grad: `argnums` has 1"),
            (lambda: tg.grad(lambda x: x)(x=1.0), ValueError, "called with 0 by position"),
            (lambda: tg.grad(lambda x: x, 1.5)(1.0), TypeError, "grad: `argnums` is 1.5"),
            (lambda: tg.grad(lambda x: x, True)(1.0), TypeError, "grad: `argnums` is True"),
            (lambda: tg.grad(lambda x, y: x, (0, -2))(1.0, 2.0), ValueError, "names an argument twice"),
            (lambda: tg.grad(3.0), TypeError, "grad: `f` is 3.0"),
            (lambda: tg.hessian(None), TypeError, "hessian: `f` is None"),
            (lambda: tg.vjp(3.0, 1.0), TypeError, "vjp: `f` is 3.0"),
            (
                lambda: tg.vjp(lambda x: x, np.ones(2))[1](np.ones(3)),
                ValueError,
                r"vjp: the cotangent has shape \(3,\)",
            ),
            (lambda: tg.vjp(lambda x: [x], 1.0)[1](1.0), ValueError, r"vjp: the cotangent has no leaf \[0\]"),
            (lambda: tg.vjp(lambda x: x, 1.0)[1](np.array(1j)), TypeError, "the cotangent has dtype complex"),
            (lambda: tg.jvp(lambda x: x, 1.0, 1.0), TypeError, "jvp: `primals` is 1.0"),
            (lambda: tg.jvp(lambda x: x, (1.0,), 1.0), TypeError, "jvp: `tangents` is 1.0"),
            (lambda: tg.jvp(lambda x: x, (1.0,), ()), ValueError, r"jvp: `tangents` has no leaf \[0\]"),
            (lambda: tg.jvp(lambda x: x, (1.0,), (1.0, 2.0)), ValueError, r"has a leaf \[1\] too many"),
            (
                lambda: tg.jvp(lambda x: x["a"], ({"a": np.ones(2)},), ({"a": np.ones(3)},)),
                ValueError,
                r"jvp: `tangents\[0\]\['a'\]` has shape \(3,\) but belongs to shape \(2,\)",
            ),
        ],
    )
    def test_bad_calls_say_what_is_wrong(self, call, error, message):
        with pytest.raises(error, match=message):
            call()

    def test_an_error_in_the_function_leaves_the_switch_as_it_was(self):
        def fails(x):
            raise KeyError("inside")

        with tg.no_grad():
            with pytest.raises(KeyError, match="inside"):
                tg.grad(fails)(1.0)
            assert not tg.is_grad_enabled()
