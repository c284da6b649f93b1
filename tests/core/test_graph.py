"""@op: what a declaration may say, what a call keeps, and what is refused before any array is touched."""

from __future__ import annotations

import copy
import gc
import pickle
from contextlib import contextmanager

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_cnn as tg
from tinygrad_cnn.core.acceleration import accelerate
from tinygrad_cnn.core.registry import registry
from tinygrad_cnn.core.tracing import observe
from tinygrad_cnn.testing import assert_gradients

from ..graphs import array_of, node_of


@tg.op(elementwise=True)
def cube(a):
    """y = a^3.   a' = 3 g a^2."""
    return a * a * a


cube.vjp(a=lambda g, a: 3 * g * a * a)


@tg.op(residuals=["best"])
def largest(a, *, axis=-1):
    """y = the largest of a over `axis`.   a' = g at its place."""
    best = np.argmax(a, axis=axis)
    return np.max(a, axis=axis), best


@tg.op
def one_hot_like(u, *, best, size, axis):
    """y = u at `best`, zeros elsewhere: the adjoint of taking those."""
    out = np.zeros(np.insert(u.shape, axis % (u.ndim + 1), size), u.dtype)
    np.put_along_axis(out, np.expand_dims(best, axis), np.expand_dims(u, axis), axis)
    return out


@tg.op
def take_at(a, *, best, axis):
    return np.take_along_axis(a, np.expand_dims(best, axis), axis).squeeze(axis)


largest.vjp(a=lambda g, best, in_shape, axis: one_hot_like(g, best=best, size=in_shape[axis], axis=axis))
one_hot_like.vjp(u=lambda g, best, axis: take_at(g, best=best, axis=axis))
take_at.vjp(a=lambda g, best, in_shape, axis: one_hot_like(g, best=best, size=in_shape[axis], axis=axis))


@tg.op
def weighted_sum(*xs, weights):
    """y = sum w_i x_i.   x_i' = g w_i."""
    return sum(w * x for w, x in zip(weights, xs, strict=True))


weighted_sum.vjp(xs=lambda g, i, weights: g * weights[i])


@tg.op
def scaled(a, b=None, *, factor=2.0):
    """y = factor a + b, without b if that is None."""
    return a * factor if b is None else a * factor + b


scaled.vjp(a=lambda g, factor: g * factor, b=lambda g: g)


def leaf(*values):
    return tg.Tensor(np.array(values), requires_grad=True)


class TestValues:
    @pytest.mark.slow
    @given(st.lists(st.integers(-300, 300), min_size=1, max_size=4), st.integers(0, 2**32 - 1))
    def test_own_ops_differentiate_to_third_order(self, hundredths, seed):
        a = np.array(hundredths) / 100.0
        assert_gradients(cube, a, order=3)
        shuffled = np.random.default_rng(seed).permutation(np.arange(6.0)).reshape(2, 3)
        assert_gradients(lambda x: largest(x * x.sum(), axis=0), shuffled, order=3)
        assert_gradients(lambda x, y: weighted_sum([x, y, x * y], weights=[1.0, -2.0, 3.0]), a, a + 1.0, order=3)
        assert_gradients(lambda x, y: scaled(x * y, y, factor=0.5), a, a + 1.0, order=3)

    def test_on_arrays_an_op_is_its_function(self):
        a = np.array([1.0, 2.0])
        assert isinstance(cube(a), np.ndarray)
        np.testing.assert_array_equal(cube(a), a**3)
        np.testing.assert_array_equal(largest(np.array([[1.0, 3.0]])), [3.0])  # the residual stays inside
        np.testing.assert_array_equal(weighted_sum([a, a], weights=[1, 2]), 3 * a)
        assert cube(2.0) == 8.0

    def test_parameters_by_position_or_by_name(self):
        x = leaf([[1.0, 3.0], [2.0, 0.0]])
        np.testing.assert_array_equal(largest(x, 1).numpy(), largest(x, axis=1).numpy())
        np.testing.assert_array_equal(weighted_sum([x, x], [1.0, 1.0]).numpy(), 2 * x.numpy())

    def test_documentation_stays(self):
        assert cube.__doc__ == "y = a^3.   a' = 3 g a^2."
        assert cube.__name__ == "cube"
        assert cube.__module__ == __name__
        assert repr(cube.op) == "<op cube>"
        assert "Tensor" in repr(cube(leaf(2.0)))
        assert "op=cube" in repr(cube(leaf(2.0)))

    def test_the_source_that_can_be_printed_is_what_runs(self):
        found = {}
        exec(cube.op.source, cube.op.globals, found)
        call, pull = found.values()
        y = call(leaf(2.0))
        assert y.item() == 8.0
        assert pull(1.0, node_of(y).saved, node_of(y).params, node_of(y).parents) == (12.0,)

    def test_defaults_are_what_is_recorded(self):
        x = leaf(1.0)
        scaled(x).backward()
        assert x.grad.item() == 2.0
        x.zero_grad()
        scaled(x, factor=5.0).backward()
        assert x.grad.item() == 5.0


