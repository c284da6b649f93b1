"""What compile promises: when it captures, what it sees of the world outside, what it refuses, and what it leaves alone."""

from __future__ import annotations

import gc
import itertools
import linecache
import pickle
import queue
import subprocess
import sys
import threading
import warnings
import weakref
from multiprocessing.pool import ThreadPool
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_cnn as tg
from tinygrad_cnn import nn, optim
from tinygrad_cnn.core.node import Node
from tinygrad_cnn.core.tracing import deferred
from tinygrad_cnn.testing.strategies import arrays, expressions

from ..graphs import array_of

FORKS = """
import os, signal, threading
import numpy as np
import tinygrad_cnn as tg
from tinygrad_cnn.core.tracing import deferred

inside, go = threading.Event(), threading.Event()

@tg.compile
def double(x):
    inside.set()
    go.wait(60)
    return x * 2

def in_child(check):
    child = os.fork()
    if not child:
        signal.alarm(20)  # which ends a child that never returns
        try:
            check()
        except BaseException as error:
            print(repr(error), flush=True)
            os._exit(1)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0

def works():
    go.set()
    for n in (1, 2):
        assert double(np.ones(n)).tolist() == [2] * n

other = threading.Thread(target=double, args=(np.ones(1),))
other.start()
inside.wait()
in_child(works)  # while another thread is in the function
go.set()
other.join()
in_child(works)

children = []

@deferred
def fork():
    children.append(os.fork())

@tg.compile
def forks(x):
    fork()
    return x * 2

assert forks(np.ones(1)).tolist() == [2]  # by the thread that is in it: the child, too, comes out of it
if not children[-1]:
    works()
    assert forks(np.ones(1)).tolist() == [2]
    if children[-1]:
        os.waitpid(children[-1], 0)
    os._exit(0)
assert os.waitpid(children[-1], 0)[1] == 0
"""


class Interrupts:
    """Raises KeyboardInterrupt at the n-th point where CPython looks for signals: as a function begins, or as one of C's has
    ended."""

    def __init__(self, n):
        self.left = n

    def __call__(self, frame, event, argument):
        if event in ("call", "c_return") and frame.f_code.co_filename.startswith(str(Path(tg.__file__).parent)):
            self.left -= 1
            if self.left < 0:
                raise KeyboardInterrupt


def ramp(*shape, dtype=np.float32):
    return (np.arange(np.prod(shape), dtype=dtype) / 8 - 1).reshape(shape)


@pytest.fixture
def double():
    """A compiled function of an array and a Python value."""

    @tg.compile
    def double(x, factor=2):
        return x * factor

    return double


def assert_same_gradients(some, others):
    """Of two lists of Tensors."""
    for a, b in zip(some, others, strict=True):
        assert (a.grad is None) == (b.grad is None)
        if a.grad is not None:
            np.testing.assert_array_equal(a.grad, b.grad, strict=True)


@given(f=expressions(inputs=3, max_steps=12, smooth=False), data=st.data())
def test_random_graphs_leave_the_bits_of_eager(f, data):
    """Values that are used again, die at once or are never used; whatever is written in place or shares a buffer."""
    draw = [[data.draw(arrays((2, 3), low=-1.0, high=1.0)) for _ in range(3)] for _ in range(2)]

    def run(*xs):
        y = f(*xs)
        (y * y).sum().backward()
        return y, f(*xs) + y

    compiled = tg.compile(run)
    for xs in draw:
        eager, replayed = ([tg.Tensor(x, requires_grad=True) for x in xs] for _ in range(2))
        for a, b in zip(run(*eager), compiled(*replayed), strict=True):
            np.testing.assert_array_equal(a.numpy(), b.numpy(), strict=True)
        assert_same_gradients(eager, replayed)
    assert compiled.captures <= 2  # what is drawn may lie in memory in two ways


