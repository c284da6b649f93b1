"""Every argument of NumPy's functions is taken, with NumPy's value, or refused with a reason."""

from __future__ import annotations

import inspect
import re

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn.core.registry import numpy_ops
from tinygrad_cnn.numpy_api.arguments import HARMLESS, REASONS, places

X = np.array([[0.5, -1.0, 2.0], [3.0, 1.5, -0.25]])
MASK = np.array([[True, False, True], [True, True, False]])


def t(a=X):
    return tg.Tensor(a, requires_grad=True)


MISSING = [
    (function, name)
    for function, standing in numpy_ops.items()
    if not isinstance(function, np.ufunc) and (found := places(function, standing)) is not None
    for name, p in found.theirs.parameters.items()
    if name not in found.names and p.kind is not p.VAR_KEYWORD and p.kind is not p.VAR_POSITIONAL
]


@pytest.mark.parametrize(("function", "name"), MISSING, ids=lambda x: getattr(x, "__name__", x))
def test_an_argument_that_is_not_taken_has_a_reason(function, name):
    assert name in REASONS


def test_most_arguments_are_taken():
    assert len(MISSING) < 120
    assert {name for _, name in MISSING} <= {
        "interpolation", "bias", "ddof",  # of older versions of NumPy
        "out", "order", "subok", "kind", "stable", "overwrite_input", "device", "copy", "full", "cov",
    }  # fmt: skip


PUBLIC = {vars(place)[name] for place in (tg, tg.linalg) for name in place.__all__ if name in vars(place)}
OTHERWISE = [
    (standing, name)
    for function, standing in numpy_ops.items()
    if standing in PUBLIC and not isinstance(function, np.ufunc) and (found := places(function, standing)) is not None
    for name, p in found.theirs.parameters.items()
    if found.names.get(name) != name and p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
]


@pytest.mark.parametrize(("function", "name"), OTHERWISE, ids=lambda x: getattr(x, "__name__", x))
def test_functions_here_answer_numpy_s_keywords_that_they_call_otherwise(function, name):
    parameters = inspect.signature(function).parameters.values()
    needed = [p for p in parameters if p.default is p.empty and p.kind is not p.VAR_POSITIONAL]
    with pytest.raises(TypeError, match=rf"'{name}'; "):
        function(*[[1.0]] * len(needed), **{name: [1.0]})


BY_PLACE = [
    (np.sum, (0, np.float64)), (np.sum, (1, None, None, True)), (np.sum, (None, None, None, False, 2.5, MASK)),
    (np.prod, (0, np.float64, None, True)), (np.mean, (1, np.float64, None, True)), (np.max, (0, None, True)),
    (np.max, (1, None, False, 0.25, MASK)), (np.min, (1, None, True)), (np.any, (1, None, True)), (np.all, (0, None, True)),
    (np.var, (1, None, None, 1)), (np.std, (0, np.float64, None, 1, True)), (np.nansum, (0, None, None, True)),
    (np.nanvar, (1, None, None, 1, True)), (np.nanmax, (1, None, True)), (np.cumsum, (1, np.float64)),
    (np.sort, (0, "stable")), (np.argsort, (0, "stable")), (np.median, (1, None, False, True)), (np.ptp, (0, None, True)),
    (np.quantile, (0.3, 1, None, True, "lower", True)), (np.percentile, ([20, 70], 0, None, False, "hazen")),
    (np.take, ([4, -7], None, None, "wrap")), (np.take, ([4, -7], 1, None, "clip")), (np.reshape, ((3, 2), "F")),
    (np.ravel, ("F",)), (np.trace, (1, 0, 1, np.float64)), (np.argmax, (1, None)), (np.round, (1, None)),
]  # fmt: skip


@pytest.mark.parametrize(("function", "args"), BY_PLACE)
def test_arguments_have_numpy_s_places(function, args):
    found, expected = function(t(), *args), function(X, *args)
    assert isinstance(found, tg.Tensor)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-14, strict=True)


