"""What every test of a kernel leaves behind as it was, and the sizes from which on kernels are worth their effort."""

from __future__ import annotations

import sys

import pytest

import tinygrad_cnn as tg
from tinygrad_cnn.kernels import (
    cells,
    channelwise,
    extrema,
    gelu,
    lines,
    matmul,
    norm,
    normalization,
    piecewise,
    power,
    relu,
    resample,
    rows,
    scatter,
    sigmoid,
    update,
    where,
)
from tinygrad_cnn.kernels.parallel import chunks, threads


@pytest.fixture(autouse=True)
def as_many_threads():
    before = threads.get_num_threads()
    yield
    threads.set_num_threads(before)


@pytest.fixture
def numba():
    """Compiled kernels, as long as the test runs."""
    pytest.importorskip("numba", reason="not installed: pip install numba")
    from tinygrad_cnn.extra.numba import attached

    before = attached.is_attached()
    tg.use_numba()
    yield
    tg.use_numba(before)


TINY = {
    cells: {"BLOCK": 16, "LEAST": 2, "LONGEST": 7}, channelwise: {"LONG": 16}, chunks: {"SMALL": 1, "LARGE": 2},
    extrema: {"SHORT": 1}, lines: {"FEW": 1, "LONG": 16},
    norm: {"FEW": 1}, normalization: {"FEW": 1, "FEW_SCALED": 1},
    piecewise: {"SHORT": 1, "LONG": 7}, gelu: {"SHORT": 1}, power: {"SHORT": 1}, sigmoid: {"SHORT": 1},
    relu: {"LARGE": 2},
    resample: {"FEW": 1}, rows: {"SMALL": 1, "BLOCK": 7}, scatter: {"WIDE": 1},
    update: {"LONG": 5}, matmul: {"SMALL": 1, "FEW": 1}, where: {"SHORT": 1, "LARGE": 2, "LONG": 1},
}  # fmt: skip


@pytest.fixture
def numpy_alone():
    """The kernels of NumPy, also where others run with those of Numba."""
    attached = sys.modules.get("tinygrad_cnn.extra.numba.attached")
    is_on = attached is not None and attached.is_attached()
    if is_on:
        tg.use_numba(False)
    yield
    if is_on:
        tg.use_numba()


@pytest.fixture
def tiny(tuning):
    """Arrays of a few elements count as large."""
    for module, values in TINY.items():
        tuning(module, **values)


@pytest.fixture(params=["as they are", "tiny"])
def sizes(request):
    """Kernels with their constants as they are, and such that arrays of a few elements count as large."""
    if request.param == "tiny":
        request.getfixturevalue("tiny")
