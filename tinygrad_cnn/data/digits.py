"""The UCI handwritten digits; digits.LICENSE.md beside this file has source and licence."""

from importlib.resources import files

import numpy as np
from numpy.typing import NDArray


def digits() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Images (1797, 8, 8) of pixels 0 to 16 and labels (1797,) from 0 to 9, as new arrays.

    A pixel is the number of inked points in a 4 x 4 block of the 32 x 32 scan; :func:`enlarge` to 32 restores the scale.

    Source: E. Alpaydin, C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning Repository,
    DOI 10.24432/C50P49 (CC BY 4.0); these are its test set.

    >>> import tinygrad_cnn as tg
    >>> images, labels = tg.data.digits()
    >>> images.shape, images.dtype, labels[:10].tolist()
    ((1797, 8, 8), dtype('uint8'), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
    """
    with files(__package__).joinpath("digits.npz").open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
        return archive["images"], archive["labels"].astype(np.int64)
