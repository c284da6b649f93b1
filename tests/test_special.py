"""tg.special: SciPy's functions record, far from 0 too, and nothing else of the library needs SciPy."""

from __future__ import annotations

import importlib.metadata
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import tinygrad_cnn as tg

ROOT = Path(__file__).parents[1]
OF_ONE = [
    "digamma", "entr", "erf", "erfc", "erfcinv", "erfinv", "expit", "gamma", "gammaln", "i0", "i0e", "i1", "i1e", "j0", "j1",
    "log_ndtr", "logit", "ndtr", "ndtri", "psi", "rgamma", "y0", "y1",
]  # fmt: skip
"""The functions of one array."""


@pytest.mark.slow
def test_without_scipy_the_library_works_and_the_module_says_what_to_install():
    script = (
        "import sys; sys.modules['scipy'] = None\n"
        "from tinygrad_cnn import *\n"
        "import tinygrad_cnn as tg\n"
        "try:\n    tg.special\n"
        "except ModuleNotFoundError as error:\n    print(error)\n"
    )
    run = subprocess.run([sys.executable, "-c", script], check=True, cwd=ROOT, capture_output=True, encoding="utf-8")
    assert "tinygrad_cnn.special needs SciPy, which is not installed; pip install 'tinygrad_cnn[scipy]'" in run.stdout


def test_with_the_array_api_of_scipy_the_functions_are_the_same():
    """SciPy then wraps its ufuncs in functions. Whether it does is decided when SciPy is imported, so in another process."""
    pytest.importorskip("scipy")
    script = (
        "import tinygrad_cnn as tg, numpy as np\n"
        "from scipy import special\n"
        "assert not isinstance(special.erfc, np.ufunc)\n"
        "x = np.array([0.25, 0.5])\n"
        f"for name in {OF_ONE}:\n"
        "    y, g = tg.value_and_grad(lambda x: getattr(tg.special, name)(x).sum())(x)\n"
        "    np.testing.assert_allclose(y, getattr(special, name)(x).sum(), rtol=1e-14)\n"
        "    assert g.numpy().all()\n"
        "    try:\n        found = tg.grad(lambda x: getattr(special, name)(x).sum())(x)\n"
        "    except RuntimeError as error:\n        print(error)\n"
        "    else:\n        np.testing.assert_array_equal(found, g)\n        print('recorded')\n"
    )
    environment = {**os.environ, "SCIPY_ARRAY_API": "1"}
    run = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, encoding="utf-8", check=False, env=environment
    )
    assert run.returncode == 0, run.stderr
    printed = run.stdout.splitlines()
    assert len(printed) == len(OF_ONE)
    recorded = printed.count(
        "recorded"
    )  # older versions of SciPy ask the namespace of the standard for no functions of theirs
    assert recorded + sum("the gradient would be lost" in line for line in printed) == len(OF_ONE)
    assert recorded == len(OF_ONE) or importlib.metadata.version("scipy") < "1.17"


def test_functions_of_scipy_record():
    scipy = pytest.importorskip("scipy.special")
    assert set(OF_ONE) < set(tg.special.__all__)
    for name in OF_ONE:
        x = tg.Tensor(np.array([0.25, 0.5]), requires_grad=True)
        getattr(scipy, name)(x).sum().backward()
        y = tg.Tensor(np.array([0.25, 0.5]), requires_grad=True)
        getattr(tg.special, name)(y).sum().backward()
        np.testing.assert_array_equal(x.grad, y.grad)


