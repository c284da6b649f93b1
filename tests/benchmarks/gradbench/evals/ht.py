"""Hand tracking: how far measured points are from vertices, or from points of triangles, of a hand posed by angles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

import tinygrad_cnn as tg

from ..function import Function

FINGERS, JOINTS, FIRST = 5, 3, 2
"""A finger has four bones, of which three bend; the first one's bones are numbers FIRST, FIRST + 1 and FIRST + 2."""

BENDS = 4
"""A finger's angles: its first bone turns about two axes, the others about one."""


@dataclass(frozen=True, eq=False)
class Hand:
    """The model of a hand, and the measured points. Bones are in the order of their distance from the root, and matrices act on
    columns."""

    relatives: Any  # (bones, 4, 4)
    inverses: Any  # (bones, 4, 4)
    positions: Any  # (4, vertices)
    weights: Any  # (bones, vertices)
    levels: Any  # the bones of each distance from the root, and where their parents are in the level before, as slices
    bends: Any  # the matrix from bends (fingers, BENDS) to the angles (2, bones) of the bones about the two axes
    fingers: Any  # (bones, FINGERS): 1 if the finger bends this bone
    triangles: Any  # (triangles, 3)
    mirrored: bool
    points: Any  # (3, points)
    nearest: Any  # (points,): vertices, or triangles


CROSS = np.zeros((3, 3, 3))
"""CROSS[a] x is the cross product of unit vector a with x."""
for _a, _b, _c in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
    CROSS[_a, _c, _b], CROSS[_a, _b, _c] = 1, -1

FIXED, COSINES, SINES = np.zeros((3, 2, 1, 4, 4))
"""A turn about an axis is the sum of these matrices, times 1, cosine and sine. Bones turn about the axes 0 and 2."""
for _i, _axis in enumerate((0, 2)):
    COSINES[_i, 0, :3, :3], SINES[_i, 0, :3, :3] = -CROSS[_axis] @ CROSS[_axis], CROSS[_axis]
    FIXED[_i] = np.eye(4) - COSINES[_i]


def about(angles):
    """The matrices (2, bones, 4, 4) that turn by angles (2, bones) about the two axes."""
    fixed, cosines, sines = (a.reshape(2, 1, 16) for a in (FIXED, COSINES, SINES))
    turns = fixed + tg.cos(angles)[:, :, None] * cosines + tg.sin(angles)[:, :, None] * sines
    return turns.reshape(*angles.shape, 4, 4)


def turned(rotation):
    """The matrix of a rotation, given as axis times angle, by Rodrigues' formula; none if the angle is below 0.0001."""
    angle = tg.sqrt((rotation * rotation).sum())
    if angle.item() < 1e-4:
        return tg.eye(3, dtype=np.float64)
    k = ((rotation / angle) @ CROSS.reshape(3, 9)).reshape(3, 3)
    return np.eye(3) + tg.sin(angle) * k + (1 - tg.cos(angle)) * (k @ k)


def moves(rotation, bends, hand):
    """The motions of the bones, apart from the place of the hand: matrices (bones, 3, 4), from bends (fingers, BENDS)."""
    bones = hand.relatives.shape[0]
    turns = about((bends.reshape(-1) @ hand.bends).reshape(2, bones))
    moved = hand.relatives @ (turns[1] @ turns[0])
    whole = turned(rotation)
    if hand.mirrored:
        whole = whole * np.array([-1.0, 1.0, 1.0])
    absolute = [whole @ moved[hand.levels[0][0], :3]]
    for own, parents in hand.levels[1:]:
        absolute.append(absolute[-1][parents] @ moved[own])
    return tg.concatenate(absolute) @ hand.inverses


def skin(which, hand):
    """The matrix (4 bones, vertices) that takes moves to vertices. All are posed if more are asked for than there are."""
    weights, positions = hand.weights, hand.positions
    if which.size <= positions.shape[1]:
        weights, positions = weights[:, which.reshape(-1)], positions[:, which.reshape(-1)]
    return (weights[:, None] * positions).reshape(-1, positions.shape[1])


def posed(moves, matrix, which):
    """The vertices `which` (..., 3, *which.shape), apart from the place of the hand, for moves (..., bones, 3, 4)."""
    at = moves.swapaxes(-3, -2).reshape(*moves.shape[:-3], 3, -1) @ matrix
    return at.reshape(*at.shape[:-1], *which.shape) if which.size == matrix.shape[1] else at[..., which]


def shares(us):
    """What the corners of a triangle have of a point with the coordinates u_0, u_1 and 1 - u_0 - u_1."""
    return tg.concatenate([us.T, 1 - us.sum(axis=1)[None]])


def corners(us, hand):
    """The vertices of which points are made: the corners of triangles (3, points), or each a vertex."""
    return hand.triangles[hand.nearest].T if us.size else hand.nearest


