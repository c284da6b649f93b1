"""Transforms of images against loops over images and pixels."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import tinygrad_cnn as tg
from tinygrad_cnn import data
from tinygrad_cnn.data.transforms import affine
from tinygrad_cnn.data.transforms.affine import warp

dtypes = st.sampled_from([np.uint8, np.int64, np.float32, np.float64, np.bool_])
shapes = st.tuples(st.integers(0, 4), *[st.integers(1, 3)] * 1, *[st.integers(1, 6)] * 2)
batches = dtypes.flatmap(
    lambda dtype: (
        hnp.arrays(dtype, shapes, elements=hnp.from_dtype(np.dtype(dtype), min_value=0, max_value=100))
        if dtype is not np.bool_
        else hnp.arrays(dtype, shapes)
    )
)
seeds = st.integers(0, 2**32)
RANDOM = [
    data.RandomCrop(2, padding=1),
    data.RandomHorizontalFlip(),
    data.RandomVerticalFlip(),
    data.Cutout((2, 1), holes=2, fill=1),
    data.RandomRotation(30),
    data.RandomAffine(30, translate=(0.5, 0.5), scale=(0.5, 2), shear=20, fill=1),
]


@pytest.mark.parametrize("transform", RANDOM, ids=repr)
@given(images=batches, seed=seeds)
def test_what_all_random_transforms_keep(transform, images, seed):
    """dtype, the images they are given, and the draws of a seed; channels are drawn for together."""
    before = images.copy()
    first = transform(images, rng=seed)
    np.testing.assert_array_equal(transform(images, rng=np.random.default_rng(seed)), first)
    np.testing.assert_array_equal(images, before)
    assert first.dtype == images.dtype
    assert first.shape[:2] == images.shape[:2]
    assert not np.shares_memory(first, images)
    for channel in range(images.shape[1]):
        np.testing.assert_array_equal(transform(images[:, channel], rng=seed), first[:, channel])


@pytest.mark.parametrize("transform", RANDOM, ids=repr)
def test_each_image_has_its_own_draw_from_the_library_s_generator(transform):
    images = np.broadcast_to(np.random.default_rng(0).random((1, 1, 6, 6)), (64, 1, 6, 6))
    tg.manual_seed(0)
    first = transform(images)
    assert len(np.unique(first.reshape(64, -1), axis=0)) > 1
    second = transform(images)
    assert (second != first).any()
    tg.manual_seed(0)
    np.testing.assert_array_equal(transform(images), first)


@pytest.mark.parametrize("transform", RANDOM, ids=repr)
def test_what_is_no_batch_is_refused(transform):
    with pytest.raises(
        ValueError, match=type(transform).__name__ + r": `images` has shape \(28, 28\); it must be a batch"
    ):
        transform(np.zeros((28, 28)))


# Crop and flip


@given(images=batches, size=st.tuples(*[st.integers(1, 4)] * 2), padding=st.integers(0, 3), seed=seeds)
def test_a_crop_is_a_window_of_the_padded_image(images, size, padding, seed):
    height, width = size
    rows, columns = (n + 2 * padding - s + 1 for n, s in zip(images.shape[-2:], size, strict=True))
    crop = data.RandomCrop(size, padding, fill=1)
    if min(rows, columns) < 1:
        with pytest.raises(ValueError, match=r"RandomCrop: `size` is .* but the padded images are "):
            crop(images, rng=seed)
        return
    cropped = crop(images, rng=seed)
    assert cropped.shape == (*images.shape[:2], *size)
    for image, found in zip(images, cropped, strict=True):
        padded = np.stack([np.pad(channel, padding, constant_values=1) for channel in image])
        windows = [padded[:, i : i + height, j : j + width] for i in range(rows) for j in range(columns)]
        assert any(np.array_equal(found, window) for window in windows)


def test_all_windows_occur():
    images = np.broadcast_to(np.arange(16).reshape(1, 1, 4, 4), (500, 1, 4, 4))
    corners = data.RandomCrop(2)(images, rng=0)[:, 0, 0, 0]
    assert set(corners.tolist()) == {0, 1, 2, 4, 5, 6, 8, 9, 10}


@pytest.mark.parametrize("mode", ["edge", "reflect", "symmetric"])
def test_other_paddings_are_numpy_s(mode):
    image = np.arange(9).reshape(1, 1, 3, 3)
    whole = data.RandomCrop(7, padding=2, padding_mode=mode)(image)
    np.testing.assert_array_equal(whole[0, 0], np.pad(image[0, 0], 2, mode))


@pytest.mark.parametrize(("flip", "axis"), [(data.RandomHorizontalFlip, 3), (data.RandomVerticalFlip, 2)])
@given(images=batches, seed=seeds)
def test_a_flip_is_the_image_or_its_mirror(flip, axis, images, seed):
    mirrored = np.flip(images, axis)
    for image, mirror, found in zip(images, mirrored, flip()(images, rng=seed), strict=True):
        assert np.array_equal(found, image) or np.array_equal(found, mirror)
    np.testing.assert_array_equal(flip(0)(images), images)
    np.testing.assert_array_equal(flip(1)(images), mirrored)


@pytest.mark.parametrize("flip", [data.RandomHorizontalFlip, data.RandomVerticalFlip])
def test_flips_are_as_frequent_as_p_says(flip):
    images = np.broadcast_to([[[[0, 1], [1, 2]]]], (2000, 1, 2, 2))
    flipped = flip(0.3)(images, rng=0)[:, 0, 0, 0].mean()
    assert abs(flipped - 0.3) < 4 * math.sqrt(0.3 * 0.7 / 2000)
    with pytest.raises(ValueError, match=f"{flip.__name__}: `p` is 1.5; it must be a number from 0 to 1"):
        flip(1.5)


# Cutout


@given(images=batches, size=st.tuples(*[st.integers(1, 4)] * 2), seed=seeds)
def test_a_cut_is_a_rectangle_around_a_pixel(images, size, seed):
    height, width = images.shape[-2:]
    masks = []
    for top, left in np.ndindex(height, width):
        rows, columns = (range(at - n // 2, at - n // 2 + n) for at, n in zip((top, left), size, strict=True))
        masks.append(np.array([[i in rows and j in columns for j in range(width)] for i in range(height)]))
    cut = data.Cutout(size, fill=1)(images, rng=seed)
    for image, found in zip(images, cut, strict=True):
        assert any(np.array_equal(found, np.where(mask, image.dtype.type(1), image)) for mask in masks)


def test_each_pixel_is_the_middle_as_often():
    cut = data.Cutout(1)(np.ones((9000, 1, 3, 3)), rng=0)
    assert (abs((cut == 0).sum(axis=0) - 1000) < 4 * math.sqrt(1000)).all()
    holes = (data.Cutout(1, holes=3)(np.ones((500, 1, 3, 3)), rng=0) == 0).sum(axis=(1, 2, 3))
    assert set(holes.tolist()) == {1, 2, 3}


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"size": 0}, ValueError, "`size` is 0; it must be at least 1"),
        ({"size": 1.5}, TypeError, "`size` is 1.5; it must be a whole number, or two"),
        ({"size": (1, 2, 3)}, TypeError, r"`size` is \(1, 2, 3\)"),
        ({"size": 2, "holes": 0}, ValueError, "`holes` is 0; it must be a whole number of at least 1"),
    ],
)
def test_cutout_refuses(options, error, message):
    with pytest.raises(error, match="Cutout: " + message):
        data.Cutout(**options)


# Resize


def resized_by_loops(image, height, width, antialias):
    """Along one side after the other, each new pixel as a mean with weights."""

    def along(values, new):
        old, result = len(values), []
        for i in range(new):
            centre = (i + 0.5) * old / new - 0.5
            reach = max(old / new, 1) if antialias else 1
            centre = centre if antialias else min(max(centre, 0), old - 1)
            weights = [max(0, 1 - abs(j - centre) / reach) for j in range(old)]
            result.append(sum(w * v for w, v in zip(weights, values, strict=True)) / sum(weights))
        return np.array(result)

    rows = np.stack([along(column, height) for column in image.T], axis=1)
    return np.stack([along(row, width) for row in rows])


@given(images=batches, size=st.tuples(*[st.integers(1, 8)] * 2), antialias=st.booleans())
def test_a_resized_image_is_a_mean_of_pixels(images, size, antialias):
    found = data.Resize(size, antialias=antialias)(images)
    assert (found.dtype, found.shape) == (images.dtype, (*images.shape[:2], *size))
    work = images.astype(np.float64)
    for at in np.ndindex(images.shape[:2]):
        expected = resized_by_loops(work[at], *size, antialias)
        error = 0.5 + 1e-4 if images.dtype.kind in "biu" else 1e-5 * (1 + abs(expected).max())
        assert abs(found[at] - expected).max() <= error


@given(images=batches, size=st.tuples(*[st.integers(1, 8)] * 2))
def test_the_nearest_pixel_is_that_of_the_place_rounded_down(images, size):
    found = data.Resize(size, "nearest")(images)
    assert found.dtype == images.dtype
    height, width = images.shape[-2:]
    for i, j in np.ndindex(size):
        np.testing.assert_array_equal(found[..., i, j], images[..., i * height // size[0], j * width // size[1]])


def test_values_of_small_images():
    """PyTorch's, with and without antialias."""
    image = np.array([[[[0.0, 1.0, 4.0, 9.0]]]])
    np.testing.assert_allclose(data.Resize((1, 2))(image), [[[[1, 40 / 7]]]])
    np.testing.assert_allclose(data.Resize((1, 2), antialias=False)(image), [[[[0.5, 6.5]]]])
    np.testing.assert_allclose(data.Resize((1, 8))(image), [[[[0, 0.25, 0.75, 1.75, 3.25, 5.25, 7.75, 9]]]])
    np.testing.assert_array_equal(data.Resize((1, 4))(image), image)