@given(values=arrays((2, 1, 6, 6), low=-1.0, high=1.0), other=arrays((2, 1, 6, 6), low=-1.0, high=1.0))
def test_windows_are_laid_out_once_for_one_image_and_anew_for_the_next_in_its_memory(values, other):
    """Small convolutions share the columns of their input: two filters and a gradient meet x, and later images of its shape
    take its place in memory."""
    w = tg.Tensor(ramp(1, 1, 3, 3, dtype=np.float64), requires_grad=True)
    v = tg.Tensor(ramp(1, 1, 3, 3, dtype=np.float64)[..., ::-1].copy(), requires_grad=True)

    def run(x):
        with tg.no_grad():
            for _ in range(4):
                x = tg.conv2d(x * 0.5, w, padding=1) + tg.conv2d(x * 0.5, w, padding=1)
        both = tg.conv2d(x, w, padding=1) * tg.conv2d(x, v, padding=1)
        w.grad = v.grad = None
        both.sum().backward()
        return both, w.grad, v.grad

    compiled = tg.compile(run)
    for x in (values, other):
        for eager, replayed in zip(run(tg.Tensor(x)), compiled(x), strict=True):
            np.testing.assert_array_equal(eager.numpy(), replayed.numpy(), strict=True)


@pytest.mark.parametrize("dtype", ["f4", "f8", ">f4"])
def test_a_dtype_counts_by_what_it_is_and_not_by_which_object(dtype):
    """Arrays that were pickled or swapped have another; sums of their rows are added up in the same way."""
    x = pickle.loads(pickle.dumps(np.random.default_rng(0).normal(size=(31, 17)).astype(dtype)))
    run = lambda x: ((x.sum(axis=0) * 1.0), x.sum(axis=0))  # noqa: E731
    for a, b in zip(run(tg.Tensor(x)), tg.compile(run)(x), strict=True):
        np.testing.assert_array_equal(a, b, strict=True)


def test_an_image_that_is_updated_is_laid_out_anew():
    w = tg.Tensor(ramp(2, 1, 3, 3))

    def stepping():
        x = tg.Tensor(ramp(2, 1, 6, 6), requires_grad=True)
        optimizer = optim.SGD([x], lr=0.1)

        def step():
            optimizer.zero_grad()
            (tg.conv2d(x, w) ** 2).sum().backward()
            optimizer.step()
            return tg.conv2d(x, w).sum()

        return step

    eager, compiled = stepping(), tg.compile(stepping())
    for _ in range(3):
        assert eager().item() == compiled().item()


