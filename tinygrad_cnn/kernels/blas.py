"""Direct calls into the BLAS that NumPy has loaded: its number of threads, and GEMM that *accumulates*, c += a b.

NumPy would write each product to a new array and add it in a second pass. Where NumPy is not built on OpenBLAS, and for dtypes
other than float32 and float64, NumPy computes the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cached_property, partial
from itertools import product
from typing import Any, NamedTuple

import numpy as np

from ..system import library as loaded

ROWS, AS_IT_IS, TRANSPOSED = 101, 111, 112
"""CBLAS constants: row-major order, not transposed, transposed."""

UNPACKED = 1_000_000
"""Up to this many multiplications, OpenBLAS's kernels for AVX-512 read matrices where they are, instead of packing them."""

FEWEST, MOST, NARROW = 8, 64, 64
"""The fewest and the most rows of a product that is not packed, and the columns up to which its second matrix is not cut."""

SUMMED, FEWEST_SUMMED = 64, 48
"""For sums of SUMMED terms, the rows of a product are halved, and halved again; sums of fewer than FEWEST_SUMMED terms are not
worth a cut."""

DType = np.dtype[Any]


class Matrix(NamedTuple):
    """A matrix in flat memory: element (i, j) is at offset + i step + j, or at offset + j step + i if `is_transposed`."""

    rows: int
    columns: int
    offset: int
    step: int
    is_transposed: bool = False

    @property
    def transposed(self) -> Matrix:
        """The transposed matrix in the same memory."""
        return Matrix(self.columns, self.rows, self.offset, self.step, not self.is_transposed)

    @property
    def lines(self) -> tuple[int, int]:
        """The number of contiguous lines in memory, and their length."""
        return (self.columns, self.rows) if self.is_transposed else (self.rows, self.columns)

    @property
    def extent(self) -> int:
        """The number of elements from the start of the memory to the end of the matrix."""
        count, length = self.lines
        return self.offset + (count - 1) * self.step + length

    def part(self, row: int, column: int, rows: int, columns: int) -> Matrix:
        """So many rows and columns from an element on."""
        along, across = (column, row) if self.is_transposed else (row, column)
        return Matrix(rows, columns, self.offset + along * self.step + across, self.step, self.is_transposed)

    def of(self, memory: np.ndarray) -> np.ndarray:
        """The matrix as a view of C-ordered memory."""
        size = memory.itemsize
        lines = np.ndarray(self.lines, memory.dtype, memory, self.offset * size, (self.step * size, size))
        return lines.T if self.is_transposed else lines


class Term(NamedTuple):
    """c = a b, or c += a b."""

    a: Matrix
    b: Matrix
    c: Matrix
    adds: bool

    def of(self, a: np.ndarray, b: np.ndarray, c: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, bool]:
        """The matrices as views of C-ordered memory."""
        return self.a.of(a), self.b.of(b), self.c.of(c), self.adds


