"""Complex parameters as pairs of real numbers: beside PyTorch (record_complex.py), whose gradients are our conjugates."""

from __future__ import annotations

import copy
import json
import math
import pickle
from pathlib import Path

import numpy as np
import pytest

import tinygrad_cnn as tg

with np.load(Path(__file__).with_name("complex.npz")) as archive:
    DATA = {key: archive[key] for key in archive.files}
CASES = json.loads(str(DATA["cases"]))
IDS = [f"{name}-{'-'.join(f'{k}={v}' for k, v in options.items()) or 'defaults'}" for name, options, _ in CASES]


def z(*shape, seed=0):
    rng = np.random.default_rng(seed)
    return np.asarray(rng.standard_normal(shape) + 1j * rng.standard_normal(shape))


def parameters():
    return [tg.Tensor(DATA[f"start{i}"], requires_grad=True) for i in range(2)]


def flat(params):
    return np.concatenate([p.numpy().ravel() for p in params])


def replay(case):
    name, options, _ = CASES[case]
    params = parameters()
    optimizer = getattr(tg.optim, name)(params, **options)
    path = []
    for step in range(len(DATA["gradients0"])):
        for i, p in enumerate(params):
            p.grad = tg.Tensor(DATA[f"gradients{i}"][step].conj())
        optimizer.step()
        path.append(flat(params))
    return np.stack(path), optimizer


@pytest.mark.whole
@pytest.mark.parametrize("case", range(len(CASES)), ids=IDS)
def test_every_step_and_state_is_pytorchs(case):
    path, optimizer = replay(case)
    theirs = DATA[f"path{case}"]
    np.testing.assert_allclose(path, theirs, rtol=0, atol=1e-14 * np.abs(theirs).max())
    state = optimizer.state_dict()["state"].get(0, {})
    assert {name for name, value in state.items() if isinstance(value, np.ndarray)} == {*CASES[case][2]}
    for name in CASES[case][2]:
        wanted = DATA[f"slot{case}/{name}"]
        np.testing.assert_allclose(
            state[name], wanted, rtol=0, atol=1e-13 * np.abs(wanted).max(initial=1e-300), strict=True
        )


@pytest.mark.parametrize("i", [0, 1])
def test_lbfgs_is_pytorchs(i):
    options = [{"lr": 0.1}, {"line_search_fn": "strong_wolfe"}][i]
    params = a, b = parameters()
    optimizer = tg.optim.LBFGS(params, max_iter=6, **options)

    def closure():
        optimizer.zero_grad()
        y = (tg.abs(a * a - 1j) ** 2).sum() + (tg.abs((b - (1 + 2j)) * (1 + a.sum())) ** 2).sum()
        y.backward()
        return y

    for _ in range(3):
        optimizer.step(closure)
    np.testing.assert_allclose(flat(params), DATA[f"lbfgs{i}"], rtol=1e-8)
    other = tg.optim.LBFGS(parameters(), max_iter=6, **options)
    other.load_state_dict(optimizer.state_dict())
    assert other.state_dict()["state"].keys() == {0}


@pytest.mark.parametrize(("i", "order"), [*enumerate([0.5, 1.0, 2.0, 3.0, math.inf])])
def test_clipping_by_the_norm_is_pytorchs(i, order):
    params = parameters()
    for k, p in enumerate(params):
        p.grad = tg.Tensor(DATA[f"gradients{k}"][0].conj())
    norm = tg.optim.clip_grad_norm_(params, 1.5, norm_type=order)
    assert norm.dtype == np.float64
    np.testing.assert_allclose(norm.item(), DATA[f"norm{i}"], rtol=1e-13)
    np.testing.assert_allclose(flat([p.grad for p in params]).conj(), DATA[f"clipped{i}"], rtol=1e-13)


ELEMENTWISE = [
    "SGD",
    "NAdam",
    "Adamax",
    "RMSprop",
    "Adagrad",
    "AdamW",
    "RAdam",
    "Rprop",
    "Adam",
    "Adadelta",
    "ASGD",
    "Lion",
]


