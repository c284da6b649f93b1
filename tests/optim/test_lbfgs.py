"""L-BFGS: trajectories of PyTorch, the dense update of BFGS, the Wolfe conditions, states and errors."""

import copy
import math
import pickle
import re

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import tinygrad_cnn as tg
from tinygrad_cnn.optim import LBFGS
from tinygrad_cnn.optim.line_search import Point, cubic_minimum

from .common import assert_same, leaf, snapshot


def rosenbrock(x, y):
    """(1 - x)^2 + 100 (y - x^2)^2"""
    return ((1 - x) ** 2 + 100 * (y - x * x) ** 2).sum()


def closure_of(stepping, function, calls=None):
    params = stepping.param_groups[0]["params"]

    def closure():
        stepping.zero_grad()
        loss = function(*params)
        loss.backward()
        if calls is not None:
            calls.append((np.concatenate([p.numpy().ravel() for p in params]), loss.item(),
                          np.concatenate([p.grad.numpy().ravel() for p in params])))  # fmt: skip
        return loss

    return closure


def start(*values):
    return [tg.Tensor(np.array(v, dtype=np.float64), requires_grad=True) for v in values]


# PyTorch 2.13, float64, from (-0.5, 1): x, y, the loss that step returned, and the calls and iterations so far.
RECORDED = [
    ({"lr": 0.01, "max_iter": 4}, [
        (-0.5763795278424528, 0.9768567159793573, 58.5, 4, 4),
        (-0.6596346310123272, 0.9717392473974172, 44.04147804169224, 8, 8),
        (-0.7050643759129169, 0.9757176213766794, 31.550639905996235, 12, 12),
        (-0.7396353707280227, 0.9817938123342937, 25.813217339873862, 16, 16),
        (-0.7675211729325296, 0.9884995742767406, 21.925638105440797, 20, 20),
    ]),
    ({"line_search_fn": "strong_wolfe", "max_iter": 3}, [
        (-0.816717538920679, 0.6768188378360418, 58.5, 3, 1),
        (-0.7936393125385598, 0.6231288917246032, 3.3100495707245225, 6, 3),
        (-0.6681593898115726, 0.407757010233941, 3.2216772876329944, 9, 5),
        (-0.4069995058672754, 0.16120764431967133, 2.932369680062845, 12, 7),
        (-0.2717121802829796, 0.03602759299348101, 1.9816198162710683, 15, 8),
    ]),
    ({"lr": 20.0, "line_search_fn": "strong_wolfe", "max_iter": 2, "history_size": 2}, [
        (-0.5, 1.0, 58.5, 3, 1),
        (-0.5, 1.0, 58.5, 6, 2),
        (-0.5, 1.0, 58.5, 9, 3),
        (-0.5, 1.0, 58.5, 12, 4),
        (-0.5, 1.0, 58.5, 15, 5),
    ]),
    ({"line_search_fn": "strong_wolfe", "max_iter": 10, "max_eval": 3}, [
        (-0.816717538920679, 0.6768188378360418, 58.5, 3, 1),
        (-0.7936393125385598, 0.6231288917246032, 3.3100495707245225, 6, 3),
        (-0.6681593898115726, 0.407757010233941, 3.2216772876329944, 9, 5),
        (-0.4069995058672754, 0.16120764431967133, 2.932369680062845, 12, 7),
        (-0.2717121802829796, 0.03602759299348101, 1.9816198162710683, 15, 8),
    ]),
    ({"line_search_fn": "strong_wolfe", "max_iter": 6, "max_eval": 20, "history_size": 2}, [
        (-0.44580513753757767, 0.19103897987606916, 58.5, 8, 6),
        (0.05030926753678337, -0.015547761992445022, 2.0962864875797163, 17, 12),
        (0.5643864506433063, 0.29691255922930987, 0.9345967318376892, 26, 18),
    ]),
]  # fmt: skip


@pytest.mark.parametrize(("options", "steps"), RECORDED, ids=lambda x: str(x) if isinstance(x, dict) else "")
def test_every_step_is_pytorchs(options, steps):
    params = start(-0.5, 1.0)
    stepping = LBFGS(params, **options)
    for x, y, loss, calls, iterations in steps:
        before = stepping.step(closure_of(stepping, rosenbrock))
        np.testing.assert_allclose([p.item() for p in params] + [before.item()], [x, y, loss], rtol=1e-9, atol=1e-12)
        state = stepping.state[params[0]]
        assert (state["func_evals"], state["n_iter"]) == (calls, iterations)


