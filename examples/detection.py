"""Detection: a small single-shot detector (SSD) finds drawn shapes, with a box and a class for each.

At each place of two feature maps, the network rates a few anchors, boxes of fixed size and proportions: a score for each
class, and how the anchor has to move to fit. In training an anchor answers for the shape that it overlaps by at least a half.
The focal loss copes with the many anchors that have nothing in them; the generalized IoU pulls boxes towards the shapes.
Non-maximum suppression leaves one box for each. The result is the average precision at an IoU of 0.5.

Reference: Liu et al., "SSD: single shot multibox detector", arXiv:1512.02325.

Run:  python examples/detection.py --plot detection.png
"""

import argparse
import importlib.util
import sys

import numpy as np

import tinygrad_cnn as tg
from tinygrad_cnn import nn, vision

NAMES = ("disc", "square", "cross")
SIZE = 64
MAPS = {8: 12.0, 16: 22.0}  # the stride of each feature map, and the side of its anchors
RATIOS = (0.6, 1.0, 1.6)  # width / height
TEST, BATCH = 64, 16
STEPS, QUICK_STEPS = 1150, 150
LR = 1e-2


def draw_shape(kind, x, y, width, height):
    """Where the shape is: Booleans (SIZE, SIZE)."""
    down, across = np.mgrid[:SIZE, :SIZE] + 0.5
    down, across = (down - y) / (height / 2), (across - x) / (width / 2)  # from -1 to 1 in its box
    if kind == 0:
        return down**2 + across**2 <= 1
    inside = np.maximum(abs(down), abs(across)) <= 1
    return inside if kind == 1 else inside & (np.minimum(abs(down), abs(across)) <= 0.35)


def scenes(count, rng):
    """Pictures (count, 3, SIZE, SIZE), uint8, with the boxes (k, 4) and the classes (k,) of each."""
    images = rng.normal(110, 20, (count, 3, SIZE, SIZE))
    boxes, labels = [], []
    for image in images:
        found, kinds = np.zeros((0, 4)), []
        for _ in range(rng.integers(1, 5)):
            width, height = rng.uniform(10, 26) * np.array([1, rng.uniform(0.7, 1.4)])
            x, y = rng.uniform(width / 2, SIZE - width / 2), rng.uniform(height / 2, SIZE - height / 2)
            box = np.array([[x - width / 2, y - height / 2, x + width / 2, y + height / 2]])
            if len(found) and np.asarray(vision.ops.box_iou(box, found)).max() > 0.05:
                continue
            kind = rng.integers(len(NAMES))
            color = 110 + rng.choice([-1, 1], (3, 1)) * rng.uniform(50, 110, (3, 1))
            image[:, draw_shape(kind, x, y, width, height)] = color
            found, kinds = np.concatenate([found, box]), [*kinds, kind]
        boxes.append(found.clip(0, SIZE))
        labels.append(np.array(kinds))
    return images.clip(0, 255).astype(np.uint8), boxes, labels