class TestOptionalInputs:
    def test_left_out_given_or_none(self):
        a, b = leaf(1.0), leaf(10.0)
        assert scaled(a).item() == 2.0
        assert scaled(a, None).item() == 2.0
        assert scaled(a, b).item() == 12.0
        assert scaled(a, b=b).item() == 12.0
        scaled(a, b).backward()
        assert (a.grad.item(), b.grad.item()) == (2.0, 1.0)
        assert node_of(scaled(a)).parents == (node_of(a), None)


class TestSaving:
    """A node keeps what a rule names, for inputs that take part, and nothing else."""

    def test_what_rules_name(self):
        x = leaf(2.0)
        assert cube.op.signature.saved == ("a",)
        assert node_of(cube(x)).saved == (array_of(x),)
        assert largest.op.signature.saved == ("best",)
        assert weighted_sum.op.signature.saved == ()
        assert node_of(x + 1.0).saved == ()
        assert tg.exp.op.signature.saved == ("y",)

    def test_only_for_inputs_that_require_a_gradient(self):
        a, b = leaf(2.0), tg.Tensor(np.array([3.0]))
        assert node_of(a * b).saved == (None, array_of(b))  # b serves a's rule; a would serve b's, which will not run
        assert node_of(b * a).saved == (array_of(b), None)
        assert node_of(a * a).saved == (array_of(a), array_of(a))
        assert node_of(b * b) is None

    def test_a_rule_for_an_input_without_a_gradient_never_runs(self):
        calls = []

        @tg.op
        def product(a, b):
            return a * b

        product.vjp(
            a=lambda g, b: (calls.append("a"), g * b)[1],
            b=lambda g, a: (calls.append("b"), g * a)[1],
        )
        a, b = leaf(2.0), leaf(3.0)
        product(a, b.detach()).backward()
        assert calls == ["a"]
        product(a.detach(), b).backward()
        assert calls == ["a", "b"]
        product(a, 3.0).backward()
        assert calls == ["a", "b", "a"]
        tg.gradients(product(a, b), b)
        assert calls == ["a", "b", "a", "b"]

    def test_and_in_a_variadic_op(self):
        calls = []

        @tg.op
        def total(*xs):
            return sum(xs)

        total.vjp(xs=lambda g, i: (calls.append(i), g)[1])
        a, b = leaf(2.0), leaf(3.0)
        total([a, np.ones(1), b, 2.0]).backward()
        assert calls == [0, 2]
        assert total([np.ones(1), 2.0]).tolist() == [3.0]

    def test_nothing_is_saved_without_recording(self):
        x = leaf(2.0)
        with tg.no_grad():
            assert node_of(cube(x)) is None


class TestPickling:
    @pytest.mark.parametrize("function", [cube, largest, weighted_sum, tg.exp, tg.concatenate])
    def test_ops_pickle_by_name(self, function):
        assert pickle.loads(pickle.dumps(function)) is function
        assert pickle.loads(pickle.dumps(function.op)) is function.op
        assert copy.deepcopy(function.op) is function.op
        assert registry[f"{function.op.function.__module__}.{function.__name__}"] is function.op


