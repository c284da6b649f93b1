"""What compile promises: a call is the plain call, whatever the function does, and memory that somebody holds is not
overwritten."""

from __future__ import annotations

import contextvars
import gc
import itertools
import pickle
import subprocess
import sys
import threading
import warnings
import weakref
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_cnn as tg
from tinygrad_cnn import nn, optim
from tinygrad_cnn.testing.strategies import arrays, expressions

from ..graphs import array_of

FORKS = """
import os, signal, threading
import numpy as np
import tinygrad_cnn as tg

inside, go = threading.Event(), threading.Event()
children = []

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

@tg.compile
def forks(x):
    children.append(os.fork())
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
        if event in ("call", "c_return") and frame.f_code.co_filename.startswith((str(Path(tg.__file__).parent), "<")):
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
    """Values that are used again, die at once or are never used; whatever is written in place or shares memory."""
    draw = [[data.draw(arrays((2, 3), low=-1.0, high=1.0)) for _ in range(3)] for _ in range(2)]

    def run(*xs):
        y = f(*xs)
        (y * y).sum().backward()
        return y, f(*xs) + y

    compiled = tg.compile(run)
    for xs in [*draw, *draw, draw[0]]:
        eager, others = ([tg.Tensor(x, requires_grad=True) for x in xs] for _ in range(2))
        for a, b in zip(run(*eager), compiled(*others), strict=True):
            np.testing.assert_array_equal(a.numpy(), b.numpy(), strict=True)
        assert_same_gradients(eager, others)


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
    for x in (values, other, values, other):
        for eager, later in zip(run(tg.Tensor(x)), compiled(x), strict=True):
            np.testing.assert_array_equal(eager.numpy(), later.numpy(), strict=True)


@pytest.mark.parametrize("dtype", ["f4", "f8", ">f4"])
def test_a_dtype_counts_by_what_it_is_and_not_by_which_object(dtype):
    """Arrays that were pickled or swapped have another; sums of their rows are added up in the same way."""
    x = pickle.loads(pickle.dumps(np.random.default_rng(0).normal(size=(31, 17)).astype(dtype)))
    run = lambda x: ((x.sum(axis=0) * 1.0), x.sum(axis=0))  # noqa: E731
    compiled = tg.compile(run)
    for _ in range(3):
        for a, b in zip(run(tg.Tensor(x)), compiled(x), strict=True):
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
    for _ in range(5):
        assert eager().item() == compiled().item()


@pytest.mark.parametrize("learned", ["image", "both"])
def test_an_image_that_is_learned_is_laid_out_in_each_call(learned):
    """In the call after the first plain ones, the convolution is a task already, and the backward walk is not."""

    def gradients(compiles):
        x, w = tg.Tensor(ramp(2, 3, 4, 5), requires_grad=True), tg.Tensor(ramp(4, 3, 3, 3), requires_grad=True)
        optimizer = tg.optim.SGD([x] if learned == "image" else [x, w], lr=0.01)

        def step():
            tg.conv2d(x, w, padding=1).sum().backward()
            found = [x.grad.numpy().copy(), w.grad.numpy().copy()]
            optimizer.step()
            x.grad = w.grad = None
            return found

        function = tg.compile(step) if compiles else step
        return [function() for _ in range(8)]

    for ours, expected in zip(gradients(True), gradients(False), strict=True):
        for a, b in zip(ours, expected, strict=True):
            np.testing.assert_array_equal(a, b, strict=True)


def test_columns_of_an_earlier_call_are_not_taken_for_those_of_this_one():
    """A kept output makes its convolution plain, so that no task lays out the image for the gradient in the filters."""

    def stepping():
        rng, w = np.random.default_rng(0), tg.Tensor(ramp(16, 8, 3, 3), requires_grad=True)
        kept = []

        def step():
            y = tg.conv2d(tg.Tensor(rng.normal(size=(2, 8, 6, 6)).astype(np.float32)), w, padding=1)
            kept.append(y)
            w.grad = None
            tg.gelu(y).sum().backward()
            return w.grad.numpy()

        return step, kept

    (eager, held), (function, kept) = stepping(), stepping()
    compiled = tg.compile(function)
    for i in range(9):
        np.testing.assert_array_equal(compiled(), eager(), strict=True)
        if i in (2, 3):  # so that the task runs once
            held.clear()
            kept.clear()


def test_a_walk_to_a_leaf_that_the_output_does_not_depend_on():
    w, other = (tg.Tensor([1.0, 2.0], requires_grad=True) for _ in range(2))

    @tg.compile
    def step(x):
        y, _ = x * w, x * other
        return tg.gradients(y, [other], tg.ones(2), allow_unused=True)

    for _ in range(12):
        assert step(tg.ones(2)) == (None,)


def test_an_incoming_gradient_keeps_its_memory_order():
    """Kernels may compute the same gradient, in another order of memory or with gaps, with other last digits."""
    whole = np.random.default_rng(0).normal(size=(2, 464, 15))
    x = tg.Tensor(whole[0, ::2].copy(), requires_grad=True)
    given = [whole[1, ::2], whole[1, ::2].copy(), np.asfortranarray(whole[1, ::2]), whole[1, ::-2]]

    def step(g):
        x.grad = None
        tg.softmax(x, axis=1).backward(g)
        return x.grad.numpy()

    for turns in (given[:1], given[1:2], given[2:3], given):
        compiled = tg.compile(lambda i, turns=turns: step(turns[i]))
        for i in range(20):
            np.testing.assert_array_equal(compiled(i % len(turns)), step(turns[i % len(turns)]), strict=True)


def test_a_large_view_of_a_small_value_is_there_until_its_last_use():
    """Its Tensor is kept with its array, which must not be given up as those of other large values are."""
    x = tg.Tensor(ramp(16, 1, 5), requires_grad=True)

    def step():
        x.grad = None
        tg.cumsum(tg.broadcast_to(tg.exp(x), (16, 200, 5)), axis=0).sum().backward()
        return x.grad.numpy()

    compiled = tg.compile(step)
    for _ in range(9):
        np.testing.assert_array_equal(compiled(), step(), strict=True)


class TestArguments:
    def test_python_values(self, double):
        x = np.ones(2, np.float32)
        found = [double(x, factor=f) for f in (2, 3, 2, 3.0, True, np.float64(2.5), 2)]
        assert [y.tolist()[0] for y in found] == [2, 3, 2, 3, 1, 2.5, 2]
        assert {y.dtype for y in found} == {np.dtype(np.float32)}

    def test_tensors_arrays_and_containers_of_them(self):
        @tg.compile
        def f(pair, named, *, scale):
            assert all(isinstance(x, tg.Tensor) for x in (*pair, *named.values(), scale))
            return {"sum": pair[0] + pair[1], "rest": (named["a"] * scale, 3, None, "name")}

        x = ramp(2, 2)
        for _ in range(3):
            result = f([x, tg.Tensor(x)], {"a": x}, scale=np.array(2, np.float32))
            np.testing.assert_array_equal(result["sum"], 2 * x)
            np.testing.assert_array_equal(result["rest"][0], 2 * x)
            assert result["rest"][1:] == (3, None, "name")

    def test_anything_else_is_passed_on(self):
        f = tg.compile(lambda x, *rest, **more: (rest, more))
        things = [{1, 2}, object(), "text", np.array(["a"]), [None]]
        rest, more = f(np.ones(1), *things, key=things)
        assert [a is b for a, b in zip(rest, things, strict=True)] == [True] * 5
        assert more["key"] is things

    def test_lists_and_dicts_that_the_function_changes(self):
        @tg.compile
        def f(items, named, more):
            items.append(items[0] * 2)
            items[1] = "other"
            named["sum"] = named.pop("a") + 1
            more["c"] = more.pop("a")

        for _ in range(4):
            x = ramp(3)
            items, named = [x, 5], {"a": x, "b": 1}
            more = {"a": x}
            f(items, named, more)
            assert more == {"c": x}
            assert items[0] is x
            assert items[1] == "other"
            assert items[2].tolist() == (x * 2).tolist()
            assert list(named) == ["b", "sum"]

    @pytest.mark.parametrize("seed", range(20))
    def test_changes_through_several_names_of_nested_lists_and_dicts(self, seed):
        """Random changes, through the argument and through another name, leave what the plain call leaves."""

        def run(wrap):
            rng = np.random.default_rng(seed)
            inner = [ramp(2), 1.0]
            data: Any = [ramp(3), inner, {"a": ramp(2), "again": inner}, (ramp(1), [ramp(2)]), inner]

            def change(tree, n):
                if isinstance(tree, list):
                    kind = rng.integers(4)
                    if kind == 0:
                        tree.append(n)
                    elif kind == 1 and len(tree) > 2:
                        del tree[rng.integers(len(tree))]
                    elif kind == 2:
                        tree.insert(0, ramp(2) * n)
                elif isinstance(tree, dict):
                    tree[f"k{n}"] = n
                    if rng.integers(2):
                        tree.pop("a", None)

            def f(given, more):
                for n in range(6):
                    source = (given, data)[rng.integers(2)]
                    change((source, inner, more)[rng.integers(3)], n)
                return len(given), len(data), len(inner), given is data

            f = wrap(f)
            sizes = [f(data, {"more": ramp(2), "data": data}) for _ in range(4)]
            return sizes, repr(data), repr(inner)

        assert run(tg.compile) == run(lambda f: f)

    def test_a_coroutine_keeps_the_changes_it_makes(self):
        data = [ramp(2)]

        @tg.compile
        async def f(items, x):
            items.append(tg.square(x).sum().item())
            return items is data

        for n in range(3):
            with pytest.raises(StopIteration) as end:
                f(data, ramp(2)).send(None)
            assert end.value.value
            assert len(data) == n + 2
        assert data[0].__class__ is np.ndarray

    def test_an_argument_that_is_returned_is_itself(self):
        x = tg.ones(3)
        f = tg.compile(lambda x, w: (x, x * w))
        assert all(f(x, 2.0)[0] is x for _ in range(3))

    def test_gradients_arrive_in_leaves_that_are_arguments(self):
        f = tg.compile(lambda x: (x * x).sum().backward())
        for value in (1.0, 2.0, 3.0, 4.0):
            x = tg.Tensor([value], requires_grad=True)
            assert f(x) is None
            f(x)  # adds up
            assert x.grad.tolist() == [4 * value]

    def test_one_leaf_in_the_place_of_two(self):
        f = tg.compile(lambda x, y: (x * y).sum().backward())
        for _ in range(4):
            x, y = tg.Tensor([2.0], requires_grad=True), tg.Tensor([3.0], requires_grad=True)
            f(x, y)
            assert (x.grad.item(), y.grad.item()) == (3, 2)
            z = tg.Tensor([5.0], requires_grad=True)
            f(z, z)
            assert z.grad.item() == 10

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

    def test_a_graph_from_outside_goes_on(self, double):
        for value in (1.0, 2.0, 3.0):
            w = tg.Tensor([value], requires_grad=True)
            double(w * w).sum().backward()
            assert w.grad.item() == 4 * value

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

    def test_a_module(self):
        model = tg.compile(nn.Linear(2, 3))
        assert [p.shape for p in model.parameters()] == [(3, 2), (3,)]
        for _ in range(3):
            model(ramp(4, 2)).sum().backward()
        assert next(iter(model.parameters())).grad.tolist() == [[3.0 * x for x in ramp(4, 2).sum(axis=0)]] * 3


@tg.op
def scaled(a, *, by):
    """y = a by."""
    return a * by


scaled.vjp(a=lambda g, by: g * by)


class TestNumbers:
    """A number is what it is in the call: as an operand, as a parameter of an op, and in the rules of the backward walk."""

    @pytest.mark.parametrize("f", [lambda x, n: x * n, lambda x, n: scaled(x, by=n), lambda x, n: x**n])
    @pytest.mark.parametrize("kind", [float, np.float64, np.float32])
    def test_it_differs_after_many_calls_in_which_it_did_not(self, f, kind):
        def step(x, n):
            y = f(x, n)
            y.sum().backward()
            return y

        compiled = tg.compile(step)
        for n in (2, 2, 2, 2, 3, 3, 4, 2, 2):
            x, same = (tg.Tensor(np.array([1.5, 2.5]), requires_grad=True) for _ in range(2))
            assert compiled(x, kind(n)).tolist() == step(same, kind(n)).tolist()
            assert x.grad.tolist() == same.grad.tolist()

    def test_zero_has_a_sign(self):
        for f in (lambda x, n: x * n, lambda x, n: scaled(x, by=n)):
            compiled = tg.compile(f)
            for n in (0.0, 0.0, 0.0, -0.0, 0.0, -0.0):
                assert np.signbit(compiled(tg.ones(2, requires_grad=True), n).numpy()).all() == np.signbit(n)


class TestTheWorldOutside:
    def test_arrays_and_parameters_have_their_values_of_the_call(self):
        w, table = tg.ones(2, requires_grad=True), np.ones(2, np.float32)
        f = tg.compile(lambda x: x * w + table)
        for _ in range(3):
            assert f(ramp(2)).tolist() == (ramp(2) * w.numpy() + table).tolist()
        w.copy_([2, 3])
        table[:] = 5
        assert f(ramp(2)).tolist() == (ramp(2) * [2, 3] + 5).tolist()

    @pytest.mark.parametrize("seed", range(12))
    def test_numpy_writes_between_forward_and_backward(self, seed):
        """Both modes have the gradient of the values at the time of the backward pass."""

        def run(wrap):
            rng = np.random.default_rng(seed)
            a = rng.normal(size=(2, 1, 6, 6)).astype(np.float32)
            x = tg.from_numpy(a)
            w = tg.Tensor(rng.normal(size=(3, 1, 3, 3)).astype(np.float32), requires_grad=True)
            v = tg.Tensor(rng.normal(size=(2, 1, 6, 6)).astype(np.float32), requires_grad=True)
            kind = rng.integers(3)

            def f(n):
                w.grad = v.grad = None
                loss = tg.square(tg.conv2d(x, w)).sum() if kind == 0 else tg.exp(v * x).sum()
                loss = loss + (tg.conv2d(v * x, w) * 2).sum() if kind == 2 else loss
                if n % 2:
                    a[...] = rng.normal(size=a.shape)
                loss.backward()
                return [None if p.grad is None else p.grad.numpy().tobytes() for p in (w, v)]

            f = wrap(f)
            return [f(n) for n in range(8)]

        assert run(tg.compile) == run(lambda f: f)

    def test_an_array_that_is_given_another_shape(self):
        table = np.arange(4.0)
        f = tg.compile(lambda x: (x * table).sum(axis=0))
        for shape in ((4,), (4,), (4,), (1, 4), (4, 1), (4,)):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # of NumPy 2.5
                table.shape = shape
            assert f(np.ones(4)).tolist() == (np.ones(4) * table).sum(axis=0).tolist()

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
        for _ in range(3):
            np.testing.assert_array_equal(f(x).numpy(), model(tg.Tensor(x)).numpy())
        np.testing.assert_array_equal(model[1].running_mean, mean)
        model.train()
        f(x)
        assert not np.array_equal(model[1].running_mean, mean)

    def test_freezing_a_parameter(self):
        a, b = tg.ones(1, requires_grad=True), tg.ones(1, requires_grad=True)

        @tg.compile
        def step():
            a.zero_grad()
            b.zero_grad()
            (a * b).sum().backward()

        for frozen in (False, False, False, True, True, True, False, False):
            b.requires_grad = not frozen
            step()
            assert a.grad.item() == 1
            assert (b.grad is None) is frozen

    def test_recording_or_not(self):
        w = tg.ones(1, requires_grad=True)

        @tg.compile
        def f():
            return (w * 2).requires_grad

        for _ in range(3):
            assert f() is True
            with tg.no_grad():
                assert f() is False

    def test_gradients_add_up_as_in_eager(self):
        w = tg.ones(1, requires_grad=True)
        f = tg.compile(lambda x: (w * x).sum().backward())
        for total in (1, 2, 3, 4, 5):
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

        assert [f(np.ones(2, np.float32)).tolist() for _ in range(4)] == [[2, 3]] * 4

    def test_draws_go_on_as_in_eager(self):
        def f():
            return tg.rand(3), tg.randn(2), tg.dropout(tg.ones(8), 0.5)

        compiled = tg.compile(f)
        for run in (f, compiled):
            tg.manual_seed(5)
            results = [[a.tolist() for a in run()] for _ in range(4)]
            if run is f:
                expected = results
        assert results == expected

    @pytest.mark.skipif(sys.platform == "emscripten", reason="WebAssembly has no floating-point flags")
    def test_errstate_is_that_of_the_call(self):
        f = tg.compile(lambda x: x.log())
        for _ in range(3):
            with np.errstate(divide="ignore"):
                assert f(np.zeros(2)).tolist() == [-np.inf, -np.inf]
        with np.errstate(divide="raise"), pytest.raises(FloatingPointError):
            f(np.zeros(2))

    def test_a_rule_of_the_user_runs_in_every_call(self):
        calls = []

        @tg.op(elementwise=True)
        def scaled(a):
            calls.append("value")
            return a * 2

        scaled.vjp(a=lambda g: calls.append("gradient") or g * len(calls))
        w = tg.ones(2, requires_grad=True)

        @tg.compile
        def step():
            w.zero_grad()
            scaled(w * 1.0).sum().backward()
            return w.grad.tolist()

        assert [step() for _ in range(5)] == [[2.0 * n] * 2 for n in range(1, 6)]
        assert calls == ["value", "gradient"] * 5

    def test_a_hook_runs_in_every_call(self):
        w, seen = tg.ones(2, requires_grad=True), []

        @tg.compile
        def step():
            y = w * 3.0
            y.register_hook(lambda g: seen.append(g.tolist()))
            y.sum().backward()

        for _ in range(4):
            step()
        assert seen == [[1, 1]] * 4

    def test_a_kernel_that_is_attached_later(self):
        @tg.op(elementwise=True)
        def plus_one(a, *, out=None):
            return np.add(a, 1, out=out)

        f = tg.compile(lambda x: plus_one(x * 1.0))
        for _ in range(3):
            assert f(np.ones(2)).tolist() == [2, 2]
        tg.core.acceleration.accelerate(plus_one, lambda out, a: lambda: np.add(a, 1.5, out=out))
        assert f(np.ones(2)).tolist() == [2.5, 2.5]


class TestWhatIsKept:
    """Nothing that the caller holds changes in a later call."""

    @pytest.mark.parametrize("size", [2, 400, 4000])
    @pytest.mark.parametrize("keep", [
        lambda x, y, z, w: y,
        lambda x, y, z, w: y.detach(),
        lambda x, y, z, w: y.numpy(),
        lambda x, y, z, w: y.numpy()[1:],
        lambda x, y, z, w: y[1:],
        lambda x, y, z, w: np.asarray(y.detach()),
        lambda x, y, z, w: memoryview(y.numpy()),
        lambda x, y, z, w: z.sum(),
        lambda x, y, z, w: w.grad,
        lambda x, y, z, w: w.grad.numpy()[::2],
        lambda x, y, z, w: w.grad[1:],
        lambda x, y, z, w: z[1:].detach(),
        lambda x, y, z, w: tg.from_dlpack(z.detach()),
    ])  # fmt: skip
    def test_values_views_and_gradients(self, keep, size):
        w = tg.Tensor(ramp(size) / size, requires_grad=True)
        kept = []

        @tg.compile
        def step(x):
            w.zero_grad()
            y = w * x
            z = y.exp().reshape(-1)
            z.sum().backward(retain_graph=True)
            kept.append(keep(x, y, z, w))

        before = []
        for n in range(6):
            step(np.full(size, n / 4, np.float32))
            before.append(np.array(kept[-1].detach() if isinstance(kept[-1], tg.Tensor) else kept[-1]))
            for now, then in zip(kept, before, strict=True):
                np.testing.assert_array_equal(np.array(now.detach() if isinstance(now, tg.Tensor) else now), then)

    def test_what_a_weak_reference_names(self):
        """A later Tensor is another one, so that a cache does not take it for an earlier one."""
        w, cache = tg.ones(3, requires_grad=True), []

        def cached(t):
            known = [values for ref, values in cache if ref() is t]
            if not known:
                cache.append((weakref.ref(t), t.detach().tolist()))
            return known[0] if known else cache[-1][1]

        @tg.compile
        def step(x):
            w.zero_grad()
            y = w * x
            values = cached(y)
            (y * 2).sum().backward()
            return values, cached(w.grad)

        for n in range(6):
            assert step(np.full(3, n, np.float32)) == ([float(n)] * 3, [2.0 * n] * 3)
            alive = [ref() is w.grad for ref, _ in cache if ref() is not None]
            assert alive == [True]  # a value dies with its call, also where somebody asks for it

    def test_leaves_that_are_made_of_results(self):
        """A result without a graph may become a leaf, and have a gradient."""

        @tg.compile
        def step(x):
            with tg.no_grad():
                y, z = x * 2, x * 3
            before = y.grad, y.requires_grad, z.grad
            z.grad = z * 2
            y.requires_grad = True
            (y * y).sum().backward()
            grad = y.grad
            y.requires_grad = False
            return before, grad.tolist()

        for n in range(6):
            assert step(np.full(2, n, np.float32)) == ((None, False, None), [4.0 * n] * 2)

    def test_arrays_that_an_op_of_the_user_keeps(self):
        kept = []

        @tg.op
        def keeping(a):
            kept.append(a)
            return a[::-1]

        keeping.vjp(a=lambda g: g[::-1])
        w = tg.ones(3, requires_grad=True)
        step = tg.compile(lambda x: keeping(w * x).sum().backward())
        for n in range(6):
            step(np.full(3, n, np.float32))
        assert [a.tolist() for a in kept] == [[float(n)] * 3 for n in range(6)]

    def test_a_node_that_only_a_graph_refers_to(self):
        w, kept = tg.Tensor([1.0, 2.0], requires_grad=True), []

        @tg.compile
        def step(x):
            y = (w * x).exp()
            kept.append((y * y).sum())
            return y.detach()

        for n in range(5):
            step(np.full(2, n / 4, np.float32))
        for n, loss in enumerate(kept):
            expected = 2 * n / 4 * np.exp(2 * w.numpy() * n / 4)
            np.testing.assert_allclose(tg.gradients(loss, w)[0].numpy(), expected, rtol=1e-6)

    def test_graphs(self):
        w = tg.Tensor(ramp(500), requires_grad=True)
        step = tg.compile(lambda x: ((w * x).exp() * x).sum())
        losses = [step(np.full(500, n / 8, np.float32)) for n in range(6)]
        for n, loss in enumerate(losses):
            (g,) = tg.gradients(loss, [w])
            x = np.float32(n / 8)
            expected = tg.gradients(((w * x).exp() * x).sum(), [w])[0]
            np.testing.assert_array_equal(g, expected)

    def test_a_value_that_is_written_in_place(self):
        """It is held, so that tasks read a copy of it; and small values of ops without kernels are copied, too."""
        kept = []

        @tg.compile
        def f(x):
            a = (x * 2).sum(axis=0)
            b = tg.softmax(x, axis=0)
            kept.append(a)
            a.detach().copy_(a + 1)
            b.copy_(b * 3)
            return (a * 1.0).tolist(), (b * 1.0).tolist()

        for _ in range(6):
            assert f(np.ones((2, 3))) == ([5.0] * 3, [[1.5] * 3] * 2)

    def test_an_activation_inside_a_graph(self):
        """It is held by the nodes of the graph alone."""
        w, kept = tg.Tensor(ramp(500) / 100, requires_grad=True), []
        step = tg.compile(lambda x: kept.append((w * x).exp().exp().sum()))
        for n in range(5):
            step(np.full(500, n / 8, np.float32))
        for n, loss in enumerate(kept):
            loss.backward()
            x = np.float32(n / 8)
            y = tg.Tensor(w.numpy(), requires_grad=True)
            (y * x).exp().exp().sum().backward()
            np.testing.assert_array_equal(w.grad, y.grad)
            w.zero_grad()

    def test_memory_order_is_that_of_eager(self):
        def double(x):
            return x * 2

        for x in (ramp(2, 3), np.asfortranarray(ramp(2, 3)), ramp(64, 64).T):
            compiled = tg.compile(double)
            for _ in range(3):
                assert compiled(x).numpy().strides == double(tg.from_numpy(x)).numpy().strides

    @pytest.mark.parametrize("size", [300, 3000])
    def test_activations_of_a_call_are_freed(self, size):
        refs, w = [], tg.ones(size, requires_grad=True)

        @tg.compile
        def f(x):
            y = (w * x).exp()
            refs.append(weakref.ref(y))
            refs.append(weakref.ref(array_of(y)))
            return y.sum()

        for _ in range(4):
            f(ramp(size) / size)
            assert not any(ref() for ref in refs)

    def test_a_course_holds_neither_arguments_nor_results(self):
        f = tg.compile(lambda x: (x * 2).sum())
        refs = []
        for _ in range(4):
            x = ramp(300)
            y = f(x)
            refs += [weakref.ref(x), weakref.ref(y)]
            del x, y
        assert not any(ref() for ref in refs[2:])  # the first argument may be one that stays the same
        w = weakref.ref(f)
        del f
        gc.collect()
        assert w() is None


class TestValues:
    """Python reads values, and they are those of the call."""

    @pytest.mark.parametrize("read", [
        lambda x: x if x.sum() > 0 else -x,
        lambda x: x * float(x.sum()),
        lambda x: x * x.sum().item(),
        lambda x: x + x.numpy(),
        lambda x: x + np.asarray(x),
        lambda x: x * x.tolist()[0],
        lambda x: x * (1.0 in x),
        lambda x: x[int(x.sum() > 0)],
        lambda x: x[x > 0] * 2,
        lambda x: x[np.argsort(x.numpy())],
        lambda x: tg.Tensor(x.numpy()[::-1].copy()) * x,
    ])  # fmt: skip
    def test_reading(self, read):
        compiled, rng = tg.compile(read), np.random.default_rng(0)
        for _ in range(8):
            x = rng.normal(size=3)
            assert compiled(x).tolist() == read(tg.Tensor(x)).tolist()

    def test_a_buffer_that_is_bound_anew(self):
        class Counter(nn.Module):
            def __init__(self):
                self.register_buffer("n", tg.Tensor(0.0))

            def forward(self, x):
                self.n += 1
                return x * self.n

        counter = tg.compile(Counter())
        assert [counter(np.ones(1, np.float32)).item() for _ in range(5)] == [1, 2, 3, 4, 5]

    def test_labels_are_checked_in_every_call(self):
        f = tg.compile(lambda x, y: tg.cross_entropy(x, y))
        g = tg.compile(lambda x, i: tg.index_add(x, 0, i, tg.ones(2, 2, dtype=np.float64)))
        for _ in range(3):
            f(np.ones((2, 3)), np.array([0, 2]))
            with pytest.raises((ValueError, IndexError), match="3"):
                f(np.ones((2, 3)), np.array([0, 3]))
            g(np.ones((2, 2)), np.array([0, 1]))
            with pytest.raises(IndexError, match=r"index_add: `index` holds 2"):
                g(np.ones((2, 2)), np.array([0, 2]))


class TestCalls:
    def test_an_error_halfway(self):
        """What the call did before it is done, as in eager; the next call is right."""
        states = []
        for compiled in (False, True):
            tg.manual_seed(0)
            model = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2), nn.Dropout(0.5))
            optimizer = optim.Adam(model.parameters(), lr=0.1)
            calls = itertools.count()

            def step(x):
                optimizer.zero_grad()  # noqa: B023
                loss = model(x).sum()  # noqa: B023
                if next(calls) % 3 == 1:  # noqa: B023
                    raise KeyError("halfway")
                loss.backward()
                optimizer.step()  # noqa: B023
                return loss

            run = tg.compile(step) if compiled else step
            for n in range(8):
                try:
                    run(tg.Tensor(ramp(4, 3) * (n + 1)))
                except KeyError:
                    assert n % 3 == 1
            states.append([model.state_dict(), optimizer.state_dict(), tg.get_rng_state()])
        np.testing.assert_equal(*states)

    def test_calling_itself(self):
        @tg.compile
        def f(x, depth=2):
            return f(x * 2, depth - 1) + x if depth else x

        for _ in range(3):
            assert f(np.ones(1)).item() == 4 + 2 + 1

    def test_one_inside_another(self):
        inner = tg.compile(lambda x: x.exp())
        outer = tg.compile(lambda x: inner(x).sum())
        for _ in range(3):
            np.testing.assert_array_equal(outer(ramp(3)), np.exp(ramp(3)).sum())

    def test_a_generator_and_a_coroutine(self):
        @tg.compile
        def numbers(x):
            for _ in range(3):
                x = x * 2
                yield x

        @tg.compile
        async def later(x):
            return x * 3

        for _ in range(3):
            assert [y.item() for y in numbers(np.ones(1))] == [2, 4, 8]
            with pytest.raises(StopIteration) as end:
                later(np.ones(1)).send(None)
            assert end.value.value.item() == 3

    def test_other_threads_make_plain_calls(self):
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

    @pytest.mark.skipif(sys.platform == "emscripten", reason="a browser's Python cannot start threads")
    def test_a_thread_that_runs_in_the_context_of_a_call(self):
        @tg.compile
        def f(x):
            found = []
            context = contextvars.copy_context()
            thread = threading.Thread(target=lambda: context.run(lambda: found.append((x * 2).sum().item())))
            thread.start()
            y = x * 2
            thread.join()
            return y.sum() + found[0]

        for n in range(5):
            assert f(np.full(3, float(n))).item() == 12 * n

    def test_the_child_of_a_fork_does_not_wait_for_the_threads_of_its_parent(self):
        run = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", FORKS],
            capture_output=True, encoding="utf-8", cwd=Path(tg.__file__).parents[1], timeout=120, check=False,
        )  # fmt: skip
        assert run.returncode == 0, run.stdout + run.stderr

    def test_an_interrupt_anywhere_leaves_the_function_usable(self):
        w = tg.Tensor(ramp(3, 4), requires_grad=True)

        def step(x):
            w.zero_grad()
            y = (w * x * 2).exp()
            y.sum().backward()
            return float(y.sum().item()), w.grad.tolist()

        x = ramp(3, 4)
        expected = step(tg.Tensor(x))
        for warm in (0, 1, 4):
            f = tg.compile(step)
            for _ in range(warm):
                f(x)
            for n in itertools.count():
                interrupts, before = Interrupts(n), sys.getprofile()
                sys.setprofile(interrupts)
                try:
                    f(x)
                except KeyboardInterrupt:
                    pass
                finally:
                    sys.setprofile(before)
                assert f(x) == expected
                if interrupts.left >= 0:
                    break
            assert n > 5
        other = ThreadPool(1)
        assert other.apply_async(f, (x,)).get(timeout=20) == expected
        other.terminate()

    def test_anomaly_detection_sees_every_op(self):
        f = tg.compile(lambda x: x.log().sum())
        for _ in range(3):
            f(np.ones(2))
        with tg.detect_anomaly(), pytest.raises(tg.AnomalyError, match="log"), np.errstate(all="ignore"):
            f(-np.ones(2))

    def test_an_error_of_an_op_leaves_the_course_usable(self):
        f = tg.compile(lambda x, i: x[i])
        for _ in range(3):
            assert f(ramp(3), np.array([0])).item() == -1
            with pytest.raises(IndexError):
                f(ramp(3), np.array([7]))
            assert f(ramp(3), np.array([1])).item() == -0.875

    def test_many_ops_in_one_call(self):
        """The course, the walk and the memory plan grow in proportion."""

        @tg.compile
        def f(x):
            w.zero_grad()
            y = x
            for _ in range(400):
                y = tg.tanh(y + w)
            y.sum().backward()
            return w.grad.tolist()

        w = tg.Tensor(ramp(4, dtype=np.float64), requires_grad=True)
        assert f(np.ones(4)) == f(np.ones(4)) == f(np.ones(4)) == f(np.ones(4))

    def test_describe(self):
        w = tg.ones(64, requires_grad=True)
        f = tg.compile(lambda x: (w * x).exp().sum().backward())
        assert f.describe() == "0 operations; memory kept: 0 B"
        for _ in range(4):
            f(ramp(64))
            w.zero_grad()
        text = f.describe()
        assert "backward: 3 calls" in text
        assert "mul(" in text
        assert "3 operations; memory kept: " in text
        f.clear()
        assert f.describe() == "0 operations; memory kept: 0 B"


def test_a_pickled_function_is_compiled_anew():
    f = tg.compile(tg.exp)
    f(ramp(2))
    again = pickle.loads(pickle.dumps(f))
    np.testing.assert_array_equal(again(ramp(2)), f(ramp(2)))


@pytest.mark.parametrize("graph", [False, True])
def test_values_whose_form_depends_on_other_values(graph):
    """`one_hot` has a column for each class up to the largest label. While small values have one form, they are copied."""
    w = tg.Tensor(np.arange(5.0), requires_grad=True)

    def counted(labels):
        hot = tg.one_hot(labels).astype(np.float64)
        n = hot.shape[1]
        y = (hot * w[:n] if graph else hot.sum(axis=0)).sum()
        return hot, y, tg.gradients(y, [w])[0] if graph else None

    compiled = tg.compile(counted)
    kept = []
    for largest in [2, 2, 2, 2, 2, 2, 4, 2, 2, 3, 3, 2, 2, 2]:
        labels = np.array([0, largest, 1])
        found, expected = compiled(labels), counted(tg.Tensor(labels))
        kept.append((found, expected))
    for found, expected in kept:
        for a, b in zip(found, expected, strict=True):
            assert a is b is None or (a.dtype == b.dtype and a.tolist() == b.tolist())


def test_labels_of_a_classifier_are_found_in_fixed_memory():
    """So that nothing in its backward pass is prepared again in each call."""
    rng = np.random.default_rng(0)
    w = tg.Tensor(rng.normal(size=(6, 4)).astype(np.float32), requires_grad=True)

    @tg.compile
    def step(x, y):
        w.grad = None
        loss = tg.cross_entropy(x @ w, y)
        loss.backward()
        return loss.item(), w.grad.tolist()

    for _ in range(8):
        x, y = rng.normal(size=(8, 6)).astype(np.float32), rng.integers(0, 4, 8)
        found = step(x, y)
        w.grad = None
        loss = tg.cross_entropy(tg.Tensor(x) @ w, y)
        loss.backward()
        assert found == (loss.item(), w.grad.tolist())
    assert "computed as usual" not in step.describe()
