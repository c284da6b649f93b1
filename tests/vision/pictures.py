"""Calls of vision.utils, which torchvision takes too."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

GRIDS: list[tuple[tuple[str, ...], dict[str, Any]]] = [
    (("gray",), {}), (("floats",), {"nrow": 2, "padding": 1, "pad_value": 0.5}), (("floats",), {"normalize": True}),
    (("floats",), {"normalize": True, "scale_each": True}), (("floats",), {"normalize": True, "value_range": (-0.5, 0.8)}),
    (("colors",), {"nrow": 3, "padding": 0}), (("one",), {}), (("floats",), {"nrow": 9}),
]  # fmt: skip
BOXES: list[tuple[tuple[str, ...], dict[str, Any]]] = [
    (("one", "boxes"), {}), (("one", "boxes"), {"colors": "red", "width": 2}),
    (("one", "boxes"), {"colors": ["#00ff80", (1, 2, 3), "blue"], "width": 3}),
    (("one gray", "boxes"), {"colors": "yellow"}),
]  # fmt: skip
MASKS: list[tuple[tuple[str, ...], dict[str, Any]]] = [
    (("one", "masks"), {}), (("one", "masks"), {"alpha": 0.3, "colors": ["red", "lime"]}),
    (("one float", "masks"), {"alpha": 0.6, "colors": "orange"}), (("one", "mask"), {"alpha": 1.0, "colors": (9, 8, 7)}),
]  # fmt: skip


def arrays() -> dict[str, NDArray[Any]]:
    """The arguments by name."""
    rng = np.random.default_rng(0)
    colors = rng.integers(256, size=(5, 3, 16, 20)).astype(np.uint8)
    masks = rng.random((2, 16, 20)) < 0.3
    return {
        "gray": colors[:, :1], "colors": colors, "one": colors[0], "one gray": colors[0, :1], "masks": masks,
        "mask": masks[0], "floats": rng.normal(size=(5, 3, 6, 7)).astype(np.float32),
        "one float": rng.random((3, 16, 20)).astype(np.float32),
        "boxes": np.array([[1.0, 2.0, 9.9, 12.0], [5.0, 0.0, 19.0, 15.0], [3.0, 3.0, 9.0, 10.0]], np.float32),
    }  # fmt: skip
