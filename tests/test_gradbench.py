"""Our side of GradBench: functions beside scalar programs, derivatives beside differences of these, and the protocol."""

from __future__ import annotations

import io
import json
import math

import numpy as np
import pytest

import tinygrad_cnn as tg

from .benchmarks.gradbench import __main__ as protocol
from .benchmarks.gradbench import inputs
from .benchmarks.gradbench.evals import particle, saddle
from .benchmarks.gradbench.function import NAMES, load


def differences(f, x, h=1e-5):
    """The derivatives of f, a function of an array, by differences of fourth order: the shape of f(x), then that of x."""
    found = []
    for i in range(x.size):
        step = np.zeros(x.size)
        step[i] = h
        step = step.reshape(x.shape)
        near, far = (np.asarray(f(x + n * step)) - np.asarray(f(x - n * step)) for n in (1, 2))
        found.append((8 * near - far) / (12 * h))
    return np.moveaxis(np.array(found), 0, -1).reshape(*np.shape(f(x)), *x.shape)


def check(found, expected, tolerance=1e-7):
    found, expected = np.asarray(found), np.asarray(expected)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance * np.abs(expected).max())


def test_hello():
    assert load("hello")["square"](3.0) == 9
    assert load("hello")["double"](3.0) == 6


@pytest.mark.parametrize("n", [1, 2, 5])
def test_det(n):
    given = inputs.det(n)
    a = np.array(given["A"]).reshape(n, n)
    check(load("det")["primal"](given), np.linalg.det(a))
    check(load("det")["gradient"](given), (np.linalg.det(a) * np.linalg.inv(a).T).reshape(-1))


def mixture(alpha, mu, q, rest, x, m, gamma):
    """The logarithm of the product of the densities, from the definition."""
    (k, d), precision = mu.shape, []
    for j in range(k):
        root = np.diag(np.exp(q[j]))
        root.T[np.triu_indices(d, 1)] = rest[j]
        precision.append(root.T @ root)
    phi, posterior = np.exp(alpha) / np.exp(alpha).sum(), 0.0
    for point in x:
        density = 0.0
        for j in range(k):
            z, det = point - mu[j], np.linalg.det(precision[j])
            density += phi[j] * math.exp(-z @ precision[j] @ z / 2) / math.sqrt((2 * math.pi) ** d / det)
        posterior += math.log(density)
    n = d + m + 1
    gammas = d * (d - 1) / 4 * math.log(math.pi) + sum(math.lgamma((n - i) / 2) for i in range(d))
    for p in precision:
        posterior += math.log(np.linalg.det(p)) * (n - d - 1) / 2 - gamma**2 * np.trace(p) / 2
        posterior -= n * d / 2 * math.log(2) - n * d * math.log(gamma) + gammas
    return posterior


@pytest.mark.parametrize(("m", "gamma"), [(0, 1.0), (2, 0.7)])
def test_gmm(m, gamma):
    given = {**inputs.gmm(3, 4, 6), "m": m, "gamma": gamma}
    arrays = [np.array(given[name]) for name in ("alpha", "mu", "q", "l", "x")]
    check(load("gmm")["objective"](given), mixture(*arrays, m, gamma))
    gradient = load("gmm")["jacobian"](given)
    for i, name in enumerate(("alpha", "mu", "q", "l")):
        expected = differences(lambda a, i=i: mixture(*arrays[:i], a, *arrays[i + 1 :], m, gamma), arrays[i])
        check(gradient[name], expected)


def test_kmeans():
    given = inputs.kmeans(4, 40, 3)
    points, centroids = np.array(given["points"]), np.array(given["centroids"])
    distances = ((points[:, None] - centroids) ** 2).sum(axis=2)
    check(load("kmeans")["cost"](given), distances.min(axis=1).sum())
    nearest = distances.argmin(axis=1)
    means = np.array([points[nearest == j].mean(axis=0) for j in range(4)])
    check(
        load("kmeans")["dir"](given), centroids - means
    )  # Newton's step is from the centroid to the mean of its points


def test_llsq():
    given = inputs.llsq(9, 5)
    x = np.array(given["x"])
    t = [-1 + 2 * i / 8 for i in range(9)]

    def half(x):
        return sum((np.sign(v) - sum(c * v**j for j, c in enumerate(x))) ** 2 for v in t) / 2

    check(load("llsq")["primal"](given), half(x))
    check(load("llsq")["gradient"](given), differences(half, x))