def test_one_number_is_for_the_shorter_side():
    for shape, size, expected in [((3, 5), 6, (6, 10)), ((7, 3), 2, (4, 2)), ((4, 4), 5, (5, 5))]:
        assert data.Resize(size)(np.zeros((2, 1, *shape))).shape[2:] == expected
        assert data.Resize([size])(np.zeros((2, *shape))).shape[1:] == expected


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((0,), ValueError, "`size` is 0; it must be a whole number of at least 1, or two"),
        (((2, 3, 4),), ValueError, r"`size` is \(2, 3, 4\)"),
        ((2.5,), TypeError, "`size` is 2.5; it must be a whole number, or two"),
        ((2, "cubic"), ValueError, "`interpolation` is 'cubic'; it must be 'bilinear' or 'nearest'"),
        ((2, "bilinear", 1), TypeError, "`antialias` is 1; it must be True or False"),
    ],
)
def test_resize_refuses(arguments, error, message):
    with pytest.raises(error, match="Resize: " + message):
        data.Resize(*arguments)
    with pytest.raises(
        ValueError, match=r"Resize: `images` has shape \(2, 0, 3\); an image must have at least one pixel"
    ):
        data.Resize(2)(np.zeros((2, 0, 3)))
    with pytest.raises(ValueError, match=r"Resize: `images` has shape \(2, 3\); it must be a batch"):
        data.Resize(2)(np.zeros((2, 3)))
    assert [repr(data.Resize(2)), repr(data.Resize((2, 3), "nearest"))] == [
        "Resize(2, 'bilinear', antialias=True)",
        "Resize((2, 3), 'nearest')",
    ]


