"""Effects, draws and Python in one function: every call does what eager does, whether it is followed, audited or replayed."""

from __future__ import annotations

import collections
import copy
import cProfile
import functools
import pickle
import random
import types
import warnings
import weakref

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import nn, optim


def ones(n=2):
    return np.ones(n, np.float32)


def plain(value):
    """Something to compare."""
    if isinstance(value, tg.Tensor):
        return value.numpy().tolist(), None if value.is_leaf is False or value.grad is None else value.grad.tolist()
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, dict):
        return [(plain(key), plain(part)) for key, part in value.items()]
    if isinstance(value, list | tuple | collections.deque):
        return [plain(part) for part in value]
    if isinstance(value, nn.Module):
        return plain(value.state_dict())
    if isinstance(value, np.random.Generator):
        return repr(value.bit_generator.state)
    return value if isinstance(value, bool | int | float | str | None) else type(value).__name__


def twins_agree(build, calls=10, change=None, warns=None, strict=False):
    """`build()` gives a function of an array and what to compare after each call; both ways must agree in all of it."""
    found = []
    for compiled in (False, True):
        tg.manual_seed(7)
        random.seed(7)
        f, watched = build()
        run = tg.compile(f, strict=strict) if compiled else f
        log = []
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            for i in range(calls):
                if change is not None:
                    change(watched, i)
                x = ones() * (i + 1)
                y = run(x if compiled else tg.Tensor(x))
                log.append((plain(y), plain(watched), repr(tg.get_rng_state()), random.getstate()))
        found.append(log)
    differ = [i + 1 for i, (a, b) in enumerate(zip(*found, strict=True)) if a != b]
    assert not differ
    messages = [str(w.message) for w in caught]
    if warns is not ...:
        assert len(messages) == (warns is not None), messages
        assert warns is None or warns in messages[0]
    return run


def stepping(body, kind=optim.SGD, **options):
    """A step with an optimizer, in which `body(w, optimizer, x)` does something after backward."""

    def build():
        w = tg.ones(2, requires_grad=True)
        optimizer = kind([w], lr=0.1, **options)

        def step(x):
            optimizer.zero_grad()
            (w * w * x).sum().backward()
            return body(w, optimizer, x)

        return step, [w, optimizer.param_groups[0]]

    return build


class TestPythonAroundEffects:
    def test_a_rate_that_is_raised_for_one_step(self):
        def body(w, optimizer, x):
            group = optimizer.param_groups[0]
            before = group["lr"]
            group["lr"] = 3 * before
            optimizer.step()
            group["lr"] = before

        twins_agree(stepping(body), warns="changed")

    def test_a_rate_that_an_effect_puts_back(self):
        class Reset(optim.LRScheduler):
            def step(self):
                self.optimizer.param_groups[0]["lr"] = 0.1

        def build():
            w = tg.ones(2, requires_grad=True)
            optimizer = optim.SGD([w], lr=0.1)
            schedule = Reset(optimizer, {})

            def train(x):
                optimizer.zero_grad()
                (w * w * x).sum().backward()
                optimizer.param_groups[0]["lr"] = 0.3
                optimizer.step()
                schedule.step()

            return train, [w, optimizer.param_groups[0]]

        twins_agree(build, warns="changed")

    def test_a_state_that_is_cleared(self):
        def body(w, optimizer, x):
            optimizer.step()
            optimizer.state.clear()

        twins_agree(stepping(body, momentum=0.9), warns="changed")

    @pytest.mark.parametrize(
        "read",
        [
            lambda optimizer, schedule: schedule.get_last_lr()[0],
            lambda optimizer, schedule: optimizer.param_groups[0]["lr"],
            lambda optimizer, schedule: schedule.last_epoch,
            lambda optimizer, schedule: len(optimizer.state),
        ],
    )
    def test_what_an_effect_changes_is_read(self, read, audits):
        def build():
            w = tg.ones(2, requires_grad=True)
            optimizer = optim.SGD([w], lr=1.0, momentum=0.5)
            schedule = optim.StepLR(optimizer, 1, gamma=0.5)

            def step(x):
                optimizer.zero_grad()
                (w * x).sum().backward()
                optimizer.step()
                schedule.step()
                return x * read(optimizer, schedule)

            return step, [w]

        twins_agree(build, warns=...)

    def test_averages_in_use_for_a_while(self):
        def build():
            w = tg.ones(2, requires_grad=True)
            ema = optim.EMA([w], decay=0.5)

            def step(x):
                w.copy_(w + x)
                ema.update()
                with ema:
                    y = w * 1
                return y

            return step, [w]

        twins_agree(build)

    def test_an_array_in_the_memory_of_a_buffer(self):
        def build():
            buffer = tg.zeros(2)
            view = buffer.numpy()

            def step(x):
                buffer.copy_(buffer + 1)
                return x * float(view[0])

            return step, [buffer]

        twins_agree(build, warns="changed")

    def test_a_gradient_that_is_cleared_where_there_was_none(self):
        def build():
            w = tg.ones(2, requires_grad=True)

            def step(x):
                w.grad = None
                return x * 2

            return step, w

        def change(w, i):
            if i in (3, 5):
                w.grad = tg.ones(2)

        twins_agree(build, change=change)


