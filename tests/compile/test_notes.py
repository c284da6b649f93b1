"""What a compiled function reads through the standard library, through names it builds, and through functions it cannot see."""

from __future__ import annotations

import array
import collections
import contextvars
import copy
import ctypes
import dataclasses
import functools
import gc
import io
import logging
import operator
import os
import pathlib
import queue
import sys
import threading
import types
import warnings
import weakref

import numpy as np
import pytest

import tinygrad_cnn as tg
from tests.compile.test_state import drifting_twins_agree, ones, reading
from tinygrad_cnn import nn

SETTING = 2.0


def value(i):
    """A value that changes in calls that no audit follows."""
    return [2.0, 3.0, 0.5][(i >= 3) + (i >= 6)]


class Meta(type):
    scale = 2.0


class Slotted:
    __slots__ = ("k",)


def late():
    """A closure whose variable has no value yet, and a function that sets it."""

    def scale(x):
        try:
            return x * k
        except NameError:
            return x

    def set_k(value):
        nonlocal k
        k = value

    if False:
        k = 1
    return set_k, scale


def function(k=2.0):
    def scaled(x, k=k, *, c=k):
        return x * k * c

    return scaled


def other(x):
    return x * 7


@dataclasses.dataclass
class Options:
    k: float = 2.0


class Number(float):
    """A constant that has attributes."""


def doubles():
    """An object of a new class, which a test may change."""

    class Doubles:
        def __call__(self, x):
            return x * 2

        def __len__(self):
            return 2

        @functools.singledispatchmethod
        def scaled(self, x):
            return x * 2

    return Doubles()


def layer():
    class Layer(nn.Module):
        def forward(self, x):
            return x * 2

    return Layer()


