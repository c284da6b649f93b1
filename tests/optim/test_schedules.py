"""Schedules against PyTorch's recorded rates and their formulas; how they combine, and what they refuse."""

import math
import re
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import tinygrad_cnn as tg
from tinygrad_cnn.optim import lr_scheduler as lrs
from tinygrad_cnn.optim.hyperparameters import share

from .common import leaf
from .schedule_cases import CASES, LRS, STEPS, advance, build, cycles, look

with np.load(Path(__file__).with_name("schedules.npz")) as archive:
    RECORDED, CYCLES = archive["rates"], archive["cycles"]
IDS = [" ".join(f"{name} {options}" for name, options in [*s, *([("", run)] if run else [])]) for s, run in CASES]
every_case = pytest.mark.parametrize(("schedules", "run"), CASES, ids=IDS)


def stepper(optimizer="SGD", **_):
    options = {"momentum": 0.9} if optimizer == "SGD" else {}
    return getattr(tg.optim, optimizer)([{"params": [leaf(2)], "lr": lr} for lr in LRS], **options)


def rates(schedule, steps):
    """The first group's rate at the start and after each step."""
    seen = schedule.get_last_lr()[:1]
    for _ in range(steps):
        schedule.step()
        seen += schedule.get_last_lr()[:1]
    return seen


# Values


@pytest.mark.whole
@pytest.mark.parametrize(
    ("schedules", "run", "recorded"), [(*c, r) for c, r in zip(CASES, RECORDED, strict=True)], ids=IDS
)
def test_every_rate_is_pytorchs(schedules, run, recorded):
    optimizer = stepper(**run)
    built = [build(lrs, optimizer, *schedule) for schedule in schedules]
    rows = [look(optimizer)]
    for step in range(STEPS):
        advance(built, optimizer, step, **run)
        rows.append(look(optimizer))
        if run.get("edited") != step:
            assert built[-1].get_last_lr() == [group["lr"] for group in optimizer.param_groups]
    # PyTorch multiplies step by step, so its rounding errors are relative to the largest rate on the way.
    np.testing.assert_allclose(rows, recorded, rtol=1e-12, atol=1e-14)


def test_drawn_cycles_are_pytorchs():
    rows = []
    for options in cycles():
        optimizer = tg.optim.SGD([leaf(1)], lr=LRS[0], momentum=0.9)
        schedule = lrs.OneCycleLR(optimizer, **options)
        rows.append(look(optimizer))
        for _ in range(options["total_steps"] - 1):
            schedule.step()
            rows.append(look(optimizer))
    np.testing.assert_allclose(rows, CYCLES, rtol=1e-12, atol=1e-14)


counts = st.integers(1, 50)
factors = st.floats(0.01, 1)


