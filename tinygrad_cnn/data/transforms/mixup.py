"""Mixtures of images and of their labels."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...checks import checked, number, whole
from ...ops.gather import one_hot
from ...ops.random import Seed, generator

_CHECKS = {"alpha": number("a finite number above 0", lambda x: 0 < x < np.inf)}


class MixUp:
    """Each image mixed with another one of the batch, and its target with that of the other.

    x = s x + (1 - s) x',  y = s y + (1 - s) y',  with s from Beta(alpha, alpha), drawn for each image.

    A class becomes a row of probabilities, which :func:`tinygrad_cnn.cross_entropy` takes. Give it to a loader as
    ``batch_transform``, since it changes the whole batch.

    Reference: Zhang et al., "mixup: beyond empirical risk minimization", arXiv:1710.09412.

    Args:
        alpha: near 0 most images hardly change; with 1 all mixtures are equally likely.
        num_classes: how many classes there are; it is needed if targets are integers.

    Raises:
        TypeError, ValueError: if an argument has the wrong type or is out of range.

    >>> import numpy as np, tinygrad_cnn as tg
    >>> images, labels = tg.data.digits()
    >>> dataset = tg.data.TensorDataset(images[:, None], labels)
    >>> mix = tg.data.MixUp(alpha=0.2, num_classes=10)
    >>> loader = tg.data.DataLoader(dataset, 64, transform=tg.data.ToFloat(16), batch_transform=mix)
    >>> x, y = next(iter(loader))
    >>> x.shape, y.shape, bool(np.allclose(y.sum(axis=1), 1))
    ((64, 1, 8, 8), (64, 10), True)
    """

    def __init__(self, *, alpha: float = 1.0, num_classes: int | None = None) -> None:
        self.alpha: float = checked("MixUp", _CHECKS, locals())["alpha"]
        table = {} if num_classes is None else {"num_classes": whole(1)}
        self.num_classes: int | None = checked("MixUp", table, locals()).get("num_classes")

    def __call__(
        self, images: NDArray[Any], targets: NDArray[Any], rng: Seed = None
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        """Images (N, ...) and targets: classes (N,), or numbers (N, ...), both in the dtype of the images.

        Raises:
            TypeError: if `images` are not floating point, or targets are neither integers nor floating point.
            ValueError: if there is not one target for each image, or integers are not classes (N,).
            IndexError: if a class is negative or too large.
        """
        images, targets = np.asarray(images), np.asarray(targets)
        if images.dtype.kind != "f":
            raise TypeError(f"MixUp: `images` is {images.dtype}; convert it with ToFloat() first")
        if not images.ndim or not targets.ndim or len(images) != len(targets):
            raise ValueError(
                f"MixUp: `images` has shape {images.shape} and `targets` {targets.shape}; there must be one target for each "
                "image"
            )
        if targets.dtype.kind in "iu":
            if self.num_classes is None or targets.ndim > 1:
                raise ValueError(
                    f"MixUp: `targets` is {targets.dtype} {targets.shape} and `num_classes` {self.num_classes}; classes are "
                    "(N,) and need `num_classes`, other targets must be floating point"
                )
            targets = np.asarray(one_hot(targets, num_classes=self.num_classes))
        elif targets.dtype.kind != "f":
            raise TypeError(f"MixUp: `targets` is {targets.dtype}; it must be integers or floating point")
        rng = generator(rng)
        share = rng.beta(self.alpha, self.alpha, len(images))
        partner = rng.permutation(len(images))
        return _mixed(images, partner, share, images.dtype), _mixed(targets, partner, share, images.dtype)

    def __repr__(self) -> str:
        return f"MixUp(alpha={self.alpha:g}, num_classes={self.num_classes})"


def _mixed(x: NDArray[Any], partner: NDArray[np.intp], share: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    s = share.reshape(-1, *(1 for _ in x.shape[1:])).astype(dtype)
    x = x.astype(dtype, copy=False)
    mixed: NDArray[Any] = s * x + (1 - s) * x[partner]
    return mixed
