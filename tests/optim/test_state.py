"""Saving and loading: the same bits after, copies both ways, and all or nothing."""

import copy
import pickle
import re

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn.optim import SGD, Adam, NAdam

from .common import assert_same, descend, leaf, snapshot
from .optimizers import COUNT, FLOAT, NUMBERS, ROWS, every_optimizer, other_options


@every_optimizer
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("travel", [lambda s: s, lambda s: pickle.loads(pickle.dumps(s))], ids=["direct", "pickled"])
def test_a_resumed_optimizer_continues_to_the_same_bits(optimizer, options, dtype, travel):
    def groups(params):
        return [{"params": params[:2]}, {"params": params[2:], "lr": 0.01, **other_options(optimizer)}]

    first = [leaf(2, 3, dtype=dtype), leaf(dtype=dtype), leaf(0, 2, dtype=dtype), leaf(4, dtype=dtype)]
    stepping = optimizer(groups(first), **options)
    descend(stepping, first[1:], 3)  # nothing is kept for the first parameter yet
    second = [tg.Tensor(p.numpy(), requires_grad=True) for p in first]
    resumed = optimizer(groups(second), lr=7.0)
    group = resumed.param_groups[0]
    resumed.load_state_dict(travel(stepping.state_dict()))
    assert resumed.param_groups[0] is group
    assert_same(snapshot(stepping), snapshot(resumed))
    descend(stepping, first, 3)
    descend(resumed, second, 3)
    assert_same(snapshot(stepping), snapshot(resumed))


@every_optimizer
def test_saved_arrays_are_copies_both_ways(optimizer, options):
    p = leaf(3)
    stepping = optimizer([p], **options)
    descend(stepping, [p], 2)
    before = snapshot(stepping)
    saved, loaded = stepping.state_dict(), stepping.state_dict()
    stepping.load_state_dict(loaded)
    for state in (saved["state"][0], loaded["state"][0]):
        for value in state.values():
            if isinstance(value, np.ndarray):
                value.fill(np.nan)
        state.clear()
    for group in (saved["param_groups"][0], loaded["param_groups"][0]):
        group["lr"] = -1
        group["params"].append(7)
    assert_same(before, snapshot(stepping))