class TestDraws:
    def test_layers_that_are_made_inside(self):
        twins_agree(lambda: (lambda x: nn.Linear(2, 1)(x), None), warns="draws in Python")

    def test_initialization_inside(self):
        w = tg.ones(2, requires_grad=True)
        twins_agree(lambda: (lambda x: nn.init.normal_(w.detach()) * x, None), warns="draws in Python")

    def test_a_generator_that_ops_and_python_share(self):
        def build():
            rng = np.random.default_rng(0)
            return (lambda x: (x + tg.rand(2, rng=rng)) * rng.random()), rng

        twins_agree(build, warns="draws in Python")

    @pytest.mark.parametrize("kind", [random.Random, np.random.RandomState])
    def test_a_generator_that_decides(self, kind):
        def build():
            rng = kind(3)
            return (lambda x: x * 2 if rng.random() < 0.7 else x * 0), None

        twins_agree(build, warns="generator")

    def test_ordinary_draws_are_compiled(self):
        def build():
            dropout = nn.Dropout(0.5)
            return (lambda x: dropout(x) + tg.rand(2) + tg.dropout(x, 0.5)), None

        assert twins_agree(build).captures == 1

    def test_a_seed_that_is_set_inside(self):
        def f(x):
            tg.manual_seed(3)
            return x + tg.rand(2)

        twins_agree(lambda: (f, None))


class TestArguments:
    def test_a_hook_on_a_leaf(self):
        found = []
        for run in (f := lambda t: (t * t).sum().backward(), tg.compile(f)):
            leaves = [tg.ones(2, requires_grad=True) for _ in range(6)]
            for i, leaf in enumerate(leaves):
                if i % 2:
                    leaf.register_hook(lambda g: g * 10)
                run(leaf)
            found.append([leaf.grad.tolist() for leaf in leaves])
        assert found[0] == found[1]

    @pytest.mark.parametrize(
        "edit",
        [lambda d: d.update(y=d["x"] * 2), lambda d: d.pop("x"), lambda d: setattr(d["x"], "requires_grad", True)],
    )
    def test_one_that_the_function_changes_is_refused(self, edit):
        run = tg.compile(lambda d: (edit(d), None)[1])
        given = {"x": tg.ones(2)}
        with pytest.raises(tg.CaptureError, match="changes its arguments"):
            run(given)
        assert list(given) == ["x"]
        assert not given["x"].requires_grad

    def test_one_that_is_returned_without_its_graph(self):
        run = tg.compile(lambda t: (t.detach(), t))
        for _ in range(4):
            t = tg.ones(2, requires_grad=True)
            detached, same = run(t)
            assert same is t
            assert not detached.requires_grad
            assert detached.numpy().tolist() == [1, 1]

    def test_a_leaf_that_is_made_inside_is_new_in_every_call(self):
        @tg.compile
        def make(x):
            t = tg.zeros(2, requires_grad=True)
            (t * x).sum().backward()
            return t

        first, second, third = (make(ones()) for _ in range(3))
        assert first is not second is not third
        assert all(t.requires_grad and t.is_leaf for t in (first, second, third))

    def test_the_last_leaf_is_not_held(self):
        run = tg.compile(lambda t: (t * t).sum().backward())
        for _ in range(4):
            t = tg.ones(2, requires_grad=True)
            run(t)
            gone = weakref.ref(t)
            del t
            assert gone() is None


