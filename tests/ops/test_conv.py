"""Convolution, transposed convolution, unfold and fold: against loops, against each other, and for what they refuse."""

from __future__ import annotations

import inspect
import re

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import tinygrad_cnn as tg
from tinygrad_cnn.ops.conv import convolve, convolve_dw, convolve_dx, geometry
from tinygrad_cnn.testing import assert_gradients
from tinygrad_cnn.testing.strategies import ConvGeometry, conv_geometries

from ..graphs import node_of
from ..rows.conv import naive_conv, naive_transpose, naive_unfold

CONV = {1: tg.conv1d, 2: tg.conv2d, 3: tg.conv3d}
TRANSPOSED = {1: tg.conv_transpose1d, 2: tg.conv_transpose2d, 3: tg.conv_transpose3d}

dimensions = st.sampled_from([1, 2, 2, 3])
geometries = dimensions.flatmap(lambda ndim: conv_geometries(ndim, max_size=6 if ndim < 3 else 4))
planar = conv_geometries(2, max_size=5)
seeds = st.integers(0, 2**32 - 1)


def normal(seed, *shapes):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=shape) for shape in shapes]


def odd_layout(a):
    """The same values in the middle of a larger array with reversed axes and gaps."""
    wide = np.full([2 * n + 1 for n in a.shape[::-1]], np.nan, a.dtype).T
    view = wide[tuple(slice(2 * n - 1, None, -2) if n else slice(0) for n in a.shape)]
    view[...] = a
    return view


