"""Saving and loading schedules: the same floats after, in any order with the optimizer's state, and all or nothing."""

import copy
import json
import pickle
import re
import weakref

import pytest

import tinygrad_cnn as tg
from tinygrad_cnn.optim import lr_scheduler as lrs

from .common import assert_same
from .schedule_cases import CASES, STEPS, advance, build, look
from .test_schedules import IDS, every_case, rates, stepper


def start(schedules, run):
    optimizer = stepper(**run)
    return optimizer, [build(lrs, optimizer, *schedule) for schedule in schedules]


def late(schedules, run, saved, states):
    """The optimizer's state is loaded before there are schedules."""
    optimizer = stepper(**run)
    optimizer.load_state_dict(saved)
    built = [build(lrs, optimizer, *schedule) for schedule in schedules]
    for schedule, state in zip(built, states, strict=True):
        schedule.load_state_dict(state)
    return optimizer, built


def optimizer_first(schedules, run, saved, states):
    optimizer, built = start(schedules, run)
    optimizer.load_state_dict(saved)
    for schedule, state in zip(built, states, strict=True):
        schedule.load_state_dict(state)
    return optimizer, built


def optimizer_last(schedules, run, saved, states):
    optimizer, built = start(schedules, run)
    for schedule, state in reversed(list(zip(built, states, strict=True))):
        schedule.load_state_dict(state)
    optimizer.load_state_dict(saved)
    return optimizer, built


def from_elsewhere(schedules, run, saved, states):
    """The optimizer has gone on in the meantime, with the same schedules."""
    optimizer, built = start(schedules, run)
    for step in range(5):
        advance(built, optimizer, step, **run)
    for schedule, state in zip(built, states, strict=True):
        schedule.load_state_dict(state)
    optimizer.load_state_dict(saved)
    return optimizer, built


LOADS = [late, optimizer_first, optimizer_last, from_elsewhere]
PAUSES = [0, 4, 9, 15]


