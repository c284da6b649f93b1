"""The sizes of the products of convolutions with few positions; what they compute is in test_conv_modules.py."""

import numpy as np
import pytest

from tinygrad_cnn.kernels import blas
from tinygrad_cnn.kernels.conv import few_positions
from tinygrad_cnn.kernels.conv.convolution import convolve, convolve_dx


@pytest.mark.parametrize("channels", [144, 2048, 4608])
def test_no_product_in_sums_is_too_large_for_blas_to_leave_its_matrices_where_they_are(tuning, monkeypatch, channels):
    found = []

    class Recorded(blas.Products):
        def __init__(self, terms, dtype):
            super().__init__(terms, dtype)
            found.extend(term.a.rows * term.a.columns * term.b.columns for term in self.terms)

    tuning(few_positions, LEAST=0, FOR_EACH=np.inf, READS_SMALL=True, NARROW=200, IN_SUMS=range(200))
    monkeypatch.setattr(few_positions, "Products", Recorded)
    w = np.zeros((512, channels, 1), np.float32)
    for m in (2, 4, 6, 8, 9, 16, 24, 33, 49, 64, 125):
        u = np.zeros((1, 512, m), np.float32)
        convolve_dx(None, u, w, shape=(1, channels, m), stride=(1,), padding=((0, 0),), dilation=(1,), groups=1)()
    assert found
    assert max(found) <= blas.UNPACKED


@pytest.mark.parametrize("m", [2, 8, 24, 33, 64, 128])
def test_no_product_of_rows_is_too_large(tuning, monkeypatch, m):
    found = []
    matmul = np.matmul

    def recorded(a, b, out):
        found.append(a.shape[-2] * a.shape[-1] * b.shape[-1])
        return matmul(a, b, out)

    tuning(few_positions, LEAST=0, FOR_EACH=np.inf, READS_SMALL=True)
    monkeypatch.setattr(np, "matmul", recorded)
    x, w = np.zeros((1, 9000, m), np.float32), np.zeros((40, 9000, 1), np.float32)
    convolve(None, x, w, None, stride=(1,), padding=((0, 0),), dilation=(1,), groups=1)()
    assert found
    assert max(found) <= blas.UNPACKED
