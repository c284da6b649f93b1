"""The tables that the site's build makes: each is on one page, has every name, and its rows have the cells of its head."""

from __future__ import annotations

import os
import re
from pathlib import Path

import make_tables
import pytest

from tinygrad_cnn.names import TABLES
from tinygrad_cnn.names.torch import FUNCTIONS
from tinygrad_cnn.testing.kinks import KINKS

from .benchmarks import accuracy

DOCS = Path(__file__).parents[1] / "docs"


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    """The text of each, measured once on few elements."""
    few = accuracy.Situation((40, 30, 20, 10), (), offset=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(accuracy, "FUNCTIONS", [])
        patch.setattr(accuracy, "situations", lambda function: [few])
        folder = tmp_path_factory.mktemp("tables")
        make_tables.write(folder)
    return {path.stem: path.read_text(encoding="utf-8") for path in folder.iterdir()}


def cells(line):
    return re.split(r"(?<!\\)\|", line)[1:-1]


@pytest.mark.parametrize("name", [name for name in make_tables.TABLES if name != "operators"])
def test_rows_have_the_cells_of_their_head(name, tables):
    parts = re.findall(r"(?:^\|.*\n)+", tables[name], re.MULTILINE)
    assert parts
    for head, rule, *rows in (part.splitlines() for part in parts):
        assert set(cells(rule)) == {" --- "}
        assert rows
        assert {len(cells(line)) for line in (rule, *rows)} == {len(cells(head))}


def test_every_table_is_on_one_page():
    included = [
        name
        for page in DOCS.glob("*.md")
        for name in re.findall(r"^```\{include\} _generated/(\w+)\.md$", page.read_text(encoding="utf-8"), re.MULTILINE)
    ]
    assert sorted(included) == sorted(make_tables.TABLES)


@pytest.mark.parametrize("theirs", ["torch", "mygrad"])
def test_every_name_is_in_a_row_with_its_replacement(theirs, tables):
    rows = [cells(line.replace("\\|", "/")) for line in tables[theirs].splitlines() if line.startswith("|")]
    for namespace in TABLES:
        if namespace.split(".")[0] == theirs:
            for name, use in TABLES[namespace].items():
                use = use.strip("()").replace("|", "/")
                assert any(f"`{name}`" in row[0] and use in row[1] for row in rows), f"{namespace}.{name}: {use}"


def test_methods_that_are_functions_here_are_listed(tables):
    assert all(f"`{name}`" in tables["torch"] for name in FUNCTIONS)


def test_every_kink_has_a_row(tables):
    labels = re.findall(r"^\| `(.*?)` \|", tables["subgradients"], re.MULTILINE)
    assert labels == [kink.label for kink in KINKS]


def test_operators_are_those_that_both_tables_know(tables):
    read, written = (
        re.search(rf"^{kind}, \d+: (.*)\.$", tables["operators"], re.MULTILINE)[1].split(", ")
        for kind in ("Read", "Written")
    )
    assert {"Conv", "If", "Relu"} <= set(read)
    assert {"Conv", "Relu"} <= set(written) < set(read)
    assert not {"If", "LSTM"} & set(written)


def test_accuracy_is_measured_again_when_a_source_is_newer(tmp_path, monkeypatch):
    made = iter("12")
    monkeypatch.setattr(make_tables, "float32", lambda: next(made))
    monkeypatch.setattr(make_tables, "TABLES", {"accuracy": make_tables.float32})
    source, table = tmp_path / "source.py", tmp_path / "accuracy.md"
    for _ in range(2):
        make_tables.write(tmp_path)
        assert table.read_text(encoding="utf-8") == "1\n"
    source.touch()
    os.utime(source, (2**32, 2**32))
    monkeypatch.setattr(accuracy, "__file__", str(source))
    make_tables.write(tmp_path)
    assert table.read_text(encoding="utf-8") == "2\n"
