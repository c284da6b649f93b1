"""The binary version of CIFAR-10 and CIFAR-100."""

from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from .source import DataFileError, PathLike, check_labels, fill, finish, opened

Examples: TypeAlias = tuple[NDArray[np.uint8], NDArray[np.int64]]

CIFAR10_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
"""The names of the labels of CIFAR-10."""

_SHAPE = (3, 32, 32)
_PIXELS = 3 * 32 * 32
_HOW = "get the binary version, cifar-{}-binary.tar.gz, from https://www.cs.toronto.edu/~kriz/cifar.html and unpack it"


def read_cifar10(path: PathLike) -> Examples:
    """Images (N, 3, 32, 32) uint8 and labels (N,) int64 from 0 to 9, of one file such as ``data_batch_1.bin``.

    The file has for each example a byte for the label and 3,072 for the image, one channel after the other.

    Raises:
        OSError: if the file cannot be opened.
        DataFileError: a ValueError with file, field and value, if the file does not consist of such records.
    """
    records = _records(path, 1 + _PIXELS)
    return _images(records, 1), check_labels(records[:, 0], 10, f"{path}: labels")


def read_cifar100(path: PathLike, labels: str = "fine") -> Examples:
    """Images (N, 3, 32, 32) uint8 and labels (N,) int64, of one file such as ``train.bin``.

    The file has for each example a byte for the coarse label, one for the fine label, and 3,072 for the image.

    Args:
        path: the file.
        labels: "fine" for 100 classes or "coarse" for the 20 superclasses.

    Raises:
        ValueError: if `labels` is neither.
        OSError, DataFileError: as :func:`read_cifar10`.
    """
    if labels not in ("fine", "coarse"):
        raise ValueError(f"read_cifar100: `labels` is {labels!r}; it must be 'fine' or 'coarse'")
    records = _records(path, 2 + _PIXELS)
    coarse = check_labels(records[:, 0], 20, f"{path}: coarse labels")
    fine = check_labels(records[:, 1], 100, f"{path}: fine labels")
    return _images(records, 2), fine if labels == "fine" else coarse


def cifar10(root: PathLike) -> tuple[Examples, Examples]:
    """((train images, labels), (test images, labels)) of CIFAR-10 from its five training batches and its test batch.

    Images are (50000, 3, 32, 32) and (10000, 3, 32, 32) uint8, labels int64; their names are ``CIFAR10_CLASSES``.

    Source: A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009.

    Args:
        root: the folder of the files, or its parent if its name is ``cifar-10-batches-bin``.

    Raises:
        FileNotFoundError: if a file is missing.
        DataFileError: as :func:`read_cifar10`.
    """
    names = [f"data_batch_{number}.bin" for number in range(1, 6)]
    *train, test = _found("cifar10", root, "cifar-10-batches-bin", [*names, "test_batch.bin"], _HOW.format(10))
    images, labels = zip(*map(read_cifar10, train), strict=True)
    return (np.concatenate(images), np.concatenate(labels)), read_cifar10(test)


def cifar100(root: PathLike, labels: str = "fine") -> tuple[Examples, Examples]:
    """((train images, labels), (test images, labels)) of CIFAR-100 from ``train.bin`` and ``test.bin``.

    Images are (50000, 3, 32, 32) and (10000, 3, 32, 32) uint8, labels int64.

    Source: A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009.

    Args:
        root: the folder of the files, or its parent if its name is ``cifar-100-binary``.
        labels: "fine" for 100 classes or "coarse" for the 20 superclasses.

    Raises:
        FileNotFoundError: if a file is missing.
        ValueError, DataFileError: as :func:`read_cifar100`.
    """
    train, test = _found("cifar100", root, "cifar-100-binary", ["train.bin", "test.bin"], _HOW.format(100))
    return read_cifar100(train, labels), read_cifar100(test, labels)


def _records(path: PathLike, size: int) -> NDArray[np.uint8]:
    with opened(path) as (stream, length):
        if not length or length % size:
            raise DataFileError(f"{path}: size is {length} bytes; it must be a multiple of {size}, for one record")
        records = fill(stream, (length // size, size), np.uint8, length, f"{path}: records")
        finish(stream, f"{path}: records")
    return records


def _images(records: NDArray[np.uint8], labels: int) -> NDArray[np.uint8]:
    return np.ascontiguousarray(records[:, labels:]).reshape(-1, *_SHAPE)


def _found(name: str, root: PathLike, inner: str, files: list[str], how: str) -> list[Path]:
    folder = Path(root) / inner if (Path(root) / inner).is_dir() else Path(root)
    missing = [file for file in files if not (folder / file).is_file()]
    if missing:
        raise FileNotFoundError(f"{name}: {folder} has no {', '.join(missing)}; {how}")
    return [folder / file for file in files]
