"""Which op calls are the steps that a course expects, and which are not."""

from __future__ import annotations

import contextvars
import sys
import threading

import numpy as np
import pytest

import tinygrad_cnn as tg

from ..graphs import steps_of


@pytest.mark.parametrize("kind", [np.int8, np.int64])
def test_a_numpy_number_as_a_parameter_is_compared_by_value(kind):
    x = np.arange(6.0).reshape(2, 3)
    f = tg.compile(lambda x, axis: x.sum(axis=kind(axis)) * 2)
    for axis in (0, 0, 0, 1, 1, 0, 1):
        assert f(x, axis).tolist() == (x.sum(axis) * 2).tolist()


@pytest.mark.skipif(sys.platform == "emscripten", reason="a browser's Python cannot start threads")
def test_a_call_by_another_thread_in_the_same_context_is_no_step():
    x = np.arange(3.0)

    @tg.compile
    def f(x, elsewhere):
        if elsewhere:
            thread = threading.Thread(target=contextvars.copy_context().run, args=(lambda: x * 2,))
            thread.start()
            thread.join()
        return (x * 2).sum()

    for _ in range(4):
        assert f(x, False).item() == 6
    before = steps_of(f)
    for _ in range(4):
        assert f(x, True).item() == 6
    assert steps_of(f) == before
