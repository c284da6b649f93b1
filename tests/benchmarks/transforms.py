"""Image transforms beside torchvision's: batches of 32 uint8 images, one thread, medians of both in turn.

python -m tests.benchmarks.transforms [--sizes 32 224] [--seconds 0.5] [names ...]

torchvision draws once for a batch, so its transforms that draw are called for each image, as a loader does; the others are
called once for the batch. It needs torchvision.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np

from tinygrad_cnn.vision import transforms as ours

ROWS: tuple[tuple[str, dict[str, Any], bool], ...] = (
    ("Resize", {"size": (0.75, 0.75)}, False), ("Resize", {"size": (1.5, 1.5)}, False),
    ("Resize", {"size": (0.75, 0.75), "interpolation": "bicubic"}, False),
    ("Resize", {"size": (0.75, 0.75), "interpolation": "nearest"}, False),
    ("CenterCrop", {"size": (0.75, 0.75)}, False), ("Pad", {"padding": 4}, False),
    ("RandomCrop", {"size": (1.0, 1.0), "padding": 4}, True), ("RandomResizedCrop", {"size": (1.0, 1.0)}, True),
    ("RandomHorizontalFlip", {}, True), ("RandomVerticalFlip", {}, True),
    ("RandomRotation", {"degrees": 20}, True), ("RandomRotation", {"degrees": 20, "interpolation": "bilinear"}, True),
    ("RandomAffine", {"degrees": 20, "translate": (0.1, 0.1), "scale": (0.8, 1.2), "interpolation": "bilinear"}, True),
    ("RandomPerspective", {"p": 1.0}, True), ("RandomErasing", {"p": 1.0}, True),
    ("Grayscale", {"num_output_channels": 3}, False), ("RandomGrayscale", {"p": 0.5}, True), ("RandomInvert", {"p": 1.0}, True),
    ("RandomAutocontrast", {"p": 1.0}, True), ("RandomEqualize", {"p": 1.0}, True),
    ("RandomPosterize", {"bits": 3, "p": 1.0}, True), ("RandomSolarize", {"threshold": 128.0, "p": 1.0}, True),
    ("RandomAdjustSharpness", {"sharpness_factor": 2.0, "p": 1.0}, True), ("GaussianBlur", {"kernel_size": 5}, True),
    ("ColorJitter", {"brightness": 0.4}, True), ("ColorJitter", {"contrast": 0.4}, True),
    ("ColorJitter", {"saturation": 0.4}, True), ("ColorJitter", {"hue": 0.2}, True),
    ("ColorJitter", {"brightness": 0.4, "contrast": 0.4, "saturation": 0.4, "hue": 0.1}, True),
    ("RandAugment", {}, True), ("TrivialAugmentWide", {}, True),
    ("Normalize", {"mean": [0.5] * 3, "std": [0.25] * 3}, False),
)  # fmt: skip
"""Name, options, and whether it draws. A size is in parts of the image's."""


def times(first: Callable[[], Any], second: Callable[[], Any], seconds: float) -> tuple[float, float]:
    """The medians of both, measured in turn."""
    found: tuple[list[float], list[float]] = [], []
    first(), second()
    began = time.perf_counter()
    while time.perf_counter() - began < seconds or len(found[0]) < 3:
        for call, into in zip((first, second), found, strict=True):
            start = time.perf_counter()
            call()
            into.append(time.perf_counter() - start)
    return median(found[0]), median(found[1])


def main() -> None:
    """Print a table."""
    import torch
    from torchvision.transforms import InterpolationMode, v2

    torch.set_num_threads(1)
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*")
    parser.add_argument("--sizes", type=int, nargs="+", default=[32, 224])
    parser.add_argument("--seconds", type=float, default=0.5)
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    print(f"{'transform':60} {'size':>5} {'torchvision':>12} {'here':>9} {'ratio':>6}")
    for size in options.sizes:
        images = rng.integers(256, size=(32, 3, size // 4 + 1, size // 4 + 1)).astype(np.uint8)
        images = ours.Resize((size, size))(images)  # smooth, as photographs are
        tensor = torch.from_numpy(images.copy())
        for name, given, draws in ROWS:
            if options.names and name not in options.names:
                continue
            given = {k: tuple(round(part * size) for part in v) if k == "size" else v for k, v in given.items()}
            theirs_given = dict(given)
            if "interpolation" in given:
                theirs_given["interpolation"] = InterpolationMode(given["interpolation"])
            transform, other = getattr(ours, name)(**given), getattr(v2, name)(**theirs_given)
            x, t = images, tensor
            if name == "Normalize":
                x, t = images.astype(np.float32) / 255, tensor.float() / 255

            def run(transform: Any = transform, x: Any = x) -> Any:
                return transform(x)

            def run_theirs(other: Any = other, t: Any = t, draws: bool = draws) -> Any:
                return torch.stack([other(image) for image in t]) if draws else other(t)

            here, there = times(run, run_theirs, options.seconds)
            shown = ", ".join(f"{k}={v}" for k, v in given.items())
            print(
                f"{f'{name}({shown})':60.60} {size:5} {there * 1e3:9.2f} ms {here * 1e3:6.2f} ms {there / here:6.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
