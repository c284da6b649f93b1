"""Logistic regression on handwritten digits: one linear layer, ten classes, cross-entropy.

The score of class c is <w_c, x> + b_c, so each class has one weight for each pixel. The weights can be drawn as an image:
it shows where ink is evidence for the digit and where against it.

Run:  python examples/logistic_regression.py --plot weights.png
"""

import argparse
import importlib.util
import sys

import numpy as np

import tinygrad_cnn as tg
from tinygrad_cnn import nn

TEST = 0.2  # share of the images
BATCH, TEST_BATCH = 32, 360
EPOCHS, QUICK_EPOCHS = 20, 5
LR, DECAY = 0.01, 0.01


def loaders():
    """Return a training loader and a test loader, of images (n, 8, 8) with pixels from 0 to 1, and labels."""
    images, labels = tg.data.digits()
    dataset = tg.data.TensorDataset(images, labels)
    train, test = tg.data.stratified_split(dataset, [1 - TEST, TEST], labels, rng=0)
    scale = tg.data.ToFloat(16)  # pixels are from 0 to 16
    return (
        tg.data.DataLoader(train, BATCH, shuffle=True, seed=0, transform=scale),
        tg.data.DataLoader(test, TEST_BATCH, transform=scale),
    )


def train(loader, test, epochs):
    """Return the trained model and its history."""
    tg.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    optimizer = tg.optim.AdamW(model.parameters(), lr=LR, weight_decay=DECAY)
    history = tg.fit(model, loader, tg.cross_entropy, optimizer, epochs=epochs, validate=test)
    return model, history


def draw(path, weight):
    """Draw the weights of each class as an image: red is evidence for the digit, blue against it."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4.4), layout="constrained")
    bound = np.abs(weight).max()
    axes = figure.subplots(2, 5)
    for digit, ax in enumerate(axes.flat):
        image = ax.imshow(weight[digit].reshape(8, 8), cmap="RdBu_r", vmin=-bound, vmax=bound)
        ax.set_title(str(digit))
        ax.set_axis_off()
    figure.colorbar(image, ax=axes, label="weight of the pixel")
    figure.savefig(path, dpi=120)


def main(argv=None):
    """Train, test, and print the accuracy."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--plot", metavar="FILE.png", help="draw the weights of each class")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_EPOCHS} epochs, not {EPOCHS}, to try it out")
    given = parser.parse_args(argv)
    if given.plot and importlib.util.find_spec("matplotlib") is None:
        parser.error("argument --plot: matplotlib is not installed; pip install 'tinygrad_cnn[plot]'")
    loader, test = loaders()
    model, history = train(loader, test, QUICK_EPOCHS if given.quick else EPOCHS)
    print(f"\n{history['val_accuracy'][-1]:.1%} of {len(test.dataset)} images that were not trained on are right")
    if given.plot:
        draw(given.plot, model[1].weight.numpy())
        print(f"drawn: {given.plot}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
