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
    """For each of the three angles of the bones: its place in theta, or ANGLES for 0."""
    found = np.full((3, bones), ANGLES)
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
ACROSS = -CROSS @ CROSS
"""Projections to the planes across the axes."""


def about(angles):
    """The matrices (3, bones, 3, 3) that turn by angles (3, bones) about the three axes."""
    c, s = tg.cos(angles)[:, :, None, None], tg.sin(angles)[:, :, None, None]
    return (np.eye(3) - ACROSS)[:, None] + c * ACROSS[:, None] + s * CROSS[:, None]


def turned(rotation):
    """The matrix of a rotation, given as axis times angle; none if the angle is below 0.0001."""
    angle = tg.sqrt((rotation * rotation).sum())
    if angle.item() < 1e-4:
        return tg.eye(3, dtype=np.float64)
    axis, c, s = rotation / angle, tg.cos(angle), tg.sin(angle)
    x, y, z = axis[0], axis[1], axis[2]
    zero = tg.zeros_like(x)
    across = tg.stack([zero, -z, y, z, zero, -x, -y, x, zero]).reshape(3, 3)
    both = axis[:, None] * axis
    return both + (tg.eye(3, dtype=np.float64) - both) * c + across * s


def vertices(theta, hand):
    """The vertices (3, vertices) of the posed hand."""
    bones = hand.relatives.shape[0]
    angles = tg.concatenate([theta, np.zeros(1)])[places(bones)[[0, 2, 1]]]  # they come as x, z, y
    turns = about(angles)
    turn = turns[2] @ turns[1] @ turns[0]
    moved = tg.concatenate([hand.relatives[:, :, :3] @ turn, hand.relatives[:, :, 3:]], axis=2)
    absolute: list[Any] = []
    for own, parents in hand.levels:
        absolute.append(absolute[-1][parents] @ moved[own] if absolute else moved[own])
    order = np.argsort(np.concatenate([own for own, _ in hand.levels]))
    moves = tg.concatenate(absolute)[order] @ hand.inverses
    weighted = (hand.weights[:, None] * hand.positions).reshape(4 * bones, -1)
    at = moves[:, :3].transpose(1, 0, 2).reshape(3, 4 * bones) @ weighted
    if hand.mirrored:
        at = at * np.array([[-1.0], [1.0], [1.0]])
    return turned(theta[:3]) @ at + theta[3:6][:, None]


def simple(theta, us, hand):
    return (hand.points - vertices(theta, hand)[:, hand.nearest]).T.reshape(-1)


def complicated(theta, us, hand):
    """A point is that of a triangle with the coordinates u_0, u_1 and 1 - u_0 - u_1."""
    corners = vertices(theta, hand)[:, hand.triangles[hand.nearest]]  # (3, points, 3)
    share = tg.concatenate([us, 1 - us.sum(axis=1, keepdims=True)], axis=1)
    return (hand.points - (corners * share).sum(axis=2)).T.reshape(-1)


def objective(theta, us, hand):
    return (complicated if us.size else simple)(theta, us, hand)


def jacobian(theta, us, hand):
    """The columns of the two coordinates of each point's own triangle, if it has them, and of theta."""
    _, push = tg.linearize(lambda theta, us: objective(theta, us, hand), theta, us)
    own = 2 if us.size else 0
    unit = np.eye(own + ANGLES)
    along = np.broadcast_to(unit[:, None, :own], (own + ANGLES, *us.shape)) if own else np.zeros((ANGLES, *us.shape))
    return tg.vmap(push)(tg.Tensor(unit[:, own:]), tg.Tensor(along)).T


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
