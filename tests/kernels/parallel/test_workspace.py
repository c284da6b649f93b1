"""Workspaces, which one call at a time has: scratch, and what is arranged on it."""

from __future__ import annotations

import functools
import gc
import sys
import threading
import weakref
from contextvars import copy_context
from itertools import count

import numpy as np
import pytest

from tinygrad_cnn.kernels.parallel import workspace as module
from tinygrad_cnn.kernels.parallel.workspace import arranged, blank, current, scratch, with_workspace

F = np.dtype("f")


@pytest.fixture(autouse=True)
def new_scratch():
    module.forget()


def inside(test):
    """The test as one call that has a workspace."""
    return functools.wraps(test)(lambda **fixtures: with_workspace(functools.partial(test, **fixtures)))


def counted(key, arrange):
    """What is arranged for the key, and whether it was arranged just now."""
    calls = []
    found = arranged(key, lambda: calls.append(1) or arrange())
    return found, bool(calls)


def test_who_comes_in_between_has_other_memory_and_the_next_call_has_the_same():
    def outer():
        a = scratch("a", (4,), F)
        a[...] = 1
        blank("zeros", (4,), F)
        with_workspace(inner)
        assert (a == 1).all()
        return current(), a

    def inner():
        scratch("a", (4,), F)[...] = 2
        blank("zeros", (4,), F)[...] = 2
        with_workspace(lambda: scratch("a", (4,), F).fill(3))

    workspace, a = with_workspace(outer)
    for _ in range(3):
        again, b = with_workspace(outer)
        assert again is workspace
        assert np.shares_memory(a, b)


def test_a_thread_keeps_few():
    alive = weakref.WeakSet()

    def deep(depth):
        alive.add(current())
        if depth:
            with_workspace(deep, depth - 1)

    with_workspace(deep, 5)
    assert len(alive) == module.SPARE


def test_a_call_that_raises_gives_its_workspace_back():
    workspace = with_workspace(current)
    for _ in range(3):
        with pytest.raises(KeyboardInterrupt):
            with_workspace(interrupted)
    assert with_workspace(current) is workspace


def interrupted():
    raise KeyboardInterrupt


def test_outside_of_a_call_memory_is_new():
    a, zeros = scratch("a", (4,), F), blank("zeros", (4,), F)
    zeros[...] = 1
    assert not np.shares_memory(a, scratch("a", (4,), F))
    assert not blank("zeros", (4,), F).any()


@inside
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


@inside
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


@inside
def test_what_is_too_large_to_be_kept_is_in_no_arrangement(tuning):
    tuning(module, KEPT_BYTES=64)
    arranged("small", lambda: scratch("a", (16,), F))
    for _ in range(2):
        assert counted("large", lambda: scratch("a", (17,), F))[1]
    assert not counted("small", lambda: None)[1]


@inside
def test_an_arrangement_ends_with_the_zeros_that_it_looks_at(tuning):
    tuning(module, KEPT_BYTES=64)

    def arrange():
        return blank("zeros", (16,), F)

    arranged("key", arrange)
    assert not counted("key", arrange)[1]
    blank("others", (16,), F)  # there is no room for both
    assert counted("key", arrange)[1]


def test_arrangements_are_of_one_workspace_and_few():
    def count():
        return counted("key", lambda: 1)[1]

    assert with_workspace(count)
    assert not with_workspace(count)
    found = []
    thread = threading.Thread(target=lambda: found.append(with_workspace(count)))
    thread.start()
    thread.join()
    assert found == [True]

    def many():
        for i in range(module.KEPT):
            counted(i, lambda: 4)
        return count()

    assert with_workspace(many)


def test_an_interrupt_leaves_no_pool_lent_and_nothing_to_pack():
    """Wherever Python raises it while the blocks are entered and left; its traceback may live on."""
    kept = []

    def prepare(pool):
        with pool.lends(), module.packing():
            module.buffer((3,), F)

    def interrupted(point):
        """Whether there is such a point, and whether a later call finds nothing of the blocks."""
        numbers, pool = count(), module.Pool()

        def profile(frame, event, argument):
            if event in ("call", "c_return") and frame.f_code is not prepare.__code__ and next(numbers) == point:
                raise KeyboardInterrupt

        gc.disable()  # else callbacks of the collector, such as Hypothesis has, are interrupted, too
        sys.setprofile(profile)
        try:
            prepare(pool)
        except KeyboardInterrupt as error:
            kept.append(error)
        finally:
            sys.setprofile(None)
            gc.enable()
        size = pool.nbytes
        module.buffer((100,), F)
        return next(numbers) > point, pool.nbytes == size and not module.packs()

    for point in range(1000):
        is_there, is_restored = copy_context().run(interrupted, point)
        assert is_restored
        if not is_there:
            break
    assert kept