def errors(at, us, place, hand):
    """How far the measured points are from those of the hand at a place, given their vertices."""
    at = (at * shares(us)).sum(axis=1) if us.size else at
    return (hand.points - at - place[:, None]).T.reshape(-1)


def parts(theta):
    """The rotation and the place of the hand, and the bends of its fingers."""
    return theta[:3], theta[3:6], theta[6:].reshape(FINGERS, BENDS)


def objective(theta, us, hand):
    (rotation, place, bends), which = parts(theta), corners(us, hand)
    return errors(posed(moves(rotation, bends, hand), skin(which, hand), which), us, place, hand)


def jacobian(theta, us, hand):
    """The columns of the two coordinates of each point's own triangle, if it has them, and of theta.

    Twelve directions show all derivatives. All points share two of them, since a point depends on its own coordinates. A bone
    depends on the bends of its own finger, so the fingers share four, up to the sum over bones, which is linear.
    """
    (rotation, place, bends), which = parts(theta), corners(us, hand)
    matrix = skin(which, hand)

    def f(d):
        m = moves(rotation + d[:3], bends + d[3:7], hand)
        return m, errors(posed(m.detach(), matrix, which), us + d[10:], place + d[7:10], hand)

    of_moves, own = (a.numpy() for a in tg.jacfwd(f)(tg.zeros(12, dtype=np.float64)))
    each = of_moves[..., None, 3:7] * hand.fingers[:, None, None, :, None]
    turns = np.concatenate([of_moves[..., :3], each.reshape(*each.shape[:3], -1)], axis=3)
    if us.size and which.size == matrix.shape[1]:  # a point is linear in its corners, too
        matrix, which = np.einsum("bkp,kp->bp", matrix.reshape(-1, *which.shape), shares(us).numpy()), which[0]
    at = posed(np.moveaxis(turns, -1, 0), matrix, which)
    if at.ndim > 3:
        at = np.einsum("dckp,kp->dcp", at, shares(us).numpy())
    rows = -at.T.reshape(-1, turns.shape[3])
    return np.concatenate([own[:, 10:] if us.size else own[:, :0], rows[:, :3], own[:, 7:10], rows[:, 3:]], axis=1)


def run(numbers):
    """Numbers as a slice, if they follow one another."""
    first = numbers[0]
    return slice(first, first + len(numbers)) if numbers == [*range(first, first + len(numbers))] else numbers


def skeleton(parents):
    """The order of the bones by their distance from the root, and a hand's levels, bends and fingers in this order."""
    depth: list[int] = []
    for parent in parents:
        depth.append(0 if parent < 0 else depth[parent] + 1)
    by_depth = [[b for b, d in enumerate(depth) if d == level] for level in range(max(depth) + 1)]
    order = [b for own in by_depth for b in own]
    rank = [order.index(b) for b in range(len(order))]
    levels = []
    for own, before in zip(by_depth, [[], *by_depth], strict=False):
        places = [before.index(parents[b]) for b in own if before]
        levels.append((run([rank[b] for b in own]), run([0] if not any(places) else places)))
    bends, fingers = np.zeros((FINGERS, BENDS, 2, len(order))), np.zeros((len(order), FINGERS))
    for finger in range(FINGERS):
        for bend, axis, joint in ((0, 0, 0), (1, 1, 0), (2, 0, 1), (3, 0, 2)):
            bone = rank[FIRST + finger * (JOINTS + 1) + joint]
            bends[finger, bend, axis, bone] = fingers[bone, finger] = 1
    for i, bone in enumerate(order):
        if parents[bone] >= 0:
            fingers[i] = np.maximum(fingers[i], fingers[rank[parents[bone]]])
    if fingers.sum(axis=1).max() > 1:
        raise ValueError("a bone belongs to two fingers, so they cannot share directions")
    return order, levels, bends.reshape(FINGERS * BENDS, -1), fingers


def read(given):
    data, model = given["data"], given["data"]["model"]
    order, levels, bends, fingers = skeleton(model["parents"])
    bones = (np.array(model[name], np.float64)[order] for name in ("base_relatives", "inverse_base_absolutes"))
    positions, weights = (np.array(model[name], np.float64).T for name in ("base_positions", "weights"))
    hand = Hand(
        *map(tg.Tensor, bones), positions, weights[order], levels, bends, fingers,
        np.array(model["triangles"], np.int64), bool(model["is_mirrored"]),
        tg.Tensor(np.array(data["points"], np.float64).T), np.array(data["correspondences"], np.int64),
    )  # fmt: skip
    us = np.array(given["us"], np.float64).reshape(-1, 2)
    return tg.Tensor(np.array(given["theta"], np.float64)), tg.Tensor(us), hand


FUNCTIONS = {"objective": Function(read, objective), "jacobian": Function(read, tg.compile(jacobian))}
