"""Every kernel computes what the definition of its op does: a new kernel is proven by being registered."""

from __future__ import annotations

from collections import defaultdict
from contextlib import contextmanager
from functools import cache

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tinygrad_cnn as tg
from tinygrad_cnn.core.registry import registry
from tinygrad_cnn.core.tracing import observe
from tinygrad_cnn.kernels.parallel.task import Work
from tinygrad_cnn.kernels.parallel.workspace import with_workspace
from tinygrad_cnn.testing.cases import Draws

from ..rows import CASES

ACCELERATED = [op for name, op in registry.items() if name.startswith("tinygrad_cnn.") and op.prepare is not None]
every_accelerated = pytest.mark.parametrize("op", ACCELERATED, ids=lambda op: op.name)
NUMBA_ALONE = {
    "clipped", "clipped_correlations", "clipped_dx", "cumsum", "gelu_pull", "log_softmax", "log_softmax_pull", "silu_pull",
    "softmax_pull",
}  # fmt: skip
"""What has a kernel if Numba's are attached, and none otherwise: it takes more elements than a row has, see
`test_numba` and `test_channels`."""
TOLERANCE = {np.dtype(np.float64): 1e-11, np.dtype(np.float32): 2e-4}


def run(case, rng, dtype=np.float64):
    """The function of a row, and its gradients to second order."""
    arrays = case.draw(Draws(rng))
    xs = [tg.Tensor(a.astype(dtype), requires_grad=True) if a.dtype.kind == "f" else a for a in arrays]
    y = case.call(*xs)
    floats = [x for x in xs if isinstance(x, tg.Tensor)]
    if not case.order or not isinstance(y, tg.Tensor) or not y.requires_grad:
        return
    grads = tg.gradients(
        y, floats, tg.Tensor(rng.normal(size=y.shape).astype(y.dtype)), create_graph=True, allow_unused=True
    )
    total = sum([(g * g).sum() for g in grads if g is not None and g.requires_grad], tg.Tensor(0.0))
    if total.requires_grad:
        tg.gradients(total, floats, allow_unused=True)


@cache
def users():
    """The rows that call an op, in their function or its gradients, by op."""
    found = defaultdict(list)
    for case in CASES:
        ran = set()
        with observe(lambda op, *_: ran.add(op)):  # noqa: B023
            run(case, np.random.default_rng(0))
        for op in ran:
            found[op].append(case)
    return found


class Compared:
    """The kernel of an op, each of whose results is compared with what the definition gives."""

    def __init__(self, op):
        self.op, self.prepare, self.results = op, op.prepare, 0

    @contextmanager
    def attached(self):
        op, how = self.op, (self.op.along, self.op.in_place)
        op.accelerate(self, *how)
        try:
            yield
        finally:
            op.accelerate(self.prepare, *how)

    def __call__(self, out, *inputs, **params):
        self.dtypes = {x.dtype for x in inputs if isinstance(x, np.ndarray)}
        given = [x.copy() if isinstance(x, np.ndarray) else x for x in inputs]
        expected = np.asarray(self.op.raw(*given, **{k: v for k, v in params.items() if k != "shared"}))
        task = self.prepare(out, *inputs, **params)
        y = expected if task is None else np.array(task(), order="K", copy=True)
        if task is not None:
            self.agree(y, expected)
        again = np.empty_like(y)
        reversed_ = any(min(x.strides, default=0) < 0 for x in inputs if isinstance(x, np.ndarray))
        into = self.prepare(again, *inputs, **params) if y.ndim and not reversed_ else None  # see `takes_out`
        for _ in range(2 if into else 0):
            again.fill(0)
            into()
            self.agree(again, expected)
            assert np.array_equal(again, y, equal_nan=y.dtype.kind == "f"), "eager and compiled differ"
        for x, before in zip(inputs, given, strict=True):
            assert not isinstance(x, np.ndarray) or np.array_equal(x, before, equal_nan=x.dtype.kind == "f")
        return None if task is None else self.prepare(out, *inputs, **params)

    def agree(self, y, expected):
        self.results += 1
        assert (y.shape, y.dtype) == (expected.shape, expected.dtype), self.op
        tolerance = max([TOLERANCE.get(dtype, 0) for dtype in (y.dtype, *self.dtypes)]) if y.dtype.kind == "f" else 0
        scale = max(1.0, np.abs(expected[np.isfinite(expected)]).max(initial=0)) if tolerance else 1
        np.testing.assert_allclose(y, expected, rtol=tolerance, atol=tolerance * scale)


