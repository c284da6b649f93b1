"""Compiled steps of optimizers have the bits of the optimizers' rules, whatever the options and the numbers."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import optim
from tinygrad_cnn.kernels.parallel import chunks
from tinygrad_cnn.ops import updates

from ..tuning import tuned

if find_spec("numba") is None:
    pytest.skip("not installed: pip install numba", allow_module_level=True)

from tinygrad_cnn.extra.numba import attached, steps

MAKERS = {
    "momentum": lambda p: optim.SGD(p, lr=0.1, momentum=0.9),
    "decay": lambda p: optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.01),
    "plain": lambda p: optim.SGD(p, lr=0.1),
    "plain-decay": lambda p: optim.SGD(p, lr=0.1, weight_decay=0.01),
    "plain-ascent": lambda p: optim.SGD(p, lr=0.1, maximize=True),
    "nesterov": lambda p: optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True),
    "dampening": lambda p: optim.SGD(p, lr=0.1, momentum=0.9, dampening=0.5),
    "ascent": lambda p: optim.SGD(p, lr=0.1, momentum=0.9, maximize=True),
    "adam": lambda p: optim.Adam(p, lr=0.1),
    "adam-decay": lambda p: optim.Adam(p, lr=0.1, weight_decay=0.01),
    "adamw": lambda p: optim.AdamW(p, lr=0.1, weight_decay=0.1, betas=(0.5, 0.9), eps=1e-3),
    "amsgrad": lambda p: optim.Adam(p, lr=0.1, amsgrad=True),
    "adam-ascent": lambda p: optim.Adam(p, lr=0.1, maximize=True),
}
TAKEN = {"momentum", "decay", "plain", "plain-decay", "adam", "adam-decay", "adamw"}


@pytest.fixture(autouse=True)
def numba():
    """The kernels as they were, at the end."""
    before = attached.is_attached()
    yield
    tg.use_numba(False)
    tg.use_numba(before)


def trained(make, compiled, dtype, taken):
    """Parameters after some steps: of few numbers, of many, of none, and one whose memory order is another. Whether each is
    taken by a compiled step is added to a list."""
    tg.use_numba(compiled)

    def noted(form):
        def prepare(*given):
            step = form(*given)
            return step and (lambda g: taken.append(step(g)) or taken[-1])

        return prepare

    for update, form in steps.STEPS.items() if compiled else ():
        updates.fuse(update, noted(form))
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(shape).astype(dtype) for shape in ((7,), (90, 70), (60, 50, 20), (0, 3))]
    p = [tg.Tensor(a, requires_grad=True) for a in (*arrays, np.asfortranarray(arrays[1]))]
    optimizer = make(p)
    for _ in range(4):
        for q in p:
            scales = rng.choice([0, 1, 1e-25, 1e19, np.inf, np.nan], q.shape, p=[0.1, 0.6, 0.1, 0.1, 0.05, 0.05])
            with np.errstate(all="ignore"):
                q.grad = tg.Tensor((rng.standard_normal(q.shape) * scales).astype(dtype))
        optimizer.step()
    return [q.numpy().copy() for q in p]


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_bits(name, dtype):
    taken = []
    expected = trained(MAKERS[name], False, dtype, taken)
    with tuned() as tune:
        tune(chunks, LARGE=1000)
        found = trained(MAKERS[name], True, dtype, taken)
    assert any(taken) == (name in TAKEN and dtype == np.float32)
    for a, b in zip(expected, found, strict=True):
        assert np.array_equal(a, b, equal_nan=True)


def test_a_rule_of_ones_own_is_called():
    class Half(optim.SGD):
        def update(self, p, g, state, group, new, t, u):
            p *= np.float32(0.5)

    tg.use_numba()
    p = tg.ones(100, 100, requires_grad=True)
    p.grad = tg.ones(100, 100)
    optimizer = Half([p], lr=0.1, momentum=0.9)
    optimizer.step()
    optimizer.step()
    assert (p.numpy() == 0.25).all()


def test_state_and_memory_that_change_between_steps():
    def after(compiled):
        tg.use_numba(compiled)
        rng = np.random.default_rng(0)
        p = tg.Tensor(rng.standard_normal((30, 20)).astype(np.float32), requires_grad=True)
        optimizer = optim.SGD([p], lr=0.1, momentum=0.9)
        found = []
        for i in range(9):
            p.grad = tg.Tensor(rng.standard_normal((30, 20)).astype(np.float32))
            if i == 3:
                optimizer.state[p]["momentum_buffer"] = np.full((30, 20), 0.5, np.float32)
            if i == 5:
                optimizer.param_groups[0]["lr"] = 0.3
            if i == 7:
                optimizer.load_state_dict(optimizer.state_dict())
            if i == 8:
                tg.use_numba(not compiled)
            optimizer.step()
            found.append(p.numpy().copy())
        return np.array(found)

    assert np.array_equal(after(False), after(True))


@pytest.mark.parametrize("momentum", [0, 0.9])
def test_a_parameter_that_became_read_only_is_not_written(momentum):
    tg.use_numba()
    a = np.ones((30, 20), np.float32)
    p = tg.from_numpy(a, requires_grad=True)
    optimizer = optim.SGD([p], lr=0.1, momentum=momentum)
    for _ in range(3):
        p.grad = tg.ones(30, 20)
        optimizer.step()
    before = p.numpy().copy()
    a.flags.writeable = False
    p.grad = tg.ones(30, 20)
    with pytest.raises(ValueError, match="read-only"):
        optimizer.step()
    assert np.array_equal(p.numpy(), before)


SHARED = {  # a gradient that lies before its parameter would be read after it is written
    "both are views": lambda a: (a[1:], a[:-1]),
    "the gradient lies behind": lambda a: (a[:-1], a[1:]),
    "both are matrices": lambda a: (a[1:].reshape(100, 100), a[:-1].reshape(100, 100)),
    "the parameter is a view of bytes": lambda a: (np.frombuffer(a.data, np.float32, offset=4), a[:-1]),
    "the gradient is a view of bytes": lambda a: (a[1:], np.frombuffer(a.data, np.float32, a.size - 1)),
    "the parameter is a view of the gradient": lambda a: (a[:][:], a),
    "the same array": lambda a: (a, a),
}


@pytest.mark.parametrize("momentum", [0, 0.9])
@pytest.mark.parametrize("shared", SHARED)
def test_a_gradient_that_shares_memory_with_its_parameter(shared, momentum):
    def after(compiled):
        tg.use_numba(compiled)
        a = np.random.default_rng(0).standard_normal(10_001).astype(np.float32)
        value, gradient = SHARED[shared](a)
        p = tg.from_numpy(value)
        p.requires_grad = True
        optimizer = optim.SGD([p], lr=0.1, momentum=momentum)
        for _ in range(3):
            p.grad = tg.from_numpy(gradient)
            optimizer.step()
        return a

    assert np.array_equal(after(False), after(True))
