"""tinygrad_cnn: reverse-mode automatic differentiation and convolutional networks in NumPy."""

# Names are taken from the modules that define them: type checkers do not follow `from .functional import *` this far.

import os as _os
from importlib import import_module
from typing import TYPE_CHECKING, Any

from . import numpy_api, ops
from .allocator import keep_freed_memory
from .core import remedies as _remedies
from .core.grad_mode import enable_grad, is_grad_enabled, no_grad
from .core.graph import op
from .core.registry import above as _above
from .numpy_api.creation import *
from .ops import compare, complex_numbers, elementwise, random, reduce, scan, shape, transcendental
from .ops.activation import *
from .ops.adaptive_pool import *
from .ops.attention import *
from .ops.compare import *
from .ops.complex_numbers import *
from .ops.conv import *
from .ops.conv_transpose import *
from .ops.dropout import *
from .ops.einsum import *
from .ops.elementwise import *
from .ops.gather import *
from .ops.grid_sample import *
from .ops.index import *
from .ops.losses.binary import *
from .ops.losses.classification import *
from .ops.losses.ctc import *
from .ops.losses.distance import *
from .ops.losses.margin import *
from .ops.losses.regression import *
from .ops.masked import *
from .ops.matmul import *
from .ops.normalization import *
from .ops.pool import *
from .ops.random import *
from .ops.rearrange import *
from .ops.reduce import *
from .ops.resize import *
from .ops.rounding import *
from .ops.running import *
from .ops.scan import *
from .ops.scatter import *
from .ops.shape import *
from .ops.softmax import *
from .ops.sort import *
from .ops.transcendental import *
from .tensor import Tensor, get_default_dtype, set_default_dtype

if TYPE_CHECKING:
    from . import autograd, data, fft, functional, io, linalg, metrics, nn, optim, testing, training, vision
    from .extra import distributed, onnx
    from .extra import jax as jax
    from .extra import show as viz
    from .extra import sklearn as sklearn
    from .extra import special as special
    from .extra.numba import use_numba as use_numba
    from .extra.show import show
    from .io import load, save
    from .numpy_api.difference import *
    from .numpy_api.join import *
    from .numpy_api.nan import *
    from .numpy_api.polynomial import *
    from .numpy_api.products import *
    from .numpy_api.select import *
    from .numpy_api.statistics import *
    from .training import evaluate, fit, predict
    from .transforms.anomaly import *
    from .transforms.autograd import *
    from .transforms.checkpoint import *
    from .transforms.gradients import *
    from .transforms.implicit import implicit as implicit
    from .transforms.jacobians import *
    from .transforms.ravel import ravel_pytree as ravel_pytree
    from .transforms.vmap import vmap as vmap

try:  # each of these folders may be absent: the definitions suffice
    from .names import remedy as _remedy  # noqa: F401 - names/ attaches remedies
except ModuleNotFoundError as _error:
    if not (_error.name or "").startswith("tinygrad_cnn"):
        raise
try:
    from .kernels import table as _table  # noqa: F401 - it attaches the kernels
    from .kernels.parallel.threads import get_num_threads, set_num_threads
except ModuleNotFoundError as _error:
    if not (_error.name or "").startswith("tinygrad_cnn"):
        raise
try:
    from .compile import compile
except ModuleNotFoundError as _error:
    if not (_error.name or "").startswith("tinygrad_cnn"):
        raise

__version__ = "1.0.0"

__all__ = [
    "Tensor",
    "autograd",
    "compile",
    "data",
    "distributed",
    "enable_grad",
    "evaluate",
    "fft",
    "fit",
    "functional",
    "get_default_dtype",
    "get_num_threads",
    "io",
    "is_grad_enabled",
    "keep_freed_memory",
    "linalg",
    "load",
    "metrics",
    "nn",
    "no_grad",
    "onnx",
    "op",
    "optim",
    "predict",
    "save",
    "testing",
    "training",
    "vision",
]
__all__ += ["set_default_dtype", "set_num_threads", "show", "use_numba", "viz"]
__all__ += ops.activation.__all__
__all__ += ops.adaptive_pool.__all__
__all__ += ops.attention.__all__
__all__ += ops.binary.__all__
__all__ += ops.classification.__all__
__all__ += ops.conv.__all__
__all__ += ops.conv_transpose.__all__
__all__ += ops.ctc.__all__
__all__ += ops.distance.__all__
__all__ += ops.dropout.__all__
__all__ += ops.margin.__all__
__all__ += ops.normalization.__all__
__all__ += ops.pool.__all__
__all__ += ops.regression.__all__
__all__ += ops.resize.__all__
__all__ += ops.softmax.__all__
__all__ += numpy_api.creation.__all__
__all__ += ops.running.__all__
__all__ += compare.__all__
__all__ += complex_numbers.__all__
__all__ += ops.einsum.__all__
__all__ += elementwise.__all__
__all__ += ops.gather.__all__
__all__ += ops.grid_sample.__all__
__all__ += ops.index.__all__
__all__ += ops.masked.__all__
__all__ += ops.matmul.__all__
__all__ += random.__all__
__all__ += ops.rearrange.__all__
__all__ += reduce.__all__
__all__ += ops.rounding.__all__
__all__ += scan.__all__
__all__ += ops.scatter.__all__
__all__ += shape.__all__
__all__ += ops.sort.__all__
__all__ += transcendental.__all__

