"""A drop-in for HIPS/autograd: gradients of NumPy code, by its names, on this library's engine.

    import tinygrad_cnn.extra.autograd.numpy as np
    from tinygrad_cnn.extra.autograd import grad

Code that says ``import autograd`` runs unchanged after :func:`install`, or by
``python -m tinygrad_cnn.extra.autograd script.py``. Inside a function that is differentiated, arrays are Tensors; its arguments
and results are arrays and floats.
"""

from __future__ import annotations

import pkgutil
import sys
from importlib import import_module

from ...tensor import Tensor
from . import builtins, core, differential_operators, extend, misc, numpy, tracer, util, wrap_util
from .builtins import dict, isinstance, list, tuple, type
from .differential_operators import (
    checkpoint,
    deriv,
    elementwise_grad,
    grad,
    grad_and_aux,
    grad_named,
    hessian,
    hessian_tensor_product,
    hessian_vector_product,
    holomorphic_grad,
    jacobian,
    make_ggnvp,
    make_hvp,
    make_jvp,
    make_vjp,
    multigrad_dict,
    tensor_jacobian_product,
    value_and_grad,
    vector_jacobian_product,
)
from .extend import primitive

__all__ = [
    "builtins", "checkpoint", "core", "deriv", "dict", "differential_operators", "elementwise_grad", "extend", "grad",
    "grad_and_aux", "grad_named", "hessian", "hessian_tensor_product", "hessian_vector_product", "holomorphic_grad", "install",
    "isinstance", "jacobian", "list", "make_ggnvp", "make_hvp", "make_jvp", "make_vjp", "misc", "multigrad_dict", "numpy",
    "primitive", "tensor_jacobian_product", "tracer", "tuple", "type", "util", "value_and_grad", "vector_jacobian_product",
    "wrap_util",
]  # fmt: skip


def install() -> None:
    """Let ``import autograd``, and imports of its modules, find this package, in this process.

    Call it before the first import of code that says ``import autograd``. The class Tensor then says that it is
    ``autograd.numpy.numpy_boxes.ArrayBox``: by this name or its module, PennyLane, autoray and legume know what autograd
    differentiates. Tensors are pickled as before; the class itself cannot be.

    Raises:
        RuntimeError: if another package ``autograd`` was already imported.

    >>> from tinygrad_cnn.extra import autograd
    >>> autograd.install()
    >>> import autograd.numpy as np
    >>> np.__name__
    'tinygrad_cnn.extra.autograd.numpy'
    """
    found = sys.modules.get("autograd")
    if found is not None and found is not sys.modules[__name__]:
        raise RuntimeError(
            f"install: the package autograd in {getattr(found, '__file__', 'memory')} was already imported; call install "
            "before"
        )
    above = __name__.rpartition(".")[0]
    for package in (sys.modules[__name__], numpy, misc):
        for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            if not module.name.endswith(("__main__", "scipy")):
                sys.modules[module.name.removeprefix(f"{above}.")] = import_module(module.name)
    sys.modules["autograd"] = sys.modules[__name__]
    sys.modules["autograd.numpy.numpy_wrapper"] = numpy
    Tensor.__module__, Tensor.__qualname__ = "autograd.numpy.numpy_boxes", "ArrayBox"
    # `autograd.scipy` is found in this folder when it is asked for. So that it can be loaded under that name, its modules name
    # those outside of this folder in full.
