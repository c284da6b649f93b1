"""A denoising autoencoder: convolutions compress a noisy digit, transposed convolutions reconstruct it without the noise.

New noise is drawn for every batch, and the clean image is the target of the mean squared error. The network cannot predict
the noise, so it learns what digits look like. For comparison, the best linear filter uses only the means and covariances of
the pixels. PSNR = 10 log10(1 / MSE) decibels, for pixels from 0 to 1.

Run:  python examples/denoising_autoencoder.py --plot denoised.png
"""

import argparse
import importlib.util
import math
import sys

import numpy as np

import tinygrad_cnn as tg
from tinygrad_cnn import nn

NOISE = 0.4  # standard deviation
TEST = 0.2  # share of the images
BATCH = 32
EPOCHS, QUICK_EPOCHS = 25, 8
LR = 8e-3


def add_noise(images, rng):
    """Add normally distributed noise to the images."""
    return images + rng.normal(0, NOISE, images.shape).astype(images.dtype)


def autoencoder():
    """A network from (n, 1, 8, 8) through (n, 32, 2, 2) back to (n, 1, 8, 8)."""
    return nn.Sequential(
        nn.Conv2d(1, 16, kernel_size=3, padding=1),
        nn.ReLU(),
        nn.Conv2d(16, 32, kernel_size=3, stride=2, padding=1),  # (n, 32, 4, 4)
        nn.ReLU(),
        nn.Conv2d(32, 32, kernel_size=3, stride=2, padding=1),  # (n, 32, 2, 2)
        nn.ReLU(),
        nn.ConvTranspose2d(32, 32, kernel_size=4, stride=2, padding=1),  # (n, 32, 4, 4)
        nn.ReLU(),
        nn.ConvTranspose2d(32, 16, kernel_size=4, stride=2, padding=1),  # (n, 16, 8, 8)
        nn.ReLU(),
        nn.Conv2d(16, 1, kernel_size=3, padding=1),
        nn.Sigmoid(),
    )


def train(dataset, epochs):
    """Return the trained model."""
    tg.manual_seed(0)
    model = autoencoder()
    loader = tg.data.DataLoader(dataset, BATCH, shuffle=True, seed=0, transform=add_noise)  # of the first array
    optimizer = tg.optim.Adam(model.parameters(), lr=LR)
    schedule = tg.optim.OneCycleLR(optimizer, LR, total_steps=epochs * len(loader), cycle_momentum=False)
    tg.fit(model, loader, tg.mse, optimizer, epochs=epochs, scheduler=tg.training.EachStep(schedule))
    return model


def linear_filter(examples, noisy):
    """Apply the best linear filter for images like the examples, mean + C (C + s^2)^-1 (x - mean)."""
    examples = examples.reshape(len(examples), -1)
    mean, C = examples.mean(axis=0), np.cov(examples.T)
    gain = np.linalg.solve(C + NOISE**2 * np.eye(len(C)), C)
    return (mean + (noisy.reshape(len(noisy), -1) - mean) @ gain).reshape(noisy.shape)


def psnr(images, clean):
    """The peak signal-to-noise ratio in decibels."""
    return -10 * math.log10(np.mean((images - clean) ** 2))


def draw(path, rows):
    """Draw the first images of each array in a row, with its label."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4), layout="constrained")
    for (label, images), part in zip(rows.items(), figure.subfigures(len(rows), 1), strict=True):
        part.suptitle(label)
        for ax, image in zip(part.subplots(1, 12), images[:, 0], strict=False):
            ax.imshow(image, cmap="gray_r", vmin=0, vmax=1)
            ax.set_axis_off()
    figure.savefig(path, dpi=120)


def main(argv=None):
    """Train, and print the quality of test images before and after denoising."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--plot", metavar="FILE.png", help="draw noisy, denoised and clean images")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_EPOCHS} epochs, not {EPOCHS}, to try it out")
    given = parser.parse_args(argv)
    if given.plot and importlib.util.find_spec("matplotlib") is None:
        parser.error("argument --plot: matplotlib is not installed; pip install 'tinygrad_cnn[plot]'")
    images, labels = tg.data.digits()
    images = tg.data.ToFloat(16)(images[:, None])
    dataset = tg.data.TensorDataset(images, images)  # the second array is the target
    part, test = tg.data.stratified_split(dataset, [1 - TEST, TEST], labels, rng=0)
    model = train(part, QUICK_EPOCHS if given.quick else EPOCHS)
    clean = images[test.indices]
    noisy = add_noise(clean, np.random.default_rng(0))
    with tg.no_grad():
        denoised = model(noisy).numpy()
    rows = {"noisy": noisy, "linear filter": linear_filter(images[part.indices], noisy), "network": denoised}
    print(f"\n{len(clean)} images that were not trained on")
    for label, found in rows.items():
        print(f"{label:13}  PSNR {psnr(found, clean):4.1f} dB")
    if given.plot:
        draw(given.plot, rows | {"clean": clean})
        print(f"drawn: {given.plot}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
