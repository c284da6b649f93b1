"""``python -m tinygrad_cnn``: train on the digits in the package, show a graph, or check the installation."""

from __future__ import annotations

import argparse
import importlib.util
import platform
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import tinygrad_cnn as tg

TRAIN = 1437
"""The images to train on: four fifths of the 1,797; the others measure the accuracy."""

EXTRAS = {
    "plot": "matplotlib", "progress": "tqdm", "scipy": "scipy", "safetensors": "safetensors", "images": "PIL", "onnx": "onnx",
    "sklearn": "sklearn", "tensorboard": "tensorboardX", "mpi": "mpi4py", "data": "mlxtend", "test": "hypothesis",
    "numba": "numba", "jax": "jax",
}  # fmt: skip
"""The extras of the package, and a module that each brings."""


def main(argv: Sequence[str] | None = None) -> int:
    """Do what the command line says. The exit status is 1 if a check fails."""
    parser = argparse.ArgumentParser(
        prog="tinygrad-cnn",
        description="Train a convolutional network on the 1,797 handwritten digits in the package, and print its accuracy.",
    )
    parser.add_argument("--version", action="version", version=f"tinygrad_cnn {tg.__version__}")
    parser.add_argument("--epochs", type=int, default=8, help="passes over the training images (default: 8)")
    other = parser.add_mutually_exclusive_group()
    other.add_argument(
        "--show", action="store_true", help="open a page with the graph of the network, and do not train"
    )
    other.add_argument("--check", action="store_true", help="check the installation, and do not train")
    given = parser.parse_args(argv)
    if given.epochs < 1:
        parser.error(f"argument --epochs: {given.epochs} must be at least 1")
    return check() if given.check else show() if given.show else train(given.epochs)


def _digits() -> tuple[np.ndarray, np.ndarray]:
    """Images (1797, 1, 8, 8) with pixels from 0 to 1 and their labels, in a fixed random order."""
    images, labels = tg.data.digits()
    order = np.random.default_rng(0).permutation(len(images))
    return images[order, None] / np.float32(16), labels[order]


def train(epochs: int) -> int:
    """Train, with a line of progress, and print the accuracy on the images that were held out."""
    images, labels = _digits()
    tg.manual_seed(0)
    model = tg.nn.models.digits()
    optimizer = tg.optim.Adam(model.parameters(), lr=3e-3)
    loader = tg.data.DataLoader(tg.data.TensorDataset(images[:TRAIN], labels[:TRAIN]), 32, shuffle=True, seed=0)
    began = time.perf_counter()
    tg.fit(
        model, loader, tg.cross_entropy, optimizer, epochs=epochs,
        scheduler=tg.optim.CosineAnnealingLR(optimizer, T_max=epochs),
    )  # fmt: skip
    accuracy = float((tg.predict(model, images[TRAIN:]).argmax(axis=1) == labels[TRAIN:]).mean())
    seconds = time.perf_counter() - began
    print(f"{accuracy:.1%} of {len(images) - TRAIN} images that it has not seen are right, after {seconds:.1f} s")
    return 0


def show() -> int:
    """Open a page with the network, called with one digit."""
    images, labels = _digits()
    model = tg.nn.models.digits(pretrained=True).eval()
    tg.show(lambda x: tg.cross_entropy(model(x), labels[:1]), images[:1], title="A classifier of digits").open()
    return 0


def check() -> int:
    """Print what is installed, and compare gradients with finite differences: a line for each fault."""
    blas = np.show_config(mode="dicts").get("Build Dependencies", {}).get("blas", {})
    present = [extra for extra, module in EXTRAS.items() if importlib.util.find_spec(module)]
    print(f"tinygrad_cnn {tg.__version__}, Python {platform.python_version()}, {platform.platform()}")
    print(f"NumPy {np.__version__}, BLAS {blas.get('name', 'unknown')} {blas.get('version', '')}".rstrip())
    print(f"threads: {tg.get_num_threads()}" if hasattr(tg, "get_num_threads") else "threads: 1, without kernels")
    print(
        f"extras: {', '.join(present) or 'none'}; absent: {', '.join(e for e in EXTRAS if e not in present) or 'none'}"
    )
    functions = _functions()
    faults = []
    for name, (f, shapes) in functions.items():
        rng = np.random.default_rng(0)
        arrays = [rng.uniform(0.5, 1.5, shape) for shape in shapes]
        report = tg.testing.gradcheck(f, *arrays, order=2, rng=0)
        if not report:
            faults.append(f"{name}: {report}")
    print(*faults, sep="\n", end="\n" if faults else "")
    right = len(functions) - len(faults)
    print(f"gradients: {right} of {len(functions)} functions agree with finite differences, at first and second order")
    return 1 if faults else 0


def _functions() -> dict[str, tuple[Callable[..., Any], list[tuple[int, ...]]]]:
    """Functions to check, and the shapes of their inputs."""
    image, filters, matrix, square = (2, 2, 5, 5), (3, 2, 3, 3), (3, 4), (3, 3)
    return {
        "add": (tg.add, [matrix, (4,)]),
        "mul": (tg.mul, [matrix, (3, 1)]),
        "div": (tg.div, [matrix, matrix]),
        "pow": (tg.pow, [matrix, matrix]),
        "exp": (tg.exp, [matrix]),
        "log": (tg.log, [matrix]),
        "tanh": (tg.tanh, [matrix]),
        "sigmoid": (tg.sigmoid, [matrix]),
        "relu": (tg.relu, [matrix]),
        "gelu": (tg.gelu, [matrix]),
        "sum": (lambda x: tg.sum(x, axis=0), [matrix]),
        "mean": (lambda x: tg.mean(x, axis=1), [matrix]),
        "reshape": (lambda x: tg.reshape(x, (2, 6)), [matrix]),
        "matmul": (tg.matmul, [matrix, (4, 2)]),
        "inv": (lambda x: tg.linalg.inv(x + 3 * np.eye(3)), [square]),
        "softmax": (tg.softmax, [matrix]),
        "conv2d": (lambda x, w, b: tg.conv2d(x, w, b, stride=2, padding=1), [image, filters, (3,)]),
        "max_pool2d": (lambda x: tg.max_pool2d(x, 2), [image]),
        "layer_norm": (lambda x, w, b: tg.layer_norm(x, 4, w, b), [matrix, (4,), (4,)]),
        "mse": (tg.mse, [matrix, matrix]),
        "cross_entropy": (lambda x: tg.cross_entropy(x, np.array([0, 2, 1])), [matrix]),
    }


if __name__ == "__main__":
    sys.exit(main())