COMPARED = {
    "a method that Python calls": (
        doubles,
        lambda t, x: t(x),
        lambda t, i: setattr(type(t), "__call__", lambda self, x: x * 5) if i == 3 else None,
    ),
    "another such method": (
        doubles,
        lambda t, x: x * len(t),
        lambda t, i: setattr(type(t), "__len__", lambda self: 5) if i == 3 else None,
    ),
    "the forward of a class": (
        layer,
        lambda t, x: t(x),
        lambda t, i: setattr(type(t), "forward", lambda self, x: x * 5) if i == 3 else None,
    ),
    "an attribute of a number": (
        lambda: Number(2.0),
        lambda t, x: x * t.k,
        lambda t, i: setattr(t, "k", value(i)),
    ),
    "a name with underscores": (
        lambda: types.SimpleNamespace(__k__=2.0),
        lambda t, x: x * t.__k__,
        lambda t, i: setattr(t, "__k__", value(i)),
    ),
    "a slot without a value": (
        Slotted,
        lambda t, x: x * getattr(t, "k", 7),
        lambda t, i: setattr(t, "k", value(i)) if i >= 3 else None,
    ),
    "a variable without a value": (
        late,
        lambda t, x: t[1](x),
        lambda t, i: t[0](value(i)) if i >= 3 else None,
    ),
    "an event": (
        threading.Event,
        lambda t, x: x * (2 if t.is_set() else 3),
        lambda t, i: t.set() if i == 3 else None,
    ),
    "a queue": (
        queue.Queue,
        lambda t, x: x * (1 + t.qsize()),
        lambda t, i: t.put(i) if i == 3 else None,
    ),
    "a long list": (
        lambda: [2.0] * 5000,
        lambda t, x: x * t[4500],
        lambda t, i: t.__setitem__(4500, value(i)),
    ),
    "a list in a long list": (
        lambda: [*[1.0] * 9000, [2.0]],
        lambda t, x: x * t[9000][0],
        lambda t, i: t[9000].__setitem__(0, value(i)),
    ),
    "a long dict": (
        lambda: dict.fromkeys(range(5000), 2.0),
        lambda t, x: x * t[4500],
        lambda t, i: t.update({4500: value(i)}),
    ),
    "the order of a long dict": (
        lambda: dict.fromkeys(range(2, 5002)),
        lambda t, x: x * next(iter(t)),
        lambda t, i: t.update({2: t.pop(2)}) if i == 3 else None,
    ),
    "a long deque": (
        lambda: collections.deque([2.0] * 5000),
        lambda t, x: x * t[4500],
        lambda t, i: t.__setitem__(4500, value(i)),
    ),
    "a long set": (
        lambda: set(range(5000)),
        lambda t, x: x * (7 in t),
        lambda t, i: (t.discard(7), t.add(9999)) if i == 3 else None,
    ),
    "a long bytearray": (
        lambda: bytearray(b"\2" * 9000),
        lambda t, x: x * t[8000],
        lambda t, i: t.__setitem__(8000, int(value(i) * 2)),
    ),
    "a table that NumPy reads": (
        lambda: np.full(9000, 2.0, "f4"),
        lambda t, x: x * t[8000],
        lambda t, i: t.__setitem__(8000, value(i)),
    ),
    "a bytearray": (lambda: bytearray(b"\2"), lambda t, x: x * t[0], lambda t, i: t.__setitem__(0, int(value(i) * 2))),
    "an array of Python": (
        lambda: array.array("d", [2.0]),
        lambda t, x: x * t[0],
        lambda t, i: t.__setitem__(0, value(i)),
    ),
    "a number of C": (
        lambda: ctypes.c_double(2.0),
        lambda t, x: x * t.value,
        lambda t, i: setattr(t, "value", value(i)),
    ),
    "a UserDict": (lambda: collections.UserDict(k=2.0), lambda t, x: x * t["k"], lambda t, i: t.update(k=value(i))),
    "a ChainMap": (
        lambda: collections.ChainMap({}, {"k": 2.0}),
        lambda t, x: x * t["k"],
        lambda t, i: t.maps[1].update(k=value(i)),
    ),
    "a view of a dict": (
        lambda: {"k": 2.0}.values(),
        lambda t, x: x * sum(t),
        lambda t, i: gc.get_referents(t)[0].update(k=value(i)),
    ),
    "a proxy of a dict": (
        lambda: types.MappingProxyType({"k": 2.0}),
        lambda t, x: x * t["k"],
        lambda t, i: gc.get_referents(t)[0].update(k=value(i)),
    ),
    "a method of a dict": (
        lambda: {"k": 2.0}.get,
        lambda t, x: x * t("k"),
        lambda t, i: t.__self__.update(k=value(i)),
    ),
    "a method of a list": (
        lambda: [2.0].__getitem__,
        lambda t, x: x * t(0),
        lambda t, i: t.__self__.__setitem__(0, value(i)),
    ),
    "a context variable": (
        lambda: contextvars.ContextVar("k", default=2.0),
        lambda t, x: x * t.get(),
        lambda t, i: t.set(value(i)),
    ),
    "defaults": (function, lambda t, x: t(x), lambda t, i: setattr(t, "__defaults__", (value(i),))),
    "keyword-only defaults": (function, lambda t, x: t(x), lambda t, i: t.__kwdefaults__.update(c=value(i))),
    "code": (
        lambda: types.FunctionType(other.__code__, {}),
        lambda t, x: t(x),
        lambda t, i: setattr(t, "__code__", (lambda x: x * 9).__code__) if i == 3 else None,
    ),
    "bases": (
        lambda: type("Child", (type("A", (), {"k": 2.0}),), {})(),
        lambda t, x: x * t.k,
        lambda t, i: setattr(type(t), "__bases__", (type("B", (), {"k": 3.0}),)) if i == 3 else None,
    ),
    "an attribute that hides another": (
        lambda: type("Child", (type("A", (Options,), {}),), {}),
        lambda t, x: x * t.k,
        lambda t, i: setattr(t.__base__, "k", 3.0) if i == 3 else None,
    ),
    "bases of a class": (
        lambda: type("Child", (type("A", (), {"k": 2.0}),), {}),
        lambda t, x: x * t.k,
        lambda t, i: setattr(t, "__bases__", (type("B", (), {"k": 3.0}),)) if i == 3 else None,
    ),
    "a metaclass": (
        lambda: Meta("Made", (), {}),
        lambda t, x: x * t.scale,
        lambda t, i: setattr(Meta, "scale", value(i)),
    ),
    "a name with a number": (
        lambda: types.SimpleNamespace(k_1=2.0),
        lambda t, x: x * getattr(t, f"k_{len(x.shape)}"),
        lambda t, i: setattr(t, "k_1", value(i)),
    ),
    "a name from two": (
        lambda: types.SimpleNamespace(k_1=2.0),
        lambda t, x: x * getattr(t, "k" + "_" + str(x.ndim)),
        lambda t, i: setattr(t, "k_1", value(i)),
    ),
    "a dotted name": (
        lambda: (types.SimpleNamespace(a=types.SimpleNamespace(k=2.0)), operator.attrgetter("a.k")),
        lambda t, x: x * t[1](t[0]),
        lambda t, i: setattr(t[0].a, "k", value(i)),
    ),
    "fields": (
        Options,
        lambda t, x: x * sum(getattr(t, f.name) for f in dataclasses.fields(t)),
        lambda t, i: setattr(t, "k", value(i)),
    ),
    "all names": (
        lambda: types.SimpleNamespace(k=2.0),
        lambda t, x: x * sum(getattr(t, n) for n in dir(t) if n[0] != "_"),
        lambda t, i: setattr(t, "k", value(i)),
    ),
}


