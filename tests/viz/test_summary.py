"""What a page tells about an array agrees with NumPy, whatever the array is like, and never has the array in it."""

from __future__ import annotations

import base64
import json
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import tinygrad_cnn as tg
from tinygrad_cnn.extra.show import png
from tinygrad_cnn.extra.show.summary import CHUNK, FEW, Summaries, summarize

ARRAYS = hnp.arrays(
    st.sampled_from([np.float32, np.float64, np.float16]),
    hnp.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=7),
    elements=st.floats(width=16),
)


@given(ARRAYS)
def test_moments_are_numpys(array):
    s = summarize(array)
    finite = array[np.isfinite(array)].astype(np.float64)
    assert s["size"] == array.size
    assert (s["nan"], s["inf"]) == (np.isnan(array).sum(), np.isinf(array).sum())
    if array.size == 1:
        return
    assert s["zeros"] == pytest.approx(np.count_nonzero(array == 0) / max(array.size, 1))
    if finite.size:
        assert s["mean"] == pytest.approx(finite.mean(), rel=1e-5, abs=1e-9)
        assert s["std"] == pytest.approx(finite.std(), rel=1e-5, abs=1e-9)
        assert (s["min"], s["max"]) == (pytest.approx(finite.min(), rel=1e-6), pytest.approx(finite.max(), rel=1e-6))
        assert s["norm"] == pytest.approx(np.linalg.norm(finite), rel=1e-5, abs=1e-9)
        if s["histogram"]:
            assert sum(s["histogram"]["counts"]) == finite.size
    else:
        assert s["mean"] is None


@given(hnp.arrays(np.float32, st.integers(30, 200), elements=st.floats(-4, 4, width=16)))
def test_histograms_are_numpys(array):
    h = summarize(array)["histogram"]
    counts, edges = np.histogram(array.astype(np.float64), 24, (h["low"], h["high"]) if h["low"] < h["high"] else None)
    assert np.abs(np.cumsum(counts) - np.cumsum(h["counts"])).max() <= np.isclose(array[:, None], edges).sum()


@pytest.mark.parametrize("size", [20, FEW + 1])
@pytest.mark.parametrize("number", [np.nan, -np.inf])
def test_an_array_without_a_finite_number_has_no_histogram(number, size):
    assert summarize(np.full(size, number))["histogram"] is None


