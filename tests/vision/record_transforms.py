"""Record torchvision's transforms for test_transforms.py, and compare ours with them. It needs torchvision and is run by hand.

python tests/vision/record_transforms.py

It writes transforms.npz: what the transforms of cases.py make of images, boxes, masks and keypoints; perspectives by given
corners; and of transforms that draw, quantiles over many draws.
"""

from pathlib import Path

import numpy as np
import torch
import torchvision
from cases import DRAWN, DRAWS, FIXED, LEVELS, NEVER_MOVE, SIZE, picture, sample, statistics
from torchvision import tv_tensors
from torchvision.transforms import v2

import tinygrad_cnn as tg

CORNERS = np.array(
    [[[1, 0], [15, 2], [16, 20], [2, 22]], [[0, 3], [17, 0], [14, 19], [3, 22]], [[3, 3], [12, 1], [17, 22], [0, 18]]]
)


def theirs(transform, n: int) -> dict[str, np.ndarray]:
    size = SIZE
    one = {key: torch.from_numpy(value[n]) for key, value in sample().items()}
    given = {
        "image": tv_tensors.Image(one["image"]),
        "boxes": tv_tensors.BoundingBoxes(one["boxes"], format="XYXY", canvas_size=size),
        "masks": tv_tensors.Mask(one["masks"]),
        "keypoints": tv_tensors.KeyPoints(one["keypoints"], canvas_size=size),
    }
    return {key: np.asarray(value) for key, value in transform(given).items()}


def main() -> None:
    data = {"made_by": np.array(f"torchvision {torchvision.__version__}, PyTorch {torch.__version__}")}
    for title, (name, options) in FIXED.items():
        options = {**options}
        if "interpolation" in options:
            options["interpolation"] = v2.InterpolationMode(options["interpolation"])
        transform = getattr(v2, name)(**options)
        each = [theirs(transform, n) for n in range(3)]
        wanted = {key: np.stack([one[key] for one in each]) for key in each[0]}
        ours = getattr(tg.vision.transforms, name)(**FIXED[title][1])(sample())
        shown = []
        for key, value in wanted.items():
            if key == "image" or name not in NEVER_MOVE:
                data[f"{title}/{key}"] = value
            assert ours[key].shape == value.shape, (title, key, ours[key].shape, value.shape)
            d = np.abs(ours[key].astype(float) - value)
            shown.append(f"{key} {d.max():.2g} ({(d > 1e-4).mean():.1%})")
        print(f"{title:70} {'; '.join(shown)}", flush=True)
    for n, ends in enumerate(CORNERS):
        starts = [[0, 0], [SIZE[1] - 1, 0], [SIZE[1] - 1, SIZE[0] - 1], [0, SIZE[0] - 1]]
        one = {key: torch.from_numpy(value[n]) for key, value in sample().items()}
        f = v2.functional
        data[f"perspective/{n}/image"] = f.perspective_image(one["image"], starts, ends.tolist(), fill=5).numpy()
        data[f"perspective/{n}/masks"] = f.perspective_mask(one["masks"][None], starts, ends.tolist(), fill=0)[
            0
        ].numpy()
        data[f"perspective/{n}/boxes"] = f.perspective_bounding_boxes(
            one["boxes"], tv_tensors.BoundingBoxFormat.XYXY, SIZE, starts, ends.tolist()
        ).numpy()
    data["corners"] = CORNERS
    torch.manual_seed(0)
    image = torch.from_numpy(picture())
    for title, (name, options) in DRAWN.items():
        transform = getattr(v2, name)(**options)
        drawn = statistics(np.stack([transform(image).numpy() for _ in range(DRAWS)]))
        data[f"{title}/quantiles"] = np.quantile(drawn, LEVELS, axis=0)
        data[f"{title}/below"] = np.stack([(drawn <= q).mean(axis=0) for q in data[f"{title}/quantiles"]])
        data[f"{title}/under"] = np.stack([(drawn < q).mean(axis=0) for q in data[f"{title}/quantiles"]])
        print(title, flush=True)
    mix, pair = v2.CutMix(alpha=0.7, num_classes=2), torch.stack([torch.zeros(3, 20, 30), torch.ones(3, 20, 30)])
    shares = np.array([mix(pair, torch.tensor([0, 1]))[1][0, 0].item() for _ in range(DRAWS)])
    data["CutMix/quantiles"] = np.quantile(shares, LEVELS)
    data["CutMix/below"] = np.array([(shares <= q).mean() for q in data["CutMix/quantiles"]])
    data["CutMix/under"] = np.array([(shares < q).mean() for q in data["CutMix/quantiles"]])
    np.savez_compressed(Path(__file__).parent / "transforms.npz", **data)


if __name__ == "__main__":
    main()
