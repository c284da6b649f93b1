"""The models that are compared with torchvision's, and a state for each that depends on the names alone."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

TINY = {"image_size": 32, "patch_size": 8, "num_layers": 2, "num_heads": 2, "hidden_dim": 12, "mlp_dim": 20}
"""A small vision transformer: that of the suite, since the large one takes a gigabyte."""

MODELS: dict[str, tuple[dict[str, Any], int]] = {
    "resnet18": ({}, 32), "resnet34": ({}, 32), "resnet50": ({}, 32), "vgg11": ({}, 32), "vgg11_bn": ({}, 32),
    "vgg13": ({}, 32), "vgg13_bn": ({}, 32), "vgg16": ({}, 32), "vgg16_bn": ({}, 32), "vgg19": ({}, 32),
    "vgg19_bn": ({}, 32), "mobilenet_v2": ({}, 32), "mobilenet_v3_small": ({}, 32), "mobilenet_v3_large": ({}, 32),
    "efficientnet_b0": ({}, 32), "densenet121": ({}, 32), "VisionTransformer": (TINY, 32),
    "vit_tiny": ({"image_size": 32}, 32), "vit_b_16": ({"image_size": 32}, 32), "unet": ({"width": 4, "levels": 2}, 16),
}  # fmt: skip
"""The arguments, and the size of the images."""

QUICK = ("mobilenet_v3_small", "VisionTransformer", "unet")
"""Those that take little time and memory; the others are slow tests."""

CLASSES, BATCH = 5, 3
PROBES = 6
"""How many numbers of each gradient are recorded."""


def values(name: str, shape: tuple[int, ...]) -> NDArray[Any]:
    """The parameter or buffer of this name: small weights, scales near 1 and variances above 0."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    if name.endswith("num_batches_tracked"):
        return np.zeros(shape, np.int64)
    if name.endswith("running_var") or (len(shape) == 1 and name.endswith("weight")):
        return rng.uniform(0.5, 1.5, shape)
    fan = max(1, int(np.prod(shape[1:])))
    return rng.normal(0, (2 / fan) ** 0.5 if len(shape) > 1 else 0.1, shape)


def batch(size: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Images, and a weight for each score."""
    rng = np.random.default_rng(size)
    return rng.normal(size=(BATCH, 3, size, size)), rng.normal(size=(BATCH, CLASSES))


def probes(name: str, count: int) -> NDArray[Any]:
    """The places of a gradient that are recorded, and its largest one is not among them by choice."""
    return np.random.default_rng(zlib.crc32(name[::-1].encode())).integers(count, size=PROBES)


def without_chance(model: Any) -> Any:
    """The model with no dropout."""
    for module in model.modules():
        if type(module).__name__ in ("Dropout", "StochasticDepth"):
            module.p = 0.0
    return model
