"""vision.transforms beside torchvision's v2: what record_transforms.py recorded, and what else they promise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn.vision import transforms as t
from tinygrad_cnn.vision.transforms.affine import homographies
from tinygrad_cnn.vision.transforms.transform import Moved
from tinygrad_cnn.vision.transforms.warp import Warp

from .cases import DRAWN, DRAWS, FIXED, NEVER_MOVE, SIZE, picture, sample, statistics

RECORDED = np.load(Path(__file__).parent / "transforms.npz")
SHIFTED = "CenterCrop size=(30, 11)"  # torchvision moves the boxes of this one by a pixel more than its image
NEARLY = ("ColorJitter saturation", "ColorJitter hue")  # the order of two sums is the compiler's there


@pytest.mark.part(12)
@pytest.mark.parametrize("title", FIXED)
def test_what_is_not_drawn_is_torchvisions(title):
    name, options = FIXED[title]
    given = sample()
    kept = {key: value.copy() for key, value in given.items()}
    found = getattr(t, name)(**options)(given)
    for key, value in given.items():
        assert (value == kept[key]).all(), f"{key} was written to"
        if name in NEVER_MOVE and key != "image":
            assert (found[key] == value).all()
            continue
        wanted = RECORDED[f"{title}/{key}"]
        assert found[key].dtype == value.dtype
        if key in ("boxes", "keypoints"):
            if title != SHIFTED:
                np.testing.assert_allclose(found[key], wanted, rtol=0, atol=1e-4, err_msg=key)
        elif title.startswith(NEARLY):
            far = np.abs(found[key].astype(int) - wanted)
            assert far.max() <= 1
            assert (far > 0).mean() < 0.01
        else:
            np.testing.assert_array_equal(found[key], wanted, err_msg=key)


@pytest.mark.parametrize("n", range(3))
def test_perspectives_are_torchvisions(n):
    height, width = SIZE
    starts = np.array([[0, 0], [width - 1, 0], [width - 1, height - 1], [0, height - 1]])
    matrices = homographies(RECORDED["corners"][n : n + 1], starts)
    given = sample()
    images = Warp(matrices, SIZE, "bilinear", 5).images(given["image"][n : n + 1])[0]
    assert (images == RECORDED[f"perspective/{n}/image"]).all()
    change = Warp(matrices, SIZE, "bilinear", 0)
    masks = change.masks(given["masks"][n : n + 1], slice(0, 1))[0]
    assert (masks != RECORDED[f"perspective/{n}/masks"]).sum() <= 3  # places between two pixels, but for rounding
    corners = given["boxes"][n][:, [[0, 1], [2, 1], [2, 3], [0, 3]]]
    moved = change.corners(corners, 0)
    boxes = np.concatenate([moved.min(axis=1), moved.max(axis=1)], axis=1).clip(0, [width, height, width, height])
    np.testing.assert_allclose(boxes, RECORDED[f"perspective/{n}/boxes"], rtol=0, atol=1e-3)


def check_distribution(title, drawn):
    """The part of the draws below each quantile of torchvision's draws is that of torchvision: within 5 standard errors."""
    for quantile, below, under in zip(
        *(RECORDED[f"{title}/{key}"] for key in ("quantiles", "below", "under")), strict=True
    ):
        error = 5 * np.sqrt(2 * 0.25 / DRAWS)
        assert (np.abs((drawn <= quantile).mean(axis=0) - below) < error).all()
        assert (np.abs((drawn < quantile).mean(axis=0) - under) < error).all()


@pytest.mark.part(4)
@pytest.mark.parametrize("title", DRAWN)
def test_what_is_drawn_has_torchvisions_distribution(title):
    name, options = DRAWN[title]
    images = np.broadcast_to(picture(), (DRAWS, 3, *SIZE))
    check_distribution(title, statistics(getattr(t, name)(**options)(images, rng=5)))


def test_cutmix_has_torchvisions_distribution_and_mixes_labels_by_area():
    images = np.zeros((DRAWS, 3, 20, 30), np.float32) + np.arange(DRAWS, dtype=np.float32).reshape(-1, 1, 1, 1)
    mixed, labels = t.CutMix(alpha=0.7, num_classes=DRAWS)(images, np.arange(DRAWS), rng=3)
    own = labels[np.arange(DRAWS), np.arange(DRAWS)]
    check_distribution("CutMix", own)
    area = (mixed[:, 0] == images[:, 0]).mean(axis=(1, 2))
    np.testing.assert_allclose(area[own < 0.999], own[own < 0.999], atol=1e-6)
    np.testing.assert_allclose(labels.sum(axis=1), 1, atol=1e-6)