class TestArguments:
    def test_one_form_is_captured_once(self, double):
        for i in range(3):
            np.testing.assert_array_equal(double(np.full(3, i, np.float32)), np.full(3, 2 * i))
        assert double.captures == 1

    @pytest.mark.parametrize(
        "other", [np.zeros((3, 1), np.float32), np.zeros(3), np.zeros((4, 2), np.float32)[:, 0][:3]]
    )
    def test_another_shape_dtype_or_memory_order_is_captured_anew(self, double, other):
        double(np.zeros(3, np.float32))
        assert double(other).dtype == other.dtype
        assert double.captures == 2

    def test_python_values_are_static(self, double):
        x = np.ones(2, np.float32)
        assert [double(x, factor=f).tolist()[0] for f in (2, 3, 2, 3.0, True)] == [2, 3, 2, 3, 1]
        assert double.captures == 4  # 3 and 3.0 are different values

    def test_tensors_arrays_and_containers_of_them(self):
        @tg.compile
        def f(pair, named, *, scale):
            assert all(isinstance(x, tg.Tensor) for x in (*pair, *named.values(), scale))
            return {"sum": pair[0] + pair[1], "rest": (named["a"] * scale, 3, None, "name")}

        x = ramp(2, 2)
        result = f([x, tg.Tensor(x)], {"a": x}, scale=np.array(2, np.float32))
        np.testing.assert_array_equal(result["sum"], 2 * x)
        np.testing.assert_array_equal(result["rest"][0], 2 * x)
        assert result["rest"][1:] == (3, None, "name")

    def test_an_argument_that_is_returned_is_itself(self):
        x = tg.ones(3)
        f = tg.compile(lambda x, w: (x, x * w))
        assert all(f(x, 2.0)[0] is x for _ in range(2))

    def test_gradients_arrive_in_leaves_that_are_arguments(self):
        f = tg.compile(lambda x: (x * x).sum().backward())
        for value in (1.0, 2.0):
            x = tg.Tensor([value], requires_grad=True)
            assert f(x) is None
            f(x)  # adds up
            assert x.grad.tolist() == [4 * value]

    def test_what_cannot_be_hashed_is_named(self, double):
        with pytest.raises(TypeError, match=r"double: argument 'factor' holds a set, which cannot be hashed"):
            double(np.ones(2), factor={1})

    @pytest.mark.parametrize("f", [
        lambda x: tg.take(x, [2, 0], axis=0),
        lambda x: tg.take_along_axis(x, [[2, 0]], axis=0),
        lambda x: tg.embedding([0, 2], x),
        lambda x: tg.cross_entropy(x, [0, 1, 1]),
        lambda x: tg.where([True, False], x, [5, 6]),
        lambda x: tg.einsum("ij,j", x, [1, 2]),
        lambda x: x > [1, 2],
    ])  # fmt: skip
    def test_a_list_beside_a_tensor_is_the_operand_that_it_is_in_eager(self, f):
        compiled, x = tg.compile(f), ramp(3, 2)
        for _ in range(3):
            assert compiled(x).tolist() == f(tg.Tensor(x)).tolist()

    def test_what_an_op_passes_through_or_takes_as_an_integer(self):
        places, x = tg.Tensor(np.array([2, 0])), ramp(3, 2)
        for f in (lambda x: tg.index_add(x, 0, places, x[:2]), lambda x: np.ldexp(x, 2) + tg.ldexp(x, np.int64(1))):
            compiled = tg.compile(f)
            for _ in range(3):
                assert compiled(x).tolist() == f(tg.Tensor(x)).tolist()

    def test_a_result_with_a_graph_cannot_be_an_argument(self, double):
        x = tg.ones(2, requires_grad=True)
        with pytest.raises(TypeError, match=r"argument 0 is the result of `mul`.*detach"):
            double(x * 1)
        with tg.no_grad():
            assert double(x * 1).tolist() == [2, 2]

    def test_few_programs_are_kept_and_many_captures_noticed(self):
        f = tg.compile(lambda x: x + 1, cache_size=2)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            for n in range(1, 20):
                f(np.zeros(n))
        assert len(f.programs) == 2
        assert ["captured 16 times" in str(w.message) for w in caught] == [True]
        assert caught[0].filename == __file__
        assert f.captures == 19
        f(np.zeros(18))
        assert f.captures == 19

    @pytest.mark.parametrize("size", [0, -1, 1.5, "8"])
    def test_cache_size_is_checked(self, size):
        with pytest.raises(ValueError, match=r"`cache_size` is .*; it must be a whole number of at least 1"):
            tg.compile(lambda x: x, cache_size=size)

    def test_as_a_method(self):
        class Model:
            def __init__(self, w):
                self.w = w

            @tg.compile
            def __call__(self, x):
                return x * self.w

        a, b = Model(2.0), Model(3.0)
        assert [m(np.ones(1)).item() for m in (a, b, a)] == [2, 3, 2]


