"""The table of operators: how each op is written as ONNX, and how each ONNX operator is read, side by side, by family."""

from . import (
    activation,
    attention,
    conv,
    elementwise,
    index,
    logic,
    loss,
    matmul,
    norm,
    pool,
    quant,
    recurrent,
    reduce,
    resize,
    sample,
    shape,
)
from .base import READERS, WRITERS, Reader, Writer

__all__ = [
    "READERS",
    "WRITERS",
    "Reader",
    "Writer",
    "activation",
    "attention",
    "conv",
    "elementwise",
    "index",
    "logic",
    "loss",
    "matmul",
    "norm",
    "pool",
    "quant",
    "recurrent",
    "reduce",
    "resize",
    "sample",
    "shape",
]
