"""tinygrad_cnn: reverse-mode automatic differentiation and convolutional networks in NumPy."""

from . import anomaly, autograd, creation, data, optim, recompute
from .anomaly import *
from .autograd import *
from .creation import *
from .graph import enable_grad, is_grad_enabled, no_grad, op
from .ops import compare, conv, elementwise, linalg, loss, random, reduce, shape
from .ops.compare import *
from .ops.conv import *
from .ops.elementwise import *
from .ops.linalg import *
from .ops.loss import *
from .ops.random import *
from .ops.reduce import *
from .ops.shape import *
from .recompute import *
from .tensor import Tensor, get_default_dtype, set_default_dtype

__version__ = "0.1.0"

__all__ = [
    "Tensor",
    "autograd",
    "data",
    "enable_grad",
    "get_default_dtype",
    "is_grad_enabled",
    "no_grad",
    "op",
    "optim",
]
__all__ += ["set_default_dtype"]
__all__ += anomaly.__all__
__all__ += autograd.__all__
__all__ += creation.__all__
__all__ += compare.__all__
__all__ += conv.__all__
__all__ += elementwise.__all__
__all__ += linalg.__all__
__all__ += loss.__all__
__all__ += random.__all__
__all__ += recompute.__all__
__all__ += reduce.__all__
__all__ += shape.__all__