class TestDeclarations:
    """Errors at the declaration, with the legal names."""

    @pytest.mark.parametrize("name", ["g", "y", "i", "in_shape"])
    @pytest.mark.parametrize("template", ["def f({}): pass", "def f(a, *, {}): pass", "def f(*{}): pass"])
    def test_reserved_names(self, name, template):
        scope = {}
        exec(template.format(name), scope)
        with pytest.raises(TypeError, match=f"op f: {name} are names with a meaning in rules"):
            tg.op(scope["f"])

    @pytest.mark.parametrize("name", ["a_", "_a", "a_n", "Tensor", "isinstance", "saved"])
    def test_names_that_the_written_function_uses(self, name):
        namespace: dict[str, object] = {}
        exec(f"def f(a, *, {name}=1):\n    return a", namespace)
        with pytest.raises(TypeError, match=f"op f: {name} may clash with names in the function that is written"):
            tg.op(namespace["f"])

    def test_a_lambda_has_no_name(self):
        with pytest.raises(TypeError, match="op <lambda>: the name must be an identifier"):
            tg.op(lambda a: a)

    def test_a_reserved_residual(self):
        with pytest.raises(TypeError, match="op f: y are names with a meaning in rules"):
            tg.op(residuals=["y"])(_named("def f(a): pass"))

    @pytest.mark.parametrize(
        "source",
        [
            "def f(): pass",
            "def f(a, *xs): pass",
            "def f(*, axis): pass",
            "def f(a, **more): pass",
            "def f(*xs, **more): pass",
        ],
    )
    def test_inputs_are_positional_or_all_variadic(self, source):
        with pytest.raises(TypeError, match=r"op f: array inputs are positional \(a, b\) or all variadic"):
            tg.op(_named(source))

    def test_a_rule_for_no_input(self):
        f = tg.op(_named("def f(a, b, *, axis): pass"))
        for name in ("c", "axis", "y"):
            with pytest.raises(TypeError, match=f"f.vjp: `{name}` is not an input; the inputs are a, b"):
                f.vjp(**{name: lambda g: g})

    def test_a_rule_without_the_name_of_its_input(self):
        f = tg.op(_named("def f(a, b, *, axis): pass"))
        with pytest.raises(TypeError, match=r"f\.vjp: name the input of each rule: f\.vjp\(a=\.\.\.\)"):
            f.vjp(lambda g: g)

    def test_an_input_with_a_default(self):
        with pytest.raises(TypeError, match=r"op f: `p` has a default.*write it behind a star: \*, p="):
            tg.op(_named("def f(a, p=2): pass"))
        tg.op(_named("def f(a, p=None): pass"))

    def test_a_rule_that_names_what_there_is_not(self):
        f = tg.op(residuals=["where"])(_named("def f(a, b, *, axis): pass"))
        message = "f.vjp: the rule for `a` names `other`; legal names are g, a, b, y, where, axis, in_shape"
        with pytest.raises(TypeError, match=message):
            f.vjp(a=lambda g, other: g)
        with pytest.raises(TypeError, match="names `i`; legal names"):  # there is no position but in variadic ops
            f.vjp(a=lambda g, i: g)
        v = tg.op(_named("def v(*xs, axis): pass"))
        with pytest.raises(
            TypeError, match="v.vjp: the rule for `xs` names `x`; legal names are g, xs, y, axis, in_shape, i"
        ):
            v.vjp(xs=lambda g, x: g)

    def test_a_bad_rule_changes_nothing(self):
        f = tg.op(_named("def f(a, b): return a * b"))
        f.vjp(a=lambda g, b: g * b, b=lambda g, a: g * a)
        with pytest.raises(TypeError, match="names `nothing`"):
            f.vjp(a=lambda g: g * 100.0, b=lambda nothing: nothing)
        a, b = leaf(2.0), leaf(3.0)
        f(a, b).backward()
        assert (a.grad.item(), b.grad.item()) == (3.0, 2.0)

    def test_rules_may_be_replaced_and_given_one_by_one(self):
        f = tg.op(_named("def f(a, b): return a * b"))
        f.vjp(b=lambda g, a: g * a)
        f.vjp(a=lambda g: g * 100.0)
        f.vjp(a=lambda g, b: g * b)
        a, b = leaf(2.0), leaf(3.0)
        f(a, b).backward()
        assert (a.grad.item(), b.grad.item()) == (3.0, 2.0)


