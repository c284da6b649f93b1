"""An optimizer keeps its last step, if it may be repeated. Each must leave the bits of a step that is prepared anew."""

import copy
import sys
from threading import Event, Thread

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import optim

SHAPES = [(), (3,), (2, 5), (0, 2), (4, 1, 3)]
SPECIAL = [0.0, -0.0, 1e-40, -1e-30, 3e38, np.inf, -np.inf, np.nan]


class Run:
    """An optimizer of parameters of several shapes, and a generator for their gradients."""

    def __init__(self, kind, given, dtype):
        self.rng = np.random.default_rng(0)
        self.p = [tg.Tensor(self.rng.normal(size=shape).astype(dtype), requires_grad=True) for shape in SHAPES]
        self.optimizer = kind(self.p, **given)

    def gradient(self, p, n):
        """In C order, or the last axis first, or every other element, or all elements in one place; with special values."""
        g = self.rng.normal(size=p.shape).astype(p.dtype)
        if n == 4 and g.size:
            return np.broadcast_to(g.reshape(-1)[:1].reshape((1,) * g.ndim), g.shape)
        g[self.rng.random(g.shape) < 0.1] = self.rng.choice(SPECIAL[: 4 if n < 3 else None])
        if n == 2 and g.ndim:
            wide = np.zeros((*g.shape[:-1], 2 * g.shape[-1]), g.dtype)
            wide[..., ::2] = g
            return wide[..., ::2]
        return np.array(g, order="F" if n == 1 else "C")

    def step(self, n):
        for p in self.p:
            p.grad = tg.from_numpy(self.gradient(p, n))
        self.optimizer.step()

    def seen(self):
        """Everything that steps change, as bytes."""
        state = [np.asarray(v) for s in self.optimizer.state.values() for v in s.values()]
        arrays = [*(p.detach().numpy() for p in self.p), *state]
        return [(a.dtype, a.shape, np.where(a == a, a, np.nan).astype(a.dtype).tobytes()) for a in arrays]


def both(made, steps, before=lambda run, n: None):
    """What each of some steps leaves, and what the steps of copies leave, which have no step to repeat."""
    found = []
    for anew in (False, True):
        run = copy.deepcopy(made)
        found.append([])
        for n in range(steps):
            run = copy.deepcopy(run) if anew else run
            before(run, n)
            run.step(n % 5)
            found[-1].append(run.seen())
    return found


def slots(run, change):
    """Change each array of the state."""
    for state in run.optimizer.state.values():
        for name, value in [*state.items()]:
            if isinstance(value, np.ndarray):
                state[name] = change(value)


CHANGES = {
    "rate": lambda run: run.optimizer.param_groups[0].update(lr=0.03),
    "decay": lambda run: run.optimizer.param_groups[0].update(weight_decay=0.2),
    "decay away": lambda run: run.optimizer.param_groups[0].update(weight_decay=0),
    "maximize": lambda run: run.optimizer.param_groups[0].update(maximize=True),
    "slots": lambda run: slots(run, np.ones_like),
    "slots of another type": lambda run: slots(run, lambda a: np.ones(a.shape)),
    "slots in place": lambda run: slots(run, lambda a: np.add(a, 2, out=a)),
    "count": lambda run: [state.update(step=9) for state in run.optimizer.state.values() if "step" in state],
    "state": lambda run: run.optimizer.load_state_dict(run.optimizer.state_dict()),
    "values": lambda run: [p.copy_(p * 0.5) for p in run.p],
    "no state": lambda run: run.optimizer.state.clear(),
    "frozen": lambda run: run.p[1].requires_grad_(False),
}


@pytest.mark.whole
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize(
    ("kind", "given"),
    [
        (optim.SGD, {}),
        (optim.SGD, {"momentum": 0.9}),
        (optim.Adam, {}),
        (optim.AdamW, {}),
        (optim.Adam, {"amsgrad": True}),
    ],
)
def test_changes_between_steps(change, kind, given):
    def before(run, n):
        if n == 4:
            with tg.no_grad():
                CHANGES[change](run)

    kept, anew = both(Run(kind, {"lr": 0.1, **given}, np.float32), 8, before)
    assert kept == anew


