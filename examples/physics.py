"""A differential equation solved with a small network: u'' = f on [0, 1], with u(0) = u(1) = 0.

The network n gives u(x) = x (1 - x) n(x), which satisfies the boundary conditions for any n. Training makes the residual
u'' - f small at new random points in each step. u'' is a gradient of a gradient with respect to x, and the loss is
differentiated once more, with respect to the weights. f is chosen so that u = sin(2 pi x) + sin(5 pi x) / 2 is the solution.

Source: M. Raissi, P. Perdikaris, G. Karniadakis, "Physics-informed neural networks", 2019.
Run:  python examples/physics.py --plot solution.png
"""

import argparse
import importlib.util
import math
import sys

import numpy as np

import tinygrad_cnn as tg
from tinygrad_cnn import nn

POINTS = 64  # per step
STEPS, QUICK_STEPS, LR = 3000, 800, 1e-2
SPREAD = 3  # range of the first layer's weights: its units bend all over [0, 1], more sharply than by default


def exact(x):
    """The exact solution, for an array."""
    return np.sin(2 * math.pi * x) + np.sin(5 * math.pi * x) / 2


def f(x):
    """The second derivative of the solution, for a Tensor."""
    return -((2 * math.pi) ** 2) * tg.sin(2 * math.pi * x) - (5 * math.pi) ** 2 / 2 * tg.sin(5 * math.pi * x)


class Solution(nn.Module):
    """u(x) = x (1 - x) n(x), for points x (n, 1)."""

    def __init__(self):
        super().__init__()
        self.network = nn.Sequential(nn.Linear(1, 32), nn.Tanh(), nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 1))
        for parameter in self.network[0].parameters():
            nn.init.uniform_(parameter, -SPREAD, SPREAD)

    def forward(self, x):
        return x * (1 - x) * self.network(2 * x - 1)


def second_derivative(u):
    """Return the function x -> u''(x). Each u(x_i) depends on x_i alone, so the gradient of the sum is u' at each point."""
    slope = tg.grad(lambda x: u(x).sum())
    return tg.grad(lambda x: slope(x).sum())


def train(steps):
    """Return the trained solution."""
    tg.manual_seed(0)
    u = Solution()
    optimizer = tg.optim.Adam(u.parameters(), lr=LR)
    schedule = tg.optim.CosineAnnealingLR(optimizer, T_max=steps)

    @tg.compile
    def step():
        x = tg.rand(POINTS, 1)
        loss = tg.mse(second_derivative(u)(x), f(x))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    for i in range(steps):
        loss = step()
        schedule.step()
        if (i + 1) % (steps // 5) == 0:
            print(f"step {i + 1}: mean squared residual {loss.item():.3g}", flush=True)
    return u


def draw(path, x, found):
    """Draw the network's solution beside the exact one, and their difference."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot(x, exact(x), color="0.75", linewidth=6, label="exact")
    left.plot(x, found, color="#0072b2", label="network")
    left.set(xlabel="x", ylabel="u")
    left.legend()
    right.plot(x, found - exact(x), color="#d55e00")
    right.set(xlabel="x", ylabel="network - exact")
    figure.savefig(path, dpi=120)


def main(argv=None):
    """Train, and print the largest error."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--plot", metavar="FILE.png", help="draw the solution and its error")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_STEPS} steps, not {STEPS}, to try it out")
    given = parser.parse_args(argv)
    if given.plot and importlib.util.find_spec("matplotlib") is None:
        parser.error("argument --plot: matplotlib is not installed; pip install 'tinygrad_cnn[plot]'")
    u = train(QUICK_STEPS if given.quick else STEPS)
    x = np.linspace(0, 1, 1001, dtype=np.float32)[:, None]
    found = u(x).numpy()
    largest = np.abs(found - exact(x)).max()
    print(f"\nlargest error {largest:.5f}, for a solution between {exact(x).min():.2f} and {exact(x).max():.2f}")
    if given.plot:
        draw(given.plot, x, found)
        print(f"drawn: {given.plot}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
