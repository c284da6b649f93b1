"""Scratch, and what is arranged on it."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from tinygrad_cnn.kernels.parallel import workspace as module
from tinygrad_cnn.kernels.parallel.workspace import arranged, blank, scratch

F = np.dtype("f")


@pytest.fixture(autouse=True)
def new_scratch():
    module.forget()


def counted(key, arrange):
    """What is arranged for the key, and whether it was arranged just now."""
    calls = []
    found = arranged(key, lambda: calls.append(1) or arrange())
    return found, bool(calls)


def test_memory_begins_with_a_line_of_the_cache(tuning):
    """Also with NumPy's own memory beside it, which may begin anywhere."""
    tuning(module, KEPT_BYTES=1 << 12)
    pool = module.Pool()
    kept = []
    for i in range(1, 20):
        with pool.lends():
            lent = module.buffer((7 * i,), F)
        for a in (scratch(f"a{i}", (3 * i,), F), scratch("large", (2000 + i,), F), blank(i, (5 * i,), F), lent):
            assert a.__array_interface__["data"][0] % 64 == 0
            kept.append((a, np.empty(i, np.uint8)))


def test_an_arrangement_is_kept_while_its_scratch_is():
    def arrange():
        return scratch("a", (4,), F)

    view, first = counted("key", arrange)
    assert first
    assert counted("key", arrange) == (view, False)
    assert counted("other", arrange)[1]
    scratch("b", (2,), F)  # of another name
    assert not counted("key", arrange)[1]
    larger = scratch("a", (5,), F)
    again, anew = counted("key", arrange)
    assert anew
    assert np.shares_memory(again, larger)


def test_what_is_too_large_to_be_kept_is_in_no_arrangement(tuning):
    tuning(module, KEPT_BYTES=64)
    arranged("small", lambda: scratch("a", (16,), F))
    for _ in range(2):
        assert counted("large", lambda: scratch("a", (17,), F))[1]
    assert not counted("small", lambda: None)[1]


def test_an_arrangement_ends_with_the_zeros_that_it_looks_at(tuning):
    tuning(module, KEPT_BYTES=64)

    def arrange():
        return blank("zeros", (16,), F)

    arranged("key", arrange)
    assert not counted("key", arrange)[1]
    blank("others", (16,), F)  # there is no room for both
    assert counted("key", arrange)[1]


def test_arrangements_are_of_one_thread_and_few():
    assert counted("key", lambda: 1)[1]
    assert not counted("key", lambda: 2)[1]
    found = []
    thread = threading.Thread(target=lambda: found.append(counted("key", lambda: 3)))
    thread.start()
    thread.join()
    assert found == [(3, True)]
    for i in range(module.KEPT):
        counted(i, lambda: 4)
    assert counted("key", lambda: 5) == (5, True)
