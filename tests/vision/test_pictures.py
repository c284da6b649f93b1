"""vision.utils beside torchvision's pictures, as record_pictures.py recorded them."""

from __future__ import annotations

import importlib.util
import io
import struct
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn.vision import utils

from .pictures import BOXES, GRIDS, MASKS, arrays

RECORDED = np.load(Path(__file__).parent / "pictures.npz")
CALLS = [
    (name, n, keys, options)
    for name, table in (("make_grid", GRIDS), ("draw_bounding_boxes", BOXES), ("draw_segmentation_masks", MASKS))
    for n, (keys, options) in enumerate(table)
]
HAS_PILLOW = importlib.util.find_spec("PIL") is not None


@pytest.mark.parametrize(("name", "n", "keys", "options"), CALLS)
def test_pictures_are_torchvisions(name, n, keys, options):
    given = [arrays()[key] for key in keys]
    kept = [array.copy() for array in given]
    found = getattr(utils, name)(*given, **options)
    np.testing.assert_array_equal(found, RECORDED[f"{name}/{n}"])
    assert all((a == b).all() for a, b in zip(given, kept, strict=True))
    assert (getattr(utils, name)(*map(tg.Tensor, given), **options) == found).all()


def read_png(content):
    """The pixels of a PNG file without filters, by the definition of the format."""
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    parts, at = {}, 8
    while at < len(content):
        (length,) = struct.unpack(">I", content[at : at + 4])
        kind, body = content[at + 4 : at + 8], content[at + 8 : at + 8 + length]
        assert struct.unpack(">I", content[at + 8 + length : at + 12 + length]) == (zlib.crc32(kind + body),)
        parts[kind] = body
        at += 12 + length
    width, height, bits, color, *_ = struct.unpack(">IIBBBBB", parts[b"IHDR"])
    assert bits == 8
    channels = {0: 1, 2: 3, 6: 4}[color]
    rows = np.frombuffer(zlib.decompress(parts[b"IDAT"]), np.uint8).reshape(height, 1 + width * channels)
    assert not rows[:, 0].any()
    return rows[:, 1:].reshape(height, width, channels).transpose(2, 0, 1)


def test_a_png_holds_the_grid(tmp_path):
    images = arrays()["colors"]
    for target in (tmp_path / "a.png", str(tmp_path / "b.png"), io.BytesIO()):
        utils.save_image(images, target, nrow=3)
        content = target.getvalue() if isinstance(target, io.BytesIO) else Path(target).read_bytes()
        assert (read_png(content) == utils.make_grid(images, nrow=3)).all()
    file = io.BytesIO()
    utils.save_image(np.array([[[0.0, 0.5, 1.0, 7.0, -1.0, np.nan]]]), file)
    assert read_png(file.getvalue())[0, 0].tolist() == [0, 128, 255, 255, 0, 0]


@pytest.mark.skipif(not HAS_PILLOW, reason="needs Pillow")
def test_pillow_reads_and_writes(tmp_path):
    from PIL import Image

    images = arrays()["colors"]
    for name in ("a.png", "a.bmp"):
        utils.save_image(images[0], tmp_path / name)
        assert (np.asarray(Image.open(tmp_path / name)).transpose(2, 0, 1) == images[0]).all()
    drawn = utils.draw_bounding_boxes(np.zeros((3, 30, 60), np.uint8), [[2, 2, 50, 25]], labels=["dog"], colors="red")
    plain = utils.draw_bounding_boxes(np.zeros((3, 30, 60), np.uint8), [[2, 2, 50, 25]], colors="red")
    changed = (drawn != plain).any(axis=0)
    assert 10 < changed.sum() < 400
    assert not changed[:3].any()


def test_without_pillow_the_error_says_how_to_get_it(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    with pytest.raises(ModuleNotFoundError, match=r"save_image: the format 'jpg' needs Pillow; pip install"):
        utils.save_image(arrays()["one"], tmp_path / "a.jpg")
    with pytest.raises(ModuleNotFoundError, match="a label needs Pillow"):
        utils.draw_bounding_boxes(arrays()["one"], [[1, 1, 2, 2]], labels=["a"])


def test_filled_boxes_and_boxes_beyond_the_image():
    x = utils.draw_bounding_boxes(np.zeros((3, 6, 6), np.uint8), [[-3, -2, 3, 3]], colors=(255, 0, 0), fill=True)
    assert (x[0, 3, 0], x[0, 0, 3], x[0, 1, 1], x[0, 5, 5]) == (255, 255, 100, 0)
    same = np.random.default_rng(0).random((3, 5, 5))
    assert (utils.draw_bounding_boxes(same, np.zeros((0, 4))) == same).all()
    assert (utils.draw_bounding_boxes(same, [[10, 10, 20, 20]], fill=True) == same).all()


ONE = np.zeros((3, 5, 5), np.uint8)
WRONG = [
    (lambda: utils.make_grid(np.zeros(3)), "`tensor` has shape"),
    (lambda: utils.make_grid(ONE, nrow=0), "`nrow` is 0"),
    (lambda: utils.make_grid(ONE, normalize=True), "they must be floating point"),
    (lambda: utils.save_image(ONE.astype(int), io.BytesIO()), "they must be floating point from 0 to 1, or uint8"),
    (lambda: utils.draw_bounding_boxes(ONE[None], [[0, 0, 1, 1]]), r"it must be one image \(1 or 3, H, W\)"),
    (lambda: utils.draw_bounding_boxes(ONE, [[2, 0, 1, 1]]), "see box_convert"),
    (lambda: utils.draw_bounding_boxes(ONE, [[0, 0, 1, 1]], colors="reddish"), "'reddish' is no colour"),
    (lambda: utils.draw_bounding_boxes(ONE, [[0, 0, 1, 1]] * 2, colors=["red"]), "`colors` has 1 colours for 2"),
    (lambda: utils.draw_bounding_boxes(ONE, [[0, 0, 1, 1]], labels=[]), "there are 0 labels for 1 boxes"),
    (lambda: utils.draw_segmentation_masks(ONE, np.zeros((5, 5), int)), "it must be Booleans"),
    (lambda: utils.draw_segmentation_masks(ONE, np.zeros((4, 5), bool)), "they must have one size"),
    (lambda: utils.draw_segmentation_masks(ONE, np.zeros((5, 5), bool), alpha=2), "`alpha` is 2"),
]


@pytest.mark.whole
@pytest.mark.parametrize(("call", "wanted"), WRONG)
def test_what_does_not_fit_is_an_error(call, wanted):
    with pytest.raises((TypeError, ValueError), match=wanted):
        call()