@pytest.mark.parametrize("name", COMPARED)
def test_is_compared_before_each_replay(name):
    make, f, change = COMPARED[name]
    run = drifting_twins_agree(reading(make, f), change)
    assert run.captures in (2, 3)
    Meta.scale = 2.0


def test_environment_variables(monkeypatch):
    for read in (os.getenv, lambda k: os.environ.get(k), lambda k: os.environ[k]):
        drifting_twins_agree(
            lambda read=read: (None, lambda x: x * float(read("TG_SCALE"))),
            lambda _, i: monkeypatch.setenv("TG_SCALE", str(value(i))),
        )


def test_modules_and_globals(monkeypatch):
    def module(k):
        made = types.ModuleType("tg_settings")
        made.k, made.__getattr__ = k, types.SimpleNamespace(late=k).__getattribute__
        return made

    def imports(x):
        import tg_settings

        return x * tg_settings.k

    def imports_from(x):
        from tg_settings import k

        return x * k

    def late(x):
        import tg_settings

        return x * tg_settings.late

    for f in (imports, imports_from, late, lambda x: x * sys.modules["tg_settings"].k):
        drifting_twins_agree(
            lambda f=f: (None, f), lambda _, i: monkeypatch.setitem(sys.modules, "tg_settings", module(value(i)))
        )
    drifting_twins_agree(
        lambda: (None, lambda x: x * globals()["SETTING"]),
        lambda _, i: monkeypatch.setitem(globals(), "SETTING", value(i)),
    )
    hidden = {0: lambda: monkeypatch.delitem(globals(), "abs", raising=False)}
    hidden[3] = lambda: monkeypatch.setitem(globals(), "abs", lambda x: x * 5)
    drifting_twins_agree(lambda: (None, lambda x: abs(x)), lambda _, i: hidden.get(i, int)())


def test_closures_of_functions_that_nothing_in_sight_holds():
    def op():
        k = [2.0]

        @tg.op(elementwise=True)
        def scale(a):
            return a * k[0]

        scale.vjp(a=lambda g: g * k[0])
        w = tg.ones(2, requires_grad=True)

        def f(x):
            w.grad = None
            scale(w * x).sum().backward()
            return w.grad * 1

        return k, f

    def cached(is_warm):
        k = [2.0]

        @functools.lru_cache
        def scale():
            return k[0]

        scale() if is_warm else None
        return (k, scale), lambda x: x * scale()

    drifting_twins_agree(op, lambda k, i: k.__setitem__(0, value(i)))
    for is_warm in (False, True):
        drifting_twins_agree(
            functools.partial(cached, is_warm),
            lambda t, i: (t[0].__setitem__(0, value(i)), t[1].cache_clear()) if i in (3, 6) else 0,
        )