@pytest.mark.parametrize("shift", [0.0, 1000.0])
def test_lse(shift):
    x = np.array(inputs.lse(9)["x"])
    given = {"x": (x + shift).tolist()}
    check(load("lse")["primal"](given), shift + math.log(sum(map(math.exp, x))))
    check(load("lse")["gradient"](given), np.exp(x) / np.exp(x).sum())


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def recurrent(parameters, given):
    """The loss, cell by cell."""
    width, layers = len(given["state"][0]), len(given["state"]) // 2
    main, extra = parameters[: -3 * width].reshape(layers, 2, 4, width), parameters[-3 * width :].reshape(3, width)
    state = np.array(given["state"]).reshape(layers, 2, width)
    total = 0.0
    for t, character in enumerate(given["sequence"][:-1]):
        out = [c * w for c, w in zip(character, extra[0], strict=True)]
        for i in range(layers):
            (wf, wi, wo, wc), (bf, bi, bo, bc) = main[i]
            for j in range(width):
                h = state[i, 0, j]
                forget, keep = sigmoid(out[j] * wf[j] + bf[j]), sigmoid(h * wi[j] + bi[j])
                state[i, 1, j] = state[i, 1, j] * forget + keep * math.tanh(h * wc[j] + bc[j])
                state[i, 0, j] = out[j] = sigmoid(out[j] * wo[j] + bo[j]) * math.tanh(state[i, 1, j])
        y = [o * w + b for o, w, b in zip(out, extra[1], extra[2], strict=True)]
        log = math.log(sum(map(math.exp, y)) + 2)
        total += sum(c * (v - log) for c, v in zip(given["sequence"][t + 1], y, strict=True))
    return -total / (width * (len(given["sequence"]) - 1))


@pytest.mark.parametrize(("layers", "characters"), [(1, 3), (2, 5), (3, 5), (3, 2)])
def test_lstm(layers, characters):
    given = inputs.lstm(layers, characters, 3)
    parameters = np.concatenate([np.ravel(given["main_params"]), np.ravel(given["extra_params"])])
    check(load("lstm")["objective"](given), recurrent(parameters, given))
    check(load("lstm")["jacobian"](given), differences(lambda p: recurrent(p, given), parameters))


def runge_kutta(x, s):
    n, h, y = len(x), 2 / s, np.zeros(len(x))

    def slope(y):
        return np.array([x[0] if i == 0 else x[i] * y[i - 1] for i in range(n)])

    for _ in range(s):
        k1 = slope(y)
        k2 = slope(y + h * k1 / 2)
        k3 = slope(y + h * k2 / 2)
        k4 = slope(y + h * k3)
        y = y + h * (k1 + 2 * k2 + 2 * k3 + k4) / 6
    return y


@pytest.mark.parametrize("s", [1, 3])
def test_ode(s):
    given = inputs.ode(4, s)
    x = np.array(given["x"])
    check(load("ode")["primal"](given), runge_kutta(x, s))
    check(load("ode")["gradient"](given), differences(lambda x: runge_kutta(x, s)[-1], x))
    assert load("ode")["primal"](given)[0] == pytest.approx(2 * x[0])  # the first equation is linear in time


def rotation(r):
    """The exponential of the matrix of a cross product, by its series."""
    across = np.array([[0, -r[2], r[1]], [r[2], 0, -r[0]], [-r[1], r[0], 0]])
    total, term = np.eye(3), np.eye(3)
    for i in range(1, 30):
        term = term @ across / i
        total = total + term
    return total


def projection(parameters, feature):
    camera, x, w = parameters[:11], parameters[11:14], parameters[14]
    seen = rotation(camera[:3]) @ (x - camera[3:6])
    flat = seen[:2] / seen[2]
    r = flat @ flat
    return w * (flat * (1 + camera[9] * r + camera[10] * r * r) * camera[6] + camera[7:9] - feature)


@pytest.mark.parametrize("still", [False, True])
def test_ba(still):
    given = inputs.ba(2, 3, 5)
    if still:
        given["cam"][:3] = [0.0, 0.0, 0.0]
    parameters, feature = np.array([*given["cam"], *given["x"], given["w"]]), np.array(given["feat"])
    errors = load("ba")["objective"](given)
    check(errors["reproj_error"]["elements"], projection(parameters, feature))
    assert errors["w_err"] == {"element": pytest.approx(1 - given["w"] ** 2), "repeated": 5}
    assert errors["reproj_error"]["repeated"] == 5
    matrix = load("ba")["jacobian"](given)
    block = differences(lambda p: projection(p, feature), parameters)
    if not still:
        check(matrix["vals"], [*block.reshape(-1), -2 * given["w"]], 1e-6)
    columns = [*range(11), *range(22, 25), 22 + 9]
    assert matrix["cols"] == [*columns, *columns, 22 + 9 + 4]
    assert matrix["rows"] == [*(15 * i for i in range(11)), *range(151, 156), 155]


def hand(theta, us, given):
    """The errors, bone by bone and vertex by vertex."""
    data, model = given["data"], given["data"]["model"]
    angles, k = np.zeros((22, 3)), 6
    for finger in range(5):
        for joint in range(3):
            angles[2 + 4 * finger + joint, 0], k = theta[k], k + 1
            if joint == 0:
                angles[2 + 4 * finger + joint, 1], k = theta[k], k + 1
    absolute = []
    for bone, parent in enumerate(model["parents"]):
        x, z, y = angles[bone]
        move = np.eye(4)
        move[:3, :3] = rotation([0, 0, z]) @ rotation([0, y, 0]) @ rotation([x, 0, 0])
        move = np.array(model["base_relatives"][bone]) @ move
        absolute.append(move if parent < 0 else absolute[parent] @ move)
    moves = [a @ np.array(b) for a, b in zip(absolute, model["inverse_base_absolutes"], strict=True)]
    places = []
    for position, weights in zip(model["base_positions"], model["weights"], strict=True):
        at = sum(w * (move @ position) for w, move in zip(weights, moves, strict=True))[:3]
        places.append(rotation(theta[:3]) @ (at * [-1 if model["is_mirrored"] else 1, 1, 1]) + theta[3:6])
    errors = []
    for i, (point, near) in enumerate(zip(data["points"], data["correspondences"], strict=True)):
        if len(us):
            a, b, c = (places[v] for v in model["triangles"][near])
            errors.append(point - (us[i][0] * a + us[i][1] * b + (1 - us[i][0] - us[i][1]) * c))
        else:
            errors.append(point - places[near])
    return np.array(errors).reshape(-1)


