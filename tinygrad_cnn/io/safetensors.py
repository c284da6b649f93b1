"""The .safetensors format, which PyTorch and others read and write, by the package of that name.

The metadata has the text of the structure, which other readers ignore, and a digest, since the format has no checksum.
"""

import hashlib
import json
from pathlib import Path
from types import ModuleType
from typing import Any, BinaryIO

import numpy as np

from .structure import Arrays, checked

STRUCTURE = "tinygrad_cnn.structure"
DIGEST = "tinygrad_cnn.sha256"

_KINDS = {"b": "BOOL", "i": "I", "u": "U", "f": "F", "c": "C"}
_DTYPES = {
    dtype: _KINDS[dtype.kind] + str(8 * dtype.itemsize) * (dtype.kind != "b")
    for dtype in map(np.dtype, ["?", "i1", "<i2", "<i4", "<i8", "u1", "<u2", "<u4", "<u8", "<f2", "<f4", "<f8", "<c8"])
}


def package(caller: str) -> ModuleType:
    """The safetensors package, or an ImportError that says how to install it."""
    try:
        import safetensors.numpy
    except ImportError as error:
        raise ImportError(
            f"{caller}: .safetensors files need the package safetensors: pip install 'tinygrad_cnn[safetensors]', or use "
            ".npz, which needs none"
        ) from error
    return safetensors


def write(file: BinaryIO, arrays: Arrays, text: str) -> None:
    """Write `arrays`, in C order and little-endian, with the text of their structure.

    The package writes the metadata in an order that differs from call to call, so the file is written here: the length of the
    header in 8 bytes, the header as JSON padded to a multiple of 8, then the arrays, the largest items first so that all are
    aligned. TypeError if the format does not have the dtype of an array.
    """
    dense = {}
    for name, array in arrays.items():
        native = array.dtype.newbyteorder("<")
        if native not in _DTYPES:
            raise TypeError(
                f"save: array {name!r} is {native}, which the format does not have; convert it, or save as .npz"
            )
        dense[name] = np.asarray(array, native, order="C")
    header: dict[str, Any] = {"__metadata__": {STRUCTURE: text, DIGEST: digest(dense, text)}}
    order, end = sorted(dense, key=lambda name: (-dense[name].itemsize, name)), 0
    for name in order:
        array, start = dense[name], end
        end += array.nbytes
        header[name] = {"dtype": _DTYPES[array.dtype], "shape": array.shape, "data_offsets": (start, end)}
    encoded = json.dumps(header, separators=(",", ":")).encode()
    encoded += b" " * (-len(encoded) % 8)
    file.write(len(encoded).to_bytes(8, "little") + encoded)
    for name in order:
        file.write(dense[name].reshape(-1).view(np.uint8).data)


def read(path: Path) -> tuple[Arrays, str | None]:
    """The arrays by name, and the text of their structure or None; an Exception of any type for another file."""
    with package("load").safe_open(path, framework="numpy") as file:
        metadata = file.metadata() or {}
        arrays = {}
        for name in file.keys():  # noqa: SIM118
            dtype = file.get_slice(name).get_dtype()
            if dtype.startswith(("BF", "F8", "F4")):
                raise ValueError(f"array {name!r} is {dtype}, which NumPy does not have; convert it before")
            arrays[name] = checked(f"array {name!r}", file.get_tensor(name))
    text = metadata.get(STRUCTURE)
    if (text is None) != (DIGEST not in metadata):
        raise ValueError("its metadata is damaged")
    if text is not None and digest(arrays, text) != metadata[DIGEST]:
        raise ValueError("its content is damaged: the digest differs")
    return arrays, text


def digest(arrays: Arrays, text: str) -> str:
    """SHA-256 of the names, dtypes, shapes and values of arrays in C order, and of a text."""
    total = hashlib.sha256(text.encode())
    for name in sorted(arrays):
        array = arrays[name].astype(arrays[name].dtype.newbyteorder("<"), copy=False)
        total.update(repr((name, array.dtype.name, array.shape)).encode())
        total.update(array.reshape(-1).view(np.uint8).data)
    return total.hexdigest()
