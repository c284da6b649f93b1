"""Products as the kernel computes them."""

from __future__ import annotations

import numpy as np

from tinygrad_cnn.kernels.matmul import prepare


def multiply(a, b):
    """np.matmul, by the kernel's task where it has one."""
    task = prepare(None, a, b)
    return np.matmul(a, b) if task is None else task()
