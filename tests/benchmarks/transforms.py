"""Image transforms beside torchvision's: batches of 32 uint8 images, one thread, medians of all in turn.

python -m tests.benchmarks.transforms [--sizes 32 96 224 500x375] [--seconds 0.5] [names ...]

Here each image of a batch has its own draws. torchvision draws once for what it is given, so it is called for each image and
the results are stacked, as a loader does ("images"); and once for the batch, whose images then share the draws ("batch").
It needs torchvision.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

import numpy as np

from tinygrad_cnn.vision import transforms as ours

ROWS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("Resize", {"size": (0.75, 0.75)}), ("Resize", {"size": (1.5, 1.5)}),
    ("Resize", {"size": (0.75, 0.75), "interpolation": "bicubic"}),
    ("Resize", {"size": (0.75, 0.75), "interpolation": "nearest"}),
    ("CenterCrop", {"size": (0.75, 0.75)}), ("Pad", {"padding": 4}),
    ("RandomCrop", {"size": (1.0, 1.0), "padding": 4}), ("RandomResizedCrop", {"size": (1.0, 1.0)}),
    ("RandomHorizontalFlip", {}), ("RandomVerticalFlip", {}),
    ("RandomRotation", {"degrees": 20}), ("RandomRotation", {"degrees": 20, "interpolation": "bilinear"}),
    ("RandomAffine", {"degrees": 20, "translate": (0.1, 0.1), "scale": (0.8, 1.2), "interpolation": "bilinear"}),
    ("RandomPerspective", {"p": 1.0}), ("RandomErasing", {"p": 1.0}),
    ("Grayscale", {"num_output_channels": 3}), ("RandomGrayscale", {"p": 0.5}), ("RandomInvert", {"p": 1.0}),
    ("RandomAutocontrast", {"p": 1.0}), ("RandomEqualize", {"p": 1.0}),
    ("RandomPosterize", {"bits": 3, "p": 1.0}), ("RandomSolarize", {"threshold": 128.0, "p": 1.0}),
    ("RandomAdjustSharpness", {"sharpness_factor": 2.0, "p": 1.0}), ("GaussianBlur", {"kernel_size": 5}),
    ("ColorJitter", {"brightness": 0.4}), ("ColorJitter", {"contrast": 0.4}),
    ("ColorJitter", {"saturation": 0.4}), ("ColorJitter", {"hue": 0.2}),
    ("ColorJitter", {"brightness": 0.4, "contrast": 0.4, "saturation": 0.4, "hue": 0.1}),
    ("RandAugment", {}), ("TrivialAugmentWide", {}),
    ("ToFloat", {}), ("Normalize", {"mean": [0.5] * 3, "std": [0.25] * 3}),
)  # fmt: skip
"""Name and options. A size is in parts of the image's."""

PHOTOGRAPHS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("Resize", {"size": (224, 224)}), ("Resize", {"size": 256}), ("CenterCrop", {"size": 224}),
    ("RandomResizedCrop", {"size": 224}), ("RandomHorizontalFlip", {}),
    ("Resize", {"size": (224, 224), "interpolation": "bicubic"}),
)  # fmt: skip
"""Name and options for images of other proportions, whose sizes are in pixels."""


def times(calls: Sequence[Callable[[], Any]], seconds: float) -> list[float]:
    """The median of each, measured in turn."""
    found: list[list[float]] = [[] for _ in calls]
    for call in calls:
        call()
    began = time.perf_counter()
    while time.perf_counter() - began < seconds or len(found[0]) < 3:
        for call, into in zip(calls, found, strict=True):
            start = time.perf_counter()
            call()
            into.append(time.perf_counter() - start)
    return [median(each) for each in found]


def main() -> None:
    """Print a table."""
    import torch
    from torchvision.transforms import InterpolationMode, v2

    torch.set_num_threads(1)
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*")
    parser.add_argument("--sizes", nargs="+", default=["32", "96", "224", "500x375"])
    parser.add_argument("--seconds", type=float, default=0.5)
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    print(f"{'ms':60} {'size':>8} {'images':>8} {'batch':>8} {'here':>8} {'ratios':>12}")
    for size in options.sizes:
        width, height = map(int, size.split("x")) if "x" in size else (int(size), int(size))
        images = rng.integers(256, size=(32, 3, height // 4 + 1, width // 4 + 1)).astype(np.uint8)
        images = ours.Resize((height, width))(images)  # smooth, as photographs are
        tensor = torch.from_numpy(images.copy())
        for name, given in PHOTOGRAPHS if "x" in size else ROWS:
            if options.names and name not in options.names:
                continue
            if "x" not in size and "size" in given:
                given = given | {"size": tuple(round(part * int(size)) for part in given["size"])}
            theirs = dict(given)
            if "interpolation" in given:
                theirs["interpolation"] = InterpolationMode(given["interpolation"])
            transform = getattr(ours, name)(**given)
            other = v2.ToDtype(torch.float32, scale=True) if name == "ToFloat" else getattr(v2, name)(**theirs)
            x, t = (images / np.float32(255), tensor / 255) if name == "Normalize" else (images, tensor)

            def each(other: Any = other, t: Any = t) -> Any:
                return torch.stack([other(image) for image in t])

            def whole(other: Any = other, t: Any = t) -> Any:
                return other(t)

            def here(transform: Any = transform, x: Any = x) -> Any:
                return transform(x)

            a, b, c = (1e3 * seconds for seconds in times((each, whole, here), options.seconds))
            shown = f"{name}({', '.join(f'{k}={v}' for k, v in given.items())})"
            print(f"{shown:60.60} {size:>8} {a:8.2f} {b:8.2f} {c:8.2f} {a / c:6.2f} {b / c:5.2f}", flush=True)


if __name__ == "__main__":
    main()
