"""Every optimizer down a parabola and Rosenbrock's valley."""

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn.optim import SGD, Adadelta, Adagrad, Adam, AdamW, Lion, NAdam, RMSprop


def parabola(p):
    """(x - 1)^2 + 10 (y + 2)^2"""
    x, y = p
    return (x - 1) ** 2 + 10 * (y + 2) ** 2


def rosenbrock(p):
    """(1 - x)^2 + 100 (y - x^2)^2: a curved valley with a flat floor, minimum at (1, 1)."""
    x, y = p
    return (1 - x) ** 2 + 100 * (y - x * x) ** 2


@pytest.mark.parametrize(
    ("optimizer", "options"),
    [
        (SGD, {"lr": 1e-3}),
        (SGD, {"lr": 1e-3, "momentum": 0.9}),
        (SGD, {"lr": 1e-3, "momentum": 0.9, "dampening": 0.5}),
        (SGD, {"lr": 1e-3, "momentum": 0.9, "nesterov": True}),
        (RMSprop, {"lr": 0.02}),
        (RMSprop, {"lr": 0.02, "momentum": 0.5}),
        (RMSprop, {"lr": 0.02, "centered": True, "eps": 1e-3}),
        (Adam, {"lr": 0.05}),
        (Adam, {"lr": 0.2, "amsgrad": True}),
        (AdamW, {"lr": 0.05, "weight_decay": 1e-4}),
        (Adagrad, {"lr": 0.5}),
        (Adadelta, {"lr": 1.0}),
        (NAdam, {"lr": 0.05}),
        (Lion, {"lr": 0.02}),
    ],
    ids=lambda v: v.__name__ if isinstance(v, type) else "-".join(v),
)
@pytest.mark.parametrize(
    ("function", "start", "minimum", "steps"),
    [(parabola, [3.0, 1.0], [1.0, -2.0], 2000), (rosenbrock, [-0.5, 1.0], [1.0, 1.0], 6000)],
    ids=["parabola", "rosenbrock"],
)
def test_it_finds_the_minimum(optimizer, options, function, start, minimum, steps):
    p = [tg.Tensor(np.array(x), requires_grad=True) for x in start]
    stepping = optimizer(p, **options)
    for step in range(steps):
        # Steps in units of the gradient's size do not shrink by themselves, so a schedule must make them.
        if optimizer is not SGD:
            stepping.param_groups[0]["lr"] = options["lr"] * (1 - step / steps)
        stepping.zero_grad()
        function(p).backward()
        stepping.step()
    np.testing.assert_allclose([x.item() for x in p], minimum, atol=0.1)
