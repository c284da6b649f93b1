"""Calls that reach each kernel in small arrays, and a tracer that makes others in between."""

from __future__ import annotations

import math
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from dis import get_instructions
from functools import cache
from pathlib import Path
from types import CodeType, FrameType, MappingProxyType, ModuleType
from typing import Any, NamedTuple

import numpy as np

import tinygrad_cnn as tg
from tinygrad_cnn.kernels import blocking
from tinygrad_cnn.kernels.conv import cached_im2col, depthwise, few_positions, kn2row
from tinygrad_cnn.ops import updates

PACKAGE = Path(tg.__file__).parent
VISITS, RUN_VISITS = 1, 8
"""How often a call is made in one place; and in functions `_run`, which make prepared calls one after the other."""

Sizes = Mapping[ModuleType, Mapping[str, Any]]

NO_COLUMNS: Sizes = {cached_im2col: {"MOST": 0, "MOST_FLIPPED": 0}}
BLOCKS: Sizes = {**NO_COLUMNS, **{module: {"BLOCK_BYTES": 1500} for module in (blocking, depthwise, kn2row)}}
UNPACKED: Sizes = {**NO_COLUMNS, kn2row: {"LEAST": 0, "NARROWEST": 1, "FEWEST": 1, "READS_SMALL": True}}
UNROLLED: Sizes = {**NO_COLUMNS, kn2row: {"UNROLLED": -1, "READS_SMALL": False}}
ALL_FEW: Mapping[str, Any] = {"LEAST": 0, "FOR_EACH": math.inf, "READS_SMALL": False}
FEW: Sizes = {few_positions: ALL_FEW}
FEW_UNPACKED: Sizes = {
    few_positions: {**ALL_FEW, "READS_SMALL": True, "NARROW": 200, "IN_SUMS": range(200), "AT_ONCE": 64}
}


class Call(NamedTuple):
    """A function of arrays with these shapes, with sizes for which it takes a certain kernel."""

    function: Callable[..., tg.Tensor]
    shapes: tuple[tuple[int, ...], ...]
    sizes: Sizes = MappingProxyType({})
    scale: float = 1.0

    def draw(self, seed: int) -> list[np.ndarray]:
        rng = np.random.default_rng(seed)
        return [(self.scale * rng.normal(size=shape)).astype(np.float32) for shape in self.shapes]


def conv(**how: Any) -> Callable[..., tg.Tensor]:
    return lambda x, w, b: tg.conv2d(x, w, b, **{"padding": 1, **how})


def last(function: Callable[..., tg.Tensor]) -> Callable[..., tg.Tensor]:
    """The function of images that are (N, H, W, C) in memory."""
    return lambda x, *others: function(x.transpose((0, 3, 1, 2)), *others)


def batch_norm(x: tg.Tensor, w: tg.Tensor, b: tg.Tensor) -> tg.Tensor:
    return tg.batch_norm(x, None, None, w, b, training=True)


def adam(x: tg.Tensor) -> tg.Tensor:
    p = tg.zeros(x.shape, requires_grad=True)
    p.grad = x.detach()
    tg.optim.Adam([p], lr=1).step()
    return x * p.detach()


LABELS = np.arange(18) % 3
THIRD = np.arange(24).reshape(6, 4) % 3 == 0
SMALL = ((6, 4),)
IMAGES = ((2, 3, 5, 5), (4, 3, 3, 3), (4,))
MANY = ((2, 8, 5, 5), (8, 8, 3, 3), (8,))
NORM = ((3, 2, 3, 3), (2,), (2,))

