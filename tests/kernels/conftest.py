"""What every test of a kernel leaves behind as it was."""

from __future__ import annotations

import pytest

from tinygrad_cnn.kernels.parallel import threads


@pytest.fixture(autouse=True)
def as_many_threads():
    before = threads.get_num_threads()
    yield
    threads.set_num_threads(before)
