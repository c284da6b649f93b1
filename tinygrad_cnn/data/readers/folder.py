"""Folders of image files."""

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..dataset import Dataset
from .source import DataFileError, PathLike

EXTENSIONS = (".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
_CHANNELS = {"L": 1, "RGB": 3}


class ImageFolder(Dataset):
    """Image files in one folder for each class: ``root/cat/1.png``, ``root/cat/more/2.jpg``, ``root/dog/a.png``.

    Classes and files are sorted by name; hidden files and folders are left out. A file is opened when its example is read.
    Needs Pillow, the extra `images`. An example is (image, label): (C, H, W) uint8, and the number of a class.

    Args:
        root: the folder of the class folders.
        mode: "RGB" for three channels or "L" for one, gray; images are converted.
        size: (height, width), or one number for both, to which images are resized, bilinear; None keeps their sizes, which
            must be equal in a batch.
        max_pixels: the most pixels of an image, since a small file can decompress to a huge image.

    Attributes:
        classes: the names of the classes; a label is a position in this tuple.
        samples: the path and the label of each example.

    Raises:
        ImportError: if Pillow is not installed.
        FileNotFoundError: if `root` has no class folders, or one has no images.
        ValueError: if `mode` or `size` has another value.
    """

    def __init__(
        self, root: PathLike, mode: str = "RGB", size: int | tuple[int, int] | None = None, max_pixels: int = 50_000_000
    ) -> None:
        if mode not in _CHANNELS:
            raise ValueError(f"ImageFolder: `mode` is {mode!r}; it must be 'RGB' or 'L'")
        self.root = Path(root)
        self.mode = mode
        self.size = size if size is None else _size(size)
        self.max_pixels = max_pixels
        self._pillow = _package()
        folders = sorted(entry for entry in self.root.iterdir() if entry.is_dir() and not entry.name.startswith("."))
        if not folders:
            raise FileNotFoundError(f"ImageFolder: {self.root} has no folders; there must be one for each class")
        self.classes = tuple(folder.name for folder in folders)
        self.samples = [(path, label) for label, folder in enumerate(folders) for path in _files(folder)]

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[NDArray[np.uint8], int]:
        """The image (C, H, W) uint8, and its label.

        Raises:
            OSError: if the file cannot be opened.
            DataFileError: a ValueError, if the file is damaged, not an image, or has too many pixels.
        """
        path, label = self.samples[index]
        return self._image(path), label

    def _image(self, path: Path) -> NDArray[np.uint8]:
        with path.open("rb") as file:
            try:
                with self._pillow.open(file) as picture:
                    width, height = picture.size
                    if width * height > self.max_pixels:
                        size = f"{height} x {width} pixels"
                        raise DataFileError(f"{path}: size is {size}; `max_pixels` allows {self.max_pixels}")
                    if picture.mode.startswith(("I", "F")):  # Pillow would clip them to 8 bits
                        raise DataFileError(f"{path}: its mode is {picture.mode}, more than 8 bits; convert it first")
                    converted = picture.convert(self.mode)
                    if self.size is not None:
                        converted = converted.resize(self.size[::-1], self._pillow.Resampling.BILINEAR)
                    pixels = np.array(converted, np.uint8)
            except DataFileError:
                raise
            except Exception as error:  # decoders raise exceptions of any type on damaged bytes
                reason = str(error) or type(error).__name__
                raise DataFileError(f"{path}: it cannot be read as an image: {reason}") from error
        pixels = pixels.reshape(*pixels.shape[:2], _CHANNELS[self.mode])
        return np.ascontiguousarray(pixels.transpose(2, 0, 1))

    def __repr__(self) -> str:
        return f"ImageFolder({str(self.root)!r}: {len(self)} images in {len(self.classes)} classes)"


def _package() -> ModuleType:
    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError("ImageFolder: Pillow is not installed; pip install 'tinygrad_cnn[images]'") from error
    return Image


def _files(folder: Path) -> list[Path]:
    files = [path for path in folder.rglob("*") if path.suffix.lower() in EXTENSIONS and path.is_file()]
    found = [path for path in files if not any(part.startswith(".") for part in path.relative_to(folder).parts)]
    if not found:
        raise FileNotFoundError(f"ImageFolder: {folder} has no images; they end in {', '.join(EXTENSIONS)}")
    return sorted(found)


def _size(size: Any) -> tuple[int, int]:
    pair = size if isinstance(size, tuple | list) else (size, size)
    if len(pair) != 2 or not all(isinstance(n, int | np.integer) and n >= 1 for n in pair):
        raise ValueError(f"ImageFolder: `size` is {size!r}; it must be a whole number of at least 1, or two")
    return int(pair[0]), int(pair[1])