def test_error_functions_of_complex_numbers():
    scipy = pytest.importorskip("scipy.special")
    z = np.array([0.3 + 0.5j, -1 + 2j])
    for name, sign in (("erf", 1), ("erfc", -1)):
        f = getattr(tg.special, name)
        for given in (z, z.astype(np.complex64)):
            y = f(tg.Tensor(given))
            assert y.dtype == given.dtype
            np.testing.assert_array_equal(y.numpy(), getattr(scipy, name)(given))
        slope = sign * 2 / math.sqrt(math.pi) * np.exp(-z * z)
        for g in (f, getattr(scipy, name)):
            found = tg.holomorphic_grad(lambda z, g=g: g(z).sum())(z)
            np.testing.assert_allclose(found.numpy(), slope, rtol=1e-14)
        np.testing.assert_allclose(
            tg.holomorphic_grad(tg.holomorphic_grad(f))(z[0]).item(), -2 * z[0] * slope[0], rtol=1e-14
        )
    assert np.iscomplexobj(tg.special.erf(1j))
    assert tg.special.erf([tg.Tensor(0.5), 1.0]).dtype == np.float32
    with pytest.raises(TypeError, match="erf: the function is one of real numbers"):
        tg.erf(tg.Tensor(z))


@pytest.mark.parametrize("a", [0.5, np.array([1, 2], np.int8), np.array([True])], ids=["number", "int8", "bool"])
def test_numbers_and_short_integers_do_not_become_short_floats(a):
    scipy = pytest.importorskip("scipy.special")
    for f, *more in (("i0e",), ("i1e",), ("polygamma", 1)):
        found, expected = getattr(tg.special, f)(*more, a), getattr(scipy, f)(*more, np.asarray(a, np.float64))
        assert found.dtype == np.float64
        np.testing.assert_allclose(found, expected, rtol=1e-14)


def test_the_logarithm_of_a_small_probability_has_exact_derivatives():
    pytest.importorskip("scipy")
    x = tg.Tensor(np.array([-1e3, -40.0, 0.0, 40.0]), requires_grad=True)
    (g,) = tg.gradients(tg.special.log_ndtr(x).sum(), x, create_graph=True)
    # The hazard is -a + 1 / a^-1 ... far below 0: -a - 1/a + 2/a^3 - 10/a^5.
    far = 1e3 + 1e-3 - 2e-9
    np.testing.assert_allclose(g.numpy()[[0, 2]], [far, np.sqrt(2 / np.pi)], rtol=1e-14)
    assert 0 <= g.numpy()[3] < 1e-300
    (gg,) = tg.gradients(g.sum(), x)
    np.testing.assert_allclose(gg.numpy()[[0, 2, 3]], [-1 + 1e-6 - 6e-12, -2 / np.pi, 0], rtol=1e-15)


FAR = {  # f, and what its derivatives of the orders 1, 2 and 3 approach far from 0, relative errors being about 1 / x^2
    "log_ndtr": lambda x: (-x, -1.0, -2 / x**3),
    "i0e": lambda x: tuple(c * x ** -(n + 0.5) / np.sqrt(2 * np.pi) for n, c in ((1, -0.5), (2, 0.75), (3, -1.875))),
    "i1e": lambda x: tuple(c * x ** -(n + 0.5) / np.sqrt(2 * np.pi) for n, c in ((1, -0.5), (2, 0.75), (3, -1.875))),
}


@pytest.mark.parametrize("name", FAR)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [3e4, 1e8, 1e10])
def test_derivatives_far_from_zero_are_no_differences_of_large_numbers(name, dtype, size):
    pytest.importorskip("scipy")
    point = np.array(-size if name == "log_ndtr" else size, dtype)
    f = getattr(tg.special, name)
    for expected in FAR[name](np.float64(point)):
        f = tg.grad(f)
        np.testing.assert_allclose(f(point), expected, rtol=1e-4, atol=float(np.finfo(dtype).tiny))


def test_derivatives_at_infinity_are_their_limits():
    pytest.importorskip("scipy")
    for f, places in (
        (tg.special.log_ndtr, (np.inf,)),
        (tg.special.i0e, (-np.inf, np.inf)),
        (tg.special.i1e, (-np.inf, np.inf)),
    ):
        for x in places:
            assert [tg.grad(f)(x).item(), tg.grad(tg.grad(f))(x).item()] == [0, 0]
    assert tg.grad(tg.grad(tg.special.log_ndtr))(-np.inf).item() == -1


