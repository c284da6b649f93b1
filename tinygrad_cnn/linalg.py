"""Linear algebra under NumPy's names: ``tinygrad_cnn.linalg.inv`` for ``np.linalg.inv``."""

from .core.remedies import publish
from .numpy_api.matrix_functions import (
    cond,
    diagonal,
    matrix_norm,
    matrix_power,
    multi_dot,
    norm,
    outer,
    tensorinv,
    tensorsolve,
    trace,
)
from .numpy_api.products import cross, vecdot
from .ops.eigen import eig, eigh, eigvals, eigvalsh
from .ops.least_squares import lstsq, matrix_rank, pinv
from .ops.linalg import cholesky, det, inv, slogdet, solve
from .ops.matmul import matmul, tensordot
from .ops.qr import qr
from .ops.reduce import norm as vector_norm
from .ops.shape import matrix_transpose
from .ops.singular import svd, svdvals

__all__ = [
    "cholesky", "cond", "cross", "det", "diagonal", "eig", "eigh", "eigvals", "eigvalsh", "inv", "lstsq", "matmul",
    "matrix_norm", "matrix_power", "matrix_rank", "matrix_transpose", "multi_dot", "norm", "outer", "pinv", "qr", "slogdet",
    "solve", "svd", "svdvals", "tensordot", "tensorinv", "tensorsolve", "trace", "vecdot", "vector_norm",
]  # fmt: skip


def __dir__() -> list[str]:
    """Public names only."""
    return list(__all__)


publish(globals())
