"""The update rules against their equations written out for one number at a time, and how they treat arrays of any kind."""

import math
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_cnn as tg
from tinygrad_cnn.optim import pieces


def sgd(x, gradients, lr, momentum, dampening, nesterov, weight_decay, maximize):
    b = None
    for g in gradients:
        d = (-g if maximize else g) + weight_decay * x
        if momentum:
            b = d if b is None else momentum * b + (1 - dampening) * d
            d = d + momentum * b if nesterov else b
        x = x - lr * d
    return x


def rmsprop(x, gradients, lr, alpha, eps, weight_decay, momentum, centered, maximize):
    v = m = b = 0.0
    for g in gradients:
        d = (-g if maximize else g) + weight_decay * x
        v = alpha * v + (1 - alpha) * d * d
        m = alpha * m + (1 - alpha) * d
        s = d / (math.sqrt(max(v - m * m, 0.0) if centered else v) + eps)
        b = momentum * b + s
        x = x - lr * b
    return x


def adam(x, gradients, lr, betas, eps, weight_decay, amsgrad, maximize):
    m = v = w = 0.0
    for n, g in enumerate(gradients, 1):
        d = (-g if maximize else g) + weight_decay * x
        m = betas[0] * m + (1 - betas[0]) * d
        v = betas[1] * v + (1 - betas[1]) * d * d
        w = max(w, v) if amsgrad else v
        x = x - lr * (m / (1 - betas[0] ** n)) / (math.sqrt(w / (1 - betas[1] ** n)) + eps)
    return x


def adamw(x, gradients, lr, betas, eps, weight_decay, amsgrad, maximize):
    m = v = w = 0.0
    for n, g in enumerate(gradients, 1):
        d = -g if maximize else g
        m = betas[0] * m + (1 - betas[0]) * d
        v = betas[1] * v + (1 - betas[1]) * d * d
        w = max(w, v) if amsgrad else v
        x = x - lr * weight_decay * x
        x = x - lr * (m / (1 - betas[0] ** n)) / (math.sqrt(w / (1 - betas[1] ** n)) + eps)
    return x


def adagrad(x, gradients, lr, lr_decay, weight_decay, initial_accumulator_value, eps, maximize):
    s = initial_accumulator_value
    for n, g in enumerate(gradients, 1):
        d = (-g if maximize else g) + weight_decay * x
        s = s + d * d
        x = x - lr / (1 + (n - 1) * lr_decay) * d / (math.sqrt(s) + eps)
    return x


def adadelta(x, gradients, lr, rho, eps, weight_decay, maximize):
    v = a = 0.0
    for g in gradients:
        d = (-g if maximize else g) + weight_decay * x
        v = rho * v + (1 - rho) * d * d
        s = math.sqrt(a + eps) / math.sqrt(v + eps) * d
        a = rho * a + (1 - rho) * s * s
        x = x - lr * s
    return x


def nadam(x, gradients, lr, betas, eps, weight_decay, momentum_decay, decoupled_weight_decay, maximize):
    m = v = 0.0
    mu = [betas[0] * (1 - 0.5 * 0.96 ** (n * momentum_decay)) for n in range(1, len(gradients) + 2)]
    for n, g in enumerate(gradients, 1):
        d = -g if maximize else g
        if decoupled_weight_decay:
            x = x - lr * weight_decay * x
        else:
            d = d + weight_decay * x
        m = betas[0] * m + (1 - betas[0]) * d
        v = betas[1] * v + (1 - betas[1]) * d * d
        s = (1 - mu[n - 1]) / (1 - math.prod(mu[:n])) * d + mu[n] / (1 - math.prod(mu[: n + 1])) * m
        x = x - lr * s / (math.sqrt(v / (1 - betas[1] ** n)) + eps)
    return x


def lion(x, gradients, lr, betas, weight_decay, maximize):
    m = 0.0
    for g in gradients:
        d = -g if maximize else g
        c = betas[0] * m + (1 - betas[0]) * d
        x = x - lr * (np.sign(c) + weight_decay * x)
        m = betas[1] * m + (1 - betas[1]) * d
    return x


flags = st.booleans()
lrs = st.floats(0, 2)
decays = st.just(0.0) | st.floats(0, 0.5)
momenta = st.just(0.0) | st.floats(0.01, 0.99)
shares = st.floats(0, 0.99)
# A centered variance near 0 magnifies rounding by 1 / eps, so its eps stays large enough to compare.
epsilons = st.floats(1e-2, 1)

