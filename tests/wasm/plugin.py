"""Skips tests of what a browser's Python does not have, with the reason, and no test in which the library itself needs it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest

LACKING = {
    "can't start new thread": "no threads",
    "does not support processes": "no processes",
    "No module named '_multiprocessing'": "no processes",
    "the memory is not shared": "no two maps of one file that share memory",
}
"""Texts of errors, and what is lacking."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--every", type=int, default=1, help="of the tests of all rows of the case table, take every n-th row"
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave rows out, the same each time: those of the case table are some 1,000, and take most of the time."""
    every = config.getoption("--every")
    seen: Counter[tuple[object, str]] = Counter()
    left_out = []
    for item in [item for item in items if item.path.name == "test_every_op.py"]:
        function = item.path, getattr(item, "originalname", "")
        if seen[function] % every:
            left_out.append(item)
        seen[function] += 1
    chosen = set(left_out)
    items[:] = [item for item in items if item not in chosen]
    config.hook.pytest_deselected(items=left_out)


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
