"""NumPy's .npz archives, also from untrusted sources."""

import zipfile
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from .source import RATIO, DataFileError, PathLike, entries_of, fill, finish, opened


def read_npz(path: PathLike) -> dict[str, NDArray[Any]]:
    """The arrays of numbers in a file by ``np.savez`` or ``np.savez_compressed``, by name.

    Like ``np.load(path, allow_pickle=False)``, but all arrays are read at once, and no more memory is allocated than the
    bytes of the file can decompress to.

    Raises:
        OSError: if the file cannot be opened.
        DataFileError: a ValueError with file, entry and value, if the archive is damaged or has other entries.

    >>> import tempfile, pathlib, numpy as np, tinygrad_cnn as tg
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder) / "data.npz"
    ...     np.savez_compressed(path, x=np.eye(2), y=np.arange(2))
    ...     tg.data.read_npz(path)["x"].tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    with opened(path) as (file, size):
        try:
            with zipfile.ZipFile(file) as archive:
                return _arrays(archive, size, path)
        except DataFileError:
            raise
        except Exception as error:  # the parsers raise exceptions of any type on damaged bytes
            reason = str(error) or type(error).__name__
            raise DataFileError(f"{path}: it is not a whole .npz archive: {reason}") from error


def _arrays(archive: zipfile.ZipFile, size: int, path: PathLike) -> dict[str, NDArray[Any]]:
    entries = entries_of(archive, size)
    packed = sum(entry.compress_size for entry in entries)
    if packed > size:  # overlapping entries would decompress the same bytes many times
        raise DataFileError(f"{path}: its entries have {packed} bytes together; the file has {size}")
    arrays: dict[str, NDArray[Any]] = {}
    for entry in entries:
        where = f"{path}: entry {entry.filename!r}"
        name = entry.filename.removesuffix(".npy")
        if name == entry.filename:
            raise DataFileError(f"{where}: it is not an array; the name of an array ends in .npy")
        if name in arrays:
            raise DataFileError(f"{where}: there are two of this name")
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise DataFileError(f"{where}: its compression is method {entry.compress_type}; it must be 0 or 8, DEFLATE")
        with archive.open(entry) as stream:
            arrays[name] = _array(stream, entry.compress_size * RATIO, where)
    return arrays


def _array(stream: IO[bytes], most: int, where: str) -> NDArray[Any]:
    version = np.lib.format.read_magic(stream)
    if version != (1, 0):  # later versions are for longer headers than arrays of numbers have
        raise DataFileError(f"{where}: its version is {version}; arrays of numbers have (1, 0)")
    shape, fortran, dtype = np.lib.format.read_array_header_1_0(stream)
    if dtype.kind not in "biufc":
        raise DataFileError(f"{where}: its dtype is {dtype}; it must be one of numbers or Booleans")
    if any(length < 0 for length in shape):
        raise DataFileError(f"{where}: its shape is {shape}; no axis has a negative length")
    array = fill(stream, shape[::-1] if fortran else shape, dtype, most, where)
    finish(stream, where)
    if dtype == np.bool and (array.view(np.uint8) > 1).any():
        raise DataFileError(f"{where}: it holds a Boolean that is neither 0 nor 1")
    array = array.astype(dtype.newbyteorder("="), copy=False)
    return array.T if fortran else array
