"""``python -m tinygrad_cnn``: the digits, the graph page, and the check of an installation."""

from __future__ import annotations

import datetime
import re
import tomllib
import webbrowser
from pathlib import Path

import pytest

import tinygrad_cnn as tg
from tinygrad_cnn.__main__ import EXTRAS, main


@pytest.mark.slow
def test_it_trains_and_prints_the_accuracy_on_held_out_images(capsys):
    assert main(["--epochs", "2"]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert float(re.match(r"([\d.]+)% of 360 images", last)[1]) > 90, last


@pytest.mark.slow
def test_a_sound_installation_passes_the_check(capsys):
    assert main(["--check"]) == 0
    assert re.search(r"gradients: (\d+) of \1 functions agree", capsys.readouterr().out)


def test_the_check_looks_for_every_extra():
    assert EXTRAS.keys() == project()["optional-dependencies"].keys()


@pytest.mark.slow
def test_the_check_names_a_function_whose_gradient_is_wrong(capsys, monkeypatch):
    monkeypatch.setattr(tg, "tanh", lambda x: tg.sinh(x.detach()) + x)
    assert main(["--check"]) == 1
    out = capsys.readouterr().out
    assert out.count("tanh: ") == 1
    assert "20 of 21 functions" in out


def test_show_opens_a_page(monkeypatch):
    opened = []
    monkeypatch.setattr(webbrowser, "open", lambda address, *_: opened.append(address) or True)
    assert main(["--show"]) == 0
    assert opened[0].startswith("file:")


@pytest.mark.parametrize(
    ("given", "said"), [(["--epochs", "0"], "must be at least 1"), (["--check", "--show"], "not allowed")]
)
def test_a_wrong_command_line_is_refused(given, said, capsys):
    with pytest.raises(SystemExit) as ended:
        main(given)
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


def test_the_version(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"tinygrad_cnn {tg.__version__}\n"


def test_every_place_names_this_version():
    root = Path(__file__).parents[1]
    read = {name: (root / name).read_text(encoding="utf-8") for name in (".github/CITATION.cff", "docs/versions.md")}
    changes = (root / "docs" / "changelog.md").read_text(encoding="utf-8")
    version, date = re.search(r"^## ([\d.]+) \((\d{4}-\d\d-\d\d)\)$", changes, re.MULTILINE).groups()
    assert tg.__version__ == version
    assert re.findall(r"^(?:version|date-released): (.*)$", read[".github/CITATION.cff"], re.MULTILINE) == [
        version,
        date,
    ]
    entry = dict(re.findall(r"^  (\w+) += \{(.*)\},$", read["docs/versions.md"], re.MULTILINE))
    day = datetime.date.fromisoformat(date)
    assert [entry["version"], entry["year"], entry["url"]] == [version, str(day.year), project()["urls"]["Homepage"]]
    assert f"  month   = {day:%b},\n".lower() in read["docs/versions.md"]


def project():
    text = (Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)["project"]
