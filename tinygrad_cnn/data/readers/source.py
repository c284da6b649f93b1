"""Files as bounded streams of bytes."""

import gzip
import math
import os
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Protocol, TypeAlias

import numpy as np
from numpy.typing import DTypeLike, NDArray

PathLike: TypeAlias = str | os.PathLike[str]

RATIO = 1032  # DEFLATE, in gzip and zip, decompresses a byte to no more than this
RECORD = 22  # bytes of the record that ends a zip archive
PIECE = 1 << 20  # bytes that are read at once


class Stream(Protocol):
    """A stream of bytes."""

    def read(self, size: int, /) -> bytes:
        """The next `size` bytes, or fewer at the end."""


class DataFileError(ValueError):
    """A data file is truncated, too long, or has other data. The message gives file, field and value."""


@contextmanager
def opened(path: PathLike) -> Iterator[tuple[BinaryIO, int]]:
    """A file and its size in bytes. DataFileError if it is not a regular file: reading a pipe might never end."""
    if Path(path).exists() and not Path(path).is_file():
        raise DataFileError(f"{path}: it is not a regular file")
    with open(path, "rb") as file:
        yield file, os.fstat(file.fileno()).st_size


@contextmanager
def unpacked(path: PathLike) -> Iterator[tuple[Stream, int]]:
    """A file, unpacked if it is gzipped, and the most bytes that it can have. DataFileError if the gzip stream is damaged."""
    with opened(path) as (file, size):
        packed = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        if not packed:
            yield file, size
            return
        try:
            with gzip.open(file) as stream:
                yield stream, size * RATIO
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise DataFileError(f"{path}: its gzip stream is damaged: {error}") from error


def take(stream: Stream, count: int, where: str) -> bytes:
    """The next `count` bytes, or a DataFileError if there are fewer; `where` names file and field."""
    found = stream.read(count)
    if len(found) < count:
        raise DataFileError(f"{where}: the file ends after {len(found)} of {count} bytes")
    return found


def fill(stream: Stream, shape: Sequence[int], dtype: DTypeLike, most: int, where: str) -> NDArray[Any]:
    """The next bytes as an array, or a DataFileError if there are fewer; `where` names file and field.

    Nothing is allocated for an array of more than `most` bytes, the number that the file can have.
    """
    dtype = np.dtype(dtype)
    size = math.prod(shape) * dtype.itemsize
    declared = f"{where}: it is declared as {tuple(shape)} of {dtype.name}, {size} bytes"
    if size > most:
        raise DataFileError(f"{declared}, but the file has at most {most}")
    try:
        array = np.empty(shape, dtype)
    except (ValueError, OverflowError) as error:  # no elements, and yet axes that overflow
        raise DataFileError(f"{declared}: {error}") from None
    at, memory = 0, array.reshape(-1).view(np.uint8)
    while at < size:
        piece = stream.read(min(PIECE, size - at))
        if not piece:
            raise DataFileError(f"{declared}, but the file ends after {at}")
        memory[at : at + len(piece)] = np.frombuffer(piece, np.uint8)
        at += len(piece)
    return array


def finish(stream: Stream, where: str) -> None:
    """Raise DataFileError if more bytes follow. At its end, a gzip stream checks its digest."""
    if stream.read(1):
        raise DataFileError(f"{where}: the file goes on after it; it is longer than it declares")


def entries_of(archive: zipfile.ZipFile, size: int) -> list[zipfile.ZipInfo]:
    """The entries of an archive of `size` bytes.

    ValueError if there is none and yet more than the record of an empty archive: a record of zeros at the end of a file, as a
    crash may leave it, tells of no entry.
    """
    entries = archive.infolist()
    if not entries and size > RECORD + len(archive.comment):
        raise ValueError(f"the end of the archive is damaged: it tells of no entry, and the file has {size} bytes")
    return entries


def check_labels(labels: NDArray[Any], classes: int, where: str) -> NDArray[np.int64]:
    """Labels as int64, or a DataFileError for the first that is not from 0 to classes - 1."""
    wrong = (labels < 0) | (labels >= classes)
    if wrong.any():
        at = int(wrong.argmax())
        raise DataFileError(f"{where}: label {at} is {labels[at]}; it must be from 0 to {classes - 1}")
    return labels.astype(np.int64)
