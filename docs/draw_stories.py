"""Draw the pictures of the stories and of the gallery: `python docs/draw_stories.py [NAME ...]` (needs matplotlib).

A story's blocks run first. An example draws its picture itself.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

DOCS = Path(__file__).resolve().parent
BLOCK = re.compile(r"^```python(?: needs [\w, ]+)?\n(.*?)^```", re.MULTILINE | re.DOTALL)
EXAMPLES = (
    "logistic_regression",
    "custom_op",
    "denoising_autoencoder",
    "adversarial",
    "physics",
    "meta_gradient",
    "ode",
    "phase_retrieval",
    "segmentation",
    "detection",
)


def rows(*parts: tuple[str, list[Any], dict[str, Any]], height: float = 1.0, width: float = 10) -> Figure:
    """A row of images for each part: its label, the images, and how they are drawn."""
    figure = Figure(figsize=(width, height * len(parts)), dpi=100, layout="constrained")
    for (label, images, how), part in zip(parts, figure.subfigures(len(parts), 1, squeeze=False)[:, 0], strict=True):
        part.suptitle(label, fontsize=10)
        for ax, image in zip(part.subplots(1, len(images)), images, strict=True):
            for layer in image if isinstance(image, tuple) else (image,):
                ax.imshow(
                    layer, **(how if layer is not image[0] or not isinstance(image, tuple) else {"cmap": "gray_r"})
                )
            ax.set_axis_off()
    return figure


def gan(names: dict[str, Any]) -> Figure:
    """Drawn digits, one kind after another, and real ones."""
    kinds, drawn = names["certainty"].argmax(axis=1), names["drawn"].reshape(-1, 8, 8)
    order = [np.flatnonzero(kinds == kind)[:2] for kind in range(10)]
    gray = {"cmap": "gray_r"}
    real = names["real"].reshape(-1, 8, 8)[:20]
    return rows(("drawn", list(drawn[np.concatenate(order)]), gray), ("real", list(real), gray), height=0.9)


def vision_transformer(names: dict[str, Any]) -> Figure:
    """Digits, and what their patches get."""
    over = {"cmap": "Oranges", "alpha": 0.75, "extent": (-0.5, 7.5, 7.5, -0.5)}
    digits = list(names["x"][:12, 0])
    shown = [(digit, where) for digit, where in zip(digits, names["attention"], strict=True)]
    return rows(("digits", digits, {"cmap": "gray_r"}), ("attention", shown, over), height=1.1)


def grad_cam(names: dict[str, Any]) -> Figure:
    """Pairs of digits, and a map for each."""
    over = {"cmap": "Oranges", "alpha": 0.7}
    pairs = list(names["pairs"][:6, 0])
    left, right = ([*zip(pairs, names[name][:6], strict=True)] for name in ("for_left", "for_right"))
    return rows(
        ("pairs", pairs, {"cmap": "gray_r"}), ("for the left one", left, over), ("for the right one", right, over)
    )


def autoencoder(names: dict[str, Any]) -> Figure:
    """The codes of all images, and decoded points between them."""
    figure = Figure(figsize=(10, 4.8), dpi=100, layout="constrained")
    left, right = figure.subplots(1, 2)
    codes, digits = names["codes"], names["digits"]
    for digit in range(10):
        at = codes[digits == digit]
        left.scatter(*at.T, s=5, color=f"C{digit}", label=str(digit))
    left.set(xlim=names["corners"][:, 0], ylim=names["corners"][:, 1], title="codes")
    left.legend(fontsize=8, markerscale=3, loc="upper left", ncols=2)
    tiled = names["drawn"][::-1].transpose(0, 2, 1, 3).reshape(96, 96)  # the first row of the grid is at the bottom
    right.imshow(tiled, cmap="gray_r")
    right.set(title="decoded")
    right.set_axis_off()
    return figure


STORIES: dict[str, tuple[str, Callable[[dict[str, Any]], Figure]]] = {
    "gan": ("gan", gan), "vision-transformer": ("attention", vision_transformer), "grad-cam": ("grad-cam", grad_cam),
    "autoencoder": ("autoencoder", autoencoder),
}  # fmt: skip


def main() -> None:
    """Draw what the command line names, or everything."""
    chosen = sys.argv[1:] or [*STORIES, *EXAMPLES]
    for name in chosen:
        if name in STORIES:
            picture, draw = STORIES[name]
            names: dict[str, Any] = {"__name__": name}
            for block in BLOCK.finditer((DOCS / f"{name}.md").read_text(encoding="utf-8")):
                exec(compile(block[1], name, "exec"), names)
            draw(names).savefig(DOCS / "images" / f"{picture}.png")
        else:
            spec = importlib.util.spec_from_file_location(name, DOCS.parent / "examples" / f"{name}.py")
            assert spec is not None
            assert spec.loader is not None
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            with contextlib.redirect_stdout(io.StringIO()):
                module.main(["--plot", str(DOCS / "images" / f"example-{name.replace('_', '-')}.png")])


if __name__ == "__main__":
    sys.path.insert(0, str(DOCS.parent))
    main()
