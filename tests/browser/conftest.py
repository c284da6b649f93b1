"""One Chromium for all tests in this folder, which are skipped where there is none."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from .chromium import Chromium, executable

PICTURES = Path(os.environ.get("TINYGRAD_CNN_SCREENSHOTS", Path(__file__).parents[2] / "build" / "screenshots"))


def pytest_collection_modifyitems(items):
    """A browser takes seconds to start, and longer to draw."""
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker("slow")


@pytest.fixture(scope="session")
def chromium():
    """The browser. A test that expects errors on the page takes this one."""
    if executable() is None:
        pytest.skip("no Chromium: install it (apt-get install chromium) or name it in the variable CHROMIUM")
    with Chromium() as browser:
        yield browser


@pytest.fixture
def browser(chromium):
    """The browser, in a light window of 1280 x 800. What a page complains of is an error; so is a request to outside."""
    chromium.look()
    yield chromium
    assert chromium.faults() == []
    outside = [url for url in chromium.requests() if not url.startswith(("file://", "http://127.0.0.1:"))]
    assert outside == []


@pytest.fixture
def pictures():
    """The folder for screenshots, which is kept out of the repository."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    return PICTURES
