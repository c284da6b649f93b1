"""Meta-learning: initial weights from which one step of gradient descent learns a new task.

A task is a sine wave of which ten points are given. The inner step w' = w - r dL/dw is itself differentiated: the outer
loss is the loss of w' at other points of the wave, and its gradient with respect to w and r passes through
dL/dw. So the outer loop learns the initial weights and, for each weight, a learning rate.

Sources: C. Finn, P. Abbeel, S. Levine, "Model-agnostic meta-learning", 2017; for the rates r, Z. Li et al., "Meta-SGD".
Run:  python examples/meta_gradient.py --plot step.png
"""

import argparse
import importlib.util
import math
import sys

import numpy as np

import tinygrad_cnn as tg

HIDDEN, POINTS, TASKS, TEST_TASKS = 40, 10, 25, 500
STEPS, QUICK_STEPS, LR, RATE = 3000, 400, 3e-3, 0.01  # RATE: of the inner step, before training


def waves(rng, tasks):
    """Draw two sets of points of each wave: x, y, x, y, all of shape (tasks, points, 1)."""
    amplitude, phase = rng.uniform(0.1, 5, (tasks, 1, 1)), rng.uniform(0, math.pi, (tasks, 1, 1))
    xs = rng.uniform(-5, 5, (2, tasks, POINTS, 1))
    return [part.astype(np.float32) for x in xs for part in (x, amplitude * np.sin(x - phase))]


def start():
    """Return weights (inputs, outputs) and biases of three layers, and a learning rate for each number in them."""
    shapes = [(1, HIDDEN), (1, HIDDEN), (HIDDEN, HIDDEN), (1, HIDDEN), (HIDDEN, 1), (1, 1)]
    weights = [tg.Tensor(tg.randn(*shape) / math.sqrt(shape[0]), requires_grad=True) for shape in shapes]
    return weights, [tg.full_like(w, RATE, requires_grad=True) for w in weights]


def network(weights, x):
    """Return values (tasks, points, 1); weights may be shared by all tasks, or have an axis of tasks."""
    w1, b1, w2, b2, w3, b3 = weights
    return ((x @ w1 + b1).relu() @ w2 + b2).relu() @ w3 + b3


def loss(weights, x, y):
    """The sum over tasks of the mean squared error, so that each task's gradient is independent of the others."""
    return ((network(weights, x) - y) ** 2).mean(axis=(1, 2)).sum()


def inner_step(weights, rates, x, y):
    """The weights of each task after one recorded step from the same weights; the step can be differentiated."""
    weights = [tg.broadcast_to(w, (len(x), *w.shape)) for w in weights]
    return [w - r * g for w, r, g in zip(weights, rates, tg.grad(loss)(weights, x, y), strict=True)]


def meta_train(weights, rates, steps):
    """Train weights and rates, in place."""
    rng = np.random.default_rng(0)
    optimizer = tg.optim.Adam([*weights, *rates], lr=LR)

    @tg.compile
    def step(x, y, other_x, other_y):
        outer = loss(inner_step(weights, rates, x, y), other_x, other_y) / TASKS
        optimizer.zero_grad()
        outer.backward()
        optimizer.step()
        return outer

    for i in range(steps):
        outer = step(*waves(rng, TASKS))
        if (i + 1) % (steps // 5) == 0:
            print(f"step {i + 1}: outer loss {outer.item():.2f}", flush=True)


@tg.no_grad()
def test(label, weights, rates):
    """Print the mean squared error at other points of new waves, before and after the inner step."""
    x, y, other_x, other_y = waves(np.random.default_rng(1), TEST_TASKS)
    adapted = inner_step(weights, rates, x, y)
    before, after = (loss(w, other_x, other_y).item() / TEST_TASKS for w in (weights, adapted))
    print(f"{label}: mean squared error {before:.2f} on new waves, {after:.2f} after one step", flush=True)


def draw(path, weights, rates):
    """Draw four new waves: the given points, and the network before and after its step."""
    from matplotlib.figure import Figure

    x, y, *_ = waves(np.random.default_rng(2), 4)
    line = np.linspace(-5, 5, 200, dtype=np.float32)[:, None]
    before, after = network(weights, line).numpy(), network(inner_step(weights, rates, x, y), line).numpy()
    figure = Figure(figsize=(12, 3.2), layout="constrained")
    for i, ax in enumerate(figure.subplots(1, 4, sharey=True)):
        ax.plot(line, before, "--", color="0.6", label="before the step")
        ax.plot(line, after[i], color="#d55e00", label="after one step")
        ax.plot(x[i], y[i], "o", color="#0072b2", label="points of the wave")
    figure.legend(*ax.get_legend_handles_labels(), loc="outside upper center", ncols=3)
    figure.savefig(path, dpi=120)


def main(argv=None):
    """Learn initial weights, and print how much one step on new tasks improves on them and on random weights."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--plot", metavar="FILE.png", help="draw new tasks, before and after one step")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_STEPS} steps, not {STEPS}, to try it out")
    given = parser.parse_args(argv)
    if given.plot and importlib.util.find_spec("matplotlib") is None:
        parser.error("argument --plot: matplotlib is not installed; pip install 'tinygrad_cnn[plot]'")
    tg.manual_seed(0)
    weights, rates = start()
    test("random start", weights, rates)
    meta_train(weights, rates, QUICK_STEPS if given.quick else STEPS)
    test("learned start", weights, rates)
    if given.plot:
        draw(given.plot, weights, rates)
        print(f"drawn: {given.plot}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
