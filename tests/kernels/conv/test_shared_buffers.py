"""Random programs of convolutions, transposed ones and their gradients, on buffers that they share and overwrite.

As in the power iteration for the spectral norm of a convolution, in which u and v are the same arrays from step to step.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_cnn as tg
from tinygrad_cnn.ops.conv import convolve, convolve_dw, convolve_dx

NAMES = ("conv", "transposed", "gradients", "gradients of transposed", "write x", "write u", "power", "numpy writes x")


@st.composite
def programs(draw):
    """The geometry, and the lines of a program: a name, and which x, w and u it uses."""
    k, padding = draw(st.integers(1, 3)), draw(st.integers(0, 1))
    geometry = draw(st.integers(1, 3)), draw(st.sampled_from([1, 3, 9])), draw(st.sampled_from([1, 3, 8])), k, padding
    line = st.tuples(st.sampled_from(NAMES), st.integers(0, 1), st.integers(0, 1), st.integers(0, 1))
    return geometry, draw(st.lists(line, min_size=4, max_size=12)), draw(st.integers(0, 2**32 - 1))


class Program:
    """A program on Tensors and the same one on arrays, by the definitions of the three ops."""

    def __init__(self, geometry, lines, seed):
        n, c, o, k, padding = geometry
        size, self.lines, self.rng = 5, lines, np.random.default_rng(seed)
        self.x_shape, self.u_shape = (n, c, size, size), (n, o, *(2 * (size + 2 * padding - k + 1,)))
        self.how = {"stride": (1, 1), "padding": ((padding, padding),) * 2, "dilation": (1, 1), "groups": 1}
        self.padding, self.values = padding, {}
        self.memory = [self.rng.normal(size=self.x_shape) for _ in range(2)]
        self.xs = [*map(tg.from_numpy, self.memory)]
        self.us = [tg.Tensor(self.rng.normal(size=self.u_shape)) for _ in range(2)]
        self.ws = [tg.Tensor(self.rng.normal(size=(o, c, k, k)), requires_grad=True) for _ in range(2)]

    def value(self, i, shape):
        """What line i writes, in every run."""
        if i not in self.values:
            self.values[i] = np.random.default_rng(i).normal(size=shape)
        return self.values[i]

    def tensors(self):
        """What the lines give."""
        found = []
        for i, (name, a, b, c) in enumerate(self.lines):
            x, w, u = self.xs[a], self.ws[b], self.us[c]
            if name == "conv":
                found.append(tg.conv2d(x, w, padding=self.padding))
            elif name == "transposed":
                found.append(tg.conv_transpose2d(u, w, padding=self.padding))
            elif name == "gradients":
                found += tg.gradients(tg.conv2d(x, w, padding=self.padding), [w], u)
            elif name == "gradients of transposed":
                found += tg.gradients(tg.conv_transpose2d(u, w, padding=self.padding), [w], x)
            elif name == "write x":
                x.copy_(tg.Tensor(self.value(i, self.x_shape)))
            elif name == "write u":
                u.copy_(tg.Tensor(self.value(i, self.u_shape)))
            elif name == "power":
                with tg.no_grad():
                    u.copy_(tg.conv2d(x, w, padding=self.padding) * 0.1)
                    x.copy_(tg.conv_transpose2d(u, w, padding=self.padding) * 0.1)
            else:
                self.memory[a][...] = self.value(i, self.x_shape)
        return found

    def arrays(self, xs, us):
        """The same by the definitions; xs and us are changed in place."""
        found = []
        for i, (name, a, b, c) in enumerate(self.lines):
            x, w, u = xs[a], self.ws[b].numpy(), us[c]
            if name == "conv":
                found.append(convolve.op.raw(x, w, **self.how))
            elif name == "transposed":
                found.append(convolve_dx.op.raw(u, w, shape=self.x_shape, **self.how))
            elif name in ("gradients", "gradients of transposed"):
                found.append(convolve_dw.op.raw(x, u, shape=w.shape, **self.how))
            elif name in ("write x", "numpy writes x"):
                x[...] = self.value(i, self.x_shape)
            elif name == "write u":
                u[...] = self.value(i, self.u_shape)
            else:
                u[...] = convolve.op.raw(x, w, **self.how) * 0.1
                x[...] = convolve_dx.op.raw(u, w, shape=self.x_shape, **self.how) * 0.1
        return found


@pytest.mark.parametrize("compiled", [False, True])
@settings(max_examples=5 * settings.default.max_examples)
@given(programs())
def test_what_is_shared_and_overwritten_is_read_as_it_is(compiled, drawn):
    geometry, lines, seed = drawn
    if compiled:  # what NumPy writes between the lines of a step is not in its record
        lines = [line for line in lines if line[0] != "numpy writes x"]
    program = Program(geometry, lines, seed)
    xs, us = ([a.numpy().copy() for a in ts] for ts in (program.xs, program.us))
    step = tg.compile(program.tensors) if compiled else program.tensors
    for _ in range(5 if compiled else 2):
        found = [np.array(y.numpy()) for y in step()]
        for y, expected in zip(found, program.arrays(xs, us), strict=True):
            np.testing.assert_allclose(y, expected, rtol=1e-9, atol=1e-9)
