"""A trained model is read from an ONNX file, learns a new task in a minute, and is written again for any runtime.

A small network learns to classify the digits 0 to 4, and is exported. That file stands for one from elsewhere, without its
Python code. It is loaded as a module, whose parameters have the file's names. Its last layer is replaced by a new one. With the
old layers frozen, the new one learns the digits 5 to 9 from few images; then all layers learn. The result is exported too, and
that file is tested.

Needs the package onnx: pip install 'tinygrad_cnn[onnx]'.
Run:  python examples/onnx_finetune.py
"""

import argparse
import importlib.util
import io
import sys

import numpy as np

import tinygrad_cnn as tg
from tinygrad_cnn import nn

FEW = 20  # images of each new digit
BATCH = 25
EPOCHS, QUICK_EPOCHS = 30, 10
HEAD_EPOCHS = 10  # in which only the new layer learns
LR = 2e-3


def network():
    """Scores (n, 5) for images (n, 1, 8, 8)."""
    return nn.Sequential(
        nn.Conv2d(1, 16, kernel_size=3, padding=1),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(16 * 4 * 4, 64),
        nn.ReLU(),
        nn.Linear(64, 5),
    )


def train(model, x, y, epochs, lr=LR):
    """Train what is not frozen. The model is in evaluation mode then."""
    loader = tg.data.DataLoader(tg.data.TensorDataset(x, y), BATCH, shuffle=True, seed=0)
    learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = tg.optim.Adam(learning, lr=lr)
    tg.fit(model, loader, tg.cross_entropy, optimizer, epochs=epochs, progress=False)
    model.eval()


def accuracy(model, x, y):
    """The share of images that are classified correctly."""
    with tg.no_grad():
        return float((model(x).numpy().argmax(1) == y).mean())


def main(argv=None):
    """Train, export, load, fine-tune, export again, and print the accuracy of the last file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer epochs, a few seconds")
    epochs = QUICK_EPOCHS if parser.parse_args(argv).quick else EPOCHS
    if importlib.util.find_spec("onnx") is None:
        parser.error("onnx is not installed; pip install 'tinygrad_cnn[onnx]'")
    tg.manual_seed(0)
    x, y = tg.data.digits()
    x = x.reshape(-1, 1, 8, 8).astype(np.float32) / 16
    low = y < 5

    file = io.BytesIO()
    model = network()
    train(model, x[low], y[low], epochs)
    tg.onnx.export(model, x[:1], file, input_names=["image"], output_names=["scores"])

    loaded = tg.onnx.load(file.getvalue())
    print("read:", ", ".join(name for name, _ in loaded.named_parameters()))
    print("replaced:", loaded[-1])
    loaded.requires_grad_(False)
    head = loaded[-1] = nn.Linear(64, 5)

    new, digits = x[~low], y[~low] - 5
    few = np.concatenate([np.flatnonzero(digits == digit)[:FEW] for digit in range(5)])
    rest = np.setdiff1d(np.arange(len(new)), few)
    train(loaded, new[few], digits[few], HEAD_EPOCHS, lr=5 * LR)
    print(
        f"{100 * accuracy(loaded, new[rest], digits[rest]):.1f}% right with the new layer, {head.weight.size} weights"
    )
    loaded.requires_grad_(True)
    train(loaded, new[few], digits[few], epochs)

    tuned = io.BytesIO()
    tg.onnx.export(loaded, new[:1], tuned)
    again = tg.onnx.load(tuned.getvalue())
    print(f"{100 * accuracy(again, new[rest], digits[rest]):.1f}% of {len(rest)} images of new digits right")
    return 0


if __name__ == "__main__":
    sys.exit(main())
