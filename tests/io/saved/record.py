"""Writes the files of this folder: `python tests/io/saved/record.py`, in a checkout of the version that they are of.

run.npz       the checkpoint of a training after 2 of 4 epochs
trained.npz   the weights and the losses of the same training after 4 epochs
optimizers.npz    of each optimizer, its state and the parameters after 3 steps, and the parameters after 6
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

import tinygrad_cnn as tg
from tinygrad_cnn import nn

HERE = Path(__file__).parent
OPTIMIZERS = {
    "SGD": {"lr": 0.1, "momentum": 0.9, "nesterov": True},
    "Adam": {"lr": 0.1, "amsgrad": True},
    "AdamW": {"lr": 0.1},
    "NAdam": {"lr": 0.1},
    "Lion": {"lr": 0.01},
    "RMSprop": {"lr": 0.1, "centered": True, "momentum": 0.5},
    "Adagrad": {"lr": 0.1},
    "Adadelta": {"lr": 1.0},
}


def parts():
    """A model, a loader, an optimizer and a schedule, whose first state is the same in every version."""
    model = nn.Sequential(
        nn.Conv2d(1, 3, 3, bias=False), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten(), nn.Linear(3 * 36, 4)
    )
    with tg.no_grad():
        for i, p in enumerate(model.parameters()):
            p.copy_(np.sin(np.arange(p.size, dtype=np.float32) + i).reshape(p.shape) * 0.3)
    x = np.cos(np.arange(30 * 64) * 0.37).astype(np.float32).reshape(30, 1, 8, 8)
    loader = tg.data.DataLoader(tg.data.TensorDataset(x, np.arange(30) % 4), 8, shuffle=True, seed=3)
    optimizer = tg.optim.Adam(model.parameters(), lr=0.01)
    return model, loader, optimizer, tg.optim.StepLR(optimizer, 3, 0.5)


def train(epochs, *, resume=None, callbacks=()):
    """The model and the history of a training."""
    model, loader, optimizer, schedule = parts()
    history = tg.fit(
        model, loader, tg.cross_entropy, optimizer, epochs=epochs, scheduler=schedule, progress=False, resume=resume,
        callbacks=callbacks,
    )  # fmt: skip
    return model, history


def step(optimizer, p, n):
    """n steps towards the minimum of a quadratic function."""
    for _ in range(n):
        optimizer.zero_grad()
        ((p - 1) ** 2 * tg.Tensor([1.0, 2.0, 3.0])).sum().backward()
        optimizer.step()


def main():
    """Write the files."""
    train(2, callbacks=[tg.training.Checkpoint(HERE / "run.npz")])
    model, history = train(4)
    tg.save(HERE / "trained.npz", {"model": model.state_dict(), "loss": np.array(history["loss"])})
    saved = {}
    for name, options in OPTIMIZERS.items():
        p = tg.Tensor([0.5, -1.0, 2.0], requires_grad=True)
        optimizer = getattr(tg.optim, name)([p], **options)
        step(optimizer, p, 3)
        saved[name] = {"state": optimizer.state_dict(), "p": p.numpy().copy()}
        step(optimizer, p, 3)
        saved[name]["later"] = p.numpy().copy()
    tg.save(HERE / "optimizers.npz", saved)


if __name__ == "__main__":
    sys.exit(main())
