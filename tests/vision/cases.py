"""Transforms whose result is fixed, and their arguments in torchvision.transforms.v2."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

COUNT, SIZE = 3, (23, 18)

FIXED: dict[str, tuple[str, dict[str, Any]]] = {
    f"{name} {' '.join(f'{k}={v}' for k, v in options.items())}".replace("'", ""): (name, options)
    for name, options in (
        ("Resize", {"size": 12}), ("Resize", {"size": (40, 29)}), ("Resize", {"size": (11, 31), "interpolation": "bicubic"}),
        ("Resize", {"size": (11, 31), "antialias": False}), ("Resize", {"size": (30, 9), "interpolation": "nearest"}),
        ("Resize", {"size": (30, 9), "interpolation": "nearest-exact"}), ("Resize", {"size": 20, "max_size": 22}),
        ("Resize", {"size": None, "max_size": 31}),
        ("Resize", {"size": (13, 13), "interpolation": "bicubic", "antialias": False}),
        ("CenterCrop", {"size": (9, 11)}), ("CenterCrop", {"size": (30, 11)}), ("CenterCrop", {"size": 10}),
        ("Pad", {"padding": 2, "fill": 7}), ("Pad", {"padding": (1, 2, 3, 4)}), ("Pad", {"padding": (3, 1)}),
        ("RandomHorizontalFlip", {"p": 1.0}), ("RandomVerticalFlip", {"p": 1.0}),
        ("RandomRotation", {"degrees": (25, 25)}), ("RandomRotation", {"degrees": (25, 25), "interpolation": "bilinear"}),
        ("RandomRotation", {"degrees": (-70, -70), "expand": True, "interpolation": "bilinear", "fill": 9}),
        ("RandomRotation", {"degrees": (10, 10), "center": (2.0, 5.5), "interpolation": "bilinear"}),
        ("RandomAffine", {"degrees": (12, 12), "scale": (0.8, 0.8), "shear": (7, 7), "interpolation": "bilinear"}),
        ("RandomAffine", {"degrees": 0, "scale": (1.3, 1.3), "shear": (5, 5, -9, -9), "fill": 50}),
        ("RandomCrop", {"size": (27, 22), "padding": 2}), ("RandomCrop", {"size": (23, 18), "pad_if_needed": True}),
        ("RandomResizedCrop", {"size": (16, 16), "scale": (1.0, 1.0), "ratio": (18 / 23, 18 / 23)}),
        ("Grayscale", {"num_output_channels": 3}), ("RandomGrayscale", {"p": 1.0}), ("RandomInvert", {"p": 1.0}),
        ("RandomAutocontrast", {"p": 1.0}), ("RandomEqualize", {"p": 1.0}), ("RandomPosterize", {"bits": 3, "p": 1.0}),
        ("RandomSolarize", {"threshold": 128.0, "p": 1.0}),
        ("RandomAdjustSharpness", {"sharpness_factor": 2.0, "p": 1.0}), ("GaussianBlur", {"kernel_size": 5, "sigma": 1.1}),
        ("GaussianBlur", {"kernel_size": (3, 7), "sigma": (0.7, 0.7)}),
        ("ColorJitter", {"brightness": (1.4, 1.4)}), ("ColorJitter", {"contrast": (0.4, 0.4)}),
        ("ColorJitter", {"saturation": (2.5, 2.5)}), ("ColorJitter", {"hue": (0.2, 0.2)}),
        ("RandomPerspective", {"distortion_scale": 0.0, "p": 1.0}),
    )
}  # fmt: skip
"""The name and the options of each."""

NEVER_MOVE = (
    "Grayscale", "RandomGrayscale", "RandomInvert", "RandomAutocontrast", "RandomEqualize", "RandomPosterize",
    "RandomSolarize", "RandomAdjustSharpness", "GaussianBlur", "ColorJitter",
)  # fmt: skip

DRAWN: dict[str, tuple[str, dict[str, Any]]] = {
    "RandomCrop": ("RandomCrop", {"size": (12, 9), "padding": 2}),
    "RandomResizedCrop": ("RandomResizedCrop", {"size": (6, 6)}),
    "RandomResizedCrop wide": ("RandomResizedCrop", {"size": (6, 6), "scale": (0.7, 1.0), "ratio": (0.4, 2.5)}),
    "RandomHorizontalFlip": ("RandomHorizontalFlip", {"p": 0.3}), "RandomVerticalFlip": ("RandomVerticalFlip", {"p": 0.8}),
    "RandomRotation": ("RandomRotation", {"degrees": (-20, 50)}),
    "RandomAffine": ("RandomAffine", {"degrees": 30, "translate": (0.2, 0.1), "scale": (0.7, 1.2), "shear": (-9, 9, 0, 8)}),
    "RandomPerspective": ("RandomPerspective", {"distortion_scale": 0.6, "p": 0.8}),
    "RandomErasing": ("RandomErasing", {"p": 0.7, "value": 3.0}),
    "ColorJitter": ("ColorJitter", {"brightness": 0.4, "contrast": 0.5, "saturation": 0.6, "hue": 0.3}),
    "GaussianBlur": ("GaussianBlur", {"kernel_size": 5}), "RandomGrayscale": ("RandomGrayscale", {"p": 0.4}),
    "RandAugment": ("RandAugment", {"num_ops": 2, "magnitude": 12}), "TrivialAugmentWide": ("TrivialAugmentWide", {}),
}  # fmt: skip
"""The name and the options of transforms that draw."""

DRAWS = 3000
LEVELS = np.linspace(0.05, 0.95, 19)


def picture() -> NDArray[Any]:
    """An image in whose means the place, the size and the colours show."""
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    return np.stack([20 + 9 * x, 230 - 8 * y, 40 + 5 * ((x * y) % 31)]).astype(np.uint8)


def statistics(x: NDArray[Any]) -> NDArray[Any]:
    """Numbers of each image (..., C, H, W): the mean and the contrast of each channel, and pixels near two corners."""
    x = x.astype(np.float64)
    several = [x.mean(axis=(-2, -1)), x.std(axis=(-2, -1)), x[..., 1, 1], x[..., -2, -3]]
    return np.concatenate(several, axis=-1).round(6)


def sample() -> dict[str, NDArray[Any]]:
    """Smooth images with noise, and boxes, a mask and keypoints of each."""
    rng = np.random.default_rng(0)
    height, width = SIZE
    y, x = np.mgrid[:height, :width] / 5
    waves = np.sin(x + rng.uniform(0, 6, (COUNT, 3, 1, 1))) * np.cos(y + rng.uniform(0, 6, (COUNT, 3, 1, 1)))
    images = (127 + 100 * waves + rng.integers(0, 28, (COUNT, 3, height, width))).astype(np.uint8)
    corners = rng.uniform(0, 0.6, (COUNT, 2, 2)) * [width, height]
    boxes = np.concatenate([corners, corners + rng.uniform(2, 7, (COUNT, 2, 2))], axis=2).astype(np.float32)
    masks = (images[:, 0] // 64).astype(np.uint8)
    keypoints = (rng.uniform(0, 1, (COUNT, 4, 2)) * [width - 1, height - 1]).astype(np.float32)
    return {"image": images, "boxes": boxes, "masks": masks, "keypoints": keypoints}
