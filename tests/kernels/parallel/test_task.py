"""Work as calls: their order, what is arranged again and what is not."""

from __future__ import annotations

import threading
import weakref
from functools import partial
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_cnn as tg
from tinygrad_cnn.kernels.parallel.task import KEPT, Work, streamed, streams
from tinygrad_cnn.kernels.parallel.threads import BUFFER, RUN


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
    arranged, alive = [], weakref.WeakSet()

    class Call:
        def __call__(self):
            pass

    def arrange(part):
        arranged.append(part)
        call = Call()
        alive.add(call)
        return [call]

    prepared = Work(range(3), arrange).prepared()
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
    assert 3 <= len(alive) <= KEPT


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


def cuts(n):
    """Slices that make up n."""
    return st.lists(st.integers(1, max(1, n - 1)), unique=True).map(
        lambda at: [slice(i, j) for i, j in pairwise(sorted({0, *at, n}))]
    )


class TestStreams:
    @given(st.integers(1, 3), st.integers(1, 12), st.integers(1, 5), st.data())
    def test_stages_follow_each_other_for_some_images(self, threads, n, most, data):
        """Each of a stage's parts adds 1 to its images, which must have been through all stages before."""
        tg.set_num_threads(threads)
        x, log = np.zeros(n, int), []

        def step(level, images):
            assert (x[images] == level).all()
            x[images] += 1

        def stage(level):
            call = partial(partial, step, level)
            parts = data.draw(st.none() | cuts(n))
            if parts is None:
                return call
            return Work(
                parts, lambda part: [call(part)], [lambda: log.append(level)], [lambda: log.append(-level)], parts
            )  # fmt: skip

        stages = [stage(level) for level in range(data.draw(st.integers(1, 4)))]
        found = streams(stages, n, most)
        assert 1 <= len(found) <= most
        assert [i for images in found for i in range(n)[images]] == list(range(n))
        run = streamed(stages, found).prepared()
        for _ in range(2):
            x[...] = 0
            log.clear()
            run()
            assert (x == len(stages)).all()
            works = [level for level, each in enumerate(stages) if isinstance(each, Work)]
            assert log == [*works, *(-level for level in works)]

    @given(st.integers(1, 12), st.integers(1, 5), st.data())
    def test_no_part_is_in_two_and_they_are_of_nearly_one_size_if_they_can(self, n, most, data):
        parts = data.draw(st.lists(cuts(n), min_size=1, max_size=3))
        found = streams([Work(each, lambda _: [], images=each) for each in parts], n, most)
        for own in (own for each in parts for own in each):
            assert sum(images.start < own.stop and own.start < images.stop for images in found) == 1
        single = Work([], lambda _: [], images=[slice(i, i + 1) for i in range(n)])
        for free in ([], [single]):
            sizes = [images.stop - images.start for images in streams(free, n, most)]
            assert len(sizes) == min(most, n)
            assert max(sizes) - min(sizes) <= 1

    @pytest.mark.parametrize("most", [1, 2, 3, 4, 5, 8, 100])
    @pytest.mark.parametrize("n", [0, 1, 2, 3, 7])
    def test_fewer_images_than_streams_get_a_stream_each(self, n, most):
        sizes = [images.stop - images.start for images in streams([], n, most)]
        assert sum(sizes) == n
        assert len(sizes) == min(most, n)
        assert max(sizes, default=0) - min(sizes, default=0) <= 1

    def test_ufuncs_have_their_buffer_between_works(self):
        seen = []
        look = lambda *_: partial(lambda: seen.append(np.getbufsize()))  # noqa: E731
        work = Work([slice(0, 2)], lambda _: [look()], images=[slice(0, 2)])
        before = np.getbufsize()
        streamed([look, work, look], [slice(0, 2)]).do()
        assert seen == [BUFFER, RUN, BUFFER]
        assert np.getbufsize() == before


@given(st.integers(0, 6))
def test_little_work_wakes_no_thread(parts):
    tg.set_num_threads(2)
    seen = set()
    arrange = lambda part: [lambda: seen.add(threading.get_ident())]  # noqa: E731
    work = Work(range(parts), arrange, little=True)
    work.do()
    work.prepared()()
    assert seen <= {threading.get_ident()}
