"""The tab "Plane": a small network that separates points of two classes, trained in slices, and where it draws the boundary."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

import tinygrad_cnn as tg
from tinygrad_cnn import nn

from .call import Refusal

POINTS = 240
CELLS = 48
"""Rows and columns of the grid on which the network's answer is drawn."""
SIDE = 1.25
"""The grid and the points are between -SIDE and SIDE."""

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "none": nn.Identity,
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
    "gelu": nn.GELU,
}


def circles(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Two rings, one inside the other."""
    classes = np.arange(POINTS) % 2
    angle = rng.uniform(0, 2 * np.pi, POINTS)
    return np.where(classes, 0.4, 0.9)[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1), classes


def moons(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Two half rings that reach into each other."""
    classes = np.arange(POINTS) % 2
    angle = rng.uniform(0, np.pi, POINTS)
    upper = np.stack([np.cos(angle) - 0.5, np.sin(angle) - 0.25], 1)
    return 0.75 * np.where(classes[:, None], -upper, upper), classes


def spiral(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Two arms that turn around each other."""
    classes = np.arange(POINTS) % 2
    t = np.sqrt(rng.uniform(0.02, 1, POINTS))
    angle = 3.2 * np.pi * t + np.pi * classes
    return 1.05 * t[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1), classes


DATA = {"circles": circles, "moons": moons, "spiral": spiral}


class Plane:
    """A training on points in the plane.

    Args:
        data: a name from DATA.
        noise: the standard deviation of what is added to the points.
        width: the values of each of the two hidden layers.
        activation: a name from ACTIVATIONS.
    """

    def __init__(self, data: str, noise: float, width: int, activation: str) -> None:
        rng = np.random.default_rng(0)
        x, self.classes = DATA[data](rng)
        self.x = np.clip(x + noise * rng.normal(size=x.shape), -SIDE, SIDE).astype(np.float32)
        tg.manual_seed(0)
        between = ACTIVATIONS[activation]
        self.model = nn.Sequential(
            nn.Linear(2, width), between(), nn.Linear(width, width), between(), nn.Linear(width, 2)
        )
        self.optimizer = tg.optim.Adam(self.model.parameters(), lr=0.01)
        self.steps = 0
        ticks = ((np.arange(CELLS) + 0.5) / CELLS * 2 - 1) * SIDE
        self.grid = np.stack(np.meshgrid(ticks, -ticks), axis=-1).reshape(-1, 2).astype(np.float32)  # the top row first

    def advance(self, seconds: float, lr: float) -> dict[str, Any]:
        """Steps for so many seconds, at least one, and what there is to draw then."""
        if not 0 < lr < 10:
            raise Refusal(f"the rate is {lr}; it must be above 0 and below 10")
        self.optimizer.param_groups[0]["lr"] = lr
        x = tg.Tensor(self.x)
        end = time.perf_counter() + seconds
        while True:
            loss = tg.cross_entropy(self.model(x), self.classes)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            self.steps += 1
            if time.perf_counter() >= end:
                return self.seen()

    def seen(self) -> dict[str, Any]:
        """The loss, the accuracy, and the probability of class 1 in each cell of the grid, from 0 to 255."""
        with tg.no_grad():
            scores = self.model(tg.Tensor(self.x))
            cells = tg.softmax(self.model(tg.Tensor(self.grid)), axis=1).numpy()[:, 1]
            loss = tg.cross_entropy(scores, self.classes).item()
        accuracy = float((scores.numpy().argmax(axis=1) == self.classes).mean())
        return {
            "steps": self.steps,
            "loss": loss,
            "accuracy": accuracy,
            "cells": np.rint(255 * np.nan_to_num(cells, nan=0.5)).astype(int).tolist(),
        }


plane: Plane | None = None


def start(data: str, noise: float, width: int, activation: str) -> dict[str, Any]:
    """Make points and a network anew: "points" as (x, y, class), "parameters", "side", and what :meth:`Plane.seen` has."""
    global plane
    plane = Plane(data, noise, int(width), activation)
    points = [[*map(float, x), int(c)] for x, c in zip(plane.x, plane.classes, strict=True)]
    parameters = sum(p.size for p in plane.model.parameters())
    return {"points": points, "parameters": parameters, "side": SIDE, **plane.seen()}


def advance(seconds: float, lr: float) -> dict[str, Any]:
    """See :meth:`Plane.advance`."""
    assert plane is not None
    return plane.advance(seconds, lr)