class TestJointRules:
    @pytest.mark.parametrize(
        "wanted", [(True, True, False), (True, True, True), (True, False, True), (False, True, False)]
    )
    def test_give_the_gradients_that_are_wanted_in_one_call(self, wanted):
        f = tg.op(_named("def f(a, b, c): return a * b + c"))
        asked = []

        @f.joint_vjp("a", "b")
        def both(g, a, b, needs, in_shapes):
            asked.append((needs, in_shapes))
            return g * b if needs[0] else None, g * a if needs[1] else None

        f.vjp(c=lambda g: g)
        tensors = [tg.Tensor(v, requires_grad=w) for v, w in zip(([2.0], [3.0], [5.0]), wanted, strict=True)]
        f(*tensors).backward()
        assert asked == [(wanted[:2], tuple((1,) if w else None for w in wanted[:2]))]
        expected = [v if w else None for v, w in zip((3.0, 2.0, 1.0), wanted, strict=True)]
        assert [t.grad and t.grad.item() for t in tensors] == expected

    def test_are_not_called_and_keep_nothing_where_none_of_their_gradients_is_wanted(self):
        f = tg.op(_named("def f(a, b, c): return a * b + c"))
        calls = []
        f.joint_vjp("a", "b")(lambda g, a, b: (calls.append(1), g * b, g * a)[1:])
        f.vjp(c=lambda g: g)
        y = f(2.0, 3.0, leaf(5.0))
        assert node_of(y).saved == (None, None)
        y.backward()
        assert not calls

    def test_are_differentiated(self):
        f = tg.op(_named("def f(a, b): return a * b"))
        f.joint_vjp("a", "b")(lambda g, a, b: (g * b, g * a))
        assert_gradients(f, np.array([2.0, -1.0]), np.array([3.0, 0.5]), order=3)

    def test_of_a_variadic_op_give_a_gradient_for_each_input(self):
        f = tg.op(_named("def total(*xs): return sum(xs)"))
        asked = []

        @f.joint_vjp("xs")
        def each(g, xs, needs, in_shapes):
            asked.append((len(xs), needs, in_shapes))
            return tuple(g * (i + 1) if need else None for i, need in enumerate(needs))

        a, b = leaf(2.0), leaf(3.0)
        f([a, 1.0, b]).backward()
        assert (a.grad.item(), b.grad.item()) == (1.0, 3.0)
        assert asked == [(3, (True, False, True), ((1,), None, (1,)))]

    def test_a_later_rule_takes_the_place_of_those_for_its_inputs(self):
        f = tg.op(_named("def f(a, b): return a * b"))
        f.joint_vjp("a", "b")(lambda g, a, b: (g * b * 10, g * a * 10))
        f.vjp(a=lambda g, b: g * b, b=lambda g, a: g * a)
        a, b = leaf(2.0), leaf(3.0)
        f(a, b).backward()
        assert (a.grad.item(), b.grad.item()) == (3.0, 2.0)

    @pytest.mark.parametrize(
        ("source", "inputs", "rule", "message"),
        [
            ("def f(a, b): pass", ("a", "c"), lambda g: g, "f.joint_vjp: `c` is not an input; the inputs are a, b"),
            ("def f(a, b): pass", ("a",), lambda g: g, "f.joint_vjp: give the names of two inputs at least"),
            (
                "def f(a, b): pass",
                ("a", "b"),
                lambda in_shape: 1,
                "f.joint_vjp: the rule for `a`, `b` names `in_shape`; legal names are g, a, b, y, needs, in_shapes, parents$",
            ),
        ],
    )
    def test_ill_formed_ones_are_refused(self, source, inputs, rule, message):
        f = tg.op(_named(source))
        with pytest.raises(TypeError, match=message):
            f.joint_vjp(*inputs)(rule)


