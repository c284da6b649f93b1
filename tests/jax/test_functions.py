"""Functions and models on JAX: its transforms, what is refused, and what must not differ silently."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose

import tinygrad_cnn as tg
from tinygrad_cnn import nn
from tinygrad_cnn.testing.kinks import KINKS, Kink

from ..nn.cases import CASES as LAYERS
from . import needs

jax = needs.jax()
ROOT = Path(__file__).parents[2]
X = np.array([0.5, -1.0, 2.0])
KEY = jax.random.key(0)


# Transforms


def smooth(x):
    return (tg.sin(x) * x + tg.sigmoid(x) * x.sum()).sum()


def test_jit_grad_vmap_and_scan():
    f = tg.jax.function(smooth)
    g = tg.grad(smooth)
    assert_allclose(jax.jit(jax.grad(f))(X), g(tg.Tensor(X)).numpy(), rtol=1e-12)
    batch = np.stack([X, 2 * X, -X])
    each = np.stack([g(tg.Tensor(x)).numpy() for x in batch])
    assert_allclose(jax.jit(jax.vmap(jax.grad(f)))(batch), each, rtol=1e-12)

    def descend(x, _):
        return x - 0.1 * jax.grad(f)(x), f(x)

    last, values = jax.lax.scan(descend, X, None, length=5)
    x = X
    for value in values:
        assert_allclose(value, smooth(tg.Tensor(x)).item(), rtol=1e-12)
        x = x - 0.1 * g(tg.Tensor(x)).numpy()
    assert_allclose(last, x, rtol=1e-12)


def test_the_hessian_is_reverse_over_reverse_and_forward_mode_is_refused():
    f = tg.jax.function(smooth)
    assert_allclose(
        jax.jit(jax.jacrev(jax.jacrev(f)))(X), tg.hessian(smooth)(tg.Tensor(X)).numpy(), rtol=1e-10, atol=1e-12
    )
    for forward in (lambda: jax.jvp(f, (X,), (X,)), lambda: jax.hessian(f)(X)):
        with pytest.raises(TypeError, match="forward-mode"):
            forward()


def test_gradients_within_the_function_are_differentiated():
    def penalty(x):
        return (tg.grad(lambda z: (z**3).sum())(x) ** 2).sum()

    assert_allclose(jax.jit(jax.grad(tg.jax.function(penalty)))(X), 36 * X**3, rtol=1e-12)


def test_arguments_in_containers_and_results_in_containers():
    def f(pair, *, scale):
        return {"sum": pair["a"] + pair["b"][0], "scaled": (pair["a"] * scale,)}

    found = jax.jit(tg.jax.function(f))({"a": X, "b": [X]}, scale=X)
    assert_allclose(found["sum"], 2 * X)
    assert_allclose(found["scaled"][0], X * X)


@pytest.mark.parametrize("kink", KINKS, ids=[f"{k.label}-{n}" for n, k in enumerate(KINKS)])
@pytest.mark.part(30)
def test_kinks_have_the_subgradients_of_the_table(kink: Kink):
    point = [np.array(p, float) for p in kink.point]
    f = tg.jax.function(lambda *xs: kink.function(*xs).sum())
    found = jax.jit(jax.grad(f, argnums=tuple(range(len(point)))))(*point)
    for g, expected in zip(found, kink.subgradient, strict=True):
        assert_allclose(g, np.broadcast_to(expected, g.shape), rtol=1e-14, atol=1e-15)


# No gradient where the library passes none


def test_detached_and_unrecorded_values_are_constants():
    def unrecorded(x):
        with tg.no_grad():
            total = x.sum()
        return (x * total).sum()

    assert_allclose(jax.grad(tg.jax.function(lambda x: (x * x.detach()).sum()))(X), X)
    assert_allclose(jax.grad(tg.jax.function(unrecorded))(X), np.full(3, X.sum()))
    assert_allclose(jax.grad(tg.jax.function(lambda x: (x * tg.sign(x)).sum()))(X), np.sign(X))


def test_a_gradient_without_a_rule_is_an_error():
    @tg.op
    def halved(a):
        return a * 0.5

    f = tg.jax.function(lambda x: halved(x).sum())
    assert_allclose(jax.jit(f)(X), X.sum() / 2)
    with pytest.raises(NotImplementedError, match="halved"):
        jax.grad(f)(X)
    weighted = tg.jax.function(lambda w: tg.cross_entropy(tg.Tensor(np.eye(3)), np.array([0, 1, 2]), weight=w))
    with pytest.raises(TypeError, match="weight.*detach"):
        jax.grad(weighted)(abs(X))


# What cannot work


def leaf(*shape):
    return tg.ones(*shape, dtype=np.float64, requires_grad=True)


def written(x):
    tg.zeros(3, dtype=np.float64).copy_(x.detach())
    return x


def stepped(x, optimizer):
    optimizer.step()
    return x


STEPPED, LEAF, RESULT = tg.optim.SGD([leaf(3)], lr=0.1), leaf(3), leaf(3) * 2

REFUSED = {
    "a branch": (lambda x: x if x.sum() > 0 else -x, "tg.where"),
    "a loop": (lambda x: [x := x / 2 for _ in range(3) if float(x.sum()) > 0][-1], "tg.where"),
    "a value": (lambda x: x * x.max().item(), "read in Python"),
    "an array": (lambda x: x * np.tanh(x.detach().numpy()).tolist()[0], "not known"),
    "a mask": (lambda x: x[x > 0].sum(), "Boolean index"),
    "a size": (lambda x: tg.nonzero(x)[0], "size|not known"),
    "dropout": (lambda x: tg.dropout(x, 0.5), "key="),
    "a draw": (lambda x: x + tg.randn(3, dtype=np.float64), "jax.random"),
    "a write": (written, "written in place"),
    "backward": (lambda x: (x.sum().backward(), x)[1], "jax.grad"),
    "a step": (lambda x: stepped(x, STEPPED), "pure"),
    "a closed-over leaf": (lambda x: (x * LEAF).sum(), "neither an argument"),
    "a closed-over result": (lambda x: (x * RESULT).sum(), "neither an argument"),
}


@pytest.mark.whole
@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_work_is_an_error_that_says_why(name):
    f, pattern = REFUSED[name]
    with pytest.raises(tg.jax.JaxError, match=pattern):
        jax.jit(tg.jax.function(f))(X)


def test_an_op_that_reads_values_is_named():
    @tg.op
    def clipped_if_large(a):
        return np.clip(a, -1, 1) if np.max(a) > 1 else a

    with pytest.raises(tg.jax.JaxError, match="op clipped_if_large"):
        jax.jit(tg.jax.function(clipped_if_large))(X)


def test_writes_of_a_definition_reach_its_arrays_alone():
    @tg.op(differentiable=False)
    def rolled_sums(a):
        y = np.zeros((2, *a.shape), a.dtype)
        y[0] += a
        view = y[1]
        view[1:] = a[:-1]
        view *= 2
        return y

    @tg.op(differentiable=False)
    def careless(a):
        a[0] = 1.0
        return a

    assert_allclose(jax.jit(tg.jax.function(rolled_sums))(X), [X, [0, 2 * X[0], 2 * X[1]]])
    with pytest.raises(tg.jax.JaxError, match="careless.*input"):
        jax.jit(tg.jax.function(careless))(X)


# No silent difference


def test_labels_out_of_range():
    loss = tg.jax.function(tg.cross_entropy)
    scores, wrong = np.zeros((2, 3)), np.array([0, 99])
    with pytest.raises(IndexError, match="99"):
        loss(scores, wrong)
    value, g = jax.jit(jax.value_and_grad(loss))(scores, wrong)
    assert np.isnan(value)
    assert np.isnan(g).all()
    assert_allclose(jax.jit(loss)(scores, np.array([0, -100])), np.log(3))  # -100 is ignored


OUT_OF_RANGE = {
    "take": lambda x, i: tg.take(x, i),
    "index": lambda x, i: x[i],
    "take_along_axis": lambda x, i: tg.take_along_axis(x, i),
    "embedding": lambda x, i: tg.embedding(i, x.reshape(3, 1)),
    "index_set": lambda x, i: tg.index_set(x, i, 0.0),
    "index_add": lambda x, i: tg.index_add(x, 0, i, x[:1]),
    "scatter_add": lambda x, i: tg.scatter_add(x, 0, i, x[:1]),
}


@pytest.mark.whole
@pytest.mark.parametrize("name", OUT_OF_RANGE)
def test_indices_out_of_range_are_errors_or_nan(name):
    f = tg.jax.function(OUT_OF_RANGE[name])
    assert np.isnan(jax.jit(f)(X, np.array([3]))).all()
    assert_allclose(jax.jit(f)(X, np.array([1])), OUT_OF_RANGE[name](tg.Tensor(X), np.array([1])).numpy())
    with pytest.raises(IndexError):
        f(X, np.array([3]))


def test_failed_checks_of_values():
    loss = tg.jax.function(tg.binary_cross_entropy)
    with pytest.raises(ValueError, match="from 0 to 1"):
        loss(np.array([1.5]), np.array([1.0]))
    assert np.isnan(jax.jit(loss)(np.array([1.5]), np.array([1.0])))


def test_singular_matrices_and_negative_powers_of_integers():
    """Errors where values are known, and else results that are NaN everywhere."""
    singular, two = np.ones((2, 2)), np.array([2, 2])
    for f, given in (
        (tg.linalg.inv, (singular,)),
        (tg.linalg.solve, (singular, X[:2])),
        (lambda a, b: a**b * 1.0, (two, np.array([-1, 2]))),
    ):
        own = tg.jax.function(f)
        with pytest.raises(ValueError, match="not invertible|singular|negative integer powers"):
            own(*given)
        assert np.isnan(jax.jit(own)(*given)).all()
    assert_allclose(jax.jit(tg.jax.function(tg.linalg.inv))(np.eye(2) * 4), np.eye(2) / 4)
    assert jax.jit(tg.jax.function(lambda a, b: a**b))(two, np.array([3, 2])).tolist() == [8, 4]


INTEGERS = {
    "floor_divide": tg.floor_divide,
    "remainder": tg.remainder,
    "fmod": tg.fmod,
    "divmod": lambda a, b: tg.divmod(a, b)[0],
}


@pytest.mark.whole
@pytest.mark.parametrize("name", INTEGERS)
@pytest.mark.parametrize("dtype", [np.int32, np.float64])
def test_integer_division(name, dtype):
    a, b = np.array([7, -7, 7, -7, 5, 0], dtype), np.array([2, 2, -2, -2, 0, 0], dtype)
    with np.errstate(all="ignore"):
        expected = INTEGERS[name](tg.Tensor(a), tg.Tensor(b)).numpy()
    found = jax.jit(tg.jax.function(INTEGERS[name]))(a, b)
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)


@pytest.mark.whole
@pytest.mark.parametrize("first", [np.bool_, np.int8, np.int64, np.uint8, np.float16, np.float32, np.float64])
@pytest.mark.parametrize("second", [np.int32, np.float32])
def test_dtypes_are_numpys(first, second):
    a, b = np.array([1, 0, 1], first), np.array([1, 2, 3], second)
    for f in (
        tg.add,
        tg.true_divide if hasattr(tg, "true_divide") else tg.div,
        tg.maximum,
        lambda a, b: tg.concatenate([a, b]),
    ):
        expected = f(tg.Tensor(a), tg.Tensor(b)).numpy()
        found = jax.jit(tg.jax.function(f))(a, b)
        assert found.dtype == expected.dtype
        assert_allclose(found, expected, rtol=1e-3)


WITHOUT_64_BITS = """
import jax, numpy as np, tinygrad_cnn as tg
x = np.ones(3, np.float32)
f = tg.jax.function(lambda a, b: (a * b).sum())
assert f(x, x).dtype == np.float32
def refused(error, g):
    try: g()
    except error as e: assert "jax_enable_x64" in str(e), e
    else: raise AssertionError(g)
