"""Functions of ``torch.nn.utils.rnn`` for sequences of several lengths."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .common import tg

__all__ = ["pad_sequence", "unpad_sequence"]


def pad_sequence(
    sequences: Iterable[Any], batch_first: bool = False, padding_value: float = 0.0, padding_side: str = "right"
) -> Any:
    """`tg.stack` of the sequences (length, ...), each filled up by `tg.pad` to the longest: (L, N, ...), or (N, L, ...)"""
    if padding_side not in ("left", "right"):
        raise ValueError(f"pad_sequence: `padding_side` is {padding_side!r:.60}; it must be 'left' or 'right'")
    given = list(sequences)
    if not given:
        raise ValueError("pad_sequence: `sequences` is empty; it must have one sequence at least")
    longest, padded = max(map(len, given)), []
    for x in given:
        width = (0, longest - len(x))
        width = width if padding_side == "right" else width[::-1]
        padded.append(tg().pad(x, (width, *((0, 0) for _ in x.shape[1:])), constant_values=padding_value))
    return tg().stack(padded, axis=0 if batch_first else 1)


def unpad_sequence(padded_sequences: Any, lengths: Any, batch_first: bool = False) -> list[Any]:
    """`[x[:n] for x, n in zip(padded, lengths)]`, of (L, N, ...), or (N, L, ...)"""
    padded = padded_sequences if batch_first else tg().swapaxes(padded_sequences, 0, 1)
    return [x[: int(n)] for x, n in zip(padded, lengths, strict=True)]
