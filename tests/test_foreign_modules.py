"""Modules of PyTorch that people import: their names lead to ours, or the import says what to use."""

from __future__ import annotations

import importlib
import pickle
import re

import pytest

import tinygrad_cnn as tg
from tinygrad_cnn.names.foreign_modules import MODULES
from tinygrad_cnn.names.foreign_modules import OURS as EXISTING

from .test_names import ELSEWHERE

HOMES = {"": tg, "nn": tg.nn, "optim": tg.optim, "data": tg.data}
OURS = [
    (path, name, HOMES[place])
    for path, foreign in MODULES.items()
    for place, names in foreign.ours.items()
    for name in (HOMES[place].__all__ if names == "*" else names.split())
]
OTHERS = [
    (path, name, use)
    for path, foreign in MODULES.items()
    for use, names in foreign.others.items()
    for name in names.split()
    if f"{path}.{name}" not in MODULES
]


def imported(path, name):
    scope = {}
    exec(f"from tinygrad_cnn.{path} import {name}", scope)
    return scope[name]


@pytest.mark.parametrize("path", MODULES)
def test_each_way_of_importing_a_module_works(path):
    module = importlib.import_module(f"tinygrad_cnn.{path}")
    above, _, name = path.rpartition(".")
    assert imported(above, name) is module if above else imported_from_the_top(name) is module
    scope = {}
    exec(f"import tinygrad_cnn.{path} as found\nimport tinygrad_cnn", scope)
    assert scope["found"] is module
    assert eval(f"tinygrad_cnn.{path}", scope) is module
    with pytest.raises(AttributeError, match="nonsense"):
        module.nonsense  # noqa: B018
    assert not hasattr(module, "__wrapped__")


def imported_from_the_top(name):
    scope = {}
    exec(f"from tinygrad_cnn import {name}", scope)
    return scope[name]


@pytest.mark.parametrize(("path", "name", "home"), OURS)
def test_a_name_with_the_same_meaning_is_ours(path, name, home):
    found = imported(path, name)
    assert found is getattr(home, name)
    assert (name in dir(importlib.import_module(f"tinygrad_cnn.{path}"))) == (path not in EXISTING)
    if callable(found):
        assert pickle.loads(pickle.dumps(found)) is found


@pytest.mark.parametrize(("path", "name", "use"), OTHERS)
def test_another_name_is_explained_where_it_is_imported(path, name, use):
    with pytest.raises(ImportError, match=re.escape(use)) as caught:
        imported(path, name)
    assert f"cannot import name '{name}' from 'tinygrad_cnn.{path}'" in str(caught.value)
    for root, rest in re.findall(r"\b(tg|nn)\.([a-zA-Z_][\w.]*)", use):
        if f"{root}.{rest.split('.')[0]}" not in ELSEWHERE:
            found = {"tg": tg, "nn": tg.nn}[root]
            for part in rest.rstrip(".").split("."):
                found = getattr(found, part)


def test_names_of_pytorchs_datasets_have_the_answers_of_ours():
    with pytest.raises(ImportError, match="a dataset has a length and examples by number"):
        from tinygrad_cnn.utils.data import IterableDataset  # noqa: F401


def test_nothing_lists_them():
    for module in (tg, tg.nn, tg.optim):
        listed = {"func", "utils", "swa_utils"} & {*dir(module), *module.__all__}
        assert listed == ({"utils"} if module is tg.nn else set())
