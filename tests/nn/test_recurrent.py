"""Recurrent layers beside what PyTorch computed: see record_recurrent.py."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import nn

from .recurrent_cases import CASES, flat

RECORDED = np.load(Path(__file__).with_name("recurrent.npz"))
every_case = pytest.mark.parametrize("number", range(len(CASES)), ids=lambda i: f"{CASES[i][0]}-{i}")


def made(number, dtype=np.float64):
    """The layer with the recorded parameters, and its inputs."""
    name, args, kwargs, _, states = CASES[number]
    layer = getattr(nn, name)(*args, **kwargs, dtype=dtype)
    layer.load_state_dict({key: RECORDED[f"{number}/state/{key}"].astype(dtype) for key in layer.state_dict()})
    inputs = [
        tg.Tensor(RECORDED[f"{number}/input/{i}"].astype(dtype), requires_grad=True) for i in range(1 + len(states))
    ]
    return layer, inputs


def results(layer, inputs):
    x, *states = inputs
    return flat(layer(x, *([] if not states else [tuple(states)] if len(states) > 1 else states)))


@every_case
@pytest.mark.parametrize("compiled", [False, True])
def test_values_gradients_and_names_are_pytorchs(number, compiled):
    layer, inputs = made(number)
    names = [key for key in RECORDED.files if key.startswith(f"{number}/state/")]
    assert [f"{number}/state/{key}" for key, _ in layer.named_parameters()] == names

    def step(*inputs):
        ys = results(layer, inputs)
        wanted = [*inputs, *layer.parameters()]
        return ys, tg.gradients(sum((y**3).sum() for y in ys), wanted)

    run = tg.compile(step) if compiled else step
    for _ in range(4 if compiled else 1):
        ys, gradients = run(*inputs)
    for i, y in enumerate(ys):
        np.testing.assert_allclose(y.numpy(), RECORDED[f"{number}/result/{i}"], rtol=1e-10, atol=1e-12)
    wanted = [RECORDED[f"{number}/input gradient/{i}"] for i in range(len(inputs))]
    wanted += [RECORDED[key.replace("state", "gradient")] for key in names]
    for g, own in zip(gradients, wanted, strict=True):
        np.testing.assert_allclose(g.numpy(), own, rtol=1e-9, atol=1e-11)


@every_case
def test_float32_stays_float32_and_nothing_is_overwritten(number):
    layer, inputs = made(number, np.float32)
    before = [a.numpy().copy() for a in [*inputs, *layer.parameters()]]
    for i, y in enumerate(results(layer, inputs)):
        assert y.dtype == np.float32
        np.testing.assert_allclose(y.numpy(), RECORDED[f"{number}/result/{i}"], rtol=1e-4, atol=1e-5)
    for a, known in zip([*inputs, *layer.parameters()], before, strict=True):
        np.testing.assert_array_equal(a.numpy(), known)


def test_the_gradients_of_each_sample():
    layer, (x,) = made(4)

    def loss(x):
        return (layer(x[None])[0] ** 2).sum()

    each = tg.vmap(tg.grad(loss))(x.numpy())
    np.testing.assert_allclose(
        each.numpy(), np.stack([tg.grad(loss)(a).numpy() for a in x.numpy()]), rtol=1e-9, atol=1e-12
    )


def test_dropout_is_between_layers_and_in_training_alone():
    layer, x = nn.GRU(3, 4, 2, dropout=1.0), tg.ones(5, 2, 3)
    assert not np.array_equal(layer.eval()(x)[0].numpy(), layer.train()(x)[0].numpy())
    one = nn.GRU(3, 4, 1, dropout=1.0)
    np.testing.assert_array_equal(one.eval()(x)[0].numpy(), one.train()(x)[0].numpy())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: nn.RNN(3, 4, nonlinearity="gelu"), "RNN: `nonlinearity` is 'gelu'; it must be 'tanh' or 'relu'"),
        (lambda: nn.LSTM(3, 4, proj_size=4), "LSTM: `proj_size` is 4"),
        (lambda: nn.GRU(3, 4, dropout=2), "GRU: `dropout` is 2; it must be a probability"),
        (lambda: nn.GRU(3, 4)(tg.zeros(5, 2, 4)), r"GRU: `x` has shape \(5, 2, 4\)"),
        (lambda: nn.GRU(3, 4)(tg.zeros(0, 2, 3)), r"GRU: `x` has shape \(0, 2, 3\)"),
        (lambda: nn.GRU(3, 4)(tg.zeros(5, 2, 3), tg.zeros(2, 4)), r"`h_0` has shape \(2, 4\); it must be \(1, 2, 4\)"),
        (lambda: nn.LSTMCell(3, 4)(tg.zeros(2, 4)), r"LSTMCell: `x` has shape \(2, 4\)"),
        (lambda: nn.GRUCell(3, 4)(tg.zeros(2, 3), tg.zeros(4)), r"GRUCell: `h` has shape \(4,\)"),
    ],
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("kind", ["RNN", "GRU", "LSTM"])
def test_long_sequences_go_back_in_parts_with_the_same_bits(kind, monkeypatch):
    layer, x = getattr(nn, kind)(3, 4, bidirectional=True), tg.randn(7, 2, 3)

    def gradients():
        y, states = layer(x)
        layer.zero_grad()
        ((y * y).sum() + (states[1] if kind == "LSTM" else states).sum()).backward()
        return [p.grad.numpy() for p in layer.parameters()]

    whole = gradients()
    monkeypatch.setattr("tinygrad_cnn.ops.recurrent.CHUNK", 3 * 2 * 4)  # three steps, three, and one
    for one, other in zip(whole, gradients(), strict=True):
        np.testing.assert_array_equal(one, other)
