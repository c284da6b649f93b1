"""Linear algebra under NumPy's names: ``tinygrad_cnn.linalg.inv`` for ``np.linalg.inv``."""

from .ops.linalg import cholesky, det, inv, slogdet, solve

__all__ = ["cholesky", "det", "inv", "slogdet", "solve"]