@pytest.mark.parametrize("turn", [0, 1])
@pytest.mark.parametrize("case", range(len(CASES)), ids=IDS)
def test_a_resumed_schedule_writes_the_same_floats(case, turn):
    schedules, run = CASES[case]
    load, pause = LOADS[(case + turn) % 4], PAUSES[(case // 4 + 2 * turn) % 4]
    optimizer, built = start(schedules, run)
    for step in range(pause):
        advance(built, optimizer, step, **run)
    states = [json.loads(json.dumps(schedule.state_dict())) for schedule in built]
    again, resumed = load(schedules, run, optimizer.state_dict(), states)
    for step in range(pause, STEPS):
        assert look(optimizer) == look(again)
        assert [s.get_last_lr() for s in built] == [s.get_last_lr() for s in resumed]
        advance(built, optimizer, step, **run)
        advance(resumed, again, step, **run)
    assert_same(optimizer.state_dict(), again.state_dict())
    assert [s.state_dict() for s in built] == [s.state_dict() for s in resumed]


def test_options_come_with_the_state():
    first, second = stepper(), stepper()
    saved, other = lrs.StepLR(first, 3, gamma=0.5), lrs.StepLR(second, 7)
    saved.step()
    other.load_state_dict(saved.state_dict())
    assert rates(saved, 9) == rates(other, 9)
    assert other.step_size == 3


SIMPLE = [(s, run) for s, run in CASES if len(s) == 1 and not run and "schedulers" not in s[0][1]]


@pytest.mark.parametrize(("name", "options"), [s[0] for s, _ in SIMPLE if s[0][0] != "ReduceLROnPlateau"])
@pytest.mark.parametrize("steps", [1, 6])
def test_going_on_by_last_epoch_alone(name, options, steps):
    optimizer, (schedule,) = start([[name, options]], {})
    for _ in range(steps):
        schedule.step()
    again = stepper()
    with pytest.raises(ValueError, match=f"{name}: `last_epoch` is {steps - 1} but group 0 has no 'initial_lr'"):
        build(lrs, again, name, {**options, "last_epoch": steps - 1})
    again.load_state_dict(optimizer.state_dict())
    resumed = build(lrs, again, name, {**options, "last_epoch": steps - 1})
    assert resumed.last_epoch == steps
    for _ in range(5):
        assert look(optimizer) == look(again)
        schedule.step()
        resumed.step()


def test_the_function_of_a_lambda_is_not_saved_and_stays():
    first, second = stepper(), stepper()
    saved, other = lrs.LambdaLR(first, lambda n: 1 / (1 + n)), lrs.LambdaLR(second, [lambda n: 1.0, lambda n: 2.0])
    saved.step()
    other.load_state_dict(json.loads(json.dumps(saved.state_dict())))
    assert look(second) == look(first)
    other.step()
    assert other.get_last_lr() == [0.5, 0.16]


def test_sequential_goes_on_by_last_epoch_through_its_parts():
    schedules = [
        ["SequentialLR", {"schedulers": [["LinearLR", {}], ["ExponentialLR", {"gamma": 0.5}]], "milestones": [4]}]
    ]
    optimizer, (schedule,) = start(schedules, {})
    for _ in range(6):
        schedule.step()
    again = stepper()
    again.load_state_dict(optimizer.state_dict())
    resumed = build(lrs, again, "SequentialLR", {**schedules[0][1], "last_epoch": 5})
    assert look(again) == look(optimizer)
    assert resumed.state_dict() == schedule.state_dict()


@every_case
@pytest.mark.parametrize("travel", [copy.deepcopy, lambda pair: pickle.loads(pickle.dumps(pair))])
def test_copies_and_pickles_go_their_own_way(schedules, run, travel):
    optimizer, built = start(schedules, run)
    advance(built, optimizer, 0, **run)
    again, twins = travel((optimizer, built))
    before = look(optimizer)
    advance(twins, again, 1, **run)
    assert look(optimizer) == before
    advance(built, optimizer, 1, **run)
    assert look(optimizer) == look(again)


@pytest.mark.parametrize("travel", [copy.deepcopy, lambda pair: pickle.loads(pickle.dumps(pair))])
def test_a_schedule_that_joins_copies_of_others_multiplies_past_their_zero(travel):
    optimizer = stepper()
    optimizer, pause = travel((optimizer, lrs.ConstantLR(optimizer, factor=0.0, total_iters=2)))
    decay = lrs.ExponentialLR(optimizer, 0.5)
    for schedule in (decay, pause, decay, pause):
        assert [group["lr"] for group in optimizer.param_groups] == [0.0, 0.0]
        schedule.step()
    assert [group["lr"] for group in optimizer.param_groups] == [0.5 / 4, 0.08 / 4]


def test_an_optimizer_with_a_schedule_is_freed_without_the_collector():
    optimizer = stepper()
    schedule = lrs.LinearLR(optimizer, 1.0, 0.0, total_iters=1)
    schedule.step()
    alive = weakref.ref(optimizer)
    del optimizer, schedule
    assert alive() is None


@every_case
def test_saved_state_is_a_copy(schedules, run):
    _, built = start(schedules, run)
    before = copy.deepcopy([s.state_dict() for s in built])
    for schedule in built:
        for value in schedule.state_dict().values():
            if isinstance(value, list):
                value.clear()
        schedule.get_last_lr().clear()
    assert [s.state_dict() for s in built] == before


def test_an_optimizer_without_a_schedule_takes_a_state_with_one_and_the_other_way_round():
    optimizer, _ = start([["LinearLR", {}]], {})
    bare = stepper()
    kept = bare.state_dict()
    bare.load_state_dict(optimizer.state_dict())
    assert_same(bare.state_dict(), optimizer.state_dict())
    optimizer.load_state_dict(kept)
    assert [group["lr"] for group in optimizer.param_groups] == [0.5, 0.08]
    assert [group["initial_lr"] for group in optimizer.param_groups] == [0.5, 0.08]
    spoilt = bare.state_dict()
    spoilt["param_groups"][1]["initial_lr"] = -1.0
    with pytest.raises(ValueError, match="`initial_lr` of group 1 is -1.0; it must be a finite number of at least 0"):
        bare.load_state_dict(spoilt)


STEP = ["StepLR", {"step_size": 3}]
CYCLE = ["OneCycleLR", {"max_lr": 1.0, "total_steps": 30}]
CHAIN = ["ChainedScheduler", {"schedulers": [STEP, ["ExponentialLR", {"gamma": 0.9}]]}]
FAULTS = [
    (STEP, lambda s: 3, "the state of StepLR is a int; it must be a dict"),
    (STEP, lambda s: {k: v for k, v in s.items() if k != "gamma"}, "`gamma` of StepLR is missing"),
    (STEP, lambda s: {k: v for k, v in s.items() if k != "lr"}, "`lr` of StepLR is missing"),
    (STEP, lambda s: s | {"colour": 1}, "`colour` of StepLR is unexpected"),
    (STEP, lambda s: s | {"step_size": 0}, "`step_size` of StepLR is 0; it must be a whole number of at least 1"),
    (STEP, lambda s: s | {"last_epoch": -1}, "`last_epoch` of StepLR is -1; it must be a whole number of at least 0"),
    (STEP, lambda s: s | {"base_lrs": [0.1]}, "`base_lrs` of StepLR is [0.1]; it must be one value, or 2"),
    (STEP, lambda s: s | {"lr": [0.1, "a"]}, "`lr` of StepLR is [0.1, 'a']; it must be a finite number"),
    (STEP, lambda s: s | {"zeroed": [None, [0.1]]}, "`zeroed` of StepLR is [None, [0.1]]; it must be None, or a"),
    (STEP, lambda s: s | {"zeroed": [None, [0.1, 0]]}, "`zeroed` of StepLR is [None, [0.1, 0]]; it must be None, or a"),
    (CYCLE, lambda s: s | {"zeroed": [None, [0.1, 1]]}, "`zeroed` of OneCycleLR is unexpected"),
    (CYCLE, lambda s: s | {"momentum": [0.9, 1.0]}, "`momentum` of OneCycleLR is [0.9, 1.0]; it must be a number in"),
    (CYCLE, lambda s: {k: v for k, v in s.items() if k != "momentum"}, "`momentum` of OneCycleLR is missing"),
    (CYCLE, lambda s: [], "the state of OneCycleLR is a list; it must be a dict"),
    (CHAIN, lambda s: [], "the state of ChainedScheduler is a list; it must be a dict"),
    (CHAIN, lambda s: s | {"_schedulers": {}}, "`_schedulers` of ChainedScheduler is {}; it must be a list"),
    (CHAIN, lambda s: s | {"_schedulers": s["_schedulers"][:1]}, "ChainedScheduler has 2 schedulers; there are 1"),
    (CHAIN, lambda s: s | {"_schedulers": s["_schedulers"][::-1]}, "scheduler 0: `step_size` of StepLR is missing"),
    (
        ["ReduceLROnPlateau", {}],
        lambda s: s | {"best": float("nan")},
        "`best` of ReduceLROnPlateau is nan; it must be a",
    ),
]


@pytest.mark.parametrize(("schedule", "change", "message"), FAULTS)
def test_a_state_that_does_not_fit_is_refused_whole(schedule, change, message):
    optimizer, (built,) = start([schedule], {})
    advance([built], optimizer, 0)
    saved = change(built.state_dict())
    advance([built], optimizer, 1)
    before = look(optimizer), built.state_dict()
    with pytest.raises(ValueError, match=re.escape(message)) as error:
        built.load_state_dict(saved)
    assert str(error.value).startswith(f"{schedule[0]}.load_state_dict: nothing was loaded:\n- ")
    assert before == (look(optimizer), built.state_dict())


def test_a_momentum_to_cycle_cannot_be_loaded_into_an_optimizer_without():
    _, (built,) = start([CYCLE], {})
    other = tg.optim.Adagrad(
        [{"params": [tg.ones(1, requires_grad=True)]}, {"params": [tg.ones(1, requires_grad=True)]}]
    )
    schedule = lrs.OneCycleLR(other, 1.0, 30, cycle_momentum=False)
    with pytest.raises(ValueError, match="`cycle_momentum` is True but Adagrad has neither momentum nor betas"):
        schedule.load_state_dict(built.state_dict())


def test_repr_shows_options():
    assert repr(lrs.StepLR(stepper(), 3)) == "StepLR(step_size=3, gamma=0.1, last_epoch=0)"
