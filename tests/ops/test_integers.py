"""Functions whose results are not integers compute in floating point: in short or unsigned integers, steps wrap around."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_cnn as tg

ALONE = {
    "sigmoid": lambda a: 1 / (1 + np.exp(-a)),
    "logsigmoid": lambda a: -np.log1p(np.exp(-a)),
    "silu": lambda a: a / (1 + np.exp(-a)),
    "softsign": lambda a: a / (1 + np.abs(a)),
    "softmin": lambda a: np.exp(-a - np.max(-a)) / np.exp(-a - np.max(-a)).sum(),
}
PAIRS = {
    "mse": lambda a, b: np.mean((a - b) ** 2),
    "l1_loss": lambda a, b: np.mean(np.abs(a - b)),
    "huber_loss": lambda a, b: np.mean(np.where(np.abs(a - b) <= 1, (a - b) ** 2 / 2, np.abs(a - b) - 0.5)),
    "pairwise_distance": lambda a, b: np.sqrt(np.sum((a - b + 1e-6) ** 2)),
    "soft_margin_loss": lambda a, b: np.mean(np.log1p(np.exp(-a * b))),
}
VALUES = {np.uint8: [0, 1, 2, 3, 250], np.int8: [-128, -3, 0, 1, 127], np.uint16: [0, 1, 5], np.uint64: [0, 1, 5]}


@pytest.mark.parametrize("dtype", VALUES)
@pytest.mark.parametrize("name", [*ALONE, *PAIRS])
def test_values_of_integers(name, dtype):
    a = np.array(VALUES[dtype], dtype)
    b = a[::-1].copy() if name != "soft_margin_loss" else np.ones_like(a)
    wide, given = [x.astype(np.float64) for x in (a, b)], (a, b)[: 1 if name in ALONE else 2]
    expected = ALONE[name](wide[0]) if name in ALONE else PAIRS[name](*wide)
    for arguments in (given, [tg.Tensor(x) for x in given]):
        result = np.asarray(getattr(tg, name)(*arguments))
        assert result.dtype.kind == "f"
        np.testing.assert_allclose(result, expected, rtol=5e-3, atol=1e-7)
