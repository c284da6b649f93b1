"""The site in a browser: it is searched, links lead to signatures and their source, and nothing is loaded from elsewhere."""

from __future__ import annotations

import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

from ..site import built


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def address():
    """The site over loopback."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(built()))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def test_search_finds_a_function_with_the_keyboard(address, browser):
    browser.load(address + "index.html")
    browser.run("document.querySelector('input[name=q]').focus()")
    browser.type("conv2d")
    browser.press("Enter")
    browser.until("document.querySelector('#search-results li a') !== null")
    links = browser.run("[...document.querySelectorAll('#search-results li a')].map(a => a.getAttribute('href'))")
    assert any(link.startswith("api/convolution.html#tinygrad_cnn.conv2d") for link in links)


def test_a_source_link_leads_to_the_definition(address, browser):
    browser.load(address + "api/convolution.html")
    browser.run(
        "document.getElementById('tinygrad_cnn.conv2d').querySelector('a .viewcode-link, .viewcode-link').closest('a').click()"
    )
    browser.until(
        "location.pathname.endsWith('/source/tinygrad_cnn/ops/conv.py.html') && document.readyState === 'complete'"
    )
    line = "document.getElementById(location.hash.slice(1))"
    browser.until(f"{line} && {line}.getBoundingClientRect().top < innerHeight")
    assert "def conv2d(" in browser.text(".highlight pre")


def test_an_address_over_file_works_too(browser):
    browser.load((built() / "reading.html").as_uri())
    assert browser.text("h1").startswith("Reading the library")


@pytest.mark.parametrize("page", ["index", "transforms", "api/elementwise", "performance"])
def test_pages_fit_narrow_and_dark_windows(page, address, browser, pictures):
    for width in (1280, 400):
        for dark in (False, True):
            browser.look(width, 900, dark=dark)
            browser.load(f"{address}{page}.html")
            assert browser.run("document.documentElement.scrollWidth <= innerWidth")
            scheme = "dark" if dark else "light"
            browser.picture(pictures / f"site-{page.replace('/', '-')}-{width}-{scheme}.png")


@pytest.mark.parametrize("width", [1024, 1280, 1330, 1440, 1920])
def test_no_code_on_the_first_screen_is_cut(browser, width):
    browser.look(width, 800)
    browser.load((built() / "index.html").as_uri())
    cut = browser.run(
        "[...document.querySelectorAll('pre')].filter(e => e.getBoundingClientRect().top < innerHeight"
        " && e.scrollWidth > e.clientWidth).map(e => e.textContent.slice(0, 60))"
    )
    assert cut == []
    assert browser.run("document.documentElement.scrollWidth") == width