sgd_options = st.fixed_dictionaries(
    {"lr": lrs, "momentum": momenta, "dampening": st.floats(-1, 1), "nesterov": flags, "weight_decay": decays,
     "maximize": flags}
).map(lambda o: o | {"dampening": 0.0, "nesterov": o["momentum"] > 0} if o["nesterov"] else o)  # fmt: skip
rmsprop_options = st.fixed_dictionaries(
    {"lr": lrs, "alpha": shares, "eps": epsilons, "weight_decay": decays, "momentum": momenta, "centered": flags,
     "maximize": flags}
)  # fmt: skip
adam_options = st.fixed_dictionaries(
    {"lr": lrs, "betas": st.tuples(shares, shares), "eps": epsilons, "weight_decay": decays, "amsgrad": flags,
     "maximize": flags}
)  # fmt: skip
adagrad_options = st.fixed_dictionaries(
    {"lr": lrs, "lr_decay": decays, "weight_decay": decays, "initial_accumulator_value": st.just(0.0) | epsilons,
     "eps": epsilons, "maximize": flags}
)  # fmt: skip
adadelta_options = st.fixed_dictionaries(
    {"lr": lrs, "rho": shares, "eps": epsilons, "weight_decay": decays, "maximize": flags}
)
nadam_options = st.fixed_dictionaries(
    {"lr": lrs, "betas": st.tuples(shares, shares), "eps": epsilons, "weight_decay": decays,
     "momentum_decay": st.just(4e-3) | st.floats(0, 100), "decoupled_weight_decay": flags, "maximize": flags}
)  # fmt: skip
lion_options = st.fixed_dictionaries(
    {"lr": lrs, "betas": st.tuples(shares, shares), "weight_decay": decays, "maximize": flags}
)
RULES = [
    (tg.optim.SGD, sgd, sgd_options),
    (tg.optim.RMSprop, rmsprop, rmsprop_options),
    (tg.optim.Adam, adam, adam_options),
    (tg.optim.AdamW, adamw, adam_options),
    (tg.optim.Adagrad, adagrad, adagrad_options),
    (tg.optim.Adadelta, adadelta, adadelta_options),
    (tg.optim.NAdam, nadam, nadam_options),
    (tg.optim.Lion, lion, lion_options),
]
every_rule = pytest.mark.parametrize(("optimizer", "rule", "options"), RULES, ids=[o.__name__ for o, _, _ in RULES])

NUMBERS = {"step", "mu_product"}