def test_defaults_are_pytorchs():
    assert LBFGS([leaf(2)]).defaults == {
        "lr": 1.0, "max_iter": 20, "max_eval": 25, "tolerance_grad": 1e-7, "tolerance_change": 1e-9, "history_size": 100,
        "line_search_fn": None,
    }  # fmt: skip
    assert LBFGS([leaf(2)], max_iter=1).defaults["max_eval"] == 1


def test_directions_are_those_of_dense_bfgs():
    """H = (1 - s y^T / y.s) H (1 - y s^T / y.s) + s s^T / y.s for each pair, from y.s / y.y of the last."""
    params = start([0.5, -1.0, 2.0], [1.5, 0.2, -0.7])
    stepping = LBFGS(params, max_iter=1, line_search_fn="strong_wolfe", max_eval=20)
    for _ in range(6):
        calls = []
        stepping.step(closure_of(stepping, rosenbrock, calls))
        state = stepping.state[params[0]]
        h = state["H_diag"] * np.eye(6)
        for y, s in zip(state["old_dirs"], state["old_stps"], strict=True):
            turn = np.eye(6) - np.outer(y, s) / (y @ s)
            h = turn.T @ h @ turn + np.outer(s, s) / (y @ s)
        np.testing.assert_allclose(state["d"], -h @ calls[0][2], rtol=1e-7)
    assert len(state["old_dirs"]) == 5


def test_the_line_search_ends_where_the_wolfe_conditions_hold():
    params = start([-1.0, 2.0, 0.3], [1.0, -0.5, 3.0])
    for lr in (1e-3, 1.0, 30.0):
        stepping = LBFGS(params, lr=lr, max_iter=1, max_eval=40, line_search_fn="strong_wolfe")
        for _ in range(4):
            calls = []
            stepping.step(closure_of(stepping, rosenbrock, calls))
            position = np.concatenate([p.numpy() for p in params])
            (_, value, g), d = calls[0], stepping.state[params[0]]["d"]
            (ends,) = [(v, h) for p, v, h in calls if np.array_equal(p, position)]
            t = stepping.state[params[0]]["t"]
            assert ends[0] <= value + 1e-4 * t * (g @ d)
            assert abs(ends[1] @ d) <= 0.9 * abs(g @ d)


