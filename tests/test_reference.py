"""The reference is what the docstrings say, leaves out no public name, and its links lead somewhere."""

from __future__ import annotations

import doctest
import importlib
import importlib.util
import inspect
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

import tinygrad_cnn as tg
import tinygrad_cnn.testing.strategies

DOCS = Path(__file__).parents[1] / "docs"
FOLDER = DOCS / "reference"
REMEDY = "the docstrings have changed: run `python docs/make_reference.py` and commit docs/reference"
NAMESPACES = [
    "tinygrad_cnn", "autograd", "data", "data.readers", "data.transforms", "distributed", "functional", "io", "linalg", "nn",
    "nn.init", "nn.models", "onnx", "optim", "optim.lr_scheduler", "testing", "testing.strategies", "training", "viz",
]  # fmt: skip


def _loaded() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_reference", DOCS / "make_reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


make_reference = _loaded()
NAMES = ["README.md", *(f"{page}.md" for page in make_reference.PAGES)]


@pytest.fixture(scope="module")
def texts() -> dict[str, str]:
    return make_reference.pages()


def _headings(text: str) -> list[str]:
    """The headings of a page, without what stands in fenced blocks."""
    return re.findall(r"^#+ (.*)$", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL), re.MULTILINE)


def _named(heading: str) -> object:
    """The object whose name a heading is."""
    found: object = tinygrad_cnn
    for part in heading.strip("`").split(".")[1:]:
        found = getattr(found, part, None)
    return found


@pytest.mark.parametrize("name", NAMES)
def test_a_page_is_up_to_date(name: str, texts):
    assert (FOLDER / name).exists(), f"{name} is missing; {REMEDY}"
    assert (FOLDER / name).read_text(encoding="utf-8") == texts[name], f"{name} is out of date; {REMEDY}"


def test_no_other_page_is_there(texts):
    stale = {path.name for path in FOLDER.iterdir()} - texts.keys()
    assert not stale, f"{stale} are no longer made; {REMEDY}"


@pytest.mark.parametrize("namespace", NAMESPACES)
def test_every_public_name_is_documented(namespace: str, texts):
    path = "tinygrad_cnn" if namespace == "tinygrad_cnn" else f"tinygrad_cnn.{namespace}"
    module = importlib.import_module(path)
    headings = [h for text in texts.values() for h in _headings(text) if re.match(r"`(tg|tinygrad_cnn)\.", h)]
    known = {id(_named(heading)) for heading in headings}
    things = {name: getattr(module, name) for name in module.__all__}
    missing = [name for name, thing in things.items() if id(thing) not in known and not isinstance(thing, ModuleType)]
    assert not missing, f"{path} has names that no page shows: {missing}; add them in docs/make_reference.py"


def test_every_public_namespace_is_looked_at():
    found = {name for name, thing in vars(tg).items() if name in tg.__all__ and isinstance(thing, ModuleType)}
    assert found <= set(NAMESPACES), "a public module is not in NAMESPACES"


@pytest.mark.parametrize("page", make_reference.PAGES)
def test_whatever_is_shown_is_explained(page: str):
    silent = [e.name for e in make_reference.documented() if e.page == page and not make_reference.doc(e.thing)]
    assert not silent, f"these have no docstring: {silent}"


def test_examples_are_shown_as_they_are_written(texts):
    for entry in make_reference.documented():
        doc = getattr(entry.thing, "__doc__", None) if callable(entry.thing) else None
        for example in doctest.DocTestParser().get_examples(inspect.cleandoc(doc or "")):
            source = example.source.splitlines()
            shown = ">>> " + "\n... ".join(source)
            assert shown in texts[f"{entry.page}.md"], f"{entry.name} has an example that its page lacks: {source[0]}"


@pytest.mark.parametrize("name", NAMES)
def test_links_lead_to_headings(name: str, texts):
    anchors = {page: {_anchor(heading) for heading in _headings(text)} for page, text in texts.items()}
    for target, anchor in re.findall(r"\]\(([^)#:\s]*)(?:#([^)]*))?\)", texts[name]):
        assert not target or (FOLDER / target).exists(), f"{name} links to {target}"
        if anchor:
            assert anchor in anchors[target or name], f"{name} links to #{anchor} of {target or 'itself'}"


def test_no_name_comes_twice_on_a_page(texts):
    """Else its anchor is not the one that links use."""
    for name, text in texts.items():
        anchors = [_anchor(heading) for heading in _headings(text) if heading.startswith("`")]
        assert sorted(set(anchors)) == sorted(anchors), name


def _anchor(heading: str) -> str:
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


def test_the_package_lists_public_names_only():
    assert dir(tg) == sorted([*tg.__all__, "__version__"])
    assert not [name for name in dir(tg) if name.startswith("_") and name != "__version__"]
    assert not {"walk", "watch", "emit", "clock", "trees", "run", "kernels", "core"} & set(dir(tg))
