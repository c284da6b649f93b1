"""Hand tracking: how far measured points are from vertices, or from points of triangles, of a hand posed by angles."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

import tinygrad_cnn as tg

from ..function import Function

FINGERS, JOINTS, FIRST = 5, 3, 2
"""A finger has four bones, of which three bend; the first one's bones are numbers FIRST, FIRST + 1 and FIRST + 2."""

ANGLES = 26

ACROSS, ALONG = 0, 2
"""The axes about which a bone turns; about the third, GradBench's angles are 0."""


@dataclass(frozen=True, eq=False)
class Hand:
    """The model of a hand, and the measured points. Matrices act on columns."""

    relatives: Any  # (bones, 4, 4)
    inverses: Any  # (bones, 4, 4)
    positions: Any  # (4, vertices)
    weights: Any  # (bones, vertices)
    triangles: Any  # (triangles, 3)
    levels: Any  # bones by their distance from the root, with the places of their parents in the level before
    mirrored: bool
    points: Any  # (3, points)
    nearest: Any  # (points,): vertices, or triangles


@cache
def places(bones):
    """The places in theta of the angles of the bones about two axes, ANGLES for 0."""
    found = np.full((2, bones), ANGLES)
    k = 6
    for finger in range(FINGERS):
        for joint in range(JOINTS):
            bone = FIRST + finger * (JOINTS + 1) + joint
            found[0, bone], k = k, k + 1
            if joint == 0:
                found[1, bone], k = k, k + 1
    return found


CROSS = np.zeros((3, 3, 3))
"""CROSS[a] x is the cross product of unit vector a with x."""
for _a, _b, _c in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
    CROSS[_a, _c, _b], CROSS[_a, _b, _c] = 1, -1

FIXED, COSINES, SINES = np.zeros((3, 2, 1, 4, 4))
"""Matrices of turns about the two axes are their sum, times 1, cosine and sine."""
for _i, _axis in enumerate((ACROSS, ALONG)):
    COSINES[_i, 0, :3, :3], SINES[_i, 0, :3, :3] = -CROSS[_axis] @ CROSS[_axis], CROSS[_axis]
    FIXED[_i] = np.eye(4) - COSINES[_i]


def about(angles):
    """The matrices (2, bones, 4, 4) that turn by angles (2, bones) about the two axes."""
    flat = (a.reshape(2, 1, 16) for a in (FIXED, COSINES, SINES))
    fixed, cosines, sines = flat
    turns = fixed + tg.cos(angles)[:, :, None] * cosines + tg.sin(angles)[:, :, None] * sines
    return turns.reshape(*angles.shape, 4, 4)


def turned(rotation):
    """The matrix of a rotation, given as axis times angle, by Rodrigues' formula; none if the angle is below 0.0001."""
    angle = tg.sqrt((rotation * rotation).sum())
    if angle.item() < 1e-4:
        return tg.eye(3, dtype=np.float64)
    k = ((rotation / angle) @ CROSS.reshape(3, 9)).reshape(3, 3)
    return np.eye(3) + tg.sin(angle) * k + (1 - tg.cos(angle)) * (k @ k)


def moves(theta, hand):
    """The motion of each bone in the posed hand, apart from its place: matrices (bones, 3, 4)."""
    bones = hand.relatives.shape[0]
    turns = about(tg.concatenate([theta, np.zeros(1)])[places(bones)])
    moved = hand.relatives @ (turns[1] @ turns[0])
    whole = turned(theta[:3])
    if hand.mirrored:
        whole = whole * np.array([-1.0, 1.0, 1.0])
    absolute: list[Any] = []
    for own, parents in hand.levels:
        absolute.append(absolute[-1][parents] @ moved[own] if absolute else whole @ moved[own, :3])
    order = np.argsort(np.concatenate([own for own, _ in hand.levels]))
    return tg.concatenate(absolute)[order] @ hand.inverses


def vertices(theta, hand, which):
    """Vertices (3, ...) of the posed hand, apart from its place. All are posed if more are asked for than there are."""
    weights, positions, chosen = hand.weights, hand.positions, which.reshape(-1)
    some = chosen.size < positions.shape[1]
    if some:
        weights, positions = weights[:, chosen], positions[:, chosen]
    weighted = (weights[:, None] * positions).reshape(-1, positions.shape[1])
    at = moves(theta, hand).transpose(1, 0, 2).reshape(3, -1) @ weighted
    return at.reshape(3, *which.shape) if some else at[:, which]


def objective(theta, us, hand):
    """A point is a vertex, or that of a triangle with the coordinates u_0, u_1 and 1 - u_0 - u_1."""
    if us.size:
        share = tg.concatenate([us.T, 1 - us.sum(axis=1)[None]])
        at = (vertices(theta, hand, hand.triangles[hand.nearest].T) * share).sum(axis=1)
    else:
        at = vertices(theta, hand, hand.nearest)
    return (hand.points - at - theta[3:6][:, None]).T.reshape(-1)


def jacobian(theta, us, hand):
    """The columns of the two coordinates of each point's own triangle, if it has them, and of theta.

    A point depends on its own coordinates alone, so all points share two columns.
    """
    if not us.size:
        return tg.jacfwd(objective)(theta, us, hand)
    shift = tg.zeros(2, dtype=np.float64)
    found = tg.jacfwd(lambda shift, theta: objective(theta, us + shift, hand), argnums=(0, 1))(shift, theta)
    return tg.concatenate(found, axis=1)


def levels(parents):
    """Bones by their distance from the root, with the places of their parents among those before."""
    depth = []
    for parent in parents:
        depth.append(0 if parent < 0 else depth[parent] + 1)
    by_depth = [[b for b, d in enumerate(depth) if d == level] for level in range(max(depth) + 1)]
    return [
        (own, [by_depth[level - 1].index(parents[b]) for b in own] if level else None)
        for level, own in enumerate(by_depth)
    ]


def read(given):
    data, model = given["data"], given["data"]["model"]
    arrays = {name: np.array(model[name], np.float64) for name in ("base_relatives", "inverse_base_absolutes")}
    hand = Hand(
        tg.Tensor(arrays["base_relatives"]), tg.Tensor(arrays["inverse_base_absolutes"]),
        tg.Tensor(np.array(model["base_positions"], np.float64).T), tg.Tensor(np.array(model["weights"], np.float64).T),
        np.array(model["triangles"], np.int64), levels(model["parents"]), bool(model["is_mirrored"]),
        tg.Tensor(np.array(data["points"], np.float64).T), np.array(data["correspondences"], np.int64),
    )  # fmt: skip
    us = np.array(given["us"], np.float64).reshape(-1, 2)
    return tg.Tensor(np.array(given["theta"], np.float64)), tg.Tensor(us), hand


FUNCTIONS = {"objective": Function(read, objective), "jacobian": Function(read, jacobian)}