@pytest.mark.parametrize("name", ELEMENTWISE)
@pytest.mark.parametrize("shape", [(), (3,), (300, 200)], ids=str)
def test_a_complex_parameter_is_its_real_numbers(name, shape):
    """Also a large one, whose update is cut into pieces, in Fortran order or in steps, and without axes."""
    start, target = z(*shape), z(*shape, seed=1)
    makers = [lambda a: a, np.asfortranarray, lambda a: np.repeat(a[..., None], 2, -1)[..., 0] if a.ndim else a]
    whole = [tg.from_numpy(make(start.copy()), requires_grad=True) for make in makers]
    parts = tg.Tensor(np.stack([start.real, start.imag], -1), requires_grad=True)
    options = {} if name in ("Adadelta", "Rprop") else {"weight_decay": 0.01}
    optimizers = [getattr(tg.optim, name)([p], lr=0.05, **options) for p in (*whole, parts)]
    for _ in range(3):
        for p in whole:
            p.grad = None
            (tg.abs(p - target) ** 2 * (1 + tg.real(p) ** 2)).sum().backward()
        parts.grad = None
        x, y = parts[..., 0], parts[..., 1]
        (((x - target.real) ** 2 + (y - target.imag) ** 2) * (1 + x**2)).sum().backward()
        for optimizer in optimizers:
            optimizer.step()
    expected = parts.numpy()[..., 0] + 1j * parts.numpy()[..., 1]
    for p in whole:
        np.testing.assert_allclose(p.numpy(), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_a_step_descends(name):
    w = tg.Tensor(z(4).astype(np.complex64), requires_grad=True)

    def loss():
        return (tg.abs(w * w + (1 - 2j)) ** 2).sum()

    optimizer, before = getattr(tg.optim, name)([w], lr=1e-3), loss().item()
    for _ in range(5):
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()
    assert w.dtype == np.complex64
    assert loss().item() < before


def test_real_and_complex_parameters_together_copies_and_files(tmp_path):
    def run(steps, optimizer, params):
        for step in range(steps):
            a, b = params
            optimizer.zero_grad()
            (tg.abs(a * (1 + 1j) + b) ** 2 * (1 + step)).sum().backward()
            optimizer.step()

    def made():
        params = [tg.Tensor(z(3), requires_grad=True), tg.Tensor(z(3, seed=1).real, requires_grad=True)]
        return params, tg.optim.Adam(params, lr=0.1)

    params, optimizer = made()
    run(2, optimizer, params)
    path = tmp_path / "state.npz"
    tg.save(path, {"params": [*params], "optimizer": optimizer.state_dict()})
    kept = tg.load(path)
    twins = [copy.deepcopy((params, optimizer)), pickle.loads(pickle.dumps((params, optimizer))), made()]
    for p, value in zip(twins[2][0], kept["params"], strict=True):
        p.copy_(value)
    twins[2][1].load_state_dict(kept["optimizer"])
    run(2, optimizer, params)
    for others, twin in twins:
        run(2, twin, others)
        np.testing.assert_array_equal(flat(others), flat(params))


def test_averages():
    w = tg.Tensor(z(3), requires_grad=True)
    average, start = tg.optim.EMA([w], decay=0.75), w.numpy().copy()
    w.copy_(np.zeros(3, complex))
    average.update()
    with average:
        np.testing.assert_allclose(w.numpy(), 0.75 * start)


def test_compiled_steps_have_the_same_bits():
    def made():
        w = tg.Tensor(z(4, 3), requires_grad=True)
        optimizer = tg.optim.Adam([w], lr=0.1)

        def step(x):
            optimizer.zero_grad()
            loss = (tg.abs(tg.fft.fft(x @ w)) ** 2).mean()
            loss.backward()
            tg.optim.clip_grad_norm_([w], 1.0)
            optimizer.step()
            return loss

        return w, step

    (w, plain), (v, step) = made(), made()
    step = tg.compile(step)
    for seed in range(6):
        x = tg.Tensor(z(2, 4, seed=seed))
        assert plain(x).item() == step(x).item()
        np.testing.assert_array_equal(w.numpy(), v.numpy())


REFUSED = [
    (lambda w: tg.optim.Adafactor([w]), "Adafactor: parameter 0 of group 0 is complex128; it must be real"),
    (lambda w: tg.optim.Muon([w]), "Muon: parameter 0 of group 0 is complex128; it must be real"),
    (lambda w: tg.optim.clip_grad_value_([w], 1.0), "clip_grad_value_: gradient 0 is complex128, and complex numbers have no"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "text"), REFUSED)
def test_what_is_refused(call, text):
    w = tg.Tensor(z(2, 2), requires_grad=True)
    (tg.abs(w) ** 2).sum().backward()
    before = w.grad
    with pytest.raises(TypeError, match=text):
        call(w)
    assert w.grad is before
