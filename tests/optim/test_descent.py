"""Every optimizer down a parabola and Rosenbrock's valley."""

import numpy as np
import pytest

import tinygrad_cnn as tg

from .optimizers import ROWS


def parabola(p):
    """(x - 1)^2 + 10 (y + 2)^2"""
    x, y = p
    return (x - 1) ** 2 + 10 * (y + 2) ** 2


def rosenbrock(p):
    """(1 - x)^2 + 100 (y - x^2)^2: a curved valley with a flat floor, minimum at (1, 1)."""
    x, y = p
    return (1 - x) ** 2 + 100 * (y - x * x) ** 2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("row", "options"),
    [(row, options) for row in ROWS for options in row.descents],
    ids=[f"{row.name}-{'-'.join(options)}" for row in ROWS for options in row.descents],
)
@pytest.mark.parametrize(
    ("function", "start", "minimum", "steps"),
    [(parabola, [3.0, 1.0], [1.0, -2.0], 2000), (rosenbrock, [-0.5, 1.0], [1.0, 1.0], 6000)],
    ids=["parabola", "rosenbrock"],
)
def test_it_finds_the_minimum(row, options, function, start, minimum, steps):
    p = [tg.Tensor(np.array(x), requires_grad=True) for x in start]
    stepping = row.optimizer(p, **options)
    for step in range(steps):
        if row.annealed:
            stepping.param_groups[0]["lr"] = options["lr"] * (1 - step / steps)
        stepping.zero_grad()
        function(p).backward()
        stepping.step()
    np.testing.assert_allclose([x.item() for x in p], minimum, atol=0.1)
