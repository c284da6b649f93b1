"""float64 that meets a float32 parameter is named, once for each place."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import nn

LAYERS = {
    "linear": (nn.Linear(3, 2), (4, 3)),
    "conv2d": (nn.Conv2d(3, 2, 2), (1, 3, 4, 4)),
    "conv_transpose": (nn.ConvTranspose2d(3, 2, 2), (1, 3, 4, 4)),
    "layer_norm": (nn.LayerNorm(3), (4, 3)),
    "bilinear": (nn.Bilinear(3, 3, 2), (4, 3)),
}


@pytest.mark.parametrize("name", LAYERS)
def test_a_float64_input_of_a_float32_layer_warns_in_backward(name):
    layer, shape = LAYERS[name]
    x = np.ones(shape)
    inputs = (x, x) if name == "bilinear" else (x,)
    y = layer(*inputs).sum()
    with pytest.warns(UserWarning, match=r"float64 value meets a float32 parameter.*astype\(np\.float32\)") as caught:
        y.backward()
    assert {each.filename for each in caught} == {__file__}
    layer(*(a.astype(np.float32) for a in inputs)).sum().backward()
    layer(*(tg.Tensor(a, dtype=np.float32) for a in inputs)).sum().backward()


def test_a_place_warns_once():
    layer = nn.Linear(3, 2)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        for _ in range(3):
            layer(tg.where(np.ones((4, 3), bool), 1.0, 0.0)).sum().backward()
    assert len([each for each in caught if "float32 parameter" in str(each.message)]) <= 2  # of the weight and the bias


def test_a_leaf_that_is_no_parameter_may_meet_float64():
    x = tg.ones(3, requires_grad=True)
    (x * np.ones(3)).sum().backward()
    assert x.grad.dtype == np.float32
