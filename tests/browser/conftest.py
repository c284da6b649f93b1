"""One Chromium for all tests in this folder, which are skipped where there is none."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from build_playground import build

from .chromium import Chromium, executable
from .playground import ready
from .server import served

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


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """The playground, complete with the Pyodide that TINYGRAD_CNN_PYODIDE names."""
    pyodide = os.environ.get("TINYGRAD_CNN_PYODIDE")
    if not pyodide:
        pytest.skip("no Pyodide: name the folder of a distribution in the variable TINYGRAD_CNN_PYODIDE")
    made = tmp_path_factory.mktemp("playground")
    build(made, Path(pyodide))
    return made


@pytest.fixture(scope="module")
def site(folder):
    """Its address."""
    with served(folder) as address:
        yield address


@pytest.fixture
def opened(browser, site):
    """A function that opens a tab and waits for Python."""

    def load(tab="train", **how):
        browser.look(**how)
        browser.load(f"{site}#{tab}")
        ready(browser)
        return browser

    yield load
    browser.load("about:blank?")  # a worker that still computes would slow the next test
