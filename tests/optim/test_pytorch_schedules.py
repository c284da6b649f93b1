"""States of schedules as PyTorch saves them, recorded with PyTorch 2: they are taken, and the rates go on as PyTorch's do."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn.optim import lr_scheduler as lrs

MARKS = {"_step_count": 4, "_is_initial": False, "_get_lr_called_within_step": False}
BASE = {"base_lrs": [0.5], "last_epoch": 3, **MARKS}


def optimizer(lr=0.5):
    return tg.optim.SGD([tg.ones(2, requires_grad=True)], lr=lr, momentum=0.5)


CASES = {
    "StepLR": ({"step_size": 2, "gamma": 0.5}, {"step_size": 2, "gamma": 0.5, "_last_lr": [0.25]}, [0.125, 0.125]),
    "scaled by another": ({"step_size": 2, "gamma": 0.5}, {"step_size": 2, "gamma": 0.5, "_last_lr": [0.125]}, [0.0625]),
    "MultiStepLR": (
        {"milestones": [1, 4, 4], "gamma": 0.5},
        {"milestones": Counter([1, 4, 4]), "gamma": 0.5, "_last_lr": [0.25]}, [0.0625, 0.0625],
    ),
    "CosineAnnealingWarmRestarts": (
        {"T_0": 2, "T_mult": 2},
        {"T_0": 2, "T_i": 4, "T_mult": 2, "eta_min": 0, "T_cur": 1, "_last_lr": [0.4267766952966369]},
        [0.25, 0.07322330470336313, 0.5],
    ),
    "CyclicLR": (
        {"base_lr": 0.0, "max_lr": 0.25, "step_size_up": 9},
        {"base_lrs": [0.125], "max_lrs": [1.125], "total_size": 6.0, "step_ratio": 4 / 6, "mode": "triangular2", "gamma": 1.0,
         "scale_mode": "cycle", "cycle_momentum": True, "use_beta1": False, "base_momentums": [0.8], "max_momentums": [0.9],
         "_scale_fn_custom": None, "_last_lr": [0.875]}, [1.125, 0.625, 0.125, 0.25],
    ),
    "MultiplicativeLR": ({"lr_lambda": lambda n: 1 / n}, {"lr_lambdas": [None], "_last_lr": [0.25]}, [0.0625, 0.0125]),
    "LambdaLR": ({"lr_lambda": lambda n: 1 / (1 + n)}, {"lr_lambdas": [None], "_last_lr": [0.125]}, [0.1]),
    "PolynomialLR": ({"power": 2}, {"total_iters": 6, "power": 1.0, "_last_lr": [0.5]}, [1 / 3, 1 / 6, 0, 0]),
    "OneCycleLR": (
        {"max_lr": 1.0, "total_steps": 5, "cycle_momentum": False},
        {"total_steps": 5, "_schedule_phases": [], "_anneal_func_type": "cos", "cycle_momentum": False, "use_beta1": False,
         "_last_lr": [0.3]}, [4e-6],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_state_as_pytorch_saves_it_is_taken(case):
    options, state, rates = CASES[case]
    sgd = optimizer()
    schedule = getattr(lrs, "StepLR" if case == "scaled by another" else case)(sgd, **options)
    schedule.load_state_dict({**BASE, **state})
    assert sgd.param_groups[0]["lr"] == schedule.get_last_lr()[0] == state["_last_lr"][0]
    assert schedule.last_epoch == 3
    found = []
    for _ in rates:
        schedule.step()
        found += schedule.get_last_lr()
    np.testing.assert_allclose(found, rates, rtol=1e-12)


def test_plateau():
    sgd = optimizer()
    schedule = lrs.ReduceLROnPlateau(sgd, patience=1, factor=0.5)
    state = {
        "factor": 0.5, "default_min_lr": 0, "min_lrs": [0], "patience": 1, "cooldown": 0, "eps": 1e-8, "last_epoch": 4,
        "_last_lr": [0.25], "mode_worse": float("inf"), "mode": "min", "threshold": 1e-4, "threshold_mode": "rel", "best": 1.0,
        "cooldown_counter": 0, "num_bad_epochs": 1,
    }  # fmt: skip
    schedule.load_state_dict(state)
    schedule.step(1.0)
    assert sgd.param_groups[0]["lr"] == 0.125


def test_a_part_that_has_not_begun():
    sgd = optimizer()
    schedule = lrs.SequentialLR(sgd, [lrs.StepLR(sgd, 2), lrs.CosineAnnealingWarmRestarts(sgd, 4)], milestones=[4])
    waiting = {"T_0": 4, "T_i": 4, "T_mult": 1, "eta_min": 0, "T_cur": -1, **BASE, "last_epoch": -1, "_last_lr": [0.5]}
    first = {"step_size": 2, "gamma": 0.5, **BASE, "_last_lr": [0.25]}
    schedule.load_state_dict({"_milestones": [4], "last_epoch": 3, "_last_lr": [0.25], "_schedulers": [first, waiting]})
    schedule.step()
    schedule.step()
    assert schedule.get_last_lr() == [pytest.approx(0.25 * (1 + np.cos(np.pi / 4)))]


def test_the_attributes_of_a_function_are_not_lost_silently():
    schedule = lrs.LambdaLR(optimizer(), lambda n: 1.0)
    with pytest.raises(ValueError, match="`lr_lambdas` of LambdaLR is unexpected"):
        schedule.load_state_dict({**BASE, "lr_lambdas": [{"decay": 0.5}], "_last_lr": [0.25]})


def parts(sgd):
    return [lrs.LinearLR(sgd, start_factor=0.5, total_iters=2), lrs.ExponentialLR(sgd, gamma=0.5)]


LINEAR = {"start_factor": 0.5, "end_factor": 1.0, "total_iters": 2, **BASE}


def test_composed_schedules():
    sgd = optimizer()
    schedule = lrs.SequentialLR(sgd, parts(sgd), milestones=[4])
    waiting = {"gamma": 0.5, **BASE, "last_epoch": -1, "_last_lr": [0.5]}
    schedule.load_state_dict(
        {
            "_milestones": [4],
            "last_epoch": 3,
            "_last_lr": [0.5],
            "_schedulers": [{**LINEAR, "_last_lr": [0.5]}, waiting],
        }
    )
    schedule.step()
    schedule.step()
    assert schedule.get_last_lr() == [0.25]

    chained = lrs.ChainedScheduler(parts(sgd), sgd)
    saved = [{**LINEAR, "_last_lr": [0.0625]}, {"gamma": 0.5, **BASE, "_last_lr": [0.0625]}]
    chained.load_state_dict({"_last_lr": [0.0625], "_schedulers": saved})
    chained.step()
    assert chained.get_last_lr() == [0.03125]


def test_a_wrong_entry_is_named_and_nothing_is_loaded():
    sgd = optimizer()
    schedule = lrs.StepLR(sgd, 2, 0.5)
    state = {**BASE, "step_size": 0, "gamma": 0.5, "_last_lr": [0.25], "odd": 1}
    with pytest.raises(ValueError, match=r"(?s)`step_size`.*is 0.*`odd` of StepLR is unexpected"):
        schedule.load_state_dict(state)
    assert sgd.param_groups[0]["lr"] == 0.5
    with pytest.raises(ValueError, match="`lr` of StepLR is missing"):
        schedule.load_state_dict({"step_size": 2})