class TestConvolution:
    @given(geometries, seeds)
    def test_is_the_loop_of_its_definition(self, g, seed):
        x, w, b = normal(seed, g.x, g.w, g.w[:1])
        y = CONV[g.ndim](x, w, b, **g.kwargs)
        np.testing.assert_allclose(y, naive_conv(x, w, b, **g.kwargs), rtol=1e-12, atol=1e-12)

    @given(geometries, seeds)
    def test_is_linear_in_both_arguments(self, g, seed):
        conv = CONV[g.ndim]
        x1, x2, w1, w2 = normal(seed, g.x, g.x, g.w, g.w)
        for mixed, parts in (
            (conv(2 * x1 - x2, w1, **g.kwargs), [(x1, w1), (x2, w1)]),
            (conv(x1, 2 * w1 - w2, **g.kwargs), [(x1, w1), (x1, w2)]),
        ):
            first, second = (conv(x, w, **g.kwargs) for x, w in parts)
            np.testing.assert_allclose(mixed, 2 * first - second, rtol=1e-11, atol=1e-11)

    @given(geometries, seeds)
    def test_the_trio_is_one_form(self, g, seed):
        """<conv(x, w), u> = <x, dx(u, w)> = <w, dw(x, u)>."""
        x, w = normal(seed, g.x, g.w)
        names = ("stride", "padding", "dilation", "groups")
        options = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1, **g.kwargs}
        checked = geometry("conv", g.ndim, x.shape, w.shape, None, *(options[name] for name in names))
        inner = dict(zip(names, checked, strict=True))
        y = convolve(x, w, **inner)
        (u,) = normal(seed + 1, y.shape)
        form = np.vdot(y, u)
        scale = np.abs(y * u).sum() + 1
        dx, dw = convolve_dx(u, w, shape=x.shape, **inner), convolve_dw(x, u, shape=w.shape, **inner)
        assert dx.shape == x.shape
        assert dw.shape == w.shape
        assert abs(np.vdot(x, dx) - form) <= 1e-11 * scale
        assert abs(np.vdot(w, dw) - form) <= 1e-11 * scale

    @given(planar, seeds)
    def test_double_backward_for_any_geometry(self, g, seed):
        x, w, b = normal(seed, g.x, g.w, g.w[:1])
        assert_gradients(lambda *a: tg.conv2d(*a, **g.kwargs), x, w, b, order=2, budget=3)

    @given(conv_geometries(2, min_batch=0), seeds)
    def test_float32_and_odd_layouts_and_empty_batches(self, g, seed):
        x, w, b = (a.astype(np.float32) for a in normal(seed, g.x, g.w, g.w[:1]))
        tensors = [tg.from_numpy(odd_layout(a), requires_grad=True) for a in (x, w, b)]
        y = tg.conv2d(*tensors, **g.kwargs)
        assert y.dtype == np.float32
        np.testing.assert_allclose(y.numpy(), naive_conv(x, w, b, **g.kwargs), rtol=1e-4, atol=1e-4)
        y.sum().backward()
        assert [t.grad.dtype for t in tensors] == [np.float32] * 3
        assert [t.grad.shape for t in tensors] == [x.shape, w.shape, b.shape]

    @given(st.integers(1, 5), st.integers(1, 3), st.integers(1, 7), st.integers(1, 3), st.data())
    def test_same_padding_keeps_the_size_and_puts_an_odd_zero_after(self, k, d, n, ndim, data):
        j = data.draw(st.integers(0, k - 1))
        x, w = np.arange(1.0, n + 1), np.zeros(k)
        w[j] = 1
        ones = (1,) * (ndim - 1)
        y = CONV[ndim](x.reshape(1, 1, n, *ones), w.reshape(1, 1, k, *ones), padding="same", dilation=d)
        assert y.shape == (1, 1, n, *ones)
        shift = j * d - d * (k - 1) // 2  # half of all zeros, rounded down, come before
        np.testing.assert_array_equal(y.ravel(), [x[i + shift] if 0 <= i + shift < n else 0 for i in range(n)])

    def test_one_by_one_is_a_matrix_product_of_channels(self):
        x, w = normal(0, (2, 3, 4, 5), (6, 3, 1, 1))
        np.testing.assert_allclose(tg.conv2d(x, w), np.einsum("nchw,oc->nohw", x, w[..., 0, 0]), rtol=1e-12)

    def test_behind_a_convolution_memory_is_channels_last(self):
        x, w = normal(0, (2, 3, 6, 6), (8, 3, 3, 3))
        y = tg.conv2d(x, w, padding=1)
        for z in (y, tg.max_pool2d(y, 2), tg.avg_pool2d(y, 3, 1, 1)):
            assert np.moveaxis(z, 1, -1).flags.c_contiguous

    @given(geometries, seeds)
    def test_one_image_without_a_batch(self, g, seed):
        x, w = normal(seed, g.x, g.w)
        y = CONV[g.ndim](x[0], w, **g.kwargs)
        np.testing.assert_allclose(y, CONV[g.ndim](x, w, **g.kwargs)[0], rtol=1e-12, atol=1e-12)
        t = tg.Tensor(x[0], requires_grad=True)
        CONV[g.ndim](t, w, **g.kwargs).sum().backward()
        assert t.grad.shape == x[0].shape


