"""Split nested state into named arrays and a JSON text of everything else, and join the two again.

In the text a list stands for itself. An object has one key, which says what its content is:

    {"dict": [[key, value], ...]}   {"tuple": [...]}   {"array": name}   {"scalar": [dtype, hex]}
    {"int": hex}   {"float": "nan"}   {"bytes": base64}

None, Booleans, strings, finite floats and ints of 64 bits stand for themselves.
"""

import base64
import json
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..tensor import Tensor

Array: TypeAlias = NDArray[Any]
Arrays: TypeAlias = dict[str, Array]

NUMBERS = "biufc"
DEPTH = 100
"""How deep containers may nest. The limit stops states that contain themselves, and hostile texts."""

_FORBIDDEN = re.compile(r"[\x00-\x1f\x7f\\]|^[A-Za-z]:[\\/]")
_DTYPE = re.compile(r"[<>=|]?[biufc]\d{1,2}")
_KINDS = "dicts, lists and tuples of arrays and Tensors of numbers, numbers, str, bytes, bool and None"


def pack(state: Any) -> tuple[Arrays, str]:
    """Split `state` into arrays, with names like "model.conv.weight", and the text of its structure.

    Raises:
        TypeError: if a value cannot be saved; the message says where it is, as ``state['model']['x']``.
        ValueError: if `state` nests too deep or contains itself, or a str is not Unicode.
    """
    packer = _Packer()
    return packer.arrays, json.dumps(packer.encode(state, (), DEPTH), separators=(",", ":"))


def unpack(arrays: Arrays, text: str) -> Any:
    """Join what :func:`pack` returned. A text that `pack` did not write raises an exception of any type."""
    left = dict(arrays)
    state = _decode(json.loads(text), left, DEPTH)
    if left:
        raise ValueError(f"array {next(iter(left))!r} has no place in the structure")
    return state


def flat(arrays: Mapping[str, Array]) -> str:
    """The text of a flat dict of arrays."""
    return json.dumps({"dict": [[name, {"array": name}] for name in arrays]}, separators=(",", ":"))


def is_plain(name: str) -> bool:
    """Whether an archive can store an array under `name`: a relative path that stays inside the archive."""
    if len(name) > 1000 or name == "__metadata__":  # which has a meaning in safetensors
        return False
    return not _FORBIDDEN.search(name) and _is_unicode(name) and {"", ".", ".."}.isdisjoint(name.split("/"))


def number_dtype(text: str) -> np.dtype[Any]:
    """The dtype with this name, such as "<f4"; ValueError unless it is one of numbers or Booleans."""
    if not _DTYPE.fullmatch(text):
        raise ValueError(f"dtype {text!r} is not one of numbers or Booleans")
    return np.dtype(text)


def checked(name: str, array: Array) -> Array:
    """The array itself; ValueError if it stores a Boolean as another byte than 0 or 1, which NumPy treats inconsistently."""
    if array.dtype.kind == "b" and array.size and (largest := array.view(np.uint8).max()) > 1:
        raise ValueError(f"{name} holds the byte {largest} as a Boolean; it must be 0 or 1")
    return array


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


