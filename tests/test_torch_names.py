"""Names of PyTorch that are called otherwise here: each table's remedy exists, and the errors give it."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import torch_names

NAMESPACES = {
    "torch": tg, "torch.Tensor": tg.Tensor, "torch.nn": tg.nn, "torch.nn.functional": tg.functional,
    "torch.optim": tg.optim,
}  # fmt: skip
ROWS = [(theirs, name, known) for theirs, table in torch_names.TABLES.items() for name, known in table.items()]
every_row = pytest.mark.parametrize(("theirs", "name", "known"), ROWS, ids=lambda x: x)
ELSEWHERE = {"tg.distributed", "tg.show"}
"""Names that may come with an extra."""


def thing(theirs):
    return tg.ones(2, 3) if theirs == "torch.Tensor" else NAMESPACES[theirs]


@every_row
def test_the_error_says_what_to_use(theirs, name, known):
    with pytest.raises(AttributeError) as caught:
        getattr(thing(theirs), name)
    assert repr(name) in str(caught.value)
    assert known in str(caught.value)
    assert not hasattr(thing(theirs), name)


@every_row
def test_what_it_names_exists(theirs, name, known):
    roots = {"tg": tg, "np": np, "x": tg.ones(2, 3), "nn": tg.nn, "optim": tg.optim, "tinygrad_cnn": tg}
    for root, path in re.findall(r"\b(tg|np|x|nn|optim)\.([a-zA-Z_][\w.]*)", known):
        if f"{root}.{path.split('.')[0]}" in ELSEWHERE:
            continue
        found = roots[root]
        for part in path.rstrip(".").split("."):
            found = getattr(found, part)


def test_a_name_that_nobody_has():
    for place in (tg, tg.nn, tg.optim, tg.functional, tg.ones(1)):
        with pytest.raises(AttributeError, match="has no attribute 'nonsense'$"):
            place.nonsense  # noqa: B018


def test_names_in_place():
    with pytest.raises(AttributeError, match=r"use clip, which returns a new Tensor"):
        tg.ones(2).clip_(0, 1)
    with pytest.raises(TypeError, match=r"tg\.tensor is a module; use tg\.Tensor"):
        tg.tensor([1.0])


def test_the_guide_does_not_call_missing_what_is_there():
    text = Path(__file__).parents[1].joinpath("docs", "from-pytorch.md").read_text(encoding="utf-8")
    missing = text.split("## Missing")[1]
    names = [name for row in re.findall(r"^\| (.*?) \|", missing, re.M) for name in re.findall(r"`(\w+)`", row)]
    assert names
    there = [name for name in names if any(hasattr(place, name) for place in (tg, tg.nn, tg.optim))]
    assert not there