@given(lr=st.floats(1e-6, 10), n=counts, size=counts, gamma=factors, factor=factors, share=st.floats(0, 0.9))
def test_rates_follow_their_formulas(lr, n, size, gamma, factor, share):
    floor = share * lr
    formulas = {
        lrs.StepLR: ((size, gamma), lr * gamma ** (n // size)),
        lrs.MultiStepLR: (([size, 2 * size], gamma), lr * gamma ** ((n >= size) + (n >= 2 * size))),
        lrs.ConstantLR: ((factor, size), lr * (factor if n < size else 1)),
        lrs.LambdaLR: ((lambda m: gamma * m + factor,), lr * (gamma * n + factor)),
        lrs.LinearLR: ((factor, share, size), lr * (factor + (share - factor) * min(1, n / size))),
        lrs.ExponentialLR: ((gamma,), lr * gamma**n),
        lrs.MultiplicativeLR: ((lambda m: gamma,), lr * gamma**n),
        lrs.PolynomialLR: ((size, 2 * factor), lr * (1 - min(1, n / size)) ** (2 * factor)),
        lrs.CosineAnnealingLR: ((size, floor), floor + (lr - floor) * math.cos(math.pi * n / size / 2) ** 2),
        lrs.CosineAnnealingWarmRestarts: (
            (size, 1, floor),
            floor + (lr - floor) * math.cos(math.pi * (n % size) / size / 2) ** 2,
        ),
    }
    for schedule, (arguments, expected) in formulas.items():
        optimizer = tg.optim.SGD([leaf(2)], lr=lr)
        assert rates(schedule(optimizer, *arguments), n)[-1] == pytest.approx(expected, rel=1e-12, abs=1e-14 * lr)
        # If nothing else changes the rate, no rounding errors add up.
        assert schedule(tg.optim.SGD([leaf(2)], lr=lr), *arguments).last_epoch == 0


@given(st.lists(st.sampled_from(range(1, 30)), min_size=1, max_size=3), st.integers(1, 3))
def test_a_long_way_ends_where_it_must(lengths, mult):
    for steps in lengths:
        optimizer = tg.optim.SGD([leaf(2)], lr=0.3)
        assert rates(lrs.CosineAnnealingLR(optimizer, steps, 0.125), steps)[-1] == 0.125
        optimizer = tg.optim.SGD([leaf(2)], lr=0.3)
        seen = rates(lrs.CosineAnnealingWarmRestarts(optimizer, steps, mult), steps * (1 + mult))
        assert [n for n, lr in enumerate(seen) if lr == 0.3] == [0, steps, steps * (1 + mult)]


def test_one_cycle_ends_at_its_lowest_and_refuses_to_go_on():
    optimizer = stepper()
    schedule = lrs.OneCycleLR(optimizer, 1.0, total_steps=4, anneal_strategy="linear")
    for _ in range(3):
        schedule.step()
    assert schedule.get_last_lr() == pytest.approx([1 / 25 / 1e4] * 2)
    schedule.step()  # the loop's last call comes after the optimizer's last step
    assert schedule.get_last_lr() == pytest.approx([1 / 25 / 1e4] * 2)
    before = look(optimizer), schedule.state_dict()
    with pytest.raises(ValueError, match="OneCycleLR: step 5 is beyond `total_steps` 4; make a longer"):
        schedule.step()
    assert before == (look(optimizer), schedule.state_dict())


@pytest.mark.parametrize("total", [1, 2, 3, 10])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.2, 1 / 3, 0.5, 1.0])
@pytest.mark.parametrize("three", [False, True])
def test_one_cycle_stays_between_its_ends_even_where_a_phase_has_no_length(total, share, three):
    optimizer = stepper()
    seen = rates(lrs.OneCycleLR(optimizer, 1.0, total, pct_start=share, three_phase=three), total)
    assert all(1 / 25 / 1e4 <= lr <= 1 + 1e-15 for lr in seen)


# Combinations