class TestTransposed:
    @given(geometries, st.data(), seeds)
    def test_is_the_loop_of_its_definition(self, g, data, seed):
        kwargs = {k: v for k, v in g.kwargs.items() if v not in ("same", "valid")}
        each = [np.broadcast_to(kwargs.get(name, 1), g.ndim).tolist() for name in ("stride", "dilation")]
        limits = [max(pair) - 1 for pair in zip(*each, strict=True)]
        padding = np.broadcast_to(kwargs.get("padding", 0), g.ndim).tolist()
        # whatever the padding leaves of the smallest image must be something
        sizes = [n + 2 * p for n, p in zip(g.x[2:], padding, strict=True)]
        extra = tuple(data.draw(st.integers(0, limit)) for limit in limits)
        x, w, b = normal(seed, (g.x[0], g.w[0], *sizes), g.w, (g.x[1],))
        y = TRANSPOSED[g.ndim](x, w, b, output_padding=extra, **kwargs)
        expected = naive_transpose(x, w, b, output_padding=extra, **kwargs)
        np.testing.assert_allclose(y, expected, rtol=1e-12, atol=1e-12)

    @given(geometries.filter(lambda g: g.kwargs.get("padding") != "same"), seeds)
    @example(
        ConvGeometry((1, 2, 1), (4, 1, 1), {"groups": 2, "padding": 1, "stride": 3}), 0
    )  # windows on padding alone
    def test_is_the_adjoint_of_convolution(self, g, seed):
        """<conv(x, w), u> = <x, conv_transpose(u, w)>, with output_padding for what a stride leaves over."""
        kwargs = {k: v for k, v in g.kwargs.items() if v != "valid"}
        x, w = normal(seed, g.x, g.w)
        y = CONV[g.ndim](x, w, **kwargs)
        (u,) = normal(seed + 1, y.shape)
        stride, padding, dilation = (
            np.broadcast_to(kwargs.get(k, d), g.ndim) for k, d in (("stride", 1), ("padding", 0), ("dilation", 1))
        )
        least = (np.array(u.shape[2:]) - 1) * stride - 2 * padding + dilation * (np.array(g.w[2:]) - 1) + 1
        extra = tuple((np.array(x.shape[2:]) - least).tolist())
        back = TRANSPOSED[g.ndim](u, w, output_padding=extra, **kwargs)
        assert back.shape == x.shape
        assert abs(np.vdot(y, u) - np.vdot(x, back)) <= 1e-11 * (np.abs(y * u).sum() + 1)

    @pytest.mark.parametrize(
        ("x", "w", "kwargs"),
        [
            ((2, 4, 3, 2), (4, 1, 2, 3), {"stride": (2, 3), "groups": 2}),
            ((1, 2, 3, 3), (2, 2, 3, 2), {"dilation": (1, 3), "padding": (1, 0), "output_padding": (0, 2)}),
            ((1, 2, 2, 3), (2, 1, 3, 3), {"stride": 2, "padding": 1, "output_padding": 1, "groups": 2}),
            ((1, 1, 2, 2), (1, 2, 1, 1), {"stride": 3, "output_padding": 2}),
        ],
        ids=str,
    )
    def test_double_backward(self, x, w, kwargs):
        x, w, b = normal(3, x, w, (w[1] * kwargs.get("groups", 1),))
        assert_gradients(lambda *a: tg.conv_transpose2d(*a, **kwargs), x, w, b, order=3, budget=4)

    def test_float32_empty_batches_and_single_images(self):
        x, w, b = (a.astype(np.float32) for a in normal(0, (2, 3, 4, 4), (3, 2, 3, 3), (2,)))
        y = tg.conv_transpose2d(x, w, b, stride=2)
        assert y.dtype == np.float32
        np.testing.assert_allclose(
            y, tg.conv_transpose2d(odd_layout(x), odd_layout(w), odd_layout(b), 2), rtol=1e-5, atol=1e-6
        )
        np.testing.assert_allclose(tg.conv_transpose2d(x[0], w, b, 2), y[0], rtol=1e-5, atol=1e-6)
        empty = tg.Tensor(x[:0], requires_grad=True)
        z = tg.conv_transpose2d(empty, w, b, 2)
        assert z.shape == (0, *y.shape[1:])
        z.sum().backward()
        assert empty.grad.shape == (0, 3, 4, 4)


