"""Compiled transforms beside their definitions: the same bits, for images of any size."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn.vision.transforms import forms, functional, geometry, warp

pytestmark = pytest.mark.skipif(not find_spec("numba"), reason="not installed: pip install numba")

if find_spec("numba"):
    from tinygrad_cnn.extra.numba.pictures import FORMS
    from tinygrad_cnn.extra.numba.pictures.bytes import FINDS


def images(rng, channels=3, least=1):
    """A few images of one size, some smooth, so that neighbours are equal, some with few values, some black and white."""
    shape = (rng.integers(1, 4), channels, *rng.integers(least, 150, 2))
    x = rng.integers(256, size=shape)
    kind = rng.integers(5)
    x = (
        x
        if kind == 0
        else x % 7 * 40
        if kind == 1
        else x.cumsum(axis=3) // 100
        if kind == 2
        else np.full(shape, x[0, 0, 0, 0])
    )
    return np.ascontiguousarray(x.astype(np.uint8))


def factors(rng, x, low, high):
    return rng.uniform(low, high, (len(x), 1, 1, 1)).astype(np.float32)


def boxes(rng, x):
    """The whole images, or a box in each."""
    size = np.tile(x.shape[2:], (len(x), 1))
    if rng.random() < 0.5:
        return np.concatenate([np.zeros_like(size), size], axis=1)
    part = rng.integers(1, size + 1)
    return np.concatenate([rng.integers(size - part + 1), part], axis=1)


def new_size(rng, x):
    """A size, of which one side may be that of the images."""
    return tuple(int(n) if rng.random() < 0.2 else int(rng.integers(1, 100)) for n in x.shape[2:])


def homographies(rng, x):
    """Maps near the identity, also of perspective, and one that takes everything to the outside."""
    m = np.eye(3) + rng.normal(size=(len(x), 3, 3)) * [[0.3, 0.3, 9], [0.3, 0.3, 9], [0.003, 0.003, 0]]
    if rng.random() < 0.5:
        m[:, 2] = 0, 0, 1
    m[-1, 0, 2] += rng.choice([0, 1e6])
    return m


def weights(rng, x, n):
    """Weights of means of neighbours that the image has."""
    size = 2 * int(rng.integers(min(n, 5))) + 1
    w = rng.uniform(0.1, 1, (len(x), size)).astype(np.float32)
    w += w[:, ::-1]
    return w / w.sum(axis=1, keepdims=True)


def resizing(rng):
    x = images(rng, int(rng.choice([1, 3])))
    how = str(rng.choice(["bilinear", "bicubic", "nearest", "nearest-exact"]))
    return x, boxes(rng, x), new_size(rng, x), how, bool(rng.random() < 0.6)


def warping(rng):
    x = images(rng)
    fill = (0, 200, (1, 0, 255))[rng.integers(3)]
    return x, homographies(rng, x), new_size(rng, x), str(rng.choice(["nearest", "bilinear"])), fill


def blurring(rng):
    x = images(rng, int(rng.choice([1, 3])))
    return x, weights(rng, x, x.shape[2]), weights(rng, x, x.shape[3])


def looking_up(rng):
    x = images(rng, 1)
    return x, rng.integers(256, size=(len(x), 256)).astype(np.uint8)


def windows(rng):
    x = images(rng)
    size = np.array(new_size(rng, x))
    places = rng.integers(-size - 2, np.array(x.shape[2:]) + 3, (len(x), 2))  # inside, across an edge, outside
    return x, places, tuple(size.tolist()), np.asarray(rng.integers(256))


def with_factors(least, low, high):
    def drawn(rng):
        x = images(rng, least=least)
        return x, factors(rng, x, low, high)

    return drawn


def alone(rng):
    return (images(rng),)


ARGUMENTS = {
    functional.blurred: blurring, functional.gray_sums: alone, functional.scaled: alone, functional.translated: looking_up,
    functional.grayed: lambda rng: (images(rng), int(rng.choice([1, 3]))),
    functional.histograms: lambda rng: (images(rng)[:, :, 0].reshape(-1, 1).repeat(9, axis=1),),
    functional.normalized: lambda rng: (
        images(rng) / np.float32(255), *rng.uniform(0.1, 1, (2, int(rng.choice([1, 3])), 1, 1)).astype(np.float32)),
    functional.saturated: with_factors(1, 0, 3), functional.sharpened: with_factors(3, 0, 3),
    functional.turned: with_factors(1, -3, 3),
    geometry.mirrored: lambda rng: ((x := images(rng)), rng.random(len(x)) < 0.5, int(rng.choice([-1, -2]))),
    geometry.window: windows, warp.resized: resizing, warp.warp: warping,
}  # fmt: skip
"""By a function that has a compiled form, arguments that are drawn for it."""

DRAWS = 30


@pytest.mark.part(20)
@pytest.mark.parametrize("function", ARGUMENTS, ids=lambda function: function.__name__)
def test_the_bits_are_those_of_the_definition(function):
    taken = 0
    for seed in range(DRAWS):
        given = ARGUMENTS[function](np.random.default_rng(seed))
        kept = [value.copy() if isinstance(value, np.ndarray) else value for value in given]
        found, wanted = FORMS[function](*given), function.__wrapped__(*given)
        assert all(np.array_equal(a, b) for a, b in zip(given, kept, strict=True)), "an argument was written to"
        if found is not None:
            taken += 1
            assert found.dtype == wanted.dtype
            np.testing.assert_array_equal(found, wanted, err_msg=f"seed {seed}")
    assert taken > DRAWS // 2 or (function is warp.resized and not FINDS)


def test_every_form_is_compared():
    assert set(ARGUMENTS) == set(FORMS)


@pytest.mark.parametrize("function", ARGUMENTS, ids=lambda function: function.__name__)
def test_images_of_other_dtypes_and_without_pixels_are_left_to_the_definition(function):
    x, *others = ARGUMENTS[function](np.random.default_rng(0))
    for other in (x.astype(np.float64), x.astype(np.uint16), x[:0]):
        assert FORMS[function](other, *others) is None or not other.size


def test_memory_in_another_order():
    for function in ARGUMENTS:
        x, *others = ARGUMENTS[function](np.random.default_rng(1))
        turned = x.swapaxes(-1, -2).copy().swapaxes(-1, -2)
        found = FORMS[function](turned, *others)
        assert found is None or np.array_equal(found, function.__wrapped__(x, *others)), function.__name__


def test_transforms_use_the_forms_while_numba_is_attached(monkeypatch):
    seen = []

    def form(x, channels):
        seen.append(channels)

    before = forms.attached.get(functional.grayed)
    monkeypatch.setitem(forms.attached, functional.grayed, form)
    x = np.full((1, 3, 2, 2), 9, np.uint8)
    assert (
        tg.vision.transforms.Grayscale()(x) == functional.grayed.__wrapped__(x, 1)
    ).all()  # None: the definition runs
    assert seen == [1]
    monkeypatch.undo()
    assert forms.attached.get(functional.grayed) is before
    was = before is not None
    for on in (True, False, was):
        tg.use_numba(on)
        assert (functional.grayed in forms.attached) == on
