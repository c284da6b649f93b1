"""tg.special: SciPy's functions record, far from 0 too, and nothing else of the library needs SciPy."""

from __future__ import annotations

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
    run = subprocess.run([sys.executable, "-c", script], check=True, cwd=ROOT, capture_output=True, text=True)
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
        "try:\n    special.erfc(tg.Tensor(x, requires_grad=True))\n"
        "except RuntimeError as error:\n    print(error)\n"
    )
    environment = {**os.environ, "SCIPY_ARRAY_API": "1"}
    run = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False, env=environment
    )
    assert "the gradient would be lost" in run.stdout, run.stderr


def test_functions_of_scipy_record():
    scipy = pytest.importorskip("scipy.special")
    for name in OF_ONE:
        x = tg.Tensor(np.array([0.25, 0.5]), requires_grad=True)
        getattr(scipy, name)(x).sum().backward()
        y = tg.Tensor(np.array([0.25, 0.5]), requires_grad=True)
        getattr(tg.special, name)(y).sum().backward()
        np.testing.assert_array_equal(x.grad, y.grad)


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


def test_polygamma_refuses_what_is_no_order():
    pytest.importorskip("scipy")
    with pytest.raises(ValueError, match="polygamma: `n` is -1; it must be 0 or more"):
        tg.special.polygamma(-1, tg.ones(2))
    with pytest.raises(TypeError):
        tg.special.polygamma(0.5, tg.ones(2))