class TestTheWorldOutside:
    def test_arrays_and_parameters_are_referred_to(self):
        w, table = tg.ones(2, requires_grad=True), np.ones(2, np.float32)
        f = tg.compile(lambda x: x * w + table)
        assert f(ramp(2)).tolist() == (ramp(2) + 1).tolist()
        w.copy_([2, 3])
        table[:] = 5
        assert f(ramp(2)).tolist() == (ramp(2) * [2, 3] + 5).tolist()
        assert f.captures == 1

    def test_learning_rate_and_loaded_states(self):
        w = tg.zeros(1, requires_grad=True)
        optimizer = optim.SGD([w], lr=1.0, momentum=0.5)

        @tg.compile
        def step():
            optimizer.zero_grad()
            w.sum().backward()
            optimizer.step()

        step()
        saved = optimizer.state_dict()
        step()
        assert w.item() == -2.5
        optimizer.load_state_dict(saved)
        optimizer.param_groups[0]["lr"] = 0.0
        step()
        assert w.item() == -2.5
        optimizer.param_groups[0]["lr"] = 2.0
        step()
        assert w.item() == -2.5 - 2 * 1.75
        assert step.captures == 1

    def test_a_further_parameter_group(self):
        a, b = tg.zeros(1, requires_grad=True), tg.zeros(1, requires_grad=True)
        optimizer = optim.SGD([a], lr=1.0)

        @tg.compile
        def step():
            optimizer.zero_grad()
            (a + b).sum().backward()
            optimizer.step()

        step()
        optimizer.add_param_group({"params": [b]})
        b.grad = None
        step()
        assert (a.item(), b.item()) == (-2, -1)

    def test_train_and_eval(self):
        model = nn.Sequential(nn.Dropout(0.5), nn.BatchNorm1d(4))
        f = tg.compile(lambda x: model(x))
        x = ramp(8, 4)
        f(x)
        model.eval()
        mean = model[1].running_mean.numpy().copy()
        np.testing.assert_array_equal(f(x).numpy(), model(tg.Tensor(x)).numpy())
        np.testing.assert_array_equal(model[1].running_mean, mean)
        model.train()
        f(x)
        assert f.captures == 2
        assert not np.array_equal(model[1].running_mean, mean)

    def test_freezing_a_parameter(self):
        a, b = tg.ones(1, requires_grad=True), tg.ones(1, requires_grad=True)

        @tg.compile
        def step():
            a.zero_grad()
            b.zero_grad()
            (a * b).sum().backward()

        step()
        b.requires_grad = False
        b.grad = None
        step()
        assert a.grad.item() == 1
        assert b.grad is None

    def test_recording_or_not(self):
        w = tg.ones(1, requires_grad=True)

        @tg.compile
        def f():
            return (w * 2).requires_grad

        assert f() is True
        with tg.no_grad():
            assert f() is False

    def test_gradients_add_up_as_in_eager(self):
        w = tg.ones(1, requires_grad=True)
        f = tg.compile(lambda x: (w * x).sum().backward())
        for total in (1, 2, 3):
            f(np.ones(1, np.float32))
            assert w.grad.item() == total
        w.grad = tg.Tensor([10.0])
        f(np.ones(1, np.float32))
        assert w.grad.item() == 11
        w.zero_grad()
        f(np.ones(1, np.float32))
        assert w.grad.item() == 1

    def test_new_tensors_are_new_in_every_call(self):
        @tg.compile
        def f(x):
            total = tg.zeros(2)
            total.copy_(total + x)
            return total + tg.Tensor([1.0, 2.0])

        assert [f(np.ones(2, np.float32)).tolist() for _ in range(2)] == [[2, 3], [2, 3]]

    def test_draws_go_on_as_in_eager(self):
        def f():
            return tg.rand(3), tg.randn(2), tg.dropout(tg.ones(8), 0.5)

        compiled = tg.compile(f)
        for run in (f, compiled):
            tg.manual_seed(5)
            results = [[a.tolist() for a in run()] for _ in range(3)]
            if run is f:
                expected = results
        assert results == expected

    def test_a_generator_of_one_s_own(self):
        rng = np.random.default_rng(1)
        f = tg.compile(lambda: tg.rand(2, rng=rng))
        other = np.random.default_rng(1)
        for _ in range(3):
            np.testing.assert_array_equal(f(), other.random(2, np.float32))