class TestUnfold:
    @given(planar, seeds)
    def test_is_the_loop_and_fold_is_its_adjoint(self, g, seed):
        kwargs = {k: v for k, v in g.kwargs.items() if k in ("stride", "dilation")}
        kwargs |= {"padding": 3, "kernel_size": g.w[2:]}
        (x,) = normal(seed, g.x)
        y = tg.unfold(x, **kwargs)
        np.testing.assert_array_equal(y, naive_unfold(x, **kwargs))
        (u,) = normal(seed + 1, y.shape)
        back = tg.fold(u, x.shape[2:], **kwargs)
        assert back.shape == x.shape
        assert abs(np.vdot(y, u) - np.vdot(x, back)) <= 1e-11 * (np.abs(y * u).sum() + 1)
        assert_gradients(lambda a: tg.unfold(a, **kwargs) ** 2, x, order=2, budget=2)
        assert_gradients(lambda a: tg.fold(a, x.shape[2:], **kwargs) ** 2, u, order=2, budget=2)

    @given(planar, seeds)
    def test_a_convolution_is_a_matrix_product_of_columns(self, g, seed):
        x, w = normal(seed, (2, g.w[1], *g.x[2:]), g.w)
        y = tg.conv2d(x, w, padding=3)
        columns = tg.unfold(x, w.shape[2:], padding=3)
        np.testing.assert_allclose(y, (w.reshape(len(w), -1) @ columns).reshape(y.shape), rtol=1e-11, atol=1e-11)

    def test_one_image_float32_and_memory_of_its_own(self):
        x = np.arange(12, dtype=np.float32).reshape(1, 1, 3, 4)
        y = tg.unfold(x, 1)
        assert y.dtype == np.float32
        assert not np.shares_memory(x, y)
        np.testing.assert_array_equal(tg.unfold(x[0], 2), tg.unfold(x, 2)[0])
        np.testing.assert_array_equal(tg.fold(tg.unfold(x[0], 2), (3, 4), 2), tg.fold(tg.unfold(x, 2), (3, 4), 2)[0])


ONE = np.ones((1, 1, 5, 5))
W = np.ones((2, 1, 3, 3))

