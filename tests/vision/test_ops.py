"""vision.ops beside plain definitions; rows of their values and gradients are in rows/detection.py."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_cnn as tg
from tinygrad_cnn.vision import ops

RECORDED = np.load(Path(__file__).parent / "ops.npz")


def iou(a, b):
    """The overlap of two boxes of whole numbers, by counting pixels."""
    first, second = ({(x, y) for x in range(b[0], b[2]) for y in range(b[1], b[3])} for b in (a, b))
    return len(first & second) / len(first | second)


def kept(boxes, scores, classes, threshold):
    """Each box in turn of its score, unless it overlaps one that is kept."""
    found = []
    for i in sorted(range(len(boxes)), key=lambda i: (-scores[i], i)):
        if not any(classes[i] == classes[j] and iou(boxes[i], boxes[j]) > threshold for j in found):
            found.append(i)
    return found


box = st.tuples(st.integers(0, 6), st.integers(0, 6), st.integers(1, 5), st.integers(1, 5)).map(
    lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3])
)
items = st.lists(st.tuples(box, st.integers(0, 4), st.integers(0, 2)), max_size=12)


@given(items, st.sampled_from([0.0, 0.3, 0.55, 1.0]))
def test_nms_keeps_what_its_definition_keeps(items, threshold):
    boxes, scores, classes = ([item[i] for item in items] for i in range(3))
    arrays = np.array(boxes, float).reshape(-1, 4), np.array(scores, float), np.array(classes, int)
    assert ops.nms(*arrays[:2], threshold).tolist() == kept(boxes, scores, [0] * len(items), threshold)
    assert ops.batched_nms(*arrays, threshold).tolist() == kept(boxes, scores, classes, threshold)


def test_complete_iou_is_torchvisions():
    """Its last factor has no gradient, so it has no row in the table, whose gradients are finite differences."""
    a, b = (tg.Tensor(RECORDED[key], requires_grad=True) for key in ("boxes1", "boxes2"))
    y = ops.complete_box_iou(a, b)
    np.testing.assert_allclose(y.numpy(), RECORDED["pairs"], rtol=1e-12)
    (y * RECORDED["weights"]).sum().backward()
    np.testing.assert_allclose(a.grad.numpy(), RECORDED["pairs1"], atol=1e-14)
    np.testing.assert_allclose(b.grad.numpy(), RECORDED["pairs2"], atol=1e-14)
    c, d = (tg.Tensor(RECORDED[key][:4], requires_grad=True) for key in ("boxes1", "boxes2"))
    loss = ops.complete_box_iou_loss(c, d, reduction="sum")
    np.testing.assert_allclose(loss.item(), RECORDED["loss"], rtol=1e-12)
    loss.backward()
    np.testing.assert_allclose(c.grad.numpy(), RECORDED["loss1"], atol=1e-14)


def test_equal_boxes_have_a_complete_iou_of_one_and_a_gradient():
    a = tg.Tensor([[1.0, 2.0, 4.0, 5.0]], requires_grad=True)
    y = ops.complete_box_iou(a, [[1.0, 2.0, 4.0, 5.0]])
    assert abs(y.item() - 1) < 1e-6
    y.sum().backward()
    assert np.isfinite(a.grad.numpy()).all()


def test_roi_align_with_as_many_samples_as_pixels_is_torchvisions():
    for aligned in (False, True):
        y = ops.roi_align(RECORDED["maps"], RECORDED["rois"], (3, 2), 0.25, -1, aligned)
        np.testing.assert_allclose(y, RECORDED[f"aligned {aligned}"], rtol=1e-10, atol=1e-12)
    pooled = ops.roi_pool(RECORDED["maps"], RECORDED["rois"], (3, 2), 0.1)
    np.testing.assert_allclose(pooled, RECORDED["pooled"], rtol=1e-12)


def test_regions_of_lists_of_boxes_and_of_none():
    maps, rois = RECORDED["maps"], RECORDED["rois"]
    parts = [rois[rois[:, 0] == n, 1:] for n in range(len(maps))]
    order = np.argsort(rois[:, 0], kind="stable")
    for function in (ops.roi_align, ops.roi_pool):
        assert (function(maps, parts, 2, 0.2) == function(maps, rois, 2, 0.2)[order]).all()
        assert function(maps, [np.zeros((0, 4))] * len(maps), 2).shape == (0, maps.shape[1], 2, 2)
        assert function(maps, np.zeros((0, 5)), (2, 3)).shape == (0, maps.shape[1], 2, 3)
    layer = ops.RoIAlign(2, 0.2, 2)
    assert (layer(maps, rois).numpy() == ops.roi_align(maps, rois, 2, 0.2, 2)).all()
    assert (ops.RoIPool(2, 0.2)(maps, rois).numpy() == ops.roi_pool(maps, rois, 2, 0.2)).all()


def test_without_offsets_a_deformable_convolution_is_a_convolution():
    rng = np.random.default_rng(0)
    x, w, b = rng.normal(size=(2, 4, 7, 6)), rng.normal(size=(6, 2, 3, 2)), rng.normal(size=6)
    options = {"stride": (2, 1), "padding": (1, 0), "dilation": (1, 2)}
    wanted = tg.conv2d(x, w, b, groups=2, **options)
    offset = np.zeros((2, 2 * 2 * 6, *wanted.shape[2:]))
    np.testing.assert_allclose(ops.deform_conv2d(x, offset, w, b, **options), wanted, rtol=1e-12, atol=1e-12)
    layer = ops.DeformConv2d(4, 6, (3, 2), groups=2, **options)
    assert {name: p.shape for name, p in layer.named_parameters()} == {"weight": (6, 2, 3, 2), "bias": (6,)}
    assert ops.DeformConv2d(4, 6, 3, bias=False).bias is None
    layer.load_state_dict({"weight": w.astype(np.float32), "bias": b.astype(np.float32)})
    y = layer(x.astype(np.float32), offset.astype(np.float32))
    np.testing.assert_allclose(y.numpy(), wanted, rtol=1e-4, atol=1e-4)


def test_masks_and_small_boxes():
    masks = np.zeros((2, 6, 7), bool)
    masks[0, 2:4, 1:5] = masks[1, 5, 6] = True
    assert ops.masks_to_boxes(masks).tolist() == [[1, 2, 4, 3], [6, 5, 6, 5]]
    assert ops.remove_small_boxes([[0, 0, 3, 3], [0, 0, 1, 9], [1, 1, 4, 4]], 2).tolist() == [0, 2]
    assert ops.clip_boxes_to_image([[-1.0, 2.0, 9.0, 4.0]], (3, 7)).tolist() == [[0, 2, 7, 3]]


X = np.zeros((1, 4, 5, 5))
WRONG = [
    (lambda: ops.box_iou(np.zeros((2, 5)), np.zeros((1, 4))), r"`boxes1` has shape \(2, 5\); it must be \(N, 4\)"),
    (lambda: ops.box_iou(np.zeros((2, 4), bool), np.zeros((1, 4))), "it must be numbers"),
    (lambda: ops.box_convert(np.zeros((2, 4)), "xyxy", "yxyx"), "`out_fmt` is 'yxyx'"),
    (lambda: ops.nms(np.zeros((2, 4)), np.zeros(3), 0.5), "each has N rows"),
    (lambda: ops.nms(np.zeros((2, 4)), np.array([1, np.nan]), 0.5), "`scores` has a NaN"),
    (lambda: ops.nms(np.zeros((2, 4)), np.zeros(2), np.nan), "`iou_threshold` is nan"),
    (lambda: ops.batched_nms(np.zeros((2, 4)), np.zeros(2), np.zeros(2), 0.5), "`idxs` is float64"),
    (lambda: ops.masks_to_boxes(np.zeros((1, 2, 2))), "mask 0 has no pixel"),
    (lambda: ops.roi_align(X[0], np.zeros((1, 5)), 2), r"`input` has shape \(4, 5, 5\)"),
    (lambda: ops.roi_align(X, np.array([[1.0, 0, 0, 1, 1]]), 2), "must have the number of an image, from 0 to 0"),
    (lambda: ops.roi_align(X, [np.zeros((1, 4))] * 2, 2), "`boxes` has 2 arrays for 1 images"),
    (lambda: ops.roi_pool(X, np.zeros((1, 5)), 0), "`output_size` is 0"),
    (lambda: ops.roi_pool(X * 1j, np.zeros((1, 5)), 1), "is one of real numbers"),
    (lambda: ops.deform_conv2d(X, np.zeros((1, 7, 3, 3)), np.zeros((2, 4, 3, 3))), "`offset` has shape"),
    (lambda: ops.deform_conv2d(X, np.zeros((1, 18, 3, 3)), np.zeros((2, 3, 3, 3))), "no number of groups"),
    (lambda: ops.deform_conv2d(X, np.zeros((1, 18, 3, 3)), np.zeros((2, 4, 3, 3)), mask=X), "`mask` has shape"),
    (lambda: ops.deform_conv2d(X, np.zeros((1, 18, 3, 3)), np.zeros((2, 4, 3, 3)), np.zeros(3)), "`bias` has shape"),
    (lambda: ops.DeformConv2d(3, 4, 3, groups=2), "`groups` is 2; it must divide"),
    (lambda: ops.sigmoid_focal_loss(np.zeros(2), np.zeros(2), alpha=2), "`alpha` is 2"),
    (lambda: ops.sigmoid_focal_loss(np.zeros(2), np.zeros(3)), "`targets` has shape"),
    (lambda: ops.sigmoid_focal_loss(np.zeros(2), np.zeros(2), reduction="all"), "`reduction` is 'all'"),
    (lambda: ops.dice_loss(np.zeros(3), np.zeros(3)), r"it must be \(N, C, ...\)"),
    (lambda: ops.tversky_loss(X, X, alpha=-1), "`alpha` is -1"),
    (lambda: ops.generalized_box_iou_loss(np.zeros((2, 4)), np.zeros((3, 4))), "they must be equal: row by row"),
]


@pytest.mark.whole
@pytest.mark.parametrize(("call", "wanted"), WRONG)
def test_what_does_not_fit_is_an_error(call, wanted):
    with pytest.raises((TypeError, ValueError), match=wanted):
        call()


def test_losses_without_anything_to_find():
    nothing = tg.Tensor(np.zeros((1, 2, 3)), requires_grad=True)
    loss = ops.dice_loss(nothing, np.zeros((1, 2, 3)))
    loss.backward()
    assert loss.item() == 0
    assert np.isfinite(nothing.grad.numpy()).all()


def test_a_step_against_the_gradient_raises_the_overlap():
    a = tg.Tensor([[0.0, 0.0, 1.0, 1.0]], requires_grad=True)
    b = [[4.0, 5.0, 7.0, 7.0]]
    before = ops.generalized_box_iou(a, b)
    before.sum().backward()
    assert ops.generalized_box_iou(a.numpy() + 0.1 * a.grad.numpy(), b).item() > before.item()
