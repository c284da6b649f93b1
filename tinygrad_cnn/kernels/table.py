"""Which kernel accelerates which op: one line an op.

``prepare(out, *inputs, **params)`` of a kernel returns a task, a function without arguments that computes what the op's
definition does, or None where the definition is good enough.
"""

from __future__ import annotations

from ..core.graph import accelerate
from ..ops import conv, pool
from ..optim import rules
from . import pool as pooling
from . import update
from .conv import convolution

accelerate(conv.convolve, convolution.convolve, along=("x", "y"))
accelerate(conv.convolve_dx, convolution.convolve_dx, along=("u", "y"))
accelerate(conv.convolve_dw, convolution.convolve_dw, along=("x", "u"))

accelerate(pool.max_pool, pooling.prepare_max, along=("x", "y"))
accelerate(pool.max_pool_which, pooling.prepare_which, along=("x", "top", "y"))
accelerate(pool.put_elements, pooling.prepare_put, along=("u", "which", "y"))
accelerate(pool.sum_windows, pooling.prepare_sum, along=("x", "y"))
accelerate(pool.spread_windows, pooling.prepare_spread, along=("u", "y"))
rules.run = update.in_pieces