@every_accelerated
@settings(suppress_health_check=[*settings.default.suppress_health_check, HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32 - 1), dtype=st.sampled_from([np.float64, np.float32]), data=st.data())
def test_a_kernel_computes_what_the_definition_does(op, sizes, seed, dtype, data):
    case = data.draw(st.sampled_from(users()[op]))
    with Compared(op).attached():
        run(case, np.random.default_rng(seed), dtype)


class InAnyOrder(Compared):
    """The same, of inputs in other orders of memory: what is computed into given memory has the bits of an eager call."""

    def __init__(self, op, rng):
        super().__init__(op)
        self.rng, self.inside = rng, False

    def __call__(self, out, *inputs, **params):
        if out is None and not self.inside:  # a task may call its own op
            self.inside = True
            super().__call__(None, *(self.laid_out(x) for x in inputs), **params)
            self.inside = False
        return self.prepare(out, *inputs, **params)

    def laid_out(self, x):
        """A copy in a random order of memory, with axes that run backward, or with gaps."""
        if not isinstance(x, np.ndarray) or not x.ndim:
            return x
        order = self.rng.permutation(x.ndim)
        steps = self.rng.choice([1, 1, 1, 2, -1], x.ndim)
        memory = np.empty([n * abs(step) for n, step in zip(np.array(x.shape)[order], steps, strict=True)], x.dtype)
        view = memory[tuple([slice(None, None, step) for step in steps])].transpose(np.argsort(order))
        view[...] = x
        return view


@every_accelerated
@settings(suppress_health_check=[*settings.default.suppress_health_check, HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32 - 1), dtype=st.sampled_from([np.float64, np.float32]), data=st.data())
def test_in_any_order_of_memory_it_computes_the_same_into_given_memory(op, sizes, seed, dtype, data):
    case, rng = data.draw(st.sampled_from(users()[op])), np.random.default_rng(seed)
    with InAnyOrder(op, rng).attached():
        run(case, rng, dtype)


class ByImages(InAnyOrder):
    """The same, where the images of the arrays along the batch are there for their own parts only, as between the stages of
    a stream: NaN before, NaN after."""

    def __call__(self, out, *inputs, **params):
        if out is None and not self.inside:
            self.inside = True
            given = [self.laid_out(x) for x in inputs]
            task = self.prepare(None, *given, **params)
            backward = any(min(x.strides, default=0) < 0 for x in given if isinstance(x, np.ndarray))
            y = np.array(np.nan if task is None or backward else task(), order="K")  # see `takes_out`
            into = np.empty_like(y)
            work = self.prepare(into, *given, **params) if np.isfinite(y).all() else None
            if isinstance(work, Work) and work.images is not None:
                self.results += 1
                with_workspace(self.in_parts, work, [x for x in self.along_batch(given) if x.dtype.kind == "f"])
                np.testing.assert_array_equal(into, y)
            self.inside = False
        return self.prepare(out, *inputs, **params)

    def along_batch(self, given):
        named = [
            (name, x) for name, x in zip(self.op.signature.inputs, given, strict=False) if isinstance(x, np.ndarray)
        ]
        return [x for name, x in named if name in self.op.along]

    @staticmethod
    def in_parts(work, arrays):
        saved = [x.copy() for x in arrays]
        with np.errstate(all="ignore"):
            for x in arrays:
                x.fill(np.nan)
            for call in work.before:
                call()
            for part, own in reversed(list(zip(work.parts, work.images, strict=True))):
                for x, values in zip(arrays, saved, strict=True):
                    x.fill(np.nan)
                    x[own] = values[own]
                for call in work.arrange(part):
                    call()
            for x in arrays:
                x.fill(np.nan)
            for call in work.after:
                call()
        for x, values in zip(arrays, saved, strict=True):
            x[...] = values


PARALLEL = [op for op in ACCELERATED if op.along]


@pytest.mark.parametrize("op", PARALLEL, ids=lambda op: op.name)
@settings(suppress_health_check=[*settings.default.suppress_health_check, HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32 - 1), dtype=st.sampled_from([np.float64, np.float32]), data=st.data())
def test_a_part_reads_its_own_images_only(op, sizes, seed, dtype, data):
    case, rng = data.draw(st.sampled_from(users()[op])), np.random.default_rng(seed)
    with ByImages(op, rng).attached():
        run(case, rng, dtype)


@pytest.mark.parametrize("op", [op for op in ACCELERATED if op.name not in NUMBA_ALONE], ids=lambda op: op.name)
def test_rows_run_the_kernel(op, tiny):
    """Else the test above would compare nothing."""
    compared = Compared(op)
    with compared.attached():
        for case in users()[op]:
            for seed in range(3):
                run(case, np.random.default_rng(seed))
                if compared.results:
                    return
    raise AssertionError(f"no row of the case table runs the kernel of {op}")
