"""Adafactor of matrices and of stacks of them; the table of optimizers has vectors."""

import math

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn.optim import Adafactor

from .common import assert_same, descend, leaf, snapshot
from .test_updates import LAYOUTS, run

SHAPES = [(3, 4), (4, 4), (1, 5), (5, 1), (2, 3, 3), (2, 3, 2, 4)]


def by_loops(start, gradients, lr=1e-2, beta2_decay=-0.8, eps=(None, 1e-3), d=1.0, weight_decay=0.0, maximize=False):
    """The equations with every sum over the elements written out."""
    least = np.finfo(float).eps if eps[0] is None else eps[0]
    *stack, height, width = start.shape
    p = start.copy()
    rows, columns = np.zeros((*stack, height)), np.zeros((*stack, width))
    for n, g in enumerate(gradients, 1):
        k = n**beta2_decay
        s = np.empty_like(p)
        for at in np.ndindex(*stack):
            for i in range(height):
                rows[(*at, i)] += k * (sum(g[(*at, i, j)] ** 2 for j in range(width)) / width - rows[(*at, i)])
            for j in range(width):
                columns[(*at, j)] += k * (sum(g[(*at, i, j)] ** 2 for i in range(height)) / height - columns[(*at, j)])
            mean = max(sum(rows[(*at, i)] for i in range(height)) / height, least)
            for i in range(height):
                for j in range(width):
                    v = rows[(*at, i)] * columns[(*at, j)] / mean
                    s[(*at, i, j)] = (-1 if maximize else 1) * g[(*at, i, j)] / max(math.sqrt(v), least)
        size = max(eps[1], math.sqrt(np.mean(p**2)))
        s /= max(1, math.sqrt(np.mean(s**2)) / d)
        p = (1 - lr * weight_decay) * p - size * min(lr, n**-0.5) * s
    return p


OPTIONS = [
    {},
    {"lr": 0.3, "beta2_decay": -0.5, "d": 1.5},
    {"lr": 0.1, "eps": (0.5, 2.0), "weight_decay": 0.3, "maximize": True},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_steps_follow_the_equations(options, shape):
    rng = np.random.default_rng(0)
    start, gradients = rng.normal(size=shape), rng.normal(size=(6, *shape))
    p, _ = run(Adafactor, options, start, gradients, np.array)
    np.testing.assert_allclose(p.numpy(), by_loops(start, gradients, **options), rtol=1e-10)


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda f: f.__name__)
@pytest.mark.parametrize("shape", [*SHAPES, (0, 3), (2, 0, 3), (200, 300)], ids=str)
def test_layout_does_not_matter(layout, shape):
    rng = np.random.default_rng(1)
    start, gradients = rng.normal(size=shape), rng.normal(size=(3, *shape))
    expected, _ = run(Adafactor, {}, start, gradients, np.array)
    p, _ = run(Adafactor, {}, start, gradients, layout)
    np.testing.assert_array_equal(p.numpy(), expected.numpy())


def test_a_state_of_matrices_and_vectors_is_saved_and_loaded():
    params = [leaf(2, 3), leaf(4), leaf()]
    stepping = Adafactor(params, lr=0.1)
    descend(stepping, params, 3)
    state = stepping.state_dict()["state"]
    shapes = {name: np.shape(v) for slots in state.values() for name, v in slots.items() if name != "step"}
    assert shapes == {"row_var": (2, 1), "col_var": (1, 3), "variance": ()}
    others = [tg.Tensor(p.numpy(), requires_grad=True) for p in params]
    resumed = Adafactor(others)
    resumed.load_state_dict(stepping.state_dict())
    descend(stepping, params, 3)
    descend(resumed, others, 3)
    assert_same(snapshot(stepping), snapshot(resumed))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"row_var": None}, "lacks 'row_var'"),
        (
            {"row_var": np.zeros((1, 3))},
            r"float64 \(1, 3\); the parameter is float64 \(2, 3\), so this must be \(2, 1\)",
        ),
        ({"col_var": np.zeros((1, 3), np.float32)}, r"'col_var' in .* is float32 \(1, 3\)"),
        ({"variance": np.zeros((2, 3))}, "'variance' in .* is unexpected; there may be step, row_var, col_var"),
    ],
)
def test_a_state_that_does_not_fit_is_refused(change, message):
    p = leaf(2, 3)
    stepping = Adafactor([p])
    descend(stepping, [p], 2)
    before = snapshot(stepping)
    saved = stepping.state_dict()
    saved["state"][0] = {name: v for name, v in (saved["state"][0] | change).items() if v is not None}
    with pytest.raises(ValueError, match=message):
        stepping.load_state_dict(saved)
    assert_same(before, snapshot(stepping))
