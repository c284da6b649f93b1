"""What a notebook shows: with a kernel that is played, and with a real one for `docs/notebook.ipynb`, if nbclient is there."""

from __future__ import annotations

import importlib.util
import json
import re
import signal
import subprocess
import sys
from contextlib import nullcontext
from itertools import pairwise
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import nn, notebooks
from tinygrad_cnn.training import History, Live
from tinygrad_cnn.training import progress as progress_module

from .common import Parts

ROOT = Path(__file__).resolve().parents[2]
RAISED = {"failed": LookupError, "interrupted": KeyboardInterrupt}
PLOTS = pytest.mark.skipif(importlib.util.find_spec("matplotlib") is None, reason="matplotlib draws the pictures")


class Cell:
    """The outputs of a cell: an updated one stays one."""

    def __init__(self):
        self.outputs = []

    def display(self, thing, raw=False, display_id=False):
        self.outputs.append([thing])
        return SimpleNamespace(update=lambda thing, raw=False, place=self.outputs[-1]: place.append(thing))


@pytest.fixture
def cell(monkeypatch):
    if importlib.util.find_spec("matplotlib"):
        from matplotlib import pyplot

        pyplot.switch_backend("agg")  # before it sees IPython, to which it would attach itself
    cell, ipython, display = Cell(), ModuleType("IPython"), ModuleType("IPython.display")
    ipython.version_info = (9, 0)  # pyplot asks
    ipython.get_ipython = lambda: SimpleNamespace(kernel=object())
    display.display, display.Image = cell.display, lambda data, alt: ("image", data, alt)
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    return cell


def test_what_counts_as_a_notebook(monkeypatch, cell):
    assert notebooks.in_notebook()
    for shell in (None, SimpleNamespace()):  # Python, and IPython in a terminal
        monkeypatch.setattr(sys.modules["IPython"], "get_ipython", lambda shell=shell: shell)
        assert not notebooks.in_notebook()
    monkeypatch.delitem(sys.modules, "IPython")
    assert not notebooks.in_notebook()


def test_progress_is_one_output_that_is_updated_within_an_epoch(cell, capsys, monkeypatch):
    monkeypatch.setattr(progress_module, "INTERVAL", 0.0)
    Parts().fit(progress=True)
    (texts,) = [[bundle["text/plain"] for bundle in output] for output in cell.outputs]
    assert capsys.readouterr().out == ""
    assert len(texts) > 6  # three epochs, and steps in them
    for before, after in pairwise(texts):
        done = before.rsplit("\n", 1)[0] if "\n" in before else ""
        assert after.startswith(done)  # finished lines stay
    lines = texts[-1].splitlines()
    assert [line.split()[1] for line in lines if line.startswith("epoch")] == ["1/3", "2/3", "3/3"]


@PLOTS
@pytest.mark.parametrize(
    ("draw", "says"),
    [
        (lambda: History({"loss": [1.0, 0.5], "accuracy": [0.5, 0.7]}).plot(), "loss by epoch, accuracy by epoch"),
        (lambda: tg.metrics.plot_confusion_matrix(np.eye(3, dtype=int)), "target by predicted"),
    ],
    ids=["history", "confusion matrix"],
)
def test_a_figure_is_shown_once(draw, says, cell):
    from matplotlib import pyplot

    pyplot.close("all")
    figure = draw()
    assert pyplot.get_fignums() == [figure.number]
    figure._ipython_display_()  # as the value of the cell
    for number in pyplot.get_fignums():  # and what pyplot shows at its end
        pyplot.figure(number)._ipython_display_()
    ((picture,),) = cell.outputs
    assert picture[1].startswith(b"\x89PNG")
    assert picture[2] == says  # for those who cannot see it


@PLOTS
def test_elsewhere_figures_are_those_of_pyplot():
    from matplotlib import pyplot
    from matplotlib.figure import Figure

    figure = History({"loss": [1.0, 0.5]}).plot()
    assert type(figure) is Figure
    pyplot.close(figure)


def test_a_summary_that_was_printed_is_not_shown_again(capsys):
    summary = nn.Linear(3, 2).summary((1, 3))
    table = capsys.readouterr().out
    summary._ipython_display_()  # the value of the cell that printed it
    assert capsys.readouterr().out == ""
    summary._ipython_display_()  # of another cell
    assert capsys.readouterr().out == table == f"{summary}\n"


