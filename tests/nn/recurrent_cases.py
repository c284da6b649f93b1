"""Recurrent layers, with arguments, and the shapes of the input and of the states before."""

from __future__ import annotations

from typing import Any

CASES: list[tuple[str, tuple[int, ...], dict[str, Any], tuple[int, ...], list[tuple[int, ...]]]] = [
    ("RNN", (3, 4), {}, (5, 2, 3), []),
    ("RNN", (3, 4, 2), {"nonlinearity": "relu", "batch_first": True, "bidirectional": True}, (2, 5, 3), [(4, 2, 4)]),
    ("RNN", (3, 4), {"bias": False}, (5, 3), [(1, 4)]),
    ("GRU", (3, 4, 2), {"bidirectional": True}, (5, 2, 3), [(4, 2, 4)]),
    ("GRU", (3, 4), {"bias": False, "batch_first": True}, (2, 5, 3), []),
    ("LSTM", (3, 4, 2), {"batch_first": True, "bidirectional": True}, (2, 5, 3), [(4, 2, 4), (4, 2, 4)]),
    ("LSTM", (3, 4, 2), {"proj_size": 2, "bidirectional": True}, (5, 2, 3), [(4, 2, 2), (4, 2, 4)]),
    ("LSTM", (3, 4), {"bias": False}, (5, 3), [(1, 4), (1, 4)]),
    ("RNNCell", (3, 4), {"nonlinearity": "relu"}, (2, 3), [(2, 4)]),
    ("GRUCell", (3, 4), {}, (2, 3), [(2, 4)]),
    ("GRUCell", (3, 4), {"bias": False}, (3,), []),
    ("LSTMCell", (3, 4), {}, (2, 3), [(2, 4), (2, 4)]),
    ("LSTMCell", (3, 4), {}, (3,), [(4,), (4,)]),
]


def flat(results: Any) -> list[Any]:
    """The arrays in nested tuples."""
    return [a for own in results for a in flat(own)] if isinstance(results, tuple) else [results]
