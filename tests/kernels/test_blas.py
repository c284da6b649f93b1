"""Products in flat memory, by BLAS and by NumPy: what they add up to, what they leave alone, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_cnn.kernels import blas
from tinygrad_cnn.kernels.blas import Matrix, Products, Term

from ..tuning import tuned

sizes, gaps, booleans = st.integers(1, 9), st.integers(0, 3), st.booleans()


@pytest.fixture(params=["BLAS", "NumPy"], autouse=True, scope="module")
def who(request):
    with tuned() as tune:
        if request.param == "NumPy":
            tune(blas, GEMM={})
        yield


@st.composite
def matrices(draw, rows, columns, turnable=True):
    turned = turnable and draw(booleans)
    step = (rows if turned else columns) + draw(gaps)
    return Matrix(rows, columns, draw(gaps), step, turned)


@given(sizes, sizes, sizes, booleans, st.data(), st.sampled_from(["f", "d", "F"]), st.integers(0, 2**32 - 1))
def test_a_product_is_written_or_added_and_nothing_else_is_touched(m, n, k, adds, data, kind, seed):
    a, b = data.draw(matrices(m, k)), data.draw(matrices(k, n))
    c = data.draw(matrices(m, n, turnable=False))
    rng = np.random.default_rng(seed)
    memories = [rng.integers(-4, 5, matrix.extent + 2).astype(kind) for matrix in (a, b, c)]

    def at(matrix):  # by index, one number at a time
        i, j = np.indices(matrix[:2])
        return matrix.offset + (i + j * matrix.step if matrix.is_transposed else i * matrix.step + j)

    expected = memories[2].copy()
    product = memories[0][at(a)] @ memories[1][at(b)]
    expected[at(c)] = expected[at(c)] + product if adds else product
    Products([Term(a, b, c, adds)], np.dtype(kind)).on(*memories)()
    np.testing.assert_array_equal(memories[2], expected, strict=True)
    np.testing.assert_array_equal(a.of(memories[0]), memories[0][at(a)])
    np.testing.assert_array_equal(a.transposed.of(memories[0]), memories[0][at(a)].T)


@given(sizes, sizes, st.integers(1, 30), booleans, st.data(), st.integers(1, 60), st.integers(0, 2**32 - 1))
def test_a_long_sum_in_terms_that_are_not_packed(m, n, k, adds, data, most, seed):
    a, b, c = data.draw(matrices(m, k)), data.draw(matrices(k, n)), data.draw(matrices(m, n, turnable=False))
    rng = np.random.default_rng(seed)
    memories = [rng.integers(-4, 5, matrix.extent + 2).astype("f") for matrix in (a, b, c)]
    expected = [memory.copy() for memory in memories]
    whole = Term(a, b, c, adds)
    Products([whole], np.dtype("f")).on(*expected)()
    with tuned() as tune:
        tune(blas, READS_SMALL=False)
        assert blas.in_sums(whole) == [whole]
        tune(blas, READS_SMALL=True, UNPACKED=most, SUMMED=4, FEWEST_SUMMED=2)
        terms = blas.in_sums(whole)
    Products(terms, np.dtype("f")).on(*memories)()
    np.testing.assert_array_equal(memories[2], expected[2], strict=True)
    assert terms == [whole] or all(t.a.rows * t.a.columns * t.b.columns <= most for t in terms)
    if m * n * k > most >= 2 * m * n:
        assert len(terms) > 1


@given(st.integers(0, 9), st.integers(0, 9), st.integers(0, 16), gaps, st.integers(1, 200), st.integers(0, 2**32 - 1))
def test_a_product_in_pieces_that_are_not_packed(m, k, n, gap, most, seed):
    rng = np.random.default_rng(seed)
    a, memory = rng.integers(-4, 5, (m, k + gap)).astype("f")[:, :k], np.full((3 * m, n), 9, "f")
    b, c = rng.integers(-4, 5, (k, n)).astype("f"), memory[1::3]
    with tuned() as tune:
        tune(blas, UNPACKED=most, FEWEST=2, MOST=8, NARROW=2)
        rows, parts = blas.pieces(k, n)
        assert n % parts == 0
        assert rows == 1 or (rows <= 8 and rows * k * n // parts <= most)
        columns, pairs = blas.in_columns(b), blas.in_rows(a, c)
        for left, out in pairs:
            np.matmul(left, columns, out)
        for part in [part for part in range(1, n + 1) if n % part == 0]:
            other, columns = np.empty_like(c), blas.in_columns(b, part)
            assert len(columns) == part
            for left, out in blas.in_rows(np.asfortranarray(a), other, part):
                np.matmul(left, columns, out)
            np.testing.assert_array_equal(other, a @ b)
    np.testing.assert_array_equal(c, a @ b)
    assert (memory[::3] == 9).all()
    assert (memory[2::3] == 9).all()
    assert all(left.shape[-2] <= rows for left, _ in pairs)


def test_terms_follow_each_other_and_see_what_is_there_when_called():
    square = Matrix(2, 2, 0, 2)
    products = Products([Term(square, square, square, False), Term(square, square, square, True)], np.dtype("f"))
    a, b, c = np.eye(2, dtype="f"), np.ones((2, 2), "f"), np.zeros((2, 2), "f")
    call = products.on(a, b, c)
    call()
    np.testing.assert_array_equal(c, np.full((2, 2), 2))
    b *= 3
    call()
    np.testing.assert_array_equal(c, np.full((2, 2), 6))
    first, second = products.each_on(a, b, c)
    second()
    np.testing.assert_array_equal(c, np.full((2, 2), 9))
    first()
    np.testing.assert_array_equal(c, np.full((2, 2), 3))


def test_memory_lives_as_long_as_the_call():
    square = Matrix(400, 400, 0, 400)
    c = np.empty(160_000, "f")
    call = Products([Term(square, square, square, False)], np.dtype("f")).on(
        np.ones(160_000, "f"), np.ones(160_000, "f"), c
    )
    others = [np.zeros(160_000, "f") for _ in range(8)]  # where the operands were, had they been freed
    call()
    assert (c == 400).all()
    assert not any(other.any() for other in others)


WHOLE = Matrix(2, 2, 0, 2)


@pytest.mark.parametrize(
    ("a", "b", "c", "message"),
    [
        (Matrix(2, 3, 0, 3), WHOLE, WHOLE, "are not matrices of sizes"),
        (WHOLE, WHOLE, Matrix(2, 3, 0, 3), "are not matrices of sizes"),
        (Matrix(0, 2, 0, 2), WHOLE, Matrix(0, 2, 0, 2), "are not matrices of sizes"),
        (WHOLE, WHOLE, WHOLE.transposed, "are not matrices of sizes"),
        (Matrix(2, 2, 0, 1), WHOLE, WHOLE, "rows that overlap"),
        (WHOLE, Matrix(2, 2, -1, 2), WHOLE, "begins before its memory"),
    ],
)
def test_what_cannot_be_multiplied_is_refused(a, b, c, message):
    with pytest.raises(ValueError, match=f"products: .*{message}"):
        Products([Term(a, b, c, False)], np.dtype("f"))


def test_memory_is_checked_before_it_is_touched():
    products = Products([Term(WHOLE, WHOLE, Matrix(2, 2, 1, 3), False)], np.dtype("f"))
    good = np.ones(4, "f"), np.ones(4, "f"), np.zeros(6, "f")
    fixed = np.zeros(6, "f")
    fixed.flags.writeable = False
    for place, memory, message in (
        (2, np.zeros(5, "f"), "`c` is float32 with 5 elements; it must be float32, in C order, with at least 6"),
        (0, np.ones(4), "`a` is float64"),
        (1, np.ones(8, "f")[::2], "`b` is float32 with 4 elements"),
        (2, fixed, "`c` is read-only"),
    ):
        with pytest.raises(ValueError, match="products: ") as caught:
            products.on(*(memory if i == place else m for i, m in enumerate(good)))
        assert message in str(caught.value)
    assert not good[2].any()
