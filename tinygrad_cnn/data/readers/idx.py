"""The IDX format of the MNIST files."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .source import DataFileError, PathLike, fill, finish, take, unpacked

_DTYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_MOST_AXES = 32  # in every version of NumPy


def read_idx(path: PathLike) -> NDArray[Any]:
    """The array in an IDX file, gzipped or not, in the machine's byte order.

    Such a file has two zero bytes, a byte for the dtype, a byte for the number of axes, the length of each axis as a
    big-endian 32-bit number, and the elements in C order.

    Source: Y. LeCun, C. Cortes, C. Burges, "The MNIST database of handwritten digits".

    Raises:
        OSError: if the file cannot be opened.
        DataFileError: a ValueError with file, field and value, if the file is truncated, too long or not IDX.

    >>> import tempfile, pathlib, tinygrad_cnn as tg
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder) / "labels.idx1-ubyte"
    ...     _ = path.write_bytes(bytes([0, 0, 0x08, 1, 0, 0, 0, 3, 7, 2, 1]))
    ...     tg.data.read_idx(path)
    array([7, 2, 1], dtype=uint8)
    """
    with unpacked(path) as (stream, most):
        magic = take(stream, 4, f"{path}: magic number")
        if magic[:2] != b"\0\0" or magic[2] not in _DTYPES:
            raise DataFileError(
                f"{path}: magic number is 0x{magic.hex()}; an IDX file begins with 0x0000 and one of the dtypes "
                f"{', '.join(f'0x{code:02x}' for code in _DTYPES)}"
            )
        axes = magic[3]
        if not 1 <= axes <= _MOST_AXES:
            raise DataFileError(f"{path}: number of axes is {axes}; it must be from 1 to {_MOST_AXES}")
        lengths = take(stream, 4 * axes, f"{path}: lengths of {axes} axes")
        shape = np.frombuffer(lengths, ">u4").tolist()
        array = fill(stream, shape, _DTYPES[magic[2]], most - 4 - 4 * axes, f"{path}: data")
        finish(stream, f"{path}: data of shape {tuple(shape)}")
    return array.astype(array.dtype.newbyteorder("="), copy=False)
