"""``save`` and ``load``."""

import os
import stat
from pathlib import Path
from typing import Any, TypeAlias

from ..checks import check_path
from . import npz, safetensors, torch_file
from .atomic import replacing
from .errors import CheckpointError
from .structure import pack, unpack

PathLike: TypeAlias = str | os.PathLike[str]


def save(path: PathLike, state: Any) -> None:
    """Write nested state to a file, atomically: a process killed at any moment leaves the old file or the new one.

    `state` consists of dicts, lists and tuples; arrays and Tensors of numbers or Booleans; NumPy scalars; str, bytes, int,
    float, bool and None. Keys of dicts can be any of the plain values. :func:`load` returns the same, with types, dtypes
    and 0-d arrays. Tensors are saved as arrays; subclasses (a named tuple, an OrderedDict, an enum of ints) are saved as
    their base types.

    Args:
        path: ends in .npz, or in .safetensors if that package is installed (the extra ``safetensors``).
        state: the state. NumPy, or PyTorch's safetensors, can read the file of a flat dict of arrays by its names.

    Raises:
        TypeError: if the arguments are exchanged, or `state` holds something else, or a dtype that .safetensors does not have.
        ValueError: if the name of the file ends otherwise, or `state` contains itself.
        OSError: if the file cannot be written. After any exception, an old file is unchanged.

    >>> import tempfile, numpy as np, tinygrad_cnn as tg
    >>> w = tg.ones(2, requires_grad=True)
    >>> optimizer = tg.optim.Adam([w])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     tg.save(f"{folder}/state.npz", {"w": w, "optimizer": optimizer.state_dict(), "epoch": 3})
    ...     state = tg.load(f"{folder}/state.npz")
    >>> state["w"], state["epoch"]
    (array([1., 1.], dtype=float32), 3)
    >>> optimizer.load_state_dict(state["optimizer"])
    """
    if isinstance(state, str | os.PathLike) and not isinstance(path, str | os.PathLike):
        raise TypeError("save: the path comes first, tg.save(path, state); torch.save has the state first")
    check_path("save", path)
    file_path = Path(path)
    suffix = _suffix("save", file_path)
    arrays, text = pack(state)
    if suffix == ".safetensors":
        safetensors.package("save")
    write = npz.write if suffix == ".npz" else safetensors.write
    with replacing(file_path) as file:
        write(file, arrays, text)


def load(path: PathLike) -> Any:
    """The state that :func:`save` wrote; from a file of another origin, a flat dict of its arrays.

    A .pth, .pt or .ckpt file is one that ``torch.save`` wrote, of dicts, lists, plain values and tensors of numbers, which
    become arrays (bfloat16 as float32). It may not hold anything else: a file that names other classes or functions is refused.

    Untrusted files are safe: nothing in them is executed, sizes are compared with the file before memory is allocated, and
    checksums show damage (except in a .safetensors file of another origin, and in one of PyTorch before 1.6). Compressed
    archives are refused, since a small one can decompress to any size.

    Raises:
        CheckpointError: a ValueError with file and reason, if the file is damaged, of another format, or holds something else.
        ValueError: if its name ends otherwise.
        OSError: if the file does not exist or cannot be read.
    """
    check_path("load", path)
    file_path = Path(path)
    suffix = _suffix("load", file_path, torch_file.SUFFIXES)
    if suffix == ".safetensors":
        safetensors.package("load")
    if not stat.S_ISREG(file_path.stat().st_mode):
        raise CheckpointError(f"load: {file_path} is not a regular file")
    with open(file_path, "rb") as file:
        try:
            size = os.fstat(file.fileno()).st_size
            if suffix in torch_file.SUFFIXES:
                return torch_file.read(file, size)
            arrays, text = npz.read(file, size) if suffix == ".npz" else safetensors.read(file_path)
            return arrays if text is None else unpack(arrays, text)
        except Exception as error:  # parsers raise exceptions of any type on damaged bytes
            reason = str(error) if type(error) is ValueError else f"{type(error).__name__}: {error}"
            raise CheckpointError(f"load: {file_path} cannot be read: {reason}") from error


def _suffix(caller: str, path: Path, more: tuple[str, ...] = ()) -> str:
    suffix = path.suffix.lower()
    if suffix not in {".npz", ".safetensors", *more}:
        pickled = suffix in torch_file.SUFFIXES or suffix in {".bin", ".pkl"}
        why = "; pickles are not written, and read only from files of torch.save that end in .pth" if pickled else ""
        names = " or ".join([", ".join((".npz", *more)), ".safetensors"])
        raise ValueError(f"{caller}: `path` is {str(path)!r}; it must end in {names}{why}")
    return suffix