@pytest.mark.slow
@pytest.mark.parametrize("triangles", [False, True])
@pytest.mark.parametrize(("vertices", "mirrored"), [(7, False), (7, True), (12, False), (20, False)])
def test_ht(triangles, vertices, mirrored):
    """More vertices than corners of the points, as many, and fewer."""
    given = inputs.ht(vertices, 4, triangles)
    given["data"]["model"]["is_mirrored"] = mirrored
    theta, us = np.array(given["theta"]), np.array(given["us"]).reshape(-1, 2)
    check(load("ht")["objective"](given), hand(theta, us, given))
    expected = differences(lambda theta: hand(theta, us, given), theta)
    if triangles:
        all_us = differences(lambda us: hand(theta, us, given), us).reshape(4, 3, 4, 2)
        own = all_us[np.arange(4), :, np.arange(4)].reshape(12, 2)
        expected = np.column_stack([own, expected])
    check(load("ht")["jacobian"](given), expected)


MODES = pytest.mark.parametrize("modes", ["rr", "rf", "fr", "ff"])


@pytest.mark.part(2)
@MODES
def test_the_largest_value_of_saddle_has_the_slope_of_its_first_part(modes):
    outer, inner = modes
    x, start = tg.Tensor(np.array([0.7, -0.4])), tg.Tensor(np.array([1.0, 1.0]))
    f = saddle.largest(inner, start)
    assert f(x).item() == pytest.approx(0.65, abs=1e-6)
    check(particle.MODES[outer](f)(x), 2 * x.numpy())


@pytest.mark.slow
def test_saddle():
    found = load("saddle")["rr"](inputs.saddle())
    assert np.abs(found).max() < 1e-4


def crossing(w):
    """Where the particle crosses the axis, without derivatives."""
    charges, x, v = [(10.0, 10.0 - w), (10.0, 0.0)], np.array([0.0, 8.0]), np.array([0.75, 0.0])
    while (x + 0.1 * v)[1] > 0:
        push = sum((x - c) / np.hypot(*(x - c)) ** 3 for c in map(np.array, charges))
        x, v = x + 0.1 * v, v + 0.1 * push
    return (x - x[1] / v[1] * v)[0]


@pytest.mark.part(1)
@MODES
def test_the_particles_end_and_its_slope(modes):
    outer, inner = modes
    w = tg.Tensor(np.array([0.1]))
    f = particle.objective(inner)
    check(f(w), crossing(0.1) ** 2)
    check(particle.MODES[outer](f)(w), differences(lambda w: crossing(w[0]) ** 2, w.numpy()))


@pytest.mark.slow
def test_particle():
    w = load("particle")["rr"](inputs.particle())
    assert abs(crossing(w)) < 1e-3 < abs(crossing(0.0))


def test_the_protocol():
    messages = [
        {"kind": "start", "eval": "hello"},
        {"kind": "define", "module": "hello"},
        {"kind": "evaluate", "module": "hello", "function": "square", "input": 3.0},
        {"kind": "analysis", "of": 2, "valid": True},
        {
            "kind": "evaluate",
            "module": "lse",
            "function": "primal",
            "input": {"x": [0.0], "min_runs": 3, "min_seconds": 0},
        },
        {"kind": "evaluate", "module": "lse", "function": "primal", "input": {}},
        {"kind": "define", "module": "nonsense"},
    ]
    printed = io.StringIO()
    protocol.main(io.StringIO("".join(f"{json.dumps({'id': i} | m)}\n" for i, m in enumerate(messages))), printed)
    start, define, square, analysis, lse, failed, unknown = map(json.loads, printed.getvalue().splitlines())
    assert start == {"id": 0, "tool": "tinygrad_cnn"}
    assert define == {"id": 1, "success": True}
    assert square["output"] == 9
    assert analysis == {"id": 3}
    assert lse["output"] == 0
    assert [t["name"] for t in lse["timings"]] == ["evaluate"] * 3
    assert all(t["nanoseconds"] > 0 for t in lse["timings"])
    assert not failed["success"]
    assert "KeyError" in failed["error"]
    assert not unknown["success"]
    assert "'nonsense'" in unknown["error"]


def test_every_evaluation_has_its_functions():
    assert {name for name in NAMES if len(load(name)) not in (2, 4)} == set()
