"""The built site: no link on it is dead, its signatures can be read, and it has a page for each guide."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from .site import DOCS, built


class Page(HTMLParser):
    """What a page links to, the anchors on it, and the text of its signatures."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.signatures: list[str] = []
        self.inside = False
        self.open = 0  # links
        self.nested: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        if tag == "a":
            self.open += 1
            self.nested += [values.get("href") or ""] if self.open > 1 else []
        self.links += [values[name] for name in ("href", "src") if values.get(name)]
        self.anchors |= {values[name] for name in ("id", "name") if values.get(name)}
        if tag == "dt" and "sig" in (values.get("class") or "").split():
            self.signatures.append("")
            self.inside = True

    def handle_endtag(self, tag):
        self.open -= tag == "a"
        self.inside = self.inside and tag != "dt"

    def handle_data(self, data):
        if self.inside:
            self.signatures[-1] += data


@pytest.fixture(scope="module")
def pages() -> dict[Path, Page]:
    site = built()
    return {
        path: Page(path) for path in sorted(site.rglob("*.html")) if "playground" not in path.relative_to(site).parts
    }


def test_no_link_is_dead(pages):
    dead = []
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            anchor = unquote(parts.fragment)
            if not target.is_file() or (anchor and target in pages and anchor not in pages[target].anchors):
                dead.append(f"{path.relative_to(built())}: {link}")
    assert not dead, f"{len(dead)} links lead nowhere: {dead[:20]}"


def test_no_link_is_within_a_link(pages):
    nested = [f"{path.relative_to(built())}: {link}" for path, page in pages.items() for link in page.nested]
    assert not nested


def test_every_guide_has_a_page_and_a_place_in_the_contents(pages):
    front = pages[built() / "index.html"].links
    for guide in DOCS.glob("*.md"):
        if guide.stem != "index":
            assert f"{guide.stem}.html" in front, guide.name


def test_signatures_can_be_read(pages):
    signatures = [" ".join(text.split()) for page in pages.values() for text in page.signatures]
    assert len(signatures) > 800
    assert "tg.celu(a: Array, alpha: float = 1.0) → Tensor[source]¶" in signatures
    assert any(text.startswith("tg.conv2d( x: Array,") for text in signatures)
    strange = [text for text in signatures if re.search(r"~|Annotated|\b_[A-Z]| at 0x|<\w+ ", text)]
    assert not strange


def test_signatures_lead_to_the_line_that_defines_them(pages):
    page = pages[built() / "api" / "convolution.html"]
    (link,) = (
        link
        for link in page.links
        if re.search(r"source/tinygrad_cnn/ops/conv\.py\.html#line-\d+$", link) and "conv2d" in _line(link)
    )
    assert "def conv2d(" in _line(link)


def _line(link: str) -> str:
    path, _, line = link.partition(".html#line-")
    lines = (DOCS.parent / path.partition("source/")[2]).read_text(encoding="utf-8").splitlines()
    return lines[int(line) - 1]


def test_the_playground_is_there_if_the_repository_has_it(pages):
    has = (DOCS / "build_playground.py").is_file()
    assert (built() / "playground" / "index.html").is_file() is has
    assert ("playground/index.html" in pages[built() / "quickstart.html"].links) is has
