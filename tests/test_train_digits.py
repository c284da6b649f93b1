"""The main job: what it prints, that it learns, what it draws, and what it says to bad arguments."""

import importlib.util
import io
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import data

from .pictures import check_saved_pictures

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "examples" / "train_digits.py"
LABELS = ["gradient descent", "RMSprop", "Adam"]
STD = np.std(data.digits()[1])


@pytest.fixture(scope="module")
def example():
    spec = importlib.util.spec_from_file_location("train_digits", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(folder, *arguments, path=()):
    """The script as a user runs it, in `folder`, with its output in pipes and warnings as errors."""
    env = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, [*path, ROOT]))}
    command = [sys.executable, "-W", "error", str(SCRIPT), "--quick", *arguments]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, encoding="utf-8", timeout=120)


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    folder = tmp_path_factory.mktemp("quick")
    done = run(folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert not any(folder.iterdir())
    return done.stdout


def rows(output):
    """The table's rows by optimizer, each a dict by column."""
    lines = output.splitlines()
    rule = next(i for i, line in enumerate(lines) if line.startswith("---"))
    ends = [match.span() for match in re.finditer("-+", lines[rule])]
    cells = [[line[a:b].strip() for a, b in ends] for line in (lines[rule - 1], *lines[rule + 1 : rule + 4])]
    return {row[0]: dict(zip(cells[0], row, strict=True)) for row in cells[1:] if row[0]}


def plain(output):
    return max(map(len, output.splitlines())) < 80 and all(c == "\n" or c.isprintable() for c in output)


@pytest.mark.slow
def test_a_log_file_gets_the_table_and_then_the_results_the_best_last(quick):
    assert plain(quick)
    assert "epoch " not in quick
    lines = quick.splitlines()
    assert len(lines) == 11
    assert lines[2].startswith("optimizer ")
    assert lines[-1].startswith("The same convolution as a classifier")


@pytest.mark.slow
def test_a_verbose_run_has_a_line_for_each_epoch(tmp_path):
    done = run(tmp_path, "--verbose", "--epochs", "2")
    assert (done.returncode, done.stderr) == (0, "")
    assert plain(done.stdout)
    for name in ("gd", "rmsprop", "adam"):
        epochs = re.findall(
            rf"^{name} +epoch (\d+)/2  loss +[\d.]+  RMSE train [\d.]+ test [\d.]+ +[\d,]+ images/s$",
            done.stdout,
            re.MULTILINE,
        )
        assert epochs == ["1", "2"]


@pytest.mark.slow
def test_the_table_compares_the_optimizers_and_each_has_learned(quick):
    table = rows(quick)
    assert list(table) == LABELS
    for row in table.values():
        assert float(row["test RMSE"]) < 0.8 * STD
        assert float(row["train RMSE"]) < 0.8 * STD
        assert float(row["best test"].split()[0]) <= float(row["test RMSE"])
        assert row["epochs"] == "5"


@pytest.mark.slow
def test_the_end_says_what_the_error_means(quick, example):
    """The share of rounded predictions that are right, counted again here, and the higher accuracy of the classifier."""
    rounded = float(
        re.search(r"^Rounded, ([\d.]+)% of its predictions on the test images are right\.$", quick, re.M)[1]
    )
    accuracy = float(re.search(r"a score for each digit: ([\d.]+)% right\.$", quick, re.M)[1])
    label = re.search(r"^The network predicts a value: (.+) is off by ([\d.]+) \(RMSE\)\.$", quick, re.M)[1]
    name = next(name for name, (known, *_) in example.OPTIMIZERS.items() if known == label)
    split = example.load(quick=True)
    again = example.train(name, None, split, 5, 32, 0, example.Progress(io.StringIO()))
    answers = example.predict(again.model, split.test_x)[:, 0]
    right = sum(round(float(answer)) == digit for answer, digit in zip(answers, split.test_y[:, 0], strict=True))
    assert rounded == round(100 * right / len(split.test_y), 1)
    assert accuracy > max(80, rounded)


def test_a_long_verbose_run_prints_every_epoch(example):
    stream = io.StringIO()
    progress = example.Progress(stream, verbose=True)
    for number in range(1, 996):
        progress.show("adam", example.Epoch(number, 1.0, 1.0, 1.0, 1.0), 995)
    progress.end()
    assert re.findall(r"epoch +(\d+)/995", stream.getvalue()) == [str(number) for number in range(1, 996)]
    assert stream.getvalue().count("\n") == 995


@pytest.mark.parametrize("columns", [60, 200])
def test_a_terminal_gets_one_line_that_is_rewritten(example, monkeypatch, columns):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setenv("COLUMNS", str(columns))
    stream = Terminal()
    progress = example.Progress(stream)
    for number, rate in ((1, 1e9), (2, 1.0)):
        progress.show("adam", example.Epoch(number, 1.0, 1.0, 1.0, rate), 2)
    progress.end()
    start, *shown, removed, end = stream.getvalue().split("\r")
    assert start == end == ""
    assert [re.search(r"epoch \d/2", line).group() for line in shown] == ["epoch 1/2", "epoch 2/2"]
    assert removed == " " * (columns - 1)
    assert {len(line) for line in shown} == {columns - 1}, "a shorter line would leave the end of a longer one standing"
    assert "\n" not in stream.getvalue()


@pytest.mark.parametrize("number", [9, 30])
def test_a_line_of_a_default_run_fits_a_terminal_of_80_columns(example, number):
    stream = io.StringIO()
    example.Progress(stream, verbose=True).show("rmsprop", example.Epoch(number, 10.379, 2.344, 2.467, 99_999.0), 30)
    assert len(stream.getvalue().rstrip("\n")) <= 79


def test_training_and_test_images_are_all_the_digits_and_disjoint(example):
    split = example.load(quick=False)
    assert split.train_x.shape == (1437, 1, 32, 32)
    assert split.test_x.shape == (360, 1, 32, 32)
    assert all(part.dtype == np.float32 for part in split)
    both = np.concatenate([split.train_x, split.test_x])[:, 0, ::4, ::4]
    images, labels = data.digits()
    shift = both.min()

    def in_order(pixels, values):
        table = np.column_stack([pixels.reshape(len(pixels), 64), values])
        return table[np.lexsort(table.T)]

    values = np.concatenate([split.train_y, split.test_y])
    np.testing.assert_allclose(in_order(np.round(both - shift), values), in_order(images.astype(float), labels))
    assert abs(split.train_x.mean(dtype=np.float64)) < 1e-4


def test_the_network_is_the_notebooks(example):
    """Its arrays have the notebook's sizes, and its predictions are those of the formula in plain loops."""
    model = example.nn.models.NotebookNet()
    p = list(model.parameters())
    assert [a.shape for a in p] == [(4, 1, 3, 3), (4,), (10, 1024), (10,), (1, 10), (1,)]
    W, b, w1024, b1024, w10, b10 = (a.numpy().astype(np.float64) for a in p)
    x = np.random.default_rng(1).standard_normal((2, 1, 32, 32)).astype(np.float32)
    padded = np.pad(x[:, 0], ((0, 0), (1, 1), (1, 1))).astype(np.float64)
    for image, answer in zip(padded, example.predict(model, x), strict=True):
        features = [
            max(0.0, (image[2 * h : 2 * h + 3, 2 * w : 2 * w + 3] * W[c, 0]).sum() + b[c])
            for c, h, w in np.ndindex(4, 16, 16)
        ]
        np.testing.assert_allclose(answer, w10 @ (w1024 @ features + b1024) + b10, rtol=1e-4, atol=1e-5)


def test_a_seed_decides_the_run(example):
    split = example.load(quick=True)
    silent = example.Progress(io.StringIO())
    first, again, other = (example.train("adam", None, split, 1, 32, seed, silent).history[0] for seed in (3, 3, 4))
    assert first[:4] == again[:4]
    assert first[1:4] != other[1:4]


def test_divergence_is_reported_without_a_warning(example, capsys):
    assert example.main(["--quick", "--optimizer", "gd", "--lr", "10"]) == 1
    out, err = capsys.readouterr()
    assert rows(out)["gradient descent"]["test RMSE"] == "diverged"
    assert err == "\ndiverged: gradient descent; try a smaller --lr\n"


def test_the_picture(example, tmp_path, monkeypatch, capsys):
    image = pytest.importorskip("matplotlib.image")
    check_saved_pictures(monkeypatch)
    target = tmp_path / "digits.png"
    assert example.main(["--quick", "--epochs", "2", "--plot", str(target)]) == 0
    *_, drawn, _, _, _, last = capsys.readouterr().out.splitlines()
    assert drawn == f"drawn: {target}"
    assert last.startswith("The same convolution as a classifier")
    pixels = image.imread(target)[..., :3]
    assert pixels.shape == (1050, 1875, 3)
    for part in (pixels[:600, :900], pixels[750:, :900], pixels[:, 1000:]):
        assert np.ptp(part, axis=2).max() > 0.3, "each third of the picture has coloured marks"


def test_the_parts_of_the_picture_are_named_and_hold_the_results(example):
    figure = pytest.importorskip("matplotlib.figure").Figure(layout="constrained")
    split = example.load(quick=True)
    silent = example.Progress(io.StringIO())
    runs = [example.train(name, None, split, 2, 32, 0, silent) for name in example.OPTIMIZERS]
    runs[0] = runs[0]._replace(history=[e._replace(test_rmse=np.inf) for e in runs[0].history], diverged=True)
    example.draw(figure, runs, split)
    curves, *filters, answers = (ax for ax in figure.axes if ax.get_label() != "<colorbar>")
    legend = [text.get_text() for text in curves.get_legend().get_texts()]
    assert all(any(entry.startswith(label) for entry in legend) for label in LABELS)
    best = min(runs[1:], key=lambda run: run.history[-1].test_rmse)
    assert best.label in answers.get_title()
    assert len(filters) == 4
    for ax, values in zip(filters, best.model.conv.weight.numpy()[:, 0], strict=True):
        np.testing.assert_array_equal(ax.images[0].get_array(), values)
    points = answers.collections[0].get_offsets()
    np.testing.assert_array_equal(np.round(points[:, 0]), split.test_y[:, 0])
    np.testing.assert_allclose(points[:, 1], example.predict(best.model, split.test_x)[:, 0], rtol=1e-6)
    for ax in (curves, answers):
        assert ax.get_xlabel()
        assert ax.get_ylabel()
        assert ax.get_title()


@pytest.mark.slow
def test_without_matplotlib_a_message_names_the_extra_and_training_runs(tmp_path):
    stub = tmp_path / "stub" / "matplotlib"
    stub.mkdir(parents=True)
    (stub / "__init__.py").write_text("raise ImportError('absent')\n", encoding="utf-8")
    done = run(tmp_path, "--epochs", "1", "--plot", "digits.png", path=[stub.parent])
    assert done.returncode == 0
    assert "pip install 'tinygrad_cnn[plot]'" in done.stderr
    assert "Traceback" not in done.stderr
    assert list(rows(done.stdout)) == LABELS
    assert not (tmp_path / "digits.png").exists()


@pytest.mark.slow
def test_the_classifier_recognizes_nearly_all_digits(example, tmp_path, capsys):
    assert example.main(["--classify", "--epochs", "10", "--save", str(tmp_path / "weights.npz")]) == 0
    share, images = re.search(
        r"^([\d.]+)% of (\d+) test images are classified correctly", capsys.readouterr().out, re.MULTILINE
    ).groups()
    assert int(images) == 360
    assert float(share) > 95
    model = tg.nn.models.digits().eval()
    model.load_state_dict(tg.data.read_npz(tmp_path / "weights.npz"))
    images, labels, _, test = example.divided(quick=False)
    right = model(images[test, None] / np.float32(16)).numpy().argmax(axis=1) == labels[test]
    assert f"{right.mean():.2%}" == f"{share}%"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--classify", "--optimizer", "adam"], "argument --classify: it goes with neither --optimizer nor --plot"),
        (["--save", "weights.npz"], "argument --save: it needs --classify, whose network it saves"),
        (["--classify", "--save", "weights.bin"], "argument --save: 'weights.bin' must be the name of a .npz file"),
        (["--optimizer", "sgd"], "argument --optimizer: invalid choice: 'sgd'"),
        (["--epochs", "0"], "argument --epochs: '0' must be a whole number, at least 1"),
        (["--epochs", "1.5"], "argument --epochs: '1.5' must be a whole number, at least 1"),
        (["--batch-size", "0"], "argument --batch-size: '0' must be a whole number, at least 1"),
        (["--batch-size", "1438"], "argument --batch-size: 1438 must not exceed the 1437 training images"),
        (["--quick", "--batch-size", "641"], "argument --batch-size: 641 must not exceed the 640 training images"),
        (["--lr", "0"], "argument --lr: '0' must be a number above 0"),
        (["--lr", "nan"], "argument --lr: 'nan' must be a number above 0"),
        (["--lr", "inf"], "argument --lr: 'inf' must be a number above 0"),
        (["--lr", "fast"], "argument --lr: 'fast' must be a number above 0"),
        (["--seed", "-1"], "argument --seed: '-1' must be a whole number, at least 0"),
        (["--plot", "missing/digits.png"], "argument --plot: the folder 'missing' does not exist; make it first"),
        (["--plot", "digits.txt"], "argument --plot: 'digits.txt' must be the name of a .png file"),
        (["--plot", "folder.png"], "argument --plot: 'folder.png' must be the name of a .png file"),
    ],
)
def test_bad_arguments_are_refused_before_training(example, arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(SystemExit) as stop:
        example.main(arguments)
    out, err = capsys.readouterr()
    assert (stop.value.code, out) == (2, "")
    assert message in err
