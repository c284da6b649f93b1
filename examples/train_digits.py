"""Train the notebook's network on real handwritten digits with gradient descent, RMSprop and Adam.

The network predicts the value of the digit in a 32 x 32 image, a number from 0 to 9: convolution (4 filters 3 x 3, stride 2,
padding 1), relu, 1024 to 10, 10 to 1, mean squared error. Each optimizer starts from the same weights and gets the same
batches, so the table at the end compares only the optimizers.

Below the table the program prints how many predictions are right when they are rounded, and last the accuracy of the same
convolution as a classifier, which gives a score for each digit. A terminal shows the progress meanwhile; --verbose prints a
line for each epoch instead.

With --classify, the program trains a network of two convolutions to classify the 8 x 8 images instead. With --save, it
writes the weights to a file; nn.models.digits(pretrained=True) has those that it writes without further options.

Run:  python examples/train_digits.py --plot digits.png
      python examples/train_digits.py --classify --save digits.npz
"""

import argparse
import math
import os
import shutil
import sys
import time
from collections import namedtuple
from pathlib import Path

import numpy as np

import tinygrad_cnn as tg
from tinygrad_cnn import nn

COLOURS = {"gradient descent": "#0072b2", "RMSprop": "#d55e00", "Adam": "#009e73"}  # safe for colour-blind readers
RMSE_TICKS = [0.5, 0.7, 1, 1.2, 1.5, 2, 2.5, 3, 4]

# By the name for --optimizer: label, class, and a learning rate at which training converges.
OPTIMIZERS = {
    "gd": ("gradient descent", tg.optim.SGD, 5e-4),
    "rmsprop": ("RMSprop", tg.optim.RMSprop, 5e-4),
    "adam": ("Adam", tg.optim.Adam, 1e-3),
}
TRAIN = 1437  # four fifths of the 1797 images; the rest is the test set
QUICK_TRAIN, QUICK_TEST, QUICK_EPOCHS = 640, 160, 5
EPOCHS, CLASSIFY_EPOCHS, CLASSIFY_LR = 30, 20, 3e-3

Split = namedtuple("Split", "train_x train_y test_x test_y")
Split.__doc__ = "Images (n, 1, 32, 32) and values (n, 1), float32."

Epoch = namedtuple("Epoch", "number loss train_rmse test_rmse rate")
Epoch.__doc__ = "The record of one epoch: the mean loss of its batches, and the errors after it."

Run = namedtuple("Run", "label lr model history seconds diverged")
Run.__doc__ = "One optimizer's training: the trained model, and the record of each epoch."


def divided(quick):
    """Return images, labels, and the indices of the training and test images, always the same."""
    images, labels = tg.data.digits()
    order = np.random.default_rng(0).permutation(len(images))
    train, test = order[:TRAIN], order[TRAIN:]
    if quick:
        train, test = train[:QUICK_TRAIN], test[:QUICK_TEST]
    return images, labels, train, test


def load(quick):
    """Return the digits, enlarged to the notebook's 32 x 32, as a Split."""
    images, labels, train, test = divided(quick)
    x = tg.data.enlarge(images, 32)[:, None].astype(np.float32)
    x -= x[train].mean()  # centred inputs train faster; scaling to 0..1 would slow down the filters
    y = labels[:, None].astype(np.float32)
    return Split(x[train], y[train], x[test], y[test])


@tg.no_grad()
def predict(model, x):
    """The network's predictions, an array (n, 1)."""
    return model(tg.from_numpy(x)).numpy()


def rmse(model, x, y):
    """Root of the mean squared error, in digits."""
    return math.sqrt(np.mean(np.square(predict(model, x) - y)))