# One member of each branch of the rules: what is done to arrays must not depend on which.
VARIANTS = [
    (tg.optim.SGD, {"lr": 0.1}),
    (tg.optim.SGD, {"lr": 0.1, "maximize": True}),
    (tg.optim.SGD, {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
    (tg.optim.SGD, {"lr": 0.1, "momentum": 0.9, "dampening": 0.5}),
    (tg.optim.RMSprop, {"lr": 0.1}),
    (
        tg.optim.RMSprop,
        {"lr": 0.1, "eps": 0.1, "momentum": 0.9, "centered": True, "weight_decay": 0.1, "maximize": True},
    ),
    (tg.optim.Adam, {"lr": 0.1}),
    (tg.optim.Adam, {"lr": 0.1, "amsgrad": True, "weight_decay": 0.1, "maximize": True}),
    (tg.optim.AdamW, {"lr": 0.1, "weight_decay": 0.1}),
    (tg.optim.Adagrad, {"lr": 0.1}),
    (
        tg.optim.Adagrad,
        {"lr": 0.1, "lr_decay": 0.1, "initial_accumulator_value": 0.1, "weight_decay": 0.1, "maximize": True},
    ),
    (tg.optim.Adadelta, {"lr": 1.0, "eps": 0.1}),
    (tg.optim.Adadelta, {"lr": 1.0, "eps": 0.1, "weight_decay": 0.1, "maximize": True}),
    (tg.optim.NAdam, {"lr": 0.1}),
    (tg.optim.NAdam, {"lr": 0.1, "weight_decay": 0.1, "maximize": True}),
    (tg.optim.NAdam, {"lr": 0.1, "weight_decay": 0.1, "decoupled_weight_decay": True}),
    (tg.optim.Lion, {"lr": 0.1}),
    (tg.optim.Lion, {"lr": 0.1, "weight_decay": 0.1, "maximize": True}),
]
every_variant = pytest.mark.parametrize(
    ("optimizer", "options"), VARIANTS, ids=[f"{o.__name__}-{'-'.join(k)}" for o, k in VARIANTS]
)


@every_rule
@given(data=st.data(), seed=st.integers(0, 2**32 - 1), steps=st.integers(1, 6))
def test_steps_follow_the_equations(optimizer, rule, options, data, seed, steps):
    options = data.draw(options)
    rng = np.random.default_rng(seed)
    start, gradients = rng.normal(size=3), rng.normal(size=(steps, 3)) * 10.0 ** rng.uniform(-3, 3, 3)
    p = tg.Tensor(start, requires_grad=True)
    stepping = optimizer([p], **options)
    for g in gradients:
        p.grad = tg.Tensor(g)
        stepping.step()
    expected = [rule(x, gs, **options) for x, gs in zip(start, gradients.T, strict=True)]
    scale = np.abs(start) + np.abs(gradients).max(axis=0)
    np.testing.assert_allclose(p.numpy() / scale, expected / scale, rtol=1e-9, atol=1e-11)


def run(optimizer, options, start, gradients, layout):
    """The parameter after steps whose arrays are laid out by `layout`, and its optimizer."""
    p = tg.from_numpy(layout(start), requires_grad=True)
    stepping = optimizer([p], **options)
    for g in gradients:
        p.grad = tg.from_numpy(layout(g))
        stepping.step()
    return p, stepping


def fortran(a):
    """The same values, first axis fastest."""
    return np.array(a, order="F")


def spread(a):
    """The same values in every other place of a larger array, last axis first."""
    wide = np.full([2 * size for size in reversed(a.shape)], np.nan, a.dtype).T
    view = wide[(..., *[slice(None, None, 2)] * a.ndim)]
    view[...] = a
    return view


def backwards(a):
    """The same values in memory from last to first."""
    flip = (..., *[slice(None, None, -1)] * a.ndim)
    return a[flip].copy()[flip]


LAYOUTS = [fortran, spread, backwards]


@every_variant
@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda f: f.__name__)
@pytest.mark.parametrize("shape", [(), (0,), (2, 0), (1,), (3, 4), (2, 3, 2)], ids=str)
@pytest.mark.parametrize("piece", [5, 32768])
def test_layout_and_pieces_do_not_matter(optimizer, options, layout, shape, piece, monkeypatch):
    rng = np.random.default_rng(0)
    start, gradients = rng.normal(size=shape), rng.normal(size=(3, *shape))
    expected, _ = run(optimizer, options, start, gradients, np.array)
    monkeypatch.setattr(pieces, "PIECE", piece)
    monkeypatch.setattr(pieces, "LONG", piece)
    p, stepping = run(optimizer, options, start, gradients, layout)
    np.testing.assert_array_equal(p.numpy(), expected.numpy())
    assert p.shape == shape
    assert all(np.shape(v) == shape for s in stepping.state.values() for name, v in s.items() if name not in NUMBERS)
    if p.size:
        assert not np.array_equal(p.numpy(), start)


@every_variant
def test_only_the_parameter_is_written_and_in_place(optimizer, options):
    array = np.full((4, 6), np.nan)
    view = array[::2, 1::2]
    view[...] = 1.0
    p = tg.from_numpy(view, requires_grad=True)
    gradient = np.ones((2, 3))
    p.grad = tg.from_numpy(gradient)
    optimizer([p], **options).step()
    assert np.shares_memory(p.numpy(), array)
    assert np.isfinite(view).all()
    assert np.isnan(array).sum() == 18
    np.testing.assert_array_equal(gradient, 1.0)


@every_variant
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.longdouble])
def test_the_dtype_stays(optimizer, options, dtype):
    p = tg.Tensor(np.ones(3, dtype), requires_grad=True)
    options = options | {"lr": np.float64(0.1)}
    stepping = optimizer([p], **options)
    for _ in range(2):
        (p * p).sum().backward()
        stepping.step()
        stepping.zero_grad()
    assert p.dtype == dtype
    assert all(v.dtype == dtype for name, v in stepping.state.get(p, {}).items() if name not in NUMBERS)


