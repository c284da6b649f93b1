"""Products of few rows in pieces, or transposed: their values, what eager and compiled calls share, and when they are cut."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_cnn as tg
from tinygrad_cnn.kernels import matmul, thin

from ..products import multiply
from ..tuning import tuned

SHAPES = [
    (2, 40, 700), (4, 128, 400), (5, 33, 1031), (8, 300, 500), (17, 129, 200), (32, 260, 150), (33, 150, 120), (64, 200, 90),
    (700, 3, 900), (129, 16, 640), (500, 31, 77), (600, 2, 10), (700, 3, 27), (512, 4, 40),
]  # fmt: skip
ORDERS = [(a, b) for a in "CF" for b in "CF"]


@pytest.fixture(autouse=True)
def reads_small():
    """As on a processor with AVX-512, whatever this one is."""
    with tuned() as tune:
        tune(thin, READS_SMALL=True, OUTPUTS=1200)
        yield tune


def integers(rng, shape, order, dtype):
    """Numbers whose sums of products are exact."""
    return np.asarray(rng.integers(-8, 9, shape), dtype, order=order)


@pytest.mark.parametrize(("n", "k", "m"), SHAPES)
@pytest.mark.parametrize(("left", "right"), ORDERS)
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_the_product_is_exact_on_integers(n, k, m, left, right, dtype):
    rng = np.random.default_rng(n * m)
    a, b = integers(rng, (n, k), left, dtype), integers(rng, (k, m), right, dtype)
    expected = a.astype(int) @ b.astype(int)
    y = multiply(a, b)
    assert y.dtype == dtype
    assert y.flags.c_contiguous
    np.testing.assert_array_equal(y, expected)
    out = np.full((n, m), np.nan, dtype)
    task = matmul.prepare(out, a, b)
    for _ in range(2):
        assert task() is out
        np.testing.assert_array_equal(out, expected)


@given(
    st.integers(2, 70), st.integers(1, 300), st.integers(1, 1500), st.sampled_from([4, 8]), st.booleans(), st.booleans()
)
def test_a_piece_is_one_that_blas_does_not_pack(n, k, m, size, a_transposed, b_transposed):
    with tuned() as tune:
        tune(thin, READS_SMALL=True, OUTPUTS=1200)
        form = thin.form_of(n, k, m, size, a_transposed, b_transposed)
    if form is None or form.kind in ("transposed", "copied"):
        return
    rows, columns = (form.length, m) if form.kind == "rows" else (n, form.length)
    assert 0 < rows <= n
    assert 0 < columns <= m
    assert rows * k * columns <= 1_000_000
    if b_transposed:
        assert rows * columns <= 1200
        assert k >= 32


@pytest.mark.parametrize(
    ("shape", "kind", "pieces"),
    [
        ((8, 256, 256, 4, False, True), "columns", 2),  # a linear layer
        ((4, 1024, 1024, 4, False, True), "columns", 5),
        ((64, 256, 256, 4, False, True), "transposed", 1),
        ((8, 9216, 256, 4, False, True), "columns", 20),
        ((32, 9216, 256, 4, False, True), "transposed", 1),  # pieces would have three columns
        ((4, 1024, 256, 4, False, False), "columns", 2),  # the gradient in its input
        ((1024, 8, 256, 4, True, False), "rows", 3),  # and in its weights
        ((1024, 2, 10, 4, True, False), "copied", 1),
        ((30_000, 4, 10, 4, True, False), "rows", 2),
    ],
)
def test_what_is_cut(shape, kind, pieces):
    form = thin.form_of(*shape)
    assert form.kind == kind
    assert math.ceil(shape[0 if kind == "rows" else 2] / form.length) == pieces


@pytest.mark.parametrize(
    "shape",
    [
        (8, 100, 100, 4, False, True),  # BLAS does not pack it anyway
        (8, 31, 1000, 4, False, True),  # it would pack the pieces
        (33, 127, 512, 4, False, True),
        (65, 512, 512, 4, False, True),
        (33, 512, 512, 8, False, True),
        (40, 4096, 30, 4, False, True),  # more rows than columns
        (16, 2048, 512, 4, False, False),  # pieces would be narrow
        (512, 33, 512, 4, True, False),
        (64, 64, 64, 4, False, True),
        (8, 256, 256, 4, True, True),
        (1, 1024, 1024, 4, False, True),  # a vector
        (1024, 2, 10, 4, False, False),
        (1024, 2, 10, 4, True, True),
        (1024, 2, 10, 8, True, False),
        (1024, 2, 12, 4, True, False),  # these are fast anyway
        (1024, 5, 10, 4, True, False),
        (511, 2, 10, 4, True, False),
    ],
)
def test_what_is_computed_at_once(shape):
    assert thin.form_of(*shape) is None


def test_other_processors_compute_at_once(reads_small):
    reads_small(thin, READS_SMALL=False)
    assert thin.form_of(8, 256, 256, 4, False, True) is None


@pytest.mark.parametrize("odd", ["dtype", "gaps", "whole"])
def test_other_operands_are_left_to_numpy(odd):
    a, b = np.ones((8, 256), "f4"), np.ones((256, 256), "f4").T
    if odd == "dtype":
        a = a.astype("f8")
    if odd == "gaps":
        a = np.ones((8, 512), "f4")[:, ::2]
    if odd == "whole":
        a, b = a.astype(int), b.astype(int)
    assert thin.prepare(None, a, b, False) is None
    np.testing.assert_array_equal(multiply(a, b), np.full((8, 256), 256))


@pytest.mark.parametrize(
    ("n", "i", "o"), [(4, 128, 400), (8, 256, 256), (8, 1024, 300), (40, 256, 256), (2, 1024, 1024)]
)
def test_a_linear_layer_has_the_same_bits_eager_and_compiled(n, i, o):
    rng = np.random.default_rng(o)
    x, w, b, g = (
        tg.Tensor(rng.standard_normal(s, dtype="f4"), requires_grad=True) for s in ((n, i), (o, i), (o,), (n, o))
    )

    def step(x):
        y = tg.linear(x, w, b)
        return y, *tg.gradients(y, [x, w, b], g)

    compiled, expected = tg.compile(step), step(x)
    for _ in range(6):
        for got, known in zip(compiled(x), expected, strict=True):
            np.testing.assert_array_equal(got.numpy(), known.numpy())
    exact = x.numpy().astype(float) @ w.numpy().T.astype(float) + b.numpy()
    np.testing.assert_allclose(expected[0].numpy(), exact, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("n", [2, 3, 4])
def test_weights_of_ten_outputs_have_the_same_gradient_eager_and_compiled(n):
    rng = np.random.default_rng(n)
    x, w, g = (
        tg.Tensor(rng.standard_normal(s, dtype="f4"), requires_grad=True) for s in ((n, 700), (700, 10), (n, 10))
    )
    compiled = tg.compile(lambda x: tg.gradients(x @ w, w, g)[0])
    expected = tg.gradients(x @ w, w, g)[0].numpy()
    for _ in range(6):
        np.testing.assert_array_equal(compiled(x).numpy(), expected)
    np.testing.assert_allclose(expected, x.numpy().T.astype(float) @ g.numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("n", "k", "m", "right"), [(8, 1024, 1100, "F"), (64, 512, 600, "F"), (1100, 8, 1100, "C"), (8, 1024, 1100, "C")]
)
def test_threads_give_the_same_bits(n, k, m, right):
    rng = np.random.default_rng(k)
    a = np.asarray(rng.standard_normal((n, k), "f4"), order="F" if n > k else "C")
    b = np.asarray(rng.standard_normal((k, m), "f4"), order=right)
    assert thin.prepare(None, a, b, True) is not None
    before, found = tg.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            tg.set_num_threads(threads)
            found.append(multiply(a, b))
    finally:
        tg.set_num_threads(before)
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])
    np.testing.assert_allclose(found[0], a.astype(float) @ b, rtol=1e-3, atol=1e-4)


def test_the_outer_product_of_long_vectors_is_exact(reads_small):
    a, b = np.arange(700, dtype="f4")[:, None] / 7, np.arange(800, dtype="f4")[None] / 3
    task = matmul.prepare(out := np.empty((700, 800), "f4"), a, b)
    task()
    np.testing.assert_array_equal(out, a * b)
    np.testing.assert_array_equal(multiply(a, b), a * b)