@given(gamma=factors, size=st.integers(1, 9), steps=st.integers(0, 20), flip=st.booleans())
def test_factors_multiply_in_any_order_and_with_the_users(gamma, size, steps, flip):
    optimizer = tg.optim.SGD([leaf(2)], lr=0.5)
    parts = [(lrs.ExponentialLR, gamma), (lrs.StepLR, size)]
    built = [schedule(optimizer, argument) for schedule, argument in (reversed(parts) if flip else parts)]
    chained = lrs.ChainedScheduler(built)
    assert rates(chained, steps)[-1] == pytest.approx(0.5 * gamma**steps * 0.1 ** (steps // size))
    optimizer.param_groups[0]["lr"] *= 3
    assert rates(chained, 2)[-1] == pytest.approx(3 * 0.5 * gamma ** (steps + 2) * 0.1 ** ((steps + 2) // size))


CURVES = [
    lambda o, a: lrs.CosineAnnealingLR(o, a),
    lambda o, a: lrs.LinearLR(o, 1.0, 0.0, a),
    lambda o, a: lrs.ConstantLR(o, 0.0, a),
    lambda o, a: lrs.MultiStepLR(o, [a], 0.0),
    lambda o, a: lrs.ExponentialLR(o, 1 - a / 10),
    lambda o, a: lrs.StepLR(o, a, 0.5),
]


@given(
    curves=st.lists(st.tuples(st.sampled_from(CURVES), st.integers(1, 5)), min_size=2, max_size=4),
    course=st.lists(st.integers(0, 3) | st.sampled_from(["by hand", "saved", "saved, optimizer last"]), max_size=40),
)
@example([(CURVES[0], 2), (CURVES[4], 1)], [0, 1] * 8)  # a cosine beyond its lowest beside a decay
@example([(CURVES[1], 2), (CURVES[0], 2)], [0, 1] * 3 + ["saved, optimizer last"] + [1, 0] * 3)  # two zeros at once
def test_schedules_of_one_optimizer_multiply_also_past_a_rate_of_0(curves, course):
    def start():
        optimizer = stepper()
        return optimizer, [make(optimizer, argument) for make, argument in curves]

    optimizer, built = start()
    hand = 1.0
    for event in course:
        if event == "by hand" and optimizer.param_groups[0]["lr"]:
            hand *= 0.75
            for group in optimizer.param_groups:
                group["lr"] *= 0.75
        elif isinstance(event, int):
            built[event % len(built)].step()
        elif event != "by hand":
            states = [schedule.state_dict() for schedule in built]
            kept = optimizer.state_dict()
            optimizer, built = start()
            for schedule, state in zip(built, states, strict=True):
                schedule.load_state_dict(state)
            if event == "saved, optimizer last":
                optimizer.load_state_dict(kept)
        factor = math.prod(schedule.at(schedule.last_epoch) for schedule in built)
        expected = [lr * hand * factor for lr in LRS]
        assert [group["lr"] for group in optimizer.param_groups] == pytest.approx(expected, rel=1e-9, abs=0)


def test_a_schedule_at_its_floor_keeps_what_others_do_meanwhile():
    optimizer = tg.optim.SGD([leaf(2)], lr=0.5)
    cosine = lrs.CosineAnnealingLR(optimizer, 1, eta_min=0.25)
    decay = lrs.ExponentialLR(optimizer, 0.5)
    cosine.step()  # at its floor
    decay.step()
    cosine.step()  # back at the top, with the excess scaled
    assert optimizer.param_groups[0]["lr"] == 0.25 + (0.5 - 0.25) * 0.5


def test_a_part_begins_at_the_initial_rate_whatever_came_before():
    optimizer = tg.optim.SGD([leaf(2)], lr=0.5)
    inner = lrs.ChainedScheduler([lrs.ConstantLR(optimizer, 0.5, 2), lrs.ExponentialLR(optimizer, 0.5)])
    warm_up = lrs.LinearLR(optimizer, 0.5, total_iters=2)
    schedule = lrs.SequentialLR(optimizer, [warm_up, inner], [2])
    assert rates(schedule, 5) == [0.25, 0.375, 0.25, 0.125, 0.125, 0.0625]
    assert [group["initial_lr"] for group in optimizer.param_groups] == [0.5]


def test_chains_in_chains_multiply():
    optimizer = tg.optim.SGD([leaf(2)], lr=0.5)
    inner = lrs.ChainedScheduler([lrs.ConstantLR(optimizer, 0.5, 2), lrs.ExponentialLR(optimizer, 0.5)])
    schedule = lrs.ChainedScheduler([lrs.ConstantLR(optimizer, 0.25, 1), inner])
    assert rates(schedule, 3) == [0.0625, 0.125, 0.125, 0.0625]


def test_a_chain_leaves_other_schedules_and_the_progress_of_its_parts_alone():
    optimizer = tg.optim.SGD([leaf(2)], lr=0.5)
    warm_up = lrs.ConstantLR(optimizer, 0.5, total_iters=2)
    decay = lrs.ExponentialLR(optimizer, 0.5)
    decay.step()
    chain = lrs.ChainedScheduler([decay])
    assert chain.get_last_lr() == [0.125]
    chain.step()
    assert chain.get_last_lr() == [0.0625]
    for _ in range(2):
        warm_up.step()
    assert optimizer.param_groups[0]["lr"] == 0.125


def test_a_sequence_whose_part_has_ended_stays_where_it_is():
    optimizer = stepper()
    cycle = lrs.OneCycleLR(optimizer, 1.0, 2)
    schedule = lrs.SequentialLR(optimizer, [lrs.LinearLR(optimizer), cycle], [1])
    for _ in range(3):
        schedule.step()
    before = look(optimizer), schedule.state_dict()
    with pytest.raises(ValueError, match="OneCycleLR: step 3 is beyond `total_steps`"):
        schedule.step()
    assert before == (look(optimizer), schedule.state_dict())


def test_a_rate_of_zero_can_be_raised_by_hand():
    optimizer = tg.optim.SGD([leaf(2)], lr=0.5)
    schedule = lrs.LinearLR(optimizer, 1.0, 0.0, total_iters=2)
    rates(schedule, 3)
    optimizer.param_groups[0]["lr"] = 0.2
    assert rates(schedule, 2) == [0.0, 0.2, 0.2]


def test_the_initial_rate_is_in_the_group_for_further_schedules():
    optimizer = tg.optim.SGD([{"params": [leaf(2)], "lr": 0.5}, {"params": [leaf(2)], "initial_lr": 0.75}], lr=0.1)
    schedule = lrs.LinearLR(optimizer, start_factor=0.5)
    assert [group["initial_lr"] for group in optimizer.param_groups] == [0.5, 0.75] == schedule.base_lrs
    assert schedule.get_last_lr() == pytest.approx([0.25, 0.05])
    assert lrs.CosineAnnealingWarmRestarts(optimizer, 3).get_last_lr() == [0.5, 0.75]


# Errors

COUNT, SHARE = "it must be a whole number of at least 1", "it must be a number in [0, 1]"
LEAST = "it must be a finite number of at least 0"
BAD = [
    *((lrs.StepLR, {"step_size": v}, e, COUNT) for v, e in [(0, ValueError), (2.0, TypeError), (True, TypeError)]),
    (lrs.StepLR, {"step_size": 2, "gamma": -0.1}, ValueError, LEAST),
    (lrs.StepLR, {"step_size": 2, "gamma": "a"}, TypeError, LEAST),
    *((lrs.MultiStepLR, {"milestones": v}, e, "it must be a list of whole numbers of steps")
      for v, e in [(3, TypeError), ("34", TypeError), ([1.5], TypeError), ([-1], ValueError)]),
    *((lrs.ConstantLR, {"factor": v}, ValueError, SHARE) for v in (-0.1, 1.5, math.nan)),
    (lrs.ConstantLR, {"total_iters": -1}, ValueError, "it must be a whole number of at least 0"),
    *((lrs.LambdaLR, {"lr_lambda": v}, TypeError, "it must be a function of the number of steps, or a list with one")
      for v in (0.5, [math.exp, 0.5])),
    (lrs.LambdaLR, {"lr_lambda": [math.exp]}, ValueError, "it must be one value, or 2: one for each parameter group"),
    *((lrs.LinearLR, {"start_factor": v}, ValueError, "a number above 0 and at most 1") for v in (0, 1.1)),
    (lrs.LinearLR, {"end_factor": 2}, ValueError, SHARE),
    (lrs.LinearLR, {"total_iters": 0}, ValueError, COUNT),
    (lrs.ExponentialLR, {"gamma": math.inf}, ValueError, LEAST),
    (lrs.CosineAnnealingLR, {"T_max": 0}, ValueError, COUNT),
    (lrs.CosineAnnealingLR, {"T_max": 2, "eta_min": -1}, ValueError, LEAST),
    (lrs.CosineAnnealingWarmRestarts, {"T_0": 0}, ValueError, COUNT),
    (lrs.CosineAnnealingWarmRestarts, {"T_0": 2, "T_mult": 0}, ValueError, COUNT),
    (lrs.OneCycleLR, {"max_lr": -1, "total_steps": 9}, ValueError, LEAST),
    (lrs.OneCycleLR, {"max_lr": [1, 2, 3], "total_steps": 9}, ValueError, "it must be one value, or 2: one for each"),
    (lrs.OneCycleLR, {"max_lr": 1, "total_steps": 0}, ValueError, COUNT),
    (lrs.OneCycleLR, {"max_lr": 1, "epochs": 0, "steps_per_epoch": 3}, ValueError, COUNT),
    (lrs.OneCycleLR, {"max_lr": 1, "epochs": 2, "steps_per_epoch": "3"}, TypeError, COUNT),
    (lrs.OneCycleLR, {"max_lr": 1, "epochs": 2}, ValueError, "`total_steps` is missing; give it, or `epochs` and"),
    (lrs.OneCycleLR, {"max_lr": 1, "total_steps": 9, "pct_start": 1.5}, ValueError, SHARE),
    (lrs.OneCycleLR, {"max_lr": 1, "total_steps": 9, "anneal_strategy": "step"}, ValueError, "must be 'cos' or 'linear'"),
    (lrs.OneCycleLR, {"max_lr": 1, "total_steps": 9, "max_momentum": 1}, ValueError, "it must be a number in [0, 1)"),
    (lrs.OneCycleLR, {"max_lr": 1, "total_steps": 9, "div_factor": 0}, ValueError, "it must be a finite number above 0"),
    (lrs.OneCycleLR, {"max_lr": 1, "total_steps": 9, "three_phase": 1}, TypeError, "it must be True or False"),
    (lrs.ReduceLROnPlateau, {"mode": "low"}, ValueError, "it must be 'min' or 'max'"),
    (lrs.ReduceLROnPlateau, {"threshold_mode": "sum"}, ValueError, "it must be 'rel' or 'abs'"),
    (lrs.ReduceLROnPlateau, {"factor": 1.0}, ValueError, "it must be a number in [0, 1)"),
    (lrs.ReduceLROnPlateau, {"patience": -1}, ValueError, "it must be a whole number of at least 0"),
    (lrs.ReduceLROnPlateau, {"min_lr": [0.1]}, ValueError, "it must be one value, or 2: one for each"),
    *((s, {**o, "last_epoch": v}, e, "it must be a whole number of at least -1")
      for s, o in [(lrs.StepLR, {"step_size": 2}), (lrs.OneCycleLR, {"max_lr": 1, "total_steps": 9})]
      for v, e in [(-2, ValueError), (0.5, TypeError)]),
]  # fmt: skip


@pytest.mark.parametrize(("schedule", "options", "error", "message"), BAD)
def test_options_that_cannot_be_are_refused_and_no_rate_is_written(schedule, options, error, message):
    optimizer = stepper()
    before = optimizer.state_dict()
    with pytest.raises(error, match=re.escape(message)) as caught:
        schedule(optimizer, **options)
    named = [f"{schedule.__name__}: `{name}` is {value!r}; " for name, value in options.items()]
    assert str(caught.value).startswith((*named, "OneCycleLR: `total_steps` is missing; "))
    assert optimizer.state_dict() == before


def test_one_cycle_needs_a_momentum_to_cycle():
    optimizer = tg.optim.Adagrad([leaf(2)])
    with pytest.raises(
        ValueError, match="OneCycleLR: `cycle_momentum` is True but Adagrad has neither momentum nor betas"
    ):
        lrs.OneCycleLR(optimizer, 1.0, 9)
    assert optimizer.param_groups[0]["lr"] == 0.01
    assert len(rates(lrs.OneCycleLR(optimizer, 1.0, 9, cycle_momentum=False), 9)) == 10


def test_a_constant_of_no_steps_changes_nothing():
    assert rates(lrs.ConstantLR(stepper(), 0.5, total_iters=0), 3) == [0.5] * 4


@pytest.mark.parametrize(("wrong", "error"), [(-0.5, ValueError), (math.nan, ValueError), (None, TypeError)])
def test_a_function_that_gives_no_factor_is_named_before_any_rate_is_written(wrong, error):
    optimizer = stepper()
    before = optimizer.state_dict()
    rule = "it must be a finite number of at least 0"
    for groups, which in [(lambda n: wrong, 0), ([lambda n: 0.5, lambda n: wrong], 1)]:
        with pytest.raises(error, match=f"LambdaLR: `lr_lambda` gave .* after 0 steps for group {which}; {rule}"):
            lrs.LambdaLR(optimizer, groups)
    assert optimizer.state_dict() == before
    schedule = lrs.LambdaLR(optimizer, [lambda n: 0.5, lambda n: wrong if n == 2 else 1.0])
    schedule.step()
    seen = look(optimizer), schedule.state_dict()
    with pytest.raises(error, match=f"LambdaLR: `lr_lambda` gave .* after 2 steps for group 1; {rule}"):
        schedule.step()
    assert seen == (look(optimizer), schedule.state_dict())


def test_a_subclass_may_have_checks_of_its_own():
    class Falling(lrs.ExponentialLR):
        options: ClassVar = {"gamma": share}

    assert Falling(stepper(), 0.5).gamma == 0.5
    with pytest.raises(ValueError, match=re.escape("Falling: `gamma` is 1.5; it must be a number in [0, 1]")):
        Falling(stepper(), 1.5)


def test_what_is_no_optimizer_is_refused():
    for wrong in (None, [leaf(2)]):
        with pytest.raises(
            TypeError, match=f"StepLR: `optimizer` is a {type(wrong).__name__}; it must be an Optimizer"
        ):
            lrs.StepLR(wrong, 3)


def test_what_cannot_be_combined_is_refused():
    optimizer, other = stepper(), stepper()
    step, decay = lrs.StepLR(optimizer, 3), lrs.ExponentialLR(optimizer, 0.5)
    for make in (
        lambda parts: lrs.ChainedScheduler(parts, optimizer),
        lambda parts: lrs.SequentialLR(optimizer, parts, []),
    ):
        with pytest.raises(ValueError, match="scheduler 0 is a StepLR of another optimizer; all must have"):
            make([lrs.StepLR(other, 3)])
    for make in (lrs.ChainedScheduler, lambda parts: lrs.SequentialLR(optimizer, parts, [3][: len(parts) - 1])):
        for parts, error, message in [
            ([], ValueError, "`schedulers` is empty; give at least one"),
            (
                [step, lrs.ReduceLROnPlateau(optimizer)],
                ValueError,
                "scheduler 1 is a ReduceLROnPlateau, whose step needs",
            ),
            ([step, lrs.StepLR(other, 3)], ValueError, "scheduler 1 is a StepLR of another optimizer; all must have"),
            ([step, step], ValueError, "scheduler 1 is a StepLR that was given before; each must be its own"),
        ]:
            with pytest.raises(error, match=message):
                make(parts)
        with pytest.raises((TypeError, AttributeError)):
            make([step, 0.1])
    for milestones in ([], [3, 4], [-1], [2.5], ["3"]):
        with pytest.raises(
            (TypeError, ValueError), match="SequentialLR: `milestones` is .*; it must be 1 increasing numbers"
        ):
            lrs.SequentialLR(optimizer, [step, decay], milestones)
    with pytest.raises(ValueError, match="it must be 2 increasing numbers of steps"):
        lrs.SequentialLR(optimizer, [step, decay, lrs.StepLR(optimizer, 2)], [3, 3])


@every_case
def test_a_group_that_came_later_is_refused(schedules, run):
    optimizer = stepper(**run)
    built = [build(lrs, optimizer, *schedule) for schedule in schedules]
    optimizer.add_param_group({"params": [leaf(3)]})
    before = look(optimizer)
    with pytest.raises(ValueError, match=r"the optimizer has 3 parameter groups but had 2 when the schedule was made"):
        advance(built, optimizer, 0, **run)
    assert before == look(optimizer)


def test_steps_name_a_bad_argument():
    optimizer = stepper()
    restarts, plateau = lrs.CosineAnnealingWarmRestarts(optimizer, 3), lrs.ReduceLROnPlateau(optimizer)
    for wrong, error in [(-1, ValueError), (math.nan, ValueError), ("1", TypeError)]:
        with pytest.raises(error, match="CosineAnnealingWarmRestarts.step: `epoch` is .*; it must be a finite number"):
            restarts.step(wrong)
    for wrong in ("low", "3.0", b"3", None, [1, 2], tg.ones(2), 10**400):
        with pytest.raises(
            (TypeError, ValueError), match="ReduceLROnPlateau.step: `metrics` is .*; it must be one number"
        ):
            plateau.step(wrong)
    assert restarts.last_epoch == plateau.last_epoch == 0


def test_a_scale_that_leaves_the_range_is_refused():
    def cyclic(optimizer, scale_fn, **options):
        return lrs.CyclicLR(optimizer, 0.1, 0.5, step_size_up=2, scale_fn=scale_fn, **options)

    for wrong, error, message in [
        (3, TypeError, "`scale_fn` is 3; it must be a function"),
        (lambda c: "much", TypeError, "`scale_fn` gave 'much' after 0 steps; it must be a number"),
    ]:
        optimizer = stepper()
        before = look(optimizer)
        with pytest.raises(error, match=message):
            cyclic(optimizer, wrong)
        assert look(optimizer) == before
    for scale, message in [(-9.0, r"makes the rate of group 0 -1.7"), (40.0, r"makes the momentum of group 0 -1.0")]:
        optimizer = stepper()
        schedule = cyclic(optimizer, lambda c, scale=scale: scale)
        before = look(optimizer), schedule.state_dict()
        with pytest.raises(ValueError, match=message):
            schedule.step()
        assert before == (look(optimizer), schedule.state_dict())
    schedule = cyclic(stepper(), lambda c: 40.0, cycle_momentum=False)
    schedule.step()
    assert schedule.get_last_lr() == [8.1, 8.1]
    with pytest.raises(ValueError, match="`cycle_momentum` is True but Adagrad has neither"):
        lrs.CyclicLR(tg.optim.Adagrad([leaf(2)]), 0.1, 0.5)


def test_factors_of_a_function_stay_while_another_factor_is_zero():
    optimizer = tg.optim.SGD([leaf(2)], lr=0.5)
    parts = [lrs.ConstantLR(optimizer, factor=0.0, total_iters=3), lrs.MultiplicativeLR(optimizer, lambda n: 0.5)]
    assert rates(lrs.ChainedScheduler(parts), 4) == [0.0, 0.0, 0.0, 0.0625, 0.03125]


def test_a_fraction_of_an_epoch_counts_when_it_is_over():
    schedule = lrs.CosineAnnealingWarmRestarts(stepper(), 3)
    schedule.step(2.875)
    assert schedule.last_epoch == 2
    schedule.step()
    assert (schedule.last_epoch, schedule.get_last_lr()[0]) == (3, 0.25 * (1 + math.cos(math.pi * 0.875 / 3)))


def test_a_measure_may_be_a_tensor_and_not_a_number_is_bad():
    optimizer = stepper()
    schedule = lrs.ReduceLROnPlateau(optimizer, patience=1, factor=0.5)
    for loss in (tg.Tensor(3.0), np.float32(2.0), math.nan, math.nan):
        schedule.step(loss)
    assert (schedule.best, schedule.get_last_lr()) == (2.0, [0.25, 0.04])


@every_case
def test_the_optimizer_takes_what_the_schedule_writes(schedules, run):
    optimizer = stepper(**run)
    params = [p for group in optimizer.param_groups for p in group["params"]]
    built = [build(lrs, optimizer, *schedule) for schedule in schedules]
    for step in range(3):
        before = [p.numpy().copy() for p in params]
        for p in params:
            p.grad = tg.ones(2, dtype=np.float64)
        optimizer.step()
        assert all(not np.array_equal(p.numpy(), b) for p, b in zip(params, before, strict=True))
        advance(built, optimizer, step, **run)


def test_a_schedule_in_pytorchs_form_is_refused():
    class Warm(lrs.LRScheduler):
        def __init__(self, optimizer, last_epoch=-1):
            super().__init__(optimizer, last_epoch)

        def get_lr(self):
            return [0.1]

    with pytest.raises(
        TypeError, match=r"Warm: `options` is -1; .* LambdaLR\(optimizer, f\), and get_lr is not called"
    ):
        Warm(stepper())