class TestResults:
    def test_stay_as_they_were(self):
        f = tg.compile(lambda x: (x * 2, x.sum(), (x * 2).reshape(-1)))
        first = f(ramp(2, 2))
        before = [a.numpy().copy() for a in first]
        f(ramp(2, 2) + 5)
        for a, b in zip(first, before, strict=True):
            np.testing.assert_array_equal(a, b)

    def test_lie_in_memory_as_in_eager(self):
        def double(x):
            return x * 2

        for x in (ramp(2, 3), np.asfortranarray(ramp(2, 3)), ramp(64, 64).T):
            compiled = tg.compile(double)
            for _ in range(2):
                assert compiled(x).numpy().strides == double(tg.from_numpy(x)).numpy().strides

    def test_have_no_graph_and_keep_none_alive(self):
        w = tg.ones(3, requires_grad=True)
        gc.collect()
        nodes = sum(isinstance(o, Node) for o in gc.get_objects())
        f = tg.compile(lambda x: ((w * x).exp().sum(), w * 2))
        loss, twice = f(ramp(3))
        assert not loss.requires_grad
        assert not twice.requires_grad
        gc.collect()
        assert sum(isinstance(o, Node) for o in gc.get_objects()) == nodes

    def test_activations_of_the_capture_are_freed(self):
        arrays = queue.SimpleQueue()  # which compile does not look into
        w = tg.ones(3, requires_grad=True)

        def f(x):
            y = (w * x).exp()
            arrays.put(weakref.ref(array_of(y)))
            return y.sum()

        tg.compile(f)(ramp(3))
        assert arrays.get()() is None

    @pytest.mark.parametrize("result", [{1, 2}, object(), np.ones(2)])
    def test_others_are_refused(self, result):
        with pytest.raises(TypeError, match=r"returns a (set|object|ndarray).*; it must return Tensors, plain Python"):
            tg.compile(lambda x: result)(np.ones(1))

    def test_the_plan_takes_less_than_half(self):
        model = nn.Sequential(*(layer for _ in range(6) for layer in (nn.Linear(64, 64), nn.Tanh())))
        f = tg.compile(lambda x: model(x).square().mean().backward())
        program = f.program(ramp(256, 64))
        assert 0 < program.peak < program.total / 2
        text = program.describe()
        assert "matmul" in text
        assert "float32 (256, 64)" in text
        assert text.count("\n") == len(program.lines)


