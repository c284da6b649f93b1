"""The tab "Notebook": the cells of a published notebook, run one after the other, and each gradient that they compute by hand
beside the gradient of the graph."""

from __future__ import annotations

import re
from contextlib import redirect_stdout
from importlib.resources import files
from io import StringIO
from textwrap import dedent
from typing import Any

import numpy as np

import tinygrad_cnn as tg
from tinygrad_cnn.extra.show.png import picture

from .call import execute

NOTEBOOK = (files(__package__) / "notebook.txt").read_text("utf-8")
TOLERANCE = 1e-10

REPAIRS = {
    "whole map": {
        "for h in range(H):": "for h in range(16):",
        "for w in range(Wid):": "for w in range(16):",
    },
    "targets": {"d_Y = 2 * y": "d_Y = 2 * (y - Y_test)"},
    "one division": {
        "d_Y = 2 * y\n": "d_Y = 2 * y / m\n",
        "d_Y = 2 * (y - Y_test)\n": "d_Y = 2 * (y - Y_test) / m\n",
        ".T) / m": ".T)",
        "fc_1024) / m": "fc_1024)",
        "keepdims=True)/m": "keepdims=True)",
    },
}
"""Mistakes of the notebook that the page repairs: text, and what should stand there. Made in this order."""

COMPUTED = {
    9: ["d_Y"], 10: ["d_w10", "d_b10", "d_fc10"], 11: ["d_w1024", "d_b1024", "d_fc1024"], 14: ["dZ"],
    16: ["d_images", "dW", "db"],
}  # fmt: skip
"""The gradients that are there after a cell, which has its number."""

RULES = {9: ["mse"], 10: ["matmul", "add"], 11: ["matmul", "add", "transpose"], 14: ["relu"], 16: ["convolve"]}
"""The ops whose rules compute the same."""


def cells(repairs: list[str]) -> list[str]:
    """The text of each cell, with some of REPAIRS made."""
    text = NOTEBOOK
    for name, replacements in REPAIRS.items():
        for old, new in replacements.items() if name in repairs else ():
            text = text.replace(old, new)
    return [dedent(cell).strip("\n") for cell in re.split(r"^In \[\d+\]:\n", text, flags=re.MULTILINE)[1:]]


def run(repairs: list[str]) -> list[dict[str, Any]]:
    """Run the notebook: for each cell "number", "source", "changed" (lines), "output", "gradients" and "rules"."""
    space: dict[str, Any] = {"random": np.random.RandomState()}
    shown = []
    for number, (source, published) in enumerate(zip(cells(repairs), cells([]), strict=True), 1):
        output = StringIO()
        with redirect_stdout(output):  # the generator stands for NumPy's own, which is left as it was
            execute(source.replace("np.random.", "random."), f"your notebook, cell {number}", space)
        lines = zip(source.splitlines(), published.splitlines(), strict=True)
        changed = [i for i, (new, old) in enumerate(lines) if new != old]
        shown.append({"number": number, "source": source, "changed": changed, "output": output.getvalue().rstrip()})
    right, rules = _by_graph(space, corner=None if "whole map" in repairs else 3)
    for cell in shown:
        names = COMPUTED.get(cell["number"], [])
        cell["gradients"] = [_compared(name, space[name], right[name]) for name in names]
        cell["rules"] = [rules[op] for op in RULES.get(cell["number"], [])]
    return shown


def _by_graph(space: dict[str, Any], corner: int | None) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """All gradients by one walk through the graph, and the rules of its ops. The network has only a corner of its feature map
    if that is what the notebook's loop fills."""
    names = {"images": "d_images", "W": "dW", "b": "db", "W_fc_1024": "d_w1024", "b_fc_1024": "d_b1024", "W_10": "d_w10",
             "b_10": "d_b10"}  # fmt: skip
    images, W, b, W_fc_1024, b_fc_1024, W_10, b_10 = leaves = [tg.Tensor(space[n], requires_grad=True) for n in names]
    x = images.expand_dims(1)  # (m, 1, 32, 32)
    Z = tg.conv2d(x, W.transpose(2, 0, 1).expand_dims(1), b.reshape(-1), stride=2, padding=1)  # (m, 4, 16, 16)
    if corner is not None:
        rest = Z.shape[2] - corner
        Z = tg.pad(Z[:, :, :corner, :corner], ((0, 0), (0, 0), (0, rest), (0, rest)))
    fc_1024 = Z.relu().transpose(0, 2, 3, 1).reshape(len(x), -1)
    fc_10 = W_fc_1024 @ fc_1024.T + b_fc_1024
    y = W_10 @ fc_10 + b_10
    loss = tg.mse(y, tg.Tensor(space["Y_test"]))
    inside = {"d_Y": y, "d_fc10": fc_10, "d_fc1024": fc_1024, "dZ": Z}
    found = tg.gradients(loss, [*leaves, *inside.values()], retain_graph=True)
    gradients = {name: g.numpy() for name, g in zip([*names.values(), *inside], found, strict=True)}
    gradients["dZ"] = gradients["dZ"].transpose(0, 2, 3, 1)  # the notebook has its filters last
    ops = tg.show(loss).data["ops"]
    return gradients, {name: {"op": name, "rules": [rule["text"] for rule in op["rules"]]} for name, op in ops.items()}


def _compared(name: str, hand: np.ndarray, graph: np.ndarray) -> dict[str, Any]:
    error = float(np.linalg.norm(hand - graph) / np.linalg.norm(graph))
    both = [{"first": array.ravel()[:3].tolist(), "picture": _picture(name, array)} for array in (hand, graph)]
    return {
        "name": name,
        "shape": list(graph.shape),
        "hand": both[0],
        "graph": both[1],
        "error": error,
        "agrees": error < TOLERANCE,
    }


def _picture(name: str, array: np.ndarray) -> str | None:
    """Filters beside each other, and for (m, row, column, filter) those of the first image; else the matrix as it is."""
    if name == "dW":
        array = array.transpose(2, 0, 1)
    elif name == "dZ":
        array = array[0].transpose(2, 0, 1)
    elif name in ("d_fc1024", "d_w1024"):
        array = array.reshape(-1, 32, 32)
    return picture(array, "op")
