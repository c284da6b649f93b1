"""Functions of tg.special that jax.scipy.special lacks, over their whole ranges, and orders that are errors."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import tinygrad_cnn as tg

from . import needs

jax = needs.jax()
scipy = pytest.importorskip("scipy.special")

ROOT = Path(__file__).parents[2]
POINTS = np.concatenate([10.0 ** np.linspace(-9, 4, 60), np.linspace(0.1, 60, 200)])


@pytest.mark.parametrize("n", [-8, -1, 0, 1, 2, 7, 8, -8.5, -1.5, -0.5, 0.5, 2.5, 8.5])
@pytest.mark.part(3)
def test_bessel_functions(n):
    """Relative to their size between the zeros, about sqrt(2 / (pi x)), to 1e-12."""
    for ours, theirs in ((tg.special.jv, scipy.jv), (tg.special.yv, scipy.yv)):
        x = np.concatenate([[0.0, -2.0, np.nan], POINTS])
        found, expected = np.asarray(jax.jit(tg.jax.function(lambda x, f=ours: f(n, x)))(x)), theirs(n, x)
        size = np.maximum(np.abs(expected), np.where(x > abs(n), 1 / np.sqrt(1 + abs(x)), 0))
        if ours is tg.special.yv and n < 0 and n % 1:
            found, expected, size = found[1:], expected[1:], size[1:]  # 0 has the limit 0, and SciPy's is infinite
        finite = np.isfinite(expected)
        np.testing.assert_array_equal(found[~finite], expected[~finite])
        assert (abs(found[finite] - expected[finite]) <= 1e-12 * size[finite]).all()


def pairs(seed):
    rng = np.random.default_rng(seed)
    return 10.0 ** rng.uniform(-3, 4, (2, 60))


def test_derivatives_by_shapes():
    """At the ends of the range, near the peak, and for shapes from 1e-3 to 1e4."""
    (a, b), t = pairs(0), np.random.default_rng(1).standard_normal(60) * 3
    x = np.random.default_rng(2).uniform(0, 1, 60)
    x[::3] = (a / (a + b))[::3]
    x[:2], t[:2] = (0, 1), (0, 20)
    for f, arrays, by in (
        (tg.special.betainc, (a, b, x), (0, 1, 2)),
        (tg.special.gammaincc, (a, a * 10 ** (t / 3)), (0, 1)),
        (tg.special.stdtr, (a, t), (0, 1)),
    ):
        own = tg.jax.function(f)
        found = jax.jit(jax.grad(lambda *xs, f=own: f(*xs).sum(), by))(*arrays)
        for g, h in zip(found, tg.grad(lambda *xs, f=f: f(*xs).sum(), by)(*map(tg.Tensor, arrays)), strict=True):
            infinite = ~np.isfinite(h.numpy())
            np.testing.assert_array_equal(np.asarray(g)[infinite], h.numpy()[infinite])
            scale = np.abs(h.numpy()[~infinite]).max()
            np.testing.assert_allclose(np.asarray(g)[~infinite], h.numpy()[~infinite], rtol=1e-8, atol=1e-12 * scale)


@pytest.mark.parametrize("name", ["betaln", "beta"])
def test_beta_functions(name):
    """JAX's own have an error of 1e-6."""
    a, b = np.concatenate([pairs(3), [[0.5, 20, -2.5, -2.5, 9.5, 1e8], [0.5, 20, 1.25, 30, -9.25, 3.0]]], axis=1)
    f = getattr(tg.special, name)
    found, expected = np.asarray(jax.jit(tg.jax.function(f))(a, b)), getattr(scipy, name)(a, b)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("n", [1, 2, 5])
def test_polygamma_of_negative_numbers(n):
    x = np.array([-9.998, -3.3, -0.5, -1e-3, 0.2, 7.0, -2.0, 0.0])
    found = np.asarray(jax.jit(tg.jax.function(lambda x: tg.special.polygamma(n, x)))(x))
    np.testing.assert_allclose(found, scipy.polygamma(n, x), rtol=1e-9)


def test_the_logarithm_of_a_probability_near_1():
    x = np.array([-40.0, -1, 0, 1, 6, 7.8, 9, 30])
    np.testing.assert_allclose(
        tg.jax.function(tg.special.log_ndtr)(jax.numpy.asarray(x)), scipy.log_ndtr(x), rtol=1e-12
    )


def third(x):
    return jax.jit(jax.grad(jax.grad(jax.grad(tg.jax.function(tg.special.rgamma)))))(x[0])


REFUSED = {
    "J": (lambda x: tg.jax.function(lambda x: tg.special.jv(0.3, x))(x), "function J of order 0.3"),
    "Y": (lambda x: tg.jax.function(lambda x: tg.special.yn(9, x))(x), "function Y of order 9"),
    "I": (lambda x: tg.jax.function(lambda x: tg.special.iv(9, x))(x), "function I of order 9"),
    "a derivative of J": (
        lambda x: jax.jit(jax.grad(tg.jax.function(lambda x: tg.special.jv(8, x).sum())))(x),
        "function J of order 9",
    ),
    "1 / Gamma": (third, "third derivative"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_form(name):
    f, pattern = REFUSED[name]
    with pytest.raises(tg.jax.JaxError, match=pattern):
        f(np.array([0.5, 2.0]))


WITHOUT_64_BITS = """
import jax, numpy as np, tinygrad_cnn as tg
x = np.float32([0.3, 2, 40])
assert abs(tg.jax.function(tg.special.j0)(x) - np.float32([0.9776262, 0.2238908, 0.0073669])).max() < 1e-6
f = tg.jax.function(lambda a: tg.special.betainc(a, x, x / 50).sum())
try: jax.jit(jax.grad(f))(x)
except tg.jax.JaxError as e: assert "jax_enable_x64" in str(e), e
else: raise AssertionError
"""


def test_without_64_bits():
    ended = subprocess.run(
        [sys.executable, "-W", "error", "-c", WITHOUT_64_BITS], capture_output=True, text=True, cwd=ROOT
    )
    assert ended.returncode == 0, ended.stderr
