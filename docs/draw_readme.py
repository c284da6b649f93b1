"""Draw the README's picture from what its blocks train: `python docs/draw_readme.py` (needs matplotlib)."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

ROOT = Path(__file__).parents[1]
CORRECT, WRONG = "#0072b2", "#d55e00"


def main() -> None:
    """Run the blocks, draw the curves, and held-out images with the model's answers, the wrong ones first."""
    text = (ROOT / "README.md").read_text(encoding="utf-8").partition("![")[0]
    names: dict[str, object] = {}
    exec("".join(re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)), names)
    tg, model, history, (x, digits) = (names[name] for name in ("tg", "model", "history", "held_out"))  # type: ignore[misc]
    with tg.no_grad():  # type: ignore[attr-defined]
        answers = model.eval()(tg.Tensor(x)).argmax(axis=1).numpy()  # type: ignore[attr-defined]
    shown = np.argsort(answers == digits, kind="stable")[:24]

    figure = Figure(figsize=(10, 2.6), dpi=120, layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=[1, 1.9])
    axes = left.subplots()
    epochs = range(1, len(history["val_accuracy"]) + 1)  # type: ignore[index]
    axes.plot(epochs, history["val_accuracy"], color=CORRECT, marker="o", label="held out")  # type: ignore[index]
    axes.plot(epochs, history["accuracy"], color="grey", linestyle=":", label="training")  # type: ignore[index]
    axes.set(
        xlabel="epoch", ylabel="accuracy", title=f"{np.mean(answers == digits):.1%} of {len(digits)} held-out images"
    )
    axes.grid(alpha=0.2)
    axes.legend(frameon=False)
    for ax, i in zip(right.subplots(2, 12).flat, shown, strict=True):
        ax.imshow(x[i, 0], cmap="gray_r")
        ax.set(xticks=[], yticks=[])
        ax.set_xlabel(str(answers[i]), color=CORRECT if answers[i] == digits[i] else WRONG)
    right.suptitle("Answers: orange where they are wrong")
    figure.savefig(ROOT / "docs" / "images" / "digits.png")


if __name__ == "__main__":
    main()
