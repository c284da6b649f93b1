"""Attention: masks, large scores, dropout, and what is refused. The table of cases checks the formula."""

from __future__ import annotations

import re

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import scaled_dot_product_attention as attention

RNG = np.random.default_rng(0)
Q, K, V = (RNG.normal(size=shape) for shape in ((2, 4, 3, 6), (2, 4, 5, 6), (2, 4, 5, 2)))


def test_a_mask_of_booleans_is_one_of_infinities_and_the_causal_one_a_triangle():
    met = RNG.random((3, 5)) > 0.4
    met[1] = False
    expected = attention(Q, K, V, met)
    np.testing.assert_allclose(attention(Q, K, V, np.where(met, 0, -np.inf)), expected, rtol=1e-12)
    np.testing.assert_array_equal(attention(Q, K, V, np.tri(3, 5) > 0), attention(Q, K, V, is_causal=True))


def test_a_query_for_which_all_keys_are_masked_gives_zero_and_has_no_gradient():
    q, k, v, mask = (tg.Tensor(a, requires_grad=True) for a in (Q, K, V, np.zeros((3, 5))))
    for masked in (np.arange(3)[:, None] != np.ones(5), mask + np.where(np.arange(3)[:, None] == 1, -np.inf, 0)):
        y = attention(q, k, v, masked)
        assert not y.numpy()[..., 1, :].any()
        first = tg.gradients((y**2).sum(), [q, k, v], create_graph=True)
        second = tg.gradients(sum((g**2).sum() for g in first), [q, k, v])
        for dq, dk, dv in (first, second):
            assert not dq.numpy()[..., 1, :].any()
            assert all(np.isfinite(g.numpy()).all() and g.numpy().any() for g in (dq, dk, dv))


def test_large_scores_do_not_overflow():
    y = attention(1e4 * Q.astype(np.float32), K.astype(np.float32), V.astype(np.float32))
    assert y.dtype == np.float32
    best = (Q @ K.swapaxes(-1, -2)).argmax(-1)
    np.testing.assert_allclose(y, np.take_along_axis(V, best[..., None], 2), rtol=1e-5, atol=1e-5)


def test_each_group_of_queries_shares_a_head_of_keys():
    y = attention(Q, K[:, :2], V[:, :2], enable_gqa=True)
    for head in range(4):
        one = (slice(None), slice(head // 2, head // 2 + 1))
        np.testing.assert_allclose(y[:, [head]], attention(Q[:, [head]], K[one], V[one]), rtol=1e-12)


def test_dropout_drops_weights():
    """With values that are the identity, the result is the weights."""
    eye, weights = np.eye(5), attention(Q, K, np.eye(5))
    y = attention(Q, K, eye, dropout_p=0.25, rng=0)
    assert 0 < (y == 0).mean() < 0.5
    np.testing.assert_allclose(y[y != 0], weights[y != 0] / 0.75, rtol=1e-12)
    assert not attention(Q, K, eye, dropout_p=1).any()


def test_numbers_may_be_arrays_without_axes():
    expected = attention(Q, K, V, scale=0.5)
    np.testing.assert_array_equal(attention(Q, K, V, scale=np.array(0.5), dropout_p=np.array(0.0)), expected)


def test_sizes_of_zero():
    assert attention(Q[..., :0, :], K, V).shape == (2, 4, 0, 2)
    np.testing.assert_allclose(attention(Q[..., :0], K[..., :0], V)[..., 0, :], V.mean(-2), rtol=1e-12)


REFUSED = [
    (lambda: attention(Q, K[..., :5], V), ValueError, "`query` (2, 4, 3, 6), `key` (2, 4, 5, 5) and `value` (2, 4, 5, 2)"),
    (lambda: attention(Q, K, V[..., :4, :]), ValueError, "must be (..., L, E), (..., S, E) and (..., S, V)"),
    (lambda: attention(Q, K[:, :2], V[:, :2]), ValueError, "with leading axes that broadcast"),
    (lambda: attention(Q[0, 0, 0], K, V), ValueError, "`query` (6,)"),
    (lambda: attention(Q, K[:, :3], V[:, :3], enable_gqa=True), ValueError, "a multiple of them of queries"),
    (lambda: attention(Q[0, 0], K[0, 0], V[0, 0], enable_gqa=True), ValueError, "must be (..., heads, length, size)"),
    (lambda: attention(Q, K, V, np.ones((3, 5), bool), is_causal=True), ValueError, "put both into one mask"),
    (lambda: attention(Q, K, V, np.ones((3, 5), np.int64)), TypeError, "`attn_mask` is dtype('int64'); it must hold Booleans"),
    (lambda: attention(Q, K, V, [[True]]), TypeError, "`attn_mask` is [[True]]; it must hold Booleans or floats"),
    (lambda: attention(Q, K, V, np.ones((5, 3), bool)), ValueError, "`attn_mask` has shape (5, 3)"),
    (lambda: attention(Q, K, V, np.ones((3, 2, 4, 3, 5))), ValueError, "`attn_mask` has shape (3, 2, 4, 3, 5)"),
    (lambda: attention(Q, K, V, dropout_p=2), ValueError, "`dropout_p` is 2; it must be a probability"),
    (lambda: attention(Q, K, V, scale="1"), TypeError, "`scale` is '1'; it must be a number"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "error", "message"), REFUSED, ids=[message[:50] for *_, message in REFUSED])
def test_what_is_refused_and_how(call, error, message):
    with pytest.raises(error, match="^scaled_dot_product_attention: .*" + re.escape(message)):
        call()
