"""Work as calls: their order, what is arranged again and what is not, and the two halves of work in the background."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_cnn as tg
from tinygrad_cnn.kernels import threads
from tinygrad_cnn.kernels.work import KEPT, Work


@pytest.fixture(autouse=True)
def as_many_threads():
    before = tg.get_num_threads()
    yield
    tg.set_num_threads(before)


def noted(parts):
    """Work that notes each call, and each arrangement."""
    log, arranged = [], []

    def arrange(part):
        arranged.append(part)
        return [lambda: log.append((part, 0)), lambda: log.append((part, 1))]

    return Work(range(parts), arrange, [lambda: log.append("before")], [lambda: log.append("after")]), log, arranged


def is_whole(log, parts):
    assert log[0] == "before"
    assert log[-1] == "after"
    assert sorted(log[1:-1]) == [(part, i) for part in range(parts) for i in range(2)]
    for part in range(parts):
        assert log.index((part, 0)) < log.index((part, 1))
    log.clear()


@given(st.integers(1, 4), st.integers(0, 20))
def test_once_again_and_in_two_halves(n, parts):
    tg.set_num_threads(n)
    work, log, arranged = noted(parts)
    work.do()
    is_whole(log, parts)
    assert sorted(arranged) == list(range(parts))
    prepared = work.prepared()
    for _ in range(2):
        prepared()
        is_whole(log, parts)
        prepared.start()
        prepared.finish()
        is_whole(log, parts)
    prepared.finish()  # of what was not started
    assert not log


def test_parts_are_arranged_once_for_each_thread():
    tg.set_num_threads(1)
    work, _, arranged = noted(3)
    prepared = work.prepared()
    for _ in range(4):
        prepared()
    assert arranged == [0, 1, 2]
    everyone = threading.Barrier(KEPT)  # so that no two have one identity

    def call():
        everyone.wait(10)
        prepared()
        everyone.wait(10)

    callers = [threading.Thread(target=call) for _ in range(KEPT)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert len(arranged) > KEPT
    assert len(prepared._ready) <= KEPT


def test_an_error_in_the_background_is_raised_at_the_end_and_leaves_it_usable():
    tg.set_num_threads(2)
    fail = True

    def arrange(part):
        def call():
            if fail and part == 1:
                raise KeyError("part 1")

        return [call]

    prepared = Work(range(3), arrange).prepared()
    blas = threads._alone
    for failing in (True, False, True):
        fail = failing
        prepared.start()
        if failing:
            with pytest.raises(KeyError, match="part 1"):
                prepared.finish()
        else:
            prepared.finish()
        assert threads._alone == blas


def test_others_are_served_between_two_parts_in_the_background():
    if threads._blas is None:
        pytest.skip("one thread")
    threads._forget_threads()  # those that other tests have left; one will do
    tg.set_num_threads(2)
    first, go = threading.Event(), threading.Event()
    order = []

    def part(i):
        if i == 0:
            first.set()
            go.wait(10)
        order.append(f"background {i}")

    background = threads.Background(part, range(2))
    background.start()
    assert first.wait(10)
    helped = threading.Event()

    def mine(i):
        if threading.current_thread().name == "tinygrad_cnn":
            order.append("helped")
            helped.set()
        else:
            go.set()
            helped.wait(10)

    threads.each(mine, range(2))
    background.finish()
    assert order.index("helped") < order.index("background 1")
    assert sorted(order) == ["background 0", "background 1", "helped"]


def test_floating_point_errors_are_treated_as_the_starter_says():
    tg.set_num_threads(2)
    x = np.full(4, 1e38, np.float32)
    prepared = Work(range(4), lambda i: [lambda: x[i] * x[i]]).prepared()
    with np.errstate(over="ignore"):
        prepared.start()
    prepared.finish()
    with np.errstate(over="raise"):
        prepared.start()
    with pytest.raises(FloatingPointError):
        prepared.finish()