class TestRefusals:
    @pytest.mark.parametrize(
        "read",
        [
            lambda x: x if x.sum() > 0 else -x,
            lambda x: x * float(x.sum()),
            lambda x: x * x.sum().item(),
            lambda x: x + x.numpy(),
            lambda x: x + np.asarray(x),
            lambda x: x * x.tolist()[0],
            lambda x: x * (1.0 in x),
            lambda x: x[int(x.sum())],
        ],
    )
    def test_reading_a_value(self, read):
        with pytest.raises(tg.CaptureError, match=r"reads the value of a Tensor in Python.*where, return the Tensor"):
            tg.compile(read)(np.ones(2, np.float32))

    def test_reading_a_parameter(self):
        w = tg.ones(1, requires_grad=True)
        with pytest.raises(tg.CaptureError, match="reads the value"):
            tg.compile(lambda x: x * w.item())(np.ones(1))

    def test_keeping_a_tensor(self):
        kept = []

        def f(x):
            y = x * 2
            kept.append(y)
            return y

        with pytest.raises(tg.CaptureError, match=r"`f` keeps a Tensor that it computed.*return it instead"):
            tg.compile(f)(np.ones(2))

    @pytest.mark.parametrize("start", [np.int64(0), np.zeros(2, np.float32)])
    def test_rebinding_a_buffer_names_it_and_the_remedy_works(self, start):
        class Counter(nn.Module):
            def __init__(self):
                self.register_buffer("n", tg.Tensor(start))

            def forward(self, x):
                self.n += 1
                return x * self.n

        class Mended(Counter):
            def forward(self, x):
                self.n.copy_(self.n + 1)
                return x * self.n

        counter, eager, mended = Counter(), Counter(), Mended()
        with pytest.raises(tg.CaptureError, match=r"`n` of Counter; .*: self\.n\.copy_\(self\.n \+ 1\)"):
            tg.compile(lambda x: counter(x))(np.ones(2, np.float32))
        step = tg.compile(lambda x: mended(x))
        for _ in range(4):
            x = tg.Tensor(np.random.default_rng(0).normal(size=2), dtype=np.float32)
            np.testing.assert_array_equal(step(x).numpy(), eager(x).numpy())
            np.testing.assert_array_equal(mended.n.numpy(), eager.n.numpy())
        assert step.captures == 1

    def test_rebinding_a_buffer_before_another_is_written(self):
        class Counter(nn.Module):
            def __init__(self):
                self.register_buffer("n", tg.Tensor(0.0))
                self.register_buffer("total", tg.Tensor(0.0))

            def forward(self, x):
                self.n += 1
                self.total.copy_(self.total + x.sum())
                return x * self.n

        with pytest.raises(tg.CaptureError, match=r"`n` of Counter; .*: self\.n\.copy_\(self\.n \+ 1\)"):
            tg.compile(Counter())(np.ones(2, np.float32))

    def test_a_graph_from_outside(self):
        w = tg.ones(2, requires_grad=True)
        y = w * 2
        with pytest.raises(tg.CaptureError, match=r"computed outside the function and requires a gradient"):
            tg.compile(lambda x: (x * y).sum())(np.ones(2, np.float32))

    def test_a_parameter_passed_and_referred_to(self):
        w = tg.ones(2, requires_grad=True)
        optimizer = optim.SGD([w], lr=1.0)

        def step(w, x):
            optimizer.zero_grad()
            (w * x).sum().backward()
            optimizer.step()

        with pytest.raises(tg.CaptureError, match=r"do not pass parameters, refer to them"):
            tg.compile(step)(w, np.ones(2, np.float32))
        assert w.tolist() == [1, 1]

    def test_shapes_that_depend_on_values(self):
        f = tg.compile(lambda x: x[x > 0] * 2)
        assert f(np.array([1.0, -1.0, 1.0])).tolist() == [2, 2]
        with pytest.raises(tg.CaptureError, match=r"shape \(1,\) where the captured run made \(2,\).*Boolean index"):
            f(np.array([1.0, -1.0, -1.0]))

    def test_labels_are_checked_in_every_call(self):
        f = tg.compile(lambda x, y: tg.cross_entropy(x, y))
        f(np.ones((2, 3)), np.array([0, 2]))
        with pytest.raises((ValueError, IndexError), match="3"):
            f(np.ones((2, 3)), np.array([0, 3]))
        g = tg.compile(lambda x, i: tg.index_add(x, 0, i, tg.ones(2, 2, dtype=np.float64)))
        g(np.ones((2, 2)), np.array([0, 1]))
        with pytest.raises(IndexError, match=r"index_add: `index` holds 2"):
            g(np.ones((2, 2)), np.array([0, 2]))