REFUSED = [
    (lambda: tg.conv2d(ONE, W, stride=0), ValueError, "conv2d: `stride` is 0; it must be at least 1"),
    (lambda: tg.conv2d(ONE, W, stride=(1, -2)), ValueError, "conv2d: `stride` is (1, -2); it must be at least 1"),
    (lambda: tg.conv2d(ONE, W, dilation=0), ValueError, "`dilation` is 0"),
    (lambda: tg.conv2d(ONE, W, padding=-1), ValueError, "`padding` is -1; it must be at least 0"),
    (lambda: tg.conv2d(ONE, W, groups=0), ValueError, "`groups` is 0"),
    (lambda: tg.conv2d(ONE, W, groups=-1), ValueError, "`groups` is -1"),
    (lambda: tg.conv2d(ONE, W, groups=2), ValueError, "`groups` is 2, which must divide both the 1 channels of `x`"),
    (lambda: tg.conv2d(np.ones((1, 3, 5, 5)), np.ones((2, 4, 3, 3))), ValueError,
     "conv2d: `x` has 3 channels but `w` expects 4 (4 in each of 1 groups); check `in_channels` or `groups`"),
    (lambda: tg.conv2d(np.ones((1, 5, 6, 3)), np.ones((2, 3, 3, 3))), ValueError,
     "conv2d: `x` has 5 channels but `w` expects 3 (3 in each of 1 groups); its last axis has so many: np.moveaxis(x, -1, 1)"),
    (lambda: tg.conv2d(ONE, np.ones((2, 1, 6, 3))), ValueError,
     "the kernel of `w` spans 6 along spatial axis 0 but the padded `x` has 5"),
    (lambda: tg.conv2d(ONE, W, dilation=(1, 3)), ValueError, "spans 7 along spatial axis 1 but the padded `x` has 5"),
    (lambda: tg.conv2d(ONE, W, np.ones(3)), ValueError, "`b` has shape (3,); it must be (2,)"),
    (lambda: tg.conv2d(np.ones((5, 5)), W), ValueError, "`x` has shape (5, 5); it must be (N, C, H, W) or (C, H, W)"),
    (lambda: tg.conv2d(ONE, W[0]), ValueError, "`w` has shape (1, 3, 3); it must be (O, C / groups, H, W of the kernel)"),
    (lambda: tg.conv1d(ONE, W), ValueError, "conv1d: `x` has shape (1, 1, 5, 5); it must be (N, C, L) or (C, L)"),
    (lambda: tg.conv3d(ONE[0], W), ValueError, "conv3d: `x` has shape (1, 5, 5); it must be (N, C, D, H, W)"),
    (lambda: tg.conv2d(ONE, W[:0]), ValueError, "`w` has shape (0, 1, 3, 3); every size must be at least 1"),
    (lambda: tg.conv2d(ONE, W, padding="full"), ValueError, "`padding` is 'full'; it must be 'same', 'valid'"),
    (lambda: tg.conv2d(ONE, W, padding="same", stride=2), ValueError, "`padding` 'same' needs stride 1"),
    (lambda: tg.conv2d(ONE, W, stride=(1, 1, 1)), ValueError, "`stride` is (1, 1, 1); it must be one integer or 2"),
    (lambda: tg.conv2d(ONE, W, stride=1.5), TypeError, "`stride` is 1.5; it must be an integer or 2 integers"),
    (lambda: tg.conv2d(ONE, W, stride="two"), TypeError, "`stride` is 'two'"),
    (lambda: tg.conv2d(ONE, W, padding=(0.5, 1)), TypeError, "`padding` is (0.5, 1)"),
    (lambda: tg.conv2d(ONE, W, dilation=None), TypeError, "`dilation` is None"),
    (lambda: tg.conv2d(ONE, W, groups=1.0), TypeError, "`groups` is 1.0; it must be an integer"),
    (lambda: tg.conv2d([[1.0]], W), TypeError, "`x` is a list; it must be an array or a Tensor"),
    (lambda: tg.conv2d(ONE, 3.0), TypeError, "`w` is a float; it must be an array or a Tensor"),
    (lambda: tg.conv_transpose2d(ONE, W), ValueError, "`x` has 1 channels but `w` expects 2, its first size"),
    (lambda: tg.conv_transpose2d(ONE, W[:1], groups=2), ValueError, "`groups` is 2, which must divide the 1 channels"),
    (lambda: tg.conv_transpose2d(ONE, W[:1], stride=2, output_padding=2), ValueError,
     "`output_padding` is 2; it must be smaller than `stride` (2, 2) or `dilation` (1, 1)"),
    (lambda: tg.conv_transpose2d(ONE, W[:1], output_padding=-1), ValueError, "`output_padding` is -1"),
    (lambda: tg.conv_transpose2d(ONE, W[:1], padding=4), ValueError,
     "`padding` is 4, which leaves a result of (-1, -1); lower `padding`"),
    (lambda: tg.conv_transpose2d(ONE, W[:1], padding="same"), TypeError, "`padding` is 'same'"),
    (lambda: tg.conv_transpose2d(ONE, W[:1], np.ones(2)), ValueError, "`b` has shape (2,); it must be (1,)"),
    (lambda: tg.conv_transpose2d(ONE, W[0]), ValueError, "`w` has shape (1, 3, 3); it must be (C, O / groups, H, W"),
    (lambda: tg.conv_transpose2d(ONE[..., :0], W[:1]), ValueError, "every size but the batch must be at least 1"),
    (lambda: tg.conv_transpose1d(ONE, W), ValueError, "conv_transpose1d: `x` has shape (1, 1, 5, 5)"),
    (lambda: tg.unfold(ONE, 6), ValueError, "unfold: `kernel_size` spans 6 along spatial axis 0"),
    (lambda: tg.unfold(ONE, 0), ValueError, "unfold: `kernel_size` is 0"),
    (lambda: tg.unfold(ONE, 2, stride=0), ValueError, "unfold: `stride` is 0"),
    (lambda: tg.unfold(ONE[0, 0], 2), ValueError, "unfold: `x` has shape (5, 5)"),
    (lambda: tg.fold(np.ones((1, 4, 3)), (3, 3), 2), ValueError,
     "fold: `x` has 3 columns but 2 x 2 windows fit `output_size` (3, 3)"),
    (lambda: tg.fold(np.ones((1, 5, 4)), (3, 3), 2), ValueError, "fold: `x` has 5 rows, which `kernel_size` (2, 2)"),
    (lambda: tg.fold(ONE, (3, 3), 2), ValueError, "fold: `x` has shape (1, 1, 5, 5)"),
    (lambda: tg.fold(np.ones((1, 4, 4)), 0, 2), ValueError, "fold: `output_size` is 0"),
    (lambda: tg.fold(np.ones((1, 4, 4)), (3, 3, 3), 2), ValueError, "fold: `output_size` is (3, 3, 3)"),
    (lambda: tg.fold(np.ones((1, 4, 4)), "3", 2), TypeError, "fold: `output_size` is '3'"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "error", "message"), REFUSED, ids=[message[:60] for *_, message in REFUSED])
