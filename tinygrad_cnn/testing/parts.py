"""Functions of complex numbers as functions of their real and imaginary parts, whose derivatives are numbers along one line."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..ops.complex_numbers import imag, real
from ..ops.elementwise import add, mul
from ..tensor import Tensor
from ..transforms.gradients import gradients
from .levels import Arrays, floating_outputs
from .report import Failure, Report

CLOSE = {np.dtype(np.complex128): 1e-10, np.dtype(np.complex64): 1e-4}
"""How far a gradient may be from that of the parts, relative to its largest element, by dtype."""


class Parts:
    """f with real inputs and results. The real part of an input has its place, and imaginary parts follow all inputs.

    Args:
        f: a function of Tensors, to a Tensor or a sequence of them.
        arrays: its inputs, some of them complex.
    """

    def __init__(self, f: Callable[..., Any], arrays: Arrays) -> None:
        self.f, self.whole = f, list(arrays)
        self.complex = [i for i, a in enumerate(arrays) if a.dtype.kind == "c"]
        imaginary = [a.imag.copy(order="K") for i, a in enumerate(arrays) if i in self.complex]
        self.arrays = [a.real.copy(order="K") if a.dtype.kind == "c" else a for a in arrays] + imaginary
        self.names = [f"input {i}{', real part' * (i in self.complex)}" for i in range(len(arrays))]
        self.names += [f"input {i}, imaginary part" for i in self.complex]

    def __call__(self, *tensors: Tensor) -> list[Tensor]:
        xs = list(tensors[: len(self.whole)])
        for i, part in zip(self.complex, tensors[len(xs) :], strict=True):
            xs[i] = add(xs[i], mul(part, 1j))
        found = []
        for y in floating_outputs(self.f(*xs)):
            found += [real(y), imag(y)] if y.dtype.kind == "c" else [y]
        return found

    def check_whole(self, us: Arrays, found: Sequence[Any], report: Report) -> None:
        """The gradient in a complex leaf z = x + i y is df/dx - i df/dy, and has its dtype; `us` and `found` are the parts'."""
        leaves = [Tensor(a) for a in self.whole]
        for i in self.complex:
            leaves[i].requires_grad = True
        ys, parts = floating_outputs(self.f(*leaves)), iter(us)
        starts = [np.asarray(next(parts) - next(parts) * 1j if y.dtype.kind == "c" else next(parts)) for y in ys]
        wanted = [leaves[i] for i in self.complex]
        moving = [k for k, y in enumerate(ys) if y.requires_grad]
        outs, cotangents = [ys[k] for k in moving], [starts[k] for k in moving]
        if not moving:
            return
        kept = [u.copy() for u in cotangents]
        pulled = gradients(outs, wanted, cotangents, retain_graph=True, allow_unused=True)
        values = [None if g is None else g.numpy().copy() for g in pulled]
        gradients(outs, wanted, [2 * u for u in kept], allow_unused=True)
        after = [None if g is None else g.numpy() for g in pulled]
        if not all(v is None or a is None or np.array_equal(a, v) for a, v in zip(after, values, strict=True)):
            report.failures.append(Failure("a second backward pass overwrites the gradients of the first", 1))
        if not all(np.array_equal(u, k) for u, k in zip(cotangents, kept, strict=True)):
            report.failures.append(Failure("the incoming gradient was modified", 1))
        for k, (i, v) in enumerate(zip(self.complex, values, strict=True)):
            parts_of_g = [np.zeros(self.whole[i].shape) if p is None else p for p in (found[i], found[len(leaves) + k])]
            expected = parts_of_g[0] - parts_of_g[1] * 1j
            value = np.zeros_like(expected) if v is None else v
            if value.dtype != self.whole[i].dtype:
                text = f"the gradient is {value.dtype} but the input is {self.whole[i].dtype}"
                report.failures.append(Failure(f"input {i}: {text}", 1, i))
            elif not np.abs(value - expected).max(initial=0) <= CLOSE[value.dtype] * np.abs(expected).max(
                initial=1e-300
            ):
                text = "the gradient is not df/dx - i df/dy, by the gradients of the real and imaginary parts"
                report.failures.append(Failure(f"input {i}: {text}", 1, i))

    def place(self, report: Report) -> None:
        """Name inputs in the report by their places in f."""
        n, more = len(self.whole), len(self.complex)

        def whole(place: int) -> int:
            if place < n:
                return place
            return self.complex[place - n] if place < n + more else place - more

        report.failures[:] = [f if f.input is None else replace(f, input=whole(f.input)) for f in report.failures]
        report.kinks[:] = [replace(kink, input=whole(kink.input)) for kink in report.kinks]