@given(
    a=st.floats(-3, 3), b=st.floats(-3, 3), cubic=st.tuples(*[st.floats(-2, 2)] * 3),
    bounds=st.tuples(st.floats(-5, 5), st.floats(0, 5)),
)  # fmt: skip
def test_a_trial_is_the_minimum_of_the_cubic_within_its_bounds(a, b, cubic, bounds):
    assume(abs(a - b) > 0.1)
    least, most = bounds[0], bounds[0] + bounds[1]

    def point(t):
        return Point(t, np.polyval([*cubic, 0], t), np.zeros(0), np.polyval(np.polyder([*cubic, 0]), t))

    found = cubic_minimum(point(a), point(b), least, most)
    assert least <= found <= most
    first, second, slope = cubic
    square = second**2 - 3 * first * slope
    assume(abs(first) > 0.01 and abs(square) > 0.01)
    if square < 0:  # there is no minimum
        assert found == (least + most) / 2
    else:
        minimum = (-second + math.sqrt(square)) / (3 * first)
        assert found == pytest.approx(min(max(minimum, least), most), rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_it_finds_the_minimum(dtype):
    params = [tg.Tensor(np.array(v, dtype), requires_grad=True) for v in ([-1.2, 0.5], [1.0, 2.0])]
    stepping = LBFGS(params, max_iter=100, tolerance_change=1e-14, line_search_fn="strong_wolfe")
    stepping.step(closure_of(stepping, rosenbrock))
    for p in params:
        assert p.dtype == dtype
        np.testing.assert_allclose(p.numpy(), 1, atol=1e-3 if dtype == np.float32 else 1e-6)


@pytest.mark.parametrize("limit", [np.nan, np.inf])
def test_a_step_into_values_that_are_no_numbers_is_shortened(limit):
    """The loss is not finite beyond 2, where the first trial ends."""
    (x,) = start(0.0)
    stepping = LBFGS([x], lr=8.0, max_iter=30, line_search_fn="strong_wolfe")

    def closure():
        stepping.zero_grad()
        loss = (x - 1) ** 2 if x.item() < 2 else (x - 1) ** 2 * limit
        loss.backward()
        return loss

    stepping.step(closure)
    np.testing.assert_allclose(x.item(), 1.0, atol=1e-6)


def test_a_parameter_without_a_gradient_stays():
    (x, y), z = start([3.0, 1.0], 2.0), leaf(2)
    stepping = LBFGS([x, z, y], line_search_fn="strong_wolfe")
    stepping.step(closure_of(stepping, lambda x, z, y: ((x - 1) ** 2).sum() + (y + 1) ** 2))
    assert z.tolist() == [1, 2]
    np.testing.assert_allclose([*x.tolist(), y.item()], [1, 1, -1], atol=1e-6)


def test_no_step_is_taken_at_the_minimum():
    (x,) = start(1.0)
    stepping = LBFGS([x])
    assert stepping.step(closure_of(stepping, lambda x: (x - 1) ** 2)).item() == 0
    assert stepping.state_dict()["state"] == {0: {"func_evals": 1, "n_iter": 0}}
    twin = LBFGS([leaf()])
    twin.load_state_dict(stepping.state_dict())


# States


@pytest.mark.parametrize(
    "travel", [lambda s: s, lambda s: pickle.loads(pickle.dumps(s)), "file"], ids=["direct", "pickled", "file"]
)
def test_a_resumed_optimizer_continues_to_the_same_bits(travel, tmp_path):
    params = start([-1.0, 2.0], [1.0, -0.5])
    options = {"max_iter": 2, "history_size": 3, "line_search_fn": "strong_wolfe"}
    stepping = LBFGS(params, **options)
    for _ in range(4):
        stepping.step(closure_of(stepping, rosenbrock))
    state = stepping.state_dict()
    if travel == "file":
        tg.save(tmp_path / "state.npz", state)
        state = tg.load(tmp_path / "state.npz")
    else:
        state = travel(state)
    others = [tg.Tensor(p.numpy(), requires_grad=True) for p in params]
    resumed = LBFGS(others)
    resumed.load_state_dict(state)
    twin = copy.deepcopy(stepping)
    for optimizer in (stepping, resumed, twin):
        optimizer.step(closure_of(optimizer, rosenbrock))
    assert_same(snapshot(stepping), snapshot(resumed))
    assert_same(snapshot(stepping), snapshot(twin))


def test_a_saved_state_is_a_copy():
    params = start([-1.0, 2.0], [1.0, -0.5])
    stepping = LBFGS(params, max_iter=3, line_search_fn="strong_wolfe")
    stepping.step(closure_of(stepping, rosenbrock))
    saved, before = stepping.state_dict(), stepping.state_dict()
    for value in saved["state"][0].values():
        for array in value if isinstance(value, list) else [value]:
            if isinstance(array, np.ndarray):
                array.fill(7)
    assert_same(before, stepping.state_dict())


def test_pytorchs_state_is_taken():
    """It has numbers as arrays without axes, and a list of scratch."""
    params = start([-1.0, 2.0], [1.0, -0.5])
    stepping = LBFGS(params, max_iter=3, line_search_fn="strong_wolfe")
    stepping.step(closure_of(stepping, rosenbrock))
    before = snapshot(stepping)
    saved = stepping.state_dict()
    state = saved["state"][0]
    state |= {
        "al": [np.array(1.0), None],
        "H_diag": np.array(state["H_diag"]),
        "ro": [np.array(r) for r in state["ro"]],
    }
    stepping.load_state_dict(saved)
    assert_same(before, snapshot(stepping))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"d": None}, "the state of parameter 0 lacks 'd'; from the first iteration on there are d, t, old_dirs"),
        ({"n_iter": None}, "the state of parameter 0 lacks 'n_iter'"),
        (
            {"d": np.zeros(3)},
            "'d' in the state of parameter 0 is float64 (3,); all parameters together are float64 (4,)",
        ),
        ({"old_dirs": [np.zeros(4, np.float32)]}, "'old_dirs' in the state of parameter 0 is float32 (4,)"),
        ({"old_stps": 3}, "'old_stps' in the state of parameter 0 is 3; it must be a list"),
        ({"ro": ["a"]}, "'ro' in the state of parameter 0 is 'a'; it must be a finite number"),
        ({"ro": []}, "has lists of different lengths: {'old_dirs': 1, 'old_stps': 1, 'ro': 0}"),
        ({"t": np.nan}, "'t' in the state of parameter 0 is nan; it must be a finite number"),
        ({"noise": 1}, "'noise' in the state of parameter 0 is unexpected"),
    ],
)
def test_a_state_that_does_not_fit_is_refused(change, message):
    params = start([-1.0, 2.0], [1.0, -0.5])
    stepping = LBFGS(params, max_iter=3, line_search_fn="strong_wolfe")
    stepping.step(closure_of(stepping, rosenbrock))
    before = snapshot(stepping)
    saved = stepping.state_dict()
    saved["state"][0] = {name: v for name, v in (saved["state"][0] | change).items() if v is not None}
    with pytest.raises(ValueError, match=re.escape(message)):
        stepping.load_state_dict(saved)
    saved["state"] = {1: {"d": np.zeros(4)}}
    with pytest.raises(ValueError, match="'d' in the state of parameter 1 is unexpected"):
        stepping.load_state_dict(saved)
    assert_same(before, snapshot(stepping))


