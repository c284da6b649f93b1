"""Where a number is infinite or NaN, the adjoints of a convolution have no more NaN than the definition."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_cnn as tg
from tinygrad_cnn.kernels import blocking
from tinygrad_cnn.kernels.conv import cached_im2col, depthwise, kn2row
from tinygrad_cnn.kernels.conv.convolution import convolve_dw, convolve_dx
from tinygrad_cnn.ops import conv
from tinygrad_cnn.ops.windows import output_sizes

from ...tuning import tuned
from .test_convolution import channels_last, shapes

MANY = (1, 32, 16, 16), (32, 32, 3, 3), {"stride": (1, 1), "padding": ((1, 1),) * 2, "dilation": (1, 1), "groups": 1}
"""From so many filters on, the adjoint in images is a convolution of kn2row.py, where BLAS reads small matrices."""


@given(
    shape=shapes() | st.just(MANY), number=st.sampled_from([np.inf, -np.inf, np.nan]), small=st.booleans(),
    lay=st.sampled_from([np.ascontiguousarray, channels_last]), seed=st.integers(0, 2**32 - 1),
)  # fmt: skip
def test_adjoints_are_those_of_the_definition(shape, number, small, lay, seed):
    x_shape, w_shape, how = shape
    rng = np.random.default_rng(seed)
    out = output_sizes(x_shape[2:], w_shape[2:], how["stride"], how["padding"], how["dilation"])
    x, w, u = (rng.uniform(0.5, 1.5, s) for s in (x_shape, w_shape, (x_shape[0], w_shape[0], *out)))
    bad_x, bad_w = x.copy(), w.copy()
    for a in (bad_x, bad_w):
        a.flat[rng.integers(0, a.size, 1 if a.size else 0)] = number
    with tuned() as tune, np.errstate(invalid="ignore"):
        if small:
            for module in (blocking, depthwise, kn2row):
                tune(module, BLOCK_BYTES=600)
            tune(cached_im2col, MOST=0, MOST_FLIPPED=0)
        for prepare, op, first, second, size in (
            (convolve_dx, conv.convolve_dx, lay(u), bad_w, x.shape),
            (convolve_dw, conv.convolve_dw, lay(bad_x), lay(u), w.shape),
        ):
            expected = op.op.raw(first, second, shape=size, **how)
            for into in (None, np.empty_like(expected)):
                found = prepare(into, first, second, shape=size, **how)()
                np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize("number", [np.inf, np.nan])
def test_a_compiled_step_follows_the_weights(number):
    w = tg.ones(2, 2, 3, 3)
    step = tg.compile(lambda u: tg.conv_transpose2d(u, w))
    u = tg.ones(1, 2, 4, 4)
    for value in (2, number, 3, 4, number, number, 5):
        w[0, 1, 0, 2] = value
        expected = conv.convolve_dx.op.raw(
            u.numpy(), w.numpy(), shape=(1, 2, 6, 6), stride=(1, 1), padding=((0, 0),) * 2, dilation=(1, 1), groups=1
        )
        np.testing.assert_array_equal(step(u).numpy(), expected)