class TestAccelerations:
    """A kernel computes what the definition does, in eager mode and in compiled programs, and may decline."""

    @staticmethod
    def made(along=(), in_place=False):
        f = tg.op(_named("def triple(a, *, extra=0.0): return a * 3 + extra"))
        f.vjp(a=lambda g: g * 3)
        runs = []

        def prepare(out, a, *, extra):
            if a.size < 3:
                return None
            y = np.empty_like(a) if out is None else out

            def task():
                runs.append(out is None)
                np.multiply(a, 3, y)
                return np.add(y, extra, y)

            return task

        accelerate(f, prepare, along=along, in_place=in_place)
        return f, runs

    def test_eager_calls_prepare_and_run(self):
        f, runs = self.made()
        x = leaf(1.0, 2.0, 3.0)
        y = f(x, extra=1.0)
        assert y.tolist() == [4.0, 7.0, 10.0]
        assert f(np.ones(4)).tolist() == [3.0] * 4
        assert runs == [True, True]
        y.backward(np.ones(3))
        assert x.grad.tolist() == [3.0] * 3

    def test_where_it_declines_the_definition_computes(self):
        f, runs = self.made()
        assert f(tg.Tensor([1.0, 2.0])).tolist() == [3.0, 6.0]
        step = tg.compile(lambda x: f(x + 0.0) * 1.0)
        assert [step(tg.Tensor([1.0, i])).tolist() for i in range(3)] == [[3.0, 3.0 * i] for i in range(3)]
        assert not runs

    def test_where_it_declines_given_memory_it_computes_a_new_array(self):
        f = tg.op(_named("def triple(a, *, extra=0.0): return a * 3 + extra"))
        accelerate(f, lambda out, a, *, extra: None if out is not None else lambda: a * 3 + extra + 1)
        x, y = np.ones(2), np.empty(2)
        f.op.bind(y, x, extra=0.0)()
        assert y.tolist() == f.op.run(x, extra=0.0).tolist() == [4.0, 4.0]

    def test_inputs_that_do_not_exist_are_refused(self):
        with pytest.raises(TypeError, match="accelerate: `along` names 'b'; legal names of <op triple> are a, y"):
            self.made(along=["b"])


@contextmanager
def declared(ufunc, inputs):
    """An op that is `ufunc`, for a while."""
    scope = {}
    exec(f"def own({inputs}):\n    'What it is.'", {"__name__": __name__}, scope)
    known, claimed = dict(tg.core.registry.registry), dict(tg.core.registry.numpy_ops)
    try:
        yield tg.op(ufunc=ufunc)(scope["own"])
    finally:
        for table, before in (tg.core.registry.registry, known), (tg.core.registry.numpy_ops, claimed):
            table.clear()
            table.update(before)