_NAMES = {
    "numpy_api.difference": "diff ediff1d gradient interp trapezoid unwrap",
    "numpy_api.join": """
        append atleast_1d atleast_2d atleast_3d block broadcast_arrays column_stack delete dsplit dstack hsplit hstack insert
        resize unstack vsplit vstack""",
    "numpy_api.nan": """
        nancumprod nancumsum nanmax nanmean nanmedian nanmin nanpercentile nanprod nanquantile nanstd nansum nanvar""",
    "numpy_api.polynomial": "convolve correlate poly polyadd polyder polyfit polyint polymul polysub polyval vander",
    "numpy_api.products": "cross inner kron matvec outer vdot vecdot vecmat",
    "numpy_api.select": "argpartition choose compress extract meshgrid partition searchsorted select trim_zeros",
    "numpy_api.statistics": "average corrcoef cov median percentile ptp quantile",
    "transforms.anomaly": "AnomalyError detect_anomaly",
    "transforms.autograd": "grad holomorphic_grad hvp jvp linearize value_and_grad vjp",
    "transforms.checkpoint": "checkpoint",
    "transforms.gradients": "gradients",
    "transforms.implicit": "implicit",
    "transforms.jacobians": "hessian jacfwd jacobian jacrev",
    "transforms.ravel": "ravel_pytree",
    "transforms.vmap": "vmap",
}
"""The names of modules that are imported when one of them is first used."""

__all__ += [name for names in _NAMES.values() for name in names.split()]

_above.later.update(
    array_function=f"{__name__}.numpy_api.dispatch:array_function",
    array_ufunc=f"{__name__}.numpy_api.dispatch:array_ufunc",
    array_namespace=f"{__name__}.extra.array_api:_namespace",
    dlpack=f"{__name__}.numpy_api.dlpack:export",
    register_hook=f"{__name__}.transforms.hooks:register",
)

_LATER = {
    **{name: f".{module}:{name}" for module, names in _NAMES.items() for name in names.split()},
    **{name: f".{name}" for name in ("autograd", "data", "fft", "functional", "io", "linalg", "metrics", "nn", "optim")},
    "testing": ".testing",
    "training": ".training", "vision": ".vision",
    **{name: f".extra.{name}" for name in ("distributed", "jax", "onnx", "sklearn", "special")}, "viz": ".extra.show",
    "evaluate": ".training:evaluate", "fit": ".training:fit", "predict": ".training:predict", "load": ".io:load",
    "save": ".io:save", "show": ".extra.show:show",
    "use_numba": ".extra.numba:use_numba",
}  # fmt: skip
"""Names that are imported when they are first used: a module, or a module and the name in it."""
# `jax`, `sklearn` and `special` are not in __all__: `import *` must not need other packages.


if not TYPE_CHECKING:  # a checker would take every name for an attribute

    def __getattr__(name: str) -> Any:
        if name not in _LATER:
            return _remedies.missing(__name__, name)
        path, _, inside = _LATER[name].partition(":")
        module = import_module(path, __name__)
        globals()[name] = value = getattr(module, inside) if inside else module
        return value


def __dir__() -> list[str]:
    """Public names only."""
    return sorted([*__all__, "__version__"])


_remedies.publish(globals())

if _os.environ.get("TINYGRAD_CNN_NUMBA", "0") not in ("", "0"):
    _tile = _os.environ.get("TINYGRAD_CNN_WINOGRAD", "4")
    import_module(".extra.numba", __name__).use_numba(winograd={"0": 0, "2": 2, "4": 4}.get(_tile, _tile))
