"""Sixty hyperparameters of a ridge regression, learned by implicit gradients of the error in cross-validation.

w(penalty) has the least |X w - y|^2 + sum of penalty_j w_j^2. NumPy computes it, and nothing is recorded: the gradient of the
squares there is zero, and that equation alone gives the derivative of w. So the error on the rows that were left out can be
differentiated by the penalties, one for each feature, and gradient descent finds them. Most features are noise here, and
their penalties grow. A grid search can afford a single penalty for all.

Source: F. Pedregosa, "Hyperparameter optimization with approximate gradient", 2016.
Run:  python examples/ridge_hyperparameters.py --plot penalties.png
"""

import argparse
import importlib.util
import sys

import numpy as np

import tinygrad_cnn as tg

ROWS, FEATURES, USEFUL, NOISE = 120, 60, 8, 1.0
FOLDS = 6
STEPS, QUICK_STEPS = 150, 40


def data(rng, rows, weights):
    """Rows of features, and what is to be predicted from them."""
    x = rng.standard_normal((rows, len(weights)))
    return x, x @ weights + NOISE * rng.standard_normal(rows)


def squares(w, penalty, x, y):
    """What ridge regression makes small."""
    return ((x @ w - y) ** 2).sum() + (penalty * w * w).sum()


def closed_form(penalty, x, y):
    """The weights with the least sum of squares, as NumPy computes them."""
    return np.linalg.solve(x.T @ x + np.diag(penalty), x.T @ y)


ridge = tg.implicit(closed_form, lambda w, *given: tg.grad(squares)(w, *given), positive_definite=True)
"""The same weights, with derivatives."""


def error(log_penalty, x, y):
    """The mean squared error of the rows of each fold, predicted from the other folds."""
    fold, total = np.arange(len(y)) % FOLDS, 0.0
    for i in range(FOLDS):
        w = ridge(tg.exp(log_penalty), x[fold != i], y[fold != i])
        total = total + ((x[fold == i] @ w - y[fold == i]) ** 2).mean()
    return total / FOLDS


def search(x, y):
    """The best logarithm of one penalty for all features, of a grid."""
    grid = np.linspace(-4, 6, 41)
    return grid[np.argmin([error(np.full(x.shape[1], value), x, y).item() for value in grid])]


def learn(log_penalty, x, y, steps):
    """The logarithms of the penalties after some steps of Adam along the implicit gradient."""
    log_penalty = tg.Tensor(log_penalty, requires_grad=True)
    optimizer = tg.optim.Adam([log_penalty], lr=0.1)
    for i in range(steps):
        optimizer.zero_grad()
        loss = error(log_penalty, x, y)
        loss.backward()
        optimizer.step()
        if (i + 1) % (steps // 4) == 0:
            print(f"step {i + 1}: error in cross-validation {loss.item():.2f}", flush=True)
    return log_penalty.numpy().copy()


def draw(path, log_penalty, start):
    """Draw the penalty of each feature."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 3.2), layout="constrained")
    ax, features = figure.subplots(), np.arange(len(log_penalty))
    ax.axhline(np.exp(start), color="0.6", linestyle="--", label="one for all")
    for part, color, label in (
        (slice(None, USEFUL), "#d55e00", "useful features"),
        (slice(USEFUL, None), "#0072b2", "noise"),
    ):
        ax.plot(features[part], np.exp(log_penalty[part]), "o", color=color, label=label)
    ax.set(xlabel="feature", ylabel="penalty", yscale="log")
    figure.legend(*ax.get_legend_handles_labels(), loc="outside upper center", ncols=3)
    figure.savefig(path, dpi=120)


def main(argv=None):
    """Choose the penalties in both ways, and print the errors on new rows."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--plot", metavar="FILE.png", help="draw the penalty of each feature")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_STEPS} steps, not {STEPS}, to try it out")
    given = parser.parse_args(argv)
    if given.plot and importlib.util.find_spec("matplotlib") is None:
        parser.error("argument --plot: matplotlib is not installed; pip install 'tinygrad_cnn[plot]'")
    rng = np.random.default_rng(0)
    weights = np.where(np.arange(FEATURES) < USEFUL, rng.choice([-1.0, 1.0], FEATURES), 0.0)
    x, y = data(rng, ROWS, weights)
    new_x, new_y = data(rng, 20_000, weights)
    one = search(x, y)
    learned = learn(np.full(FEATURES, one), x, y, QUICK_STEPS if given.quick else STEPS)
    for label, log_penalty in (("one penalty for all", np.full(FEATURES, one)), ("one for each feature", learned)):
        w = closed_form(np.exp(log_penalty), x, y)
        print(
            f"{label}: mean squared error {((new_x @ w - new_y) ** 2).mean():.2f} on new rows, of which {NOISE:.0f} is noise"
        )
    if given.plot:
        draw(given.plot, learned, one)
        print(f"drawn: {given.plot}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
