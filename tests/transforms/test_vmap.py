"""vmap beside a loop over the samples: every row of the case table, nested transforms, and what is refused."""

from __future__ import annotations

import tracemalloc
import warnings

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn.core.remedies import original
from tinygrad_cnn.testing.cases import Draws
from tinygrad_cnn.transforms.batching import networks

from ..rows import CASES


class OneShape(Draws):
    """Inputs of the same shapes in every draw."""

    def __init__(self, rng, shape=(2, 3)):
        super().__init__(rng)
        self.shape = shape

    def broadcastable(self, count):
        return [self.shape] * count

    def square(self):
        return False


def samples(case, n=3):
    draws = [case.draw(OneShape(np.random.default_rng(seed))) for seed in range(n)]
    return [list(column) for column in zip(*draws, strict=True)]


def subsets(count):
    """All inputs batched, and each alone."""
    return [tuple(range(count)), *((i,) for i in range(count) if count > 1)]


READING = (original(tg.trim_zeros),)
"""Functions whose result has a shape that depends on the values: vmap refuses them."""

BATCHED = [case for case in CASES if case.function not in READING]
"""Rows of functions whose results have one shape, whatever the values."""


@pytest.mark.parametrize("many", [0, 1 << 22], ids=["a group for each sample", "a product for each sample"])
@pytest.mark.parametrize(("images", "groups"), [(1, 1), (2, 1), (1, 2)])
def test_the_gradients_of_filters_for_each_sample(images, groups, many, tuning):
    tuning(networks, MANY=many)
    rng = np.random.default_rng(0)
    x, g = rng.standard_normal((3, images, 4, 6, 5)), rng.standard_normal((3, images, 6, 3, 2))
    w = tg.Tensor(rng.standard_normal((6, 4 // groups, 3, 2)))

    def gradient(x, g):
        return tg.grad(lambda w: (tg.conv2d(x, w, stride=2, padding=(1, 0), dilation=(1, 2), groups=groups) * g).sum())(
            w
        )

    def squares(x, g):
        return (gradient(x, g) ** 2).sum()

    x, g = tg.Tensor(x), tg.Tensor(g)
    expected = np.stack([gradient(x[i], g[i]).numpy() for i in range(3)])
    np.testing.assert_allclose(tg.vmap(gradient)(x, g).numpy(), expected, atol=1e-12)
    for argnums in (0, 1):
        expected = np.stack([tg.grad(squares, argnums)(x[i], g[i]).numpy() for i in range(3)])
        found = tg.grad(lambda *args: tg.vmap(squares)(*args).sum(), argnums)(x, g)
        np.testing.assert_allclose(found.numpy(), expected, atol=1e-10)


def called(case, arrays):
    return case.call(*[tg.Tensor(a) for a in arrays])


@pytest.mark.parametrize("case", BATCHED, ids=lambda case: case.name)
def test_every_row_is_what_a_loop_gives(case):
    columns = samples(case)
    for batched in subsets(len(columns)):
        axes = tuple(0 if i in batched else None for i in range(len(columns)))
        given = [np.stack(c) if i in batched else c[0] for i, c in enumerate(columns)]
        expected = [called(case, [c[k if i in batched else 0] for i, c in enumerate(columns)]) for k in range(3)]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            found = tg.vmap(lambda *xs: case.call(*[tg.Tensor(x) for x in xs]), in_axes=axes)(*given)
        wanted = np.stack([y.numpy() for y in expected])
        assert found.dtype == wanted.dtype
        np.testing.assert_allclose(found, wanted, rtol=1e-10, atol=1e-12)


BY_VALUE = ("one_hot", "is_positive", "multigammaln")  # whose shape depends on integers, and which refuse zeros


@pytest.mark.parametrize("case", [c for c in BATCHED if not c.name.startswith(BY_VALUE)], ids=lambda case: case.name)
def test_no_samples_give_what_one_sample_gives_but_none_of_it(case):
    columns = samples(case)

    def run(n):
        given = [tg.Tensor(c[0][None][:n]) for c in columns]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            return tg.vmap(lambda *xs: case.call(*xs))(*given)

    one, none = run(1), run(0)
    assert (none.shape, none.dtype) == ((0, *one.shape[1:]), one.dtype)


def test_the_gradients_of_no_samples_are_zeros():
    w, x = (
        tg.Tensor(np.ones((1, 1, 2, 2)), requires_grad=True),
        tg.Tensor(np.zeros((0, 1, 1, 4, 4)), requires_grad=True),
    )
    y = tg.vmap(lambda x: tg.log(tg.conv2d(x, w)))(x)
    dw, dx = tg.gradients(y.sum(), [w, x])
    assert (y.shape, dx.shape) == ((0, 1, 1, 3, 3), (0, 1, 1, 4, 4))
    np.testing.assert_array_equal(dw.numpy(), np.zeros((1, 1, 2, 2)))
    each = tg.vmap(tg.grad(lambda x: tg.conv2d(x, w).sum()))(x)
    assert each.shape == (0, 1, 1, 4, 4)


def scalar(case, float_at):
    """A scalar function of a row's floating-point inputs, the others being fixed by the caller."""

    def f(*arrays):
        y = case.call(*[tg.Tensor(a) for a in arrays])
        return (y * np.cos(np.arange(y.size, dtype=y.dtype)).reshape(y.shape)).sum()

    return f


REFUSED = {"put_along_axis": "computes with an index"}
"""Functions whose gradient is no computation by ops alone where it differs from sample to sample."""

SMOOTH = [case for case in BATCHED if case.order]


@pytest.mark.parametrize("case", SMOOTH, ids=lambda case: case.name)
def test_the_gradient_for_each_sample_and_through_the_batch(case):
    columns = samples(case)
    moving = tuple(i for i, c in enumerate(columns) if c[0].dtype.kind == "f")
    given, f = [np.stack(c) for c in columns], scalar(case, moving)
    expected = [tg.grad(f, argnums=moving)(*[c[k] for c in columns]) for k in range(3)]
    if case.function.__name__ in REFUSED:
        with pytest.raises(ValueError, match=REFUSED[case.function.__name__]):
            tg.vmap(tg.grad(f, argnums=moving))(*given)
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        each = tg.vmap(tg.grad(f, argnums=moving))(*given)
        through = tg.grad(lambda *xs: tg.vmap(f)(*xs).sum(), argnums=moving)(*given)
        ts = [np.sin(np.arange(given[i].size)).reshape(given[i].shape) for i in moving]

        def along(*xs):
            primals, tangents = xs[: len(columns)], iter(xs[len(columns) :])
            directions = tuple(next(tangents) if i in moving else None for i in range(len(columns)))
            return tg.jvp(f, primals, directions)[1]

        pushed = tg.vmap(along)(*given, *ts)
    wanted = [np.stack([g[k].numpy() for g in expected]) for k in range(len(moving))]
    for w, a, b in zip(wanted, each, through, strict=True):
        np.testing.assert_allclose(a, w, rtol=1e-9, atol=1e-11)
        np.testing.assert_allclose(b, w, rtol=1e-9, atol=1e-11)
    size = sum(np.abs(w * t).sum() for w, t in zip(wanted, ts, strict=True))
    dot = sum((w * t).reshape(3, -1).sum(1) for w, t in zip(wanted, ts, strict=True))
    np.testing.assert_allclose(pushed, dot, rtol=1e-9, atol=1e-12 * size)


@pytest.mark.parametrize("case", SMOOTH, ids=lambda case: case.name)
def test_many_gradients_for_each_sample(case):
    """A batched backward walk inside of a batch, as in ``vmap(jacrev(f))``, and such a walk compiled."""
    columns = samples(case)
    moving = tuple(i for i, c in enumerate(columns) if c[0].dtype.kind == "f")
    y = called(case, [c[0] for c in columns]).numpy()
    us = np.cos(np.arange(2 * y.size, dtype=y.dtype)).reshape(2, *y.shape)

    def pulled(*arrays):
        pull = tg.vjp(lambda *xs: case.call(*map(tg.Tensor, xs)), *arrays)[1]
        return [g for i, g in enumerate(tg.vmap(pull)(us)) if i in moving]

    def one_by_one(k):
        pull = tg.vjp(lambda *xs: case.call(*map(tg.Tensor, xs)), *[c[k] for c in columns])[1]
        return [[g for i, g in enumerate(pull(u)) if i in moving] for u in us]

    wanted = [np.array([[row[i].numpy() for row in one_by_one(k)] for k in range(3)]) for i in range(len(moving))]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        if case.function.__name__ in REFUSED:
            with pytest.raises(ValueError, match=REFUSED[case.function.__name__]):
                tg.vmap(pulled)(*map(np.stack, columns))
        else:
            for w, found in zip(wanted, tg.vmap(pulled)(*map(np.stack, columns)), strict=True):
                np.testing.assert_allclose(found, w, rtol=1e-9, atol=1e-11)
        compiled = tg.compile(pulled)
        for k in (0, 1, 2, 0):
            for w, found in zip(wanted, compiled(*[c[k] for c in columns]), strict=True):
                np.testing.assert_allclose(found.numpy(), w[k], rtol=1e-9, atol=1e-11)


def test_a_mean_of_float16_adds_up_as_without_a_batch():
    scores = (np.random.default_rng(0).normal(size=(2, 2000, 3)) * 100).astype(np.float16)
    classes = np.zeros((2, 2000), int)
    found = tg.vmap(tg.cross_entropy)(scores, classes)
    assert found.dtype == np.float16
    each = [tg.cross_entropy(tg.Tensor(s), c).item() for s, c in zip(scores, classes, strict=True)]
    np.testing.assert_allclose(found, each, rtol=2e-3)


X = np.arange(24.0).reshape(4, 3, 2) / 10


class TestArguments:
    def test_axes_of_arguments_and_results(self):
        f = tg.vmap(lambda x, w: {"y": x @ w, "n": 3}, in_axes=(1, None), out_axes=-1)
        found = f(X, np.ones((2, 5)))
        assert found["n"] == 3
        np.testing.assert_allclose(found["y"], np.moveaxis(X @ np.ones((2, 5)), 1, -1))

    def test_nested_arguments(self):
        p, x = {"w": X, "b": np.ones(2)}, [np.ones((4, 3)), "name"]
        found = tg.vmap(
            lambda p, x: (p["w"] * tg.expand_dims(x[0], -1)).sum() + p["b"], in_axes=({"w": 0, "b": None}, (0, None))
        )
        np.testing.assert_allclose(found(p, x), X.sum((1, 2))[:, None] + 1 + np.zeros(2))

    def test_keyword_arguments_are_shared(self):
        found = tg.vmap(lambda x, *, by: x * by)(X, by=np.array([1.0, 2.0]))
        np.testing.assert_allclose(found, X * [1, 2])

    @pytest.mark.parametrize("size", [1, 3, 4, 9])
    def test_chunks(self, size):
        np.testing.assert_allclose(tg.vmap(lambda x: x.sum(), chunk_size=size)(X), X.sum((1, 2)))

    def test_results_that_do_not_depend_on_the_sample(self):
        w = tg.Tensor([1.0, 2.0])
        same, given = tg.vmap(lambda x: (w * 2, w))(X)
        assert same.tolist() == [[2, 4]] * 4
        assert given.tolist() == [[1, 2]] * 4

    def test_no_samples(self):
        assert tg.vmap(lambda x: x.sum(axis=0))(X[:0]).shape == (0, 2)
        for f in (tg.median, tg.cumsum, lambda x: tg.take(x, [1, 0]), lambda x: tg.concatenate([x, x], axis=None)):
            assert tg.vmap(f)(X[:0]).shape == (0, *f(X[0]).shape)
        for f in (tg.linalg.inv, tg.linalg.cholesky, lambda x: tg.linalg.solve(x @ x.T, x)):
            assert tg.vmap(f)(np.zeros((0, 3, 3))).shape == (0, 3, 3)

    @pytest.mark.parametrize(
        ("arguments", "axes", "message"),
        [
            ((X, X[:3]), 0, "has 4 samples along axis 0 but leaf 1 of the arguments has 3 samples"),
            ((X,), None, "gives no argument an axis"),
            ((X,), 3, r"of shape \(4, 3, 2\), and has no axis 3"),
            ((1.0,), 0, "is 1.0, and has no axis 0"),
            ((X, X), (0,), "nested as arguments or results are"),
        ],
    )
    def test_what_is_refused(self, arguments, axes, message):
        with pytest.raises(ValueError, match=message):
            tg.vmap(lambda *xs: xs[0], in_axes=axes)(*arguments)

    def test_bad_arguments_of_vmap(self):
        with pytest.raises(TypeError, match="`f` is 3"):
            tg.vmap(3)
        with pytest.raises(ValueError, match="`chunk_size` is 0"):
            tg.vmap(tg.sum, chunk_size=0)


class TestNesting:
    def test_over_itself(self):
        a, b = np.random.default_rng(0).standard_normal((2, 3, 4))
        outer = tg.vmap(lambda x: tg.vmap(lambda y: tg.dot(x, y))(b))(a)
        np.testing.assert_allclose(outer, a @ b.T)

    @pytest.mark.part(8)
    @pytest.mark.parametrize("outer", [(0, 0), (0, None), (None, 0)])
    @pytest.mark.parametrize("inner", [(0, 0), (0, None), (None, 0)])
    @pytest.mark.parametrize("f", [
        lambda x, i: x[i] * x[0, 0],
        lambda x, i: x[:, i],
        lambda x, i: tg.put_along_axis(x, i[:, None], x[:2, :1], axis=0),
        tg.jacrev(lambda x, i: tg.take(tg.sort(x, axis=0), i, axis=0)),
        tg.jacrev(lambda x, i: x[i] ** 2),
        tg.jacfwd(lambda x, i: tg.median(x, axis=0) * i[0]),
        tg.grad(lambda x, i: tg.cross_entropy(x[:2], i)),
    ])  # fmt: skip
    def test_what_differs_on_any_level(self, f, inner, outer):
        def drawn(seed):
            rng, both = np.random.default_rng(seed), zip(outer, inner, strict=True)
            sizes = [[n for n, axis in zip((2, 4), axes, strict=True) if axis == 0] for axes in both]
            return rng.normal(size=(*sizes[0], 3, 3)), np.argsort(rng.normal(size=(*sizes[1], 3)))[..., :2]

        def one(axes, k, arrays):
            return [a if axis is None else a[k] for a, axis in zip(arrays, axes, strict=True)]

        def looped(*arrays):
            samples = [[one(inner, k, one(outer, j, arrays)) for k in range(4)] for j in range(2)]
            return np.array([[f(*map(tg.Tensor, sample)).numpy() for sample in row] for row in samples])

        nested = tg.vmap(tg.vmap(f, in_axes=inner), in_axes=outer)
        compiled = tg.compile(nested)
        for seed in range(3):
            arrays = drawn(seed)
            for found in (nested, compiled):
                np.testing.assert_allclose(found(*map(tg.Tensor, arrays)), looped(*arrays), rtol=1e-10, atol=1e-12)

    def test_hessians_of_samples(self):
        f = lambda x: (x**3).sum() * x[0]  # noqa: E731
        xs = np.random.default_rng(0).uniform(1, 2, (5, 3))
        np.testing.assert_allclose(
            tg.vmap(tg.hessian(f))(xs), np.stack([tg.hessian(f)(x).numpy() for x in xs]), rtol=1e-10
        )

    def test_gradients_reach_what_all_samples_share(self):
        w = tg.Tensor([1.0, 2.0], requires_grad=True)
        tg.vmap(lambda x: (x * w).sum())(tg.Tensor(X)).sum().backward()
        np.testing.assert_allclose(w.grad, X.sum((0, 1)), rtol=1e-6)

    def test_compiled(self):
        f = lambda w, x, y: tg.cross_entropy(tg.linear(x[None], w), y[None])  # noqa: E731
        each = tg.vmap(tg.grad(f), in_axes=(None, 0, 0))
        step, rng = tg.compile(each), np.random.default_rng(0)
        for _ in range(4):
            w, x, y = tg.Tensor(rng.standard_normal((3, 2))), tg.Tensor(X[:, 0]), tg.Tensor(rng.integers(0, 3, 4))
            np.testing.assert_array_equal(step(w, x, y), each(w, x, y))

    def test_compiled_sees_what_eager_sees_outside(self):
        outside, scale = np.ones(2), tg.Tensor([1.0])

        def f(x):
            y = x * tg.Tensor(outside)
            return y if scale.item() < 3 else -y

        step, x = tg.compile(tg.vmap(f)), tg.Tensor(X[:, 0])
        for k in range(8):
            outside[:] = k
            scale.copy_([float(k)])
            np.testing.assert_array_equal(step(x), tg.vmap(f)(x))

    def test_compiled_draws_go_on(self):
        f = lambda x: x + tg.rand(3)  # noqa: E731
        step, x = tg.compile(tg.vmap(f)), tg.zeros(4)
        tg.manual_seed(1)
        compiled = [step(x).numpy() for _ in range(6)]
        tg.manual_seed(1)
        for found in compiled:
            np.testing.assert_array_equal(found, tg.vmap(f)(x))

    def test_a_compiled_jvp_sees_new_labels(self):
        f = lambda x, y: tg.jvp(lambda x: tg.cross_entropy(x, y), (x,), (tg.ones_like(x),))[1]  # noqa: E731
        step, rng = tg.compile(f), np.random.default_rng(0)
        x = tg.Tensor(rng.standard_normal((4, 3)))
        for _ in range(4):
            y = tg.Tensor(rng.integers(0, 3, 4), dtype=np.int64)
            np.testing.assert_array_equal(step(x * 2, y), f(x * 2, y))

    def test_a_module(self):
        model = tg.nn.Sequential(tg.nn.Conv2d(2, 3, 3, padding=1), tg.nn.BatchNorm2d(3), tg.nn.ReLU()).eval()
        x = tg.Tensor(np.random.default_rng(0).standard_normal((4, 2, 5, 5)).astype(np.float32))
        np.testing.assert_allclose(
            tg.vmap(lambda x: model(x[None])[0])(x).detach(), model(x).detach(), rtol=1e-5, atol=1e-6
        )


class TestWhatIsCut:
    """Gradients stop where the function stops them: it says so without an op."""

    def detached(x):
        return (x.detach() * x).sum()

    def unrecorded(x):
        with tg.no_grad():
            w = x * 2
        return (w * x).sum()

    def partly(x):
        y = tg.exp(x)
        return (y * y.detach() + x).sum()

    def returned(x):
        return x * 2, (x * 3).detach()

    @pytest.mark.parametrize("f", [detached, unrecorded, partly], ids=lambda f: f.__name__)
    def test_gradients_are_those_of_a_loop(self, f):
        x = X[:, 0]
        expected = np.stack([tg.grad(f)(row).numpy() for row in x])
        np.testing.assert_allclose(tg.grad(lambda x: tg.vmap(f)(x).sum())(x), expected)
        np.testing.assert_allclose(tg.vmap(tg.grad(f))(x), expected)
        twice = np.stack([tg.hvp(f, (row,), (row,)).numpy() for row in x])
        np.testing.assert_allclose(tg.vmap(lambda x: tg.hvp(f, (x,), (x,)))(x), twice)

    def test_results(self):
        x = tg.Tensor(X[:, 0], requires_grad=True)
        recorded, cut = tg.vmap(TestWhatIsCut.returned)(x)
        assert recorded.requires_grad
        assert not cut.requires_grad
        with tg.no_grad():
            assert not any(y.requires_grad for y in tg.vmap(TestWhatIsCut.returned)(x))


class TestDraws:
    def test_each_sample_has_its_own_draw(self):
        draws = tg.vmap(lambda x: x + tg.rand(3))(tg.zeros(50))
        assert len(np.unique(draws.numpy())) == 150

    def test_dropout(self):
        kept = tg.vmap(lambda x: tg.dropout(x, 0.5, training=True))(tg.ones(100, 20)).numpy()
        assert len({row.tobytes() for row in kept}) == 100

    def test_a_seed_gives_all_the_same(self):
        draws = tg.vmap(lambda x: x + tg.rand(3, rng=1))(tg.zeros(5)).numpy()
        assert (draws == draws[0]).all()

    def test_the_generator_goes_on_as_in_a_loop(self):
        tg.manual_seed(0)
        together = tg.vmap(lambda x: x + tg.rand(3))(tg.zeros(5)).numpy()
        after = tg.rand(1).item()
        tg.manual_seed(0)
        np.testing.assert_array_equal(together, np.stack([tg.rand(3).numpy() for _ in range(5)]))
        assert tg.rand(1).item() == after


class TestRefusals:
    def test_a_step_of_an_optimizer(self):
        p = tg.Tensor([1.0, 2.0], requires_grad=True)
        optimizer = tg.optim.SGD([p], lr=1.0)
        p.grad = tg.ones(2)

        def train(x):
            optimizer.step()
            return x

        with pytest.raises(ValueError, match="changes state"):
            tg.vmap(train)(tg.ones(3))
        assert p.tolist() == [1, 2]

    def test_a_step_of_a_schedule(self):
        schedule = tg.optim.lr_scheduler.StepLR(tg.optim.SGD([tg.ones(2, requires_grad=True)], lr=1.0), 1)
        with pytest.raises(ValueError, match="changes state"):
            tg.vmap(lambda x: schedule.step() or x)(tg.ones(3))
        assert schedule.last_epoch == 0

    @pytest.mark.parametrize(
        "f",
        [
            lambda x: x * x.item(), lambda x: x if x > 0 else -x, lambda x: tg.Tensor(x.numpy()), lambda x: x[int(x)],
        ],
    )  # fmt: skip
    def test_reading_values(self, f):
        with pytest.raises(ValueError, match="reads the values of a batched Tensor"):
            tg.vmap(f)(tg.ones(3))

    def test_changing_state(self):
        w = tg.zeros(2)
        with pytest.raises(ValueError, match="changes state"):
            tg.vmap(lambda x: w.copy_(x))(tg.ones(3, 2))
        assert w.tolist() == [0, 0]
        with pytest.raises(ValueError, match="changes state"):
            tg.vmap(tg.nn.BatchNorm1d(2))(tg.ones(3, 4, 2))

    def test_backward_inside(self):
        w = tg.ones(2, requires_grad=True)
        with pytest.raises(ValueError, match="use grad"):
            tg.vmap(lambda x: (x * w).sum().backward())(tg.ones(3, 2))
        assert w.grad is None

    def test_a_residual_that_differs(self):
        @tg.op(residuals=["best"])
        def largest(a):
            best = np.argmax(a)
            return a[best], np.asarray(best)

        largest.vjp(a=lambda g, best, in_shape: tg.one_hot(best, num_classes=in_shape[0]) * g)
        assert tg.grad(largest)(np.array([1.0, 3.0, 2.0])).tolist() == [0, 1, 0]
        with pytest.warns(RuntimeWarning, match="no batching rule"), pytest.raises(ValueError, match="residual"):
            tg.vmap(tg.grad(largest))(np.eye(3))

    def test_an_op_without_a_rule_loops_and_says_so(self):
        @tg.op
        def turned(a):
            return a[::-1].copy()

        turned.vjp(a=lambda g: turned(g))
        with pytest.warns(RuntimeWarning, match="turned has no batching rule"):
            found = tg.vmap(turned)(X)
        np.testing.assert_array_equal(found, X[:, ::-1])

    @pytest.mark.parametrize("f", [
        lambda i: tg.index_set(X[..., 0], i, 7.0),
        lambda i: tg.put_along_axis(X[..., 0], i[:, None], X[:2, :1, 1], axis=0),
    ])  # fmt: skip
    def test_an_array_at_an_index_that_differs(self, f):
        indices, compiled = np.array([[0, 1], [3, 2], [1, 3]]), tg.compile(f)
        wanted = np.stack([f(tg.Tensor(i)).numpy() for i in indices])
        np.testing.assert_array_equal(tg.vmap(f)(indices), wanted)
        np.testing.assert_array_equal([compiled(i).numpy() for i in indices], wanted)

    @pytest.mark.parametrize("f", [lambda i: tg.delete(X, i, axis=0), lambda i: np.insert(X, i, X[:2], axis=0)])
    def test_an_index_whose_values_are_used_without_ops(self, f):
        indices = np.array([[0, 1], [3, 2], [1, 3]])
        with pytest.raises(ValueError, match="reads the values of a batched Tensor"):
            tg.vmap(f)(indices)
        compiled = tg.compile(f)
        for _ in range(3):
            np.testing.assert_array_equal(compiled(indices[0]), f(tg.Tensor(indices[0])))

    def test_an_index_that_differs_from_sample_to_sample(self):
        i = np.array([2, 0, 1, 2])
        np.testing.assert_array_equal(
            tg.vmap(lambda x, i: x[i[None]])(X, tg.Tensor(i, dtype=int)), X[np.arange(4), i][:, None]
        )
        g = tg.vmap(tg.grad(lambda x, i: x[i[None]].sum()))(X, tg.Tensor(i, dtype=int)).numpy()
        assert g.sum((2,)).argmax(1).tolist() == i.tolist()


def test_values_of_the_batch_are_freed_with_those_of_the_sample():
    xs = np.ones((64, 1000))

    def chain(x):
        for _ in range(20):
            x = tg.sin(x * 1.5)
        return x

    tg.vmap(chain)(xs)
    tracemalloc.start()
    tg.vmap(chain)(xs)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5 * xs.nbytes


def test_an_error_of_an_op_is_raised_where_the_function_calls_it():
    def f(x):
        with pytest.raises(ValueError, match=r"\(3,\)"):
            x + np.ones(7)
        return x.sum()

    np.testing.assert_array_equal(tg.vmap(f)(np.ones((64, 3))), np.full(64, 3.0))


def test_a_sample_requires_a_gradient_where_the_batch_does():
    seen = []
    f = tg.vmap(lambda x: seen.append(x.requires_grad) or x * x)
    f(np.ones(3))
    tg.grad(lambda x: f(x).sum())(np.ones(3))
    assert seen == [False, True]


def test_slopes_drawn_from_a_seed_are_those_of_each_sample():
    xs = -np.ones((3, 4))
    found = tg.vmap(lambda x: tg.rrelu(x, training=True, rng=3))(xs)
    np.testing.assert_array_equal(found, [tg.rrelu(xs[0], training=True, rng=3)] * 3)
