"""Segmentation: a U-Net names the shape that each pixel belongs to, on drawn pictures.

Discs, squares and crosses of random size and brightness lie on a noisy ground. The loss is the cross-entropy of the pixels
plus the Dice loss of the classes, since most pixels are ground. The result is the intersection over union (IoU) of each class
on pictures that were not trained on. Mirroring moves the masks with the pictures.

Run:  python examples/segmentation.py --plot segmentation.png
"""

import argparse
import importlib.util
import sys

import numpy as np

import tinygrad_cnn as tg
from tinygrad_cnn import vision

NAMES = ("ground", "disc", "square", "cross")
SIZE, SHAPES = 32, 3
TRAIN, TEST, BATCH = 512, 64, 16
EPOCHS, QUICK_EPOCHS, QUICK_TRAIN = 14, 6, 384
LR = 1e-2


def draw_shape(kind, x, y, reach):
    """Where the shape is: Booleans (SIZE, SIZE)."""
    down, across = np.mgrid[:SIZE, :SIZE] - np.array([y, x]).reshape(2, 1, 1)
    if kind == 1:
        return down**2 + across**2 <= reach**2
    inside = np.maximum(abs(down), abs(across)) <= reach
    return inside if kind == 2 else inside & (np.minimum(abs(down), abs(across)) <= max(1, reach // 3))


def pictures(count, rng):
    """Pictures (count, 1, SIZE, SIZE), uint8, and the class of each pixel."""
    images = rng.normal(90, 25, (count, 1, SIZE, SIZE))
    masks = np.zeros((count, SIZE, SIZE), np.int64)
    for image, mask in zip(images, masks, strict=True):
        for _ in range(SHAPES):
            kind = rng.integers(1, 4)
            where = draw_shape(kind, *rng.integers(4, SIZE - 4, 2), rng.integers(3, 8))
            image[0, where] += rng.choice([-1, 1]) * rng.uniform(60, 90)
            mask[where] = kind
    return images.clip(0, 255).astype(np.uint8), masks


def augment(images, masks, rng):
    """Mirror pictures with their masks, and make floating point of them."""
    flips = vision.transforms.Compose([
        vision.transforms.RandomHorizontalFlip(), vision.transforms.RandomVerticalFlip(), vision.transforms.ToFloat()
    ])  # fmt: skip
    images, targets = flips(images, {"masks": masks}, rng=rng)
    return images, targets["masks"]


def loss(scores, masks):
    """Cross-entropy of the pixels, and Dice loss of the classes."""
    return tg.cross_entropy(scores, masks) + vision.ops.dice_loss(tg.softmax(scores, axis=1), masks, smooth=1.0)


def train(images, masks, epochs):
    """Return the trained network."""
    tg.manual_seed(0)
    model = vision.models.unet(in_channels=1, num_classes=len(NAMES), width=8, levels=2)
    loader = tg.data.DataLoader(
        tg.data.TensorDataset(images, masks), BATCH, shuffle=True, seed=0, batch_transform=augment
    )
    optimizer = tg.optim.Adam(model.parameters(), lr=LR)
    schedule = tg.optim.OneCycleLR(optimizer, LR, total_steps=epochs * len(loader), cycle_momentum=False)
    tg.fit(model, loader, loss, optimizer, epochs=epochs, scheduler=tg.training.EachStep(schedule))
    return model.eval()


def overlaps(found, masks):
    """The IoU of each class."""
    return [((found == k) & (masks == k)).sum() / ((found == k) | (masks == k)).sum() for k in range(len(NAMES))]


def draw(path, images, masks, found):
    """Draw pictures, what is in them, and what was found, in three rows."""
    from matplotlib.figure import Figure

    colors = ["red", "lime", "blue"]
    rows = {"picture": None, "truth": masks, "found": found}
    figure = Figure(figsize=(10, 3.9), layout="constrained")
    for (label, marked), part in zip(rows.items(), figure.subfigures(3, 1), strict=True):
        part.suptitle(label, fontsize=10)
        for n, ax in enumerate(part.subplots(1, 8)):
            image = images[n].repeat(3, axis=0)
            if marked is not None:
                each = np.stack([marked[n] == k for k in range(1, len(NAMES))])
                image = vision.utils.draw_segmentation_masks(image, each, alpha=0.6, colors=colors)
            ax.imshow(image.transpose(1, 2, 0))
            ax.set_axis_off()
    figure.savefig(path, dpi=110)


def main(argv=None):
    """Train, and print how well each class is found."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--plot", metavar="FILE.png", help="draw pictures and what was found in them")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_EPOCHS} epochs of {QUICK_TRAIN} pictures")
    given = parser.parse_args(argv)
    if given.plot and importlib.util.find_spec("matplotlib") is None:
        parser.error("argument --plot: matplotlib is not installed; pip install 'tinygrad_cnn[plot]'")
    rng = np.random.default_rng(0)
    images, masks = pictures(QUICK_TRAIN if given.quick else TRAIN, rng)
    model = train(images, masks, QUICK_EPOCHS if given.quick else EPOCHS)
    images, masks = pictures(TEST, rng)
    found = tg.predict(model, images / np.float32(255)).argmax(axis=1)
    print(f"\n{TEST} pictures that were not trained on")
    for name, overlap in zip(NAMES, overlaps(found, masks), strict=True):
        print(f"{name:7} IoU {overlap:.2f}")
    print(f"mean    IoU {np.mean(overlaps(found, masks)):.2f}")
    if given.plot:
        draw(given.plot, images, masks, found)
        print(f"drawn: {given.plot}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
