"""The namespace of Python's array API: its names, dtypes and defaults, and what it records.

The public suite array-api-tests judges it on the standard itself: see docs/interop.md.
"""

from __future__ import annotations

import inspect

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn.extra import array_api as xp

STANDARD = """
    e inf nan newaxis pi
    arange asarray empty empty_like eye from_dlpack full full_like linspace meshgrid ones ones_like tril triu zeros zeros_like
    astype can_cast finfo iinfo isdtype result_type
    bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float32 float64 complex64 complex128 fft
    abs acos acosh add asin asinh atan atan2 atanh bitwise_and bitwise_left_shift bitwise_invert bitwise_or bitwise_right_shift
    bitwise_xor ceil clip conj copysign cos cosh divide equal exp expm1 floor floor_divide greater greater_equal hypot imag
    isfinite isinf isnan less less_equal log log1p log2 log10 logaddexp logical_and logical_not logical_or logical_xor maximum
    minimum multiply negative nextafter not_equal positive pow real reciprocal remainder round sign signbit sin sinh square sqrt
    subtract tan tanh trunc
    take take_along_axis matmul matrix_transpose tensordot vecdot
    broadcast_arrays broadcast_to concat expand_dims flip moveaxis permute_dims repeat reshape roll squeeze stack tile unstack
    argmax argmin count_nonzero nonzero searchsorted where unique_all unique_counts unique_inverse unique_values argsort sort
    cumulative_prod cumulative_sum max mean min prod std sum var all any diff __array_namespace_info__ __array_api_version__
"""
LINALG = """
    cholesky cross det diagonal eigh eigvalsh inv matmul matrix_norm matrix_power matrix_rank matrix_transpose outer pinv qr
    slogdet solve svd svdvals tensordot trace vecdot vector_norm
"""
FFT = "fft ifft fftn ifftn rfft irfft rfftn irfftn hfft ihfft fftfreq rfftfreq fftshift ifftshift"


def test_every_name_of_the_standard_is_there():
    assert [name for name in STANDARD.split() if not hasattr(xp, name)] == []
    assert [name for name in LINALG.split() if not hasattr(xp.linalg, name)] == []
    assert set(STANDARD.split()) <= set(xp.__all__) == set(dir(xp))
    assert set(xp.linalg.__all__) == set(LINALG.split())
    assert set(xp.fft.__all__) == set(FFT.split())
    assert [name for name in xp.__all__ if callable(thing := getattr(xp, name)) and not inspect.getdoc(thing)] == []


def test_a_tensor_names_its_namespace():
    x = tg.zeros(2)
    assert x.__array_namespace__() is x.__array_namespace__(api_version="2024.12") is xp
    with pytest.raises(ValueError, match=r"version '2030.12' of the array API is not here; .*2024.12 are"):
        x.__array_namespace__(api_version="2030.12")
    assert (x.device, x.to_device("cpu") is x) == ("cpu", True)
    with pytest.raises(ValueError, match="there is one device, 'cpu'"):
        x.to_device("cuda")
    for call in (lambda: xp.zeros(2, device="cuda"), lambda: xp.asarray([1], device=0)):
        with pytest.raises(ValueError, match="there is one, 'cpu'"):
            call()


def test_another_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match=r"has no attribute 'Fft'$"):
        xp.Fft  # noqa: B018


SIGNAL = np.random.default_rng(0).normal(size=(3, 4))


@pytest.mark.parametrize("name", [name for name in FFT.split() if "freq" not in name])
def test_fourier_transforms_are_numpys_and_record(name):
    x = SIGNAL * (1 + 2j) if name in ("fft", "ifft", "fftn", "ifftn", "irfft", "irfftn", "hfft") else SIGNAL
    options = {"axes": (0, 1)} if name.endswith("n") or "shift" in name else {"axis": 0}
    z = tg.Tensor(x, requires_grad=True)
    y = getattr(xp.fft, name)(z, **options)
    np.testing.assert_allclose(y.numpy(), getattr(np.fft, name)(x, **options), rtol=1e-12, atol=1e-14)
    (xp.real(y) ** 2 + xp.imag(y) ** 2).sum().backward()
    direction, h = np.cos(np.arange(12)).reshape(3, 4), 1e-6

    def energy(x):
        return (abs(getattr(np.fft, name)(x, **options)) ** 2).sum()

    difference = (energy(x + h * direction) - energy(x - h * direction)) / (2 * h)
    np.testing.assert_allclose((np.real(z.grad.numpy()) * direction).sum(), difference, rtol=1e-6)


def test_frequencies():
    for ours, theirs in ((xp.fft.fftfreq, np.fft.fftfreq), (xp.fft.rfftfreq, np.fft.rfftfreq)):
        np.testing.assert_array_equal(ours(5, d=0.5).numpy(), theirs(5, 0.5))
        assert ours(5, dtype=xp.float32).dtype == np.float32
        with pytest.raises(ValueError, match="there is one, 'cpu'"):
            ours(5, device="cuda")