@every_variant
def test_options_that_are_numpy_scalars_do_not_promote(optimizer, options):
    start, gradients = np.array([1.0, -2.0, 3.0], np.float32), np.float32([[0.1, 0.7, -3], [2, -0.3, 0.2]])
    expected, _ = run(optimizer, options, start, gradients, np.array)
    scalars = {name: np.float64(v) if isinstance(v, float) else v for name, v in options.items()}
    p, stepping = run(optimizer, options, start, np.empty((0, 3)), np.array)
    stepping.param_groups[0].update(scalars)
    for g in gradients:
        p.grad = tg.Tensor(g)
        stepping.step()
    np.testing.assert_array_equal(p.numpy(), expected.numpy())


@pytest.fixture
def one_thread():
    """Each thread has scratch of its own, and makes it in whichever step it first takes part in."""
    before = tg.get_num_threads()
    tg.set_num_threads(1)
    yield
    tg.set_num_threads(before)


@every_variant
def test_a_later_step_allocates_no_array(optimizer, options, one_thread):
    p = tg.Tensor(np.ones((512, 512), np.float32), requires_grad=True)
    small = [tg.Tensor(np.ones(1000, np.float32), requires_grad=True) for _ in range(20)]
    stepping = optimizer([p, *small], **options)
    for q in (p, *small):
        q.grad = tg.ones(q.shape)
    stepping.step()
    tracemalloc.start()
    try:
        stepping.step()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # A few small objects per parameter; an array for the large one would be 1 MiB, for all small ones 80 kB.
    assert peak < 40_000


@every_variant
@pytest.mark.parametrize("piece", [2, 32768])
def test_a_gradient_that_is_the_parameter_is_read_before_it_is_written(optimizer, options, piece, monkeypatch):
    start = np.array([1.0, -2.0, 3.0, -4.0, 5.0])
    expected, _ = run(optimizer, options, start, [start], np.array)
    reversed_, _ = run(optimizer, options, start, [start[::-1]], np.array)
    monkeypatch.setattr(pieces, "PIECE", piece)
    monkeypatch.setattr(pieces, "LONG", piece)
    for view, result in ((lambda a: a, expected), (lambda a: a[::-1], reversed_)):
        array = start.copy()
        p = tg.from_numpy(array, requires_grad=True)
        p.grad = tg.from_numpy(view(array))
        optimizer([p], **options).step()
        np.testing.assert_array_equal(array, result.numpy())


@every_variant
def test_not_a_number_stays_in_its_element_and_no_warning_stops_the_step(optimizer, options):
    values = np.array([1.0, np.nan, np.inf, -np.inf, 1e300, 0.0])
    p, q = (tg.Tensor(np.ones(6), requires_grad=True) for _ in range(2))
    no_guard = {"eps": 0.0} if "eps" in optimizer.options and "weight_decay" not in options else {}
    stepping = optimizer([p, q], **options | no_guard)
    with np.errstate(all="raise"):
        for _ in range(3):
            p.grad, q.grad = tg.Tensor(values), tg.Tensor(np.ones(6))
            stepping.step()
    assert np.isfinite(p.numpy()[0])
    assert np.isnan(p.numpy()[1])
    assert np.isfinite(q.numpy()).all()


def test_centered_rmsprop_stays_finite_when_the_gradient_is_constant():
    p = tg.Tensor(np.linspace(0.1, 3, 500, dtype=np.float32), requires_grad=True)
    stepping = tg.optim.RMSprop([p], lr=1e-9, alpha=0.5, centered=True)
    p.grad = tg.Tensor(np.linspace(0.1, 3, 500, dtype=np.float32))
    for _ in range(60):
        stepping.step()
    assert np.isfinite(p.numpy()).all()


@every_variant
def test_a_recorded_gradient_counts_as_its_values(optimizer, options):
    results = []
    for create in (False, True):
        p = tg.Tensor([1.0, 2.0, -3.0], requires_grad=True)
        (p * p * p).sum().backward(create_graph=create)
        assert p.grad.requires_grad is create
        stepping = optimizer([p], **options)
        stepping.step()
        assert p.is_leaf
        results.append(p.tolist())
    assert results[0] == results[1]
