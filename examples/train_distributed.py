"""Train on any number of processes to the same bits: the digits or Fashion-MNIST, each batch cut into a fixed number of shards.

Every process runs this program. The checkpoint that the first one writes has the same bytes for any number of processes, with
and without --compile, for one thread and for several, and after an interruption and a --resume on another number of processes.

Run:  python examples/train_distributed.py --shards 8 --checkpoint run.npz
      mpiexec -n 4 python -m mpi4py examples/train_distributed.py --shards 8 --checkpoint run.npz
"""

import argparse
import os
import sys

import numpy as np

import tinygrad_cnn as tg
from tinygrad_cnn import nn

DATA = "digits", "fashion"
TRAIN = 1437  # of the 1797 digits
QUICK_TRAIN, QUICK_TEST = 400, 200


class Checkpoint(tg.training.Checkpoint):
    """A checkpoint without the times of the epochs, which are all that differs from run to run."""

    def save(self, run):
        run.seconds = run.train_seconds = 0.0
        run.history["seconds"] = [0.0] * run.history.epochs
        super().save(run)


def load(name, quick):
    """Images (n, 1, h, w) and labels, for training and for the test."""
    if name == "fashion":
        parts = tg.data.fashion_mnist()
    else:
        images, labels = tg.data.digits()
        order = np.random.default_rng(0).permutation(len(images))
        parts = [(images[part] * 16, labels[part]) for part in (order[:TRAIN], order[TRAIN:])]
    if quick:
        parts = [(x[:n], y[:n]) for (x, y), n in zip(parts, (QUICK_TRAIN, QUICK_TEST), strict=True)]
    return [tg.data.TensorDataset(x[:, None].astype(np.float32) / 255, y) for x, y in parts]


def network(size):
    """Scores (n, 10) for images (n, 1, size, size), with batch normalization and dropout."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.25),
        nn.Linear(32 * (size // 4) ** 2, 10),
    )


def main(argv=None):
    given = arguments(argv)
    if given.threads is not None:
        tg.set_num_threads(given.threads)
    tg.manual_seed(given.seed)
    world = tg.distributed.World(shards=given.shards, timeout=given.timeout)
    train, test = load(given.data, given.quick)
    size = train.arrays[0].shape[-1]
    model = network(size)
    optimizer = tg.optim.Adam(model.parameters(), lr=given.lr)
    shift = tg.data.RandomCrop(size, padding=1) if given.augment else None
    loader = tg.data.DataLoader(train, given.batch_size, shuffle=True, seed=given.seed, transform=shift)
    history = tg.fit(
        model, loader, tg.cross_entropy, optimizer, epochs=given.epochs, validate=tg.data.DataLoader(test, 500),
        scheduler=tg.optim.CosineAnnealingLR(optimizer, T_max=given.epochs), compile=given.compile,
        callbacks=[Checkpoint(given.checkpoint)] if given.checkpoint else [], resume=given.resume, distributed=world,
    )  # fmt: skip
    if world.rank == 0:
        print(
            f"{history.last['val_accuracy']:.2%} of {len(test)} test images are classified correctly; "
            f"processes: {world.size}"
        )


def arguments(argv):
    """The command line, checked before anything is computed."""

    def whole(text):
        if not text.isdigit() or int(text) < 1:
            raise argparse.ArgumentTypeError(f"{text!r} must be a whole number, at least 1")
        return int(text)

    def saved(text):
        if not text.endswith((".npz", ".safetensors")):
            raise argparse.ArgumentTypeError(f"{text!r} must be the name of a .npz or .safetensors file")
        return text

    def present(text):
        if not os.path.isfile(saved(text)):
            raise argparse.ArgumentTypeError(f"{text!r} does not exist; give a file that --checkpoint has written")
        return text

    parser = argparse.ArgumentParser(description=" ".join(__doc__.split("\n\n")[0].split()))
    parser.add_argument("--data", choices=DATA, default="digits", help="default: digits")
    parser.add_argument("--shards", type=whole, default=8, help="parts of a batch (default: 8)")
    parser.add_argument("--epochs", type=whole, help="default: 5, or 1 if quick")
    parser.add_argument("--batch-size", type=whole, default=64, help="images in each step (default: 64)")
    parser.add_argument("--lr", type=float, default=0.003, help="learning rate of Adam (default: 0.003)")
    parser.add_argument("--seed", type=int, default=0, help="of weights, order, dropout (default: 0)")
    parser.add_argument("--augment", action="store_true", help="shift the images by up to a pixel")
    parser.add_argument("--compile", action="store_true", help="compile the steps")
    parser.add_argument("--threads", type=whole, help="of each process (default: the library's)")
    parser.add_argument("--checkpoint", type=saved, help="the file to save to after each epoch")
    parser.add_argument("--resume", type=present, help="a checkpoint to continue from, on any number of processes")
    parser.add_argument(
        "--timeout", type=float, default=30.0, help="seconds in which all end after one hangs (default: 30)"
    )
    parser.add_argument("--quick", action="store_true", help="a few images and one epoch, to see that it runs")
    given = parser.parse_args(argv)
    if given.seed < 0:
        parser.error("--seed must be at least 0")
    given.epochs = given.epochs or (1 if given.quick else 5)
    return given


if __name__ == "__main__":
    sys.exit(main())
