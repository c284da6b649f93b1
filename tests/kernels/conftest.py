"""What every test of a kernel leaves behind as it was, and the sizes from which on kernels are worth their effort."""

from __future__ import annotations

import pytest

from tinygrad_cnn.kernels import (
    batch_norm,
    channelwise,
    extrema,
    group_norm,
    layer_norm,
    norm,
    piecewise,
    relu,
    resample,
    rows,
    scatter,
    update,
    where,
)
from tinygrad_cnn.kernels.parallel import chunks, threads


@pytest.fixture(autouse=True)
def as_many_threads():
    before = threads.get_num_threads()
    yield
    threads.set_num_threads(before)


TINY = {
    batch_norm: {"FEW": 1}, channelwise: {"SMALL": 1, "LONG": 16, "ALONE": 1}, chunks: {"SMALL": 1, "LARGE": 2},
    extrema: {"SHORT": 1}, group_norm: {"FEW": 1, "BLOCK": 16, "LEAST": 2}, layer_norm: {"FEW": 1, "LONGEST": 7, "LONG": 16},
    norm: {"FEW": 1}, piecewise: {"SHORT": 1, "LONG": 7}, relu: {"LARGE": 2, "SHORT": 1},
    resample: {"FEW": 1}, rows: {"SMALL": 1, "BLOCK": 7}, scatter: {"WIDE": 1},
    update: {"LONG": 5}, where: {"LARGE": 2, "LONG": 1},
}  # fmt: skip


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
