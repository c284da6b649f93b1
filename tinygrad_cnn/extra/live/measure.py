"""Measurements of layers and of predictions for a live page."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...scope import silent
from ...training.records import gradient_of, norm
from ..show.few import rounded
from ..show.png import picture
from ..show.summary import SAMPLE, histogram

if TYPE_CHECKING:
    from ...nn import Module

LAYERS = 120
"""The most parameters of a model that are measured."""

CLASSES = 50
"""The most classes for which a confusion matrix is shown."""

WORST = 12
"""The most mistakes that are shown."""


def _histogram(array: NDArray[Any]) -> dict[str, Any] | None:
    flat = array.reshape(-1)
    step = -(-flat.size // SAMPLE)
    some = flat[:: step | 1] if step > 1 else flat
    finite = some[np.isfinite(some)]
    return histogram(some, float(finite.min()), float(finite.max())) if finite.size else None


class Layers:
    """Weights, gradients and updates of the parameters of a model. An update is the difference between two steps, so a
    measurement is begun at one step and finished at the next."""

    def __init__(self, model: Module) -> None:
        named = list(model.named_parameters())
        self.left_out = max(0, len(named) - LAYERS)
        self._named = named[:LAYERS]
        self._filters = next((p for p in named if p[1].ndim == 4), None)
        self._before: list[NDArray[Any]] = []
        self.begun = 0  # the step of an unfinished measurement; 0 if there is none

    def begin(self, step: int) -> None:
        """Copy the weights after a step."""
        self.begun = step
        self._before = [parameter._array.copy() for _, parameter in self._named]

    def finish(self, step: int) -> tuple[dict[str, list[tuple[float, float]]], dict[str, Any]]:
        """Points for the series of each layer, and the items "layers" and "filters". `step` must follow :attr:`begun`."""
        points: dict[str, list[tuple[float, float]]] = {}
        layers = []
        for (name, parameter), before in zip(self._named, self._before, strict=True):
            weight, gradient = parameter._array, gradient_of(parameter)
            size = norm(weight)
            np.subtract(weight, before, out=before)
            points[f"weight {name}"] = [(step, rounded(size))]
            points[f"ratio {name}"] = [(step, rounded(norm(before) / size if size else math.nan))]
            if gradient is not None:
                points[f"gradient {name}"] = [(step, rounded(norm(gradient)))]
            layers.append({
                "name": name,
                "shape": list(weight.shape),
                "weight": _histogram(weight),
                "gradient": None if gradient is None else _histogram(gradient),
            })  # fmt: skip
        self._before, self.begun = [], 0
        items: dict[str, Any] = {"layers": {"step": step, "list": layers, "left_out": self.left_out}}
        if self._filters is not None:
            name, parameter = self._filters
            items["filters"] = {"name": name, "picture": picture(parameter._array, "parameter")}
        return points, items


class Predictions:
    """The confusion matrix of a validation, and its worst mistakes: examples whose right class had the least probability."""

    def __init__(self) -> None:
        self._matrix: NDArray[np.int64] | None = None
        self._worst: list[tuple[float, dict[str, Any]]] = []
        self.examples = 0

    def add(self, inputs: Sequence[Any], scores: Any, target: Any) -> None:
        """Add a batch. Outputs other than scores (N, C) for classes (N,) are ignored."""
        y, s = getattr(target, "_array", target), getattr(scores, "_array", None)
        if s is None or s.ndim != 2 or s.shape[1] < 2 or y.shape != s.shape[:1] or y.dtype.kind not in "iu":
            return
        known = (y >= 0) & (y < s.shape[1])
        rows = np.flatnonzero(known)
        y, s = y[rows], s[rows].astype(np.float64)
        guess = s.argmax(axis=1)
        classes = s.shape[1]
        self.examples += len(rows)
        if classes <= CLASSES:
            if self._matrix is None or len(self._matrix) != classes:
                self._matrix = np.zeros((classes, classes), np.int64)
            np.add.at(self._matrix, (y, guess), 1)
        with silent:
            chance = np.exp(s - s.max(axis=1, keepdims=True))
            chance /= chance.sum(axis=1, keepdims=True)
        wrong = np.flatnonzero(guess != y)
        right_chance = np.nan_to_num(chance[wrong, y[wrong]])
        first = getattr(inputs[0], "_array", None) if inputs else None
        for i in np.argsort(right_chance)[:WORST]:
            at, p = int(wrong[i]), float(right_chance[i])
            if len(self._worst) < WORST or p < self._worst[-1][0]:
                mistake = {
                    "target": int(y[at]), "guess": int(guess[at]), "right": rounded(p),
                    "wrong": rounded(float(np.nan_to_num(chance[at, guess[at]]))),
                    "picture": None if first is None else _image(first[rows[at]]),
                }  # fmt: skip
                self._worst = sorted([*self._worst, (p, mistake)], key=lambda each: each[0])[:WORST]

    def items(self, epoch: int) -> dict[str, Any]:
        """The items "confusion" and "mistakes"; empty if no batch had classes."""
        if not self.examples:
            return {}
        items: dict[str, Any] = {"mistakes": {"epoch": epoch, "list": [mistake for _, mistake in self._worst]}}
        if self._matrix is not None:
            items["confusion"] = {"epoch": epoch, "counts": self._matrix.tolist()}
        return items


def _image(example: NDArray[Any]) -> str | None:
    """A picture of one example: (C, H, W) with one or three channels, or (H, W)."""
    if example.ndim == 2:
        example = example[None]
    if example.ndim != 3 or example.shape[0] not in (1, 3):
        return None
    return picture(example[None], "input")
