"""Record PyTorch's CTC loss for test_ctc.py, and compare ours with it. It needs PyTorch and is run by hand.

python tests/ops/record_ctc.py
"""

from pathlib import Path

import numpy as np
import torch

import tinygrad_cnn as tg


def case(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Random scores, targets and lengths."""
    steps, count, classes, longest = rng.integers(1, 14), rng.integers(1, 5), rng.integers(2, 6), rng.integers(0, 6)
    blank = int(rng.integers(classes))
    labels = np.array([c for c in range(classes) if c != blank])
    targets = labels[rng.integers(len(labels), size=(count, longest))]
    lengths = rng.integers(0, longest + 1, count)
    if rng.random() < 0.5:
        targets = np.concatenate([row[:n] for row, n in zip(targets, lengths, strict=True)])
    return {
        "scores": rng.normal(size=(steps, count, classes)) * 2, "targets": targets, "blank": np.array(blank),
        "input_lengths": rng.integers(1, steps + 1, count), "target_lengths": lengths,
    }  # fmt: skip


def main() -> None:
    rng, data, worst = np.random.default_rng(0), {"made_by": np.array(f"PyTorch {torch.__version__}")}, 0.0
    for n in range(40):
        given = case(rng)
        others = [given[key] for key in ("targets", "input_lengths", "target_lengths")]
        for reduction in ("none", "mean", "sum"):
            a, b = torch.tensor(given["scores"], requires_grad=True), tg.Tensor(given["scores"], requires_grad=True)
            y = torch.nn.functional.ctc_loss(
                a.log_softmax(2), *map(torch.tensor, others), int(given["blank"]), reduction, zero_infinity=True
            )
            z = tg.ctc_loss(tg.log_softmax(b, axis=2), *others, int(given["blank"]), reduction, zero_infinity=True)
            y.sum().backward(), z.sum().backward()
            worst = max(
                worst, np.abs(y.detach().numpy() - z.numpy()).max(), np.abs(a.grad.numpy() - b.grad.numpy()).max()
            )
            if n < 12:
                data |= {f"{n}/{reduction}": y.detach().numpy(), f"{n}/{reduction}/gradient": a.grad.numpy()}
        if n < 12:
            data |= {f"{n}/{key}": value for key, value in given.items()}
    print(f"largest difference {worst:.1e}")
    np.savez_compressed(Path(__file__).parent / "ctc.npz", **data)


if __name__ == "__main__":
    main()
