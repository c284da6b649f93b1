"""Rules that are missing or wrong: an error that names op and rule, in every direction; never a lost gradient."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn.core.registry import registry

from ..graphs import node_of

X = np.array([0.1, 0.5, 0.9])


def declared(raw=np.sin, **options):
    """A new op of one input."""

    def sine(a):
        return raw(a)

    return tg.op(**options)(sine)


def ones(*sizes):
    return tg.Tensor(np.ones(sizes), requires_grad=True)


def plain(a):
    """The values of an array or a Tensor, as a careless rule takes them."""
    return a.numpy() if isinstance(a, tg.Tensor) else a


FIRST = {
    "grad": lambda f: tg.grad(lambda x: f(x).sum())(X),
    "jvp": lambda f: tg.jvp(f, (X,), (X,)),
    "jacobian": lambda f: tg.jacobian(f)(X),
    "jacfwd": lambda f: tg.jacfwd(f)(X),
    "vmap": lambda f: tg.vmap(tg.grad(lambda x: f(x).sum()))(X[:, None]),
    "checkpoint": lambda f: tg.grad(lambda x: tg.checkpoint(f, x).sum())(X),
    "compile": lambda f: tg.compile(lambda x: tg.grad(lambda x: f(x).sum())(x))(tg.Tensor(X)),
}
SECOND = {
    "grad of grad": lambda f: tg.grad(lambda x: tg.grad(lambda x: f(x).sum())(x).sum())(X),
    "hessian": lambda f: tg.hessian(lambda x: f(x).sum())(X),
    "hvp": lambda f: tg.hvp(lambda x: f(x).sum(), (X,), (X,)),
    "jvp of grad": lambda f: tg.jvp(tg.grad(lambda x: f(x).sum()), (X,), (X,)),
    "grad of jvp": lambda f: tg.grad(lambda x: tg.jvp(f, (x,), (np.ones(3),))[1].sum())(X),
    "checkpoint": lambda f: tg.hessian(lambda x: tg.checkpoint(f, x).sum())(X),
}
quiet = pytest.mark.filterwarnings("ignore:vmap. .* has no batching rule")


class TestOpsWithoutRules:
    @pytest.mark.parametrize("name", FIRST)
    @pytest.mark.parametrize("elementwise", [False, True])
    @quiet
    def test_a_gradient_through_one_raises(self, name, elementwise):
        message = (
            r"sine: `a` requires a gradient, but sine has no gradient rule; give it one with sine\.vjp\(a=\.\.\.\), or"
        )
        with pytest.raises(NotImplementedError, match=message):
            FIRST[name](declared(elementwise=elementwise))

    def test_its_values_may_be_used(self):
        f, x = declared(), ones(2)
        assert f(x).tolist() == pytest.approx([np.sin(1)] * 2)
        (f(x).detach() * x).sum().backward()
        assert x.grad.tolist() == pytest.approx([np.sin(1)] * 2)

    def test_the_input_whose_gradient_is_wanted_is_named(self):
        @tg.op
        def mix(a, b, c=None):
            return a + b

        a, b = ones(2), ones(2)
        with pytest.raises(NotImplementedError, match=r"mix: `b` requires .*mix\.vjp\(b="):
            tg.gradients(mix(a, b).sum(), b)
        with pytest.raises(NotImplementedError, match=r"mix: `b` requires"):
            mix(X[:2], b).sum().backward()

    def test_of_many_inputs(self):
        @tg.op
        def total(*xs):
            return sum(xs)

        x = ones(2)
        with pytest.raises(NotImplementedError, match=r"total: `xs` requires .*total\.vjp\(xs="):
            total([x, x]).sum().backward()
        assert x.grad is None

    @pytest.mark.parametrize("raw", [np.isfinite, np.argsort])
    def test_what_has_no_floating_point_result_is_constant(self, raw):
        assert node_of(declared(raw)(ones(3))) is None

    def test_one_that_is_declared_so_is_constant(self):
        f, x = declared(differentiable=False), ones(3)
        assert not f(x).requires_grad
        (f(x) * x).sum().backward()
        np.testing.assert_array_equal(x.grad.numpy(), np.sin(np.ones(3)))
        assert tg.hessian(lambda x: (f(x) * x * x).sum())(X).numpy() == pytest.approx(np.diag(2 * np.sin(X)))

    def test_one_that_is_declared_so_takes_no_rules(self):
        f = declared(differentiable=False)
        for register in (lambda: f.vjp(a=lambda g: g), lambda: f.joint_vjp("a", "b")(lambda g: (g, g))):
            with pytest.raises(TypeError, match="sine is declared with differentiable=False, which rules contradict"):
                register()

    def test_a_rule_may_follow_the_first_call(self):
        f, x = declared(), ones(3)
        f(x)
        f.vjp(a=lambda g, a: g * tg.cos(a))
        f(x).sum().backward()
        np.testing.assert_array_equal(x.grad.numpy(), np.cos(np.ones(3)))

    def test_no_op_of_the_library_lacks_rules_by_oversight(self):
        found = {name for name, op in registry.items() if name.startswith("tinygrad_cnn.") and op.signature.lacks_rules}
        assert not found, "give it rules, or declare it with differentiable=False"

    def test_steps_have_a_gradient_of_zero(self):
        """As in PyTorch and JAX: such functions of NumPy are no constants to a later op."""
        for f in (tg.floor, tg.ceil, tg.trunc, tg.round, tg.sign):
            assert tg.grad(lambda x, f=f: f(x).sum())(X).tolist() == [0.0] * 3, f.__name__


class TestDecorators:
    @pytest.mark.parametrize("given", [(lambda g, a, b: (g, g),), (), ("a", 1)])
    def test_a_joint_rule_without_names_is_refused(self, given):
        @tg.op
        def f(a, b):
            return a * b

        with pytest.raises(TypeError, match=r"f\.joint_vjp: name the inputs .*: @f\.joint_vjp\('a', 'b'\)"):
            f.joint_vjp(*given)

    def test_no_rule_at_all_is_refused(self):
        with pytest.raises(TypeError, match=r"sine\.vjp: name the input of each rule"):
            declared().vjp()


class TestRulesThatReturnArrays:
    """First derivatives pass. All others would be silently zero, since an array does not know where it comes from."""

    @pytest.mark.parametrize("name", SECOND)
    @pytest.mark.parametrize("elementwise", [False, True])
    def test_higher_derivatives_raise(self, name, elementwise):
        f = declared(elementwise=elementwise)
        f.vjp(a=lambda g, a: plain(g) * np.cos(plain(a)))
        np.testing.assert_array_equal(FIRST["grad"](f).numpy(), np.cos(X))
        with pytest.raises(
            TypeError, match="sine: the (forward )?rule for `a` returned an array where it was given Tensors"
        ):
            SECOND[name](f)

    def test_transposing_such_a_rule_raises(self):
        f = declared()
        f.vjp(a=lambda g, a: plain(g) * np.cos(plain(a)))
        with pytest.raises(TypeError, match="sine: the rule for `a` returned an array where it was given Tensors"):
            FIRST["jvp"](f)

    def test_a_forward_rule(self):
        f = declared()
        f.vjp(a=lambda g, a: g * tg.cos(a))
        f.jvp(a=lambda t, a: plain(t) * np.cos(plain(a)))
        np.testing.assert_allclose(FIRST["jvp"](f)[1].numpy(), X * np.cos(X), rtol=1e-15)
        with pytest.raises(
            TypeError, match="sine: the forward rule for `a` returned an array where it was given Tensors"
        ):
            SECOND["grad of jvp"](f)

    def test_a_joint_rule(self):
        @tg.op
        def product(a, b):
            return a * b

        product.joint_vjp("a", "b")(lambda g, a, b: (plain(g * b), g * a))
        with pytest.raises(TypeError, match="product: the rule for `a` returned an array where it was given Tensors"):
            tg.hessian(lambda x: product(x, x).sum())(X)


class TestWrongResults:
    @pytest.mark.parametrize("name", [*FIRST, *SECOND])
    @pytest.mark.parametrize("wrong", [None, 1.0, (X,), [1.0], "g"], ids=repr)
    @quiet
    def test_what_is_no_array(self, name, wrong):
        for elementwise in (False, True):
            f = declared(elementwise=elementwise)
            f.vjp(a=lambda g: wrong)
            with pytest.raises(TypeError, match="sine: the (forward )?rule for `a` returned .*, not an array"):
                {**FIRST, **SECOND}[name](f)

    @pytest.mark.parametrize("wrong", [X + 1j, np.array([None] * 3)], ids=["complex", "object"])
    def test_what_holds_no_real_numbers(self, wrong):
        f = declared()
        f.vjp(a=lambda g: wrong)
        with pytest.raises(
            TypeError, match="sine: the rule for `a` returned (complex128|object) for an input of float64"
        ):
            FIRST["grad"](f)

    def test_a_tangent_of_another_shape(self):
        f = declared()
        f.vjp(a=lambda g: g)
        f.jvp(a=lambda t: tg.concatenate([t, t]))
        with pytest.raises(
            ValueError, match=r"sine: the forward rule for `a` returned shape \(6,\) for an output of .*\(3,\)"
        ):
            FIRST["jvp"](f)

    @pytest.mark.parametrize(
        ("found", "told"),
        [(lambda g: (g,), "1 values"), (lambda g: [g, g, g], "3 values"), (lambda g: None, "None")],
        ids=["few", "many", "none"],
    )
    def test_joint_rules_that_return_too_many_or_too_few(self, found, told):
        @tg.op
        def pair(a, b):
            return a * b

        @tg.op
        def total(*xs):
            return sum(xs)

        pair.joint_vjp("a", "b")(found)
        total.joint_vjp("xs")(found)
        x, y = ones(3), ones(3)
        for f in (pair(x, y), total([x, y])):
            with pytest.raises(ValueError, match=f"(pair|total): the joint rule returned {told} for 2 inputs"):
                f.sum().backward()
        assert x.grad is None
        assert y.grad is None