# Affine


def bilinear(image, y: float, x: float, fill: float) -> float:
    """The value between pixels, which outside the image are `fill`."""
    height, width = image.shape
    i, j = math.floor(y), math.floor(x)
    value = 0.0
    for row, column in ((i, j), (i, j + 1), (i + 1, j), (i + 1, j + 1)):
        inside = 0 <= row < height and 0 <= column < width
        value += (1 - abs(y - row)) * (1 - abs(x - column)) * (image[row, column] if inside else fill)
    return value


matrices = hnp.arrays(np.float64, (2, 2), elements=st.floats(-2, 2))
shifts = hnp.arrays(np.float64, 2, elements=st.floats(-4, 4))


@given(
    images=hnp.arrays(np.float64, shapes, elements=st.floats(-10, 10)),
    matrix=matrices,
    shift=shifts,
    fill=st.floats(-2, 2),
)
def test_a_warp_looks_up_each_pixel(images, matrix, shift, fill):
    count, _, height, width = images.shape
    warped = warp(images, np.broadcast_to(matrix, (count, 2, 2)), np.broadcast_to(shift, (count, 2)), fill)
    assert warped.shape == images.shape
    for n, c, i, j in np.ndindex(*images.shape):
        q = np.array([j - (width - 1) / 2, i - (height - 1) / 2])
        x, y = matrix @ (q - shift) + [(width - 1) / 2, (height - 1) / 2]
        assert warped[n, c, i, j] == pytest.approx(bilinear(images[n, c], y, x, fill), abs=1e-9)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
