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
    """Rodrigues' formula, for rows; the limit where the angle is 0."""
    square = (rotation * rotation).sum(axis=1, keepdims=True)
    still = square == 0
    angle = tg.sqrt(tg.where(still, 1, square))
    axis, cosine, sine = rotation / angle, tg.where(still, 1, tg.cos(angle)), tg.where(still, angle, tg.sin(angle))
    along = (axis * x).sum(axis=1, keepdims=True) * (1 - cosine)
    return x * cosine + tg.cross(axis, x) * sine + axis * along


def errors(cameras, points, weights, features):
    """The weighted errors (p, 2) of projections."""
    x = rotated(cameras[:, :3], points - cameras[:, 3:6])
    flat = x[:, :2] / x[:, 2:]
    r = (flat * flat).sum(axis=1, keepdims=True)
    flat = flat * (1 + cameras[:, 9:10] * r + cameras[:, 10:] * (r * r))
    return weights[:, None] * (flat * cameras[:, 6:7] + cameras[:, 7:9] - features)


def objective(cameras, points, weights, features, observed):
    return errors(cameras[observed[0]], points[observed[1]], weights, features), 1 - weights * weights


def jacobian(cameras, points, weights, features, observed):
    """Where rows begin, columns and values of the sparse matrix."""
    n, m, p = len(cameras), len(points), len(weights)
    inputs = [cameras[observed[0]], points[observed[1]], weights]
    with tg.enable_grad():
        for a in (leaves := [a.detach().requires_grad_() for a in inputs]):
            assert a.requires_grad
        found = errors(*leaves, features)
    values = np.empty((p, 2, BLOCK))
    for row in range(2):
        ones = np.zeros((p, 2))
        ones[:, row] = 1
        camera, point, weight = tg.gradients(found, leaves, ones, retain_graph=row == 0)
        values[:, row, :CAMERA], values[:, row, CAMERA:-1], values[:, row, -1] = camera, point, weight
    places = np.empty((p, BLOCK), np.int64)
    places[:, :CAMERA] = observed[0][:, None] * CAMERA + np.arange(CAMERA)
    places[:, CAMERA:-1] = CAMERA * n + observed[1][:, None] * 3 + np.arange(3)
    places[:, -1] = CAMERA * n + 3 * m + np.arange(p)
    starts = np.concatenate([np.arange(2 * p + 1) * BLOCK, 2 * p * BLOCK + 1 + np.arange(p)])
    columns = np.concatenate([np.repeat(places, 2, axis=0).reshape(-1), places[:, -1]])
    return starts, columns, np.concatenate([values.reshape(-1), -2 * weights.numpy()])


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
