"""Sampling at computed places: against interpolation, what lies beyond the border, and what is refused."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_cnn as tg
from tinygrad_cnn.testing import assert_gradients

from ..rows.grid_sample import naive_grid_sample

RNG = np.random.default_rng(0)
X, GRID = RNG.normal(size=(2, 3, 4, 5)), RNG.uniform(-1.5, 1.5, (2, 3, 2, 2))
STILL = np.eye(2, 3)[None]


@given(
    st.integers(1, 5), st.integers(1, 5), st.integers(1, 6), st.integers(1, 6), st.sampled_from(["bilinear", "bicubic"])
)
def test_the_grid_that_moves_nothing_resizes(h, w, rows, columns, mode):
    x = RNG.normal(size=(1, 2, h, w))
    y = tg.grid_sample(x, tg.affine_grid(STILL, (1, 2, rows, columns)), mode, "border")
    expected = tg.interpolate(x, (rows, columns), mode=mode)
    if mode == "bilinear" or (rows, columns) != (h, w):
        np.testing.assert_allclose(y, expected, rtol=1e-10, atol=1e-10)
    aligned = tg.grid_sample(x, tg.affine_grid(STILL, (1, 2, h, w), align_corners=True), mode, align_corners=True)
    np.testing.assert_allclose(aligned, x, rtol=1e-10, atol=1e-10)


def test_a_mirrored_and_a_turned_image():
    x = np.arange(8.0).reshape(1, 1, 2, 4)
    mirror = np.array([[[-1.0, 0, 0], [0, 1, 0]]])
    np.testing.assert_allclose(tg.grid_sample(x, tg.affine_grid(mirror, x.shape)), x[..., ::-1], atol=1e-12)
    turn = np.array([[[0.0, 1, 0], [-1, 0, 0]]])
    np.testing.assert_allclose(
        tg.grid_sample(x, tg.affine_grid(turn, (1, 1, 4, 2))), np.rot90(x, -1, (2, 3)), atol=1e-12
    )


@pytest.mark.parametrize("mode", ["bilinear", "nearest", "bicubic"])
@pytest.mark.parametrize("align_corners", [True, False])
def test_far_places(mode, align_corners):
    for padding in ("zeros", "border", "reflection"):
        y = tg.grid_sample(X, GRID * 2, mode, padding, align_corners)
        np.testing.assert_allclose(
            y, naive_grid_sample(X, GRID * 2, mode, padding, align_corners), rtol=1e-9, atol=1e-9
        )
    beyond = np.array([[[[1e9, 0.1], [-1e30, 0.1], [np.inf, 1e30]]]])
    with np.errstate(invalid="ignore"):
        assert not tg.grid_sample(X[:1], beyond, mode, align_corners=align_corners).any()
        if mode != "bicubic":
            border = tg.grid_sample(X[:1], beyond[..., 2:, :], mode, "border", align_corners)
            np.testing.assert_array_equal(border[0, :, 0, 0], X[0, :, -1, -1])


@pytest.mark.parametrize("mode", ["bilinear", "nearest", "bicubic"])
@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
def test_a_place_that_is_nan_gives_nan(mode, padding):
    grid = np.array([[[[0.1, np.nan], [0.1, 0.1]]]])
    y = tg.grid_sample(X[:1], grid, mode, padding)
    assert np.isnan(y[..., 0]).all()
    assert np.isfinite(y[..., 1]).all()


def test_an_axis_of_one_element_is_that_element():
    x, grid = X[:, :, :1, :1], GRID * 0.4
    for mode in ("bilinear", "nearest", "bicubic"):
        for align_corners in (True, False):
            for padding in ("border", "reflection"):
                y = tg.grid_sample(x, grid, mode, padding, align_corners)
                np.testing.assert_allclose(y, np.broadcast_to(x, y.shape), rtol=1e-12)


def test_dtypes_and_empty_batches():
    x, grid = X.astype(np.float32), GRID.astype(np.float32)
    for mode in ("bilinear", "nearest", "bicubic"):
        assert tg.grid_sample(x, grid, mode).dtype == np.float32
    np.testing.assert_allclose(tg.grid_sample(np.arange(4).reshape(1, 1, 2, 2), np.zeros((1, 1, 1, 2), int)), 1.5)
    assert tg.grid_sample(X[:0], GRID[:0]).shape == (0, 3, 3, 2)
    assert tg.grid_sample(X[:, :0], GRID).shape == (2, 0, 3, 2)
    assert tg.grid_sample(X, GRID[:, :0]).shape == (2, 3, 0, 2)
    assert tg.affine_grid(STILL.astype(np.float32), (1, 1, 2, 0)).dtype == np.float32


def test_a_transformation_learns_where_to_look():
    """Gradients of second order flow through the grid into the map."""
    theta = np.array([[[0.7, 0.1, 0.05], [-0.2, 0.8, 0.1]]])
    assert_gradients(
        lambda t: tg.grid_sample(X[:1], tg.affine_grid(t, (1, 3, 2, 2)), "bicubic"), theta, order=2, budget=4
    )


REFUSED = [
    (lambda: tg.grid_sample(X, GRID[:1]), "`x` (2, 3, 4, 5) and `grid` (1, 3, 2, 2) must be (N, C, H, W) and (N, H', W', 2)"),
    (lambda: tg.grid_sample(X, GRID[..., :1]), "`grid` (2, 3, 2, 1)"),
    (lambda: tg.grid_sample(X[0], GRID[0]), "`x` (3, 4, 5)"),
    (lambda: tg.grid_sample(X[:, :, :0], GRID), "`x` has shape (2, 3, 0, 5); its spatial axes must have elements"),
    (lambda: tg.grid_sample(X, GRID, "cubic"), "`mode` is 'cubic'; it must be one of 'bilinear', 'nearest', 'bicubic'"),
    (lambda: tg.grid_sample(X[:, :, None], np.zeros((2, 1, 1, 1, 3)), "bicubic"),
     "`mode` is 'bicubic'; it must be one of 'bilinear', 'nearest'"),
    (lambda: tg.grid_sample(X, GRID, padding_mode="edge"),
     "`padding_mode` is 'edge'; it must be one of 'zeros', 'border', 'reflection'"),
    (lambda: tg.affine_grid(STILL, (2, 1, 2, 2)), "`theta` (1, 2, 3) and `size` (2, 1, 2, 2) must be (N, 2, 3) and (N,"),
    (lambda: tg.affine_grid(STILL, (1, 1, 2, 2, 2)), "`size` (1, 1, 2, 2, 2)"),
    (lambda: tg.affine_grid(STILL, (1, 1, -2, 2)), "`size` (1, 1, -2, 2)"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "message"), REFUSED, ids=[message[:50] for _, message in REFUSED])
def test_what_is_refused_and_how(call, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        call()
