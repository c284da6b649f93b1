"""Steps that repeat are prepared as a few calls of NumPy. Each must leave the bits of the optimizer's own `update`."""

import itertools
import sys
from threading import Event, Thread
from types import SimpleNamespace

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import optim
from tinygrad_cnn.kernels import update
from tinygrad_cnn.ops import in_place

SHAPES = [(), (3,), (2, 5), (0, 2), (4, 1, 3)]
SPECIAL = [0.0, -0.0, 1e-40, -1e-30, 3e38, np.inf, -np.inf, np.nan]


def options(**choices):
    return [dict(zip(choices, values, strict=True)) for values in itertools.product(*choices.values())]


WAYS = [
    *[(optim.SGD, o) for o in options(
        lr=[0.1, 1], momentum=[0, 0.9, 1], dampening=[0, 0.3], weight_decay=[0, 0.1], maximize=[False, True]
    )],
    *[(optim.SGD, o) for o in options(
        lr=[0.1], momentum=[0.9], nesterov=[True], weight_decay=[0, 0.1], maximize=[False, True]
    )],
    *[(optim.Adam, {"lr": lr, "betas": betas, **o})
      for lr, betas in ((0.1, (0.9, 0.999)), (np.float64(0.3), (0.0, 0.5)))
      for o in options(
        eps=[1e-8, 0], weight_decay=[0, 0.1], amsgrad=[False, True], maximize=[False, True],
        decoupled_weight_decay=[False, True],
    )],
    *[(optim.AdamW, o) for o in options(lr=[0.1, 1], weight_decay=[0, 2], amsgrad=[False, True], maximize=[False, True])],
]  # fmt: skip


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


def plain(monkeypatch, call):
    """``call()`` where no step is prepared."""
    with monkeypatch.context() as patch:
        patch.setattr(in_place, "repeats", {})
        return call()


@pytest.mark.part(1)
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
def test_all_options(monkeypatch, dtype):
    def run(kind, given):
        found, made = [], Run(kind, given, dtype)
        for n in range(6):
            made.step(n)
            found.append(made.seen())
        return found

    with np.errstate(all="ignore"):
        for kind, given in WAYS:
            assert run(kind, given) == plain(monkeypatch, lambda: run(kind, given)), (kind, given)  # noqa: B023


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
def test_changes_between_steps(monkeypatch, change, kind, given):
    def run():
        made = Run(kind, {"lr": 0.1, **given}, np.float32)
        for n in range(8):
            if n == 4:
                with tg.no_grad():
                    CHANGES[change](made)
            made.step(0)
            yield made.seen()

    assert list(run()) == plain(monkeypatch, lambda: list(run()))


def test_gradients_that_come_and_go(monkeypatch):
    def run():
        made = Run(optim.Adam, {"lr": 0.1}, np.float32)
        for n in range(8):
            for i, p in enumerate(made.p):
                p.grad = None if (n + i) % 3 == 0 else tg.from_numpy(made.gradient(p, 0))
            made.optimizer.step()
            yield made.seen()

    assert list(run()) == plain(monkeypatch, lambda: list(run()))


PLACES = {
    "one memory": ([0, 3, 8, 40], [(3,), (2, 2), (2, 10), ()], 1),
    "other orders": ([40, 6, 18, 0], [(3,), (2, 2), (2, 10), ()], 1),
    "overlapping": ([2, 1, 0, 4], [(3,), (2, 2), (2, 10), ()], 1),
    "empty": ([3, 5, 5], [(0, 2), (2,), (0,)], 1),
    "too many numbers": ([0, 100_000], [(5,), (7,)], 2),
    "one": ([2], [(5,)], 1),
}
"""Where gradients begin, their shapes, and how many products a step takes from the second on."""


@pytest.fixture
def products(monkeypatch):
    """How many products by the learning rate there were."""
    found = []
    monkeypatch.setattr(update, "multiply", lambda *given: found.append(1) or np.multiply(*given))
    return lambda: (len(found), found.clear())[0]


@pytest.mark.parametrize("stride", [1, 2, -1])
@pytest.mark.parametrize("places", PLACES)
def test_gradients_in_one_memory(monkeypatch, products, places, stride):
    """Gradients that stay the same Tensors are multiplied at once. Then others come, at other places of the same memory."""
    starts, shapes, count = PLACES[places]

    def run():
        rng = np.random.default_rng(1)
        memory = rng.normal(size=200_100).astype(np.float32)
        ps = [tg.Tensor(rng.normal(size=shape).astype(np.float32), requires_grad=True) for shape in shapes]
        optimizer = optim.SGD(ps, lr=0.3)
        last, taken = None, []
        for shift in (0, 0, 0, 50, 50, 50, 0):
            if shift != last:
                last = shift
                for p, start in zip(ps, starts, strict=True):
                    part = memory[start + shift :][: abs(stride) * p.size : abs(stride)][:: np.sign(stride)]
                    p.grad = tg.from_numpy(part.reshape(p.shape))
            optimizer.step()
            taken.append(products())
            memory *= np.float32(0.9)
            yield [p.detach().numpy().tobytes() for p in ps]
        if in_place.repeats:
            assert taken == [len(ps), count, count] * 2 + [len(ps)]

    assert list(run()) == plain(monkeypatch, lambda: list(run()))