def test_a_large_array_in_any_order_is_read_in_chunks():
    array = np.random.default_rng(0).standard_normal((3, CHUNK // 2 + 5)).astype(np.float32).T
    array += np.array([0, 5, 20], np.float32)  # chunks have means of their own
    array[7, 1], array[-1, 2] = np.nan, np.inf
    s = summarize(array)
    finite = array[np.isfinite(array)].astype(np.float64)
    assert (s["nan"], s["inf"]) == (1, 1)
    assert s["mean"] == pytest.approx(finite.mean(), rel=1e-4)
    assert s["std"] == pytest.approx(finite.std(), rel=1e-6)
    assert s["histogram"]["sampled"]
    assert s["values"] is None


def test_few_values_are_shown_with_the_digits_of_their_dtype():
    assert summarize(np.array([0.1, 1 / 3], np.float32))["values"] == [0.1, 0.33333334]
    assert summarize(np.array([True, False]))["values"] == [True, False]
    assert summarize(np.arange(FEW).reshape(2, -1))["values"] == np.arange(FEW).reshape(2, -1).tolist()
    assert summarize(np.arange(FEW + 1))["values"] is None


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_few_values_have_the_decimals_that_numpy_prints(dtype):
    rng = np.random.default_rng(0)
    info = np.finfo(dtype)
    x = (
        rng.standard_normal((300, 60)) * 2.0 ** rng.integers(info.minexp - info.nmant, info.maxexp - 3, (300, 60))
    ).astype(dtype)
    x[:, :20] = rng.integers(-999, 999, (300, 20)) / 10.0 ** rng.integers(0, 4, (300, 20))
    x[:, 20:30] = 2.0 ** rng.integers(-14, 15, (300, 10))
    x[0, :5] = [0.0, -0.0, np.inf, -np.inf, np.nan]
    summaries = Summaries()
    found = [summaries.add(row) for row in x]
    summaries.fill()
    assert [list(map(str, each["values"])) for each in found] == [[str(float(str(v))) for v in row] for row in x]


def test_summaries_that_are_made_together_are_those_of_each_array():
    """Of several shapes, orders and dtypes; an array that is written later counts as it was."""
    rng = np.random.default_rng(1)
    arrays = []
    for shape in [(0,), (5,), (64,), (8, 8), (4, 16), (2, 3, 5), (0, 3), (40,)] * 6:
        dtype = rng.choice([np.float32, np.float64, np.int32])
        a = rng.integers(-3, 4, shape) * (1 if dtype is np.int32 else rng.choice([0.1, 1e30, 1e-30]))
        a = np.asfortranarray(a).astype(dtype)
        if a.size and a.dtype.kind == "f" and rng.random() < 0.5:
            a.flat[rng.integers(a.size)] = rng.choice([np.nan, np.inf, -np.inf])
        arrays.append(a)
    arrays += [np.full((6, 6), np.nan), np.full(20, -np.inf)]
    summaries = Summaries()
    expected = [summarize(a) for a in arrays]
    found = [summaries.add(a) for a in arrays]
    for a in arrays:
        a.fill(0)
    summaries.fill()
    assert str(found) == str(expected)
    for a in arrays:
        assert summarize(a)["zeros"] == (1 if a.size else 0)


def test_wide_floats_are_plain_numbers():
    summary = summarize(np.array([0.5, 3], np.longdouble))
    assert json.dumps(summary["values"]) == "[0.5, 3.0]"
    assert json.dumps(summarize(np.array(0.5, np.longdouble))["values"]) == "0.5"


@pytest.mark.slow
def test_an_activation_of_200_megabytes_leaves_statistics_and_a_thumbnail():
    array = np.zeros((50, 1000, 1000), np.float32)
    array[3, 5, 7] = 50.0
    page = tg.show(lambda x: x * 2, array)
    value = page.data["nodes"][1]["value"]
    assert (value["max"], value["size"]) == (100.0, 50_000_000)
    assert value["zeros"] == pytest.approx(1 - 1 / 50_000_000)
    assert len(page.html()) < 500_000


# Pictures


def decoded(url):
    """Width, height, color type and rows of a PNG whose rows are not filtered."""
    file = base64.b64decode(url.removeprefix("data:image/png;base64,"))
    assert file.startswith(b"\x89PNG\r\n\x1a\n")
    at, parts = 8, {}
    while at < len(file):
        (length,) = struct.unpack(">I", file[at : at + 4])
        kind, body = file[at + 4 : at + 8], file[at + 8 : at + 8 + length]
        assert struct.unpack(">I", file[at + 8 + length : at + 12 + length])[0] == zlib.crc32(kind + body)
        parts[kind] = body
        at += 12 + length
    width, height, _, color = struct.unpack(">IIBB", parts[b"IHDR"][:10])
    rows = np.frombuffer(zlib.decompress(parts[b"IDAT"]), np.uint8).reshape(height, -1)
    assert rows.shape[1] == 1 + width * {3: 1, 6: 4}[color]
    assert not rows[:, 0].any()
    return rows[:, 1:], color, parts.get(b"PLTE")


def test_an_image_is_grey_and_its_pixels_are_in_order():
    image = np.linspace(0, 1, 12).reshape(1, 1, 3, 4)
    rows, color, palette = decoded(png.picture(image, "input"))
    assert color == 3
    shades = np.frombuffer(palette, np.uint8).reshape(-1, 3)[rows][..., 0]
    np.testing.assert_allclose(shades, image[0, 0] * 255, atol=1)


def test_colors_of_an_image_with_three_channels():
    image = np.zeros((1, 3, 2, 2))
    image[0, 0, 0, 1] = image[0, 2, 1, 0] = 1
    rows, color, _ = decoded(png.picture(image, "input"))
    assert color == 6
    assert rows.reshape(2, 2, 4)[..., :3].tolist() == [[[0, 0, 0], [255, 0, 0]], [[0, 0, 255], [0, 0, 0]]]


def test_feature_maps_stand_side_by_side_and_nan_is_red():
    maps = np.arange(2 * 4 * 9, dtype=np.float32).reshape(2, 4, 3, 3) - 20
    maps[0, 3, 2, 2], maps[0, 0, 0, 0] = np.nan, np.inf
    rows, _, palette = decoded(png.picture(maps, "op"))
    assert rows.shape == (7, 7)
    assert rows[6, 6] == png.NAN
    assert rows[0, 0] == png.INFINITE
    assert (rows[3] == png.GAP).all()
    assert palette[3 * png.NAN : 3 * png.NAN + 3] == bytes([255, 0, 60])


def test_a_large_picture_is_thinned():
    rows, _, _ = decoded(png.picture(np.zeros((1000, 300)), "op"))
    assert max(rows.shape) <= png.SIDE


@pytest.mark.parametrize("shape", [(), (5,), (0, 3), (1, 9), (2, 0, 3, 3), (2, 2, 2, 2, 2)])
def test_what_is_no_picture(shape):
    assert png.picture(np.zeros(shape), "op") is None


@given(ARRAYS)
def test_any_array_gives_a_summary_that_json_can_hold(array):
    page = tg.show(lambda x: x * 1, array)
    text = page.html()
    data = text.split('id="data">')[1].split("</script>")[0]
    assert len(json.loads(data)["nodes"]) == len(page.data["nodes"])


@pytest.mark.parametrize("shape", [(6, 5), (2, 4, 8), (1, 3, 4, 4), (70, 3)], ids=str)
def test_complex_numbers_are_shown_by_modulus_and_phase(shape):
    rng = np.random.default_rng(0)
    z = rng.standard_normal(shape) + 1j * rng.standard_normal(shape)
    z[(0,) * len(shape)], z[(0,) * (len(shape) - 1) + (1,)] = 4, -0.5j
    s, moduli = summarize(z), summarize(np.abs(z))
    assert {k: v for k, v in s.items() if k != "picture"} == {k: v for k, v in moduli.items() if k != "picture"}
    rows, color, _ = decoded(s["picture"])
    assert color == 6
    pixels = rows.reshape(len(rows), -1, 4)
    palettes = {name: np.frombuffer(png.PALETTES[name], np.uint8).reshape(-1, 3)[: png.COLORS] for name in png.PALETTES}
    steps = -(-shape[-1] // png.SIDE)
    width = -(-shape[-1] // steps)
    first, second = pixels[0, 0, :3], pixels[0, width + 1 : width + 3, :3]
    np.testing.assert_array_equal(first, palettes["positive"][-1])  # the largest modulus
    np.testing.assert_array_equal(second, palettes["phase"][[126, 63]])  # phases 0 and -pi/2 of a range from -pi to pi
    assert (pixels[0, width, 3], pixels[0, 0, 3]) == (0, 255)  # a transparent gap
    np.testing.assert_array_equal(palettes["phase"][0], palettes["phase"][-1])


def test_a_page_has_pictures_of_complex_arrays():
    rng = np.random.default_rng(0)
    z = rng.standard_normal((8, 9)) + 1j * rng.standard_normal((8, 9))
    page = tg.show(lambda z: (tg.abs(tg.fft.fft2(z)) ** 2).sum(), z)
    drawn = [node for node in page.data["nodes"] if node["dtype"] == "complex128" and node["shape"] == [8, 9]]
    assert len(drawn) >= 2
    assert all(decoded(node["value"]["picture"])[0].shape == (8, 19 * 4) for node in drawn)
