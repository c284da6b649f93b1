"""Layers with complex weights, and layers that compute with real numbers."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import nn

C = np.complex64


def z(*shape, seed=0):
    rng = np.random.default_rng(seed)
    return (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(C)


COMPLEX = [
    (lambda dtype: nn.Linear(3, 2, dtype=dtype), (4, 3)),
    (lambda dtype: nn.Conv1d(2, 4, 3, padding=1, groups=2, dtype=dtype), (2, 2, 5)),
    (lambda dtype: nn.Conv2d(2, 3, 3, stride=2, padding_mode="circular", padding=1, dtype=dtype), (2, 2, 6, 5)),
    (lambda dtype: nn.Conv3d(1, 2, 2, dtype=dtype), (1, 1, 3, 3, 3)),
    (lambda dtype: nn.ConvTranspose2d(2, 3, 3, stride=2, dtype=dtype), (1, 2, 3, 3)),
]


@pytest.mark.parametrize(("make", "shape"), COMPLEX)
def test_a_layer_is_that_of_real_and_imaginary_parts(make, shape):
    """(W + i V)(x + i y) = W x - V y + i (V x + W y), by four real layers."""
    layer, x = make(C), z(*shape)
    assert {p.dtype for p in layer.parameters()} == {np.dtype(C)}
    real, imaginary = make(np.float32), make(np.float32)
    for part, f in ((real, np.real), (imaginary, np.imag)):
        part.weight.copy_(f(layer.weight.numpy()))
        part.bias.copy_(np.zeros(part.bias.shape, np.float32))
    offset = layer.bias.numpy().reshape(-1, *([1] * (len(shape) - 2)))
    a = real(x.real).numpy() - imaginary(x.imag).numpy()
    b = imaginary(x.real).numpy() + real(x.imag).numpy()
    y = layer(x)
    assert y.dtype == C
    np.testing.assert_allclose(y.numpy(), a + 1j * b + offset, rtol=1e-4, atol=1e-5)
    (tg.abs(y) ** 2).sum().backward()
    step, v, h = z(*layer.weight.shape, seed=1).astype(np.complex128), layer.to(np.float64), 1e-5
    assert layer.weight.dtype == np.complex128
    w = layer.weight.numpy().copy()

    def value(t):
        v.weight.copy_(w + t * step)
        return (np.abs(v(x.astype(np.complex128)).numpy()) ** 2).sum()

    slope = (layer.weight.grad.numpy() * step).sum().real
    np.testing.assert_allclose(slope, (value(h) - value(-h)) / (2 * h), rtol=1e-4)


def test_bilinear_and_embedding():
    layer, a, b = nn.Bilinear(2, 3, 4, dtype=C), z(5, 2), z(5, 3, seed=1)
    expected = np.einsum("ni,kij,nj->nk", a, layer.weight.numpy(), b) + layer.bias.numpy()
    np.testing.assert_allclose(layer(a, b).numpy(), expected, rtol=1e-4, atol=1e-5)
    table = nn.Embedding(4, 2, dtype=C)
    (tg.abs(table(np.array([1, 1]))) ** 2).sum().backward()
    np.testing.assert_allclose(table.weight.grad.numpy()[1], 4 * table.weight.numpy()[1].conj(), rtol=1e-5)


REAL = [
    lambda: nn.BatchNorm2d(3, dtype=C),
    lambda: nn.LayerNorm(3, dtype=C),
    lambda: nn.GroupNorm(1, 3, dtype=C),
    lambda: nn.InstanceNorm1d(3, affine=True, dtype=C),
    lambda: nn.RMSNorm(3, dtype=C),
    lambda: nn.PReLU(dtype=C),
    lambda: nn.RNN(2, 3, dtype=C),
    lambda: nn.GRU(2, 3, dtype=C),
    lambda: nn.LSTMCell(2, 3, dtype=C),
    lambda: nn.LSTM(2, 3, dtype=C),
]


@pytest.mark.parametrize("make", REAL)
def test_a_layer_of_real_numbers_has_no_complex_parameters(make):
    with pytest.raises(
        TypeError, match="`dtype` is complex64; it must be real, since the layer computes with real numbers"
    ):
        make()


@pytest.mark.parametrize(
    "layer",
    [nn.BatchNorm1d(3), nn.LayerNorm(3), nn.GroupNorm(1, 3), nn.RMSNorm(3), nn.Sigmoid(), nn.GELU(), nn.Softmax(-1)],
    ids=lambda layer: type(layer).__name__,
)
def test_nor_complex_inputs(layer):
    with pytest.raises(TypeError, match="the function is one of real numbers"), tg.no_grad():
        layer(z(4, 3))
    with pytest.raises(TypeError, match="the function is one of real numbers"):
        nn.MaxPool2d(2)(z(1, 1, 4, 4))


@pytest.mark.parametrize("format", ["npz", "safetensors"])
def test_files_and_pickles(tmp_path, format):
    if format == "safetensors":
        pytest.importorskip("safetensors")
    model, other = (nn.Sequential(nn.Linear(3, 4, dtype=C), nn.Tanh(), nn.Linear(4, 2, dtype=C)) for _ in range(2))
    x = z(2, 3)
    path = tmp_path / f"model.{format}"
    tg.save(path, model.state_dict())
    other.load_state_dict(tg.load(path))
    for twin in (other, pickle.loads(pickle.dumps(model))):
        np.testing.assert_array_equal(twin(x).numpy(), model(x).numpy())
    if format == "safetensors":
        with pytest.raises(TypeError, match="array 'w' is complex128, which the format does not have"):
            tg.save(path, {"w": np.ones(2, complex)})


@pytest.mark.parametrize("x", [z(2, 3), z(2, 3).real], ids=["complex", "real"])
def test_onnx_refuses_by_name(tmp_path, x):
    pytest.importorskip("onnx")
    with pytest.raises(tg.onnx.OnnxError, match="complex64"):
        tg.onnx.export(nn.Linear(3, 2, dtype=C), x, tmp_path / "model.onnx")
    assert not [*tmp_path.iterdir()]


def spread(values):
    """The mean and deviation of both parts."""
    return [f(part) for part in (values.real, values.imag) for f in (np.mean, np.std)]


def test_initializers_draw_as_pytorchs():
    """Uniform numbers fill the square, and normal ones have half of the variance in each part, as torch.nn.init measures."""
    w = tg.zeros(400, 300, dtype=C)
    nn.init.uniform_(w, -1.0, 2.0, rng=0)
    assert (np.minimum(w.numpy().real, w.numpy().imag) >= -1).all()
    np.testing.assert_allclose(spread(w.numpy()), [0.5, 3 / 12**0.5] * 2, atol=0.01)
    nn.init.normal_(w, 1.0, 2.0, rng=0)
    np.testing.assert_allclose(spread(w.numpy()), [1, 2**0.5] * 2, atol=0.02)
    nn.init.kaiming_normal_(w, nonlinearity="linear", rng=0)
    np.testing.assert_allclose(spread(w.numpy()), [0, 600**-0.5] * 2, atol=0.001)
    np.testing.assert_allclose(spread(nn.Linear(400, 300, dtype=C).weight.numpy()), [0, 0.05 / 3**0.5] * 2, atol=0.001)
    q = nn.init.orthogonal_(tg.zeros(5, 3, dtype=complex), gain=2.0, rng=0).numpy()
    np.testing.assert_allclose(q.conj().T @ q, 4 * np.eye(3), atol=1e-12)
    nn.init.constant_(w, 1 - 2j)
    assert (w.numpy() == 1 - 2j).all()
    with pytest.raises(TypeError, match="trunc_normal_: `tensor` is complex64"):
        nn.init.trunc_normal_(w)