def test_what_is_refused_and_how(call, error, message):
    with pytest.raises(error, match=re.escape(message)):
        call()


def test_a_refused_call_changes_nothing():
    x, w = tg.Tensor(ONE, requires_grad=True), tg.Tensor(W, requires_grad=True)
    for wrong in ({"stride": 0}, {"groups": 2}, {"padding": "full"}):
        with pytest.raises(ValueError, match="conv2d"):
            tg.conv2d(x, w, **wrong)
    tg.conv2d(x, w).sum().backward()
    np.testing.assert_array_equal(x.numpy(), ONE)
    np.testing.assert_allclose(w.grad.numpy(), np.full(W.shape, 9.0))


@pytest.mark.parametrize("family", [CONV, TRANSPOSED], ids=["conv", "conv_transpose"])
def test_every_rank_takes_the_same_arguments(family):
    assert len({str(inspect.signature(f)) for f in family.values()}) == 1


@pytest.mark.parametrize("size", [5, 40], ids=["little", "much"])
def test_what_is_kept_for_which_gradients(size):
    """Of x and w, what a rule needs whose gradient is wanted: the bias needs neither, and keeps no more than itself."""
    x, w, b = (tg.Tensor(np.ones(shape)) for shape in ((2, 1, size, size), (3, 1, 3, 3), (3,)))
    for wanted, kept in (("b", ""), ("w", "x"), ("wb", "x"), ("x", "w"), ("xb", "w"), ("xwb", "xw")):
        leaves = {n: tg.Tensor(t.numpy(), requires_grad=n in wanted) for n, t in zip("xwb", (x, w, b), strict=True)}
        y = tg.conv2d(*leaves.values())
        saved = node_of(y).saved
        assert [value is not None for value in saved] == ["x" in kept, "w" in kept]
        y.sum().backward()
        if "b" in wanted:
            np.testing.assert_array_equal(leaves["b"].grad.numpy(), np.full(3, 2.0 * (size - 2) ** 2))
            assert leaves["b"].grad.numpy().base.size == 3


@pytest.mark.parametrize("name", ["stride", "padding", "dilation"])
@pytest.mark.parametrize("wrong", [1.0, (1, 1.0), [1.0, 1], np.float32(1)])
def test_what_equals_a_size_that_was_checked_is_still_refused(name, wrong):
    x, w = np.ones((1, 1, 5, 5)), np.ones((1, 1, 3, 3))
    for valid in (1, (1, 1), [1, 1], np.array([1, 1]), True, (True, 1)):
        assert tg.conv2d(x, w, **{name: valid}).shape == tg.conv2d(x, w, **{name: (1, 1)}).shape
    with pytest.raises(TypeError, match=f"conv2d: `{name}` is .* it must be an integer or 2 integers"):
        tg.conv2d(x, w, **{name: wrong})
