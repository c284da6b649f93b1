"""Work that is cut into parts: each part done once, whatever the number of threads, and errors that arrive."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import threading
import time
import weakref
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_cnn as tg
from tinygrad_cnn.kernels.blas import THREADS
from tinygrad_cnn.kernels.parallel import threads
from tinygrad_cnn.kernels.parallel.task import Work


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
    if THREADS is not None:
        assert THREADS.get() == n
    test_every_part_is_done_once.hypothesis.inner_test(n, 7)


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


def interrupted_everywhere(call):
    """Call it again and again, interrupted at each point in turn; gives how many there were."""
    for n in itertools.count():
        interrupts, before = Interrupts(n), sys.getprofile()
        sys.setprofile(interrupts)
        try:
            call()
        except KeyboardInterrupt:
            yield n
        finally:
            sys.setprofile(before)
        if interrupts.left >= 0:
            return


CALLS = {
    "each": lambda: threads.each(lambda part: None, range(3)),
    "each in each": lambda: threads.each(lambda part: threads.each(lambda inner: None, range(2)), range(2)),
    "work": Work([0, 1], lambda part: [lambda: None]).do,
    "prepared work": Work([0, 1], lambda part: [lambda: None]).prepared(),
    "products": lambda: tg.matmul(tg.matmul(np.ones((80, 80)), np.ones((80, 80))), np.ones((80, 80))),
    "convolution": lambda: tg.conv2d(np.ones((2, 3, 8, 8), np.float32), np.ones((4, 3, 3, 3), np.float32)),
}


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("n", [1, 2])
def test_an_interrupt_anywhere_leaves_blas_and_buffers_as_they_were(name, n):
    tg.set_num_threads(n)
    size, count = np.getbufsize(), 0
    CALLS[name]()
    for point in interrupted_everywhere(CALLS[name]):
        count += 1
        for _ in range(2000):  # a helper thread ends the part that it is in
            if THREADS is None or THREADS.get() == n:
                break
            time.sleep(0.005)
        assert np.getbufsize() == size, point
        if THREADS is not None:
            assert THREADS.get() == n, point
    assert count > (5 if THREADS is not None else 3)  # with another BLAS there is nothing to set back


SIGNALS = """
import random, signal
import numpy as np
import tinygrad_cnn as tg
from tinygrad_cnn.kernels.blas import THREADS
from tinygrad_cnn.kernels.parallel import threads
from tinygrad_cnn.kernels.parallel.task import Work

armed = False

def interrupt(number, frame):
    global armed
    if armed:
        armed = False
        raise KeyboardInterrupt

def struck(call, delay):
    global armed
    armed = True
    signal.setitimer(signal.ITIMER_REAL, delay)
    while armed:
        call()

tg.set_num_threads(2)
size, rng = np.getbufsize(), random.Random(0)
signal.signal(signal.SIGALRM, interrupt)
work = Work([0, 1], lambda part: [lambda: None]).prepared()
for call in (work, lambda: threads.each(lambda part: None, range(3))):
    for _ in range(300):
        try:
            struck(call, rng.uniform(1e-5, 3e-4))
        except KeyboardInterrupt:
            pass
        assert np.getbufsize() == size
        assert THREADS is None or THREADS.get() == 2
"""


def failure(script):
    """What a script prints in a process of its own if it fails; nothing if it succeeds."""
    arguments = [sys.executable, "-W", "ignore", "-c", script]
    ended = subprocess.run(
        arguments, capture_output=True, encoding="utf-8", cwd=Path(tg.__file__).parents[1], timeout=120, check=False
    )
    return f"{ended.returncode}: {ended.stdout}{ended.stderr}" if ended.returncode else ""


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="timers are POSIX's")
def test_real_signals_at_random_leave_blas_and_buffers_as_they_were():
    assert failure(SIGNALS) == ""


FORKS = """
import os, signal, sys, threading
import numpy as np
import tinygrad_cnn as tg
from tinygrad_cnn.kernels.blas import THREADS
from tinygrad_cnn.kernels.parallel import threads

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

def kernels_work():
    if THREADS is not None:
        assert THREADS.get() == 2, THREADS.get()
    done = []
    threads.each(lambda part: done.append((part, THREADS and THREADS.get())), range(20))
    assert sorted(done) == [(part, THREADS and 1) for part in range(20)]
    if THREADS is not None:
        assert THREADS.get() == 2, THREADS.get()

tg.set_num_threads(2)
inside, go = threading.Event(), threading.Event()

def waits(part):
    inside.set()
    go.wait(60)

other = threading.Thread(target=threads.each, args=(waits, range(1)))
other.start()
inside.wait()
in_child(kernels_work)  # while another thread is in a kernel
go.set()
other.join()
kernels_work()

def forks(part):
    def check():
        assert THREADS is None or THREADS.get() == 1
    in_child(check)

threads.each(forks, range(1))  # by the thread that is in a kernel
kernels_work()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks are POSIX's")
def test_the_child_of_a_fork_goes_on_without_the_threads_of_its_parent():
    assert failure(FORKS) == ""


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
    if THREADS is not None:
        assert THREADS.get() == 2


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
    if THREADS is None:
        pytest.skip("one thread")
    count = 32  # more than any test has asked for, so that those who help are all at work elsewhere
    tg.set_num_threads(count)
    busy, go = threading.Barrier(count + 1), threading.Event()

    def occupy(part):
        busy.wait(10)
        go.wait(10)

    other = threading.Thread(target=threads.each, args=(occupy, range(count)))
    other.start()
    busy.wait(10)
    x = np.ones(3)
    gone = weakref.ref(x)
    threads.each(lambda i, x=x: x.sum(), range(4))
    del x
    assert gone() is None
    go.set()
    other.join()