CALLS: dict[str, Call] = {
    "gelu": Call(tg.gelu, SMALL),
    "silu": Call(tg.silu, SMALL),
    "sigmoid": Call(tg.sigmoid, SMALL),
    "relu6": Call(tg.relu6, SMALL),
    "leaky_relu": Call(lambda x: tg.leaky_relu(x, 0.1), SMALL),
    "elu": Call(tg.elu, SMALL),
    "softplus": Call(tg.softplus, SMALL, scale=30),
    "hardswish": Call(lambda x: tg.hardswish(x) + tg.hardsigmoid(x), SMALL),
    "binary": Call(lambda x: tg.binary_cross_entropy_with_logits(x, THIRD.astype(np.float32)), SMALL),
    "cube": Call(lambda x: x**3 + x**5, SMALL),
    "where": Call(lambda x: tg.where(THIRD, x, 0.0), SMALL),
    "norm": Call(lambda x: tg.linalg.norm(x, axis=1), SMALL),
    "softmax": Call(lambda x: tg.softmax(x, axis=1), ((3, 20),)),
    "softmax, narrow": Call(lambda x: tg.softmax(x, axis=1), ((18, 3),)),
    "cross_entropy": Call(lambda x: tg.cross_entropy(x, LABELS[:3]), ((3, 20),)),
    "cross_entropy, narrow": Call(lambda x: tg.cross_entropy(x, LABELS), ((18, 3),)),
    "sum": Call(lambda x: x.sum(axis=0) * x.mean(axis=0), ((9, 4),)),
    "bias": Call(lambda x, b: x * b, ((4, 3, 5, 5), (3, 1, 1))),
    "batch_norm": Call(batch_norm, NORM),
    "batch_norm, last": Call(last(batch_norm), ((3, 3, 3, 2), (2,), (2,))),
    "batch_norm, far": Call(lambda x, w, b: batch_norm(x + 1e4, w, b), NORM),
    "layer_norm": Call(lambda x, w, b: tg.layer_norm(x, (16,), w, b), ((4, 16), (16,), (16,))),
    "max_pool": Call(lambda x: tg.max_pool2d(x, 2), ((1, 2, 6, 6),)),
    "avg_pool": Call(lambda x: tg.avg_pool2d(x, 3, 2, 1), ((1, 2, 6, 6),)),
    "interpolate": Call(lambda x: tg.interpolate(x, scale_factor=2, mode="bilinear"), ((1, 2, 4, 4),)),
    "linear": Call(tg.linear, ((9, 16), (7, 16), (7,))),
    "columns": Call(conv(), IMAGES),
    "columns, many filters": Call(conv(), ((2, 3, 5, 5), (9, 3, 3, 3), (9,))),
    "columns, transposed": Call(lambda x, w: tg.conv_transpose2d(x, w, padding=1), ((2, 3, 5, 5), (3, 4, 3, 3))),
    "im2col": Call(conv(), IMAGES, BLOCKS),
    "im2col, last": Call(last(conv()), ((2, 5, 5, 3), (4, 3, 3, 3), (4,)), BLOCKS),
    "im2col, strides": Call(conv(stride=2, dilation=2), ((2, 3, 7, 7), (4, 3, 3, 3), (4,)), BLOCKS),
    "im2col, lanes": Call(conv(), ((18, 1, 3, 3), (2, 1, 3, 3), (2,)), {**NO_COLUMNS, blocking: {"BLOCK_BYTES": 300}}),
    "kn2row": Call(conv(), MANY, BLOCKS),
    "kn2row, strides": Call(conv(stride=2), MANY, BLOCKS),
    "kn2row, unpacked": Call(conv(), MANY, UNPACKED),
    "kn2row, unrolled": Call(conv(), MANY, UNROLLED),
    "kn2row, far channels": Call(conv(), ((1, 8, 16, 8), (8, 8, 3, 3), (8,)), NO_COLUMNS),
    "few positions": Call(conv(), ((2, 8, 3, 3), (8, 8, 3, 3), (8,)), FEW),
    "few positions, unpacked": Call(conv(), ((2, 8, 3, 3), (8, 8, 3, 3), (8,)), FEW_UNPACKED),
    "depthwise, strides": Call(conv(groups=4, stride=2), ((2, 4, 5, 5), (4, 1, 3, 3), (4,)), BLOCKS),
    "adam": Call(adam, SMALL, {updates: {"PIECE": 8}}),
    "depthwise": Call(conv(groups=4), ((2, 4, 4, 4), (4, 1, 3, 3), (4,)), BLOCKS),
    "grouped": Call(conv(groups=2), ((2, 4, 4, 4), (4, 2, 3, 3), (4,)), NO_COLUMNS),
    "pointwise": Call(conv(padding=0), ((2, 8, 5, 5), (8, 8, 1, 1), (8,)), BLOCKS),
}


class AfterEachCall:
    """Makes a call after each one in the code of some folders, and after each assignment to elements: CPython runs signal
    handlers, finalizers and profilers behind a call, also in the middle of a line."""

    def __init__(self, call: Callable[[], object], *folders: str) -> None:
        self._call, self._folders = call, tuple(f"{PACKAGE / folder}/" for folder in folders)
        self.visits: Counter[tuple[CodeType, int]] = Counter()
        """How often it was there: the code, and the number of the instruction."""

    def during(self, call: Callable[[], Any]) -> Any:
        """The result of `call`, in which the others are made."""
        before = sys.gettrace()
        sys.settrace(self)
        try:
            return call()
        finally:
            sys.settrace(before)

    def __call__(self, frame: FrameType, event: str, _: object) -> Any:
        code = frame.f_code
        if not code.co_filename.startswith(self._folders):
            return None
        frame.f_trace_lines, frame.f_trace_opcodes = False, True
        changes, most, last = _changes(code), RUN_VISITS if code.co_name == "_run" else VISITS, -1

        def trace(frame: FrameType, event: str, _: object) -> Any:
            nonlocal last
            if event == "opcode":
                if last in changes:
                    self.visits[code, last] += 1
                    if self.visits[code, last] <= most:
                        self._call()
                last = frame.f_lasti
            return trace

        return trace


@cache
def _changes(code: CodeType) -> dict[int, int]:
    """The instructions that make a call or write elements, with their lines."""
    lines = [(start, line) for start, _, line in code.co_lines() if line is not None]
    return {
        each.offset: [line for start, line in lines if start <= each.offset][-1]
        for each in get_instructions(code)
        if each.opname.startswith("CALL") or each.opname == "STORE_SUBSCR"
    }


def lines(found: AfterEachCall) -> set[tuple[str, int]]:
    """The files and lines where it was."""
    return {(code.co_filename, _changes(code)[at]) for code, at in found.visits}