class Config:
    def __init__(self, scale=2.0):
        self.scale = scale


class AttrDict(dict):
    __getattr__ = dict.__getitem__


REACHED = Config()
TABLE = {"a": REACHED}


def get():
    return REACHED


def by_star(x, *configs):
    return x * configs[0].scale


def by_default(x, config=REACHED, *, other=REACHED):
    return x * config.scale + other.scale


class Helper:
    def __init__(self, config):
        self._config = config

    @property
    def config(self):
        return self._config

    def run(self, x):
        return self.part(x) * self.config.scale

    def part(self, x):
        return x + self._config.scale


class Callable:
    def __init__(self):
        self.config = REACHED

    def __call__(self, x):
        return x * self.config.scale


def looked_up(x):
    for name in ("scale",):
        x = x * getattr(REACHED, name)
    return x


def unpacked(x):
    return x * sum(vars(REACHED).values())


def marked(x):
    return x * marked.config.scale


marked.config = REACHED

WAYS = {
    "through a getter": lambda x: x * get().scale,
    "by a star": lambda x: by_star(x, *[REACHED]),
    "by a slice": lambda x: by_star(x, *[REACHED, 1][:1]),
    "by default": by_default,
    "by a helper that is made inside": lambda x: Helper(REACHED).run(x),
    "by a callable object": Callable(),
    "by a partial": functools.partial(lambda config, x: x * config.scale, REACHED),
    "by names in a tuple": looked_up,
    "by vars": unpacked,
    "by a function's attribute": marked,
    "by a dict": lambda x: x * TABLE["a"].scale,
    "by a compiled function": tg.compile(lambda x: x * get().scale),
    "by a list comprehension": lambda x: sum(x * c.scale for c in [REACHED]),
}