def test_zero_times_the_logarithm_of_zero():
    pytest.importorskip("scipy")
    x, y = tg.Tensor(np.zeros(2), requires_grad=True), tg.Tensor(np.array([0.0, 2.0]), requires_grad=True)
    for f, place in ((tg.special.xlogy, y), (tg.special.xlog1py, y - 1)):
        z = f(x.detach(), place)
        assert z.tolist() == [0, 0]
        assert tg.gradients(z.sum(), y)[0].tolist() == [0, 0]


def test_the_relative_entropy_of_nothing_and_nothing_has_slopes_of_zero():
    pytest.importorskip("scipy")
    a, b = np.array([0.0, 0.5, 0.0]), np.array([0.0, 0.25, 1.0])
    with np.errstate(divide="ignore"):
        by_a, by_b = tg.grad(lambda a, b: tg.special.rel_entr(a, b).sum(), (0, 1))(a, b)
    np.testing.assert_allclose(by_a, [0, math.log(2) + 1, -math.inf], rtol=1e-15)
    np.testing.assert_array_equal(by_b, [0, -2, 0])
    assert tg.hessian(tg.special.rel_entr)(0.0, 0.0).item() == 0


def test_polygamma_refuses_what_is_no_order():
    pytest.importorskip("scipy")
    with pytest.raises(ValueError, match="polygamma: `n` is -1; it must be 0 or more"):
        tg.special.polygamma(-1, tg.ones(2))
    with pytest.raises(TypeError):
        tg.special.polygamma(0.5, tg.ones(2))


# Made with mpmath at 100 digits, by central differences of step 1e-20.
UPPER_GAMMA = [  # a, x, and the first and second derivative of gammaincc by a
    (1e-3, 1e-8, 17.529499859061197, -311.20234928205355),
    (0.3, 2.0, 0.09925266010124012, 0.17897351352819282),
    (1.0, 1e-12, 2.805380545101324e-11, -7.863710662168459e-10),
    (2.5, 40.0, 2.5267860704828765e-15, 7.197186330457073e-15),
    (50.0, 30.0, 0.0002830094447125904, -0.00014481829548814478),
    (1e4, 10200.0, 0.00054881723498989, 1.0868113268356415e-05),
]
BETA = [  # a, b, x, and the derivatives of betainc by a, b, a a, a b, b b
    (
        0.01, 3.0, 1e-06,
        -10.898746909716914, 0.003484696163103187, 133.2732010783802, 0.30483288727250507, -0.0013435033746224518,
    ),
    (0.3, 0.4, 0.5, -0.878860983104992, 0.6848340361938613, 2.1173227917095363, 0.37395648413437527, -1.737421252512003),
    (
        2.5, 1.5, 0.999,
        -5.925306514301709e-05, 0.0006817196084844475, -1.057360699734596e-05, 0.0003461260832116994, -0.004310216694380166,
    ),
    (
        40.0, 7.0, 0.7,
        -0.0014516068604510143, 0.005312677743647748, 0.00031497628916198793, -0.0010920675461944765, 0.003633879529182644,
    ),
    (
        800.0, 1200.0, 0.43, -0.00026172573927000603, 0.00018561464864070413,
        -1.8798428859883765e-05, 1.3447381616859414e-05, -9.613891063544503e-06,
    ),
]  # fmt: skip
STUDENT = [  # df, t, and the first and second derivative of stdtr by df
    (0.5, -3.0, -0.25872772673714384, 0.5956325034710169),
    (2.0, 1e-06, 2.010050707782823e-08, -1.7430437951287835e-08),
    (4.0, 1.5, 0.008682460457807248, -0.004021035621118588),
    (30.0, -12.0, -1.3355177737105104e-13, 6.725681714957188e-14),
    (1e3, 2.0, 1.351049489460594e-07, -2.703367364507087e-10),
]