def test_dtypes():
    info = xp.__array_namespace_info__()
    defaults = {
        "real floating": xp.float64,
        "complex floating": xp.complex128,
        "integral": xp.int64,
        "indexing": xp.int64,
    }
    assert info.default_dtypes() == defaults
    assert list(info.dtypes(kind="complex floating")) == ["complex64", "complex128"]
    assert info.dtypes(kind="real floating") == {"float32": np.float32, "float64": np.float64}
    assert list(info.dtypes(kind=("bool", "unsigned integer"))) == ["bool", "uint8", "uint16", "uint32", "uint64"]
    assert (info.devices(), info.default_device(), info.capabilities()["boolean indexing"]) == (["cpu"], "cpu", True)
    assert xp.isdtype(xp.float32, ("integral", xp.float32))
    assert not xp.isdtype(xp.bool, "numeric")
    with pytest.raises(ValueError, match="`kind` is 'real'"):
        xp.isdtype(xp.float32, "real")
    assert xp.result_type(tg.zeros(1), xp.float64, 1.0) == xp.float64
    assert xp.result_type(tg.zeros(1), 1.0) == xp.float32
    assert xp.can_cast(tg.zeros(1), xp.float64)
    assert not xp.can_cast(xp.float64, xp.float32)
    limits = xp.finfo(tg.zeros(1))
    assert (limits.bits, type(limits.eps), limits.dtype) == (32, float, xp.float32)
    assert (xp.finfo(xp.complex64).bits, xp.finfo(xp.complex64).dtype) == (32, xp.float32)
    assert xp.iinfo(xp.uint8).max == 255


def test_new_arrays_have_numpys_dtypes():
    for made in (xp.zeros(2), xp.ones((1, 2)), xp.empty(2), xp.eye(2), xp.linspace(0, 1, 3), xp.asarray([1.0])):
        assert (type(made), made.dtype) == (tg.Tensor, np.float64)
    assert (xp.arange(3).dtype, xp.asarray([1]).dtype, xp.full(2, True).dtype) == (np.int64, np.int64, np.bool_)
    assert xp.zeros_like(tg.zeros(3)).dtype == np.float32


def test_asarray_copies_as_it_is_told():
    a, x = np.zeros(2), tg.zeros(2)
    assert xp.asarray(x) is x
    assert np.shares_memory(xp.asarray(a).numpy(), a)
    assert not np.shares_memory(xp.asarray(a, copy=True).numpy(), a)
    assert not np.shares_memory(xp.asarray(x, copy=True).numpy(), x.numpy())
    for obj, dtype in ((x, xp.float64), ([x, x], None), (a, xp.float32)):
        with pytest.raises(ValueError, match="copy"):
            xp.asarray(obj, dtype=dtype, copy=False)
    assert xp.asarray([1j]).dtype == xp.complex128
    with pytest.raises(TypeError, match="the data is <U1; it must be numbers or Booleans"):
        xp.asarray(["a"])
    w = tg.Tensor([1.0, 2.0], requires_grad=True)
    (xp.asarray([w[0], 3.0, w[1]]) * xp.asarray(w, dtype=xp.float64)[0]).sum().backward()
    np.testing.assert_allclose(w.grad, [1 + 6, 1])


DIFFERENTIABLE = """
    abs acos asin asinh atan atanh conj cos cosh cumulative_prod cumulative_sum diff exp expm1 flip log log10 log1p log2 max
    mean min negative positive prod real reciprocal sin sinh sort sqrt square std sum tan tanh tril unique_values var
"""


@pytest.mark.parametrize("name", DIFFERENTIABLE.split())
def test_functions_record(name):
    x = np.array([[0.3, 0.5], [0.7, 0.2]])
    f, direction, h = getattr(xp, name), np.array([[1.0, 2.0], [-1.0, 0.5]]), 1e-6
    options = {"axis": 0} if name.startswith("cumulative") else {}
    weights = np.arange(1.0, 1 + np.size(f(tg.Tensor(x), **options))).reshape(np.shape(f(tg.Tensor(x), **options)))
    slope = tg.grad(lambda x: (f(x, **options) * weights).sum())(x).numpy() * direction
    high, low = ((f(tg.Tensor(x + s * direction), **options).numpy() * weights).sum() for s in (h, -h))
    assert slope.sum() == pytest.approx((high - low) / (2 * h), rel=1e-5, abs=1e-8)


def test_functions_without_a_derivative_refuse():
    x = tg.Tensor([1.0, 2.0], requires_grad=True)
    with pytest.raises(TypeError, match="nextafter"):
        xp.nextafter(x, 3.0)
    assert xp.nextafter(x.detach(), 3.0).dtype == np.float32
    wide = tg.ones(2, 3, requires_grad=True)
    with pytest.raises(ValueError, match="full_matrices"):
        xp.linalg.svd(wide)
    assert xp.linalg.svd(wide.detach())[2].shape == (3, 3)
    with pytest.raises(TypeError, match="`rtol` for each matrix"):
        xp.linalg.pinv(wide[None], rtol=tg.zeros(1))
    found = xp.linalg.pinv(wide[None].detach(), rtol=tg.full((1,), 0.1)).numpy()
    np.testing.assert_allclose(found, np.full((1, 3, 2), 1 / 6), rtol=1e-6)


def test_arrays_and_numbers_are_operands():
    assert (xp.add(np.ones(2), 1.0) + 1).tolist() == [3, 3]
    assert xp.sum(np.ones(3)).item() == 3
    assert xp.concat([np.zeros(1), tg.ones(1, dtype=np.float64)]).tolist() == [0, 1]
    with pytest.raises(TypeError, match="too many positional"):
        xp.sin(1.0, 2.0)


def test_matrices_transposed():
    x = tg.Tensor(np.arange(12.0).reshape(2, 2, 3), requires_grad=True)
    (x.mT * np.arange(6.0).reshape(3, 2)).sum().backward()
    np.testing.assert_array_equal(x.grad[1], np.arange(6.0).reshape(3, 2).T)
    with pytest.raises(ValueError, match="it must be a matrix"):
        tg.zeros(3).mT  # noqa: B018
    assert complex(tg.Tensor(2.0)) == 2