BY_NAME = [
    (np.sort, {"kind": "heapsort", "order": None}), (np.argsort, {"stable": True}), (np.copy, {"order": "C", "subok": True}),
    (np.median, {"overwrite_input": True, "axis": 0}), (np.reshape, {"x2": (3, 2), "copy": True}),
    (np.broadcast_to, {"shape": (2, 2, 3), "subok": False}), (np.zeros_like, {"shape": (2, 2), "order": "K", "subok": True}),
    (np.ones_like, {"shape": 4, "dtype": np.float32}), (np.full_like, {"fill_value": 2.0, "shape": (1, 2)}),
    (np.sum, {"out": None, "where": True, "keepdims": inspect.signature(np.sum).parameters["keepdims"].default}),
    (np.add, {"x2": 1.0, "where": True, "casting": "same_kind"}),
    (np.exp, {"order": "K", "subok": True, "dtype": None}), (np.linalg.matrix_rank, {"rtol": 0.5}),
    (np.trim_zeros, {"axis": 1}), (np.tile, {"reps": 2}), (np.vecdot, {"x2": X, "axis": 0}),
]  # fmt: skip


@pytest.mark.parametrize(("function", "named"), BY_NAME)
def test_arguments_that_change_nothing_are_taken(function, named):
    if function in (np.trim_zeros, np.reshape) and not {*named, "x2"} <= {
        *inspect.signature(function).parameters,
        "x2",
    }:
        pytest.skip("this version of NumPy does not have it")
    named = dict(named)
    more = [named.pop(name) for name in ("x2",) if name in named]
    np.testing.assert_allclose(
        function(t(), *more, **named).numpy(), function(X, *more, **named), rtol=1e-14, strict=True
    )


REFUSED = [
    (lambda: np.sum(t(), out=np.zeros(())), r"np.sum: `out=` is refused.*is ever written; use y = tinygrad_cnn.sum"),
    (lambda: np.clip(t(), 0, 1, out=X), r"np.clip: `out=` is refused.*use y = tinygrad_cnn.clip"),
    (lambda: np.sort(t(), kind=3), "np.sort: `kind=` is refused.*stable"),
    (lambda: np.add(t(), 1.0, where=MASK), r"np.add: `where=` is refused.*use tinygrad_cnn.where"),
    (lambda: np.exp(t(), dtype=np.float32), "np.exp: `dtype=` is refused.*astype"),
    (lambda: np.matmul(t(), t(X.T), axes=[(0, 1), (0, 1), (0, 1)]), "np.matmul: `axes=` is refused.*moveaxis"),
    (lambda: np.reshape(t(), (3, 2), copy=False), "np.reshape: `copy=` is refused|reshape.*argument 'copy'"),
    (lambda: np.polyfit(X[0], t()[0], 1, full=True), "np.polyfit: `full=` is refused.*svd"),
    (lambda: np.ravel(t(), "K"), "ravel: `order` is 'K'; it must be 'C' or 'F', since how memory is laid out"),
    (lambda: t().reshape(6, order="A"), "reshape: `order` is 'A'"),
    (lambda: t().flatten("K"), "flatten: `order` is 'K'"),
    (lambda: np.sum(t(), where=[1, 0, 1]), "sum: `where` is int64; it must be Boolean"),
    (lambda: np.mean(t(), where=np.ones((3, 2, 3), bool)), r"mean: `where` \(3, 2, 3\) must broadcast to the shape of `a`"),
    (lambda: np.max(t(), where=MASK), "max: `where` may leave nothing.*give `initial`"),
    (lambda: np.sum(t(), initial=np.ones(3)), "sum: `initial` is .*must be a number: combine an array with the result"),
    (lambda: tg.max(np.arange(3), initial=1.5), "max: `initial` is 1.5 for int64; it must be an integer"),
    (lambda: np.take(t(), [0], mode="around"), "take: `mode` is 'around'; it must be 'raise', 'wrap' or 'clip'"),
    (lambda: np.quantile(t(), 0.5, weights=X), "`method` is 'linear'; with `weights` it must be 'inverted_cdf'"),
    (lambda: tg.quantile(t(), 0.5, weights=X, method="inverted_cdf"), r"`weights` hold -1.0; they must not be negative"),
    (lambda: tg.quantile(t(), 0.5, weights=0 * X, method="inverted_cdf"), r"`weights` add up to 0.0"),
    (lambda: np.concatenate([t(), t()], dtype=np.int64), "float64 does not become `dtype` int64 with `casting` 'same_kind'"),
    (lambda: tg.stack([t(), t()], casting="unsure", dtype=np.float32), "`casting` is 'unsure'; it must be"),
    (lambda: tg.select(t(), 1, 2), r"NumPy's select.*use x\[:, 2\], or take\(x, 2, axis=1\)"),
    (lambda: np.trim_zeros(t(), "x"), "`trim` is 'x'; it must be"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "message"), REFUSED, ids=[message[:50] for _, message in REFUSED])
