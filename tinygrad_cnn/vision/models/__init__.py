"""Models by name, with torchvision's names of parameters, so that its weights load."""

from ...core.remedies import publish
from . import densenet, efficientnet, mobilenet, resnet, vgg, vit
from . import unet as _unet
from .blocks import StochasticDepth
from .densenet import *
from .efficientnet import *
from .mobilenet import *
from .resnet import *
from .unet import *
from .vgg import *
from .vit import *

__all__ = ["StochasticDepth"]
__all__ += densenet.__all__
__all__ += efficientnet.__all__
__all__ += mobilenet.__all__
__all__ += resnet.__all__
__all__ += _unet.__all__
__all__ += vgg.__all__
__all__ += vit.__all__


def __dir__() -> list[str]:
    """Public names only."""
    return list(__all__)


publish(globals())
