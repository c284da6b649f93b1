"""Models: modules, layers and losses, with PyTorch's names, arguments and initialization."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ..core.remedies import missing, publish
from . import (
    activation,
    attention,
    containers,
    conv,
    distance,
    dropout,
    linear,
    loss,
    module,
    normalization,
    padding,
    parameter,
    pool,
    recurrent,
    resize,
    transformer,
)
from . import functional as functional
from . import init as init
from . import models as models
from .activation import *
from .attention import *
from .containers import *
from .conv import *
from .distance import *
from .dropout import *
from .functional_call import *
from .linear import *
from .loss import *
from .module import *
from .normalization import *
from .padding import *
from .parameter import *
from .pool import *
from .recurrent import *
from .resize import *
from .transformer import *

if TYPE_CHECKING:
    from . import utils as utils

__all__ = ["functional_call", "init", "models", "utils"]
__all__ += activation.__all__
__all__ += attention.__all__
__all__ += containers.__all__
__all__ += conv.__all__
__all__ += distance.__all__
__all__ += dropout.__all__
__all__ += linear.__all__
__all__ += loss.__all__
__all__ += module.__all__
__all__ += normalization.__all__
__all__ += padding.__all__
__all__ += parameter.__all__
__all__ += pool.__all__
__all__ += recurrent.__all__
__all__ += resize.__all__
__all__ += transformer.__all__


if not TYPE_CHECKING:  # a checker would take every name for an attribute

    def __getattr__(name: str) -> Any:
        return import_module(".utils", __name__) if name == "utils" else missing(__name__, name)


def __dir__() -> list[str]:
    """Public names only."""
    return list(__all__)


publish(globals())
