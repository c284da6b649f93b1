"""The Fashion-MNIST example, on few images from files made here: that it learns, and that its pictures hold the results."""

import gzip
import importlib.util
import re
import struct
import sys
from pathlib import Path

import numpy as np
import pytest

import tinygrad_cnn as tg

from .pictures import check_saved_pictures

SCRIPT = Path(__file__).parents[1] / "examples" / "train_fashion.py"


@pytest.fixture(scope="module")
def example():
    spec = importlib.util.spec_from_file_location("train_fashion", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A folder with the four IDX files, of digits in the places of clothes."""
    folder = tmp_path_factory.mktemp("idx")
    images, labels = tg.data.digits()
    images = (tg.data.enlarge(images, 28) * 15).astype(np.uint8)
    for part, chosen in (("train", slice(0, 1400)), ("t10k", slice(1400, None))):
        x, y = images[chosen], labels[chosen].astype(np.uint8)
        with gzip.open(folder / f"{part}-images-idx3-ubyte.gz", "wb") as file:
            file.write(struct.pack(">iiii", 0x803, *x.shape) + x.tobytes())
        with gzip.open(folder / f"{part}-labels-idx1-ubyte.gz", "wb") as file:
            file.write(struct.pack(">ii", 0x801, len(y)) + y.tobytes())
    return folder


@pytest.mark.slow
def test_a_quick_run_learns_and_says_what_it_mixes_up(example, files, capsys):
    assert example.main(["--quick", "--root", str(files), "--epochs", "4"]) == 0
    out = capsys.readouterr().out
    assert "Fashion-MNIST: 512 images to train on, 256 to test on" in out
    share = float(re.search(r"^([\d.]+)% of 256 test images are right", out, re.MULTILINE)[1])
    assert share > 40, "guessing gives 10"
    assert len(re.findall(r"^.+ taken for .+: \d+ of \d+$", out, re.MULTILINE)) == 3


def test_the_pictures_are_drawn(example, files, tmp_path, monkeypatch, capsys):
    image = pytest.importorskip("matplotlib.image")
    check_saved_pictures(monkeypatch)
    folder = tmp_path / "made" / "pictures"
    assert example.main(["--quick", "--root", str(files), "--epochs", "1", "--plot", str(folder)]) == 0
    out = capsys.readouterr().out
    for name in ("curves", "confusion", "mistakes", "filters"):
        assert f"drawn: {folder / name}.png" in out
        assert np.ptp(image.imread(folder / f"{name}.png")[..., :3]) > 0.9


def test_the_parts_of_the_pictures_hold_the_results(example):
    Figure = pytest.importorskip("matplotlib.figure").Figure
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 10, 60)
    p = rng.dirichlet(np.ones(10), 60)
    images = rng.integers(0, 256, (60, 28, 28))
    answers = p.argmax(axis=1)
    classes = [f"class {k}" for k in range(10)]

    counts = example.confusion(labels, answers)
    for i, j in np.ndindex(10, 10):
        assert counts[i, j] == sum(a == i and b == j for a, b in zip(labels, answers, strict=True))
    figure = Figure()
    example.draw_confusion(figure, counts, classes)
    cells = {text.get_position(): text.get_text() for text in figure.axes[0].texts}
    assert cells == {(j, i): str(count) for (i, j), count in np.ndenumerate(counts) if count}

    figure = Figure()
    example.draw_mistakes(figure, images, labels, p, classes)
    shown = [axes for axes in figure.axes if axes.images]
    given = [p[i, labels[i]] for i in range(60) if answers[i] != labels[i]]
    for axes, least in zip(shown, sorted(given), strict=False):
        (i,) = (i for i in range(60) if p[i, labels[i]] == least)
        np.testing.assert_array_equal(axes.images[0].get_array(), images[i])
        assert axes.get_title().startswith(f"class {answers[i]}, ")
        assert axes.get_title().endswith(f"(is class {labels[i]})")
    assert len(shown) == min(len(given), 28)

    figure = Figure()
    filters = rng.standard_normal((6, 5, 5))
    example.draw_filters(figure, filters)
    drawn = [axes.images[0].get_array() for axes in figure.axes if axes.images and axes.get_label() != "<colorbar>"]
    np.testing.assert_array_equal(np.stack(drawn), filters)

    figure = Figure()
    history = tg.training.History(loss=[2.0, 1.0], val_loss=[2.5, 1.5], accuracy=[0.5, 0.6], val_accuracy=[0.4, 0.5])
    example.draw_curves(figure, history)
    lines = [list(line.get_ydata()) for axes in figure.axes for line in axes.lines]
    assert lines == [[2.0, 1.0], [2.5, 1.5], [0.5, 0.6], [0.4, 0.5]]


@pytest.mark.slow
def test_without_the_data_it_says_how_to_get_it_or_makes_do_with_digits(example, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(tg.data.mnist_family, "DEBIAN", tmp_path)
    assert example.main([]) == 1
    assert "apt install dataset-fashion-mnist" in capsys.readouterr().err
    assert example.main(["--quick", "--epochs", "1"]) == 0
    assert "the UCI digits, as Fashion-MNIST is not installed: 512 images to train on" in capsys.readouterr().out


def test_without_matplotlib_the_extra_is_named_before_training(example, monkeypatch, tmp_path, capsys):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert example.main(["--quick", "--plot", str(tmp_path / "pictures")]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert "pip install 'tinygrad_cnn[plot]'" in err
