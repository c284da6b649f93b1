"""float32 beside float64: sums, scans, normalizations and losses, any axis, any memory order, far from zero, tiny and huge."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import tinygrad_cnn as tg
from tinygrad_cnn.kernels import lines, normalization

from .benchmarks import accuracy
from .benchmarks.accuracy import ALLOWED, EPS, FUNCTIONS, ULP, WHOLE, Function, Situation
from .tuning import tuned

BY_NAME = {function.name: function for function in FUNCTIONS + WHOLE}
rng = np.random.default_rng(0)


def check(function: Function, situation: Situation) -> None:
    """Value and gradient are within a few units in the last place of the terms that they are computed from."""
    x, u = situation.data(function)
    exact = function.exact(x.astype(np.float64), u.astype(np.float64), situation.axes)
    got = accuracy.ours(function, x, u, situation.axes)
    for one, wanted, scale in zip(got, (exact.y, exact.dx), (exact.y_scale, exact.dx_scale), strict=True):
        error = np.abs(one - wanted.reshape(one.shape)).max()
        assert error <= ALLOWED * ULP * scale, (error / scale / ULP, situation)


@st.composite
def situations(draw, function: Function) -> Situation:
    """Some 10,000 elements, most of them along one axis, in any order in memory."""
    if function in WHOLE:
        shape = draw(st.sampled_from([(40, 3, 50), (6, 5, 20, 20), (3, 200, 7), (5, 3, 700), (1500, 2, 3)]))
    else:
        long = draw(st.integers(1000, 5000))
        shape = tuple(draw(st.permutations([long, draw(st.integers(1, 4)), draw(st.integers(1, 3))])))
    ndim = len(shape)
    most = ndim if function.several else 1
    axes = tuple(sorted(draw(st.sets(st.integers(0, ndim - 1), min_size=1, max_size=most))))
    centre, scale = draw(st.sampled_from([(0, 1), (0, 1e-6), (0, 1e6), (1, 1), (30, 1), (1000, 1)]))
    if "loss" in function.name or function.name == "local_response_norm":
        scale = 1
    return Situation(shape, axes, tuple(draw(st.permutations(range(ndim)))), centre, scale, draw(st.integers(0, 99)))


@pytest.fixture(scope="module")
def kernels():
    """Kernels also where definitions, in float64, take less time."""
    with tuned() as tune:
        tune(normalization, FEW=1)
        tune(lines, FEW=1)
        yield


@pytest.mark.parametrize("name", BY_NAME)
@given(data=st.data())
@pytest.mark.usefixtures("kernels")
def test_values_and_gradients_beside_float64(name, data):
    check(BY_NAME[name], data.draw(situations(BY_NAME[name])))


LARGE = [
    ("norm, ord=3", Situation((3587, 1, 3), (0, 2), offset=1000, seed=1)),
    *((name, Situation((200_000, 3), (0,))) for name in ("sum", "mean", "var", "std", "logsumexp", "norm, ord=2")),
    *((name, Situation((200_000, 3), (0,), offset=100)) for name in ("mean", "var", "cumsum", "softmax")),
    *((name, Situation((3, 99_991), (1,), (1, 0))) for name in ("sum", "var", "log_softmax", "cumprod", "prod")),
    *((name, Situation((50_000, 3, 2), (0, 2))) for name in ("sum", "mean", "var")),
    *((name, Situation((2, 3, 180, 180), (), offset=1000)) for name in ("batch_norm", "instance_norm", "layer_norm")),
    *((name, Situation((16, 8, 28, 28), (), (0, 2, 3, 1), offset=1000)) for name in ("batch_norm", "instance_norm")),
    *((name, Situation((9973, 3), (), offset=3)) for name in ("batch_norm", "rms_norm", "cross_entropy")),
]


@pytest.mark.part(8)
@pytest.mark.parametrize(("name", "situation"), LARGE)
def test_many_terms(name, situation):
    check(BY_NAME[name], situation)


@given(st.floats(0.5, 1, width=32), st.integers(2, 3000), st.integers(1, 130), st.booleans())
@example(0.9420945048332214, 53, 5, False)
@example(0.8402872085571289, 2175, 34, True)
@example(0.9450460076332092, 3083, 101, False)
@example(0.9432578086853027, 245, 1, False)
@example(0.8122958540916443, 46, 8, True)
def test_equal_numbers_have_their_mean_and_no_deviation(value, n, columns, turned):
    """They are the worst case of sums, since every rounding errs to the same side; no BLAS adds up too many in one sum."""
    x = np.full((n, columns), value, np.float32)
    x = np.asfortranarray(x) if turned else x
    for axis in (0, 1, None):
        error = np.abs(tg.mean(x, axis=axis).astype(np.float64) - value)
        assert np.all(error <= ALLOWED * np.spacing(np.float32(value))), error.max()
    for axis in (0, None):
        assert not np.any(tg.std(x, axis=axis))
        assert not np.any(tg.var(x, axis=axis))


def test_many_equal_numbers():
    assert tg.mean(np.ones(20_000_000, np.float32)) == 1
    assert tg.sum(np.broadcast_to(np.float32(1), (20_000_000, 2)), axis=0).tolist() == [2e7, 2e7]
    assert not np.any(tg.std(np.full((500_000, 3), 0.1, np.float32), axis=0))


@pytest.mark.parametrize("scale", [1e-38, 1e-25, 1e20, 3e37])
def test_deviations_of_tiny_and_huge_numbers(scale):
    z = np.random.default_rng(0).standard_normal((3000, 2))
    x = tg.Tensor((z * scale).astype(np.float32), requires_grad=True)
    exact = x.numpy().astype(np.float64)
    y = tg.std(x, axis=0)
    np.testing.assert_allclose(y.numpy(), exact.std(0), rtol=1e-6)
    y.sum().backward()
    expected = (exact - exact.mean(0)) / exact.std(0) / len(exact)
    np.testing.assert_allclose(x.grad.numpy(), expected, rtol=0, atol=ALLOWED * ULP * np.abs(expected).max())


@pytest.mark.parametrize("scale", [1e-38, 1e-25, 1e20, 3e37])
def test_deviations_of_some_tiny_and_huge_numbers(scale):
    z = np.random.default_rng(0).standard_normal((300, 2))
    mask = np.random.default_rng(1).random(z.shape) < 0.5
    x = tg.Tensor((z * scale).astype(np.float32), requires_grad=True)
    y = tg.std(x, axis=0, where=mask)
    assert y.dtype == np.float32
    exact = x.numpy().astype(np.float64)
    np.testing.assert_allclose(y.numpy(), exact.std(0, where=mask), rtol=1e-6)
    y.sum().backward()
    expected = mask * (exact - exact.mean(0, where=mask)) / exact.std(0, where=mask) / mask.sum(0)
    np.testing.assert_allclose(x.grad.numpy(), expected, rtol=0, atol=ALLOWED * ULP * np.abs(expected).max())


@pytest.mark.parametrize("scale", [1, 1e8, 1e12, 1e18])
def test_cosines_of_huge_embeddings(scale):
    a, b = np.random.default_rng(0).standard_normal((2, 5, 3))
    x = tg.Tensor((a * scale).astype(np.float32), requires_grad=True)
    tg.cosine_embedding_loss(x, (b * scale).astype(np.float32), np.ones(5), reduction="sum").backward()
    sizes = [np.linalg.norm(v, axis=1, keepdims=True) for v in (a, b)]
    cos = (a * b).sum(1, keepdims=True) / sizes[0] / sizes[1]
    expected = -(b / sizes[1] - cos * a / sizes[0]) / sizes[0] / scale
    np.testing.assert_allclose(x.grad.numpy(), expected, rtol=0, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize(
    ("f", "axes"), [(tg.instance_norm, (2, 3)), (lambda x: tg.layer_norm(x, (4, 30, 30)), (1, 2, 3))]
)
def test_normalization_of_the_largest_numbers(f, axes, last):
    x = np.random.default_rng(0).uniform(-1, 1, (2, 4, 30, 30)) * 3e38
    x = x.astype(np.float32)
    x = np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1) if last else x
    t = tg.Tensor(x, requires_grad=True)
    y = f(t)
    exact = x.astype(np.float64)
    s = (exact - exact.mean(axes, keepdims=True)) / exact.std(axes, keepdims=True)
    np.testing.assert_allclose(y.numpy(), s, rtol=0, atol=1e-5)  # 1 / deviation is subnormal
    u = np.random.default_rng(1).standard_normal(x.shape).astype(np.float32)
    y.backward(tg.Tensor(u))
    dx = (u - u.mean(axes, keepdims=True) - s * (u * s).mean(axes, keepdims=True)) / exact.std(axes, keepdims=True)
    np.testing.assert_allclose(t.grad.numpy(), dx, rtol=0, atol=1e-5 * np.abs(dx).max())


def test_batch_norm_of_the_largest_numbers_by_rows():
    x = (np.random.default_rng(0).uniform(-1, 1, (4000, 3)) * 3e38).astype(np.float32)
    exact = x.astype(np.float64)
    y = tg.batch_norm(x, None, None, np.ones(3, np.float32), np.zeros(3, np.float32), training=True)
    np.testing.assert_allclose(y, (exact - exact.mean(0)) / exact.std(0), rtol=0, atol=1e-5)


@pytest.mark.parametrize("scale", [0.01, 1, 10])
@pytest.mark.parametrize("kind", ["ones", "one", "random"])
def test_log_softmax_of_100_000_terms(scale, kind):
    """1 - p and its like cancel where the logits are nearly equal."""
    rng = np.random.default_rng(0)
    x = tg.Tensor((rng.standard_normal((2, 100_000)) * scale).astype(np.float32), requires_grad=True)
    g = {"ones": np.ones(x.shape), "one": np.eye(*x.shape), "random": rng.random(x.shape)}[kind].astype(np.float32)
    tg.log_softmax(x).backward(g)
    z = np.exp(x.numpy().astype(np.float64))
    exact = g - z / z.sum(-1, keepdims=True) * g.astype(np.float64).sum(-1, keepdims=True)
    assert np.abs(x.grad.numpy() - exact).max() <= ALLOWED * ULP * np.abs(exact).max()


@pytest.mark.parametrize("reduction", ["none", "sum", "batchmean"])
@given(st.sampled_from([0.1, 1, 3, 10]), st.integers(0, 99))
def test_kl_div(reduction, scale, seed):
    """log t - x cancels where the distributions are alike."""
    rng = np.random.default_rng(seed)
    p, t = (np.exp(rng.standard_normal((4, 500)) * scale) for _ in range(2))
    x = tg.Tensor(np.log(p / p.sum(-1, keepdims=True)).astype(np.float32), requires_grad=True)
    t = tg.Tensor((t / t.sum(-1, keepdims=True)).astype(np.float32), requires_grad=True)
    y = tg.kl_div(x, t, reduction=reduction)
    y.backward(np.ones(y.shape, np.float32))
    wide, share = t.detach().numpy().astype(np.float64), 4 if reduction == "batchmean" else 1
    ratio = np.log(wide) - x.detach().numpy()
    exact = (wide * ratio if reduction == "none" else (wide * ratio).sum() / share, -wide / share, (ratio + 1) / share)
    for found, wanted in zip((y.detach(), x.grad, t.grad), exact, strict=True):
        assert np.abs(found.numpy() - wanted).max() <= ALLOWED * ULP * np.abs(wanted).max()


class TestFloat16:
    """It is added up in float32 and rounded once: half a unit in the last place, 2^-11, and no overflow on the way."""

    x = rng.standard_normal((3000, 3)).astype(np.float16)

    @pytest.mark.parametrize("axis", [0, 1, None])
    @pytest.mark.parametrize("f", ["sum", "mean", "var", "std", "logsumexp", "prod"])
    def test_reductions(self, f, axis):
        exact = self.x.astype(np.float64)
        x = self.x
        if f == "prod":
            x = (1 + self.x / 100).astype(np.float16)
            exact = x.astype(np.float64)
        expected = np.log(np.exp(exact).sum(axis)) if f == "logsumexp" else getattr(np, f)(exact, axis)
        y = getattr(tg, f)(tg.Tensor(x), axis=axis)
        assert y.dtype == np.float16
        np.testing.assert_allclose(
            y.numpy(), expected, rtol=2**-10, atol=2**-10 * np.abs(exact).sum(axis or 0).max() * 1e-3
        )

    @pytest.mark.parametrize("axis", [0, 1])
    def test_scans(self, axis):
        y = tg.cumsum(tg.Tensor(self.x), axis=axis)
        assert y.dtype == np.float16
        np.testing.assert_allclose(y.numpy(), np.cumsum(self.x.astype(np.float64), axis), rtol=2**-10, atol=1e-6)

    def test_means_of_sums_that_would_overflow(self):
        hundreds = tg.Tensor(np.full((2000, 3), 100, np.float16), requires_grad=True)
        y = tg.mse(hundreds, np.zeros((2000, 3), np.float16))
        assert y.item() == 10_000
        y.backward()
        np.testing.assert_allclose(hundreds.grad.numpy(), 200 / 6000, rtol=2**-9)
        assert tg.mean(hundreds, axis=0).tolist() == [100, 100, 100]
        assert tg.l1_loss(hundreds, np.zeros((2000, 3), np.float16)).item() == 100
        many = tg.Tensor(np.ones(70_000, np.float16), requires_grad=True)
        tg.mean(many).backward()
        np.testing.assert_allclose(many.grad.numpy(), 1 / 70_000, rtol=0, atol=2.0**-25)  # subnormal
        logits = tg.Tensor(np.zeros((70_000, 2), np.float16))
        assert tg.cross_entropy(logits, np.zeros(70_000, int)).item() == np.float16(math.log(2))

    def test_normalization(self):
        x = (self.x[:1000].T * 40).astype(np.float16)
        exact = x.astype(np.float64)
        expected = (exact - exact.mean(1, keepdims=True)) / np.sqrt(exact.var(1, keepdims=True) + EPS)
        np.testing.assert_allclose(tg.layer_norm(tg.Tensor(x), 1000).numpy(), expected, rtol=0, atol=0.01)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("f", [tg.sum, tg.mean, tg.var, tg.std, tg.prod, tg.logsumexp, tg.norm, tg.cumsum, tg.cumprod])
def test_a_number_alone(f, dtype):
    x = tg.Tensor(np.array(3, dtype), requires_grad=True)
    y = f(x)
    assert y.dtype == dtype
    assert y.item() == (0 if f in (tg.var, tg.std) else 3)
    y.sum().backward()
    assert x.grad.shape == ()
    assert x.grad.item() == (0 if f in (tg.var, tg.std) else 1)


@pytest.mark.parametrize("axes", [(0,), (1,), (2,), (0, 2), (0, 1, 2)])
@pytest.mark.parametrize(
    "x",
    [
        np.broadcast_to(rng.random((8, 2), np.float32), (3000, 8, 2)),
        np.broadcast_to(rng.random((3000, 1, 2), np.float32), (3000, 50, 2)),
        np.broadcast_to(rng.random((40, 8, 1), np.float32), (40, 8, 3000)),
        rng.random((3000, 3, 2), np.float32)[::-1, :, ::-1],
        rng.random((6000, 3, 4), np.float32)[::2, :, ::2],
    ],
    ids=["repeated rows", "repeated columns", "repeated elements", "turned", "gaps"],
)
def test_views(x, axes):
    np.testing.assert_allclose(tg.sum(x, axis=axes), x.astype(np.float64).sum(axes), rtol=ALLOWED * ULP)
    np.testing.assert_allclose(tg.var(x, axis=axes), x.astype(np.float64).var(axes), rtol=ALLOWED * ULP, atol=1e-14)


def test_ties_are_counted_exactly():
    x = tg.Tensor(np.zeros((100_003, 2), np.float32), requires_grad=True)
    tg.max(x, axis=0).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), np.float32(1) / np.float32(100_003))


def test_running_statistics_of_instances_follow_their_mean():
    x = (rng.standard_normal((3000, 2, 4)) + 10).astype(np.float32)
    mean, var = np.zeros(2, np.float32), np.ones(2, np.float32)
    tg.instance_norm(x, mean, var, momentum=1.0)
    exact = x.astype(np.float64)
    np.testing.assert_allclose(mean, exact.mean((0, 2)), rtol=ALLOWED * ULP)
    np.testing.assert_allclose(var, exact.var(2, ddof=1).mean(0), rtol=ALLOWED * ULP)


@pytest.mark.parametrize("subscripts", ["ij->j", "ji->j", "ij,k->jk", "ij,j->j"])
def test_einsum_of_letters_that_one_operand_has_alone(subscripts):
    terms = subscripts.split("->")[0].split(",")
    arrays = [rng.random([{"i": 60_000, "j": 3, "k": 2}[c] for c in term], np.float32) for term in terms]
    expected = np.einsum(subscripts, *(a.astype(np.float64) for a in arrays))
    np.testing.assert_allclose(tg.einsum(subscripts, *arrays), expected, rtol=ALLOWED * ULP)


@pytest.mark.parametrize("f", [lambda x: tg.avg_pool2d(x, 200), lambda x: tg.adaptive_avg_pool2d(x, 2)])
def test_means_of_large_windows(f):
    x = tg.Tensor(np.full((1, 3, 400, 400), 0.7, np.float32) + rng.random((1, 3, 400, 400), np.float32) / 100)
    x.requires_grad = True
    y = f(x)
    exact = x.numpy().astype(np.float64).reshape(1, 3, 2, 200, 2, 200).mean((3, 5))
    np.testing.assert_allclose(y.numpy(), exact, rtol=ALLOWED * ULP)
    y.sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), 1 / 40_000, rtol=ALLOWED * ULP)