@pytest.mark.parametrize("name", WAYS)
def test_an_object_that_is_reached(name):
    try:
        twins_agree(lambda: (WAYS[name], None), change=lambda _, i: setattr(REACHED, "scale", 2.0 + i // 3))
    finally:
        REACHED.scale = 2.0


def test_an_attribute_that_appears():
    def build():
        box = types.SimpleNamespace()
        return (lambda x: x * getattr(box, "k", 3) + hasattr(box, "other")), box

    def change(box, i):
        if i == 4:
            box.k = 5
        if i == 7:
            box.other = 1

    twins_agree(build, change=change)


def test_a_class_that_an_attribute_appears_in():
    class Base:
        k = 2.0

    class Derived(Base):
        pass

    def build():
        if "k" in vars(Derived):
            del Derived.k
        thing = Derived()
        return (lambda x: x * thing.k), None

    twins_agree(build, change=lambda _, i: setattr(Derived, "k", 7.0) if i == 4 else None)


def on(turn, edit):
    """An edit before one call, or with None before every third."""
    return lambda things, i: edit(things, i) if i == turn or (turn is None and i % 3 == 2) else None


CONTAINERS = {
    "a deque": (lambda: collections.deque([1.0]), lambda t, x: x * t[0], on(None, lambda t, i: t.appendleft(i))),
    "the order of a dict": (
        lambda: {"a": 1.0, "b": 2.0},
        lambda t, x: x * next(iter(t.values())),
        on(4, lambda t, i: t.update(a=t.pop("a"))),
    ),
    "a default dict": (
        lambda: collections.defaultdict(lambda: 3.0),
        lambda t, x: x * (2 + len(t)),
        on(4, lambda t, i: t["a"]),
    ),
    "an attribute dict": (lambda: AttrDict(a=1.0), lambda t, x: x * t.a, on(None, lambda t, i: t.update(a=i))),
    "an array of objects": (
        lambda: np.array([1.0, None]),
        lambda t, x: x * t[0],
        on(None, lambda t, i: t.__setitem__(0, i)),
    ),
    "keys that are objects": (
        lambda: {Config(): 1},
        lambda t, x: x * next(iter(t)).scale,
        on(None, lambda t, i: setattr(next(iter(t)), "scale", i)),
    ),
}


@pytest.mark.parametrize("name", CONTAINERS)
def test_containers(name):
    make, f, change = CONTAINERS[name]

    def build():
        things = make()
        return (lambda x: f(things, x)), things

    twins_agree(build, change=change)


class TestWhatIsNotRepeated:
    def test_an_error_that_is_caught(self):
        def build():
            a = tg.Tensor(np.zeros((2, 2), "f4"))

            def f(x):
                try:
                    return tg.linalg.inv(a)
                except np.linalg.LinAlgError:
                    return a * 0

            return f, a

        twins_agree(build, change=lambda a, i: a.copy_(np.eye(2) * (i > 3)), warns="after an error of `inv`")

    def test_another_error_state(self):
        def f(x):
            with np.errstate(divide="raise"):
                try:
                    return x / (x - 1)
                except FloatingPointError:
                    return x * 0

        twins_agree(lambda: (f, None), warns="np.errstate")

    def test_a_default_dtype(self):
        def f(x):
            tg.set_default_dtype(np.float64)
            y = x * tg.Tensor([1.0, 2.0])
            tg.set_default_dtype(np.float32 if float(y.size) == 2 else np.float64)
            return y

        def g(x):
            tg.set_default_dtype(np.float64)
            return x * 2

        try:
            twins_agree(lambda: (f, None))
            tg.set_default_dtype(np.float32)
            twins_agree(lambda: (tg.set_default_dtype(np.float32), (g, None))[1], warns="default dtype")
        finally:
            tg.set_default_dtype(np.float32)

    def test_labels_are_checked_where_nothing_uses_the_loss(self):
        def f(x, y):
            tg.cross_entropy(x, y)
            return x.sum()

        run = tg.compile(f)
        x = np.ones((1, 3), np.float32)
        for _ in range(6):
            run(x, np.array([1]))
        with pytest.raises((ValueError, IndexError), match="9"):
            run(x, np.array([9]))

    def test_what_a_forward_notes_of_itself_anew(self):
        class Noting(nn.Module):
            def forward(self, x):
                self.shapes = []
                self.shapes.append(x.shape)
                return x * 2

        run = twins_agree(lambda: ((model := Noting()), (lambda x: model(x), None))[1])
        assert run.captures == 1

    def test_a_lazy_buffer(self):
        class Lazy(nn.Module):
            def forward(self, x):
                if not hasattr(self, "table"):
                    self.table = tg.arange(2) * 0.5
                return x * self.table

        run = twins_agree(lambda: ((model := Lazy()), (lambda x: model(x), None))[1])
        assert run.captures == 1


class TestStrict:
    def test_it_never_goes_on_with_an_old_program(self, audits):
        table = np.zeros(20000, np.float32)
        run = tg.compile(lambda x: x * (1 + float(table.sum())), strict=True)
        run(ones())
        table[0] = 1
        with pytest.raises(tg.CaptureError, match="was given"):
            run(ones())
        assert [run(ones()).tolist() for _ in range(5)] == [[2, 2]] * 5

    @pytest.mark.parametrize("strict", [True, False])
    def test_an_error_instead_of_a_warning_leaves_all_as_it_was(self, strict):
        box = types.SimpleNamespace(n=0)
        w = tg.ones(2, requires_grad=True)
        optimizer = optim.Adam([w], lr=0.1)

        def step(x):
            box.n += 1
            optimizer.zero_grad()
            (w * x * random.random() + tg.rand(2)).sum().backward()
            optimizer.step()

        run = tg.compile(step, strict=strict)
        before = random.getstate(), tg.get_rng_state(), w.tolist(), optimizer.state_dict()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with pytest.raises((tg.CaptureError, RuntimeWarning), match="draws from `random`"):
                run(ones())
        np.testing.assert_equal((random.getstate(), tg.get_rng_state(), w.tolist(), optimizer.state_dict()), before)
        assert (box.n, w.grad) == (0, None)

    def test_a_failed_capture_gives_back_requires_grad(self):
        w = tg.ones(2, requires_grad=True)

        def f(x):
            w.requires_grad = False
            return x if (w * x).sum().item() > 0 else x * 2

        with pytest.raises(tg.CaptureError):
            tg.compile(f)(ones())
        assert w.requires_grad


class TestHousekeeping:
    def test_program_changes_nothing(self):
        w = tg.ones(2, requires_grad=True)
        optimizer = optim.SGD([w], lr=0.1, momentum=0.9)

        def step(x):
            optimizer.zero_grad()
            (w * x + tg.rand(2)).sum().backward()
            optimizer.step()

        before = tg.get_rng_state()
        tg.compile(step).program(ones())
        assert (w.tolist(), w.grad, dict(optimizer.state), tg.get_rng_state()) == ([1, 1], None, {}, before)

    def test_dropped_functions_are_freed_without_the_collector(self, no_collector):
        model = nn.Linear(2, 2)
        run = tg.compile(lambda x: model(x).sum())
        for _ in range(4):
            run(np.ones((1, 2), np.float32))
        gone = weakref.ref(run)
        del run
        assert gone() is None

    def test_copies_and_pickles(self):
        class Trainer:
            def __init__(self):
                self.k = 2.0
                self.step = tg.compile(self.plain)

            def plain(self, x):
                return x * self.k

        trainer = Trainer()
        trainer.step(ones())
        other = copy.deepcopy(trainer)
        other.k = 3.0
        assert (trainer.step(ones()).tolist(), other.step(ones()).tolist()) == ([2, 2], [3, 3])
        assert pickle.loads(pickle.dumps(tg.compile(get))).captures == 0

    def test_under_a_profiler(self):
        run = tg.compile(lambda x: x * get().scale)
        profile = cProfile.Profile()
        profile.enable()
        try:
            first = run(ones()).tolist()
        finally:
            profile.disable()
        try:
            REACHED.scale = 7.0
            assert (first, run(ones()).tolist()) == ([2, 2], [7, 7])
        finally:
            REACHED.scale = 2.0

    def test_checkpoint_runs_a_compiled_function_once_for_its_effects(self):
        def build(compiled):
            tg.manual_seed(0)
            norm, w = nn.BatchNorm1d(2, affine=False), tg.ones(2, requires_grad=True)
            inner = (lambda x: norm(x)) if not compiled else tg.compile(lambda x: norm(x))
            tg.checkpoint(lambda x: inner(x.detach()) * w, tg.Tensor(np.array([[1, 2], [3, 5]], "f4"))).sum().backward()
            return norm.state_dict()

        np.testing.assert_equal(build(False), build(True))


step = loss = shape = 0  # globals with names that the code below has for attributes and methods


class TestOrdinaryCode:
    """What changes outside and is not read does not matter: one capture, and no warning."""

    def test_globals_with_names_of_attributes(self, monkeypatch):
        model = nn.Linear(2, 1)
        optimizer = optim.SGD(model.parameters(), lr=0.1)

        def train(x):
            value = (model(x) ** 2).mean().reshape(x.shape[0])
            optimizer.zero_grad()
            value.sum().backward()
            optimizer.step()
            return {"loss": value}

        def change(_, i):
            for name in ("step", "loss", "shape"):
                monkeypatch.setitem(globals(), name, i)

        run = tg.compile(train)
        for i in range(20):
            change(None, i)
            run(np.ones((1, 2), np.float32))
        assert (run.captures, run.plain) == (1, None)

    def test_a_trainer_that_counts_outside(self):
        class Trainer:
            def __init__(self):
                self.model = nn.Linear(2, 1)
                self.optimizer = optim.SGD(self.model.parameters(), lr=0.1)
                self.step, self.loss, self.history = 0, None, []
                self.compiled = tg.compile(self.train_step)

            def train_step(self, x):
                value = (self.model(x) ** 2).mean()
                self.optimizer.zero_grad()
                value.backward()
                self.optimizer.step()
                return {"loss": value}

        trainer = Trainer()
        for _ in range(20):
            trainer.loss = trainer.compiled(np.ones((1, 2), np.float32))["loss"].item()
            trainer.step += 1
            trainer.history.append(trainer.loss)
        assert (trainer.compiled.captures, trainer.compiled.plain) == (1, None)

    def test_a_module_that_is_noted_on_outside(self):
        class Noted(nn.Module):
            def __init__(self):
                self.inner, self.global_step, self.losses = nn.Linear(2, 1), 0, []

            def forward(self, x):
                return self.inner(x)

        model = Noted()
        run = tg.compile(lambda x: model(x).sum())
        for _ in range(20):
            model.losses.append(run(np.ones((1, 2), np.float32)).item())
            model.global_step += 1
        assert (run.captures, run.plain) == (1, None)

    def test_draws_from_a_generator_beside_an_optimizer(self):
        def build():
            rng = np.random.default_rng(0)
            w = tg.ones(2, requires_grad=True)
            optimizer = optim.SGD([w], lr=0.1)

            def train(x):
                optimizer.zero_grad()
                (w * x * tg.rand(2, rng=rng)).sum().backward()
                optimizer.step()

            return train, [w, rng]

        assert twins_agree(build).captures == 1

    def test_a_hook_beside_checkpoint_runs_once(self):
        for compiled in (False, True):
            w = tg.Tensor([1.0, 2.0], requires_grad=True)
            w.register_hook(lambda g: g * 2)

            def f(x, w=w):
                w.grad = None
                tg.checkpoint(lambda x: x * w, x).sum().backward()

            (tg.compile(f) if compiled else f)(tg.ones(2))
            assert w.grad.tolist() == [2, 2]

    def test_an_optimizer_s_option_in_a_list_that_the_call_makes(self):
        def rate(optimizers):
            return sum(each.param_groups[0]["lr"] for each in optimizers)

        def build():
            optimizer = optim.SGD([tg.ones(1, requires_grad=True)], lr=1.0)
            return (lambda x: x * rate([optimizer])), optimizer.param_groups

        twins_agree(build, change=lambda groups, i: groups[0].update(lr=1.0 + i // 4))

    def test_what_an_update_of_one_s_own_changes_is_taken_back(self):
        class Noting(optim.Optimizer):
            def update(self, p, g, state, group, new, t, u):
                self.box.n += 1
                self.seen.add(1)
                self.queue.append(1)
                self.rng.random()
                p -= g

        w = tg.ones(1, requires_grad=True)
        noting = Noting([w], {})
        noting.box, noting.seen, noting.queue = types.SimpleNamespace(n=0), set(), collections.deque()
        noting.rng = np.random.default_rng(0)

        def train(x):
            (w * x).sum().backward()
            noting.step()
            raise KeyError("halfway")

        before = noting.rng.bit_generator.state
        with pytest.raises(KeyError):
            tg.compile(train)(ones(1))
        assert (noting.box.n, noting.seen, list(noting.queue), w.item()) == (0, set(), [], 1)
        assert noting.rng.bit_generator.state == before
