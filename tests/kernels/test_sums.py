"""A sum that is prepared, as compiled functions run it, has the bits of the eager one, in every memory order."""

from itertools import combinations, permutations

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn.kernels import sums

SHAPE = (4, 3, 6, 19)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("share", [1, 7])
def test_a_prepared_sum_is_the_eager_one(dtype, share):
    x = np.random.default_rng(0).normal(size=SHAPE).astype(dtype)
    for order in permutations(range(4)):
        a = np.ascontiguousarray(x.transpose(order)).transpose(np.argsort(order))
        for axes in [axes for n in (1, 2, 3, 4) for axes in combinations(range(4), n)]:
            for keepdims in (False, True):
                expected = np.asarray(sums.prepare(None, a, axes, keepdims, share)())
                out = np.empty_like(expected)
                sums.prepare(out, a, axes, keepdims, share)()
                np.testing.assert_array_equal(out, expected, f"{order}, {axes}")


def test_a_compiled_gradient_of_a_pool_with_large_tiles():
    """With respect to the incoming gradient it is a sum over the tiles of an array in Fortran order."""
    rng = np.random.default_rng(0)
    x, weights = rng.normal(size=(4, 2, 6, 19)), np.asfortranarray(rng.normal(size=(4, 2, 6, 19)))

    def slope(x, g):
        (dx,) = tg.gradients([tg.avg_pool2d(x, (2, 19))], [x], [g], create_graph=True)
        return tg.gradients([(dx * weights.astype(np.float32)).sum()], [g])[0] * 1

    def leaves():
        return [tg.Tensor(a.astype(np.float32), requires_grad=True) for a in (x, np.ones((4, 2, 3, 1)))]

    compiled, expected = tg.compile(slope), slope(*leaves())
    for _ in range(6):
        np.testing.assert_array_equal(compiled(*leaves()).numpy(), expected.numpy())