def test_a_history_is_a_table():
    table = History({"loss": [0.5, float("nan")], "<b>": [1.0, 2.0]})._repr_html_()
    assert re.findall(r"<t[hd]>(.*?)</t[hd]>", table) == [
        "epoch",
        "loss",
        "&lt;b&gt;",
        "1",
        "0.5",
        "1",
        "2",
        "nan",
        "2",
    ]
    rows = re.findall(r"<tr><td>(.*?)</td>", History({"loss": [*range(100)]})._repr_html_())
    assert rows == ["1", "2", "3", "...", *map(str, range(84, 101))]
    assert "<tbody></tbody>" in History()._repr_html_()


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        ([1.40374, 0.19, 0.1081], ["1.4037", "0.1900", "0.1081"]),
        ([1, 20], ["1", "20"]),
        ([123456.0, 0.0125], ["1.235e+05", "0.0125"]),
        ([4321.0, 0.0125], ["4321", "0.0125"]),
        ([1.0, 1e-5], ["1", "1e-05"]),
        ([float("inf"), 0.25], ["inf", "0.25"]),
    ],
)
def test_a_column_of_a_history_has_as_many_decimals_in_each_row(values, shown):
    assert re.findall(r"<tr><td>\d+</td><td>(.*?)</td>", History({"loss": values})._repr_html_()) == shown


def test_live_shows_its_page():
    live = Live(serve=False)
    assert live._repr_html_() is None
    live.step(loss=0.125)
    shown = live._repr_html_()
    assert shown.startswith('<iframe title="training" srcdoc="')
    assert "0.125" in shown
    assert live._repr_html_() == shown  # looking changes nothing


@pytest.mark.usefixtures("sigint")
@pytest.mark.parametrize("how", ["finished", "stopped", "failed", "interrupted"])
def test_live_is_one_output_with_the_page_of_the_server_and_then_the_page_itself(how, cell, capsys):
    class End(tg.training.Callback):
        def on_epoch_end(self, run):
            ((begun,),) = cell.outputs
            addresses.append(live.address)
            assert begun["text/plain"] == f"live: {live.address}"
            assert f'<a href="{live.address}"' in begun["text/html"]
            assert f'src="{live.address}"' in begun["text/html"]
            if how == "stopped":
                run.stop("enough")
            elif how == "failed":
                raise LookupError("oh")
            elif how == "interrupted":
                signal.raise_signal(signal.SIGINT)

    addresses, live = [], Live()
    with pytest.raises(RAISED[how]) if how in RAISED else nullcontext():
        Parts().fit(callbacks=[live, End()])
    ((_, ended),) = cell.outputs
    assert ended["text/html"] == live._repr_html_()
    assert addresses[0] not in ended["text/html"]
    assert f"&quot;status&quot;:&quot;{how}&quot;" in ended["text/html"]
    assert capsys.readouterr().out == ""
    live.close()
    assert len(cell.outputs[0]) == 2  # the end of the server changes nothing


@pytest.mark.parametrize("error", [None, LookupError, KeyboardInterrupt])
def test_live_keeps_the_page_of_a_loop_of_ones_own(error, cell):
    def loop():
        with live:
            live.step(loss=0.125)
            assert len(cell.outputs[0]) == 1
            if error is not None:
                raise error

    live = Live()
    with nullcontext() if error is None else pytest.raises(error):
        loop()
    ((_, ended),) = cell.outputs
    assert "0.125" in ended["text/html"] == live._repr_html_()


def test_live_keeps_the_page_of_each_training(cell):
    with Live() as live:
        Parts().fit(callbacks=[live])
        live.step(loss=0.125)  # this run is not ended before the next begins
        Parts().fit(callbacks=[live])
    assert [len(output) for output in cell.outputs] == [2, 2, 2]
    assert "0.125" in cell.outputs[1][1]["text/html"]


def test_live_without_a_server_is_shown_only_as_a_value(cell):
    Parts().fit(callbacks=[Live(serve=False)])
    assert cell.outputs == []


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("nbclient") is None, reason="nbclient runs notebooks")
def test_the_notebook_runs_and_shows_each_thing_once(tmp_path):
    new = tmp_path / "new.ipynb"
    done = subprocess.run(
        [sys.executable, ROOT / "docs" / "run_notebook.py", new], capture_output=True, encoding="utf-8", check=False
    )
    assert not done.returncode, done.stderr
    now, kept = (json.loads(path.read_text(encoding="utf-8")) for path in (new, ROOT / "docs" / "notebook.ipynb"))
    assert [cell["source"] for cell in now["cells"]] == [cell["source"] for cell in kept["cells"]]
    pictures = 0
    for ran, cell in zip(now["cells"], kept["cells"], strict=True):
        if cell["cell_type"] == "code":
            assert len(ran["outputs"]) == len(cell["outputs"]) <= 1, cell["source"]
            pictures += sum("image/png" in output.get("data", {}) for output in cell["outputs"])
            for a, b in zip(ran["outputs"], cell["outputs"], strict=True):
                assert a["output_type"] == b["output_type"]
                if a["output_type"] == "stream":
                    assert a["text"] == b["text"], "run docs/run_notebook.py"
    assert pictures == 3