def test_what_is_refused_says_why_and_what_to_do(call, message):
    with pytest.raises((TypeError, ValueError), match=re.compile(message, re.DOTALL)):
        call()


def test_refusals_of_numpy_s_arguments_are_all_of_arguments_that_numpy_has():
    known = {name for function in numpy_ops if not isinstance(function, np.ufunc) for name in _parameters(function)}
    known |= {"where", "casting", "order", "dtype", "subok", "signature", "axes", "axis", "keepdims"}  # of ufuncs
    known |= {"reflect_type"}  # of np.pad
    known |= {"interpolation", "newshape"}  # of older versions of NumPy
    assert {*HARMLESS, *REASONS} <= known


def _parameters(function):
    try:
        return inspect.signature(function).parameters
    except ValueError:
        return ()


def test_an_extreme_of_nothing_is_its_initial_value():
    empty = np.zeros((0, 3), np.float32)
    y = tg.max(tg.Tensor(empty), axis=0, initial=-2.0)
    np.testing.assert_array_equal(y.numpy(), np.max(empty, axis=0, initial=-2.0), strict=True)
    with pytest.raises(ValueError, match="zero-size"):
        tg.max(tg.Tensor(empty), axis=0)


@pytest.mark.parametrize("f", [np.sum, np.prod, np.mean, np.var, np.std, np.max])
def test_float16_and_float32_are_kept_beside_masks_and_initial_values(f):
    more = {"initial": np.float64(1.5)} if f in (np.sum, np.prod, np.max) else {}
    for dtype in (np.float16, np.float32):
        x = X.astype(dtype)
        found = f(t(x), where=MASK, axis=1, **more)
        np.testing.assert_allclose(found.numpy(), f(x, where=MASK, axis=1, **more), rtol=2e-3, strict=True)
        found.sum().backward()


def test_masked_means_do_not_overflow_in_float16():
    x = np.full(100, 60000, np.float16)
    assert tg.mean(t(x), where=np.arange(100) > 2).item() == 60000
    assert tg.var(t(x), where=np.arange(100) > 2).item() == 0


def test_what_a_mask_leaves_out_gets_no_gradient_even_if_it_is_not_finite():
    x = t(np.array([1.0, np.nan, 3.0, np.inf]))
    keep = np.array([True, False, True, False])
    for f in (tg.sum, tg.prod, tg.mean, tg.var, tg.std):
        (g,) = tg.gradients(f(x, where=keep), x)
        assert np.isfinite(g.numpy()).all()
        assert not g.numpy()[~keep].any()


def test_a_mask_may_be_a_tensor_that_differs_from_sample_to_sample():
    masks = np.array([[True, False, True], [False, True, True]])
    found = tg.vmap(lambda x, m: tg.mean(x, where=m))(t(), tg.from_numpy(masks))
    np.testing.assert_allclose(found.numpy(), np.mean(X, axis=1, where=masks))


@pytest.mark.parametrize("function", [np.real, np.conj, np.imag, np.real_if_close, np.angle])
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int32])
def test_a_real_tensor_is_its_own_real_part(function, dtype):
    values = np.array([1.0, -2.0, 0.0, 3.0]).astype(dtype)
    x = tg.Tensor(values, requires_grad=dtype != np.int32)
    np.testing.assert_array_equal(function(x).numpy(), function(values), strict=True)
    if x.requires_grad:
        (g,) = tg.gradients((function(x) * 2).sum(), x)
        np.testing.assert_array_equal(g.numpy(), np.full(4, 0.0 if function in (np.imag, np.angle) else 2.0))


def test_where_of_a_condition_alone_gives_indices():
    for found, expected in zip(np.where(t() > 1), np.where(X > 1), strict=True):
        np.testing.assert_array_equal(found.numpy(), expected)


def test_a_method_takes_the_mode_of_its_function():
    assert t().take([7, -8], mode="clip").tolist() == np.take(X, [7, -8], mode="clip").tolist()


def test_what_numpy_asks_about_complex_numbers():
    assert np.isrealobj(t())
    assert not np.iscomplexobj(t())
    assert np.angle(t(np.array([-1.0])), deg=True).tolist() == [180.0]
