"""vmap beside a loop over the samples: every row of the case table, nested transforms, and what is refused."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn.testing.cases import Draws

from ..rows import CASES


class OneShape(Draws):
    """Inputs of the same shapes in every draw."""

    def __init__(self, rng, shape=(2, 3)):
        super().__init__(rng)
        self.shape = shape

    def broadcastable(self, count):
        return [self.shape] * count

    def square(self):
        return False


def samples(case, n=3):
    draws = [case.draw(OneShape(np.random.default_rng(seed))) for seed in range(n)]
    return [list(column) for column in zip(*draws, strict=True)]


def subsets(count):
    """All inputs batched, and each alone."""
    return [tuple(range(count)), *((i,) for i in range(count) if count > 1)]


def called(case, arrays):
    return case.call(*[tg.Tensor(a) for a in arrays])


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_row_is_what_a_loop_gives(case):
    columns = samples(case)
    for batched in subsets(len(columns)):
        axes = tuple(0 if i in batched else None for i in range(len(columns)))
        given = [np.stack(c) if i in batched else c[0] for i, c in enumerate(columns)]
        expected = [called(case, [c[k if i in batched else 0] for i, c in enumerate(columns)]) for k in range(3)]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            found = tg.vmap(lambda *xs: case.call(*[tg.Tensor(x) for x in xs]), in_axes=axes)(*given)
        wanted = np.stack([y.numpy() for y in expected])
        assert found.dtype == wanted.dtype
        np.testing.assert_allclose(found, wanted, rtol=1e-10, atol=1e-12)


def scalar(case, float_at):
    """A scalar function of a row's floating-point inputs, the others being fixed by the caller."""

    def f(*arrays):
        y = case.call(*[tg.Tensor(a) for a in arrays])
        return (y * np.cos(np.arange(y.size, dtype=y.dtype)).reshape(y.shape)).sum()

    return f


REFUSED = {"det": "reads the values", "put_along_axis": "computes with an index"}
"""Functions whose gradient is no computation by ops alone where it differs from sample to sample."""

SMOOTH = [case for case in CASES if case.order]


@pytest.mark.parametrize("case", SMOOTH, ids=lambda case: case.name)
def test_the_gradient_for_each_sample_and_through_the_batch(case):
    columns = samples(case)
    moving = tuple(i for i, c in enumerate(columns) if c[0].dtype.kind == "f")
    given, f = [np.stack(c) for c in columns], scalar(case, moving)
    expected = [tg.grad(f, argnums=moving)(*[c[k] for c in columns]) for k in range(3)]
    if case.function.__name__ in REFUSED:
        with pytest.raises(ValueError, match=REFUSED[case.function.__name__]):
            tg.vmap(tg.grad(f, argnums=moving))(*given)
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        each = tg.vmap(tg.grad(f, argnums=moving))(*given)
        through = tg.grad(lambda *xs: tg.vmap(f)(*xs).sum(), argnums=moving)(*given)
        ts = [np.sin(np.arange(given[i].size)).reshape(given[i].shape) for i in moving]

        def along(*xs):
            primals, tangents = xs[: len(columns)], iter(xs[len(columns) :])
            directions = tuple(next(tangents) if i in moving else None for i in range(len(columns)))
            return tg.jvp(f, primals, directions)[1]

        pushed = tg.vmap(along)(*given, *ts)
    wanted = [np.stack([g[k].numpy() for g in expected]) for k in range(len(moving))]
    for w, a, b in zip(wanted, each, through, strict=True):
        np.testing.assert_allclose(a, w, rtol=1e-9, atol=1e-11)
        np.testing.assert_allclose(b, w, rtol=1e-9, atol=1e-11)
    size = sum(np.abs(w * t).sum() for w, t in zip(wanted, ts, strict=True))
    dot = sum((w * t).reshape(3, -1).sum(1) for w, t in zip(wanted, ts, strict=True))
    np.testing.assert_allclose(pushed, dot, rtol=1e-9, atol=1e-12 * size)