def test_every_option_of_a_layer_is_compared():
    """A wrapper around ``forward`` does not hide what it reads."""
    x = np.random.default_rng(0).normal(size=(4, 2, 6, 6)).astype("f4")
    changes = [
        (nn.BatchNorm2d(2), "momentum", None),
        (nn.BatchNorm2d(2), "eps", 0.5),
        (nn.GroupNorm(2, 2), "eps", 0.5),
        (nn.InstanceNorm2d(2), "eps", 0.5),
        (nn.Conv2d(2, 2, 3), "stride", (2, 2)),
        (nn.Conv2d(2, 2, 3), "padding", (1, 1)),
        (nn.ConvTranspose2d(2, 2, 3), "stride", (2, 2)),
        (nn.ZeroPad2d(1), "padding", (2, 2, 2, 2)),
        (nn.ConstantPad2d(1, 1.0), "value", 3.0),
        (nn.CosineSimilarity(), "dim", 2),
        (nn.Unflatten(1, (2, 1)), "unflattened_size", (1, 2)),
    ]
    for layer, option, changed in changes:
        twin, run = copy.deepcopy(layer), tg.compile(layer)
        inputs = (x, x[::-1]) if isinstance(layer, nn.CosineSimilarity) else (x,)
        for i in range(5):
            if i == 3:
                setattr(layer, option, changed)
                setattr(twin, option, changed)
            np.testing.assert_array_equal(run(*inputs), twin(*inputs).detach(), f"{layer}.{option}")
            np.testing.assert_equal(layer.state_dict(), twin.state_dict(), f"{layer}.{option}")
        assert run.plain is None


class Counts(logging.Handler):
    def __init__(self):
        super().__init__()
        self.calls = []

    def emit(self, record):
        self.calls.append(record.msg)


