"""Tools for modules: parametrizations, pruning, parameters as a vector, folding of batch normalization."""

from ...core.remedies import publish
from . import convert_parameters, fusion
from . import parametrizations as parametrizations
from . import parametrize as parametrize
from . import prune as prune
from .convert_parameters import *
from .fusion import *
from .parametrizations import spectral_norm, weight_norm

__all__ = ["parametrizations", "parametrize", "prune", "spectral_norm", "weight_norm"]
__all__ += convert_parameters.__all__
__all__ += fusion.__all__


def __dir__() -> list[str]:
    """Public names only."""
    return list(__all__)


publish(globals())
