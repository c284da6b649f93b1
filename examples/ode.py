"""An ordinary differential equation fitted to data: the gradient of its solution by the adjoint method.

y' = f(y, theta) is solved by Runge-Kutta steps, which nothing records: memory does not grow with their number. Backward, the
adjoint a = dL/dy solves a' = -a df/dy from the end to the start, beside y, and dL/dtheta is the integral of a df/dtheta. Both
products are vjps of f. The equation is a damped oscillator here, x'' = -k x - c x'; k and c are learned from noisy points.

Source: R. Chen, Y. Rubanova, J. Bettencourt, D. Duvenaud, "Neural ordinary differential equations", 2018.
Run:  python examples/ode.py --plot oscillator.png
"""

import argparse
import importlib.util
import sys

import numpy as np

import tinygrad_cnn as tg

TRUE, START = (4.0, 0.3), (2.0, 1.0)  # k and c
STEPS, QUICK_STEPS = 150, 100


def runge_kutta(f, state, h):
    """The state, a tuple of arrays, after a step of length h along f, by the classical method of fourth order."""

    def moved(slope, by):
        return [s + by * d for s, d in zip(state, slope, strict=True)]

    k1 = f(*state)
    k2 = f(*moved(k1, h / 2))
    k3 = f(*moved(k2, h / 2))
    k4 = f(*moved(k3, h))
    return moved([a + 2 * b + 2 * c + d for a, b, c, d in zip(k1, k2, k3, k4, strict=True)], h / 6)


@tg.op
def odeint(start, theta, *, f, times, steps):
    """y[i] = the solution of y' = f(y, theta) at times[i], with y[0] = start, in `steps` steps from each time to the next."""
    ys = [np.asarray(start)]
    for h in np.diff(times) / steps:
        y = ys[-1]
        for _ in range(steps):
            (y,) = runge_kutta(lambda y: (f(y, theta),), (y,), h)
        ys.append(y)
    return np.stack(ys)


@odeint.joint_vjp("start", "theta")
def adjoint(g, y, theta, f, times, steps):
    """a and the integral of a df/dtheta, from the last time to the first. At each time its gradient is added to a."""

    def backward(y, a, _):
        value, pull = tg.vjp(f, y, theta)
        by_y, by_theta = pull(a)
        return np.asarray(value), -np.asarray(by_y), -np.asarray(by_theta)

    a, total = g[-1], np.zeros_like(theta)
    for i in range(len(times) - 1, 0, -1):
        state = (y[i], a, total)
        for _ in range(steps):
            state = runge_kutta(backward, state, (times[i - 1] - times[i]) / steps)
        _, a, total = state
        a = a + g[i - 1]
    return a, total


def oscillator(y, theta):
    """(x, v)' = (v, -k x - c v)."""
    return tg.stack([y[1], -theta[0] * y[0] - theta[1] * y[1]])


def solution(t, k, c):
    """x(t) in closed form, for x(0) = 1 and x'(0) = 0."""
    w = np.sqrt(k - c * c / 4)
    return np.exp(-c * t / 2) * (np.cos(w * t) + c / (2 * w) * np.sin(w * t))


def main(argv=None):
    """Learn k and c, and print them beside the true ones."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--plot", metavar="FILE.png", help="draw the points, and the solution before and after")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_STEPS} steps, not {STEPS}, to try it out")
    given = parser.parse_args(argv)
    if given.plot and importlib.util.find_spec("matplotlib") is None:
        parser.error("argument --plot: matplotlib is not installed; pip install 'tinygrad_cnn[plot]'")
    times = np.linspace(0, 5, 26)
    points = solution(times, *TRUE) + np.random.default_rng(0).normal(0, 0.05, len(times))
    theta = tg.Tensor(np.array(START), requires_grad=True)
    optimizer = tg.optim.Adam([theta], lr=0.1)
    for _ in range(QUICK_STEPS if given.quick else STEPS):
        optimizer.zero_grad()
        path = odeint(np.array([1.0, 0.0]), theta, f=oscillator, times=times, steps=2)
        loss = tg.mse(path[:, 0], points)
        loss.backward()
        optimizer.step()
    (k, c), error = theta.tolist(), loss.item() ** 0.5
    print(f"true k = {TRUE[0]:.2f}, c = {TRUE[1]:.2f}; learned k = {k:.2f}, c = {c:.2f}, with an error of {error:.3f}")
    if given.plot:
        draw(given.plot, times, points, (k, c))
        print(f"drawn: {given.plot}")
    return 0


def draw(path, times, points, learned):
    """Draw the points, and the solutions for the first and the learned parameters."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 3.2), layout="constrained")
    ax, line = figure.subplots(), np.linspace(0, 5, 300)
    ax.plot(line, solution(line, *START), "--", color="0.6", label="before")
    ax.plot(line, solution(line, *learned), color="#d55e00", label="learned")
    ax.plot(times, points, "o", color="#0072b2", label="points")
    ax.set(xlabel="t", ylabel="x")
    ax.legend()
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    sys.exit(main())
