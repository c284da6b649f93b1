"""Calls of nn.utils, for PyTorch's in record_utils.py and ours in test_utils.py."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np


def drawn(shape: Any, seed: int) -> Any:
    """Normal numbers."""
    return np.random.default_rng(seed).normal(size=tuple(shape))


def layer_of(nn: Any, kind: str) -> Any:
    """A layer of the module `nn`."""
    return {
        "linear": lambda: nn.Linear(5, 4),
        "conv": lambda: nn.Conv2d(3, 4, 3),
        "no bias": lambda: nn.Conv2d(3, 4, 3, bias=False),
        "transpose": lambda: nn.ConvTranspose2d(3, 4, 2),
        "groups": lambda: nn.Conv2d(4, 4, 3, groups=2),
    }[kind]()


X = {"linear": (2, 5), "conv": (2, 3, 6, 6), "no bias": (2, 3, 6, 6), "transpose": (2, 3, 4, 4), "groups": (2, 4, 6, 6)}
NORMS = {
    "weight": ("linear", "weight_norm", {}, X["linear"]),
    "weight 1": ("linear", "weight_norm", {"dim": 1}, X["linear"]),
    "weight None": ("conv", "weight_norm", {"dim": None}, X["conv"]),
    "weight of bias": ("linear", "weight_norm", {"name": "bias"}, X["linear"]),
    "weight transpose": ("transpose", "weight_norm", {"dim": 1}, X["transpose"]),
    "spectral": ("linear", "spectral_norm", {}, X["linear"]),
    "spectral conv": ("conv", "spectral_norm", {"n_power_iterations": 2, "eps": 1e-6}, X["conv"]),
    "spectral transpose": ("transpose", "spectral_norm", {}, X["transpose"]),
    "spectral dim": ("conv", "spectral_norm", {"dim": -3}, X["conv"]),
    "orthogonal": ("conv", "orthogonal", {}, X["conv"]),
    "orthogonal cayley": ("transpose", "orthogonal", {"orthogonal_map": "cayley"}, X["transpose"]),
    "orthogonal wide": ("linear", "orthogonal", {"use_trivialization": False}, X["linear"]),
    "orthogonal free": (
        "linear",
        "orthogonal",
        {"orthogonal_map": "matrix_exp", "use_trivialization": False},
        X["linear"],
    ),
}
"""The kind of layer, the function, its arguments, the shape of the input."""

SCORES = drawn((4, 5), 7)
PRUNED: dict[str, tuple[str, list[tuple[str, tuple[Any, ...], dict[str, Any]]]]] = {
    "l1": ("linear", [("l1_unstructured", (), {"amount": 0.3})]),
    "l1 number": ("conv", [("l1_unstructured", (), {"amount": 7})]),
    "l1 again": ("linear", [("l1_unstructured", (), {"amount": 0.3}), ("l1_unstructured", (), {"amount": 0.5})]),
    "l1 scores": ("linear", [("l1_unstructured", (), {"amount": 0.4, "importance_scores": SCORES})]),
    "l1 none": ("linear", [("l1_unstructured", (), {"amount": 0.0})]),
    "l1 all": ("linear", [("l1_unstructured", (), {"amount": 1.0})]),
    "l2 filters": ("conv", [("ln_structured", (), {"amount": 0.5, "n": 2, "dim": 0})]),
    "l1 channels": ("conv", [("ln_structured", (), {"amount": 1, "n": 1, "dim": 1})]),
    "inf": ("linear", [("ln_structured", (), {"amount": 2, "n": math.inf, "dim": -1})]),
    "structured again": (
        "conv",
        [
            ("ln_structured", (), {"amount": 1, "n": 2, "dim": 0}),
            ("ln_structured", (), {"amount": 0.5, "n": 2, "dim": 0}),
            ("l1_unstructured", (), {"amount": 5}),
        ],
    ),
    "structured after elements": (
        "conv",
        [("l1_unstructured", (), {"amount": 0.4}), ("ln_structured", (), {"amount": 0.5, "n": 2, "dim": 0})],
    ),
    "mask": ("linear", [("custom_from_mask", (), {"mask": (SCORES > 0).astype(float)})]),
    "mask again": (
        "linear",
        [
            ("custom_from_mask", (), {"mask": (SCORES > 0).astype(float)}),
            ("custom_from_mask", (), {"mask": (SCORES < 1).astype(float)}),
        ],
    ),
    "identity": ("linear", [("identity", (), {})]),
    "removed": ("linear", [("l1_unstructured", (), {"amount": 0.3}), ("remove", (), {})]),
}


def made(prune: Any, layer: Any, calls: Any, array: Callable[[Any], Any]) -> None:
    """Call functions of the module `prune` for the weight of a layer."""
    for name, arguments, options in calls:
        given = {key: array(value) if isinstance(value, np.ndarray) else value for key, value in options.items()}
        getattr(prune, name)(layer, "weight", *arguments, **given)


def global_pruned(prune: Any, layers: Any) -> list[list[Any]]:
    """The masks of two layers that are pruned together twice."""
    pairs, masks = [(layer, "weight") for layer in layers], []
    for _ in range(2):
        prune.global_unstructured(pairs, pruning_method=prune.L1Unstructured, amount=0.4)
        masks.append([layer.weight_mask for layer in layers])
    return masks


FUSED = {
    "fused linear": ("linear", 4, X["linear"]),
    "fused conv": ("conv", 4, X["conv"]),
    "fused without bias": ("no bias", 4, X["no bias"]),
    "fused transpose": ("transpose", 4, X["transpose"]),
    "fused groups": ("groups", 4, X["groups"]),
}
"""The kind of layer, its outputs, the shape of the input."""
