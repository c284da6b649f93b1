"""Linear algebra under the name that NumPy gives it: ``tinygrad_cnn.linalg.inv`` stands for ``np.linalg.inv``."""

from .ops.linalg import cholesky, det, inv, slogdet, solve

__all__ = ["cholesky", "det", "inv", "slogdet", "solve"]
