"""The .npz format, which is NumPy's: an uncompressed zip archive of one .npy file for each array.

State that is more than a dict of arrays has one more entry, structure.json. Declared sizes are compared with the size of the
file before anything is allocated, and nothing is evaluated: the header of an array is matched as text.
"""

import math
import re
import zipfile
from typing import IO, BinaryIO

import numpy as np

from ..data.readers.source import entries_of, fill
from . import structure
from .structure import Array, Arrays, checked, number_dtype

STRUCTURE = "structure.json"
MAGIC = b"\x93NUMPY"
LONGEST = 10_000  # characters in the header of an array: NumPy's own limit

_HEADER = re.compile(
    r"\{\s*'descr':\s*'(?P<dtype>[^']+)',\s*'fortran_order':\s*(?P<fortran>True|False),"
    r"\s*'shape':\s*\((?P<shape>[\d,\s]*)\),?\s*\}\s*"
)


def write(file: BinaryIO, arrays: Arrays, text: str) -> None:
    """Write `arrays`, and the text of their structure unless they are a flat dict."""
    with zipfile.ZipFile(file, "w") as archive:
        if text != structure.flat(arrays):
            archive.writestr(zipfile.ZipInfo(STRUCTURE), text)
        for name, array in arrays.items():
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as entry:
                np.lib.format.write_array(entry, np.asarray(array), allow_pickle=False)


def read(file: BinaryIO, size: int) -> tuple[Arrays, str | None]:
    """The arrays by name, and the text of their structure or None; an Exception of any type for another file."""
    with zipfile.ZipFile(file) as archive:
        entries = entries_of(archive, size)
        for entry in entries:
            _examine(entry)
        if len({entry.filename for entry in entries}) < len(entries):
            raise ValueError("two entries have the same name")
        if sum(entry.file_size for entry in entries) > size:
            raise ValueError(f"the entries claim more than the {size} bytes of the file")
        if entries and min(entry.header_offset for entry in entries) > 0:
            raise ValueError("the archive does not begin where the file begins")
        arrays, text = {}, None
        for entry in entries:
            with archive.open(entry) as stream:
                if entry.filename == STRUCTURE:
                    text = stream.read().decode()
                else:
                    arrays[entry.filename.removesuffix(".npy")] = _array(stream, entry)
        return arrays, text


def _examine(entry: zipfile.ZipInfo) -> None:
    name = entry.filename
    if not structure.is_plain(name) or name != entry.orig_filename:
        raise ValueError(f"entry {name!r} has a name that is not a plain name of an array")
    if name != STRUCTURE and not name.endswith(".npy"):
        raise ValueError(f"entry {name!r} is not an array, which ends in .npy")
    if entry.compress_type != zipfile.ZIP_STORED:
        raise ValueError(
            f"entry {name!r} is compressed; only uncompressed archives are read, since a small compressed one can become "
            "any size: if you trust the file, convert it with save(path, dict(np.load(path)))"
        )
    if entry.comment:  # one of a damaged length would hide the entries that follow
        raise ValueError(f"entry {name!r} has a comment")
    if entry.flag_bits & 0x1:
        raise ValueError(f"entry {name!r} is encrypted")
    if entry.compress_size != entry.file_size:
        raise ValueError(f"entry {name!r} has two sizes, {entry.compress_size} and {entry.file_size}")


def _array(stream: IO[bytes], entry: zipfile.ZipInfo) -> Array:
    """The array of an entry, allocated after its header is compared with the size of the entry."""
    start = stream.read(8)
    if start not in (MAGIC + b"\1\0", MAGIC + b"\2\0"):
        raise ValueError(f"entry {entry.filename!r} does not begin like an array")
    width = 2 * start[6]
    length = int.from_bytes(stream.read(width), "little")
    header = stream.read(length).decode("latin-1") if length <= LONGEST else ""
    found = _HEADER.fullmatch(header)
    if not found:
        raise ValueError(
            f"entry {entry.filename!r} has the header {header[:100]!r}, which is not of an array of numbers"
        )
    dtype = number_dtype(found["dtype"])
    shape = tuple(int(n) for n in re.findall(r"\d+", found["shape"]))
    there = entry.file_size - 8 - width - length
    if math.prod(shape) * dtype.itemsize != there:
        raise ValueError(f"entry {entry.filename!r} claims to be {dtype} {shape} but has {there} bytes")
    fortran = found["fortran"] == "True"
    array = fill(stream, shape[::-1] if fortran else shape, dtype, there, f"entry {entry.filename!r}")
    return checked(f"entry {entry.filename!r}", array.T if fortran else array)
