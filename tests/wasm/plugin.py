"""Skips what a browser's Python does not have, with the reason, and no test in which the library itself needs it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Hypothesis counts references, which differ here, to tell whether a generator will be collected."""
    config.addinivalue_line("filterwarnings", "ignore:It looks like `register_random`")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """A test that starts a thread is skipped."""
    try:
        return (yield)
    except RuntimeError as error:
        if "can't start new thread" not in str(error) or started_by_the_library(error):
            raise
        pytest.skip("there are no threads under Pyodide")


def started_by_the_library(error: BaseException) -> bool:
    """Whether a frame of the package is in the traceback."""
    place = error.__traceback__
    while place is not None:
        if "/tinygrad_cnn/" in place.tb_frame.f_code.co_filename:
            return True
        place = place.tb_next
    return False
