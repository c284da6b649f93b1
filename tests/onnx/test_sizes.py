"""What depends on the sizes of dynamic axes: a file gives what the model gives for every size, or is not written."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import nn

from . import needs

onnx = needs.onnx()
needs.runtime()

from tinygrad_cnn.extra.onnx import load  # noqa: E402

from .exports import Function, check, exported, normal, outputs, refused  # noqa: E402


@pytest.mark.parametrize("rows", [1, 2, 3, 4, 7, 8, 9])
def test_fewer_rows_than_a_slice_leaves(rows):
    model, x = (
        Function(lambda x: (x[:3], x[-3:] * 2, x[:3].reshape(-1), x[2:6].mean(axis=1), x[:3][None])),
        normal(rows, 4),
    )
    source = exported(model, normal(8, 4))
    for found in (needs.run(source, x), outputs(load(source)(x))):
        for ours, theirs in zip(outputs(model(tg.Tensor(x))), found, strict=True):
            np.testing.assert_allclose(theirs, ours, rtol=1e-6)


@pytest.mark.parametrize("example", [1, 2, 8])
@pytest.mark.parametrize("function", [
    lambda x: x * len(x[:3]),
    lambda x: x * min(3, len(x)),
    lambda x: x[: min(5, len(x))] / x[-5:].size,
    lambda x: x * max(2, len(x)),
    lambda x: x * (2 if len(x) > 4 else 3),
    lambda x: x * (2 if len(x) > 40 else 3),
    lambda x: x + (x[1] if len(x) > 1 else x[0]),
    lambda x: x if len(x) % 2 else x * 2,
    lambda x: x.squeeze(),
    lambda x: x[: len(x) // 4 * 4] + 1,
    lambda x: tg.broadcast_to(x[:1], (min(6, len(x)), 4)),
    lambda x: x[:: len(x)] * 2,
    lambda x: tg.cov(x[1:]),
    lambda x: x[::-1][: len(x) : 2] * tg.trace(x),
])  # fmt: skip
def test_a_size_that_is_cut_or_compared_is_refused(function, example):
    assert "dynamic_axes={}" in refused(Function(function), normal(example, 4))


def test_the_op_at_which_calls_begin_to_differ_is_named():
    words = refused(nn.Sequential(nn.ReLU(), Function(lambda x: tg.exp(x) if len(x) > 4 else tg.sin(x))), normal(8, 3))
    assert "calls other ops" in words
    assert "`exp` in 1, line" in words


def test_a_slice_beyond_all_sizes_that_were_tried_is_refused():
    model = Function(lambda x: x[:512] + 1)
    words = refused(model, normal(2, 4))
    assert "op `getitem`" in words
    assert "cuts a dynamic axis at 512, beyond the 100 elements" in words
    check(model, normal(300, 4), batches=[1, 2])
    check(Function(lambda x: x[: 2**40] + 1), normal(2, 4))


def test_a_model_that_needs_several_rows_is_called_with_as_few_as_it_takes():
    assert "dynamic axis" in refused(Function(lambda x: x[2] * len(x[:5])), normal(8, 4))
    check(Function(lambda x: x[2] + x), normal(4, 4), batches=[1, 2])


def test_calls_with_other_sizes_do_not_warn():
    """The mean of no rows does."""
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("always")
        exported(Function(lambda x: x[1:].mean(axis=0)), normal(8, 4))
    assert not shown


def test_what_is_not_followed_for_small_sizes_is_refused():
    model = Function(lambda x: x * 2 if len(x) > 2 or x.sum() > 0 else x * 3)
    assert "reads the value of a Tensor in Python" in refused(model, normal(4, 4))


def test_a_slice_by_a_size_along_another_axis():
    """The axis has a fixed size, and the slice is the whole of it only for large batches."""
    model = Function(lambda x: tg.stack([x, x * 2, x * 3])[: len(x)])
    source = exported(model, normal(4, 2))
    for rows in (1, 2, 3, 5):
        x = normal(rows, 2)
        for found in (needs.run(source, x), outputs(load(source)(x))):
            np.testing.assert_array_equal(found[0], model(x))


def test_an_empty_slice_backwards():
    check(Function(lambda x: (x[:, -6::-1], x[:, 1:2:-1], x[:, 1::-1], x[-3:-2:-1])), normal(4, 3), batches=[1, 2])


@pytest.mark.parametrize("opset", [15, 18, 23])
def test_an_axis_of_dynamic_size_is_normalized(opset):
    model = nn.Sequential(
        nn.InstanceNorm2d(3, affine=True), nn.GroupNorm(1, 3), Function(lambda x: tg.rms_norm(x, x.shape[-1:]))
    )
    source = exported(model, normal(2, 3, 6, 5), dynamic_axes={"x": [0, 2, 3]}, opset=opset)
    x = normal(3, 3, 4, 9)
    for found in (needs.run(source, x), outputs(load(source)(x))):
        np.testing.assert_allclose(found[0], model(x).numpy(), rtol=1e-4, atol=1e-5)


def test_a_number_that_is_an_array_for_other_sizes_is_refused():
    ones = np.ones(3, np.float32)
    for small, large in ((2.0, ones), (ones, 2.0)):
        words = refused(
            Function(lambda x, a=small, b=large: x / (a if len(x) < 2 else b)), normal(4, 3), input_names=["x"]
        )
        assert "is given an array for some sizes of a dynamic axis, and a number for others" in words


def test_whether_any_of_no_rows_holds():
    model = Function(lambda x: (tg.any(x[2:] > 0, axis=0), tg.all(x[2:] > 0, axis=0), tg.max(x > 0, axis=0)))
    source = exported(model, normal(4, 3), opset=20)
    x = normal(2, 3)
    for found in (needs.run(source, x), outputs(load(source)(x))):
        for ours, theirs in zip(outputs(model(tg.Tensor(x))), found, strict=True):
            np.testing.assert_array_equal(theirs, ours)
