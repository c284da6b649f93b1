"""A whole training beside the same in PyTorch: `examples/train_mnist.py`, with its batches in their order, the loss and the
share of correct predictions read back at every step, and a test after every epoch.

    python -m tests.benchmarks.training               seeds 0, 1 and 2, about four minutes
    python -m tests.benchmarks.training --seeds 1 --epochs 2

Needs PyTorch and mlxtend, which `requirements.txt` installs. The variables and the quiet machine of `tests.benchmarks` hold.
"""

from __future__ import annotations

import argparse
import importlib.util
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from statistics import median
from typing import Any

EXAMPLE = Path(__file__).parents[2] / "examples" / "train_mnist.py"

PAUSE = 1.0
"""Seconds between the sides: threads of the one that was last go on spinning for a while."""


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3, help="how many pairs of runs (default: 3)")
    parser.add_argument("--epochs", type=int, default=6, help="passes over the images (default: 6)")
    given = parser.parse_args()
    example = _example()
    examples, held_out, _ = example.load(None, None, quick=False)
    print("| seed | ours | PyTorch | ours / PyTorch | right, ours | right, PyTorch |\n" + "| --- " * 6 + "|")
    ratios = []
    for seed in range(given.seeds):
        options = example.arguments(["--seed", str(seed), "--epochs", str(given.epochs)])
        runs = []
        for side in (_ours, _pytorch):
            time.sleep(PAUSE)
            batches, test = example.loaders(examples, held_out, options.batch_size, seed)
            runs.append(_timed(side, example, batches, test, options))
        (ours, right), (theirs, their_right) = runs
        ratios.append(ours / theirs)
        print(
            f"| {seed} | {ours:.1f} s | {theirs:.1f} s | {ours / theirs:.2f} | {right:.1%} | {their_right:.1%} |",
            flush=True,
        )
    print(f"\nmedian of the ratios: {median(ratios):.2f}")


def _timed(run: Callable[..., float], *arguments: Any) -> tuple[float, float]:
    began = time.perf_counter()
    right = run(*arguments)
    return time.perf_counter() - began, right


def _ours(example: Any, batches: Any, test: Any, options: Any) -> float:
    _, history = example.train(batches, test, options)
    return float(history["val_accuracy"][-1])


def _pytorch(example: Any, batches: Any, test: Any, options: Any) -> float:
    import torch
    from torch import nn
    from torch.nn import functional

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv1, self.conv2 = nn.Conv2d(1, 32, 3), nn.Conv2d(32, 64, 3)
            self.dropout1, self.dropout2 = nn.Dropout(0.25), nn.Dropout(0.5)
            self.fc1, self.fc2 = nn.Linear(9216, 128), nn.Linear(128, 10)

        def forward(self, x: Any) -> Any:
            x = functional.relu(self.conv2(functional.relu(self.conv1(x))))
            x = self.dropout1(functional.max_pool2d(x, 2)).flatten(1)
            return self.fc2(self.dropout2(functional.relu(self.fc1(x))))

    def pairs(loader: Any) -> Iterable[Any]:
        loader.tensors = False
        return ((torch.from_numpy(x), torch.from_numpy(y)) for x, y in loader)

    def outcome(loss: Any, scores: Any, y: Any) -> tuple[float, int]:
        return loss.item() * len(y), int((scores.argmax(1) == y).sum())

    torch.manual_seed(options.seed)
    model = Net()
    optimizer = torch.optim.Adam(model.parameters())
    steps = options.epochs * len(batches)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, options.lr, total_steps=steps, cycle_momentum=False)
    tested: list[tuple[float, int]] = []
    images = 0
    for _ in range(options.epochs):
        model.train()
        for x, y in pairs(batches):
            scores = model(x)
            loss = functional.cross_entropy(scores, y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            outcome(loss, scores, y)
        model.eval()
        with torch.no_grad():
            tested, images = [], 0
            for x, y in pairs(test):
                scores = model(x)
                tested.append(outcome(functional.cross_entropy(scores, y), scores, y))
                images += len(y)
    return sum(right for _, right in tested) / images


def _example() -> Any:
    spec = importlib.util.spec_from_file_location("train_mnist", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    main()
