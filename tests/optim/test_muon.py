"""Muon against the singular value decomposition, and what it shares with other optimizers."""

import copy

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn.optim import Muon

from .common import assert_same, descend, leaf, snapshot

COEFFICIENTS = 3.4445, -4.7750, 2.0315


def by_decomposition(
    start, gradients, lr=1e-3, weight_decay=0.1, momentum=0.95, nesterov=True, ns_coefficients=COEFFICIENTS, ns_steps=5,
    adjust_lr_fn=None,
):  # fmt: skip
    """The iteration acts on singular values alone: s becomes a s + b s^3 + c s^5."""
    a, b, c = ns_coefficients
    p, m = start, np.zeros_like(start)
    rows, columns = start.shape
    for g in gradients:
        m = momentum * m + (1 - momentum) * g
        step = (1 - momentum) * g + momentum * m if nesterov else m
        u, s, vt = np.linalg.svd(step, full_matrices=False)
        s = s / np.linalg.norm(s)
        for _ in range(ns_steps):
            s = a * s + b * s**3 + c * s**5
        ratio = 0.2 * max(rows, columns) ** 0.5 if adjust_lr_fn == "match_rms_adamw" else max(1, rows / columns) ** 0.5
        p = (1 - lr * weight_decay) * p - lr * ratio * (u * s) @ vt
    return p


