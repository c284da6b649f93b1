"""Train a network similar to LeNet on the 60,000 images of Fashion-MNIST, and draw what it learned and where it fails.

Two convolutions with max-pooling, two linear layers; Adam with a one-cycle learning rate. The data comes from Debian's
package dataset-fashion-mnist, or from a folder with the four IDX files.

Run:  python examples/train_fashion.py --plot pictures
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np

import tinygrad_cnn as tg
from tinygrad_cnn import nn

MEAN, STD = 0.2860, 0.3530  # of the pixels, from 0 to 1
QUICK_TRAIN, QUICK_TEST, QUICK_EPOCHS = 512, 256, 2
WORST = (4, 7)  # rows and columns of the grid of mistakes


def load(root, quick):
    """Return training and test pairs of images (n, 28, 28) uint8 and labels, the classes, and the origin of the data."""
    try:
        train, test = tg.data.fashion_mnist(root)
        classes, origin = tg.data.FASHION_MNIST_CLASSES, "Fashion-MNIST"
    except FileNotFoundError:
        if root or not quick:
            raise
        images, labels = tg.data.digits()
        images = tg.data.enlarge(images, 28) * np.uint8(15)
        train, test = (images[:-QUICK_TEST], labels[:-QUICK_TEST]), (images[-QUICK_TEST:], labels[-QUICK_TEST:])
        classes, origin = tuple("0123456789"), "the UCI digits, as Fashion-MNIST is not installed"
    if quick:
        train, test = (tuple(part[:n] for part in pair) for pair, n in ((train, QUICK_TRAIN), (test, QUICK_TEST)))
    return train, test, classes, origin


def loaders(train, test, batch_size, seed):
    """Return loaders of batches (n, 1, 28, 28): for training with random horizontal flips, and for the test."""
    scale = [tg.data.ToFloat(255), tg.data.Normalize(MEAN, STD)]
    parts = [tg.data.TensorDataset(images[:, None], labels) for images, labels in (train, test)]
    mirrored = tg.data.Compose([tg.data.RandomHorizontalFlip(), *scale])
    return (
        tg.data.DataLoader(parts[0], batch_size, shuffle=True, seed=seed, transform=mirrored),
        tg.data.DataLoader(parts[1], 500, transform=tg.data.Compose(scale)),
    )


def network():
    """LeNet-5 with relu and max-pooling instead of tanh and mean-pooling, and with more filters."""
    return nn.Sequential(
        nn.Conv2d(1, 20, 5, padding=2),  # (n, 20, 28, 28)
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(20, 40, 5),  # (n, 40, 10, 10)
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(40 * 5 * 5, 120),
        nn.ReLU(),
        nn.Linear(120, 10),
    )


def train(loader, test, given):
    """Return the trained model and its history."""
    tg.manual_seed(given.seed)
    model = network()
    optimizer = tg.optim.Adam(model.parameters())
    steps = given.epochs * len(loader)
    schedule = tg.optim.OneCycleLR(optimizer, max_lr=given.lr, total_steps=steps, cycle_momentum=False)
    history = tg.fit(
        model,
        loader,
        tg.cross_entropy,
        optimizer,
        epochs=given.epochs,
        scheduler=tg.training.EachStep(schedule),
        validate=test,
        callbacks=[tg.training.Checkpoint(given.save)] if given.save else [],
        resume=given.resume,
    )
    return model, history


@tg.no_grad()
def probabilities(model, loader):
    """The predicted probabilities of the classes, (n, 10)."""
    model.eval()
    return np.concatenate([tg.softmax(model(x), axis=1).numpy() for x, _ in loader])


def confusion(labels, answers):
    """The confusion matrix: how many images of each class (rows) were predicted as each class (columns)."""
    return np.bincount(labels * 10 + answers, minlength=100).reshape(10, 10)


def pictures(folder, figure_class, model, history, images, labels, p, classes):
    """Draw learning curves, confusion matrix, worst mistakes and the filters of the first layer, into `folder`."""
    drawings = {
        "curves": (lambda figure: draw_curves(figure, history), (9, 4)),
        "confusion": (lambda figure: draw_confusion(figure, confusion(labels, p.argmax(axis=1)), classes), (7.5, 6.5)),
        "mistakes": (lambda figure: draw_mistakes(figure, images, labels, p, classes), (11, 8.2)),
        "filters": (lambda figure: draw_filters(figure, model[0].weight.numpy()[:, 0]), (9, 2.6)),
    }
    for name, (draw, size) in drawings.items():
        figure = figure_class(figsize=size, dpi=130, layout="compressed")
        draw(figure)
        figure.savefig(folder / f"{name}.png")
        print(f"drawn: {folder / name}.png")


def draw_curves(figure, history):
    """Draw loss and accuracy by epoch, during training and on the test images."""
    epochs = range(1, history.epochs + 1)
    left, right = figure.subplots(1, 2)
    for axes, name, title in ((left, "loss", "Cross-entropy"), (right, "accuracy", "Accuracy")):
        for prefix, label, colour in (("", "training", "#0072b2"), ("val_", "test", "#d55e00")):
            axes.plot(epochs, history[prefix + name], color=colour, marker="o", label=label)
        axes.set(title=title, xlabel="epoch")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.2)
        axes.legend(frameon=False)
    right.yaxis.set_major_formatter(lambda y, _: f"{y:.0%}" if abs(100 * y - round(100 * y)) < 1e-6 else f"{y:.1%}")


def draw_confusion(figure, counts, classes):
    """Draw the matrix, coloured by the share of each row, with the counts in its cells."""
    axes = figure.subplots()
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    image = axes.imshow(np.sqrt(shares), cmap="Blues", vmin=0, vmax=1)  # the square root makes rare mistakes visible
    for (i, j), count in np.ndenumerate(counts):
        if count:
            colour = "white" if shares[i, j] > 0.3 else "black"
            axes.text(j, i, f"{count:,}", ha="center", va="center", fontsize=8, color=colour)
    axes.set_xticks(range(10), classes, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(10), classes)
    accuracy = np.trace(counts) / counts.sum()
    axes.set(xlabel="taken for", ylabel="is", title=f"{accuracy:.1%} of {counts.sum():,} test images are right")
    bar = figure.colorbar(image, ax=axes, label="share of the row", fraction=0.046)
    bar.set_ticks(np.sqrt([0, 0.01, 0.1, 0.25, 0.5, 1]), labels=["0", "1 %", "10 %", "25 %", "50 %", "100 %"])


def draw_mistakes(figure, images, labels, p, classes):
    """Draw the mistakes in which the right class got the lowest probability, with the prediction and the right class."""
    wrong = np.flatnonzero(p.argmax(axis=1) != labels)
    worst = wrong[np.argsort(p[wrong, labels[wrong]], kind="stable")][: WORST[0] * WORST[1]]
    grid = figure.subplots(*WORST).ravel()
    for axes in grid:
        axes.set_axis_off()
    for axes, i in zip(grid, worst, strict=False):
        answer = p[i].argmax()
        axes.imshow(images[i], cmap="gray_r")
        axes.set_title(f"{classes[answer]}, {p[i, answer]:.0%}\n(is {classes[labels[i]]})", fontsize=8)
    figure.suptitle(
        f"The {len(worst)} worst of {len(wrong):,} mistakes: the prediction, and in brackets the right class"
    )


def draw_filters(figure, filters):
    """Draw the filters of the first layer, with one colour scale that has zero in the middle."""
    columns = 10
    grid = figure.subplots(-(-len(filters) // columns), columns).ravel()
    largest = abs(filters).max()
    for axes in grid:
        axes.set_axis_off()
    for axes, values in zip(grid, filters, strict=False):
        image = axes.imshow(values, cmap="RdBu_r", vmin=-largest, vmax=largest)
    figure.colorbar(image, ax=list(grid), label="weight", fraction=0.02)
    figure.suptitle(f"The {len(filters)} filters of the first convolution")


def plotting():
    """matplotlib's Figure, which draws to files and needs no screen.

    Raises:
        ImportError: if it is not installed; the message says how to install it.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ImportError(
            "--plot: matplotlib is not installed; pip install 'tinygrad_cnn[plot]', or leave --plot out"
        ) from None
    return Figure


