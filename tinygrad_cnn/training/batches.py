"""Batches as `fit`, `evaluate` and `predict` take them: the arguments of the model, and the target last."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from ..numpy_api.creation import from_numpy
from ..ops.data import native
from ..ops.replaced import apart
from ..tensor import Tensor

Keys: TypeAlias = Sequence[str]
"""Names of the entries of a batch that is a dict: the model's arguments, and the target last."""


def check_keys(name: str, keys: Any, least: int = 2) -> None:
    """TypeError or ValueError unless `keys` is None or has the names of at least `least` parts."""
    if keys is None:
        return
    rule = (
        "it must be a tuple of the names of the model's arguments and of the target, last, such as ('image', 'label')"
    )
    if isinstance(keys, str) or not isinstance(keys, Sequence) or not all(isinstance(key, str) for key in keys):
        raise TypeError(f"{name}: `keys` is {keys!r:.80}; {rule}")
    if len(keys) < least or len(set(keys)) < len(keys):
        raise ValueError(f"{name}: `keys` is {keys!r:.80}; {rule}, each once")


def in_order(batch: Any, keys: Keys | None, *, whole: str = "a batch") -> Any:
    """The parts of a dict by `keys`, as a tuple; without keys, any other batch unchanged.

    Raises:
        TypeError: if there are keys for what is no dict, or none for a dict.
        ValueError: if a key is not in it.
    """
    if not isinstance(batch, Mapping):
        if keys is not None:
            raise TypeError(
                f"{whole} is a {type(batch).__name__}, and `keys` names the parts of dicts; leave `keys` out, or give dicts"
            )
        return batch
    names = tuple(batch)
    if keys is None:
        raise TypeError(
            f"{whole} is a dict with {_listed(names)}; name the model's arguments, in their order, and the target, last, by "
            f"`keys`, such as keys={names!r:.80}"
        )
    if absent := [key for key in keys if key not in batch]:
        raise ValueError(f"{whole} has no {absent[0]!r}, which is in `keys`; it is a dict with {_listed(names)}")
    return tuple(batch[key] for key in keys)


def _listed(names: Sequence[Any]) -> str:
    return ", ".join(map(repr, names)) or "nothing in it"


def tensors(batch: Any, keys: Keys | None = None) -> list[Tensor]:
    """The parts of a batch as Tensors that share their memory.

    Raises:
        TypeError: if a batch is not a tuple of at least two arrays, or a dict that has them by `keys`.
        ValueError: if a key is not in it.
    """
    batch = in_order(batch, keys)
    if not isinstance(batch, tuple | list) or len(batch) < 2:
        what = f"{len(batch)} part" if isinstance(batch, tuple | list) else f"a {type(batch).__name__}"
        raise TypeError(
            f"a batch is {what}; it must be a tuple of arrays: the model's arguments, and the target last. Arrays of all "
            "examples are passed as one tuple, (x, y)"
        )
    return [as_tensor(part) for part in _arrays(batch)]


def as_tensor(part: Any) -> Tensor:
    """A Tensor, or one that shares the memory of an array, unless that is in the other byte order."""
    return part if isinstance(part, Tensor) else from_numpy(native(apart(part)))


def inputs_of(batch: Any, keys: Keys | None, *, targeted: bool) -> list[Tensor]:
    """The arguments of the model: in a dict by `keys`; in a tuple all parts, without the last if it is a target."""
    parts = in_order(batch, keys)
    if parts is batch and targeted and isinstance(batch, tuple | list) and len(batch) > 1:
        parts = batch[:-1]
    return [as_tensor(part) for part in _arrays(parts if isinstance(parts, tuple | list) else (parts,))]


def _arrays(parts: Sequence[Any]) -> Sequence[Any]:
    """The parts of a batch; TypeError unless all are arrays."""
    if others := [type(part).__name__ for part in parts if not hasattr(part, "__array__")]:
        raise TypeError(f"a batch has a {others[0]} in it; all its parts must be arrays, as np.asarray(...) makes them")
    if any(np.ndim(part) == 0 for part in parts):
        raise TypeError(
            "a batch has a single number in it; all its parts must be arrays with the examples along their first axis. A list "
            "of examples becomes batches by tg.data.DataLoader(examples, batch_size=32)"
        )
    return parts
