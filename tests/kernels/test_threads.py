"""Work that is cut into parts: each part done once, whatever the number of threads, and errors that arrive."""

from __future__ import annotations

import threading
import weakref

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_cnn as tg
from tinygrad_cnn.kernels import threads


@given(st.integers(1, 5), st.integers(0, 40))
def test_every_part_is_done_once(n, count):
    tg.set_num_threads(n)
    done = []
    threads.each(done.append, range(count))
    assert sorted(done) == list(range(count))


@pytest.mark.parametrize("n", [1, 3])
def test_an_error_in_a_part_arrives_and_what_was_set_is_as_before(n):
    tg.set_num_threads(n)
    size = np.getbufsize()

    def work(part):
        if part == 5:
            raise KeyError("part 5")

    with pytest.raises(KeyError, match="part 5"):
        threads.each(work, range(50))
    assert np.getbufsize() == size
    assert tg.get_num_threads() == n
    if threads._blas is not None:
        assert threads._blas.get() == n
    test_every_part_is_done_once.hypothesis.inner_test(n, 7)


def test_parts_may_be_cut_again():
    tg.set_num_threads(3)
    sums = []
    threads.each(lambda i: threads.each(lambda j: sums.append(i * j), range(4)), range(6))
    assert sorted(sums) == sorted(i * j for i in range(6) for j in range(4))


def test_many_callers_at_once():
    tg.set_num_threads(2)
    results = [[] for _ in range(6)]
    callers = [threading.Thread(target=threads.each, args=(r.append, range(100))) for r in results]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert [sorted(r) for r in results] == [list(range(100))] * 6
    if threads._blas is not None:
        assert threads._blas.get() == 2


@pytest.mark.parametrize(("n", "error"), [(0, ValueError), (-1, ValueError), (1.5, TypeError), ("2", TypeError)])
def test_what_is_refused(n, error):
    before = tg.get_num_threads()
    with pytest.raises(error, match="set_num_threads: `n` is "):
        tg.set_num_threads(n)
    assert tg.get_num_threads() == before


def test_floating_point_errors_are_treated_as_the_caller_says():
    x = np.full(4, 1e38, np.float32)
    with np.errstate(over="ignore"):
        threads.each(lambda i: x[i] * x[i], range(4))
    with np.errstate(over="raise"), pytest.raises(FloatingPointError):
        threads.each(lambda i: x[i] * x[i], range(4))


def test_a_thread_that_comes_too_late_holds_nothing():
    if threads._blas is None:
        pytest.skip("one thread")
    tg.set_num_threads(2)
    busy, go = threading.Event(), threading.Event()

    def occupy():
        busy.set()
        go.wait(10)

    helpers = max(1, threads._helpers)
    for _ in range(helpers):  # all are at work elsewhere
        busy.clear()
        threads._ask(occupy, 1)
        assert busy.wait(10)
    x = np.ones(3)
    gone = weakref.ref(x)
    threads.each(lambda i, x=x: x.sum(), range(4))
    del x
    assert gone() is None
    for _ in range(helpers):
        go.set()
