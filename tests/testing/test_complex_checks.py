"""The tools that check gradients, with complex numbers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given

import tinygrad_cnn as tg
from tinygrad_cnn.testing import assert_gradients, gradcheck, mutants, survivors
from tinygrad_cnn.testing.strategies import arrays, complex_dtypes


def z(*shape, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal(shape) + 1j * rng.standard_normal(shape)


RIGHT = [
    (tg.exp, [(2, 3)]),
    (tg.abs, [(2, 3)]),
    (tg.matmul, [(2, 3), (3, 2)]),
    (lambda a: tg.fft.fft(a) * tg.conj(a), [(5,)]),
    (lambda a: list(tg.linalg.eigh(a)), [(3, 3)]),
    (lambda a: [tg.linalg.qr(a)[1], tg.var(a)], [(3, 3)]),
]


@pytest.mark.parametrize(("f", "shapes"), RIGHT)
def test_right_gradients_pass(f, shapes):
    inputs = [z(*shape, seed=i) for i, shape in enumerate(shapes)]
    assert_gradients(f, *inputs)
    assert gradcheck(f, inputs[0].astype(np.complex64), *inputs[1:], order=1)


def test_real_inputs_with_complex_results():
    assert_gradients(lambda x: tg.fft.rfft(x), z(6).real)
    assert gradcheck(lambda x, w: x * w, z(3).real, z(3), order=1)


def cube(rule):
    @tg.op(elementwise=True, complex=True)
    def broken(a):
        return a * a * a

    broken.vjp(a=rule)
    return broken


def test_a_wrong_rule_is_found_in_the_input_that_it_is_wrong_in():
    right = cube(lambda g, a: 3 * g * a * a)
    assert gradcheck(right, z(2))
    wrong = cube(lambda g, a: 3 * g * tg.conj(a * a))
    report = gradcheck(lambda x, w: right(x).sum() + wrong(w).sum() * (1 + 2j), z(2), z(2))
    assert {failure.input for failure in report.failures} == {1}
    assert "input 1, real part, index (0,)" in str(report)
    assert "np.complex128" in report.reproducer
    assert not gradcheck(cube(lambda g, a: 3 * tg.conj(g) * a * a), z(2))


def test_a_kink_of_complex_numbers():
    report = gradcheck(tg.abs, np.array([0, 1 + 1j]), order=1)
    assert report
    assert {(kink.input, kink.index) for kink in report.kinks} == {(0, (0,))}


def test_memory_of_complex_gradients():
    def overwrite(g, a):
        result = 3 * g * a * a
        if isinstance(g, np.ndarray) and g.flags.writeable:
            g[...] = 0
        return result

    assert "the incoming gradient was modified" in str(gradcheck(cube(overwrite), z(3)))


OPS = [
    (tg.exp, [(3, 2)]),
    (tg.mul, [(2, 3), (2, 3)]),
    (tg.matmul, [(2, 3), (3, 2)]),
    (tg.abs, [(3, 2)]),
    (tg.linalg.inv, [(2, 2)]),
    (tg.linalg.det, [(2, 2)]),
    (tg.linalg.cholesky, [(2, 2)]),
    (tg.cumprod, [(3,)]),
]


@pytest.mark.parametrize(("op", "shapes"), OPS, ids=lambda value: getattr(value, "__name__", None))
def test_rules_that_are_wrong_for_complex_numbers_are_noticed(op, shapes):
    inputs = [z(*shape, seed=i) for i, shape in enumerate(shapes)]
    if op is tg.linalg.cholesky:
        inputs = [inputs[0] @ inputs[0].conj().T + np.eye(2)]

    def check():
        return gradcheck(op, *inputs, order=1)

    kinds = {mutant.name for mutant in mutants(op, complex=True)} - {mutant.name for mutant in mutants(op)}
    assert {"conjugated", "multiplied by i", "the imaginary part dropped"} <= kinds
    found = [m for m in survivors(op, check, complex=True) if "equal axes" not in m.name and "broadcast" not in m.name]
    if op is tg.abs:  # whose incoming gradient is real
        found = [mutant for mutant in found if mutant.name != "the incoming gradient conjugated"]
    assert not found


@given(arrays((2, 3), complex_dtypes(), low=0.5, high=1.5))
def test_drawn_complex_numbers(a):
    assert a.dtype.kind == "c"
    for part in (a.real, a.imag):
        assert ((part >= 0.5) & (part <= 1.5)).all()
    assert gradcheck(tg.log, a.astype(np.complex128), order=1)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: gradcheck(tg.exp, z(2), method="complex"), "`method` is 'complex' and input 0 is complex128"),
        (lambda: gradcheck(tg.exp, np.array([1j, np.nan])), "input 0 holds NaN or infinity"),
    ],
)
def test_what_is_refused(call, text):
    with pytest.raises(ValueError, match=text):
        call()