@pytest.mark.parametrize(("a", "x", "first", "second"), UPPER_GAMMA)
def test_derivatives_by_the_shape_of_a_gamma_function(a, x, first, second):
    pytest.importorskip("scipy")
    for f, sign in ((tg.special.gammaincc, 1), (tg.special.gammainc, -1)):
        slope = tg.grad(lambda a, f=f: f(a, x))
        np.testing.assert_allclose(
            [slope(a).item(), tg.grad(slope)(a).item()], [sign * first, sign * second], rtol=2e-12
        )
    density = math.exp((a - 1) * math.log(x) - x - math.lgamma(a))
    mixed = tg.hessian(lambda v: tg.special.gammainc(v[0], v[1]))(np.array([a, x]))
    np.testing.assert_allclose(mixed[1, 1].item(), density * ((a - 1) / x - 1), rtol=1e-9)
    np.testing.assert_allclose(mixed[0, 1].item(), density * (math.log(x) - tg.special.digamma(a)), rtol=1e-9)


@pytest.mark.parametrize(("a", "b", "x", "by_a", "by_b", "by_aa", "by_ab", "by_bb"), BETA)
def test_derivatives_by_the_shapes_of_a_beta_function(a, b, x, by_a, by_b, by_aa, by_ab, by_bb):
    pytest.importorskip("scipy")
    point = np.array([a, b, x])

    def f(v):
        return tg.special.betainc(v[0], v[1], v[2])

    density = math.exp(
        (a - 1) * math.log(x) + (b - 1) * math.log1p(-x) + math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    )
    np.testing.assert_allclose(tg.grad(f)(point), [by_a, by_b, density], rtol=2e-11)
    np.testing.assert_allclose(tg.hessian(f)(point)[:2, :2], [[by_aa, by_ab], [by_ab, by_bb]], rtol=2e-11)


@pytest.mark.parametrize(("df", "t", "first", "second"), STUDENT)
def test_derivatives_by_the_degrees_of_freedom(df, t, first, second):
    pytest.importorskip("scipy")
    slope = tg.grad(lambda df: tg.special.stdtr(df, t))
    np.testing.assert_allclose([slope(df).item(), tg.grad(slope)(df).item()], [first, second], rtol=1e-7, atol=1e-14)
    with pytest.raises(NotImplementedError, match="derivatives of order 3"):
        tg.grad(tg.grad(slope))(df)


def test_derivatives_at_the_edges():
    scipy = pytest.importorskip("scipy.special")
    special = tg.special
    # At a = 0 the derivative is the exponential integral; at the ends of x the values do not depend on the shapes.
    x = np.array([0.1, 1.0, 5.0])
    np.testing.assert_allclose(tg.grad(lambda a: special.gammaincc(a, x).sum())(0.0), scipy.exp1(x).sum(), rtol=1e-13)
    for at in (0.0, np.inf):
        assert tg.grad(lambda a, at=at: special.gammainc(a, at))(2.5).item() == 0
    for at in (0.0, 1.0):
        assert tg.grad(lambda v, at=at: special.betainc(v[0], v[1], at))(np.array([2.5, 1.5])).tolist() == [0, 0]
    for at in (-np.inf, 0.0, np.inf):
        assert tg.grad(lambda df, at=at: special.stdtr(df, at))(2.5).item() == 0
    # The densities at the ends: 0, finite, or infinite.
    slope = tg.grad(lambda x, a: special.gammainc(a, x))
    assert [slope(0.0, a).item() for a in (0.5, 1.0, 2.0)] == [np.inf, 1.0, 0.0]
    assert [tg.grad(slope)(0.0, a).item() for a in (2.0, 3.0)] == [1.0, 0.0]
    slope = tg.grad(lambda x, a, b: special.betainc(a, b, x))
    assert [slope(0.0, a, 2.0).item() for a in (0.5, 2.0)] == [np.inf, 0.0]
    assert slope(0.0, 1.0, 2.0).item() == pytest.approx(2, rel=1e-14)
    assert slope(1.0, 2.0, 1.0).item() == pytest.approx(2, rel=1e-14)
    assert np.isnan(tg.grad(lambda a: special.gammainc(a, 1.0))(-1.0).item())