def test_each_image_has_its_own_draws_and_the_generator_decides():
    images = np.broadcast_to(picture(), (40, 3, *SIZE))
    for name, options in DRAWN.values():
        transform = getattr(t, name)(**options)
        first, second, other = (transform(images, rng=seed) for seed in (1, 1, 2))
        assert (first == second).all(), name
        assert (first != other).any(), name
        assert len({image.tobytes() for image in first}) > 1, name


# Targets


def moving():
    return t.Compose([
        t.RandomResizedCrop((48, 48), scale=(0.5, 1.0)), t.RandomHorizontalFlip(), t.RandomAffine(15, (0.1, 0.1), (0.9, 1.1)),
        t.RandomPerspective(0.3), t.Pad(2), t.RandomApply([t.RandomVerticalFlip(1.0)]), t.CenterCrop(50), t.Resize(48),
    ])  # fmt: skip


def test_boxes_masks_and_keypoints_follow_a_square_in_the_image():
    rng = np.random.default_rng(0)
    count, size = 30, 64
    images, masks = np.zeros((count, 1, size, size), np.uint8), np.zeros((count, size, size), np.uint8)
    boxes = np.zeros((count, 1, 4), np.float32)
    for n in range(count):
        x, y = rng.integers(22, 30, 2)
        images[n, 0, y : y + 12, x : x + 12] = 200
        masks[n, y : y + 12, x : x + 12] = 1
        boxes[n] = x, y, x + 12, y + 12
    centres = (boxes[..., :2] + boxes[..., 2:]) / 2
    found = moving()({"image": images, "boxes": boxes, "mask": masks, "keypoints": centres}, rng=0)
    seen = 0
    for image, mask, box, centre in zip(*(found[key] for key in ("image", "mask", "boxes", "keypoints")), strict=True):
        bright = image[0] > 100
        assert (bright != mask.astype(bool)).mean() < 0.03
        rows, columns = np.nonzero(mask)
        inside = len(rows) and min(rows.min(), columns.min()) > 3 and max(rows.max(), columns.max()) < 44
        if inside:
            seen += 1
            extent = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
            assert np.abs(box[0] - extent).max() < 4  # several maps, each of which takes a box around the one before
            assert np.abs(centre[0] - [columns.mean() + 0.5, rows.mean() + 0.5]).max() < 3
    assert seen > 8


def test_one_image_lists_and_arrays_give_the_same():
    given = sample()
    transform = t.Compose([t.RandomAffine(20, (0.1, 0.1)), t.RandomCrop((20, 15)), t.RandomVerticalFlip()])
    stacked = transform(given, rng=0)
    listed = transform({"image": given["image"], **{k: list(given[k]) for k in ("boxes", "masks", "keypoints")}}, rng=0)
    images, targets = transform(given["image"], {k: given[k] for k in ("boxes", "masks", "keypoints")}, rng=0)
    assert (images == stacked["image"]).all()
    for key in ("boxes", "masks", "keypoints"):
        assert isinstance(listed[key], list)
        assert all((a == b).all() for a, b in zip(listed[key], stacked[key], strict=True))
        assert (targets[key] == stacked[key]).all()
    one = transform({k: v[:1] for k, v in given.items()}, rng=0)
    alone = transform({k: v[0] for k, v in given.items()}, rng=0)
    assert all((alone[k] == one[k][0]).all() for k in given)


def test_different_numbers_of_boxes_and_none():
    given = sample()
    boxes = [given["boxes"][0], np.zeros((0, 4), np.float32), given["boxes"][2][:1]]
    found = t.RandomHorizontalFlip(1.0)(given["image"], {"boxes": boxes, "labels": [[1, 2], [], [3]]})[1]
    assert [b.shape for b in found["boxes"]] == [(2, 4), (0, 4), (1, 4)]
    assert found["labels"] == [[1, 2], [], [3]]
    assert moving()({"image": np.zeros((0, 3, 20, 20), np.uint8), "boxes": np.zeros((0, 1, 4))})["image"].shape == (
        0,
        3,
        48,
        48,
    )


