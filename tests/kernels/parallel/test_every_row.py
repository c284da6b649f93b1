"""Every row of the case table at sizes that BLAS shares among its threads: the number of threads changes no bit."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn.kernels.blas import THREADS
from tinygrad_cnn.testing.cases import Case, Draws

from ...enlarged import large, runs
from ...rows import CASES


@pytest.fixture(autouse=True)
def threads():
    before = tg.get_num_threads()
    yield
    tg.set_num_threads(before)


def results(case, arrays, n):
    """The bits of the value and of the gradients, with n threads."""
    tg.set_num_threads(n)
    xs = [tg.Tensor(a, requires_grad=a.dtype.kind == "f") for a in arrays]
    y = case.call(*xs)
    if y.requires_grad:
        y.backward(np.cos(np.arange(y.size)).reshape(y.shape).astype(y.dtype))
    return [x.numpy().tobytes() for x in (y.detach(), *(x.grad for x in xs if x.grad is not None))]


@pytest.mark.skipif(THREADS is None, reason="the number of threads of this BLAS cannot be set")
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_one_thread_and_two(case: Case):
    found = next((big for big in large(case) if runs(big)), None)
    if found is None:
        pytest.skip("its parameters fix the shapes")
    arrays = found.draw(Draws(np.random.default_rng(0)))
    with np.errstate(all="ignore"):
        assert results(found, arrays, 1) == results(found, arrays, 2)


@pytest.mark.skipif(THREADS is None, reason="the number of threads of this BLAS cannot be set")
@pytest.mark.parametrize("subscripts", ["ij,jk->ik", "ij,kj->", "ij,ij->", "ij,j->i", "ij,jk,kl->il", "bij,bjk->bik"])
@pytest.mark.parametrize("n", [100, 300])
def test_einsum_of_matrices(subscripts, n):
    rng = np.random.default_rng(0)
    terms = subscripts.split("->")[0].split(",")
    arrays = [rng.normal(size=[{"b": 2}.get(c, n) for c in term]) for term in terms]
    case = Case(tg.einsum, (), np.einsum, via=lambda f: lambda *a: f(subscripts, *a))
    assert results(case, arrays, 1) == results(case, arrays, 2)


@pytest.mark.skipif(THREADS is None, reason="the number of threads of this BLAS cannot be set")
@pytest.mark.parametrize("function", [tg.linalg.inv, tg.linalg.solve, tg.linalg.cholesky, tg.linalg.det])
def test_gradients_of_linear_algebra_on_large_matrices(function):
    """The products in their rules are larger here than the rows of the table are."""
    n = 300
    rng = np.random.default_rng(0)
    a = rng.normal(size=(n, n)) / n + np.eye(n)
    arrays = [a, rng.normal(size=(n, n))] if function is tg.linalg.solve else [a]
    case = Case(function, (), np.linalg.inv)
    assert results(case, arrays, 1) == results(case, arrays, 2)
