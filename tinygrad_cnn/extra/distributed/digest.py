"""Digests of what must be equal on all ranks, and the differences between them."""

from __future__ import annotations

import hashlib
import platform
import sys
from collections.abc import Iterable, Mapping, Sequence, Sized
from typing import Any

import numpy as np

from ...ops.random import get_rng_state
from ...tensor import Tensor, get_default_dtype

Digest = dict[str, str]


def of_process() -> Digest:
    """The digest of this process: versions, the processor's instructions, the default dtype, the random state."""
    config: Any = np.show_config(mode="dicts")
    blas = config.get("Build Dependencies", {}).get("blas", {})
    instructions = config.get("SIMD Extensions", {}).get("found")
    return {
        "tinygrad_cnn": sys.modules[__name__.partition(".")[0]].__version__,
        "NumPy": np.__version__,
        "BLAS": f"{blas.get('name')} {blas.get('version')}",
        "the processor, by which the last bits may differ,": f"{platform.machine()} {instructions}",
        "the default dtype": str(np.dtype(get_default_dtype())),
        "the random state (call tg.manual_seed with the same seed on every rank)": _hash(repr(get_rng_state())),
    }


def of_parts(parts: Mapping[str, Any]) -> Digest:
    """The digest of the models, optimizers, loaders and other parts of a training, by name."""
    found: Digest = {}
    for name, part in parts.items():
        found[f"the class of `{name}`"] = type(part).__qualname__
        if hasattr(part, "named_parameters"):
            tensors = [*part.named_parameters(), *part.named_buffers()]
            found |= {f"`{name}.{path}`": f"{t.dtype} {t.shape}{_frozen(t)}" for path, t in tensors}
            found[f"the layers of `{name}`"] = repr(part)
        elif hasattr(part, "param_groups"):
            found[f"`{name}`"] = repr(part)
        elif hasattr(part, "dataset") and isinstance(part.dataset, Sized):
            found[f"the length of `{name}`'s data"] = str(len(part.dataset))
            settings = {n: v for n, v in part.state_dict().items() if n not in ("epoch", "position", "length")}
            found |= {f"{n} of `{name}`": str(v) for n, v in settings.items()}
        elif isinstance(part, Sized) and not isinstance(part, str):
            found[f"the length of `{name}`"] = str(len(part))
        elif isinstance(part, str | int | float | None):
            found[f"`{name}`"] = str(part)
    return found


def _frozen(t: Tensor) -> str:
    return "" if t.requires_grad else " without gradient"


def differences(digests: Sequence[Digest]) -> list[str]:
    """The differences between each rank and rank 0."""
    first, found = digests[0], []
    for rank, digest in enumerate(digests):
        for name in dict.fromkeys([*first, *digest]):
            ours, theirs = first.get(name, "absent"), digest.get(name, "absent")
            if ours != theirs:
                found.append(f"rank {rank}: {name} is {_shown(theirs, ours)}; on rank 0 it is {_shown(ours, theirs)}")
    return found


def _shown(text: str, other: str) -> str:
    """A text; a long one from 30 characters before the first difference to the other text."""
    same = next((i for i, (a, b) in enumerate(zip(text, other, strict=False)) if a != b), min(len(text), len(other)))
    start = max(0, same - 30) if len(text) > 80 else 0
    return f"{'...' * bool(start)}{text[start : start + 80]}{'...' * (len(text) > start + 80)}"


def of_values(tensors: Iterable[Tensor]) -> bytes:
    """A hash of the values of Tensors."""
    digest = hashlib.blake2b(digest_size=16)
    for tensor in tensors:
        digest.update(tensor._array.tobytes())
    return digest.digest()


def _hash(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