refused(TypeError, lambda: f(x, np.ones(3)))
refused(TypeError, lambda: tg.jax.state(tg.nn.Linear(2, 2, dtype=np.float64)))
refused(tg.jax.JaxError, lambda: f(x, np.ones(3, np.int32)))
model = tg.nn.Linear(2, 2, dtype=np.float64)
optimizer = tg.optim.SGD(model.parameters(), lr=0.1)
data = (np.ones((4, 2)), np.zeros(4, int))
refused(TypeError, lambda: tg.fit(
    model, data, tg.cross_entropy, optimizer, epochs=1, progress=False, engine=tg.jax.Devices()))
y = tg.jax.function(tg.gelu)(x)
assert y.dtype == np.float32 and abs(y[0] - 0.8413447) < 1e-6
"""


def test_the_gradient_of_a_linear_function_is_a_constant_of_the_program():
    rng = np.random.default_rng(0)
    x, u = rng.standard_normal((1, 2, 3, 4)), rng.standard_normal((1, 2, 3, 7))
    f = lambda x: (tg.interpolate(x, (3, 7), mode="bilinear", align_corners=True) * u).sum()  # noqa: E731
    expected = tg.grad(f)(tg.Tensor(x)).numpy()
    assert_allclose(jax.jit(jax.grad(tg.jax.function(f)))(x), expected, rtol=1e-12)  # the XLA of jax 0.6 to 0.8 fails


def test_an_older_jax_is_refused():
    program = "import jax; jax.__version__, jax.__version_info__ = '0.8.3', (0, 8, 3); import tinygrad_cnn.extra.jax"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT)
    assert ended.returncode == 1
    assert "ImportError: tinygrad_cnn.jax needs jax 0.9 or newer; this is 0.8.3" in ended.stderr


def test_without_64_bits_float64_is_an_error():
    ended = subprocess.run(
        [sys.executable, "-W", "error", "-c", WITHOUT_64_BITS], capture_output=True, text=True, cwd=ROOT
    )
    assert ended.returncode == 0, ended.stderr


# Models


def model_of_images():
    tg.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Dropout(0.5),
        nn.Linear(16, 3),
    )  # fmt: skip
    model.to(np.float64)
    return model


IMAGES = np.random.default_rng(0).standard_normal((6, 1, 4, 4))


def test_state_and_load_are_copies():
    model = nn.Linear(2, 2)
    params, buffers = tg.jax.state(model)
    before = np.array(params["weight"])
    model.weight.copy_(model.weight.detach() + 1)
    np.testing.assert_array_equal(params["weight"], before)
    tg.jax.load(model, params, buffers)
    np.testing.assert_array_equal(model.weight.numpy(), before)
    with pytest.raises(KeyError, match="other"):
        tg.jax.load(model, {**params, "other": before})
    with pytest.raises(ValueError, match="bias"):
        tg.jax.load(model, {"weight": before * 2, "bias": before})
    np.testing.assert_array_equal(model.weight.numpy(), before)


def test_running_statistics_come_back_in_the_buffers():
    model = model_of_images()
    params, buffers = tg.jax.state(model)
    y, after = jax.jit(tg.jax.apply(model), static_argnames="training")(params, buffers, IMAGES, key=KEY, training=True)
    same, unchanged = tg.jax.apply(model)(params, buffers, IMAGES)
    assert y.shape == same.shape == (6, 3)
    assert all((unchanged[name] == buffers[name]).all() for name in buffers)
    for name, t in model.named_buffers():
        np.testing.assert_array_equal(t.numpy(), buffers[name])  # the model itself is as it was
    model.train()
    model(tg.Tensor(IMAGES))
    for name, t in model.named_buffers():
        assert_allclose(after[name], t.numpy(), rtol=1e-12)
    assert_allclose(same, model_of_images().eval()(tg.Tensor(IMAGES)).numpy(), rtol=1e-12)


def test_dropout_draws_from_the_key():
    model = model_of_images()
    params, buffers = tg.jax.state(model)
    apply = jax.jit(tg.jax.apply(model), static_argnames="training")
    first, again, other = (apply(params, buffers, IMAGES, key=jax.random.key(n), training=True)[0] for n in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    with pytest.raises(tg.jax.JaxError, match="key="):
        apply(params, buffers, IMAGES, training=True)
    dropped = tg.jax.function(lambda x: tg.dropout(x, 0.25))(np.ones(20000), key=KEY)
    assert set(np.unique(dropped)) == {0.0, 4 / 3}
    assert abs(np.mean(dropped == 0) - 0.25) < 0.02


def test_a_missing_name_and_a_wrong_shape():
    model = nn.Linear(2, 2)
    params, buffers = tg.jax.state(model)
    with pytest.raises(KeyError, match="bias"):
        tg.jax.apply(model)({"weight": params["weight"]}, buffers, X[:2])
    with pytest.raises(ValueError, match="shape"):
        tg.jax.apply(model)({**params, "bias": X}, buffers, X[:2])
    with pytest.raises(TypeError, match="must be a module"):
        tg.jax.apply(X)
    with pytest.raises(TypeError, match="Tensor"):
        tg.jax.function(smooth)(tg.Tensor(X))


INPUTS = [case for case in LAYERS if case.inputs and "MultiheadAttention" not in case.name]


@pytest.mark.parametrize("case", INPUTS, ids=map(str, INPUTS))
@pytest.mark.part(15)
def test_layers_and_the_gradients_of_their_parameters(case):
    tg.manual_seed(0)
    layer = getattr(nn, case.name)(*case.args, **case.kwargs)
    layer.to(np.float64)
    arrays = case.arrays(np.random.default_rng(0))
    params, buffers = tg.jax.state(layer)
    apply = tg.jax.apply(layer)
    layer.train()
    y = layer(*map(tg.Tensor, arrays))
    if not isinstance(y, tg.Tensor):
        pytest.skip("its result is no Tensor")
    u = np.random.default_rng(1).standard_normal(y.shape)

    def scalar(params):
        found, after = apply(params, buffers, *arrays, training=True, key=KEY)
        return (found * u).sum(), (found, after)

    (_, (value, after)), g = jax.jit(jax.value_and_grad(scalar, has_aux=True))(params)
    assert_allclose(value, y.numpy(), rtol=1e-9, atol=1e-12)
    for name, t in layer.named_buffers():
        assert_allclose(after[name], t.numpy(), rtol=1e-9)
    if params:
        y.backward(u)
    for name, p in layer.named_parameters():
        assert_allclose(g[name], 0 if p.grad is None else p.grad.numpy(), rtol=1e-9, atol=1e-11)


def test_transformation_is_an_optax_optimizer():
    import optax

    model = nn.Linear(3, 2, dtype=np.float64)
    params, _ = tg.jax.state(model)
    ours = tg.jax.transformation(tg.optim.Adam(model.parameters(), lr=0.1), model)
    theirs = optax.adam(0.1)
    chained = optax.chain(optax.clip_by_global_norm(1.0), ours)
    a, b, c = (t.init(params) for t in (ours, theirs, chained))
    p, q = params, params
    for step in range(5):
        g = {n: np.random.default_rng(step).standard_normal(v.shape) for n, v in params.items()}
        u, a = jax.jit(ours.update)(g, a, p)
        v, b = theirs.update(g, b, q)
        _, c = chained.update(g, c, p)
        p, q = optax.apply_updates(p, u), optax.apply_updates(q, v)
    for name in params:
        assert_allclose(p[name], q[name], rtol=1e-12)
    with pytest.raises(TypeError, match="LBFGS"):
        tg.jax.transformation(tg.optim.LBFGS(model.parameters()), model)
    with pytest.raises(ValueError, match="not the Linear's"):
        tg.jax.transformation(tg.optim.Adam([leaf(3)]), model)
