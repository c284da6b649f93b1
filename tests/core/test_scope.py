"""Blocks that set a variable of the context: nested, entered by hand, left by errors and by interrupts."""

from __future__ import annotations

import asyncio
import signal
import sys
from contextlib import ExitStack

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn.core.tracing import watchers
from tinygrad_cnn.ops.random import stream
from tinygrad_cnn.scope import Scoped, both, errors, silent

from ..interrupts import EAGER, interrupted


def test_blocks_in_one_another_and_an_error_restore_the_value():
    variable = Scoped("variable", 0)

    def fails():
        with variable(1):
            assert variable.get() == 1
            with variable(2), variable(3):
                assert list(variable.all()) == [3, 2, 1, 0]
                raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails()
    assert list(variable.all()) == [0]


@pytest.mark.parametrize("make", [tg.no_grad, tg.detect_anomaly, lambda: stream(0), lambda: silent])
def test_a_block_is_entered_many_times_by_hand_and_by_a_stack(make):
    block = make()

    def state():
        return tg.is_grad_enabled(), tg.get_rng_state()["state"], np.geterr(), len(watchers)

    before = state()
    for _ in range(2):
        with block, block:
            assert state() != before
        block.__enter__()
        block.__exit__(None, None, None)
        with ExitStack() as stack:
            stack.enter_context(block)
            assert state() != before
        assert state() == before


def test_what_two_blocks_change_is_restored_in_turn():
    a, b = Scoped("a", 0), Scoped("b", 0)
    with both(a(1), both(b(2), a(3))):
        assert (a.get(), b.get()) == (3, 2)
    assert (a.get(), b.get()) == (0, 0)


@pytest.mark.skipif(sys.platform == "emscripten", reason="nothing can wait for a browser's event loop")
def test_tasks_have_their_own_values():
    async def off(event):
        with tg.no_grad():
            event.set()
            await asyncio.sleep(0)
            return tg.is_grad_enabled()

    async def beside(event):
        await event.wait()
        return tg.is_grad_enabled()

    async def main():
        event = asyncio.Event()
        return await asyncio.gather(off(event), beside(event))

    assert asyncio.run(main()) == [False, True]


def test_errors_changes_what_it_names_of_what_numpy_does_now():
    overflow = errors(over="ignore")
    for mode in ("raise", "warn"):
        with np.errstate(over=mode, divide=mode):
            before = np.geterr()
            with overflow:
                assert np.geterr() == {**before, "over": "ignore"}
            assert np.geterr() == before


def test_errors_around_a_function_last_as_long_as_its_call():
    @errors(over="ignore")
    def state(fails, *, deeper=False):
        if fails:
            raise ZeroDivisionError
        return state(False) if deeper else np.geterr()

    for mode in ("raise", "warn", "raise"):
        with np.errstate(over=mode, divide=mode):
            before = np.geterr()
            assert state(False) == state(False, deeper=True) == {**before, "over": "ignore"}
            with pytest.raises(ZeroDivisionError):
                state(True)
            assert np.geterr() == before
    assert state.__name__ == "state"


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no timer")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # interrupts that a finalizer swallows
@pytest.mark.parametrize("count", [20, pytest.param(3000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("loop", [*EAGER, "frozen"])
def test_an_interrupt_leaves_no_variable_changed(loop, count):
    assert interrupted(loop, count) == []