@pytest.mark.parametrize("form", ["xywh", "cxcywh"])
def test_other_forms_of_boxes(form):
    given = sample()
    other = np.asarray(tg.vision.ops.box_convert(given["boxes"], "xyxy", form))
    transform = t.Compose([t.RandomAffine(20), t.Resize((30, 40))], kinds={"found": f"boxes_{form}"})
    found = transform({"image": given["image"], "found": other}, rng=0)["found"]
    wanted = transform({"image": given["image"], "boxes": given["boxes"]}, rng=0)["boxes"]
    np.testing.assert_allclose(tg.vision.ops.box_convert(found, form, "xyxy"), wanted, atol=1e-4)


IMAGE = np.zeros((3, 8, 6), np.uint8)
WRONG = {
    "unknown name": (lambda: t.Resize(4)({"image": IMAGE, "bboxes": [[0, 0, 1, 1]]}), "has 'bboxes', whose kind is not known"),
    "unknown kind": (lambda: t.Resize(4)(IMAGE, {"b": 1}, kinds={"b": "box"}), "'b' of kind 'box'"),
    "unused kind": (lambda: t.Resize(4)(IMAGE, {}, kinds={"b": "boxes"}), "`kinds` has 'b'"),
    "no image": (lambda: t.Resize(4)({"boxes": [[0, 0, 1, 1]]}), "the dict has 0 entries of images"),
    "labels alone": (lambda: t.Resize(4)(IMAGE, np.arange(3)), "`targets` is a ndarray; it must be a dict"),
    "boxes of five": (lambda: t.Resize(4)(IMAGE, {"boxes": np.zeros((2, 5))}), r"'boxes' of an image is float64 \(2, 5\)"),
    "a mask of another size": (lambda: t.Resize(4)(IMAGE, {"mask": np.zeros((4, 4))}), r"must be \(..., 8, 6\)"),
    "too few": (lambda: t.Resize(4)(IMAGE[None], {"boxes": []}), "'boxes' has 0 values for 1 images"),
    "two axes": (lambda: t.Resize(4)(IMAGE[0]), r"`images` has shape \(8, 6\)"),
    "a function of images": (
        lambda: t.Compose([tg.data.RandomHorizontalFlip()])(IMAGE, {"boxes": [[0, 0, 1, 1]]}), "a function of images alone"),
    "a function that crops": (
        lambda: t.Lambda(lambda x: x[..., 1:])(IMAGE, {"boxes": [[0, 0, 1, 1]]}), "would stay where they were"),
    "boxes of RandAugment": (lambda: t.RandAugment()(IMAGE, {"boxes": [[0, 0, 1, 1]]}), "which it does not move"),
    "reflected boxes": (lambda: t.Pad(1, padding_mode="reflect")(IMAGE, {"boxes": [[0, 0, 1, 1]]}), "which repeats what"),
    "too small": (lambda: t.RandomCrop(9)(IMAGE), r"`size` is \(9, 9\) but the padded images are \(8, 6\)"),
    "integers": (lambda: t.ColorJitter(0.5)(IMAGE.astype(np.int32)), "it must be uint8, or floating point"),
    "two channels": (lambda: t.ColorJitter(0.5)(IMAGE[:2]), r"it must be \(N, 1 or 3, H, W\)"),
    "not floating": (lambda: t.Normalize([0.5], [0.5])(IMAGE), "put ToFloat"),
    "several shapes": (lambda: t.RandomApply([t.Resize(4)])(np.stack([IMAGE] * 20), rng=0), "images of a batch have one shape"),
    "several angles": (lambda: t.RandomRotation(45, expand=True)(np.stack([IMAGE] * 9)), "get several sizes"),
    "classes without a number": (lambda: t.CutMix()(IMAGE[None], np.array([1])), "need `num_classes`"),
    "p": (lambda: t.RandomInvert(1.5), "`p` is 1.5; it must be a number from 0 to 1"),
    "bounds": (lambda: t.RandomResizedCrop(4, scale=(1, 0.5)), "the lower bound comes first"),
    "hue": (lambda: t.ColorJitter(hue=0.6), "`hue` is 0.6"),
    "degrees": (lambda: t.RandomRotation(-3), "`degrees` is -3"),
    "interpolation": (lambda: t.RandomAffine(3, interpolation="bicubic"), "'nearest' or 'bilinear'"),
    "kernel": (lambda: t.GaussianBlur(4), "`kernel_size` is 4; it must be odd"),
    "max_size": (lambda: t.Resize((3, 4), max_size=9), "`max_size` is 9 but"),
    "a class": (lambda: t.Compose([t.RandomInvert]), "is not a transform"),
}  # fmt: skip