def anchors():
    """The boxes (A, 4), two corners, from place to place of each map."""
    every = []
    for stride, side in MAPS.items():
        y, x = (np.mgrid[: SIZE // stride, : SIZE // stride] + 0.5) * stride
        for ratio in RATIOS:
            half = side * np.array([ratio**0.5, ratio**-0.5]) / 2
            every.append(np.stack([x - half[0], y - half[1], x + half[0], y + half[1]], axis=-1).reshape(-1, 4))
    return np.concatenate(every).astype(np.float32)


ANCHORS = anchors()


class Detector(nn.Module):
    """For each anchor the scores of all classes, and its box."""

    def __init__(self, width=16):
        super().__init__()
        block = vision.models.blocks.ConvNormActivation
        self.stem = nn.Sequential(block(3, width, stride=2), block(width, 2 * width, stride=2))
        self.stages = nn.ModuleList([block(2 * width, 4 * width, stride=2), block(4 * width, 4 * width, stride=2)])
        self.refine = nn.ModuleList([block(4 * width, 4 * width) for _ in MAPS])
        each = len(NAMES) + 4
        self.heads = nn.ModuleList([nn.Conv2d(4 * width, len(RATIOS) * each, 3, padding=1) for _ in MAPS])
        for head in self.heads:
            nn.init.normal_(head.weight, std=0.01)
            bias = np.zeros((len(RATIOS), each), np.float32)
            bias[:, : len(NAMES)] = -3.0  # at first nothing is there, says the network
            head.bias.copy_(bias.ravel())

    def forward(self, x):
        """Scores (N, A, classes) and boxes (N, A, 4)."""
        x, parts = self.stem(x), []
        for stage, refine, head in zip(self.stages, self.refine, self.heads, strict=True):
            x = refine(stage(x))
            y = head(x)  # (N, ratios (classes + 4), H, W)
            y = y.reshape(len(y), len(RATIOS), len(NAMES) + 4, -1).swapaxes(2, 3)
            parts.append(y.reshape(len(y), -1, len(NAMES) + 4))
        y = tg.concatenate(parts, axis=1)
        return y[..., : len(NAMES)], self.moved(y[..., len(NAMES) :])

    def moved(self, change):
        """The anchors with their centres moved by parts of their size, and their size multiplied by exp(change)."""
        size = ANCHORS[:, 2:] - ANCHORS[:, :2]
        centre = ANCHORS[:, :2] + size / 2 + change[..., :2] * size
        half = size / 2 * tg.exp(change[..., 2:].clip(-2, 2))
        return tg.concatenate([centre - half, centre + half], axis=-1)


def matched(boxes, labels):
    """For each anchor the class that it answers for, -1 for nothing, and its box: by overlap, and the best for each shape."""
    classes, targets = np.full(len(ANCHORS), -1), ANCHORS.copy()
    if not len(boxes):
        return classes, targets
    overlap = np.asarray(vision.ops.box_iou(ANCHORS, boxes.astype(np.float32)))
    owner = overlap.argmax(axis=1)
    answers = overlap.max(axis=1) >= 0.5
    best = overlap.argmax(axis=0)
    owner[best], answers[best] = np.arange(len(boxes)), True
    classes[answers], targets[answers] = labels[owner[answers]], boxes[owner[answers]]
    return classes, targets


def loss(output, classes, targets):
    """The focal loss of all anchors, and the generalized IoU of those that answer for a shape, for each of these."""
    scores, boxes = output
    classes, targets = np.asarray(classes), np.asarray(targets)
    wanted = (classes[..., None] == np.arange(len(NAMES))).astype(np.float32)
    here = np.nonzero(classes >= 0)
    count = max(len(here[0]), 1)
    focal = vision.ops.sigmoid_focal_loss(scores, wanted, alpha=0.5, reduction="sum")
    return (focal + vision.ops.generalized_box_iou_loss(boxes[here], targets[here], reduction="sum")) / count


def train(steps):
    """Return a detector that was trained on pictures of which each is new."""
    tg.manual_seed(0)
    model = Detector()
    optimizer = tg.optim.AdamW(model.parameters(), lr=LR, weight_decay=1e-4)
    schedule = tg.optim.OneCycleLR(optimizer, LR, total_steps=steps, cycle_momentum=False)
    rng, losses = np.random.default_rng(1), []
    for step in range(1, steps + 1):
        images, boxes, labels = scenes(BATCH, rng)
        pairs = [matched(*truth) for truth in zip(boxes, labels, strict=True)]
        value = loss(model(images / np.float32(255)), *map(np.stack, zip(*pairs, strict=True)))
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        schedule.step()
        losses.append(value.item())
        if step % 50 == 0:
            print(f"step {step:4}/{steps}  loss {np.mean(losses[-50:]):.3f}")
    return model.eval()


def detect(model, images, least=0.05):
    """For each image the boxes (k, 4), the classes and the scores of what is found."""
    with tg.no_grad():
        scores, boxes = model(images / np.float32(255))
    found = []
    for score, box in zip(tg.sigmoid(scores).numpy(), boxes.numpy(), strict=True):
        which, kind = np.nonzero(score > least)
        box, value = box[which].clip(0, SIZE), score[which, kind]
        kept = np.asarray(vision.ops.nms(box, value, iou_threshold=0.4))  # of all classes: a shape is of one
        found.append((box[kept], kind[kept], value[kept]))
    return found


def average_precision(found, boxes, labels, kind):
    """The area under the curve of precision over recall: a box is right if it is the first on a shape, with an IoU of 0.5."""
    rows, total = [], sum((label == kind).sum() for label in labels)
    for (box, kinds, scores), truth, label in zip(found, boxes, labels, strict=True):
        truth, taken = truth[label == kind], set()
        for place in np.flatnonzero(kinds == kind):  # by falling score
            overlap = np.asarray(vision.ops.box_iou(box[place][None], truth))[0] if len(truth) else np.zeros(1)
            best = int(overlap.argmax())
            right = overlap[best] >= 0.5 and best not in taken
            taken |= {best} if right else set()
            rows.append((scores[place], right))
    if not rows:
        return 0.0
    right = np.array([r for _, r in sorted(rows, key=lambda row: -row[0])])
    precision = right.cumsum() / np.arange(1, len(right) + 1)
    precision = np.maximum.accumulate(precision[::-1])[::-1]  # the best at this recall or a higher one
    return float((precision * right).sum() / total)


def draw(path, images, found):
    """Draw pictures with what was found in them."""
    from matplotlib.figure import Figure

    colors = ["red", "lime", "blue"]
    figure = Figure(figsize=(10, 4.4), layout="constrained")
    figure.suptitle(", ".join(f"{name}: {color}" for name, color in zip(NAMES, colors, strict=True)), fontsize=10)
    for image, (boxes, kinds, scores), ax in zip(images, found, figure.subplots(2, 5).ravel(), strict=False):
        sure = scores > 0.3
        large = vision.transforms.Resize(256, "nearest")(image)
        shown = vision.utils.draw_bounding_boxes(
            large, boxes[sure] * 4, colors=[colors[kind] for kind in kinds[sure]], width=4
        )
        ax.imshow(shown.transpose(1, 2, 0))
        ax.set_axis_off()
    figure.savefig(path, dpi=110)


def main(argv=None):
    """Train, and print the average precision of each class."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--plot", metavar="FILE.png", help="draw pictures with what was found in them")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_STEPS} steps in place of {STEPS}")
    given = parser.parse_args(argv)
    if given.plot and importlib.util.find_spec("matplotlib") is None:
        parser.error("argument --plot: matplotlib is not installed; pip install 'tinygrad_cnn[plot]'")
    model = train(QUICK_STEPS if given.quick else STEPS)
    images, boxes, labels = scenes(TEST, np.random.default_rng(0))
    found = detect(model, images)
    print(f"\n{TEST} pictures that were not trained on, average precision at an IoU of 0.5")
    each = [average_precision(found, boxes, labels, kind) for kind in range(len(NAMES))]
    for name, value in zip(NAMES, each, strict=True):
        print(f"{name:6} AP {value:.2f}")
    print(f"mean   AP {np.mean(each):.2f}")
    if given.plot:
        draw(given.plot, images, found)
        print(f"drawn: {given.plot}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
