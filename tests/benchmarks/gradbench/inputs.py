"""Inputs of the evaluations, of the forms and distributions that GradBench gives to tools; those of files are drawn instead."""

from __future__ import annotations

from typing import Any

import numpy as np


def ba(cameras: int, points: int, observations: int, seed: int = 0) -> dict[str, Any]:
    """One camera, point, weight and feature, repeated."""
    rng = np.random.default_rng(seed)
    camera = [*rng.normal(size=3) * 0.5, *rng.normal(size=3), 500.0, *rng.normal(size=2), *rng.normal(size=2) * 0.01]
    x, feature = [*rng.normal(size=2), 5 + rng.random()], rng.normal(size=2)
    numbers = {
        "cam": list(map(float, camera)),
        "x": list(map(float, x)),
        "w": float(rng.random()),
        "feat": feature.tolist(),
    }
    return {"n": cameras, "m": points, "p": observations, **numbers}


def det(n: int, seed: int = 0) -> dict[str, Any]:
    """A square matrix."""
    return {"A": np.random.default_rng(seed).random(n * n).tolist(), "ell": n}


def gmm(d: int, k: int, n: int, seed: int = 0) -> dict[str, Any]:
    """n points in d dimensions and k components."""
    rng = np.random.default_rng(seed)
    drawn = {
        "x": rng.normal(size=(n, d)), "alpha": rng.normal(size=k), "mu": rng.uniform(size=(k, d)),
        "q": rng.normal(size=(k, d)), "l": rng.normal(size=(k, d * (d - 1) // 2)),
    }  # fmt: skip
    return {"d": d, "k": k, "n": n, "m": 0, "gamma": 1.0, **{name: a.tolist() for name, a in drawn.items()}}


def ht(vertices: int, points: int, triangles: bool = True, seed: int = 0) -> dict[str, Any]:
    """A hand of 22 bones, and points that belong to triangles or to vertices."""
    rng, bones = np.random.default_rng(seed), 22
    parents = [-1, *(0 if (b - 1) % 4 == 0 else b - 1 for b in range(1, bones))]
    moves = np.tile(np.eye(4), (2, bones, 1, 1)) + rng.normal(size=(2, bones, 4, 4)) * 0.1
    moves[:, :, 3] = [0, 0, 0, 1]
    model = {
        "bone_count": bones, "bone_names": [f"bone {b}" for b in range(bones)], "parents": parents,
        "base_relatives": moves[0].tolist(), "inverse_base_absolutes": moves[1].tolist(),
        "base_positions": np.column_stack([rng.normal(size=(vertices, 3)), np.ones(vertices)]).tolist(),
        "weights": rng.dirichlet(np.ones(bones), vertices).tolist(),
        "triangles": rng.integers(0, vertices, (2 * vertices, 3)).tolist(), "is_mirrored": False,
    }  # fmt: skip
    data = {
        "model": model, "correspondences": rng.integers(0, vertices, points).tolist(),
        "points": rng.normal(size=(points, 3)).tolist(),
    }  # fmt: skip
    us = rng.random((points if triangles else 0, 2)).tolist()
    return {"theta": (rng.normal(size=26) * 0.3).tolist(), "data": data, "us": us}


def kmeans(k: int, n: int, d: int, seed: int = 0) -> dict[str, Any]:
    """n points in d dimensions, of which the last k are the centroids."""
    points = np.random.default_rng(seed).random((n, d)).tolist()
    return {"points": points, "centroids": points[-k:]}


def llsq(n: int, m: int = 128, seed: int = 0) -> dict[str, Any]:
    """m coefficients, n points."""
    return {"x": np.random.default_rng(seed).random(m).tolist(), "n": n}


def lse(n: int, seed: int = 0) -> dict[str, Any]:
    """n numbers."""
    return {"x": np.random.default_rng(seed).random(n).tolist()}


def lstm(layers: int, characters: int, bits: int = 14, seed: int = 0) -> dict[str, Any]:
    """Characters of a number of bits."""
    rng = np.random.default_rng(seed)
    return {
        "main_params": rng.random((2 * layers, 4 * bits)).tolist(), "extra_params": rng.random((3, bits)).tolist(),
        "state": rng.random((2 * layers, bits)).tolist(),
        "sequence": rng.integers(0, 2, (characters, bits)).astype(float).tolist(),
    }  # fmt: skip


def ode(n: int, steps: int, seed: int = 0) -> dict[str, Any]:
    """n equations."""
    return {"x": np.random.default_rng(seed).random(n).tolist(), "s": steps}


def particle() -> dict[str, Any]:
    """The charge's place at the start."""
    return {"w": 0.0}


def saddle() -> dict[str, Any]:
    """The start of all searches."""
    return {"start": [1.0, 1.0]}
