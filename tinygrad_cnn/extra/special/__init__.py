"""Special functions by SciPy's names: ``tinygrad_cnn.special.gammaln``. They need SciPy, the extra ``scipy``.

Once this module is loaded, SciPy's own ufuncs of these names record on Tensors, too. With SCIPY_ARRAY_API=1, so do those
of its functions that are computed with them.
"""

from . import bessel, gammas, incomplete, logarithms, normal, student
from .bessel import *
from .gammas import *
from .incomplete import *
from .logarithms import *
from .normal import *
from .student import *

__all__ = sorted(
    [*bessel.__all__, *gammas.__all__, *incomplete.__all__, *logarithms.__all__, *normal.__all__, *student.__all__]
)


def __dir__() -> list[str]:
    """Public names only."""
    return list(__all__)