def test_the_reciprocal_of_gamma_has_derivatives_where_it_is_zero():
    pytest.importorskip("scipy")
    slope = tg.grad(tg.special.rgamma)
    assert [slope(float(-k)).item() for k in range(4)] == [1, -1, 2, -6]
    # 1 / Gamma(a) = a + gamma a^2 + ..., and near -1 it is -(a + 1) (1 + (gamma - 1) (a + 1) + ...).
    gamma = 0.5772156649015329
    np.testing.assert_allclose(
        [tg.grad(slope)(a).item() for a in (0.0, -1.0)], [2 * gamma, -2 * (gamma - 1)], rtol=1e-13
    )
    np.testing.assert_allclose(tg.grad(slope)(-1.5), (slope(-1.5 + 1e-5) - slope(-1.5 - 1e-5)) / 2e-5, rtol=1e-8)


def test_weights_of_logsumexp():
    scipy = pytest.importorskip("scipy.special")
    a, b = np.array([1000.0, 999.0, -np.inf]), np.array([2.0, -1.0, 0.0])
    np.testing.assert_allclose(tg.special.logsumexp(a, b=b), scipy.logsumexp(a, b=b), rtol=1e-14)
    g = tg.grad(lambda b: tg.special.logsumexp(a[:2], b=b))(b[:2])
    weights = np.exp([0.0, -1.0])
    np.testing.assert_allclose(g, weights / (weights @ b[:2]), rtol=1e-12)
    with pytest.raises(TypeError, match="`return_sign` is refused"):
        tg.special.logsumexp(tg.Tensor(a), return_sign=True)


def test_slopes_of_weights_of_logsumexp_that_are_zero():
    """e^(a - y), as of other weights; too large for a number where a is far above y."""
    pytest.importorskip("scipy.special")
    a = tg.Tensor([1.0, 2.0, 5.0, 1000.0, -1000.0], dtype=np.float64, requires_grad=True)
    b = tg.Tensor([0.0, 1.0, 0.0, 0.0, 0.0], dtype=np.float64, requires_grad=True)
    tg.special.logsumexp(a, b=b).backward()
    np.testing.assert_allclose(b.grad.numpy()[[0, 1, 2, 4]], np.exp([-1.0, 0.0, 3.0, -1002.0]), rtol=1e-12)
    assert b.grad[3] > 1e30
    assert a.grad.tolist() == [0.0, 1.0, 0.0, 0.0, 0.0]


def test_samples_of_multigammaln_that_it_refuses_are_nan():
    scipy = pytest.importorskip("scipy.special")
    a = np.array([3.0, 0.25, 4.0])
    found = tg.vmap(lambda a: tg.special.multigammaln(a, 2))(a)
    np.testing.assert_allclose(found, [scipy.multigammaln(3.0, 2), np.nan, scipy.multigammaln(4.0, 2)], rtol=1e-12)
    with pytest.raises(ValueError, match=r"`a` must be more than 0\.5"):
        tg.special.multigammaln(a, 2)


def test_samples_of_logsumexp_may_be_of_any_size():
    scipy = pytest.importorskip("scipy.special")
    a, b = np.array([[0.0, 1.0], [1000.0, 999.0], [-1000.0, -1001.0]]), np.array([1.0, 2.0])
    found = tg.vmap(lambda a: tg.special.logsumexp(a, b=b))(a)
    np.testing.assert_allclose(found, scipy.logsumexp(a, b=b, axis=1), rtol=1e-12)
    found = tg.vmap(lambda a, b: tg.special.logsumexp(a, b=b))(a, np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]))
    np.testing.assert_allclose(found, [0.0, 999.0, -1000 + math.log1p(math.exp(-1))], rtol=1e-12, atol=1e-15)
