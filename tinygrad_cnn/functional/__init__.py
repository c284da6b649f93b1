"""The functions of deep learning, with PyTorch's names and signatures; ``axis`` stands for its ``dim``.

Some are ops and some are composed of ops, which makes no difference to who calls them.
"""

from ..core.graph import numpy_ops
from ..core.operands import accept_lists
from ..ops import activation, adaptive_pool, affine, conv, conv_transpose, label, loss, normalization, pool, resize
from ..ops import softmax as soft
from ..ops.activation import *
from ..ops.adaptive_pool import *
from ..ops.affine import *
from ..ops.conv import *
from ..ops.conv_transpose import *
from ..ops.label import *
from ..ops.loss import *
from ..ops.normalization import *
from ..ops.pool import *
from ..ops.resize import *
from ..ops.softmax import *
from . import classification, distance, dropouts, regression
from .classification import *
from .distance import *
from .dropouts import *
from .regression import *

__all__ = []
__all__ += activation.__all__
__all__ += adaptive_pool.__all__
__all__ += affine.__all__
__all__ += classification.__all__
__all__ += conv.__all__
__all__ += conv_transpose.__all__
__all__ += distance.__all__
__all__ += dropouts.__all__
__all__ += label.__all__
__all__ += loss.__all__
__all__ += normalization.__all__
__all__ += pool.__all__
__all__ += regression.__all__
__all__ += resize.__all__
__all__ += soft.__all__

for module in (classification, distance, dropouts, regression):
    accept_lists(vars(module), numpy_ops)
    globals().update({name: vars(module)[name] for name in module.__all__})