# Steps among other things


def test_a_closure_that_raises_changes_nothing():
    params = start([-1.0, 2.0], [1.0, -0.5])
    stepping = LBFGS(params, max_iter=5, line_search_fn="strong_wolfe")
    stepping.step(closure_of(stepping, rosenbrock))
    before = snapshot(stepping)
    left = iter(range(3))
    closure = closure_of(stepping, rosenbrock)

    def failing():
        if next(left, None) is None:
            raise KeyError("no batch")
        return closure()

    with pytest.raises(KeyError, match="no batch"):
        stepping.step(failing)
    assert_same(before, snapshot(stepping))


def test_a_graph_that_saved_the_old_values_refuses_backward():
    (x,) = start([3.0, 1.0])
    stepping = LBFGS([x])
    stale = (x * x).sum()
    stepping.step(closure_of(stepping, lambda x: (x * x).sum()))
    with pytest.raises(RuntimeError, match="overwritten in place"):
        stale.backward()


def test_a_compiled_closure_and_a_compiled_step_give_the_same_bits():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(20, 3)), rng.normal(size=20)
    found = []
    for compiled in ("nothing", "closure", "step"):
        (w,) = start(np.zeros(3))
        stepping = LBFGS([w], max_iter=4, line_search_fn="strong_wolfe")

        def closure(w=w, stepping=stepping):
            stepping.zero_grad()
            loss = tg.mse(x @ w, y)
            loss.backward()
            return loss

        run = tg.compile(closure) if compiled == "closure" else closure
        step = tg.compile(stepping.step) if compiled == "step" else stepping.step
        for _ in range(6):
            with tg.no_grad():
                step(run)
        found.append(snapshot(stepping))
    assert_same(found[0], found[1])
    assert_same(found[0], found[2])


def test_a_schedule_changes_the_step():
    (x,) = start(4.0)
    stepping = LBFGS([x], lr=0.5, max_iter=1)
    schedule = tg.optim.ExponentialLR(stepping, gamma=0.5)
    lengths = []
    for _ in range(3):
        stepping.step(closure_of(stepping, lambda x: (x * x).sum()))
        lengths.append(stepping.state[x]["t"])
        schedule.step()
    np.testing.assert_allclose(lengths, [0.5 / 8, 0.25, 0.125])


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"lr": -1}, ValueError, "`lr` is -1"),
        ({"max_iter": 0}, ValueError, "`max_iter` is 0; it must be a whole number of at least 1"),
        ({"max_iter": "3"}, TypeError, "`max_iter` is '3'"),
        ({"max_eval": 0}, ValueError, "`max_eval` is 0"),
        ({"tolerance_grad": -1}, ValueError, "`tolerance_grad` is -1"),
        ({"tolerance_change": np.nan}, ValueError, "`tolerance_change` is nan"),
        ({"history_size": 0}, ValueError, "`history_size` is 0"),
        ({"line_search_fn": "wolfe"}, ValueError, "`line_search_fn` is 'wolfe'; it must be 'strong_wolfe'"),
    ],
)
def test_options_out_of_range_are_refused(options, error, message):
    with pytest.raises(error, match=f"LBFGS: {message}"):
        LBFGS([leaf(2)], **options)
    ((name, value),) = options.items()
    stepping = LBFGS([leaf(2)])
    stepping.param_groups[0][name] = value
    with pytest.raises(error, match=re.escape(f"LBFGS: `{name}` of group 0 is ")):
        stepping.step(closure_of(stepping, lambda x: (x * x).sum()))


def test_what_else_is_refused():
    with pytest.raises(ValueError, match="LBFGS: there is a second group of parameters"):
        LBFGS([{"params": leaf(2)}, {"params": leaf(3)}])
    with pytest.raises(ValueError, match="LBFGS: the parameters are float32 and float64; they must have one dtype"):
        LBFGS([leaf(2), leaf(2, dtype=np.float32)])
    stepping = LBFGS([leaf(2)])
    with pytest.raises(TypeError, match=r"LBFGS\.step: `closure` is missing; L-BFGS evaluates the loss several times"):
        stepping.step()
    for wrong in (None, tg.ones(2), "3"):
        with pytest.raises(TypeError, match=r"LBFGS\.step: `closure` returned .*; it must return the loss"):
            stepping.step(lambda wrong=wrong: wrong)
    assert stepping.state_dict()["state"] == {}
