"""A small classifier of digits with everything that has a state: running statistics, dropout, Adam, a shuffled loader."""

from __future__ import annotations

import numpy as np

import tinygrad_cnn as tg
from tinygrad_cnn import nn

IMAGES, DIGITS = tg.data.digits()
IMAGES = IMAGES[:, None].astype(np.float32) / 16
DIGITS = DIGITS.astype(np.int64)


class Parts:
    """What `fit` is given, drawn anew from a seed."""

    def __init__(self, seed: int = 0, examples: int = 42, batch_size: int = 8) -> None:
        tg.manual_seed(seed)
        self.model = nn.Sequential(
            nn.Conv2d(1, 3, 3, stride=2), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten(), nn.Dropout(0.3), nn.Linear(27, 10)
        )
        self.optimizer = tg.optim.Adam(self.model.parameters(), lr=0.01)
        data = tg.data.TensorDataset(IMAGES[:examples], DIGITS[:examples])
        self.loader = tg.data.DataLoader(data, batch_size=batch_size, shuffle=True, seed=seed)
        held_out = tg.data.TensorDataset(IMAGES[-21:], DIGITS[-21:])
        self.validate = tg.data.DataLoader(held_out, batch_size=8)

    def fit(self, **arguments):
        """`fit` with these parts, eager and silent unless said otherwise."""
        arguments = {"epochs": 3, "compile": False, "progress": False, **arguments}
        return tg.fit(self.model, self.loader, tg.cross_entropy, self.optimizer, **arguments)

    def state(self):
        """Everything that training changes."""
        return tg.training.snapshot(model=self.model, optimizer=self.optimizer, loader=self.loader)


def measures(history):
    """A history without what the clock says."""
    return {name: values for name, values in history.items() if name != "seconds"}


def assert_same(a, b, path="state"):
    """Two nested states are equal to the bit."""
    assert type(a) is type(b), path
    if isinstance(a, dict):
        assert list(a) == list(b), path
        for key in a:
            assert_same(a[key], b[key], f"{path}[{key!r}]")
    elif isinstance(a, list | tuple):
        assert len(a) == len(b), path
        for i, pair in enumerate(zip(a, b, strict=True)):
            assert_same(*pair, f"{path}[{i}]")
    elif isinstance(a, np.ndarray):
        assert (a.shape, a.dtype, a.tobytes()) == (b.shape, b.dtype, b.tobytes()), path
    else:
        assert a == b or (a != a and b != b), f"{path}: {a!r} and {b!r}"