class _Packer:
    def __init__(self) -> None:
        self.arrays: Arrays = {}

    def encode(self, value: Any, path: tuple[Any, ...], depth: int) -> Any:
        if isinstance(value, Tensor):
            value = value.numpy()
        if isinstance(value, np.ndarray):
            return {"array": self._keep(value, path)}
        if isinstance(value, np.generic) and value.dtype.kind in NUMBERS:
            return {"scalar": [value.dtype.str, value.tobytes().hex()]}
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, int):
            return value if -(2**63) <= value < 2**63 else {"int": hex(value)}
        if isinstance(value, float):
            return value if math.isfinite(value) else {"float": repr(float(value))}
        if isinstance(value, str):
            if not _is_unicode(value):
                raise ValueError(f"save: {_where(path)} is {value!r}, which is not Unicode text; save it as bytes")
            return value
        if isinstance(value, bytes):
            return {"bytes": base64.b64encode(value).decode()}
        if not isinstance(value, list | tuple | Mapping):
            remedy = ": save its state_dict()" if hasattr(value, "state_dict") else ""
            raise TypeError(f"save: {_where(path)} is a {type(value).__name__}; a state is made of {_KINDS}{remedy}")
        if not depth:
            raise ValueError(f"save: `state` contains itself, or nests over {DEPTH} deep, at {_where(path[:4])}...")
        if isinstance(value, Mapping):
            return {"dict": [self._item(key, branch, path, depth) for key, branch in value.items()]}
        branches = [self.encode(branch, (*path, i), depth - 1) for i, branch in enumerate(value)]
        return branches if isinstance(value, list) else {"tuple": branches}

    def _item(self, key: Any, value: Any, path: tuple[Any, ...], depth: int) -> list[Any]:
        if not isinstance(key, str | bytes | int | float | np.generic | None):
            given = f"the key {key!r}, a {type(key).__name__}"
            raise TypeError(f"save: {_where(path)} has {given}; keys are str, bytes, numbers, bool or None")
        return [self.encode(key, (*path, key), 0), self.encode(value, (*path, key), depth - 1)]

    def _keep(self, array: Array, path: tuple[Any, ...]) -> str:
        if type(array) not in (np.ndarray, np.memmap) or array.dtype.kind not in NUMBERS:
            found = f"{_where(path)} is a {type(array).__name__} of {array.dtype}"
            raise TypeError(f"save: {found}; it must be a plain array of numbers or Booleans")
        name = ".".join(map(str, path))
        if not is_plain(name) or name in self.arrays:
            name = next(other for other in self._numbered() if other not in self.arrays)
        self.arrays[name] = array
        return name

    def _numbered(self) -> Iterator[str]:
        i = len(self.arrays)
        while True:
            yield f"array_{i}"
            i += 1


def _where(path: tuple[Any, ...]) -> str:
    return f"`state{''.join(f'[{key!r}]' for key in path)}`"


def _decode(node: Any, arrays: Arrays, depth: int, path: tuple[Any, ...] = ()) -> Any:
    if node is None or isinstance(node, bool | int | float | str):
        return node
    if depth < 0:
        raise ValueError(f"the structure nests more than {DEPTH} deep")
    if isinstance(node, list):
        return [_decode(branch, arrays, depth - 1, (*path, i)) for i, branch in enumerate(node)]
    ((kind, content),) = node.items()
    if kind == "dict":
        keys = [_decode(key, {}, 0, path) for key, _ in content]
        values = [_decode(v, arrays, depth - 1, (*path, key)) for key, (_, v) in zip(keys, content, strict=True)]
        result = dict(zip(keys, values, strict=True))
        if len(result) < len(keys):
            raise ValueError("a dict of the structure repeats a key")
        return result
    if kind == "tuple":
        return tuple([_decode(branch, arrays, depth - 1, (*path, i)) for i, branch in enumerate(content)])
    try:
        return _leaf(kind, content, arrays)
    except Exception as error:  # parsers raise exceptions of any type
        raise ValueError(f"{_where(path)}: {error}") from error


def _leaf(kind: str, content: Any, arrays: Arrays) -> Any:
    if kind == "array":
        if content not in arrays:
            raise ValueError(f"names array {content!r}, which is missing or named twice")
        return arrays.pop(content)
    if kind == "scalar":
        dtype, data = number_dtype(content[0]), bytes.fromhex(content[1])
        if len(data) != dtype.itemsize:
            raise ValueError(f"has {len(data)} bytes, which are no {dtype}")
        return checked("it", np.frombuffer(data, dtype))[0]
    if kind == "int":
        return int(content, 16)
    if kind == "float":
        return float(content)
    if kind == "bytes":
        return base64.b64decode(content, validate=True)
    raise ValueError(f"has an unknown kind {kind!r}")
