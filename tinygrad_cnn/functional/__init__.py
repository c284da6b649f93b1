"""The functions of deep learning, with PyTorch's names and signatures; ``axis`` is PyTorch's ``dim``.

Some are ops and others are composed of ops; they are called in the same way.
"""

from .. import ops
from ..core.remedies import publish
from ..ops.activation import *
from ..ops.adaptive_pool import *
from ..ops.attention import *
from ..ops.conv import *
from ..ops.conv_transpose import *
from ..ops.dropout import *
from ..ops.gather import embedding, one_hot
from ..ops.grid_sample import *
from ..ops.losses import binary, classification, ctc, distance, margin, regression
from ..ops.losses.binary import *
from ..ops.losses.classification import *
from ..ops.losses.ctc import *
from ..ops.losses.distance import *
from ..ops.losses.margin import *
from ..ops.losses.regression import *
from ..ops.matmul import bilinear, linear
from ..ops.normalization import *
from ..ops.pool import *
from ..ops.resize import *
from ..ops.softmax import *

__all__ = ["bilinear", "embedding", "linear", "one_hot"]
__all__ += ops.activation.__all__
__all__ += ops.adaptive_pool.__all__
__all__ += ops.attention.__all__
__all__ += binary.__all__
__all__ += classification.__all__
__all__ += ops.conv.__all__
__all__ += ops.conv_transpose.__all__
__all__ += ctc.__all__
__all__ += distance.__all__
__all__ += margin.__all__
__all__ += ops.grid_sample.__all__
__all__ += ops.dropout.__all__
__all__ += ops.normalization.__all__
__all__ += ops.pool.__all__
__all__ += regression.__all__
__all__ += ops.resize.__all__
__all__ += ops.softmax.__all__


def __dir__() -> list[str]:
    """Public names only."""
    return list(__all__)


publish(globals())