@pytest.mark.whole
@pytest.mark.parametrize("name", WRONG)
def test_what_does_not_fit_is_an_error(name):
    call, wanted = WRONG[name]
    with pytest.raises((TypeError, ValueError), match=wanted):
        call()


def test_fill_of_images_and_masks():
    image, targets = t.Pad(1, fill={"image": 9, "masks": 255})(IMAGE, {"mask": np.zeros((8, 6), np.uint8)})
    assert (image[0, 0, 0], targets["mask"][0, 0]) == (9, 255)
    image, targets = t.Pad(1, fill=(1, 2, 3))(IMAGE, {"mask": np.zeros((8, 6), np.uint8)})
    assert (image[:, 0, 0].tolist(), targets["mask"][0, 0]) == ([1, 2, 3], 0)
    turned = t.RandomRotation((45, 45), fill=(1, 2, 3))(np.full((3, 9, 9), 100, np.uint8))
    assert turned[:, 0, 0].tolist() == [1, 2, 3]


def test_values_of_floating_point_images():
    x = np.random.default_rng(0).random((2, 3, 9, 8)).astype(np.float32)
    y = t.Normalize([0.5, 0.4, 0.3], [0.2, 0.1, 0.5])(x)
    np.testing.assert_allclose(y[:, 1], (x[:, 1] - 0.4) / 0.1, rtol=1e-5)
    np.testing.assert_allclose(t.ToFloat()(np.full((1, 3, 2, 2), 51, np.uint8)), 0.2, rtol=1e-6)
    for name, options in DRAWN.values():
        changed_images = getattr(t, name)(**options)(x, rng=0)
        assert changed_images.dtype == np.float32, name
        assert np.isfinite(changed_images).all(), name


def test_a_choice_has_its_probabilities_and_an_order_has_all():
    x = np.zeros((4000, 1, 1, 1), np.uint8)
    chosen = t.RandomChoice([t.Lambda(lambda x: x + 1), t.Lambda(lambda x: x + 2)], p=[3, 1])(x, rng=0)
    assert abs((chosen == 1).mean() - 0.75) < 0.04
    assert ((chosen == 1) | (chosen == 2)).all()
    both = [t.Lambda(lambda x: x + 1), t.Lambda(lambda x: x * 5)]
    assert {t.RandomOrder(both)(x[:1], rng=seed).item() for seed in range(20)} == {5, 1}


def test_a_transform_of_ones_own_moves_targets():
    class Transposed(t.Transform):
        """Rows and columns exchanged."""

        def draw(self, rng, images):
            return Exchange()

    class Exchange(Moved):
        def images(self, x):
            return x.swapaxes(-1, -2)

        def masks(self, x, chosen):
            return x.swapaxes(-1, -2)

        def corners(self, points, n):
            return points[..., ::-1]

    found = Transposed()({"image": IMAGE, "boxes": [[1.0, 2.0, 3.0, 8.0]], "mask": IMAGE[0]})
    assert found["image"].shape == (3, 6, 8)
    assert (found["mask"].shape, found["boxes"].tolist()) == ((6, 8), [[2.0, 1.0, 8.0, 3.0]])


def test_a_loader_gives_its_generator():
    items = [{"image": IMAGE + n, "boxes": np.array([[0.0, 0.0, 2.0, 2.0]]), "label": n} for n in range(8)]
    augment = t.Compose([t.RandomHorizontalFlip(), t.RandomCrop(5)])
    loaders = [tg.data.DataLoader(items, 4, seed=1, batch_transform=augment, prefetch=n) for n in (0, 2)]
    for a, b in zip(*loaders, strict=True):
        assert a["image"].shape == (4, 3, 5, 5)
        assert all((a[key].numpy() == b[key].numpy()).all() for key in a)


def test_repr_shows_the_arguments():
    assert repr(t.RandomPosterize(3)) == "RandomPosterize(bits=3, p=0.5)"
    assert "scale=(0.08, 1.0)" in repr(t.RandomResizedCrop(3))
