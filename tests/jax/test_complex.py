"""Complex numbers on JAX: the values and gradients of every row that takes them, and an error where eager has one."""

from __future__ import annotations

import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose

import tinygrad_cnn as tg
from tinygrad_cnn.testing.cases import Case

from ..complex_rows import CAST, REFUSALS, complex_inputs
from ..test_complex import ROWS
from . import needs
from .test_rows import DRAWS, PARTLY, REFUSED

jax = needs.jax()
ROOT = Path(__file__).parents[2]

UNLIKE = {*REFUSED, *DRAWS, "argmax", "argmin", "slogdet", "complex_erf", "erfc"}
"""Functions that are errors here with any numbers, or draw; JAX does not order complex numbers, and has no error functions of
them, and of slogdet eager has the values alone, which under JAX are not told from gradients."""


def differentiated(case: Case, arrays: list[np.ndarray], moving: list[int]) -> None:
    """Ask for the value of a row, and for its gradients."""
    value = np.asarray(jax.jit(tg.jax.function(case.call))(*arrays))
    needs.on_jax(case.call, arrays, moving, needs.weights(value))


@pytest.mark.parametrize("case", ROWS, ids=[f"{n}-{case.name}" for n, case in enumerate(ROWS)])
@pytest.mark.part(20)
def test_a_row_with_complex_inputs(case: Case):
    arrays = complex_inputs(case, 0, False)
    if case.function.__name__ in UNLIKE or not any(a.dtype.kind == "c" for a in arrays):
        pytest.skip("an error, a draw, or no floating-point input")
    moving = [i for i, a in enumerate(arrays) if a.dtype.kind in "fc"] if case.order else []
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # for a warning with a value is no refusal
        try:
            case.call(*arrays)
        except REFUSALS:
            with pytest.raises((*REFUSALS, tg.jax.JaxError)):
                tg.jax.function(case.call)(*map(jax.numpy.asarray, arrays))
            return
        warnings.simplefilter("error")
        try:
            y, u, grads = needs.eager(case.call, arrays, moving)
        except (*REFUSALS, CAST):
            with pytest.raises((*REFUSALS, tg.jax.JaxError, Warning)):
                differentiated(case, arrays, moving)
            return
        if case.function.__name__ in PARTLY or case.name in PARTLY:
            pytest.skip("an error with any numbers")
        value, found = needs.on_jax(case.call, arrays, moving, u)
    assert value.dtype == y.dtype
    assert_allclose(value, y, rtol=1e-9, atol=1e-11)
    for g, h in zip(found, grads, strict=True):
        assert_allclose(g, h, rtol=1e-9, atol=1e-10)


def z(*shape, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal(shape) + 1j * rng.standard_normal(shape)


def test_the_convention_is_that_of_jax():
    def f(xp, a, b):
        return xp.real(xp.sum(xp.abs(xp.exp(a) * xp.conj(b)) * xp.real(a) + xp.cos(xp.imag(b))))

    a, b = z(4), z(4, seed=1)
    ours = jax.jit(jax.grad(tg.jax.function(lambda a, b: f(tg, a, b)), argnums=(0, 1)))(a, b)
    theirs = jax.grad(lambda a, b: f(jax.numpy, a, b), argnums=(0, 1))(a, b)
    eager = tg.grad(lambda a, b: f(tg, a, b), argnums=(0, 1))(a, b)
    for g, h, k in zip(ours, theirs, eager, strict=True):
        assert g.dtype == np.complex128
        assert_allclose(g, h, rtol=1e-12)
        assert_allclose(g, k.numpy(), rtol=1e-12)


def test_holomorphic_derivatives_and_second_ones():
    f = tg.jax.function(lambda x: tg.sin(x * x).sum())
    found = jax.grad(f, holomorphic=True)(z(3))
    assert_allclose(found, 2 * z(3) * np.cos(z(3) ** 2), rtol=1e-12)
    phase = tg.jax.function(lambda x: (tg.abs(tg.fft.fft(tg.exp(1j * x) * x)) ** 3).sum())
    x = np.array([0.3, -1.2, 0.8])
    here = tg.hessian(lambda x: (tg.abs(tg.fft.fft(tg.exp(1j * x) * x)) ** 3).sum())(tg.Tensor(x))
    assert_allclose(jax.jit(jax.jacrev(jax.jacrev(phase)))(x), here.numpy(), rtol=1e-9)


def test_an_op_of_real_numbers_is_named():
    real = [(tg.maximum, "maximum"), (lambda a, b: tg.sigmoid(a) * b, "sigmoid")]
    real += [(lambda a, b, name=name: getattr(tg.special, name)(a) * b, name) for name in ("erf", "erfc")]
    for f, name in real:
        with pytest.raises(TypeError, match=name):
            jax.jit(jax.grad(tg.jax.function(lambda a, b, f=f: tg.real(f(a, b)).sum())))(z(3), z(3))


def test_a_failed_check_makes_complex_results_nan():
    f = tg.jax.function(lambda x, i: x[i] * 1j)
    assert np.isnan(jax.jit(f)(z(3), np.array([3]))).all()
    assert_allclose(jax.jit(f)(z(3), np.array([1])), z(3)[[1]] * 1j)


def test_eigenvalues_that_are_not_real():
    turn = np.array([[0.0, 1], [-1, 0]])
    f = tg.jax.function(tg.linalg.eigvals)
    with pytest.raises(tg.jax.JaxError, match="give a complex one"):
        f(turn)
    assert np.isnan(jax.jit(f)(turn)).all()
    found = jax.jit(f)(turn.astype(complex))
    assert_allclose(sorted(found, key=lambda w: w.imag), [-1j, 1j], atol=1e-15)
    real = turn + np.diag([2.0, -3])
    assert_allclose(jax.jit(f)(real), tg.linalg.eigvals(tg.Tensor(real)).numpy(), rtol=1e-12)


def test_truth_needs_both_parts():
    for f in (tg.all, tg.any):
        for x in (np.array([0.5j, 1]), np.array([0.5j, 0]), np.array([0j])):
            assert bool(jax.jit(tg.jax.function(f))(x)) == bool(f(tg.Tensor(x)).item())


WITHOUT_64_BITS = """
import numpy as np, tinygrad_cnn as tg
f = tg.jax.function(lambda a: tg.fft.fft(a))
assert f(np.ones(4, np.float32)).dtype == np.complex64
assert f(np.ones(4, np.complex64)).dtype == np.complex64
for g, error in ((lambda: f(np.ones(4, complex)), TypeError),
                 (lambda: tg.jax.function(lambda a: tg.exp(1j * a.astype(complex)))(np.ones(4, np.float32)), tg.jax.JaxError)):
    try: g()
    except error as e: assert "jax_enable_x64" in str(e) and "complex64" in str(e), e
    else: raise AssertionError(g)
"""


def test_without_64_bits_complex128_is_an_error():
    ended = subprocess.run(
        [sys.executable, "-W", "error", "-c", WITHOUT_64_BITS], capture_output=True, text=True, cwd=ROOT
    )
    assert ended.returncode == 0, ended.stderr
