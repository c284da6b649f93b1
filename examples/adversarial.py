"""Adversarial examples: a small change of every pixel makes a good network fail.

The fast gradient sign method changes every pixel by epsilon in the direction in which the loss increases,
x' = x + epsilon sign(dL/dx), clipped to the valid range. This is the gradient with respect
to the image, not the weights. With random signs the same change hardly matters: its direction matters, not its size.

Source: I. Goodfellow, J. Shlens, C. Szegedy, "Explaining and harnessing adversarial examples", 2015.
Run:  python examples/adversarial.py --plot adversarial.png
"""

import argparse
import importlib.util
import sys

import numpy as np

import tinygrad_cnn as tg
from tinygrad_cnn import nn

EPSILON = 0.15  # pixels are from 0 to 1
TEST = 0.2  # share of the images
BATCH = 32
EPOCHS, QUICK_EPOCHS = 12, 4
LR = 4e-3


def network():
    """Scores (n, 10) for images (n, 1, 8, 8)."""
    return nn.Sequential(
        nn.Conv2d(1, 16, kernel_size=3, padding=1),
        nn.ReLU(),
        nn.Conv2d(16, 32, kernel_size=3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.3),
        nn.Linear(32 * 4 * 4, 10),
    )


def train(dataset, epochs):
    """The trained model, in evaluation mode."""
    tg.manual_seed(0)
    model = network()
    loader = tg.data.DataLoader(dataset, BATCH, shuffle=True, seed=0)
    tg.fit(model, loader, tg.cross_entropy, tg.optim.Adam(model.parameters(), lr=LR), epochs=epochs)
    return model.eval()


@tg.no_grad()  # tg.grad records its own graph; without no_grad the result would also be recorded for the weights
def fast_gradient_sign(model, x, labels):
    """An array of the signs of dL/dx: 1, -1, or 0 for pixels that do not affect the loss."""
    return tg.grad(lambda x: tg.cross_entropy(model(x), labels))(x).sign().numpy()


def changed(x, signs, epsilon):
    """The images with each pixel changed by epsilon, clipped to 0 and 1."""
    return np.clip(x + epsilon * signs, 0, 1)


@tg.no_grad()
def predict(model, x):
    """The class with the highest score, for each image."""
    return model(x).argmax(axis=1).numpy()


def draw(path, model, x, labels, directions):
    """Draw the accuracy for each epsilon, and clean and changed images with the network's predictions."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 3.6), layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=[1, 1.8])
    ax, epsilons = left.subplots(), np.linspace(0, 0.3, 13)
    for (label, signs), colour in zip(directions.items(), ("#0072b2", "#d55e00"), strict=True):
        shares = [(predict(model, changed(x, signs, e)) == labels).mean() for e in epsilons]
        ax.plot(epsilons, shares, ".-", color=colour, label=label)
    ax.set(xlabel="epsilon", ylabel="accuracy", ylim=(0, 1.02))
    ax.legend()
    rows = x, changed(x, directions["gradient signs"], EPSILON)
    for axes, images in zip(right.subplots(2, 8), rows, strict=True):
        for ax, image, answer, label in zip(axes, images[:, 0], predict(model, images), labels, strict=False):
            ax.imshow(image, cmap="gray_r", vmin=0, vmax=1)
            ax.set_title(str(answer), color="black" if answer == label else "#d55e00")
            ax.set_axis_off()
    right.suptitle(f"what the network sees in images, and in the same with epsilon = {EPSILON}")
    figure.savefig(path, dpi=120)


def main(argv=None):
    """Train, and print the accuracy on clean and on changed images."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--plot", metavar="FILE.png", help="draw accuracy against epsilon, and images")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_EPOCHS} epochs, not {EPOCHS}, to try it out")
    given = parser.parse_args(argv)
    if given.plot and importlib.util.find_spec("matplotlib") is None:
        parser.error("argument --plot: matplotlib is not installed; pip install 'tinygrad_cnn[plot]'")
    images, labels = tg.data.digits()
    images = images[:, None].astype(np.float32) / 16
    part, test = tg.data.stratified_split(tg.data.TensorDataset(images, labels), [1 - TEST, TEST], labels, rng=0)
    model = train(part, QUICK_EPOCHS if given.quick else EPOCHS)
    x, y = images[test.indices], labels[test.indices]
    random = np.random.default_rng(0).choice([-1, 1], x.shape).astype(x.dtype)
    directions = {"random signs": random, "gradient signs": fast_gradient_sign(model, x, y)}
    print(f"\n{len(x)} images that were not trained on: {(predict(model, x) == y).mean():.1%} right")
    for label, signs in directions.items():
        share = (predict(model, changed(x, signs, EPSILON)) == y).mean()
        print(f"each pixel changed by {EPSILON}, {label}: {share:.1%} right")
    if given.plot:
        draw(given.plot, model, x, y, directions)
        print(f"drawn: {given.plot}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