def test_state_dict_has_pytorchs_layout():
    p, q = leaf(2), leaf(3)
    stepping = Adam([{"params": [p]}, {"params": [q], "lr": 0.5}])
    p.grad = tg.Tensor(np.array([1.0, -2.0]))
    stepping.step()
    options = {"betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0, "amsgrad": False}
    options |= {"maximize": False, "decoupled_weight_decay": False}
    saved = stepping.state_dict()
    assert saved["param_groups"] == [{"lr": 1e-3, **options, "params": [0]}, {"lr": 0.5, **options, "params": [1]}]
    assert saved["state"].keys() == {0}
    assert saved["state"][0]["step"] == 1
    np.testing.assert_allclose(saved["state"][0]["exp_avg"], [0.1, -0.2])
    np.testing.assert_allclose(saved["state"][0]["exp_avg_sq"], [1e-3, 4e-3])


@every_optimizer
def test_a_state_of_other_indices_array_types_and_key_order_is_taken(optimizer, options):
    p, q = leaf(2), leaf(3)
    stepping, other = optimizer([p, q], **options), optimizer([leaf(2), leaf(3)])
    descend(stepping, [p, q], 2)
    saved = stepping.state_dict()
    varied = {
        "param_groups": [dict(reversed(g.items())) | {"params": (20, 10)} for g in saved["param_groups"]],
        "state": {
            i: {k: np.array(v) if k in NUMBERS else tg.Tensor(v) for k, v in saved["state"][j].items()}
            for i, j in [(10, 1), (20, 0)]
        },
    }
    if "betas" in other.options:
        varied["param_groups"][0]["betas"] = list(varied["param_groups"][0]["betas"])
    other.load_state_dict(varied)
    assert_same(saved["param_groups"], other.state_dict()["param_groups"])
    for i in range(2):
        assert_same(dict(sorted(saved["state"][i].items())), dict(sorted(other.state_dict()["state"][i].items())))
    steps = [s["step"] for s in other.state_dict()["state"].values() if "step" in s]
    assert all(type(n) is int for n in steps)
    products = [s["mu_product"] for s in other.state_dict()["state"].values() if "mu_product" in s]
    assert all(type(m) is float for m in products)


class Foreign:
    """An array of another library, as far as a state shows it: like a PyTorch tensor that requires a gradient."""

    def __init__(self, array, attached=True):
        self.array, self.attached = np.array(array), attached

    def detach(self):
        return Foreign(self.array, attached=False)

    def __array__(self, dtype=None, copy=None):
        if self.attached:
            raise RuntimeError("cannot be read while it requires a gradient; use detach()")
        assert not copy  # PyTorch's tensors have no such argument, and NumPy warns of that
        return self.array


class OnlyDLPack:
    """An array that is handed on by DLPack and in no other way."""

    def __init__(self, array):
        self.array = np.array(array)

    def __dlpack__(self, **options):
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()


ADAMS = {"foreach": None, "capturable": False, "differentiable": False}
OTHERS = {"foreach": True, "differentiable": False, "fused": None, "param_names": ["a.weight", "a.bias"]}


@every_optimizer
@pytest.mark.parametrize("array", [Foreign, OnlyDLPack])
@pytest.mark.parametrize("old", [False, True])
def test_a_state_as_pytorch_saves_it_is_taken(optimizer, options, array, old):
    """Tensors as values, counts too, and entries of the groups that say how PyTorch computes."""
    params, others = ([leaf(2, 3), leaf()] for _ in range(2))
    stepping, taking = optimizer(params, **options), optimizer(others, **options)
    descend(stepping, params, 2)
    for p, q in zip(params, others, strict=True):
        q.copy_(p)
    state = stepping.state_dict()
    state["state"] = {
        i: {name: array(np.float32(v) if name in NUMBERS else v) for name, v in slots.items()}
        for i, slots in state["state"].items()
    }
    for extra in (ADAMS, OTHERS):
        group = {**state["param_groups"][0], **extra, "lr": array(0.05)}
        if "betas" in group:
            group["betas"] = tuple(array(beta) for beta in group["betas"])
        if old:
            group = {name: v for name, v in group.items() if name not in ("maximize", "decoupled_weight_decay")}
        taking.load_state_dict({**state, "param_groups": [group]})
    stepping.param_groups[0]["lr"] = 0.05
    assert stepping.param_groups[0].keys() == taking.param_groups[0].keys()
    for slots in stepping.state.values():
        slots.update({name: float(np.float32(v)) for name, v in slots.items() if type(v) is float})
    assert_same(snapshot(stepping), snapshot(taking))
    descend(stepping, params, 2)
    descend(taking, others, 2)
    assert_same(snapshot(stepping), snapshot(taking))


def test_a_slot_that_is_not_in_use_may_be_none_as_in_pytorch():
    p = leaf(2)
    stepping = SGD([p])
    stepping.load_state_dict({**stepping.state_dict(), "state": {0: {"momentum_buffer": None}}})
    assert stepping.state_dict()["state"] == {0: {}}
    descend(stepping, [p])


def test_an_array_that_cannot_be_read_is_named():
    class Elsewhere:
        def __array__(self, dtype=None, copy=None):
            raise TypeError("it is on another device")

    p = leaf(2)
    stepping = Adam([p])
    descend(stepping, [p])
    saved = stepping.state_dict()
    saved["state"][0]["exp_avg"] = Elsewhere()
    with pytest.raises(ValueError, match="'exp_avg' in .* is a Elsewhere that NumPy cannot read: it is on another dev"):
        stepping.load_state_dict(saved)


def spoil(path, value):
    """A change to a state_dict: set the entry at `path`, or delete it if `value` is `spoil`."""

    def change(saved):
        *parents, last = path
        for key in parents:
            saved = saved[key]
        if value is spoil:
            del saved[last]
        else:
            saved[last] = value

    return change


GROUP, STATE = ("param_groups", 0), ("state", 0)
FAULTS = [
    (spoil(["state"], spoil), "'state' is missing"),
    (spoil(["param_groups"], spoil), "'param_groups' is missing"),
    (spoil(["state"], []), "'state' is a list; it must be a dict"),
    (spoil(["param_groups"], {}), "'param_groups' is a dict; it must be a list"),
    (lambda saved: saved["param_groups"].pop(), "there are 1 parameter groups; the optimizer has 2"),
    (lambda saved: saved["param_groups"].append({"params": []}), "there are 3 parameter groups; the optimizer has 2"),
    (spoil(GROUP, 3), "group 0 is a int; it must be a dict"),
    (spoil([*GROUP, "params"], spoil), "'params' of group 0 is None; it must be a list of indices"),
    (spoil([*GROUP, "params"], ["a", "b"]), "'params' of group 0 is ['a', 'b']; it must be a list of indices"),
    (spoil([*GROUP, "params"], [0]), "group 0 has 1 parameters; the optimizer's has 2"),
    (spoil([*GROUP, "params"], [0, 1, 5]), "group 0 has 3 parameters; the optimizer's has 2"),
    (spoil([*GROUP, "params"], [0, 0]), "'params' of group 0 is [0, 0], which repeats an index"),
    (spoil(["param_groups", 1, "params"], [1]), "'params' of group 1 is [1], which repeats an index"),
    (spoil([*GROUP, "lr"], spoil), "`lr` of group 0 is missing"),
    (spoil([*GROUP, "lr"], -1.0), "`lr` of group 0 is -1.0; it must be a finite number of at least 0"),
    (spoil([*GROUP, "lr"], float("nan")), "`lr` of group 0 is nan; it must be a finite number of at least 0"),
    (spoil([*GROUP, "lr"], "0.1"), "`lr` of group 0 is '0.1'; it must be a finite number of at least 0"),
    (spoil([*GROUP, "maximize"], 1), "`maximize` of group 0 is 1; it must be True or False"),
    (spoil([*GROUP, "colour"], 1), "`colour` of group 0 is unexpected"),
    (spoil(STATE, 3), "the state of parameter 0 is a int; it must be a dict"),
    (spoil(["state", 9], {}), "the state of parameter 9 is unexpected; no group has this index"),
    (spoil(["state", "0"], {}), "the state of parameter '0' is unexpected; no group has this index"),
    (spoil([*STATE, "noise"], np.ones(2)), "'noise' in the state of parameter 0 is unexpected"),
]


def faults_of_slots(row):
    for name in row.arrays:
        at, which = [*STATE, name], f"'{name}' in the state of parameter 0"
        yield spoil(at, spoil), f"the state of parameter 0 lacks '{name}'"
        yield spoil(at, np.ones(3)), f"{which} is float64 (3,); the parameter is float64 (2,)"
        yield spoil(at, np.ones(2, np.float32)), f"{which} is float32 (2,); the parameter is float64 (2,)"
        yield spoil(at, np.ones(2, object)), f"{which} is object (2,); the parameter is float64 (2,)"
        yield spoil(at, [1.0, 2.0]), f"{which} is a list; it must be an array"
        yield spoil(at, None), f"{which} is a NoneType; it must be an array"
    for name, kind in row.slots.items():
        at, which = [*STATE, name], f"'{name}' in the state of parameter 0"
        if kind in (COUNT, FLOAT):
            yield spoil(at, spoil), f"the state of parameter 0 lacks '{name}'"
            fractions = (-1, 1.5, 10**30) if kind is COUNT else ()
            for value in (*fractions, np.nan, np.inf, "3", None, True, [1, [2]], np.ones(2)):
                yield spoil(at, value), f"{which} is {value!r}; it must be"


def faults_of_options(row):
    for change, message in row.conflicts:
        yield lambda saved, change=change: saved["param_groups"][0].update(change), message.format(" of group 0")


def cases(row, faults):
    return [pytest.param(row.optimizer, row.full, *fault, id=f"{row.name}-{fault[1]}") for fault in faults]


CASES = [case for row in ROWS for case in cases(row, [*FAULTS, *faults_of_slots(row), *faults_of_options(row)])]


@pytest.mark.whole
@pytest.mark.parametrize(("optimizer", "options", "change", "message"), cases(ROWS[0], FAULTS))
def test_each_fault_of_a_state_is_named(optimizer, options, change, message):
    test_a_state_that_does_not_fit_is_refused_whole(optimizer, options, change, message)


@pytest.mark.parametrize(("optimizer", "options", "change", "message"), CASES)
def test_a_state_that_does_not_fit_is_refused_whole(optimizer, options, change, message):
    params = [leaf(2), leaf(3), leaf()]
    stepping = optimizer([{"params": params[:2]}, {"params": params[2:], "lr": 0.01}], **options)
    descend(stepping, params, 2)
    saved = stepping.state_dict()
    descend(stepping, params, 2)
    before = snapshot(stepping)
    arrays = {id(v) for state in stepping.state.values() for v in state.values()}
    change(saved)
    with pytest.raises(ValueError, match=re.escape(message)) as error:
        stepping.load_state_dict(saved)
    assert str(error.value).startswith(f"{optimizer.__name__}.load_state_dict: nothing was loaded:\n- ")
    assert_same(before, snapshot(stepping))
    assert arrays == {id(v) for state in stepping.state.values() for v in state.values()}


def test_all_faults_are_listed_at_once():
    p = leaf(2)
    stepping = Adam([p])
    descend(stepping, [p])
    saved = stepping.state_dict()
    saved["param_groups"][0] |= {"lr": -1, "betas": (0.9, 1.0), "speed": 3}
    saved["state"][0] |= {"exp_avg": np.ones(3), "step": -1}
    del saved["state"][0]["exp_avg_sq"]
    with pytest.raises(ValueError) as error:
        stepping.load_state_dict(saved)
    assert str(error.value).splitlines() == [
        "Adam.load_state_dict: nothing was loaded:",
        "- `lr` of group 0 is -1; it must be a finite number of at least 0",
        "- `betas` of group 0 is (0.9, 1.0); it must be a pair of numbers in [0, 1)",
        "- `speed` of group 0 is unexpected",
        "- the state of parameter 0 lacks 'exp_avg_sq'",
        "- 'step' in the state of parameter 0 is -1; it must be a whole number of steps",
        "- 'exp_avg' in the state of parameter 0 is float64 (3,); the parameter is float64 (2,)",
    ]
    for nonsense in (None, 3, [], {}):
        with pytest.raises(ValueError, match="'param_groups' is missing"):
            stepping.load_state_dict(nonsense)


def test_a_number_like_pytorchs_is_one_for_the_whole_parameter():
    p = leaf(40_000)
    p.grad = tg.ones(40_000, dtype=np.float64)
    stepping = NAdam([p], betas=(0.5, 0.9), momentum_decay=0)
    for steps in (1, 2, 3):
        stepping.step()
        assert stepping.state_dict()["state"][0]["mu_product"] == 0.25**steps


def test_what_others_keep_in_a_group_is_saved_with_it():
    p = leaf(2)
    stepping = SGD([p])
    stepping.param_groups[0]["milestones"] = [3, 5]
    saved = stepping.state_dict()
    stepping.param_groups[0]["milestones"].append(7)
    stepping.load_state_dict(saved)
    saved["param_groups"][0]["milestones"].append(9)
    assert stepping.param_groups[0]["milestones"] == [3, 5]
    del saved["param_groups"][0]["milestones"]
    with pytest.raises(ValueError, match="`milestones` of group 0 is missing"):
        stepping.load_state_dict(saved)


@every_optimizer
def test_loading_a_state_from_before_the_first_step_forgets_later_ones(optimizer, options):
    p, q = leaf(3), leaf(3)
    stepping, fresh = optimizer([p], **options), optimizer([q], **options)
    saved = stepping.state_dict()
    assert saved["state"] == {}
    descend(stepping, [p], 2)
    stepping.load_state_dict(saved)
    q.copy_(p)
    descend(stepping, [p], 2)
    descend(fresh, [q], 2)
    assert_same(snapshot(stepping), snapshot(fresh))


@every_optimizer
def test_copies_and_pickles_are_independent(optimizer, options):
    p = leaf(3)
    stepping = optimizer([p], **options)
    descend(stepping, [p], 2)
    for twin in (copy.deepcopy(stepping), pickle.loads(pickle.dumps(stepping))):
        before = snapshot(stepping)
        assert_same(before, snapshot(twin))
        descend(twin, twin.param_groups[0]["params"], 2)
        assert_same(before, snapshot(stepping))
        other = tg.Tensor(p.numpy(), requires_grad=True)
        again = optimizer([other])
        again.load_state_dict(stepping.state_dict())
        descend(again, [other], 2)
        assert_same(snapshot(twin), snapshot(again))
