"""Bundle adjustment: the errors of points projected by cameras, and the nonzero part of their Jacobian, row by row.

A camera has three parameters of its rotation (axis times angle), its centre, focal length, principal point, and two of its
radial distortion. An observation belongs to one camera and one point, so the derivative of a sum over all observations of one
component of their errors has the rows of that component.
"""

from __future__ import annotations

import numpy as np

import tinygrad_cnn as tg

from ..function import Function

CAMERA, BLOCK = 11, 15


def rotated(rotation, x):
    """Rodrigues' formula, for columns; the limit where the angle is 0."""
    square = (rotation * rotation).sum(axis=0)
    still = square == 0
    square = tg.where(still, 1, square)
    angle = tg.sqrt(square)
    cosine, sine = tg.where(still, 1, tg.cos(angle)), tg.where(still, 1, tg.sin(angle) / angle)
    along = (rotation * x).sum(axis=0) * ((1 - cosine) / square)
    return x * cosine + tg.cross(rotation, x, axis=0) * sine + rotation * along


def errors(rotation, x, focal, principal, radial, weights, features):
    """The weighted errors (2, p) of projections of points (3, p), seen from the cameras' centres."""
    x = rotated(rotation, x)
    flat = x[:2] / x[2]
    r = (flat * flat).sum(axis=0)
    bent = flat * (1 + r * (radial[0] + radial[1] * r))
    return weights * (bent * focal + principal - features)


def seen(cameras, points, observed):
    """The parameters of the camera of each observation, and its point from the camera's centre, by columns."""
    own, places = (tg.take(a.T, chosen, axis=1) for a, chosen in zip((cameras, points), observed, strict=True))
    return own[:3], places - own[3:6], own[6], own[7:9], own[9:]


def objective(cameras, points, weights, features, observed):
    found = errors(*seen(cameras, points, observed), weights, features.T)
    return found.T, 1 - weights * weights


@tg.compile
def rows(inputs, features):
    """The derivatives of the two components of all errors by each input of `errors`."""
    with tg.enable_grad():
        leaves = [a.detach().requires_grad_() for a in inputs]
        found = errors(*leaves, features)
    units = np.eye(2)[:, :, None] * np.ones(found.shape)
    return [tg.gradients(found, leaves, units[i], retain_graph=i == 0) for i in range(2)]


def jacobian(cameras, points, weights, features, observed):
    """Where rows begin, columns and values of the sparse matrix."""
    n, m, p = len(cameras), len(points), len(weights)
    found = rows([*seen(cameras, points, observed), weights], features.T)
    columns, values = np.empty(2 * p * BLOCK + p, np.int64), np.empty(2 * p * BLOCK + p)
    places, blocks = (a[:-p].reshape(p, 2, BLOCK) for a in (columns, values))
    for i, row in enumerate(found):
        rotation, x, focal, principal, radial, weight = (g.numpy().T for g in row)
        own = blocks[:, i]
        own[:, :3], own[:, 3:6], own[:, 6], own[:, 7:9], own[:, 9:CAMERA] = rotation, -x, focal, principal, radial
        own[:, CAMERA:-1], own[:, -1] = x, weight
    places[:, :, :CAMERA] = (observed[0][:, None] * CAMERA + np.arange(CAMERA))[:, None]
    places[:, :, CAMERA:-1] = (CAMERA * n + observed[1][:, None] * 3 + np.arange(3))[:, None]
    places[:, :, -1] = CAMERA * n + 3 * m + np.arange(p)[:, None]
    columns[-p:], values[-p:] = places[:, 0, -1], -2 * weights.numpy()
    starts = np.concatenate([np.arange(2 * p + 1) * BLOCK, 2 * p * BLOCK + 1 + np.arange(p)])
    return starts, columns, values


def read(given):
    n, m, p = given["n"], given["m"], given["p"]
    cameras, points = np.tile(given["cam"], (n, 1)), np.tile(given["x"], (m, 1))
    weights, features = np.full(p, float(given["w"])), np.tile(given["feat"], (p, 1))
    observed = np.arange(p) % n, np.arange(p) % m
    return *map(tg.Tensor, (cameras, points, weights, features)), observed


def write_errors(y):
    found, weights = y
    return {
        "reproj_error": {"elements": found[0].tolist(), "repeated": len(found)},
        "w_err": {"element": weights[0].item(), "repeated": len(weights)},
    }


def write_matrix(y):
    """The first rows, and the last entry: all observations are alike."""
    return {name: [*a[: 2 * BLOCK].tolist(), a[-1].item()] for name, a in zip(("rows", "cols", "vals"), y, strict=True)}


FUNCTIONS = {"objective": Function(read, objective, write_errors), "jacobian": Function(read, jacobian, write_matrix)}
