"""A classifier of the digits in the package; digits.LICENSE.md beside this file has source and licence of its weights."""

from __future__ import annotations

from importlib.resources import files

import numpy as np

from ...checks import checked, flag
from ..activation import ReLU
from ..containers import Sequential
from ..conv import Conv2d
from ..dropout import Dropout
from ..linear import Flatten, Linear
from ..pool import MaxPool2d


def digits(pretrained: bool = False) -> Sequential:
    """Two convolutions with relu, a max-pool, dropout and a linear layer, for the images of ``data.digits()``.

    Args:
        pretrained: load the weights in the package. ``examples/train_digits.py --classify --save FILE.npz`` has trained them
            on 1,437 of the 1,797 images, whose pixels it divided by 16. They name 99 % of the others correctly. Call
            ``eval()`` before you use them, as with every model that has dropout.

    Shapes: (N, 1, 8, 8) to (N, 10).

    Raises:
        TypeError: if `pretrained` is not True or False.

    >>> import numpy as np, tinygrad_cnn as tg
    >>> images, labels = tg.data.digits()
    >>> model = tg.nn.models.digits(pretrained=True).eval()
    >>> scores = model(images[:10, None] / np.float32(16))
    >>> scores.argmax(axis=1).tolist()
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
    """
    pretrained = checked("digits", {"pretrained": flag}, locals())["pretrained"]
    model = Sequential(
        Conv2d(1, 16, 3, padding=1),
        ReLU(),
        Conv2d(16, 32, 3, padding=1),
        ReLU(),
        MaxPool2d(2),  # (N, 32, 4, 4)
        Flatten(),
        Dropout(0.3),
        Linear(512, 10),
    )
    if pretrained:
        source = files(__package__).joinpath("digits.npz")
        with source.open("rb") as stream, np.load(stream, allow_pickle=False) as weights:
            model.load_state_dict(dict(weights), finite=True)
    return model
