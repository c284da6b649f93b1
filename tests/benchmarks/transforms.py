"""Image transforms beside torchvision's: batches of 32 uint8 images, one thread, medians of all in turn.

python -m tests.benchmarks.transforms [--sizes 32 96 224 500x375] [--seconds 0.5] [names ...]

Here each image of a batch has its own draws. torchvision draws once for what it is given, so it is called for each image and
the results are stacked, as a loader does ("images"); and once for the batch, whose images then share the draws ("batch").

The transforms are measured in NumPy and, if it is installed, with Numba. A ratio is torchvision's time over the time here. The
last line counts the rows at three times or more. It needs torchvision.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Callable, Sequence
from importlib.util import find_spec
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


def with_numba(on: bool) -> None:
    """Attach the compiled forms of transforms, or take them away."""
    if find_spec("numba"):
        from tinygrad_cnn.extra.numba import pictures

        pictures.attach(on)


def times(calls: Sequence[Callable[[], Any]], compiled: Callable[[], Any], seconds: float) -> list[float]:
    """The median of each, measured in turn, `compiled` with Numba."""
    calls = [*calls, *([compiled] if find_spec("numba") else [])]
    found: list[list[float]] = [[] for _ in calls]
    for call in calls:
        with_numba(call is compiled)
        call()
    began = time.perf_counter()
    while time.perf_counter() - began < seconds or len(found[0]) < 3:
        for call, into in zip(calls, found, strict=True):
            with_numba(call is compiled)
            start = time.perf_counter()
            call()
            into.append(time.perf_counter() - start)
    with_numba(False)
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
    print(f"{'ms':50} {'size':>8} {'images':>8} {'batch':>8} {'NumPy':>8} {'ratios':>12} {'Numba':>8} {'ratios':>12}")
    for size in options.sizes:
        rows, three = 0, Counter[str]()
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

            def compiled(here: Any = here) -> Any:
                return here()

            a, b, *ours_ = (1e3 * seconds for seconds in times((each, whole, here), compiled, options.seconds))
            shown = f"{name}({', '.join(f'{k}={v}' for k, v in given.items())})"
            line = f"{shown:50.50} {size:>8} {a:8.2f} {b:8.2f}"
            for way, c in zip(("NumPy", "Numba"), ours_, strict=False):
                line += f" {c:8.2f} {a / c:6.2f} {b / c:5.2f}"
                three[way] += a >= 3 * c
            rows += 1
            print(line, flush=True)
        print(f"{size}: of {rows} rows three times torchvision's speed, image by image: {dict(three)}", flush=True)


if __name__ == "__main__":
    main()
