"""Modules of PyTorch that people import: their names lead to ours, or the import says what to use."""

from __future__ import annotations

import importlib
import pickle
import re

import pytest

import tinygrad_cnn as tg
from tinygrad_cnn.names.foreign_modules import MODULES
from tinygrad_cnn.names.foreign_modules import OURS as EXISTING
from tinygrad_cnn.names.synonyms import sequences, types

from .test_names import ELSEWHERE

HOMES = {
    "": tg, "nn": tg.nn, "optim": tg.optim, "data": tg.data, "names.synonyms.sequences": sequences,
    "names.synonyms.types": types,
    "vision.transforms": tg.vision.transforms, "vision.transforms.functional": tg.vision.transforms.functional,
}  # fmt: skip
OURS = [
    (path, name, HOMES[place])
    for path, foreign in MODULES.items()
    for place, names in foreign.ours.items()
    for name in (HOMES[place].__all__ if names == "*" else names.split())
    if f"{path}.{name}" not in MODULES
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


@pytest.mark.parametrize(
    ("line", "use"),
    [
        ("from tinygrad_cnn import LongTensor", r"'LongTensor' from 'tinygrad_cnn'; use tg\.Tensor"),
        ("from tinygrad_cnn.nn import SyncBatchNorm", "SyncBatchNorm"),
        ("from tinygrad_cnn.vision.transforms import ToTensor, Resize", "ToFloat"),
        ("from tinygrad_cnn.vision.transforms.functional import hflip", r"use images\[\.\.\., ::-1\]"),
        ("from tinygrad_cnn.vision.models import resnet18, ResNet18_Weights", "by the path of a file"),
        ("from tinygrad_cnn.vision.ops import FrozenBatchNorm2d", r"nn\.BatchNorm2d"),
        ("from tinygrad_cnn.autograd import Function", r"use tg\.op"),
    ],
)
def test_a_name_that_is_explained_is_explained_to_whoever_imports_it(line, use):
    with pytest.raises(ImportError, match=use):
        exec(line, {})
    owner, name = re.search(r"from tinygrad_cnn\.?(\S*) import .*?(\w+)(?:, Resize)?$", line).groups()
    module = importlib.import_module(f"tinygrad_cnn.{owner}".rstrip("."))
    assert not hasattr(module, name)  # who looks whether it is there gets no ImportError
    assert getattr(module, name, None) is None
    with pytest.raises(ImportError, match=r"cannot import name 'nonsense' from"):
        exec("from tinygrad_cnn import nonsense", {})
    scope = {}
    exec("from tinygrad_cnn import cat, nn", scope)  # a synonym, and a module
    assert scope["nn"] is tg.nn


def test_the_call_that_stands_for_pytorchs_checkpoint_works():
    with pytest.raises(ImportError) as info:
        exec("from tinygrad_cnn.utils.checkpoint import checkpoint", {})
    call = str(info.value).partition("; use ")[2]
    assert eval(call, {"tg": tg, "f": tg.sin, "x": tg.Tensor(0.0)}).item() == 0


def test_sequences_of_several_lengths_are_padded_and_cut_again():
    given = [tg.ones(n, 2) * tg.Tensor([1.0, 2.0]) for n in (2, 0, 3)]
    for batch_first in (False, True):
        padded = sequences.pad_sequence(given, batch_first, padding_value=-1.0)
        first = padded[0] if batch_first else padded[:, 0]
        assert first.tolist() == [[1.0, 2.0], [1.0, 2.0], [-1.0, -1.0]]
        found = sequences.unpad_sequence(padded, tg.tensor([2, 0, 3]), batch_first)
        assert all(a.tolist() == b.tolist() for a, b in zip(found, given, strict=True))
    left = sequences.pad_sequence([tg.tensor([1, 2]), tg.tensor([3])], True, 0, padding_side="left")
    assert left.tolist() == [[1, 2], [0, 3]]
    leaf = tg.ones(2, requires_grad=True)
    (sequences.pad_sequence([leaf, tg.ones(3)]) * 2).sum().backward()
    assert leaf.grad.tolist() == [2.0, 2.0]
    with pytest.raises(ValueError, match="one sequence at least"):
        sequences.pad_sequence([])
