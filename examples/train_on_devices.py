"""A convolutional network of digits, trained on all devices that JAX has: GPUs, TPUs, or one CPU as eight simulated ones.

The same `fit` trains once there and once here, and the losses are printed side by side. Then training goes on here, with the
weights and the optimizer's state from there.

Needs JAX and optax: pip install 'tinygrad_cnn[jax]'.
Run:  python examples/train_on_devices.py
"""

import argparse
import os
import sys

os.environ.setdefault("XLA_FLAGS", "--xla_force_host_platform_device_count=8")  # for CPUs alone, and read by JAX
try:
    import jax  # noqa: F401
    import optax  # noqa: F401
except ModuleNotFoundError:
    sys.exit("train_on_devices.py: JAX is not installed; pip install 'tinygrad_cnn[jax]'")

import numpy as np

import tinygrad_cnn as tg
from tinygrad_cnn import nn

TRAINED, BATCH = 1536, 64
EPOCHS, QUICK_EPOCHS = 12, 2


def network():
    """Scores (n, 10) for images (n, 1, 8, 8)."""
    tg.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(128, 10),
    )  # fmt: skip


def train(engine, epochs, images, digits):
    """A trained network, its optimizer and the history."""
    model = network()
    optimizer = tg.optim.AdamW(model.parameters(), lr=0.003)
    loader = tg.data.DataLoader(tg.data.TensorDataset(images, digits), BATCH, shuffle=True, seed=0)
    history = tg.fit(model, loader, tg.cross_entropy, optimizer, epochs=epochs, engine=engine, progress=False)
    return model, optimizer, history


def main(argv=None):
    """Train there and here, compare, and go on."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="two epochs, to try it out")
    epochs = QUICK_EPOCHS if parser.parse_args(argv).quick else EPOCHS
    images, digits = tg.data.digits()
    images = (images[:, None] / 16).astype(np.float32)
    known, others = (images[:TRAINED], digits[:TRAINED]), (images[TRAINED:], digits[TRAINED:])

    engine = tg.jax.Devices()
    print(f"training on {len(engine.devices)} devices of JAX ({engine.devices[0].platform}), and here")
    model, optimizer, there = train(engine, epochs, *known)
    _, _, here = train(None, epochs, *known)
    print("epoch  loss there  loss here")
    for n, (a, b) in enumerate(zip(there["loss"], here["loss"], strict=True), start=1):
        print(f"{n:>5}  {a:>10.5f}  {b:>9.5f}")

    tg.fit(model, known, tg.cross_entropy, optimizer, epochs=1, batch_size=BATCH, progress=False)
    right = tg.evaluate(model, others, tg.cross_entropy)["accuracy"]
    print(f"after one more epoch here, {100 * right:.1f}% of {len(images) - TRAINED} other images are right")
    return 0


if __name__ == "__main__":
    sys.exit(main())