def arguments(argv):
    """Parse the command line."""

    def whole(text):
        if not text.isdecimal() or int(text) < 1:
            raise argparse.ArgumentTypeError(f"{text!r} must be a whole number, at least 1")
        return int(text)

    parser = argparse.ArgumentParser(description=" ".join(__doc__.split("\n\n")[0].split()))
    parser.add_argument("--root", metavar="DIR", help="the folder of the four files (default: where Debian puts them)")
    parser.add_argument("--epochs", type=whole, help=f"passes over the images (default: 5, {QUICK_EPOCHS} if quick)")
    parser.add_argument("--batch-size", type=whole, default=128, help="images in each step (default: 128)")
    parser.add_argument("--lr", type=float, default=4e-3, help="the highest learning rate (default: 0.004)")
    parser.add_argument("--seed", type=int, default=0, help="of the weights and the order of images (default: 0)")
    parser.add_argument("--plot", type=Path, metavar="DIR", help="draw into this folder (needs matplotlib)")
    parser.add_argument("--save", metavar="FILE.npz", help="save the state after each epoch, and when interrupted")
    parser.add_argument(
        "--resume", metavar="FILE.npz", help="continue from a saved state; give the same other arguments"
    )
    parser.add_argument(
        "--quick", action="store_true", help=f"{QUICK_TRAIN} images and {QUICK_EPOCHS} epochs, to try it out"
    )
    given = parser.parse_args(argv)
    if given.epochs is None:
        given.epochs = QUICK_EPOCHS if given.quick else 5
    return given


def main(argv=None):
    """Train, test, print the accuracy and the pairs of classes that are confused most, and draw."""
    given = arguments(argv)
    try:
        figure_class = plotting() if given.plot else None
        if given.plot:
            given.plot.mkdir(parents=True, exist_ok=True)
        examples, (images, labels), classes, origin = load(given.root, given.quick)
        loader, test = loaders(examples, (images, labels), given.batch_size, given.seed)
        print(f"{origin}: {len(examples[1]):,} images to train on, {len(labels):,} to test on", flush=True)
        began = time.perf_counter()
        model, history = train(loader, test, given)
    except KeyboardInterrupt as stop:
        here = f"\nhere: run it again with --resume {given.save}" if given.save else ""
        print(f"\n{stop}{here}", file=sys.stderr)
        return 130
    except (ImportError, OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    seconds = time.perf_counter() - began
    p = probabilities(model, test)
    counts = confusion(labels, p.argmax(axis=1))
    print(f"\n{np.trace(counts) / len(labels):.2%} of {len(labels):,} test images are right, after {seconds:.0f} s")
    mixed = counts - np.diag(np.diag(counts))
    for i, j in zip(*np.unravel_index(np.argsort(-mixed, axis=None, kind="stable")[:3], mixed.shape), strict=True):
        print(f"{classes[i]} taken for {classes[j]}: {mixed[i, j]} of {counts[i].sum():,}")
    if figure_class:
        pictures(given.plot, figure_class, model, history, images, labels, p, classes)
    return 0


if __name__ == "__main__":
    sys.exit(main())