class TestCalls:
    def test_an_input_without_a_rule_cannot_require_a_gradient(self):
        f = tg.op(_named("def f(a, b): return a * b"))
        f.vjp(a=lambda g, b: g * b)
        assert f(leaf(2.0), tg.Tensor(np.array([3.0]))).requires_grad
        with pytest.raises(TypeError, match=r"f: `b` requires a gradient but f has none for it; pass `b.detach\(\)`"):
            f(leaf(2.0), leaf(3.0))
        with tg.no_grad():
            assert f(leaf(2.0), leaf(3.0)).item() == 6.0

    def test_an_op_without_rules_gives_constants(self):
        f = tg.op(_named("def f(a): return a > 0"))
        assert f(leaf(2.0)).tolist() == [True]
        assert not f(leaf(2.0)).requires_grad

    @pytest.mark.parametrize("create_graph", [False, True])
    def test_a_rule_of_another_shape_is_an_error_that_names_op_and_input(self, create_graph):
        f = tg.op(_named("def f(a, b): return a * b"))
        f.vjp(a=lambda g, b: g * b, b=lambda g, a: (g * a).sum())
        a, b = leaf(1.0, 2.0), leaf(3.0, 4.0)
        with pytest.raises(ValueError, match=r"f: the rule for `b` returned shape \(\) for an input of shape \(2,\)"):
            f(a, b).sum().backward(create_graph=create_graph)
        assert a.grad is None

    def test_a_rule_that_returns_no_array_is_an_error(self):
        f = tg.op(_named("def f(a): return a * 1.0"))
        f.vjp(a=lambda g: None)
        with pytest.raises(TypeError, match="f: the rule for `a` returned None, not an array"):
            f(leaf(1.0)).backward()

    def test_errors_of_the_function_name_op_and_inputs(self):
        f = tg.op(_named("def f(a, b): return a.reshape(7) + b"))
        with pytest.raises(ValueError, match=r"f: cannot reshape.*\(`a` is float64 \(2,\), `b` is 1.0\)"):
            f(leaf(1.0, 2.0), 1.0)

    def test_elementwise_says_that_gradients_are_summed_back(self):
        source = "def f(a, b): return a * b"
        f, g = tg.op(elementwise=True)(_named(source)), tg.op(_named(source))
        for own in (f, g):
            own.vjp(a=lambda g, b: g * b, b=lambda g, a: g * a)
        a, b = leaf(1.0, 2.0), leaf(3.0)
        f(a, b).sum().backward()
        np.testing.assert_array_equal(b.grad.numpy(), [3.0])
        with pytest.raises(ValueError, match="g?f: the rule for `b` returned shape"):
            g(a, b).sum().backward()

    def test_observers_see_own_ops(self):
        seen = []
        x = leaf(2.0)
        with observe(lambda op, inputs, params, output: seen.append((op, inputs, params, output))):
            y = largest(x, axis=0)
        ((op, inputs, params, output),) = seen
        assert op is largest.op
        assert inputs[0] is x
        assert params == (0,)
        assert output is y

    def test_a_numpy_function_may_be_claimed(self):
        ufunc = np.frompyfunc(lambda a: a * 2, 1, 1)

        @tg.op(numpy=ufunc)
        def twice(a):
            return a * 2

        twice.vjp(a=lambda g: g * 2)
        x = leaf(8.0)
        ufunc(x).backward()
        assert x.grad.item() == 2.0
        del tg.core.registry.numpy_ops[ufunc]

    def test_an_op_may_be_a_ufunc(self):
        with declared(np.logaddexp2, "x1, x2") as own:
            own.vjp(x1=lambda g, y, x1: g * 2.0 ** (x1 - y), x2=lambda g, y, x2: g * 2.0 ** (x2 - y))
            x, row = leaf([[1.0, 2.0], [0.5, -1.0]]), leaf([3.0, -2.0])
            assert_gradients(own, x.numpy(), row.numpy(), order=2)
            assert isinstance(np.logaddexp2(x, 1.0), tg.Tensor)
            program = tg.compile(lambda a: own(a * 2.0, 1.0))
            for _ in range(2):
                np.testing.assert_array_equal(program(x).numpy(), np.logaddexp2(x.numpy() * 2.0, 1.0))
            assert own.op.elementwise
            assert own.op.in_place
            assert own.op.takes_out
            assert own.__doc__ == "What it is."

    @pytest.mark.parametrize(("ufunc", "inputs"), [(np.add, "a"), (np.sin, "a, b"), (np.frexp, "a")])
    def test_a_ufunc_has_as_many_inputs_as_the_op_and_one_output(self, ufunc, inputs):
        with pytest.raises(TypeError, match=f"`ufunc` is {ufunc.__name__}, of"), declared(ufunc, inputs):
            pass

    def test_own_ops_make_no_cycle(self, no_collector):
        x = leaf(2.0)
        y = cube(largest(x, axis=0))
        before = len(gc.get_objects())
        for _ in range(5):
            y = cube(largest(x, axis=0))
        assert len(gc.get_objects()) <= before + 10
        assert y.item() == 8.0


def _named(source):
    scope = {}
    exec(source, scope)
    return next(value for name, value in scope.items() if name != "__builtins__")
