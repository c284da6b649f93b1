"""Files of ``torch.save``, read without running anything in them: dicts, lists and plain values, and tensors of numbers.

Such a file is a pickle, which names functions that its reader is to call. Here a name is looked up in a table of seven, and
any other ends the reading. A file is a zip archive with the pickle and one entry for each storage, or, before PyTorch 1.6, a
row of pickles with the storages behind them. Tensors are views of storages, as in PyTorch, so that many of one storage take no
more memory than the file.
"""

import io
import math
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from operator import index
from typing import Any, BinaryIO, TypeAlias

import numpy as np

from ..data.readers.source import fill

Array: TypeAlias = np.ndarray[Any, Any]

SUFFIXES = (".pth", ".pt", ".ckpt")
"""How names of such files end."""

MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
REMEDY = "save a state_dict() with torch.save, or convert the file with PyTorch if you trust it"

DTYPES = {
    "Double": "f8", "Float": "f4", "Half": "f2", "Long": "i8", "Int": "i4", "Short": "i2", "Char": "i1", "Byte": "u1",
    "Bool": "?", "BFloat16": "u2",
}  # fmt: skip
"""The dtype of each kind of storage. NumPy has no bfloat16: its bits are the upper half of a float32."""


class _Kind:
    """A kind of storage, in place of the class that the pickle names."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name


class _Function:
    """A function that a pickle may call. It has no attributes, so a pickle cannot set one."""

    __slots__ = ("_call",)

    def __init__(self, call: Callable[..., Any]) -> None:
        self._call = call

    def __call__(self, *args: Any) -> Any:
        return self._call(*args)


class _Reader(pickle._Unpickler):
    """A pickle of dicts, lists, plain values and tensors; `storage` returns the array of a kind, a key and a length.

    It is the unpickler written in Python: that in C reserves as much memory as a number in the file says.
    """

    def __init__(self, file: Any, storage: Callable[[str, str, int], Array]) -> None:
        super().__init__(file, encoding="utf-8")
        self._storage = storage

    def find_class(self, module: str, name: str) -> Any:
        """What stands for a name in the file."""
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if module == "torch._utils" and name in ("_rebuild_tensor_v2", "_rebuild_tensor"):
            return _Function(_tensor)
        if (module, name) == ("torch._utils", "_rebuild_parameter"):
            return _Function(lambda data, requires_grad, hooks: data)
        if (module, name) == ("torch", "Size"):
            return _Function(tuple)
        if module in ("torch", "torch.storage") and name.endswith("Storage") and name[:-7] in DTYPES:
            return _Kind(name[:-7])
        raise ValueError(
            f"it names {module}.{name}, and only tensors, dicts, lists and plain values are read; {REMEDY}"
        )

    def persistent_load(self, pid: Any) -> Array:
        """The storage that an entry of the pickle stands for."""
        tag, kind, key, _, length, *rest = pid
        if tag != "storage" or not isinstance(kind, _Kind) or not isinstance(key, str):
            raise ValueError(f"it refers to {pid!r:.80}, which is no storage")
        array = self._storage(kind.name, key, index(length))
        if rest and rest[0] is not None:  # a part of a storage
            _, start, count = rest[0]
            array = array[index(start) : index(start) + index(count)]
        return array


def _tensor(storage: Any, offset: Any, size: Any, stride: Any, *_: Any) -> Array:
    """The view of a storage that is a tensor."""
    if not isinstance(storage, np.ndarray) or storage.ndim != 1:
        raise ValueError(f"a tensor is built of a {type(storage).__name__}, which is no storage")
    start, shape, steps = index(offset), tuple(map(index, size)), tuple(map(index, stride))
    if len(shape) != len(steps) or min((start, *shape, *steps)) < 0:
        raise ValueError(f"a tensor has offset {start}, size {shape} and strides {steps}")
    count = math.prod(shape)
    last = start + sum((n - 1) * step for n, step in zip(shape, steps, strict=True)) if count else start
    if (last >= len(storage) if count else start > len(storage)) or count > max(len(storage), 1):
        raise ValueError(f"a tensor of size {shape} and strides {steps} is larger than its storage of {len(storage)}")
    strides = tuple(step * storage.itemsize for step in steps)
    return np.ndarray(shape, storage.dtype, storage, start * storage.itemsize, strides)


def read(file: BinaryIO, size: int) -> Any:
    """What ``torch.save`` was given, with arrays for tensors; an Exception of any type for another file."""
    start = file.read(4)
    file.seek(0)
    return _read_zip(file, size) if start == b"PK\3\4" else _read_legacy(file, size)


def _read_zip(file: BinaryIO, size: int) -> Any:
    with zipfile.ZipFile(file) as archive:
        entries = {entry.filename: entry for entry in archive.infolist()}
        for entry in entries.values():
            if entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & 0x1:
                raise ValueError(f"entry {entry.filename!r} is compressed or encrypted, as torch.save writes none")
        if sum(entry.file_size for entry in entries.values()) > size:
            raise ValueError(f"the entries claim more than the {size} bytes of the file")
        found = [name for name in entries if name.endswith("/data.pkl") and name.count("/") == 1]
        if len(found) != 1:
            raise ValueError("it has no entry data.pkl: torch.save did not write it, or it is a TorchScript archive")
        folder = found[0].removesuffix("data.pkl")
        order = archive.read(f"{folder}byteorder") if f"{folder}byteorder" in entries else b"little"
        if order not in (b"little", b"big"):
            raise ValueError(f"its byte order is {order!r:.20}")
        kept: dict[str, tuple[str, Array]] = {}

        def storage(kind: str, key: str, length: int) -> Array:
            if key not in kept:
                entry = entries[f"{folder}data/{key}"]
                with archive.open(entry) as stream:
                    kept[key] = kind, _values(stream, kind, length, entry.file_size, order.decode(), f"storage {key!r}")
            before, array = kept[key]
            if before != kind or len(array) != length:
                raise ValueError(f"storage {key!r} has two types")
            return array

        return _Reader(io.BytesIO(archive.read(found[0])), storage).load()


def _values(stream: Any, kind: str, length: int, there: int, order: str, what: str) -> Array:
    """The numbers of a storage of `there` bytes."""
    dtype = np.dtype(DTYPES[kind]).newbyteorder("<" if order == "little" else ">")
    if length < 0 or length * dtype.itemsize > there:
        raise ValueError(f"{what} claims {length} numbers of {dtype.itemsize} bytes but has {there} bytes")
    array = fill(stream, (length,), dtype, length * dtype.itemsize, what)
    if kind == "Bool":
        return np.not_equal(array.view(np.uint8), 0)  # other bytes than 0 and 1 are no Booleans to NumPy
    array = array.astype(dtype.newbyteorder("="), copy=False)
    return np.asarray(array.astype(np.uint32) << 16).view(np.float32) if kind == "BFloat16" else array


def _read_legacy(file: BinaryIO, size: int) -> Any:
    def nothing(kind: str, key: str, length: int) -> Array:
        raise ValueError("its head refers to a storage")

    if _Reader(file, nothing).load() != MAGIC:
        raise ValueError("it is no file of torch.save of version 0.4 or newer")
    if _Reader(file, nothing).load() != PROTOCOL:
        raise ValueError("its protocol is unknown")
    system = _Reader(file, nothing).load()
    order = "little" if isinstance(system, dict) and system.get("little_endian", True) else "big"
    place = file.tell()
    wanted = _storages(file)
    arrays: dict[str, tuple[str, Array]] = {}
    keys = _Reader(file, nothing).load()
    if not isinstance(keys, list) or sorted(map(str, keys)) != sorted(wanted):
        raise ValueError("its storages are not those that it lists")
    for key in keys:
        kind, length = wanted[key]
        if int.from_bytes(file.read(8), order, signed=True) != length:  # type: ignore[arg-type]
            raise ValueError(f"storage {key!r} has two lengths")
        arrays[key] = kind, _values(file, kind, length, size - file.tell(), order, f"storage {key!r}")
    file.seek(place)
    return _Reader(file, lambda kind, key, length: arrays[key][1]).load()


class _Lister(_Reader):
    """A pickle that is read for its storages, before these are there: its tensors are None."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__(file, self._noted)
        self.wanted: dict[str, tuple[str, int]] = {}

    def _noted(self, kind: str, key: str, length: int) -> Array:
        if self.wanted.setdefault(key, (kind, length)) != (kind, length):
            raise ValueError(f"storage {key!r} has two types")
        return np.empty(0)

    def find_class(self, module: str, name: str) -> Any:
        """What stands for a name in the file."""
        found = super().find_class(module, name)
        return _Function(lambda *args: None) if module == "torch._utils" else found


def _storages(file: BinaryIO) -> dict[str, tuple[str, int]]:
    reader = _Lister(file)
    reader.load()
    return reader.wanted
