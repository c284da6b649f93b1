"""Every primitive op, by family. Importing this package declares them all."""

from . import compare, conv, elementwise, index, linalg, loss, random, reduce, shape

__all__ = ["compare", "conv", "elementwise", "index", "linalg", "loss", "random", "reduce", "shape"]
