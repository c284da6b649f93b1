"""Hooks and fixtures of all tests. What the quick and the thorough profile run is in `profiles.py`."""

import gc
import signal

import pytest

from tinygrad_cnn import nn

from . import profiles
from .tuning import tuned


def pytest_addoption(parser):
    profiles.add_options(parser)


def pytest_configure(config):
    profiles.configure(config)


@pytest.hookimpl(wrapper=True)
def pytest_generate_tests(metafunc):
    yield from profiles.rotate(metafunc)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config, items):
    profiles.leave_out_slow(config, items)


def pytest_terminal_summary(terminalreporter, config):
    profiles.tell(terminalreporter, config)


def pytest_collection_finish():
    """Objects made so far live to the end: spare the garbage collector the half second that looking at them takes."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item, nextitem):
    """So do those that a file's tests leave: tests that call the collector need not wait for it to look at them."""
    if nextitem is not None and nextitem.path != item.path:
        gc.collect()
        gc.freeze()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_call(item):
    """Each case of a parametrized test starts from the settings of the first.

    Hypothesis derives the settings of a case from those of the case before. Without a database it follows that chain to its
    end, and a thousand cases are deeper than Python's recursion limit.
    """
    name = "_hypothesis_internal_use_settings"
    function = getattr(item.obj, "__func__", item.obj)
    before = getattr(function, name, None)
    try:
        return (yield)
    finally:
        if before is not None:
            setattr(function, name, before)


@pytest.fixture
def tuning():
    """A function that sets the constants of a module for this test: ``tuning(module, NAME=value)``."""
    with tuned() as tune:
        yield tune


@pytest.fixture(scope="module")
def sigint():
    """SIGINT interrupts, here and in child processes. `nohup` and background jobs start Python with SIGINT ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def no_collector():
    """Without the garbage collector, so that what only it could free stays."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.fixture
def hooks_that_ran(monkeypatch):
    """The hooks that modules have called, of those that were registered since."""
    ran = []
    for name in ("register_forward_hook", "register_forward_pre_hook"):
        register = getattr(nn.Module, name)

        def noting(module, hook, register=register):
            return register(module, lambda *arguments: (ran.append(hook), hook(*arguments))[1])

        monkeypatch.setattr(nn.Module, name, noting)
    return ran