class Products:
    """A sequence of matrix products in three flat buffers a, b and c, prepared once for all calls.

    Raises:
        ValueError: for sizes that do not match, and rows that overlap.
    """

    def __init__(self, terms: Iterable[Term], dtype: DType) -> None:
        self.terms, self.dtype = list(terms), dtype
        for a, b, c, _ in self.terms:
            if min(*a[:2], *b[:2]) < 1 or a.columns != b.rows or (a.rows, b.columns) != c[:2] or c.is_transposed:
                raise ValueError(f"products: {a}, {b} and {c} are not matrices of sizes (m, k), (k, n) and (m, n)")
            if any(matrix.offset < 0 or matrix.step < matrix.lines[1] for matrix in (a, b, c)):
                raise ValueError(f"products: {a}, {b} or {c} has rows that overlap, or begins before its memory")
        matrices = [term[:3] for term in self.terms]
        self.extents = [max((part.extent for part in parts), default=0) for parts in zip(*matrices, strict=True)]

    def on(self, a: np.ndarray, b: np.ndarray, c: np.ndarray) -> Callable[[], None]:
        """A function that computes the products in these buffers, from their values at each call. c must not overlap a or b.

        Raises:
            ValueError: for a buffer of another dtype, with gaps, or too short; and for a read-only c.
        """
        compute, calls = self._on(a, b, c)
        return partial(compute, calls)

    def each_on(self, a: np.ndarray, b: np.ndarray, c: np.ndarray) -> list[Callable[[], None]]:
        """As :meth:`on`, but a function for each product."""
        compute, calls = self._on(a, b, c)
        return [partial(compute, [call]) for call in calls]

    def _on(self, a: np.ndarray, b: np.ndarray, c: np.ndarray) -> tuple[Callable[[list[Any]], None], list[Any]]:
        """The function that computes products in these buffers, and the arguments of each product."""
        for memory, extent, name in zip((a, b, c), self.extents, "abc", strict=True):
            if memory.dtype != self.dtype or not memory.flags.c_contiguous or memory.size < extent:
                raise ValueError(
                    f"products: `{name}` is {memory.dtype} with {memory.size} elements; it must be {self.dtype}, in C order, "
                    f"with at least {extent}"
                )
        if not c.flags.writeable:
            raise ValueError("products: `c` is read-only; it must be writeable")
        if self.dtype in GEMM:
            at, bt, ct = (memory.__array_interface__["data"][0] for memory in (a, b, c))
            calls = [
                (*sizes, at + i, a_step, bt + j, b_step, beta, ct + k, c_step)
                for sizes, i, a_step, j, b_step, beta, k, c_step in self._calls
            ]
            return partial(_by_blas, GEMM[self.dtype], (a, b, c)), calls
        return _by_numpy, [term.of(a, b, c) for term in self.terms]

    @cached_property
    def _calls(self) -> list[tuple[Any, ...]]:
        """The GEMM arguments of each product, and the byte offsets of its matrices.

        Arguments that do not depend on the buffers are converted to C types here, once, instead of in every call.
        """
        function, size = GEMM[self.dtype], self.dtype.itemsize
        integer, number = function.argtypes[3], function.argtypes[6]
        flags = [flag(value) for flag, value in zip(function.argtypes, (ROWS, AS_IT_IS, TRANSPOSED), strict=False)]
        found = []
        for a, b, c, adds in self.terms:
            sizes = [integer(n) for n in (a.rows, b.columns, a.columns)]
            head = (flags[0], flags[1 + a.is_transposed], flags[1 + b.is_transposed], *sizes, number(1))
            steps = [integer(matrix.step) for matrix in (a, b, c)]
            begins = [matrix.offset * size for matrix in (a, b, c)]
            found.append((head, begins[0], steps[0], begins[1], steps[1], number(adds), begins[2], steps[2]))
        return found


def _by_blas(gemm: Callable[..., None], memories: tuple[np.ndarray, ...], calls: list[tuple[Any, ...]]) -> None:
    """`memories` keeps the arrays alive that the addresses in `calls` point to."""
    for arguments in calls:
        gemm(*arguments)


def _by_numpy(terms: list[tuple[np.ndarray, np.ndarray, np.ndarray, bool]]) -> None:
    for a, b, c, adds in terms:
        if adds:
            np.add(c, a @ b, out=c)
        else:
            np.matmul(a, b, out=c)