OPTIONS = [
    {},
    {"lr": 0.1, "weight_decay": 0.0},
    {"lr": 0.1, "momentum": 0.5, "nesterov": False},
    {"lr": 0.1, "adjust_lr_fn": "match_rms_adamw", "ns_steps": 3},
    {"lr": 0.1, "adjust_lr_fn": "original", "ns_coefficients": (2.0, -1.5, 0.5), "ns_steps": 12},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("shape", [(3, 5), (5, 3), (4, 4), (1, 6), (6, 1)], ids=str)
def test_steps_follow_the_decomposition(options, shape):
    rng = np.random.default_rng(0)
    start, gradients = rng.normal(size=shape), rng.normal(size=(8, *shape))
    p = tg.Tensor(start, requires_grad=True)
    stepping = Muon([p], **options)
    for g in gradients:
        p.grad = tg.Tensor(g)
        stepping.step()
    np.testing.assert_allclose(p.numpy(), by_decomposition(start, gradients, **options), rtol=1e-9, atol=1e-9)


def test_defaults_are_pytorchs():
    assert Muon([leaf(2, 2)]).defaults == {
        "lr": 1e-3, "weight_decay": 0.1, "momentum": 0.95, "nesterov": True, "ns_coefficients": COEFFICIENTS, "eps": 1e-7,
        "ns_steps": 5, "adjust_lr_fn": None,
    }  # fmt: skip


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("order", "CF")
def test_dtype_and_memory_order_stay(dtype, order):
    rng = np.random.default_rng(1)
    start, g = rng.normal(size=(3, 4)).astype(dtype), rng.normal(size=(3, 4)).astype(dtype)
    expected = tg.Tensor(start, requires_grad=True)
    p = tg.from_numpy(np.array(start, order=order), requires_grad=True)
    for q in (expected, p):
        q.grad = tg.from_numpy(np.array(g, order=order if q is p else "C"))
        stepping = Muon([q], lr=0.1)
        stepping.step()
    np.testing.assert_array_equal(p.numpy(), expected.numpy(), strict=True)
    assert stepping.state[p]["momentum_buffer"].dtype == dtype


def test_a_large_matrix_is_updated_whole():
    """Larger than the pieces in which elementwise rules are applied."""
    rng = np.random.default_rng(2)
    start, g = rng.normal(size=(250, 300)), rng.normal(size=(250, 300))
    p = tg.Tensor(start, requires_grad=True)
    stepping = Muon([p], lr=0.1)
    p.grad = tg.Tensor(g)
    stepping.step()
    np.testing.assert_allclose(p.numpy(), by_decomposition(start, [g], lr=0.1), rtol=1e-9, atol=1e-9)


def test_a_gradient_of_zeros_and_an_empty_matrix_leave_only_the_decay():
    p, q = leaf(2, 2), leaf(0, 3)
    p.grad, q.grad = tg.zeros(2, 2, dtype=np.float64), tg.zeros(0, 3, dtype=np.float64)
    Muon([p, q], lr=0.5).step()
    np.testing.assert_allclose(p.numpy(), 0.95 * np.array([[1, 2], [3, 4]]))


def test_states_are_saved_and_loaded():
    p = leaf(3, 2)
    stepping = Muon([p], lr=0.1)
    descend(stepping, [p], 3)
    q = tg.Tensor(p.numpy(), requires_grad=True)
    resumed = Muon([q])
    resumed.load_state_dict(stepping.state_dict())
    twin = copy.deepcopy(stepping)
    descend(stepping, [p], 3)
    descend(resumed, [q], 3)
    descend(twin, twin.param_groups[0]["params"], 3)
    assert_same(snapshot(stepping), snapshot(resumed))
    assert_same(snapshot(stepping), snapshot(twin))


def test_a_compiled_step_has_the_same_bits():
    found = []
    for compiled in (False, True):
        tg.manual_seed(0)
        model = tg.nn.Sequential(tg.nn.Linear(5, 8, bias=False), tg.nn.ReLU(), tg.nn.Linear(8, 3, bias=False))
        stepping = Muon(model.parameters(), lr=0.05)
        schedule = tg.optim.ExponentialLR(stepping, gamma=0.9)

        def step(x, y, model=model, stepping=stepping, schedule=schedule):
            loss = tg.cross_entropy(model(x), y)
            stepping.zero_grad()
            loss.backward()
            stepping.step()
            schedule.step()
            return loss

        run = tg.compile(step) if compiled else step
        rng = np.random.default_rng(0)
        for _ in range(6):
            run(tg.Tensor(rng.normal(size=(7, 5)), dtype=np.float32), tg.Tensor(rng.integers(0, 3, 7)))
        found.append(model.state_dict())
    assert_same(*found)


def test_it_trains():
    images, labels = tg.data.digits()
    dataset = tg.data.TensorDataset(images.reshape(-1, 64).astype(np.float32) / 16, labels)
    tg.manual_seed(0)
    model = tg.nn.Sequential(tg.nn.Linear(64, 32, bias=False), tg.nn.ReLU(), tg.nn.Linear(32, 10, bias=False))
    loader = tg.data.DataLoader(dataset, 64, shuffle=True, seed=0)
    history = tg.fit(model, loader, tg.cross_entropy, Muon(model.parameters(), lr=0.05), epochs=3)
    assert history["accuracy"][-1] > 0.9


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"ns_coefficients": 3}, TypeError, "`ns_coefficients` is 3; it must be a tuple of three finite numbers"),
        ({"ns_coefficients": (1, 2)}, ValueError, r"`ns_coefficients` is \(1, 2\)"),
        (
            {"ns_coefficients": (1, 2, np.inf)},
            ValueError,
            r"`ns_coefficients` is \(1, 2, inf\); it must be a tuple of three",
        ),
        ({"ns_steps": 100}, ValueError, "`ns_steps` is 100; it must be a whole number of at least 0 and below 100"),
        ({"ns_steps": 1.5}, TypeError, r"`ns_steps` is 1\.5"),
        ({"adjust_lr_fn": "adam"}, ValueError, "`adjust_lr_fn` is 'adam'; it must be 'original' or 'match_rms_adamw'"),
        ({"momentum": -1}, ValueError, "`momentum` is -1"),
        ({"lr": -1}, ValueError, "`lr` is -1"),
    ],
)
def test_options_out_of_range_are_refused(options, error, message):
    with pytest.raises(error, match=f"Muon: {message}"):
        Muon([leaf(2, 2)], **options)


@pytest.mark.parametrize("shape", [(), (3,), (2, 2, 2)], ids=str)
def test_only_matrices_are_taken(shape):
    with pytest.raises(
        ValueError, match=r"Muon: parameter 1 of group 0 has shape .*; Muon is for matrices: give the other"
    ):
        Muon([leaf(2, 2), leaf(*shape)])
    stepping = Muon([leaf(2, 2)])
    with pytest.raises(ValueError, match="Muon: parameter 0 of group 1 has shape"):
        stepping.add_param_group({"params": [leaf(*shape)]})
    assert len(stepping.param_groups) == 1
