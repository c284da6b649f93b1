"""Work as calls: their order, what is arranged again and what is not."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_cnn as tg
from tinygrad_cnn.kernels.work import KEPT, Work, together


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
def test_once_and_again(n, parts):
    tg.set_num_threads(n)
    work, log, arranged = noted(parts)
    work.do()
    is_whole(log, parts)
    assert sorted(arranged) == list(range(parts))
    prepared = work.prepared()
    for _ in range(2):
        prepared()
        is_whole(log, parts)


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


def test_floating_point_errors_are_treated_as_the_caller_says():
    tg.set_num_threads(2)
    x = np.full(4, 1e38, np.float32)
    prepared = Work(range(4), lambda i: [lambda: x[i] * x[i]]).prepared()
    with np.errstate(over="ignore"):
        prepared()
    with np.errstate(over="raise"), pytest.raises(FloatingPointError):
        prepared()
    with np.errstate(over="ignore"):
        prepared()


@given(st.integers(1, 3), st.lists(st.integers(0, 5), min_size=1, max_size=4))
def test_several_are_done_together(n, counts):
    tg.set_num_threads(n)
    log = []

    def work(i, parts):
        return Work(
            range(parts), lambda part: [lambda: log.append((i, part))], [lambda: log.append(("before", i))],
            [lambda: log.append(("after", i))],
        )  # fmt: skip

    run = together([work(i, parts) for i, parts in enumerate(counts)]).prepared()
    for _ in range(2):
        log.clear()
        run()
        k, whole = len(counts), sum(counts)
        assert log[:k] == [("before", i) for i in range(k)]
        assert sorted(log[k : k + whole]) == [(i, part) for i, parts in enumerate(counts) for part in range(parts)]
        assert log[k + whole :] == [("after", i) for i in range(k)]
