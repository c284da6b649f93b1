"""The table of compiled kernels: which accelerates which op, one line per op; and how they are attached."""

from __future__ import annotations

from typing import Any

from ...core.acceleration import Prepare, Task, accelerate
from ...core.signature import asked
from ...ops import activation, clipped, conv, matmul, pool, reduce, scan, shape, softmax, standardize, updates
from ...ops.losses import classification, labels
from . import (
    batch_norm,
    channels,
    depthwise,
    elements,
    layers,
    pictures,
    positions,
    products,
    rows,
    scans,
    steps,
    tiles,
    windows,
    winograd,
)
from . import labels as weighing
from . import pool as pooling

KERNELS: list[tuple[Any, Prepare]] = [
    (activation.gelu, elements.prepare_gelu),
    (activation.gelu_pull, elements.prepare_gelu_pull),
    (activation.gelu_slope, elements.prepare_gelu_slope),
    (activation.hardsigmoid, elements.prepare_hardsigmoid),
    (activation.hardsigmoid_pull, elements.prepare_hardsigmoid_pull),
    (activation.hardswish, elements.prepare_hardswish),
    (activation.hardswish_pull, elements.prepare_hardswish_pull),
    (activation.silu, elements.prepare_silu),
    (activation.silu_pull, elements.prepare_silu_pull),
    (activation.silu_slope, elements.prepare_silu_slope),
    (classification.softmax_nll, rows.prepare_nll),
    (classification.softmax_nll_pull, rows.prepare_nll_pull),
    (conv.convolve, windows.prepare),
    (conv.convolve, depthwise.prepare),
    (conv.convolve, winograd.prepare),
    (conv.convolve, positions.prepare),
    (conv.convolve, products.prepare_convolve),
    (conv.convolve_dw, windows.prepare_dw),
    (conv.convolve_dw, depthwise.prepare_dw),
    (conv.convolve_dw, winograd.prepare_dw),
    (conv.convolve_dw, products.prepare_dw),
    (conv.convolve_dx, windows.prepare_dx),
    (conv.convolve_dx, depthwise.prepare_dx),
    (conv.convolve_dx, winograd.prepare_dx),
    (conv.convolve_dx, positions.prepare_dx),
    (conv.convolve_dx, products.prepare_dx),
    (labels.label_weights, weighing.prepare_label_weights),
    (matmul.linear, products.prepare_linear),
    (matmul.matmul, products.prepare),
    (clipped.clipped, batch_norm.prepare_clipped),
    (clipped.clipped_by, batch_norm.prepare_clipped_by),
    (clipped.clipped_correlations, batch_norm.prepare_clipped_correlations),
    (clipped.clipped_dx, batch_norm.prepare_clipped_dx),
    (standardize.correlations, layers.prepare_correlations),
    (standardize.correlations, batch_norm.prepare_correlations),
    (standardize.moments, layers.prepare_moments),
    (standardize.moments, channels.prepare_moments),
    (standardize.normalized, layers.prepare_normalized),
    (standardize.normalized, batch_norm.prepare_normalized),
    (standardize.normalized_by, batch_norm.prepare_normalized_by),
    (standardize.normalized_dx, layers.prepare_normalized_dx),
    (standardize.normalized_dx, batch_norm.prepare_normalized_dx),
    (pool.max_pool, pooling.prepare_max),
    (pool.max_pool, tiles.prepare_max),
    (pool.max_pool_which, pooling.prepare_which),
    (pool.max_pool_which, tiles.prepare_which),
    (pool.put_elements, pooling.prepare_put),
    (pool.put_elements, tiles.prepare_put),
    (reduce.sum, channels.prepare_sum),
    (reduce.sum, layers.prepare_sum),
    (scan.cumsum, scans.prepare_cumsum),
    (shape.sum_to, layers.prepare_sum_to),
    (softmax.log_softmax, rows.prepare_log_softmax),
    (softmax.log_softmax_pull, rows.prepare_log_softmax_pull),
    (softmax.softmax, rows.prepare_softmax),
    (softmax.softmax_pull, rows.prepare_softmax_pull),
]

_before: dict[Any, Prepare | None] = {}
"""What prepared the ops, while the compiled kernels are attached."""


def is_attached() -> bool:
    """Whether compiled kernels are used."""
    return bool(_before)


def attach(on: bool, tile: int) -> None:
    """Attach the compiled kernels before the ops' own, with Winograd's tiles of this size; or let the latter alone compute."""
    if on == is_attached() and (not on or tile == winograd.largest):
        return
    for function, before in _before.items():
        accelerate(function, before, along=function.op.along, in_place=function.op.in_place)
    _before.clear()
    for update, form in steps.STEPS.items():
        updates.fuse(update, form if on else None)
    pictures.attach(on)
    if on:
        winograd.largest = tile
        _before.update({function: function.op.prepare for function, _ in KERNELS})
        for function, before in _before.items():  # the last line of an op is asked first
            compiled = [prepare for each, prepare in reversed(KERNELS) if each is function]
            prepare = first_of(compiled, before or definition)
            accelerate(function, prepare, along=function.op.along, in_place=function.op.in_place)


def definition(out: Any, *inputs: Any, **params: Any) -> None:
    """Prepares no task."""


def first_of(compiled: list[Prepare], own: Prepare) -> Prepare:
    """Prepares the task of the first kernel that takes the arrays: of the compiled ones, or the op's own."""

    def prepare(out: Any, *inputs: Any, **params: Any) -> Task | None:
        for kernel in compiled:
            if task := kernel(out, *inputs, **params):
                return task
        return own(out, *inputs, **params)

    def prepare_sharing(out: Any, *inputs: Any, shared: Any = None, **params: Any) -> Task | None:
        for kernel in compiled:
            if task := kernel(out, *inputs, **params):
                return task
        return own(out, *inputs, shared=shared, **params)

    return prepare_sharing if "shared" in asked(own) else prepare