@pytest.mark.parametrize("turns", [-2, -1, 0, 1, 2])
@given(seed=seeds, size=st.integers(1, 7))
def test_quarter_turns_are_exact_and_counter_clockwise(dtype, turns, seed, size):
    images = np.random.default_rng(seed).integers(0, 256, (2, 1, size, size)).astype(dtype)
    turned = data.RandomRotation((90 * turns, 90 * turns))(images)
    np.testing.assert_allclose(turned, np.rot90(images, turns, axes=(-2, -1)), atol=0 if dtype == np.uint8 else 1e-3)
    clockwise = data.RandomAffine((-90 * turns, -90 * turns))(images)
    np.testing.assert_array_equal(clockwise, turned)


def dot(y: int, x: int, size: int = 25) -> np.ndarray:
    images = np.zeros((1, 1, size, size))
    images[0, 0, size // 2 + y, size // 2 + x] = 1
    return images


def centre(images) -> tuple[float, float]:
    image = images[0, 0] / images.sum()
    middle = np.arange(len(image)) - len(image) // 2
    return float(image.sum(1) @ middle), float(image.sum(0) @ middle)


@pytest.mark.parametrize(
    ("options", "place"),
    [
        ({"degrees": (30, 30)}, (8 * math.sin(math.radians(30)), 8 * math.cos(math.radians(30)))),
        ({"degrees": 0, "scale": (0.5, 0.5)}, (0, 4)),
        ({"degrees": 0, "scale": (1.25, 1.25)}, (0, 10)),
        ({"degrees": 0, "shear": (30, 30)}, (0, 8)),
    ],
)
def test_where_a_dot_at_the_right_goes(options, place):
    """x and y are exact only for the whole spread of the dot, so to a tenth of a pixel."""
    np.testing.assert_allclose(centre(data.RandomAffine(**options)(dot(0, 8))), place, atol=0.1)


def test_shear_leans_upright_lines_to_the_right():
    leaned = data.RandomAffine(0, shear=(45, 45))(dot(-4, 0))  # four above the centre
    np.testing.assert_allclose(centre(leaned), (-4, 4), atol=1e-9)


def test_shifts_are_whole_pixels_within_their_bounds():
    images = np.broadcast_to(dot(0, 0, 21), (300, 1, 21, 21))
    moved = data.RandomAffine(0, translate=(0.3, 0.1))(images, rng=0)
    assert set(np.unique(moved)) == {0, 1}
    places = np.argwhere(moved[:, 0])[:, 1:] - 10
    assert set(places[:, 0].tolist()) == set(range(-2, 3))  # 0.1 of 21
    assert set(places[:, 1].tolist()) == set(range(-6, 7))  # 0.3 of 21


@pytest.mark.parametrize("pixels", [1, 40, 100])
def test_it_does_not_matter_how_many_are_warped_at_once(pixels, tuning):
    images = np.random.default_rng(0).random((7, 2, 4, 5))
    turned = data.RandomRotation(90)(images, rng=0)
    tuning(affine, PIXELS=pixels)
    np.testing.assert_array_equal(data.RandomRotation(90)(images, rng=0), turned)


def test_no_change_is_exact():
    images = np.random.default_rng(0).integers(-(2**40), 2**40, (2, 3, 5, 4))
    np.testing.assert_array_equal(data.RandomAffine(0)(images), images)


# Values


@given(
    images=hnp.arrays(np.uint8, shapes),
    dtype=st.sampled_from([np.float32, np.float64]),
    scale=st.sampled_from([255, 16.0]),
)
def test_to_float_divides(images, dtype, scale):
    found = data.ToFloat(scale, dtype)(images)
    assert found.dtype == dtype
    np.testing.assert_allclose(found, images.astype(np.float64) / scale, rtol=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@given(seed=seeds, shape=st.tuples(*[st.integers(1, 4)] * 4))
def test_normalize_takes_each_channel_by_itself(dtype, seed, shape):
    rng = np.random.default_rng(seed)
    images = rng.normal(size=shape).astype(dtype)
    mean, std = rng.normal(size=shape[1]), rng.uniform(0.5, 2, shape[1])
    before = images.copy()
    found = data.Normalize(mean, std.tolist())(images)
    assert found.dtype == dtype
    np.testing.assert_array_equal(images, before)
    for channel in range(shape[1]):
        expected = (images[:, channel].astype(np.float64) - mean[channel]) / std[channel]
        np.testing.assert_allclose(found[:, channel], expected, rtol=1e-4, atol=1e-5)
        one = data.Normalize(mean[channel], std[channel])(images)[:, channel]
        np.testing.assert_array_equal(one, found[:, channel])


def test_composed_transforms_draw_one_after_another():
    images = np.random.default_rng(0).random((8, 1, 6, 6))
    both = data.Compose([data.RandomCrop(4), np.sqrt, data.RandomHorizontalFlip()])
    rng = np.random.default_rng(7)
    expected = data.RandomHorizontalFlip()(np.sqrt(data.RandomCrop(4)(images, rng=rng)), rng=rng)
    np.testing.assert_array_equal(both(images, rng=7), expected)
    assert "RandomCrop((4, 4), padding=0), <ufunc 'sqrt'>, RandomHorizontalFlip(0.5)" in repr(both)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (
            lambda: data.RandomCrop(0),
            ValueError,
            "RandomCrop: `size` is 0 and `padding` 0; they must be at least 1 and 0",
        ),
        (lambda: data.RandomCrop(2.5), TypeError, r"RandomCrop: `size` is 2\.5"),
        (lambda: data.RandomCrop((1, 2, 3)), TypeError, "`size` one or two"),
        (
            lambda: data.RandomCrop(2, padding_mode="wrap"),
            ValueError,
            "`padding_mode` is 'wrap'; it must be one of const",
        ),
        (lambda: data.RandomHorizontalFlip(1.5), ValueError, r"`p` is 1\.5; it must be a number from 0 to 1"),
        (
            lambda: data.RandomRotation(-1),
            ValueError,
            "RandomRotation: `degrees` is -1; one number is for both signs",
        ),
        (
            lambda: data.RandomRotation((2, 1)),
            ValueError,
            r"RandomRotation: `degrees` is \(2, 1\); the lower bound comes",
        ),
        (lambda: data.RandomAffine(math.nan), ValueError, "`degrees` is nan; it must be a finite number or two"),
        (
            lambda: data.RandomAffine(0, translate=(2, 0)),
            ValueError,
            "`translate` is .*; both parts must be from 0 to 1",
        ),
        (lambda: data.RandomAffine(0, scale=(0, 1)), ValueError, r"`scale` is \(0, 1\); factors must be above 0"),
        (lambda: data.RandomAffine(0, shear=90), ValueError, "`shear` is 90; it must be between -90 and 90"),
        (lambda: data.ToFloat(0), ValueError, "ToFloat: `scale` is 0; it must be a finite number other than 0"),
        (lambda: data.ToFloat(dtype=np.uint8), TypeError, "ToFloat: `dtype` is uint8"),
        (lambda: data.Normalize(0, 0), ValueError, "Normalize: `std` is 0; it must be above 0"),
        (lambda: data.Normalize([[0]], 1), ValueError, r"have shape \(1, 1\); give a number for each channel"),
        (
            lambda: data.Normalize([0, 0], 1)(np.zeros((1, 3, 2, 2))),
            ValueError,
            r"has shape \(1, 3, 2, 2\) but there are 2",
        ),
        (
            lambda: data.Normalize(0, 1)(np.zeros(3, np.uint8)),
            TypeError,
            r"`images` is uint8; convert it with ToFloat\(\)",
        ),
        (lambda: data.Compose([1]), TypeError, "Compose: 1 is not a transform"),
        (lambda: data.Compose([data.ToFloat]), TypeError, "ToFloat'> is not a transform"),
        (lambda: data.Compose(data.ToFloat()), TypeError, "`transforms` is .*; it must be a list of transforms"),
        (lambda: data.RandomVerticalFlip("a"), TypeError, "`p` is 'a'; it must be a number from 0 to 1"),
    ],
)
def test_arguments_that_are_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize("transform", [tg.data.RandomHorizontalFlip(), tg.data.Resize(8), tg.data.Cutout(2)])
def test_images_whose_channels_are_last_warn(transform):
    with pytest.warns(
        UserWarning, match=r"shape \(2, 8, 8, 3\), as if its channels were last.*transpose\(0, 3, 1, 2\)"
    ) as caught:
        transform(np.zeros((2, 8, 8, 3), np.float32))
    assert caught[0].filename == __file__
    for shape in ((2, 3, 8, 8), (2, 3, 8, 4), (2, 8, 3), (2, 8, 3, 3)):
        transform(np.zeros(shape, np.float32))
