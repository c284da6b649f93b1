"""A history as CSV, and as a picture."""

from __future__ import annotations

import csv
import math

import pytest

from tinygrad_cnn.training import History

HISTORY = History(
    {"loss": [1.5, 0.1 + 0.2, math.nan], "val_loss": [2.0, 1e-300, 1.0], "accuracy": [0.25, 0.5, 1.0], "lr": [0.1] * 3}
)


def test_csv_keeps_every_digit(tmp_path):
    text = HISTORY.to_csv(tmp_path / "run.csv")
    assert (tmp_path / "run.csv").read_text(encoding="utf-8") == text
    rows = list(csv.DictReader(text.splitlines()))
    assert [row.pop("epoch") for row in rows] == ["1", "2", "3"]
    for name, values in HISTORY.items():
        found = [float(row[name]) for row in rows]
        assert repr(found) == repr(values)


def test_csv_of_names_with_commas_and_of_no_epoch():
    assert History({"a,b": [1.0]}).to_csv() == 'epoch,"a,b"\n1,1.0\n'
    assert History().to_csv() == "epoch\n"


def test_csv_into_no_folder(tmp_path):
    with pytest.raises(OSError, match="missing"):
        HISTORY.to_csv(tmp_path / "missing" / "run.csv")


@pytest.fixture
def pyplot():
    found = pytest.importorskip("matplotlib.pyplot")
    yield found
    found.close("all")


def test_the_picture_has_a_panel_for_each_measure(pyplot):
    figure = HISTORY.plot()
    assert [axes.get_ylabel() for axes in figure.axes] == ["loss", "accuracy"]
    loss, accuracy = ({line.get_label(): line.get_ydata().tolist() for line in axes.lines} for axes in figure.axes)
    assert repr(loss) == repr({"training": HISTORY["loss"], "validation": HISTORY["val_loss"]})
    assert accuracy == {"training": HISTORY["accuracy"]}
    assert figure.axes[0].lines[0].get_xdata().tolist() == [1, 2, 3]
    figure.canvas.draw()


def test_chosen_panels(pyplot):
    assert [axes.get_ylabel() for axes in HISTORY.plot(["lr"]).axes] == ["lr"]
    with pytest.raises(ValueError, match=r"no f1; the history has loss, val_loss, accuracy, lr"):
        HISTORY.plot(["f1"])
    for history, names in ((History(), None), (HISTORY, [])):
        with pytest.raises(ValueError, match="nothing to draw"):
            history.plot(names)


def test_a_column_that_is_not_there():
    history = History({"loss": [0.5], "lr": [0.1]})
    with pytest.raises(KeyError, match="the history has no 'acc'; it has loss, lr, each a list by epoch"):
        history["acc"]
    assert history.get("acc") is None
    assert "acc" not in history
    with pytest.raises(KeyError, match="it has nothing yet"):
        History()["loss"]
