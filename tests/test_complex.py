"""Complex numbers: each function is right for them, in value and derivatives, or says that it takes none."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn.testing.cases import Case

from .complex_rows import outcome
from .rows import CASES

INNER = ("drawn_slopes", "keep_mask", "complete_basis", "det_sign")
"""Ops that draw, or are constants by declaration."""

ROWS = [case for case in CASES if not case.function.__name__.startswith(INNER)]

_HOLOMORPHIC = """
    add sub mul div neg reciprocal square sqrt exp log pow expm1 log1p log2 log10 exp2 sin cos tan sinh cosh tanh arcsin arccos
    arctan arcsinh arccosh arctanh abs real imag conj angle where lerp copy sum mean prod cumsum cumprod reshape transpose
    broadcast_to expand_dims squeeze concatenate stack flip roll tile repeat pad getitem index_set take take_along_axis
    matmul linear einsum tensordot dot outer vdot vecdot conv2d conv_transpose2d avg_pool2d norm var std
    inv solve det slogdet cholesky eigvalsh eigvals svdvals qr pinv lstsq
    dft real_inverse convolve correlate diagonal trace tril triu kron
"""
HOLOMORPHIC = _HOLOMORPHIC.split()
"""Functions that take complex inputs."""


def z(*shape, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal(shape) + 1j * rng.standard_normal(shape)


@pytest.mark.part(60)
@pytest.mark.parametrize("square", [False, True], ids=["plain", "square"])
@pytest.mark.parametrize("case", ROWS, ids=lambda case: case.name)
def test_a_row_is_right_or_refused(case: Case, square: bool):
    found = outcome(case, 0, square)
    assert not found.startswith(("wrong", "constant")), found


@pytest.mark.parametrize("name", sorted(HOLOMORPHIC))
def test_what_takes_complex_numbers(name):
    rows = [case for case in CASES if case.function.__name__ == name]
    assert rows
    assert "right" in {outcome(case, 1, False) for case in rows[:3]}


def test_the_gradient_is_that_of_the_convention():
    def f(x, y):
        return np.abs(np.exp(x + 1j * y)) * x + np.cos(y)

    x, y, h = 0.3, -0.7, 1e-6
    expected = (f(x + h, y) - f(x - h, y)) / (2 * h) - 1j * (f(x, y + h) - f(x, y - h)) / (2 * h)
    found = tg.grad(lambda z: tg.abs(tg.exp(z)) * tg.real(z) + tg.cos(tg.imag(z)))(x + 1j * y)
    assert found.dtype == np.complex128
    np.testing.assert_allclose(found.item(), expected, rtol=1e-8)
    leaf = tg.Tensor(np.array([x + 1j * y]), requires_grad=True)
    (tg.abs(tg.exp(leaf)) * leaf.real + tg.cos(leaf.imag)).sum().backward()
    np.testing.assert_allclose(leaf.grad.numpy()[0], expected, rtol=1e-8)


def test_a_real_input_gets_the_real_part():
    x = np.array([0.5, -1.5])
    g = tg.grad(lambda x: tg.abs(tg.exp(1j * x) + x).sum())(x)
    assert g.dtype == np.float64
    np.testing.assert_allclose(g.numpy(), (x - np.sin(x) * x + np.cos(x)) / np.abs(np.exp(1j * x) + x), rtol=1e-12)


def test_holomorphic_derivatives():
    points = z(3)
    np.testing.assert_allclose(
        tg.holomorphic_grad(lambda z: tg.sin(z).sum())(points).numpy(), np.cos(points), rtol=1e-12
    )
    second = tg.holomorphic_grad(tg.holomorphic_grad(lambda z: z**4))
    np.testing.assert_allclose(second(1 + 2j).item(), 12 * (1 + 2j) ** 2, rtol=1e-12)


def test_forward_mode_and_products_with_the_hessian():
    def f(z):
        return (tg.abs(tg.fft.fft(z * z)) ** 2).sum()

    def value(a):
        return np.sum(np.abs(np.fft.fft(a * a)) ** 2)

    a, v, h = z(5), z(5, seed=1), 1e-5
    _, slope = tg.jvp(f, (a,), (v,))
    np.testing.assert_allclose(slope.item(), (value(a + h * v) - value(a - h * v)) / (2 * h), rtol=1e-7)
    product = tg.hvp(f, (a,), (v,)).numpy()
    expected = (tg.grad(f)(a + h * v).numpy() - tg.grad(f)(a - h * v).numpy()) / (2 * h)
    np.testing.assert_allclose(product, expected, rtol=1e-6)
    _, push = tg.linearize(lambda z: tg.conj(z) * z, a)
    np.testing.assert_allclose(push(v).numpy(), np.conj(v) * a + np.conj(a) * v, rtol=1e-12)
    _, pull = tg.vjp(lambda z: z * z, a)
    np.testing.assert_allclose(pull(v)[0].numpy(), 2 * a * v, rtol=1e-12)
    np.testing.assert_allclose(
        tg.jacfwd(lambda x: tg.exp(1j * x))(np.array([0.1, 0.2])).numpy(),
        np.diag(1j * np.exp([0.1j, 0.2j])),
        rtol=1e-12,
    )


def test_vmap_checkpoint_and_compile_agree_with_plain_calls():
    a = z(4, 6)

    def f(z):
        return tg.abs(tg.fft.irfft(tg.fft.fft(z)) + tg.real(tg.exp(z[..., :1]))).sum()

    whole = tg.vmap(tg.grad(f))(a).numpy()
    np.testing.assert_allclose(whole, np.stack([tg.grad(f)(row).numpy() for row in a]), rtol=1e-12)
    w = tg.Tensor(a, requires_grad=True)
    tg.checkpoint(f, w).backward()
    np.testing.assert_array_equal(w.grad.numpy(), tg.grad(f)(a).numpy())

    @tg.compile
    def step(x):
        loss = (tg.abs(tg.fft.fft(x @ w)) ** 2).mean()
        w.zero_grad()
        loss.backward()
        return loss

    for seed in range(8):
        x = z(3, 4, seed=seed)
        found = step(x).item(), w.grad.numpy().copy()
        loss = (tg.abs(tg.fft.fft(tg.Tensor(x) @ w)) ** 2).mean()
        assert found[0] == loss.item()
        np.testing.assert_array_equal(found[1], tg.gradients(loss, w)[0].numpy())


TRANSFORMS = [
    ("fft", {}), ("fft", {"n": 3, "norm": "ortho"}), ("fft", {"n": 9, "axis": 0}), ("ifft", {"norm": "forward"}),
    ("irfft", {}), ("irfft", {"n": 7}), ("irfft", {"n": 4, "norm": "ortho"}), ("hfft", {}),
    ("hfft", {"n": 5, "norm": "forward"}),
    ("fft2", {}), ("fft2", {"s": (3, 7)}), ("ifft2", {"norm": "ortho"}), ("fftn", {"axes": (0,)}), ("ifftn", {"s": (4, 4)}),
    ("irfft2", {}), ("irfftn", {"s": (4, 7), "axes": (0, 1)}), ("fftshift", {}), ("ifftshift", {"axes": 1}),
]  # fmt: skip
OF_REAL = [
    ("rfft", {}),
    ("rfft", {"n": 4, "axis": 0}),
    ("ihfft", {"norm": "ortho"}),
    ("rfft2", {}),
    ("rfftn", {"s": (3, 8)}),
]


def test_hooks_and_anomaly_see_complex_gradients():
    z, seen = tg.Tensor(np.array([1 + 2j, 3 - 1j]), requires_grad=True), []
    w = z * z
    w.register_hook(lambda g: seen.append(g.numpy()))
    w.register_hook(lambda g: g * 2j)
    (tg.abs(w) ** 2).sum().backward()
    np.testing.assert_allclose(seen[0], 2 * np.conj(w.numpy()))
    np.testing.assert_allclose(z.grad.numpy(), 2 * np.conj(w.numpy()) * 2j * 2 * z.numpy())
    with tg.detect_anomaly():
        tg.real(tg.log(z)).sum().backward()
        with pytest.raises(
            tg.AnomalyError, match=r"log: the result complex128 \(2,\) has 1 element that is not finite"
        ):
            tg.log(tg.Tensor(np.array([0j, 1j]), requires_grad=True))


@pytest.mark.filterwarnings("ignore:.*`axes`.*:DeprecationWarning")
@pytest.mark.parametrize(("name", "params"), [*TRANSFORMS, *OF_REAL], ids=str)
def test_a_transform_is_numpys_and_differentiable(name, params):
    real = (name, params) in OF_REAL
    a = z(5, 6).real if real else z(5, 6)
    if "s" in params:
        params = {"axes": (-2, -1), **params}
    expected = getattr(np.fft, name)(a, **params)
    np.testing.assert_allclose(getattr(tg.fft, name)(a, **params), expected, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(getattr(np.fft, name)(tg.Tensor(a), **params).numpy(), expected, rtol=1e-12, atol=1e-12)
    single = getattr(tg.fft, name)(tg.Tensor(a.astype(np.float32 if real else np.complex64)), **params)
    assert single.dtype == expected.astype(np.complex64 if expected.dtype.kind == "c" else np.float32).dtype
    weights, v, h = z(*expected.shape, seed=1), z(5, 6, seed=2), 1e-6
    v = v.real if real else v

    def loss(x):
        return tg.real((getattr(tg.fft, name)(x, **params) * weights).sum()) ** 2

    def value(x):
        return np.real((getattr(np.fft, name)(x, **params) * weights).sum()) ** 2

    slope = np.real(np.sum(tg.grad(loss)(a).numpy() * v))
    np.testing.assert_allclose(slope, (value(a + h * v) - value(a - h * v)) / (2 * h), rtol=1e-6)
    product = np.real(np.sum(tg.hvp(loss, (a,), (v,)).numpy() * v))
    np.testing.assert_allclose(product, (value(a + v) - 2 * value(a) + value(a - v)), rtol=1e-9)


def test_frequencies():
    np.testing.assert_array_equal(tg.fft.fftfreq(5, 0.5), np.fft.fftfreq(5, 0.5))
    np.testing.assert_array_equal(tg.fft.rfftfreq(6), np.fft.rfftfreq(6))


def leaf():
    return tg.Tensor(z(3, 3), requires_grad=True)


WRONG = [
    (lambda: tg.sigmoid(leaf()), TypeError, "sigmoid: the function is one of real numbers"),
    (lambda: tg.cross_entropy(leaf(), np.arange(3)), TypeError, "the function is one of real numbers"),
    (lambda: tg.median(leaf()), TypeError, "quantile: the function is one of real numbers"),
    (lambda: tg.relu(leaf()).real.sum().backward(), TypeError, "relu: `a` is complex128 and requires a gradient"),
    (lambda: tg.maximum(leaf(), 0).real.sum().backward(), TypeError, "the rules of maximum hold for real inputs"),
    (lambda: leaf().sum().backward(), TypeError, "the result is complex128, and only a real number has an implied gradient"),
    (lambda: tg.grad(lambda z: z * z)(1j), TypeError, "use holomorphic_grad"),
    (lambda: tg.holomorphic_grad(lambda z: z * z)(1.0), TypeError, "an argument is Tensor of float64; it must be complex"),
    (lambda: tg.holomorphic_grad(tg.abs)(1j), TypeError, "the result is Tensor of float64; it must be complex"),
    (lambda: tg.jacobian(lambda z: z * z)(z(2)), TypeError, "f returned Tensor of complex128"),
    (lambda: tg.hessian(lambda z: tg.abs(z).sum())(z(2)), TypeError, "moves in two directions"),
    (lambda: tg.jvp(tg.cos, (z(2),), (np.ones(3),)), ValueError, "shape"),
    (lambda: tg.gradients(leaf().real, leaf(), np.ones((3, 3)) * 1j), TypeError, "it must hold real numbers"),
    (lambda: tg.fft.rfft(z(3)), TypeError, "rfft: `a` is complex128; it must be real"),
    (lambda: tg.fft.fft(z(3), norm="unit"), ValueError, "`norm` is 'unit'"),
    (lambda: tg.fft.fft(z(3), n=0), ValueError, "a transform needs 1 at least"),
    (lambda: tg.fft.fftn(z(3, 3), s=(2,), axes=(0, 1)), ValueError, "they must be as long"),
    (lambda: np.real_if_close(leaf()), TypeError, "real_if_close: a Tensor is complex128"),
    (lambda: np.nanmax(leaf()), TypeError, "complex numbers have no order"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "kind", "text"), WRONG)
def test_what_is_refused(call, kind, text):
    with pytest.raises(kind, match=text):
        call()


def test_an_op_of_the_user_says_whether_its_rule_holds():
    @tg.op(elementwise=True)
    def cube(a):
        return a * a * a

    @tg.op(elementwise=True, complex=True)
    def complex_cube(a):
        return a * a * a

    for function in (cube, complex_cube):
        function.vjp(a=lambda g, a: 3 * g * a * a)
    with pytest.raises(
        TypeError, match="cube: `a` is complex128 and requires a gradient, but the rules of cube hold for real"
    ):
        tg.abs(cube(leaf())).sum().backward()
    with pytest.raises(TypeError, match="the rules of cube hold for real inputs"):
        tg.jvp(cube, (z(2),), (z(2),))
    points = z(2)
    np.testing.assert_allclose(
        tg.holomorphic_grad(lambda z: complex_cube(z).sum())(points).numpy(), 3 * points**2, rtol=1e-12
    )
    assert cube(tg.ones(2, requires_grad=True)).requires_grad
