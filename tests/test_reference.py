"""The pages of the reference, docs/api, show every public name, and everything that they show is explained."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

import tinygrad_cnn as tg

DOCS = Path(__file__).parents[1] / "docs"


def _loaded() -> ModuleType:
    spec = importlib.util.spec_from_file_location("names", DOCS / "extensions" / "names.py")
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


names = _loaded()
PAGES = sorted(names.pages().keys() - {"README.md"})


@pytest.mark.parametrize("namespace", sorted(names.namespaces()))
def test_every_public_name_is_documented(namespace: str):
    module = names.namespaces()[namespace]
    things = {name: getattr(module, name) for name in module.__all__}
    things = {name: thing for name, thing in things.items() if not isinstance(thing, ModuleType)}
    missing = [name for name, thing in things.items() if names.identity(thing) not in names.by_identity()]
    assert not missing, f"{namespace} has names that no page shows: {missing}; list them on a page in docs/api"


def test_every_public_namespace_is_looked_at():
    found = {thing.__name__ for name in tg.__all__ if isinstance(thing := getattr(tg, name), ModuleType)}
    assert found <= names.namespaces().keys()
    assert {
        "tinygrad_cnn.nn.init",
        "tinygrad_cnn.optim.lr_scheduler",
        "tinygrad_cnn.testing.strategies",
    } <= names.namespaces().keys()


@pytest.mark.parametrize("page", PAGES)
def test_whatever_is_shown_is_explained(page: str):
    entries = [each for entry in names.pages()[page] for each in (entry, *names.members(entry))]
    silent = [entry.shown for entry in entries if callable(entry.thing) and not names.doc(entry.thing)]
    assert not silent, f"these have no docstring: {silent}"


@pytest.mark.parametrize("page", PAGES)
def test_names_in_docstrings_lead_to_what_is_shown(page: str):
    lost = []
    for entry in names.pages()[page]:
        for each in (entry, *names.members(entry)):
            roles = re.findall(r":(?!mod)\w+:`~?([^`]*)`", names.doc(each.thing))
            lost += [f"{each.shown}: {name}" for name in roles if names.meant(name, each) is None]
    assert not lost, f"no page shows what these docstrings refer to: {lost}"


def test_a_name_is_shown_as_users_write_it():
    shown = {path: entry.shown for path, entry in names.documented().items()}
    assert shown["tinygrad_cnn.conv2d"] == "tg.conv2d"
    assert shown["tinygrad_cnn.Tensor.backward"] == "tg.Tensor.backward"
    assert shown["tinygrad_cnn.nn.init.kaiming_normal_"] == "tg.nn.init.kaiming_normal_"
    assert shown["tinygrad_cnn.testing.gradcheck"] == "tg.testing.gradcheck"


def test_the_index_has_every_page():
    text = (DOCS / "api" / "README.md").read_text(encoding="utf-8")
    assert [page for page in PAGES if f"]({page})" not in text or f"\n{page[:-3]}\n" not in text] == []


def test_the_page_of_all_names_has_each_once():
    """`python docs/list_names.py` writes it. It has names of extras that may be absent here."""
    text = (DOCS / "api" / "names.md").read_text(encoding="utf-8")
    found = re.findall(r"^\| `([\w.]+)` \|", text, re.MULTILINE)
    shown = [entry.shown for entries in names.pages().values() for entry in entries]
    missing = {*shown} - {*found}
    assert not missing, f"docs/api/names.md lacks {sorted(missing)}: run python docs/list_names.py"
    gone = [
        name for name in found if name not in shown and not name.startswith(("tg.jax.", "tg.special.", "tg.sklearn."))
    ]
    assert not gone, f"docs/api/names.md has {gone}, which no page shows: run python docs/list_names.py"


def test_a_page_lists_imports_only():
    with pytest.raises(ValueError, match="'import numpy' is not of the form `from module import name, name`"):
        names.listed("import numpy\n")
    with pytest.raises(AttributeError, match="conv9d"):
        names.listed("from tinygrad_cnn import conv9d\n")


def test_the_package_lists_public_names_only():
    assert dir(tg) == sorted([*tg.__all__, "__version__"])
    assert not [name for name in dir(tg) if name.startswith("_") and name != "__version__"]
    assert not {"walk", "watch", "emit", "clock", "trees", "run", "kernels", "core"} & set(dir(tg))


def test_the_package_lists_all_its_public_names():
    own = {name for name, thing in vars(tg).items() if not name.startswith("_") and not isinstance(thing, ModuleType)}
    assert own - set(tg.__all__) == {"Any", "TYPE_CHECKING", "import_module"}