def in_sums(term: Term) -> list[Term]:
    """A long sum of products as several terms, each so short that OpenBLAS does not pack it; or the term itself."""
    (m, k, *_), n = term.a, term.b.columns
    rows = m
    while rows % 2 == 0 and rows > m // 4 and rows * n * SUMMED > UNPACKED:
        rows //= 2
    most = UNPACKED // max(1, rows * n)
    if not READS_SMALL or most < FEWEST_SUMMED:
        return [term]
    step = -(-k // -(-k // most))
    return [
        Term(
            term.a.part(i, j, rows, count), term.b.part(j, 0, count, n), term.c.part(i, 0, rows, n), term.adds or j > 0
        )
        for i in range(0, m, rows)
        for j in range(0, k, step)
        for count in [min(step, k - j)]
    ]


def in_rows(a: np.ndarray, c: np.ndarray, parts: int | None = None) -> list[tuple[np.ndarray, np.ndarray]]:
    """Pairs (left, out) of views of a and c: np.matmul(left, in_columns(b), out) for all pairs fills c with the product of the
    matrices a and b, a few rows at a time, so that OpenBLAS does not pack them. Rows of c are contiguous, and rows or columns
    of a. `parts` overrides the number of parts of the columns that :func:`pieces` chooses."""
    (m, k), n = a.shape, c.shape[1]
    rows, parts = pieces(k, n, parts)
    times, left = divmod(m, rows)
    whole, cut = times * rows, (parts, n // parts)
    pairs = [(a[:whole].reshape(times, 1, rows, k), c[:whole].reshape(times, rows, *cut).swapaxes(1, 2))]
    rest = a[whole:], c[whole:].reshape(left, *cut).swapaxes(0, 1)
    return [pair for pair in (*pairs, rest) if pair[1].size]


def in_columns(b: np.ndarray, parts: int | None = None) -> np.ndarray:
    """Matrices (..., k, n) as (..., parts, k, n / parts): see :func:`in_rows`."""
    k, n = b.shape[-2:]
    parts = pieces(k, n, parts)[1]
    return b.reshape(*b.shape[:-1], parts, n // parts).swapaxes(-2, -3)


def pieces(k: int, n: int, parts: int | None = None) -> tuple[int, int]:
    """(rows, parts): how many rows of an (m, k) matrix to multiply at a time by each of so many parts of the columns of a (k,
    n) matrix, so that OpenBLAS does not pack."""
    given, parts = parts, parts or 1
    while given is None and n % (2 * parts) == 0 and n // parts > NARROW and FEWEST * k * (n // parts) > UNPACKED:
        parts *= 2
    most = min(MOST, max(1, UNPACKED // max(1, k * (n // parts))))
    return 1 << most.bit_length() - 1, parts  # rows that are no power of 2 take 1.5 times as long


class Threads(NamedTuple):
    """OpenBLAS's functions that get and set its number of threads."""

    get: Callable[[], int]
    set: Callable[[int], None]


def _open() -> tuple[Threads | None, dict[DType, Any], bool]:
    from numpy.linalg import _umath_linalg  # a library that is linked to BLAS

    library = loaded(_umath_linalg.__file__)
    if library is None:
        return None, {}, False
    import ctypes

    for prefix, suffix in product(("scipy_", ""), ("64_", "")):  # NumPy's wheels rename the symbols
        try:
            threads = Threads(*(library[f"{prefix}openblas_{verb}_num_threads{suffix}"] for verb in ("get", "set")))
            gemm = {np.dtype(char): library[f"{prefix}cblas_{name}gemm{suffix}"] for char, name in ("fs", "dd")}
            name_of_core = library[f"{prefix}openblas_get_corename{suffix}"]
        except AttributeError:
            continue
        flag, pointer, index = ctypes.c_int, ctypes.c_void_p, ctypes.c_int64 if suffix else ctypes.c_int
        for dtype, function in gemm.items():
            number = ctypes.c_float if dtype.char == "f" else ctypes.c_double
            ends = [pointer, index, pointer, index, number, pointer, index]
            function.argtypes, function.restype = [flag, flag, flag, index, index, index, number, *ends], None
        name_of_core.restype = ctypes.c_char_p
        return threads, gemm, name_of_core() in (b"SkylakeX", b"Cooperlake", b"SapphireRapids")
    return None, {}, False


THREADS, GEMM, READS_SMALL = _open()
"""OpenBLAS's thread functions, and its GEMM by dtype, if NumPy has loaded OpenBLAS; and whether it multiplies small matrices
where they are."""
