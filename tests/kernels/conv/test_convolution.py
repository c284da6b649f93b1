"""The convolution kernels over sizes that reach every layout of columns: values, buffers, threads, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_cnn.kernels import blocking
from tinygrad_cnn.kernels.conv import cached_im2col, depthwise, products, strips
from tinygrad_cnn.kernels.conv.convolution import forward, input_gradient, parameter_gradients, weight_gradient
from tinygrad_cnn.kernels.parallel import threads
from tinygrad_cnn.ops.windows import output_sizes

seeds, booleans = st.integers(0, 2**32 - 1), st.booleans()


@st.composite
def shapes(draw, depthwise=booleans):
    """(x, w, options): few channels and many, kernels that shifts suit and kernels they do not, rows of unequal padding."""
    ndim = draw(st.sampled_from([1, 2, 2, 2, 3]))
    groups, c, o = draw(st.sampled_from([1, 1, 1, 2])), draw(st.sampled_from([1, 3, 8, 16])), draw(st.integers(1, 9))
    if draw(depthwise):
        groups, c = draw(st.integers(2, 5)), 1
        o = draw(st.integers(1, 2))
    axis = st.tuples(
        st.integers(1, 4), st.integers(0, 9 if ndim < 3 else 3), st.tuples(st.integers(0, 3), st.integers(0, 3)),
        st.sampled_from([1, 1, 1, 2, 3]), st.sampled_from([1, 1, 1, 2]),
    )  # fmt: skip
    kernel, more, padding, stride, dilation = zip(*(draw(axis) for _ in range(ndim)), strict=True)
    spans = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    sizes = [max(1, n - sum(p)) + extra for n, p, extra in zip(spans, padding, more, strict=True)]
    x = (draw(st.integers(0, 4)), groups * c, *sizes)
    return x, (groups * o, c, *kernel), {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}


def definition(x, w, stride, padding, dilation, groups):
    """One kernel element at a time, from a padded copy."""
    x = np.pad(x, ((0, 0), (0, 0), *padding))
    n, o, kernel = len(x), len(w), w.shape[2:]
    out = [(m - (k - 1) * d - 1) // s + 1 for m, k, s, d in zip(x.shape[2:], kernel, stride, dilation, strict=True)]
    y = np.zeros((n, o, *out))
    xs = x.reshape(n, groups, x.shape[1] // groups, *x.shape[2:])
    ws = w.reshape(groups, o // groups, *w.shape[1:])
    for k in np.ndindex(*kernel):
        places = tuple(
            slice(i * d, i * d + (m - 1) * s + 1, s) for i, d, m, s in zip(k, dilation, out, stride, strict=True)
        )
        term = np.einsum("ngc...,goc->ngo...", xs[(..., *places)], ws[(..., *k)])
        y += term.reshape(y.shape)
    return y


def check_gradients(x, w, u, dx, dw, options, rng):
    """A linear form is known by its values: <dx, v> = <conv(v, w), u>, and so is dw."""
    for _ in range(2):
        v, z = rng.normal(size=x.shape), rng.normal(size=w.shape)
        for got, value in (
            (np.vdot(dx, v), definition(v, w, **options)),
            (np.vdot(dw, z), definition(x, z, **options)),
        ):
            assert abs(got - np.vdot(value, u)) <= 1e-11 * (np.abs(value * u).sum() + 1)


def operands(x_shape, w_shape, options, lay, lay_u, biased, rng):
    """x, w, b or None, a gradient u of the output, and what the output must be."""
    x, w = lay(rng.normal(size=x_shape)), rng.normal(size=w_shape)
    b = rng.normal(size=w_shape[0]) if biased else None
    expected = definition(x, w, **options)
    u = lay_u(rng.normal(size=expected.shape))
    return x, w, b, u, expected if b is None else expected + b.reshape(-1, *(1 for _ in x_shape[2:]))


def channels_last(a):
    return np.moveaxis(np.ascontiguousarray(np.moveaxis(a, 1, -1)), -1, 1)


def apart(a):
    """The same values with gaps between them."""
    wide = np.full([2 * n + 1 for n in a.shape], np.nan, a.dtype)
    view = wide[tuple(slice(1, 2 * n, 2) for n in a.shape)]
    view[...] = a
    return view


def images_apart(a):
    """Channels last, with a gap behind every image."""
    return channels_last(np.concatenate([a, np.full_like(a, np.nan)], 2))[:, :, : a.shape[2]]


layouts = st.sampled_from([np.ascontiguousarray, channels_last, images_apart, apart])


@pytest.fixture(params=["small blocks", "default blocks"], autouse=True)
def block_size(request, monkeypatch):
    if request.param == "small blocks":
        for function in (blocking.blocks, blocking.cut, blocking.image_blocks):
            monkeypatch.setattr(function, "__defaults__", (600,))
        monkeypatch.setattr(depthwise, "BLOCK_BYTES", 600)
        monkeypatch.setattr(strips, "LEAST_BYTES", 600)
        monkeypatch.setattr(strips, "MOST_BYTES", 600)
        monkeypatch.setattr(cached_im2col, "plan", lambda *_: None)


@given(shapes(), layouts, layouts, seeds)
def test_values_gradients_and_buffers(shape, lay, lay_u, seed):
    x_shape, w_shape, options = shape
    rng = np.random.default_rng(seed)
    x, w, b = lay(rng.normal(size=x_shape)), rng.normal(size=w_shape), rng.normal(size=w_shape[0])
    expected = definition(x, w, **options)
    y = forward(x, w, None, **options)
    np.testing.assert_allclose(y, expected, rtol=1e-11, atol=1e-11)
    np.testing.assert_allclose(
        forward(x, w, b, **options), expected + b.reshape(-1, *(1 for _ in expected.shape[2:])), rtol=1e-11, atol=1e-11
    )
    u = lay_u(rng.normal(size=y.shape))
    dx, dw = input_gradient(u, w, x_shape[2:], **options), weight_gradient(x, u, w_shape[2:], **options)
    assert dx.shape == x_shape
    assert dw.shape == w_shape
    both = parameter_gradients(x, u, w_shape[2:], **options)
    np.testing.assert_allclose(both[: w.size].reshape(w_shape), dw, rtol=1e-11, atol=1e-11)
    np.testing.assert_allclose(both[w.size :], u.sum(axis=(0, *range(2, u.ndim))), rtol=1e-11, atol=1e-11)
    form, scale = np.vdot(expected, u), np.abs(expected * u).sum() + 1
    check_gradients(x, w, u, dx, dw, options, rng)
    assert abs(np.vdot(dx, x) - form) <= 1e-11 * scale
    for array, function, arguments in (
        (y, forward, (x, w, None)), (dx, input_gradient, (u, w, x_shape[2:])), (dw, weight_gradient, (x, u, w_shape[2:])),
        (both, parameter_gradients, (x, u, w_shape[2:])),
    ):  # fmt: skip
        buffer = np.full_like(array, np.nan)
        assert function(*arguments, **options, out=buffer) is buffer
        np.testing.assert_array_equal(buffer, array)


@given(shapes(depthwise=st.just(False)), layouts, seeds, st.integers(2, 5))
def test_the_bits_do_not_depend_on_the_number_of_threads(shape, lay, seed, count):
    x_shape, w_shape, options = shape
    rng = np.random.default_rng(seed)
    x, w = lay(rng.normal(size=x_shape).astype(np.float32)), rng.normal(size=w_shape).astype(np.float32)
    results = []
    for n in (1, count):
        threads.set_num_threads(n)
        y = forward(x, w, w[:, 0].reshape(len(w), -1)[:, 0].copy(), **options)
        u = lay(y)
        dx, both = input_gradient(u, w, x_shape[2:], **options), parameter_gradients(x, u, w_shape[2:], **options)
        results.append((y, dx, weight_gradient(x, u, w_shape[2:], **options), both))
    for one, many in zip(*results, strict=True):
        assert one.dtype == many.dtype == np.float32
        np.testing.assert_array_equal(one, many)


def test_a_long_signal_is_cut_into_blocks_in_depthwise_convolution():
    x, w = np.arange(1.0, 401.0).reshape(1, 2, 200), np.array([[[1.0, -1.0]], [[2.0, 1.0]]])
    y = forward(x, w, None, stride=(1,), padding=((0, 0),), dilation=(1,), groups=2)
    np.testing.assert_array_equal(y[0, 0], np.full(199, -1.0))
    np.testing.assert_array_equal(y[0, 1], 3 * x[0, 1, :-1] + 1)


def test_bits_of_large_products_do_not_depend_on_threads():
    rng = np.random.default_rng(0)
    x, w = (rng.normal(size=s).astype(np.float32) for s in ((3, 16, 40, 40), (24, 16, 3, 3)))
    options = {"stride": (1, 1), "padding": ((1, 1), (1, 1)), "dilation": (1, 1), "groups": 1}
    for images in (x, x[:1]):
        results = []
        for n in (1, 2, 3):
            threads.set_num_threads(n)
            y = forward(images, w, None, **options)
            results.append(
                (y, input_gradient(y, w, (40, 40), **options), weight_gradient(images, y, (3, 3), **options))
            )
        for other in results[1:]:
            for one, many in zip(results[0], other, strict=True):
                np.testing.assert_array_equal(one, many)


def test_memory_follows_the_incoming_gradient():
    w = np.ones((4, 16, 3, 3))
    options = {"stride": (1, 1), "padding": ((1, 1), (1, 1)), "dilation": (1, 1), "groups": 1}
    u = np.ones((2, 4, 5, 5))
    assert input_gradient(u, w, (5, 5), **options).flags.c_contiguous
    assert np.moveaxis(input_gradient(channels_last(u), w, (5, 5), **options), 1, -1).flags.c_contiguous


X, W = np.ones((2, 4, 6, 6)), np.ones((8, 4, 3, 3))
OPTIONS = {"stride": (1, 1), "padding": ((1, 1), (1, 1)), "dilation": (1, 1), "groups": 1}
U = np.ones((2, 8, 6, 6))

REFUSED = [
    ("channels", lambda: forward(X[:, :3], W, None, **OPTIONS), "the channels must agree"),
    ("groups", lambda: forward(X, W[:, :2], None, **{**OPTIONS, "groups": 3}), "the channels must agree"),
    ("rank", lambda: forward(X[0], W, None, **OPTIONS), "spatial axes"),
    ("lengths", lambda: forward(X, W, None, **{**OPTIONS, "stride": (1,)}), "spatial axes"),
    ("stride", lambda: forward(X, W, None, **{**OPTIONS, "stride": (0, 1)}), "at least 1"),
    ("padding", lambda: forward(X, W, None, **{**OPTIONS, "padding": ((-1, 0), (0, 0))}), "padding at least 0"),
    ("fit", lambda: forward(X, np.ones((8, 4, 9, 3)), None, **OPTIONS), "must fit the padded"),
    ("bias", lambda: forward(X, W, np.ones(7), **OPTIONS), "`b` has shape (7,)"),
    ("u", lambda: input_gradient(U[..., :5], W, (6, 6), **OPTIONS), "`u` has shape"),
    ("u of w", lambda: weight_gradient(X, U[:1], (3, 3), **OPTIONS), "`u` has shape"),
    ("out shape", lambda: forward(X, W, None, **OPTIONS, out=np.ones((2, 8, 5, 6))), "`out` is float64 of shape"),
    ("out dtype", lambda: forward(X, W, None, **OPTIONS, out=np.ones((2, 8, 6, 6), np.float32)), "it must be float64"),
    ("out order", lambda: forward(X, W, None, **OPTIONS, out=np.ones((2, 8, 6, 6))), "channels-last"),
    ("out gaps", lambda: input_gradient(U, W, (6, 6), **OPTIONS, out=np.ones((2, 4, 6, 12))[..., ::2]), "`out` has strides"),
    ("u of b", lambda: parameter_gradients(X, U[:, :1, 0], (3, 3), **OPTIONS), "`u` has shape"),
    ("out of b", lambda: parameter_gradients(X, U, (3, 3), **OPTIONS, out=np.ones(8 * 36)), "must be float64 of shape (296,)"),
    ("gaps", lambda: parameter_gradients(X, U, (3, 3), **OPTIONS, out=np.ones(592)[::2]), "`out` has strides"),
    ("out of w", lambda: weight_gradient(X, U, (3, 3), **OPTIONS, out=np.ones((8, 4, 3, 2))), "`out` is float64 of shape"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "message"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_sizes_are_checked_before_memory_is_touched(call, message):
    with pytest.raises(ValueError, match="convolution: ") as caught:
        call()
    assert message in str(caught.value)


def test_a_layout_is_chosen_by_shape():
    def chosen(kernel, size, padding, stride=(1, 1), dilation=(1, 1), channels=32, filters=96):
        pads = ((padding, padding),) * 2
        out = output_sizes((size, size), kernel, stride, pads, dilation)
        g = blocking.Geometry(kernel, out, stride, pads, dilation)
        return type(products.layout(g, channels, filters)).__name__

    assert chosen((3, 3), 32, 1, channels=16, filters=16) == "Sliding"  # copies would take most of the time
    assert chosen((3, 3), 32, 1) == chosen((3, 3), 32, 1, (2, 1)) == "Sliding"  # next to no window lies across a seam
    assert chosen((3, 3), 6, 1) == chosen((5, 5), 14, 4, dilation=(2, 2)) == "Strips"  # some do, for many products
    assert chosen((3, 3), 6, 1, filters=64) == "Sliding"  # for few
    assert chosen((3, 3), 14, 1, channels=256) == "Strips"  # BLAS would cut the rows
    assert chosen((3, 3), 20, 0) == "Sliding"  # strips would be laid out for pixels where no window is
    assert chosen((5, 5), 14, 0) == chosen((3, 3), 2, 1) == "Sliding"
    assert (
        chosen((5, 5), 9, 0) == chosen((3, 3), 1, 1) == "Direct"
    )  # nearly half of all windows would lie across a seam
    assert chosen((3, 3), 32, 0, dilation=(1, 2)) == chosen((1, 1), 32, 0) == "Direct"
    assert chosen((1, 1), 32, 0, (2, 2), filters=256) == "Direct"
    assert chosen((3, 3), 32, 1, (2, 2), filters=64) == chosen((1, 1), 32, 0, (2, 2)) == "Sliding"
    assert chosen((3, 3), 32, 1, channels=3) == "Along"  # the runs along the image are longer
    assert chosen((3, 3), 32, 1, channels=3, filters=16) == "Along"


@pytest.mark.parametrize("shape", [(2, 3, 200), (2, 1, 30, 9)])
def test_the_gradient_of_a_long_image_of_few_channels_is_cut_into_rows(shape, monkeypatch):
    """Blocks are parts of an image then, of which the rows of two reach into the same pixels."""
    for function in (blocking.blocks, blocking.cut, blocking.image_blocks):
        monkeypatch.setattr(function, "__defaults__", (300,))
    rng = np.random.default_rng(0)
    d = len(shape) - 2
    w, v = rng.normal(size=(4, shape[1], *(3,) * d)), rng.normal(size=shape)
    options = {"stride": (1,) * d, "padding": ((1, 2),) * d, "dilation": (2,) * d, "groups": 1}
    expected = definition(v, w, **options)
    u = rng.normal(size=expected.shape)
    np.testing.assert_allclose(np.vdot(input_gradient(u, w, shape[2:], **options), v), np.vdot(expected, u))


def test_work_that_failed_leaves_nothing_behind():
    """Prepared, as in a program: a lane that was done is not added to the next time."""
    rng = np.random.default_rng(0)
    x, u = (channels_last(rng.normal(size=(8, 16, 6, 6))) for _ in range(2))
    g = blocking.Geometry((5, 5), (6, 6), (1, 1), ((2, 2), (2, 2)), (1, 1))
    w, expected = np.empty((16, 16, 5, 5)), weight_gradient(x, u, (5, 5), (1, 1), ((2, 2), (2, 2)), (1, 1), 1)
    for how in (products.Direct(g, 16), products.Strips.on(g, 16)):
        run = products.correlation(how, x, u, w).prepared()
        last = x[-1].copy()
        x[-1] = 1e308
        with np.errstate(all="raise"), pytest.raises(FloatingPointError):
            run()
        x[-1] = last
        run()
        np.testing.assert_allclose(w, expected, rtol=1e-11, atol=1e-11)