class TestFaults:
    def test_a_failed_capture_changes_nothing(self):
        tg.manual_seed(0)
        model = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2), nn.Dropout(0.5))
        optimizer = optim.Adam(model.parameters(), lr=0.1)
        schedule = optim.StepLR(optimizer, 1)
        before = [model.state_dict(), optimizer.state_dict(), schedule.state_dict(), tg.get_rng_state()]
        fail = True

        @tg.compile
        def step(x):
            optimizer.zero_grad()
            loss = model(x).sum()
            loss.backward()
            optimizer.step()
            schedule.step()
            if fail:
                raise KeyError("halfway")
            return loss

        with pytest.raises(KeyError, match="halfway"):
            step(ramp(4, 3))
        after = [model.state_dict(), optimizer.state_dict(), schedule.state_dict(), tg.get_rng_state()]
        np.testing.assert_equal(after, before)
        assert all(p.grad is None for p in model.parameters())
        fail = False
        step(ramp(4, 3))
        assert optimizer.state_dict()["state"][0]["step"] == 1

    def test_calling_itself_is_refused(self):
        @deferred
        def again():
            f(np.ones(1))

        @tg.compile
        def f(x):
            again()
            return x + 1

        with pytest.raises(RuntimeError, match=r"`f` calls itself while it runs"):
            f(np.ones(1))

    def test_one_inside_another_becomes_part_of_it(self):
        inner = tg.compile(lambda x: x.exp())
        outer = tg.compile(lambda x: inner(x).sum())
        np.testing.assert_array_equal(outer(ramp(3)), np.exp(ramp(3)).sum())
        assert (inner.captures, outer.captures) == (0, 1)

    def test_threads_take_turns(self):
        f = tg.compile(lambda x: ((x * 2).exp() + x).sum())
        xs = [ramp(500) * i / 64 for i in range(8)]
        expected = [f(x).item() for x in xs]
        wrong = []

        def work(i):
            wrong.extend(i for _ in range(50) if f(xs[i]).item() != expected[i])

        threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not wrong

    def test_the_child_of_a_fork_does_not_wait_for_the_threads_of_its_parent(self):
        run = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", FORKS],
            capture_output=True, text=True, cwd=Path(tg.__file__).parents[1], timeout=120, check=False,
        )  # fmt: skip
        assert run.returncode == 0, run.stdout + run.stderr

    def test_an_interrupt_anywhere_leaves_the_function_usable(self):
        x = ramp(3, 4)
        for size in (None, 200_000):  # of a small program, and of one for which BLAS is set
            x = x if size is None else ramp(size) / 1e5
            f = tg.compile(lambda x: (x * 2).exp().sum())
            expected = f(x).item()
            for n in itertools.count():
                interrupts, before = Interrupts(n), sys.getprofile()
                sys.setprofile(interrupts)
                try:
                    f(x)
                except KeyboardInterrupt:
                    pass
                finally:
                    sys.setprofile(before)
                other = ThreadPool(1)  # a lock of this thread's own would let this thread in
                assert other.apply_async(f, (x,)).get(timeout=20).item() == expected
                other.terminate()
                if interrupts.left >= 0:
                    break
            assert n > 5

    def test_the_source_of_a_program_is_kept_for_as_long_as_it_can_run(self):
        def sources():
            gc.collect()
            return [name for name in linecache.cache if name.startswith("<compiled program")]

        before = sources()
        f = tg.compile(lambda x: x + 1, cache_size=2)
        for n in range(1, 8):
            f(np.zeros(n))
        assert len(sources()) == len(before) + 2
        for program in f.programs:
            name = program.run.__code__.co_filename
            assert "".join(linecache.getlines(name)).count("def program(x0):") == 1
        del program
        run = f.programs[-1].run
        f.clear()
        assert sources() == [*before, run.__code__.co_filename]
        del run, f
        assert sources() == before

    def test_anomaly_detection_sees_every_op(self):
        f = tg.compile(lambda x: x.log().sum())
        f(np.ones(2))
        with tg.detect_anomaly(), pytest.raises(tg.AnomalyError, match="log"), np.errstate(all="ignore"):
            f(-np.ones(2))

    def test_an_error_in_a_replay_leaves_the_program_usable(self):
        f = tg.compile(lambda x, i: x[i])
        assert f(ramp(3), np.array([0])).item() == -1
        with pytest.raises(IndexError):
            f(ramp(3), np.array([7]))
        assert f(ramp(3), np.array([1])).item() == -0.875