class Gaps(Run):
    """Some parameters have no gradient."""

    def step(self, n):
        for p in self.p:
            p.grad = None if self.rng.random() < 0.3 else tg.from_numpy(self.gradient(p, n))
        self.optimizer.step()


def test_gradients_that_come_and_go():
    kept, anew = both(Gaps(optim.Adam, {"lr": 0.1}, np.float32), 8)
    assert kept == anew


def test_gradients_are_not_held():
    """A compiled function makes new ones while somebody holds those of an earlier call."""
    memory = np.ones(16, np.float32)
    ps = [tg.zeros(8, requires_grad=True), tg.zeros(8, requires_grad=True)]
    optimizer = optim.SGD(ps, lr=0.5)
    before = sys.getrefcount(memory)
    for p, part in zip(ps, (memory[:8], memory[8:]), strict=True):
        p.grad = tg.from_numpy(part)
    for _ in range(3):
        optimizer.step()
    optimizer.zero_grad()
    del part
    assert sys.getrefcount(memory) == before
    assert ps[0].tolist() == ps[1].tolist() == [-1.5] * 8


def test_a_gradient_that_is_the_parameter():
    p = tg.Tensor([1.0, 2.0], requires_grad=True)
    optimizer = optim.SGD([p], lr=0.5, momentum=0.5)
    for expected in ([0.5, 1.0], [0.0, 0.0], [-0.25, -0.5]):  # by hand: b = 1, then 1, then .5 of p
        p.grad = p.detach()
        optimizer.step()
        assert p.tolist() == expected


@pytest.mark.parametrize(("kind", "lr", "finite"), [(optim.Adam, 0.1, True), (optim.SGD, 10.0, False)])
def test_errors_of_numpy_do_not_stop_a_step_halfway(kind, lr, finite):
    made = Run(kind, {"lr": lr}, np.float32)
    with np.errstate(all="raise"):
        for _ in range(4):
            for p in made.p:
                p.grad = tg.full(p.shape, 3e38)
            made.optimizer.step()
    assert (np.isfinite if finite else np.isinf)(made.p[1].numpy()).all()


def test_threads_step_at_the_same_time():
    """Each an optimizer of its own, while one of them waits within its update."""
    inside, go_on = Event(), Event()

    def wait(frame, event, arg):
        if frame.f_code.co_filename.endswith("sgd.py"):
            inside.set()
            assert go_on.wait(30)

    def prepared():
        p = tg.Tensor([1.0, 2.0], requires_grad=True)
        optimizer = optim.SGD([p], lr=0.5)
        p.grad = tg.zeros(2)
        optimizer.step()
        p.grad = tg.ones(2)
        return p, optimizer

    def step_and_wait():
        sys.settrace(wait)
        optimizer.step()

    (p, optimizer), (q, other) = prepared(), prepared()
    waiting = Thread(target=step_and_wait)
    waiting.start()
    assert inside.wait(30)
    try:
        other.step()
    finally:
        go_on.set()
        waiting.join()
    assert p.tolist() == q.tolist() == [0.5, 1.5]


def test_an_option_that_becomes_an_array_is_refused():
    p = tg.Tensor([1.0, 2.0], requires_grad=True)
    optimizer = optim.SGD([p], lr=0.1)
    for lr in (0.1, np.array([0.1, 0.2])):
        p.grad = tg.ones(2)
        optimizer.param_groups[0]["lr"] = lr
        before = p.tolist()
        if isinstance(lr, float):
            optimizer.step()
            continue
        with pytest.raises(TypeError, match="SGD: `lr` of group 0 is"):
            optimizer.step()
        assert p.tolist() == before


@pytest.mark.parametrize("kind", [optim.SGD, optim.Adam])
def test_an_update_that_is_overridden_runs(kind):
    class Own(kind):
        def update(self, p, g, state, group, new, t, u):
            p += 1

    made = Run(Own, {"lr": 0.1}, np.float32)
    before = made.p[1].numpy().copy()
    for n in range(3):
        made.step(n)
    np.testing.assert_array_equal(made.p[1].numpy(), before + 1 + 1 + 1)