def records(size):
    """A number beside a byte: numbers are 5 bytes apart."""
    return np.zeros(size, [("number", np.float32), ("byte", np.int8)])["number"]


def apart_rows():
    """The rows of a view of memory that belongs to no array, with a gap between them."""
    memory = np.zeros((3, 4), np.float32)
    interface = {**memory.__array_interface__, "shape": (2, 4), "strides": (memory.strides[0] * 2, 4)}
    return np.asarray(SimpleNamespace(__array_interface__=interface, memory=memory))


APART = {
    "two memories": lambda: [np.zeros(4, np.float32)[:], np.zeros(4, np.float32)[:]],
    "packed": lambda: [(a := records(9))[:4], a[4:8]],
    "packed, with an odd end": lambda: [(a := records(9))[:4], a[4:9][:4]],
    "between the bytes of others": lambda: [
        (a := np.zeros(40, np.uint8))[:16].view(np.float32), a[18:34].view(np.float32)
    ],
    "an owner that is no array": lambda: [
        np.frombuffer(a := bytearray(32), np.float32, 4), np.frombuffer(a, np.float32, 4, 16)
    ],
    "gaps": lambda: [*apart_rows()],
}  # fmt: skip


@pytest.mark.parametrize("how", APART)
def test_gradients_that_are_not_in_one_memory(monkeypatch, products, how):
    def run():
        ps, gradients = [tg.ones(4, requires_grad=True) for _ in range(2)], APART[how]()
        optimizer = optim.SGD(ps, lr=0.3)
        for p, g in zip(ps, gradients, strict=True):
            g[...] = np.arange(1, 5)
            p.grad = tg.from_numpy(g)
        for _ in range(4):
            optimizer.step()
            yield [p.detach().numpy().tobytes() for p in ps]
        if in_place.repeats:
            assert products() == 8

    assert list(run()) == plain(monkeypatch, lambda: list(run()))


@pytest.mark.parametrize("shift", [-12, -5, -4, -1, 0, 1, 4, 12])
def test_parameters_and_gradients_in_one_memory(monkeypatch, shift):
    """Each step of a parameter changes what later gradients read."""

    def run():
        memory = np.linspace(1, 2, 36, dtype=np.float32)
        ps = [tg.from_numpy(memory[i : i + 4]).requires_grad_() for i in (12, 16, 20)]
        optimizer = optim.SGD(ps, lr=0.3)
        for i, p in enumerate(ps):
            p.grad = tg.from_numpy(memory[12 + 4 * i + shift :][:4])
        for _ in range(4):
            optimizer.step()
            yield memory.tobytes()

    assert list(run()) == plain(monkeypatch, lambda: list(run()))


@pytest.mark.parametrize("given", [{"lr": 0.1}, {"momentum": 0.9}, {"weight_decay": 0.1}])
def test_groups_whose_gradients_are_in_one_memory(monkeypatch, given):
    def run():
        memory = np.linspace(1, 2, 12, dtype=np.float32)
        ps = [tg.ones(4, requires_grad=True) for _ in range(3)]
        optimizer = optim.SGD([{"params": ps[:2]}, {"params": ps[2:], **given}], lr=0.3)
        for i, p in enumerate(ps):
            p.grad = tg.from_numpy(memory[4 * i :][:4])
        for _ in range(4):
            optimizer.step()
            yield [p.detach().numpy().tobytes() for p in ps]

    assert list(run()) == plain(monkeypatch, lambda: list(run()))


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


def test_a_gradient_that_is_the_parameter(monkeypatch):
    def run():
        made = Run(optim.SGD, {"lr": 0.1, "momentum": 0.5}, np.float32)
        for _ in range(5):
            for p in made.p:
                p.grad = p.detach()
            made.optimizer.step()
            yield made.seen()

    assert list(run()) == plain(monkeypatch, lambda: list(run()))


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
        if frame.f_code.co_filename.endswith("update.py"):
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


@pytest.mark.parametrize(
    ("kind", "given", "repeats"),
    [
        (optim.SGD, {}, True), (optim.SGD, {"momentum": 0.9}, True), (optim.SGD, {"weight_decay": 0.1}, False),
        (optim.Adam, {}, True), (optim.AdamW, {}, True), (optim.Adam, {"amsgrad": True}, False),
    ],
)  # fmt: skip
def test_which_steps_are_prepared(monkeypatch, kind, given, repeats):
    """From the second step on, when the slots are there."""
    called = []
    monkeypatch.setattr(kind, "update", lambda self, *args, update=kind.update: called.append(1) or update(self, *args))
    monkeypatch.setattr(
        kind.update, "__module__", kind.__module__ if kind is not optim.AdamW else optim.Adam.__module__
    )
    monkeypatch.setattr(kind.update, "__qualname__", f"{'SGD' if kind is optim.SGD else 'Adam'}.update")
    made = Run(kind, {"lr": 0.1, **given}, np.float32)
    for n in range(4):
        made.step(0)
        if n == 0:
            first = len(called)
            called.clear()
    assert first == (0 if repeats and not made.optimizer.state else len(SHAPES))
    assert (not called) is repeats


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
