"""Skips tests of what a browser's Python does not have, with the reason, and no test in which the library itself needs it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

LACKING = {
    "can't start new thread": "no threads",
    "does not support processes": "no processes",
    "No module named '_multiprocessing'": "no processes",
    "the memory is not shared": "no two maps of one file that share memory",
}
"""Texts of errors, and what is lacking."""


def pytest_configure(config: pytest.Config) -> None:
    """Hypothesis counts references, which differ here, to tell whether a generator will be collected."""
    config.addinivalue_line("filterwarnings", "ignore:It looks like `register_random`")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Skip a test that asks for what is not there."""
    try:
        return (yield)
    except Exception as error:
        for lacking, reason in LACKING.items():
            if lacking in str(error) and not raised_by_the_library(error):
                pytest.skip(f"under Pyodide there are {reason}")
        raise


def raised_by_the_library(error: BaseException) -> bool:
    """Whether a frame of the package is in the traceback."""
    place = error.__traceback__
    while place is not None:
        if "/tinygrad_cnn/" in place.tb_frame.f_code.co_filename:
            return True
        place = place.tb_next
    return False
