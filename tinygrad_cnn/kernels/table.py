"""Which kernel accelerates which op: one line an op.

``prepare(out, *inputs, **params)`` of a kernel returns a task, a function without arguments that computes what the op's
definition does, or None where the definition is good enough.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from ..core.graph import accelerate
from ..ops import affine, conv, normalization, pool
from . import batch_norm
from . import pool as pooling
from .conv import convolution

Task = Any


def _dictionary(shared: Any) -> Any:
    return {} if shared is None else shared


def _convolve(out: Any, x: Any, w: Any, b: Any = None, *, shared: Any = None, **geometry: Any) -> Task:
    task = None if out is None else convolution.forwarding(x, w, b, out=out, shared=_dictionary(shared), **geometry)
    return task or partial(convolution.forward, x, w, b, out=out, **geometry)


def _convolve_dx(out: Any, u: Any, w: Any, *, shape: Any, **geometry: Any) -> Task:
    task = None if out is None else convolution.pulling(u, w, shape[2:], out=out, **geometry)
    return task or partial(convolution.input_gradient, u, w, shape[2:], out=out, **geometry)


def _convolve_dw(out: Any, x: Any, u: Any, *, shape: Any, shared: Any = None, **geometry: Any) -> Task:
    task = (
        None if out is None else convolution.weighing(x, u, shape[2:], out=out, shared=_dictionary(shared), **geometry)
    )
    return task or partial(convolution.weight_gradient, x, u, shape[2:], out=out, **geometry)


accelerate(conv.convolve, _convolve, along=("x", "y"))
accelerate(conv.convolve_dx, _convolve_dx, along=("u", "y"))
accelerate(conv.convolve_dw, _convolve_dw, along=("x", "u"))

accelerate(pool.max_pool, pooling.prepare_max, along=("x", "y"))
accelerate(pool.max_pool_which, pooling.prepare_which, along=("x", "top", "y"))
accelerate(pool.put_elements, pooling.prepare_put, along=("u", "which", "y"))
accelerate(pool.take_elements, pooling.prepare_take, along=("a", "which", "y"))
accelerate(pool.sum_windows, pooling.prepare_sum, along=("x", "y"))
accelerate(pool.spread_windows, pooling.prepare_spread, along=("u", "y"))

accelerate(affine.affine, batch_norm.prepare_affine, along=("x", "y"))
accelerate(affine.product_to, batch_norm.prepare_product_to)
accelerate(normalization.moments, batch_norm.prepare_moments, along=("x",))
accelerate(normalization.normalized, batch_norm.prepare_normalized, along=("x", "y"), in_place=True)
accelerate(normalization.correlations, batch_norm.prepare_correlations, along=("u", "x"))
accelerate(normalization.normalized_dx, batch_norm.prepare_normalized_dx, along=("u", "x", "y"), in_place=True)
