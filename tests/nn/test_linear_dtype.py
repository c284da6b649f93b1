"""float64 that meets a float32 parameter is named, once for each place."""

from __future__ import annotations

import copy
import re
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
}
RESHAPED = {
    "group_norm": (nn.GroupNorm(1, 3), (4, 3, 2)),
    "instance_norm": (nn.InstanceNorm1d(3, affine=True), (4, 3, 5)),
    "batch_norm": (nn.BatchNorm2d(3), (4, 3, 2, 2)),
    "prelu": (nn.PReLU(), (4, 3)),
    "prelu of channels": (nn.PReLU(3), (4, 3)),
    "bilinear": (nn.Bilinear(3, 3, 2), (4, 3)),
}
"""Layers that reshape their parameters, which an op sees at the latest in the backward pass."""


TEXT = r"float64 value meets a float32 parameter.*astype\(np\.float32\)"


def inputs_of(name, shape):
    return (np.ones(shape),) * (2 if name == "bilinear" else 1)


@pytest.mark.parametrize("name", [*LAYERS, *RESHAPED])
def test_a_float64_input_of_a_float32_layer_warns_at_the_line_of_the_user(name):
    layer, shape = {**LAYERS, **RESHAPED}[name]
    inputs = inputs_of(name, shape)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        layer(*inputs).sum().backward()
    assert [each.filename for each in caught] == [__file__]
    assert re.search(TEXT, str(caught[0].message))
    layer(*(a.astype(np.float32) for a in inputs)).sum().backward()
    layer(*(tg.Tensor(a, dtype=np.float32) for a in inputs)).sum().backward()


@pytest.mark.parametrize("name", RESHAPED)
def test_a_layer_that_reshapes_its_parameter_warns_where_it_is_called(name):
    layer, shape = RESHAPED[name]
    inputs = inputs_of(name, shape)
    for call in (layer, tg.compile(layer)):
        with pytest.warns(UserWarning, match=TEXT) as caught:
            call(*inputs)
        assert [each.filename for each in caught] == [__file__]
        with tg.no_grad(), pytest.warns(UserWarning, match=TEXT) as caught:
            call(*inputs)
        assert [each.filename for each in caught] == [__file__]
    with tg.no_grad(), pytest.warns(UserWarning, match=TEXT):
        layer(*(x.astype(x.dtype.newbyteorder()) for x in inputs))
    wide = copy.deepcopy(layer).to(np.float64)
    assert layer(*(np.ones(shape, int) for _ in inputs)).shape == wide(*inputs).shape


@pytest.mark.parametrize("name", LAYERS)
def test_it_warns_where_nothing_is_recorded(name):
    layer, shape = LAYERS[name]
    x = np.ones(shape)
    with tg.no_grad(), pytest.warns(UserWarning, match=TEXT) as caught:
        layer(x)
    assert len(caught) == 1
    with tg.no_grad(), pytest.warns(UserWarning, match=TEXT):
        tg.compile(layer)(x)
    with pytest.warns(UserWarning, match=TEXT):
        tg.compile(copy.deepcopy(layer).eval(), freeze=True)(x)
    with pytest.warns(UserWarning, match=TEXT):
        tg.evaluate(layer, (x, np.ones(layer(x.astype(np.float32)).shape)), lambda y, t: tg.mean(y))
    layer.eval()(x.astype(np.float32))


def network():
    layers = (
        nn.Conv2d(1, 2, 3),
        nn.BatchNorm2d(2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(8, 4),
        nn.LayerNorm(4),
        nn.Linear(4, 2),
    )
    return nn.Sequential(*layers).eval()


def test_a_place_warns_once():
    model, frozen = network(), tg.compile(network(), freeze=True)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        for _ in range(3):
            model(tg.where(np.ones((2, 1, 4, 4), bool), 1.0, 0.0)).sum().backward()
        assert len(caught) == 1
        for _ in range(3):
            frozen(np.ones((2, 1, 4, 4)))
    assert len(caught) == 2
    assert caught[0].lineno != caught[1].lineno


def test_what_is_meant_does_not_warn():
    model = network()
    wide, half = network().to(np.float64), network().to(np.float16)
    wide(np.ones((2, 1, 4, 4))).sum().backward()
    half(np.ones((2, 1, 4, 4), np.float16)).sum().backward()
    model(np.ones((2, 1, 4, 4), np.float16)).sum().backward()
    model(np.ones((2, 1, 4, 4), np.uint8))
    assert nn.Linear(3, 2)(np.ones((4, 3), int)).dtype == np.float64
    x, w = np.ones((4, 3)), np.ones((2, 3), np.float32)
    assert tg.linear(x, w).dtype == tg.linear(tg.Tensor(x), w).dtype == tg.linear(x, tg.Tensor(w)).dtype == np.float64


def test_the_export_of_a_model_of_both_dtypes_warns(tmp_path):
    pytest.importorskip("onnx")
    with pytest.warns(UserWarning, match=TEXT) as caught:
        tg.onnx.export(network(), np.ones((2, 1, 4, 4)), tmp_path / "model.onnx")
    assert {each.filename for each in caught} == {__file__}


def test_a_leaf_that_is_no_parameter_may_meet_float64():
    x = tg.ones(3, requires_grad=True)
    (x * np.ones(3)).sum().backward()
    assert x.grad.dtype == np.float32