@pytest.mark.usefixtures("audits")
class TestWhatNoGuardCanCompare:
    """Such a function runs as written from its first call on, after one warning."""

    def test_files(self, tmp_path):
        path = tmp_path / "scale"
        path.write_text("2")

        def by_open(x):
            with open(path) as file:
                return x * float(file.read())

        reads = {
            "open": by_open,
            "pathlib": lambda x: x * float(pathlib.Path(path).read_text()),
            "exists": lambda x: x * os.path.exists(path),
            "numpy": lambda x: x * np.loadtxt(path),
        }
        for f in reads.values():
            run = tg.compile(f)
            with pytest.warns(RuntimeWarning, match=r"calls `(open|stat)`"):
                run(ones())

    def test_streams(self):
        for write in (lambda s: s.write("a"), lambda s: logging.StreamHandler(s).emit(logging.makeLogRecord({}))):
            stream = io.StringIO()
            run = tg.compile(lambda x, stream=stream, write=write: (write(stream), x * 2)[1])
            with pytest.warns(RuntimeWarning, match="calls `write`"):
                run(ones())
            length = len(stream.getvalue())
            run(ones())
            assert len(stream.getvalue()) == 2 * length

    def test_handlers_of_logging(self):
        log, handler = logging.getLogger("tests.notes"), Counts()
        log.handlers, log.propagate = [handler], False
        log.setLevel(logging.INFO)
        run = tg.compile(lambda x: (log.info("called"), x * 2)[1])
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            for _ in range(6):
                run(ones())
        assert len(handler.calls) == 6
        assert len(caught) == 1

    def test_functions_by_type(self):
        """The table of a single-dispatch method has weak references."""
        thing = doubles()
        run = tg.compile(lambda x: thing.scaled(x))
        with pytest.warns(RuntimeWarning, match="reads a weak reference"):
            assert run(ones()).tolist() == [2, 2]
        vars(type(thing))["scaled"].register(tg.Tensor, lambda self, x: x * 5)
        assert run(ones()).tolist() == [5, 5]

    def test_the_level_of_a_log(self):
        log, handler = logging.getLogger("tests.notes.level"), Counts()
        log.handlers, log.propagate = [handler], False
        log.setLevel(logging.INFO)
        run = tg.compile(lambda x: (log.debug("called"), x * 2)[1])
        for _ in range(3):
            run(ones())
        log.setLevel(logging.DEBUG)
        run(ones())
        with pytest.warns(RuntimeWarning, match="changes what it reads"):
            run(ones())
        run(ones())
        assert len(handler.calls) == 3

    def test_more_elements_than_are_compared(self):
        for many in ([0.0] * 70_000, dict.fromkeys(range(70_000)), [[0] for _ in range(9000)]):
            with pytest.raises(tg.CaptureError, match="too many to compare"):
                tg.compile(lambda x, many=many: x * len(many), strict=True)(ones())

    def test_the_rate_of_a_schedule(self):
        optimizer = tg.optim.SGD([tg.ones(2, requires_grad=True)], lr=2.0)
        schedule = tg.optim.StepLR(optimizer, 1)
        run = tg.compile(lambda x: x * schedule.get_last_lr()[0])
        with pytest.warns(RuntimeWarning, match="reads the learning rate of a schedule"):
            assert run(ones()).tolist() == [2, 2]
        schedule.step()
        np.testing.assert_allclose(run(ones()).numpy(), 0.2, rtol=1e-6)

    def test_the_state_of_the_library_s_generator(self):
        run = tg.compile(lambda x: x * len(str(tg.get_rng_state())))
        with pytest.warns(RuntimeWarning, match="reads the state of the random generator"):
            run(ones())

    def test_iterators_weak_references_and_threads(self):
        local, meta = threading.local(), weakref.ref(Meta)
        local.k = 2.0
        numbers = (k for k in range(99))
        functions = {
            "continues a generator": lambda x: x * next(numbers),
            "reads a weak reference": lambda x: x * meta().scale,
            "reads a `threading.local`": lambda x: x * local.k,
        }
        for text, f in functions.items():
            with pytest.raises(tg.CaptureError, match=text):
                tg.compile(f, strict=True)(ones())


def test_large_arrays_that_python_writes():
    def build():
        table = np.zeros(90_000)

        def f(x):
            table[7] += 1
            return x * 2

        tables.append(table)
        return table, f

    def written_by_ops():
        array = np.zeros(90_000, np.float32)
        buffer = tg.from_numpy(array)

        def f(x):
            buffer.copy_(buffer + 1)
            return x + float(len(array)) * 0

        return array, f

    tables = []
    drifting_twins_agree(build, lambda table, i: None, warns="an array that it writes outside of ops")
    assert tables[0][7] == tables[1][7] == 12
    assert drifting_twins_agree(written_by_ops, lambda array, i: None).captures == 1


def test_what_only_looks_like_a_file_is_compiled():
    """An import and a file that the library itself opens are not files of the function."""

    def f(x):
        import colorsys

        return x * len(colorsys.__name__)

    sys.modules.pop("colorsys", None)
    run = tg.compile(f, strict=True)
    assert run(ones()).tolist() == run(ones()).tolist() == [8, 8]


def test_a_long_chain_of_objects():
    """Too long to follow by recursion: the calls run as written."""

    def build():
        chain = None
        for _ in range(3000):
            chain = types.SimpleNamespace(k=1.0, next=chain)

        def f(x):
            link, total = chain, 0.0
            while link is not None:
                link, total = link.next, total + link.k
            return x * total

        return chain.next.next, f

    drifting_twins_agree(build, lambda link, i: setattr(link, "k", value(i)), warns="too long a chain")