def train(name, lr, split, epochs, batch_size, seed, progress):
    """Train with the optimizer `name` and return a Run; training ends early if the loss is not finite."""
    label, make, default_lr = OPTIMIZERS[name]
    lr = default_lr if lr is None else lr
    rng = tg.manual_seed(seed)
    model = nn.models.NotebookNet()
    optimizer = make(model.parameters(), lr=lr)
    history, seconds, n = [], 0.0, len(split.train_x)
    for number in range(1, epochs + 1):
        start, total = time.perf_counter(), 0.0
        order = rng.permutation(n)
        for first in range(0, n, batch_size):
            batch = order[first : first + batch_size]
            loss = tg.mse(model(tg.from_numpy(split.train_x[batch])), split.train_y[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(batch)
        elapsed = time.perf_counter() - start
        seconds += elapsed
        errors = rmse(model, split.train_x, split.train_y), rmse(model, split.test_x, split.test_y)
        history.append(Epoch(number, total / n, *errors, n / elapsed))
        progress.show(name, history[-1], epochs)
        if not math.isfinite(sum(errors)):
            break
    progress.end()
    return Run(label, lr, model, history, seconds, diverged=not math.isfinite(sum(errors)))


def share_right(run, split):
    """The share of test images whose rounded prediction is right."""
    return np.mean(np.rint(predict(run.model, split.test_x)) == split.test_y)


def same_convolution_classifies(split, epochs, batch_size, seed):
    """Train the notebook's convolution as a classifier, with Adam, and return its test accuracy."""
    tg.manual_seed(seed)
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(1024, 10),
    )
    train, test = (
        tg.data.TensorDataset(x, y[:, 0].astype(int))
        for x, y in ((split.train_x, split.train_y), (split.test_x, split.test_y))
    )
    loader = tg.data.DataLoader(train, batch_size, shuffle=True, seed=seed)
    optimizer = tg.optim.Adam(model.parameters(), lr=OPTIMIZERS["adam"][2])
    history = tg.fit(
        model, loader, tg.cross_entropy, optimizer, epochs=epochs, progress=False,
        validate=tg.data.DataLoader(test, batch_size=500),
    )  # fmt: skip
    return history.last["val_accuracy"]


def classify(given):
    """Train the classifier, print its test accuracy, and save its weights if asked to."""
    images, labels, train, test = divided(given.quick)
    x = images[:, None].astype(np.float32) / 16
    tg.manual_seed(given.seed)
    model = nn.models.digits()
    optimizer = tg.optim.Adam(model.parameters(), lr=CLASSIFY_LR if given.lr is None else given.lr)
    parts = [tg.data.TensorDataset(x[part], labels[part]) for part in (train, test)]
    loader = tg.data.DataLoader(parts[0], given.batch_size, shuffle=True, seed=given.seed)
    held_out = tg.data.DataLoader(parts[1], batch_size=500)
    schedule = tg.optim.CosineAnnealingLR(optimizer, T_max=given.epochs)
    fit = {"epochs": given.epochs, "scheduler": schedule, "validate": held_out}
    history = tg.fit(model, loader, tg.cross_entropy, optimizer, **fit)
    accuracy, seconds = history.last["val_accuracy"], sum(history["seconds"])
    print(f"\n{accuracy:.2%} of {len(test)} test images are classified correctly, after {seconds:.1f} s")
    if given.save:
        np.savez_compressed(given.save, **model.state_dict())
        print(f"saved: {given.save}")


class Progress:
    """The progress: in a terminal one line that is rewritten, and removed at the end; if `verbose`, a line for each epoch."""

    def __init__(self, stream, verbose=False):
        self.stream, self.live, self.verbose = stream, stream.isatty() and not verbose, verbose

    def show(self, name, epoch, epochs):
        """Show the record of an epoch."""
        line = (
            f"{name:<7}  epoch {epoch.number:>{len(str(epochs))}}/{epochs}  loss {epoch.loss:6.3f}  "
            f"RMSE train {epoch.train_rmse:.3f} test {epoch.test_rmse:.3f}  {epoch.rate:6,.0f} images/s"
        )
        if self.verbose:
            print(line, file=self.stream, flush=True)
        self._rewrite(line)

    def end(self):
        """Remove the line."""
        self._rewrite("")

    def _rewrite(self, line):
        if self.live:
            width = shutil.get_terminal_size().columns - 1  # a line that wraps cannot be rewritten
            print(f"\r{line[:width]:<{width}}", end="" if line else "\r", file=self.stream, flush=True)


def table(runs):
    """Format the results of all optimizers as a table."""
    heads = ("optimizer", "lr", "epochs", "train RMSE", "test RMSE", "best test", "seconds")
    rows = [heads]
    for run in runs:
        last, best = run.history[-1], best_epoch(run)
        rows.append((
            run.label,
            f"{run.lr:g}",
            str(last.number),
            f"{last.train_rmse:.4f}",
            f"{last.test_rmse:.4f}" if not run.diverged else "diverged",
            f"{best.test_rmse:.4f} at {best.number}" if best else "none",
            f"{run.seconds:.2f}",
        ))  # fmt: skip
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    rows.insert(1, ["-" * width for width in widths])
    return "\n".join("  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in rows)


def best_epoch(run):
    """The epoch with the smallest test error, or None if no error was finite."""
    return min((e for e in run.history if math.isfinite(e.test_rmse)), key=lambda e: e.test_rmse, default=None)


def baseline(split):
    """The test error if the network ignored the image and always predicted the mean of the training values."""
    return math.sqrt(np.mean(np.square(split.test_y - split.train_y.mean())))


def plotting():
    """matplotlib's Figure, which draws to files and needs no screen; None, with a message, if it is not installed."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        print(
            "--plot: matplotlib is not installed, so no picture will be drawn; install it with "
            "pip install 'tinygrad_cnn[plot]'",
            file=sys.stderr,
            flush=True,
        )
        return None
    return Figure


def draw(figure, runs, split):
    """Draw the error of each run by epoch, and the filters and predictions of the best run."""
    best = min(runs, key=lambda run: math.inf if run.diverged else run.history[-1].test_rmse)
    left, right = figure.subfigures(1, 2, width_ratios=[1.15, 1])
    top, bottom = left.subfigures(2, 1, height_ratios=[2.6, 1])
    draw_curves(top.subplots(), runs, split)
    draw_filters(bottom, best)
    draw_answers(right.subplots(), best, split)


def draw_curves(axes, runs, split):
    """Draw the test and training error after each epoch."""
    for run in runs:
        epochs, colour = [e.number for e in run.history], COLOURS[run.label]
        marker = "o" if len(epochs) < 10 else None
        axes.plot(
            epochs, [e.test_rmse for e in run.history], color=colour, marker=marker, label=f"{run.label}, lr {run.lr:g}"
        )
        axes.plot(epochs, [e.train_rmse for e in run.history], color=colour, linewidth=1, linestyle=":")
    axes.plot([], [], color="grey", linewidth=1, linestyle=":", label="on the training images")
    axes.axhline(baseline(split), color="grey", linewidth=1, linestyle="--", label="predicting the mean")
    lowest = min(min(e.test_rmse, e.train_rmse) for run in runs for e in run.history if math.isfinite(e.test_rmse))
    axes.set_yscale("log")
    axes.set_yticks(RMSE_TICKS, map(str, RMSE_TICKS))
    axes.set_yticks([], minor=True)
    axes.set_ylim(lowest / 1.05, 1.5 * baseline(split))  # a run that diverged must not hide the others
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.grid(alpha=0.2)
    axes.set(title="Error on the test images after each epoch", xlabel="epoch", ylabel="RMSE (digits, log scale)")
    axes.legend(frameon=False, ncols=2)


def draw_filters(figure, run):
    """Draw the four 3 x 3 filters, with one colour scale that has zero in the middle."""
    filters = run.model.conv.weight.numpy()[:, 0]
    largest = abs(filters).max()
    axes = figure.subplots(1, len(filters))
    for k, (ax, values) in enumerate(zip(axes, filters, strict=True), start=1):
        image = ax.imshow(values, cmap="RdBu_r", vmin=-largest, vmax=largest)
        ax.set(xticks=[], yticks=[], xlabel=f"filter {k}")
    figure.colorbar(image, ax=axes, label="weight", fraction=0.05)
    figure.suptitle(f"The four filters, {run.label}")


def draw_answers(axes, run, split):
    """Draw each test image as a point, predicted against true value; a bar marks the median of each digit."""
    true, answers = split.test_y[:, 0], predict(run.model, split.test_x)[:, 0]
    jitter = np.random.default_rng(0).uniform(-0.3, 0.3, len(true))
    axes.plot([-0.5, 9.5], [-0.5, 9.5], color="grey", linewidth=1, linestyle="--", label="exact")
    axes.scatter(true + jitter, answers, s=14, alpha=0.5, linewidths=0, color=COLOURS[run.label], label="test image")
    digits = np.unique(true)
    medians = [np.median(answers[true == digit]) for digit in digits]
    axes.hlines(medians, digits - 0.36, digits + 0.36, color="black", linewidth=2, label="median")
    axes.set(
        title=f"Predictions of {run.label}: RMSE {run.history[-1].test_rmse:.2f} on {len(true)} test images",
        xlabel="true digit",
        ylabel="predicted value",
        xticks=range(10),
        ylim=(min(-1, answers.min() - 0.5), max(10, answers.max() + 0.5)),
    )
    axes.grid(axis="y", alpha=0.2)
    axes.legend(frameon=False, loc="upper left")


def arguments(argv):
    """Parse the command line, and check it before anything is computed."""

    def whole(least):
        def convert(text):
            try:
                value = int(text)
            except ValueError:
                value = None
            if value is None or value < least:
                raise argparse.ArgumentTypeError(f"{text!r} must be a whole number, at least {least}")
            return value

        return convert

    def rate(text):
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not 0 < value < math.inf:
            raise argparse.ArgumentTypeError(f"{text!r} must be a number above 0, such as 0.001")
        return value

    def file(suffix):
        def convert(text):
            path = Path(text)
            if path.suffix.lower() != suffix or path.is_dir():
                raise argparse.ArgumentTypeError(f"{text!r} must be the name of a {suffix} file")
            if not path.parent.is_dir():
                raise argparse.ArgumentTypeError(f"the folder {str(path.parent)!r} does not exist; make it first")
            if not os.access(path if path.exists() else path.parent, os.W_OK):
                raise argparse.ArgumentTypeError(f"{text!r} cannot be written; choose another place")
            return path

        return convert

    defaults = ", ".join(f"{name} {lr:g}" for name, (_, _, lr) in OPTIMIZERS.items())
    parser = argparse.ArgumentParser(description=" ".join(__doc__.split("\n\n")[0].split()))
    parser.add_argument(
        "--classify", action="store_true", help="train a classifier, with Adam, instead of the regression"
    )
    parser.add_argument("--optimizer", choices=[*OPTIMIZERS, "all"], default="all", help="default: all")
    parser.add_argument(
        "--epochs",
        type=whole(1),
        help=f"passes over the training images (default: {EPOCHS}, {CLASSIFY_EPOCHS} to classify, {QUICK_EPOCHS} if quick)",
    )
    parser.add_argument("--batch-size", type=whole(1), default=32, help="images in each step (default: 32)")
    parser.add_argument("--lr", type=rate, help=f"learning rate (default: {defaults}; to classify {CLASSIFY_LR:g})")
    parser.add_argument(
        "--seed", type=whole(0), default=0, help="of the first weights and the order of images (default: 0)"
    )
    parser.add_argument(
        "--plot", type=file(".png"), metavar="FILE.png", help="draw curves, filters and predictions (needs matplotlib)"
    )
    parser.add_argument(
        "--save", type=file(".npz"), metavar="FILE.npz", help="with --classify: write the weights to a file"
    )
    parser.add_argument("--verbose", action="store_true", help="print a line for each epoch")
    parser.add_argument(
        "--quick", action="store_true", help=f"{QUICK_TRAIN} training images and few epochs, to try it out"
    )
    given = parser.parse_args(argv)
    available = QUICK_TRAIN if given.quick else TRAIN
    if given.batch_size > available:
        parser.error(f"argument --batch-size: {given.batch_size} must not exceed the {available} training images")
    if given.classify and (given.plot or given.optimizer != "all"):
        parser.error("argument --classify: it goes with neither --optimizer nor --plot, which are the regression's")
    if given.save and not given.classify:
        parser.error("argument --save: it needs --classify, whose network it saves")
    if given.epochs is None:
        given.epochs = QUICK_EPOCHS if given.quick else CLASSIFY_EPOCHS if given.classify else EPOCHS
    return given


def main(argv=None):
    """Train, print the table, draw. The exit status is 1 if a run diverged."""
    given = arguments(argv)
    if given.classify:
        classify(given)
        return 0
    figure_class = plotting() if given.plot else None
    split = load(given.quick)
    print(
        f"{len(split.train_x)} training and {len(split.test_x)} test images; "
        f"always predicting the mean: test RMSE {baseline(split):.2f}",
        flush=True,
    )
    names = OPTIMIZERS if given.optimizer == "all" else [given.optimizer]
    progress = Progress(sys.stdout, given.verbose)
    with np.errstate(over="ignore", invalid="ignore"):  # divergence is reported once, at the end
        runs = [train(name, given.lr, split, given.epochs, given.batch_size, given.seed, progress) for name in names]
    print(f"\n{table(runs)}", flush=True)
    finished = [run for run in runs if not run.diverged]
    diverged = [run.label for run in runs if run.diverged]
    if figure_class and finished:
        figure = figure_class(figsize=(12.5, 7), dpi=150, layout="constrained")
        draw(figure, runs, split)
        figure.savefig(given.plot)
        print(f"\ndrawn: {given.plot}", flush=True)
    if finished:
        best = min(finished, key=lambda run: run.history[-1].test_rmse)
        print(
            f"\nThe network predicts a value: {best.label} is off by {best.history[-1].test_rmse:.2f} (RMSE).\n"
            f"Rounded, {share_right(best, split):.1%} of its predictions on the test images are right.",
            flush=True,
        )
        accuracy = same_convolution_classifies(split, given.epochs, given.batch_size, given.seed)
        print(f"The same convolution as a classifier, a score for each digit: {accuracy:.1%} right.")
    if diverged:
        print(f"\ndiverged: {', '.join(diverged)}; try a smaller --lr", file=sys.stderr)
    return 1 if diverged else 0


if __name__ == "__main__":
    sys.exit(main())
