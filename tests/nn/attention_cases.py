"""Attention and transformers: layers with arguments, the shapes of inputs, and masks by name."""

from __future__ import annotations

from typing import Any

import numpy as np

WIDE = {"kdim": 3, "vdim": 5}
LAYER = {"dim_feedforward": 6, "dropout": 0.0}
CASES: list[tuple[str, tuple[Any, ...], dict[str, Any], list[tuple[int, ...]], dict[str, Any]]] = [
    ("MultiheadAttention", (4, 2), {}, [(3, 2, 4), (5, 2, 4), (5, 2, 4)], {}),
    ("MultiheadAttention", (4, 2), {"bias": False, "batch_first": True}, [(2, 3, 4)], {"attn_mask": "causal"}),
    ("MultiheadAttention", (4, 2), {"batch_first": True, **WIDE}, [(2, 3, 4), (2, 5, 3), (2, 5, 5)],
     {"key_padding_mask": ("masked", (2, 5)), "average_attn_weights": False}),
    ("MultiheadAttention", (4, 2), {"add_bias_kv": True, "add_zero_attn": True}, [(3, 2, 4), (5, 2, 4), (5, 2, 4)],
     {"key_padding_mask": ("masked", (2, 5)), "attn_mask": ("masked", (4, 3, 5))}),
    ("MultiheadAttention", (4, 4), {}, [(3, 4), (5, 4), (5, 4)],
     {"key_padding_mask": ("added", (5,)), "attn_mask": ("added", (3, 5)), "need_weights": False}),
    ("TransformerEncoderLayer", (4, 2), {**LAYER, "batch_first": True}, [(2, 3, 4)],
     {"src_key_padding_mask": ("masked", (2, 3))}),
    ("TransformerEncoderLayer", (4, 2), {**LAYER, "norm_first": True, "activation": "gelu"}, [(3, 2, 4)], {}),
    ("TransformerEncoderLayer", (4, 2), {**LAYER, "bias": False, "layer_norm_eps": 0.1}, [(3, 4)], {"src_mask": "causal"}),
    ("TransformerDecoderLayer", (4, 2), {**LAYER, "norm_first": True}, [(3, 2, 4), (5, 2, 4)],
     {"tgt_mask": "causal", "memory_key_padding_mask": ("added", (2, 5))}),
    ("TransformerDecoderLayer", (4, 2), {**LAYER, "batch_first": True, "activation": "gelu"}, [(2, 3, 4), (2, 5, 4)],
     {"memory_mask": ("masked", (3, 5)), "tgt_key_padding_mask": ("masked", (2, 3))}),
    ("Transformer", (4, 2, 2, 2), {**LAYER, "batch_first": True}, [(2, 5, 4), (2, 3, 4)],
     {"tgt_mask": "causal", "src_key_padding_mask": ("added", (2, 5))}),
]  # fmt: skip


def masks(case: int) -> dict[str, Any]:
    """The last column of a row: arrays for masks, and no query with every key masked, for which PyTorch has NaN."""
    _, _, _, inputs, given = CASES[case]
    rng, made = np.random.default_rng(case), {}
    for name, value in given.items():
        if value == "causal":
            length = inputs[-1 if "tgt" in name and len(inputs[0]) == 3 and CASES[case][0] == "Transformer" else 0]
            n = length[0] if len(length) == 2 or not CASES[case][2].get("batch_first") else length[1]
            made[name] = np.triu(np.full((n, n), -np.inf), 1)
        elif isinstance(value, tuple):
            drawn = rng.random(value[1]) < 0.4
            drawn[..., 0] = False
            made[name] = drawn if value[0] == "masked" else np.where(drawn, -np.inf, rng.normal(size=value[1]))
        else:
            made[name] = value
    return made


def flat(results: Any) -> list[Any]:
    """The arrays in nested tuples, without None."""
    return (
        [a for own in results for a in flat(own)]
        if isinstance(results, tuple)
        else []
        if results is None
        else [results]
    )
