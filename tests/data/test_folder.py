"""Folders of images, made with Pillow and read back."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_cnn import data

Image = pytest.importorskip("PIL.Image", reason="Pillow, the extra `images`, is not installed")


def picture(seed: int, size=(4, 5), channels=3) -> np.ndarray:
    shape = (*size, channels) if channels > 1 else size
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def save(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def root(tmp_path):
    for seed, name in enumerate(
        ["dog/b.png", "dog/a.PNG", "cat/z.bmp", "cat/deep/y.ppm", ".cache/c.png", "dog/.d.png"]
    ):
        save(tmp_path / name, picture(seed))
    (tmp_path / "dog" / "notes.txt").write_text("no image", encoding="utf-8")
    (tmp_path / "readme.md").write_text("no class", encoding="utf-8")
    return tmp_path


def test_classes_and_files_are_sorted_and_hidden_ones_left_out(root):
    folder = data.ImageFolder(root)
    assert folder.classes == ("cat", "dog")
    names = [(path.relative_to(root).as_posix(), label) for path, label in folder.samples]
    assert names == [("cat/deep/y.ppm", 0), ("cat/z.bmp", 0), ("dog/a.PNG", 1), ("dog/b.png", 1)]


def test_pixels_come_channel_first(root):
    images, labels = data.ImageFolder(root).take(np.arange(4))
    expected = np.stack([picture(seed).transpose(2, 0, 1) for seed in (3, 2, 1, 0)])
    np.testing.assert_array_equal(images, expected)
    assert (images.dtype, labels.dtype, labels.tolist()) == (np.uint8, np.int64, [0, 0, 1, 1])


def test_gray_and_colour_are_made_of_each_other(tmp_path):
    gray = picture(0, channels=1)
    save(tmp_path / "a" / "gray.png", gray)
    np.testing.assert_array_equal(data.ImageFolder(tmp_path, mode="L")[0][0], gray[None])
    np.testing.assert_array_equal(data.ImageFolder(tmp_path)[0][0], np.stack([gray] * 3))


def test_images_are_resized_to_one_size(tmp_path):
    for number in range(3):
        save(tmp_path / "a" / f"{number}.png", np.full((4 + number, 7 - number, 3), 40 * number, np.uint8))
    images, _ = data.ImageFolder(tmp_path, size=(6, 5)).take(np.arange(3))
    assert images.shape == (3, 3, 6, 5)
    assert [set(image.ravel().tolist()) for image in images] == [{0}, {40}, {80}]
    assert data.ImageFolder(tmp_path, size=8)[0][0].shape == (3, 8, 8)
    with pytest.raises(ValueError, match=r"field 0 has shape \(3, 4, 7\) in one example and \(3, 5, 6\) in another"):
        data.ImageFolder(tmp_path).take(np.arange(3))


def test_a_loader_gives_its_batches(root):
    loader = data.DataLoader(data.ImageFolder(root), 3, shuffle=True, seed=0, prefetch=2)
    assert sorted(label for _, labels in loader for label in labels.tolist()) == [0, 0, 1, 1]


@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp"])
@given(cut=st.integers(0, 10**6), flips=st.lists(st.integers(0, 10**6), max_size=5))
@pytest.mark.filterwarnings("ignore")
def test_damaged_files_give_an_error_that_names_them_or_pixels(tmp_path_factory, suffix, cut, flips):
    folder = tmp_path_factory.mktemp("damaged")
    path = folder / "a" / f"some.{suffix}"
    save(path, picture(0))
    content = bytearray(path.read_bytes())
    for flip in flips:
        content[flip // 8 % len(content)] ^= 1 << flip % 8
    path.write_bytes(content[: cut % (2 * len(content))])
    try:
        image, _ = data.ImageFolder(folder, max_pixels=10_000)[0]
    except data.DataFileError as error:
        message = str(error)
    else:
        message = f"some.{suffix}: "
        assert image.dtype == np.uint8
        assert image.shape[0] == 3
    assert f"some.{suffix}: " in message


def test_an_image_of_too_many_pixels_is_not_unfolded(tmp_path):
    save(tmp_path / "a" / "some.png", np.zeros((200, 100, 3), np.uint8))
    with pytest.raises(data.DataFileError, match=r"some\.png: size is 200 x 100 pixels; `max_pixels` allows 19999"):
        data.ImageFolder(tmp_path, max_pixels=19_999)[0]
    assert data.ImageFolder(tmp_path, max_pixels=20_000)[0][0].shape == (3, 200, 100)


def test_sixteen_bits_are_not_clipped_in_silence(tmp_path):
    save(tmp_path / "a" / "some.png", np.full((2, 2), 1000, np.uint16))
    with pytest.raises(data.DataFileError, match=r"some\.png: its mode is I;16, more than 8 bits; convert it first"):
        data.ImageFolder(tmp_path, mode="L")[0]


def test_folders_without_images_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="has no folders; there must be one for each class"):
        data.ImageFolder(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="empty has no images; they end in .bmp, "):
        data.ImageFolder(tmp_path)
    with pytest.raises(FileNotFoundError):
        data.ImageFolder(tmp_path / "absent")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mode": "CMYK"}, "`mode` is 'CMYK'; it must be 'RGB' or 'L'"),
        ({"size": 0}, "`size` is 0; it must be a whole number of at least 1, or two"),
        ({"size": (3, 4, 5)}, r"`size` is \(3, 4, 5\)"),
        ({"size": 2.5}, r"`size` is 2\.5"),
    ],
)
def test_arguments_that_are_refused(root, options, message):
    with pytest.raises(ValueError, match="ImageFolder: " + message):
        data.ImageFolder(root, **options)


def test_without_pillow_it_says_what_to_install(root, monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(ImportError, match=r"Pillow is not installed; pip install 'tinygrad_cnn\[images\]'"):
        data.ImageFolder(root)
