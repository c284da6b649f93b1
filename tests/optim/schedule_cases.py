"""Schedules as plain data, and how to run them: for test_schedules.py, and for record_schedules.py with PyTorch."""

import random

STEPS = 24
LRS = [0.5, 0.08]


def inverse(n):
    return 1 / (1 + n)


def square(n):
    return (1 + n) ** 2 / 100


def falling(x):
    return 0.9 ** (x - 1)


FUNCTIONS = {"inverse": inverse, "square": square, "falling": falling}  # cases have their names, as they are data

# A case is a schedule, or several that step in turn, each with its arguments; then how it is run, if not as usual.
CASES = [
    ([["StepLR", {"step_size": 3}]], {}),
    ([["StepLR", {"step_size": 1, "gamma": 0.7}]], {}),
    ([["MultiStepLR", {"milestones": [4, 9, 9, 15]}]], {}),
    ([["MultiStepLR", {"milestones": [11, 2, 0], "gamma": 0.5}]], {}),
    ([["ConstantLR", {}]], {}),
    ([["ConstantLR", {"factor": 0.2, "total_iters": 9}]], {}),
    ([["LinearLR", {}]], {}),
    ([["LinearLR", {"start_factor": 0.01, "total_iters": 10}]], {}),
    ([["LinearLR", {"start_factor": 1.0, "end_factor": 0.0, "total_iters": 10}]], {}),
    ([["LinearLR", {"start_factor": 0.1, "end_factor": 0.6, "total_iters": 1}]], {}),
    ([["ExponentialLR", {"gamma": 0.9}]], {}),
    ([["ExponentialLR", {"gamma": 1.1}]], {}),
    ([["LambdaLR", {"lr_lambda": "inverse"}]], {}),
    ([["LambdaLR", {"lr_lambda": ["inverse", "square"]}]], {}),
    ([["LambdaLR", {"lr_lambda": "square"}]], {"edited": 7}),
    ([["LambdaLR", {"lr_lambda": "square"}], ["ExponentialLR", {"gamma": 0.8}]], {}),
    ([["ExponentialLR", {"gamma": 0.8}], ["LambdaLR", {"lr_lambda": "inverse"}]], {}),
    (
        [
            [
                "SequentialLR",
                {"schedulers": [["LinearLR", {}], ["LambdaLR", {"lr_lambda": "inverse"}]], "milestones": [5]},
            ]
        ],
        {},
    ),
    (
        [["ChainedScheduler", {"schedulers": [["LambdaLR", {"lr_lambda": "inverse"}], ["StepLR", {"step_size": 5}]]}]],
        {},
    ),
    ([["CosineAnnealingLR", {"T_max": 20}]], {}),
    ([["CosineAnnealingLR", {"T_max": 7, "eta_min": 0.01}]], {}),
    ([["CosineAnnealingLR", {"T_max": 1, "eta_min": 0.1}]], {}),
    ([["CosineAnnealingWarmRestarts", {"T_0": 5}]], {}),
    ([["CosineAnnealingWarmRestarts", {"T_0": 3, "T_mult": 2, "eta_min": 0.02}]], {}),
    ([["CosineAnnealingWarmRestarts", {"T_0": 1, "T_mult": 3}]], {}),
    ([["CosineAnnealingWarmRestarts", {"T_0": 2, "T_mult": 2}]], {"every": 0.375}),
    ([["CosineAnnealingWarmRestarts", {"T_0": 2, "eta_min": 0.02}]], {"every": 0.375}),
    *[
        ([["OneCycleLR", {"max_lr": 1.0, "total_steps": STEPS + 1, **options}]], run)
        for run in ({}, {"optimizer": "Adam"})
        for options in [
            {},
            {"three_phase": True},
            {"anneal_strategy": "linear", "three_phase": True},
            {"anneal_strategy": "linear", "pct_start": 0.0},
            {"pct_start": 0.7, "three_phase": True, "max_lr": [2.0, 1.0]},
            {"pct_start": 1.0, "div_factor": 5.0, "final_div_factor": 10.0},
            {"base_momentum": [0.1, 0.2], "max_momentum": [0.8, 0.7]},
            {"cycle_momentum": False, "pct_start": 0.2},
        ]
    ],
    ([["OneCycleLR", {"max_lr": 0.3, "epochs": 5, "steps_per_epoch": 5}]], {}),
    *[
        ([["OneCycleLR", {"max_lr": 1.0, "total_steps": STEPS + n, "pct_start": share, **options}]], {})
        for n, share in ((1, 0.17), (2, 0.5), (11, 1 / 3), (30, 0.05))
        for options in ({}, {"three_phase": True, "anneal_strategy": "linear", "final_div_factor": 3.0})
    ],
    *[
        ([["CyclicLR", {"base_lr": 0.01, "max_lr": 0.5, "step_size_up": 5, **options}]], run)
        for run in ({}, {"optimizer": "Adam"})
        for options in [
            {},
            {"step_size_down": 2, "mode": "triangular2"},
            {"step_size_up": 1, "mode": "exp_range", "gamma": 0.95},
            {"step_size_up": 3, "step_size_down": 0},
            {"base_lr": [0.1, 0.02], "max_lr": [0.2, 0.01], "base_momentum": [0.1, 0.2], "max_momentum": [0.8, 0.7]},
            {"scale_fn": "falling"},
            {"scale_fn": "inverse", "scale_mode": "iterations", "step_size_down": 3, "cycle_momentum": False},
        ]
    ],
    ([["CyclicLR", {"base_lr": 0.01, "max_lr": 0.5, "step_size_up": 5}]], {"edited": 7}),
    ([["CyclicLR", {"base_lr": 0.01, "max_lr": 0.5, "step_size_up": 5}], ["ExponentialLR", {"gamma": 0.8}]], {}),
    ([["MultiplicativeLR", {"lr_lambda": "falling"}]], {}),
    ([["MultiplicativeLR", {"lr_lambda": ["falling", "inverse"]}]], {"edited": 7}),
    ([["MultiplicativeLR", {"lr_lambda": "falling"}], ["StepLR", {"step_size": 5}]], {}),
    ([["LinearLR", {"start_factor": 0.1}], ["MultiplicativeLR", {"lr_lambda": "falling"}]], {}),
    ([["PolynomialLR", {}]], {}),
    ([["PolynomialLR", {"total_iters": 17, "power": 0.9}]], {}),
    ([["PolynomialLR", {"total_iters": 30, "power": 2}]], {"edited": 7}),
    ([["PolynomialLR", {"total_iters": 10, "power": 0}]], {}),
    ([["ConstantLR", {"factor": 0.5, "total_iters": 4}], ["PolynomialLR", {"total_iters": 9}]], {}),
    *[
        ([["ReduceLROnPlateau", {"patience": 1, **options}]], {})
        for options in [
            {},
            {"patience": 0, "factor": 0.5},
            {"factor": 0.5, "cooldown": 3},
            {"factor": 0.5, "mode": "max"},
            {"factor": 0.5, "threshold": 0.3},
            {"factor": 0.5, "threshold": 0.3, "mode": "max"},
            {"factor": 0.5, "threshold": 0.2, "threshold_mode": "abs"},
            {"factor": 0.5, "threshold": 0.2, "threshold_mode": "abs", "mode": "max"},
            {"factor": 0.3, "min_lr": 0.05},
            {"factor": 0.3, "min_lr": [0.1, 0.001], "eps": 0.01},
        ]
    ],
    ([["ConstantLR", {"factor": 0.5, "total_iters": 4}], ["ExponentialLR", {"gamma": 0.8}]], {}),
    ([["LinearLR", {}], ["ReduceLROnPlateau", {"patience": 1, "factor": 0.5}]], {}),
    ([["ReduceLROnPlateau", {"patience": 0, "factor": 0.5}], ["ExponentialLR", {"gamma": 0.9}]], {}),
    ([["CosineAnnealingLR", {"T_max": 30, "eta_min": 0.01}], ["StepLR", {"step_size": 5, "gamma": 0.7}]], {}),
    *[
        ([[name, options]], {"edited": 7})
        for name, options in [
            ["StepLR", {"step_size": 3}],
            ["MultiStepLR", {"milestones": [4, 9]}],
            ["ConstantLR", {"total_iters": 9}],
            ["LinearLR", {"total_iters": 10}],
            ["LinearLR", {"total_iters": 5}],
            ["ExponentialLR", {"gamma": 0.9}],
            ["CosineAnnealingLR", {"T_max": 30, "eta_min": 0.01}],
            ["CosineAnnealingWarmRestarts", {"T_0": 5}],
            ["OneCycleLR", {"max_lr": 1.0, "total_steps": STEPS + 1}],
        ]
    ],
    *[
        ([["ChainedScheduler", {"schedulers": parts}]], {})
        for parts in [
            [["ConstantLR", {"factor": 0.5, "total_iters": 4}], ["ExponentialLR", {"gamma": 0.8}]],
            [["LinearLR", {"total_iters": 8}], ["MultiStepLR", {"milestones": [5, 12]}], ["StepLR", {"step_size": 4}]],
            [["LinearLR", {"start_factor": 0.1}], ["CosineAnnealingLR", {"T_max": 30, "eta_min": 0.01}]],
            [["ExponentialLR", {"gamma": 0.8}]],
        ]
    ],
    *[
        ([["SequentialLR", {"schedulers": parts, "milestones": milestones}]], {})
        for parts, milestones in [
            ([["LinearLR", {"start_factor": 0.1}], ["CosineAnnealingLR", {"T_max": 15, "eta_min": 0.01}]], [5]),
            ([["ConstantLR", {}], ["ExponentialLR", {"gamma": 0.9}], ["StepLR", {"step_size": 2}]], [3, 14]),
            ([["LinearLR", {"total_iters": 4}], ["CosineAnnealingWarmRestarts", {"T_0": 3, "T_mult": 2}]], [4]),
            ([["CosineAnnealingWarmRestarts", {"T_0": 3}], ["ExponentialLR", {"gamma": 0.9}]], [8]),
            ([["LinearLR", {}], ["OneCycleLR", {"max_lr": [12.5, 2.0], "total_steps": 20}]], [5]),
            ([["MultiStepLR", {"milestones": [3, 7]}], ["ConstantLR", {"total_iters": 3}]], [1]),
            ([["ExponentialLR", {"gamma": 0.5}]], []),
            ([["LinearLR", {"start_factor": 0.1}], ["PolynomialLR", {"total_iters": 12}]], [5]),
            (
                [
                    ["PolynomialLR", {"total_iters": 3}],
                    ["CyclicLR", {"base_lr": 0.5, "max_lr": 1.0, "step_size_up": 4}],
                ],
                [5],
            ),
            ([["MultiplicativeLR", {"lr_lambda": "falling"}], ["StepLR", {"step_size": 4}]], [7]),
        ]
    ],
]

MEASURES = [
    3.0,
    2.5,
    2.6,
    2.6,
    2.0,
    2.1,
    2.0,
    1.9,
    1.95,
    1.9,
    1.8,
    1.9,
    1.9,
    1.9,
    1.7,
    2.2,
    2.9,
    3.1,
    3.2,
    3.2,
    3.1,
    3.9,
    4.0,
    4.0,
]


def cycles(number=200):
    """Arguments of OneCycleLR, drawn: short and long cycles, whose phases end between steps."""
    draw = random.Random(0)
    for _ in range(number):
        yield {
            "max_lr": draw.uniform(0.1, 2),
            "total_steps": draw.randint(2, 40),
            "pct_start": draw.random(),
            "three_phase": draw.random() < 0.5,
            "anneal_strategy": draw.choice(["cos", "linear"]),
            "cycle_momentum": draw.random() < 0.7,
            "div_factor": draw.uniform(1, 50),
            "final_div_factor": draw.uniform(1, 1e4),
        }


def build(library, optimizer, name, options):
    """The schedule, of the module `library`, that a case stands for."""
    options = dict(options)
    if "schedulers" in options:
        options["schedulers"] = [build(library, optimizer, *part) for part in options["schedulers"]]
    for name_of_function in options.keys() & {"lr_lambda", "scale_fn"}:
        named = options[name_of_function]
        options[name_of_function] = [FUNCTIONS[f] for f in named] if isinstance(named, list) else FUNCTIONS[named]
    return getattr(library, name)(optimizer=optimizer, **options)


def advance(schedules, stepping, step, /, every=None, edited=None, **_):
    """One step of each schedule."""
    for schedule in schedules:
        if type(schedule).__name__ == "ReduceLROnPlateau":
            schedule.step(MEASURES[step])
        elif every is not None:
            schedule.step(every * (step + 1))
        else:
            schedule.step()
    if step == edited:
        for group in stepping.param_groups:
            group["lr"] *= 0.3


def look(optimizer):
    """What schedules write: the learning rate and momentum of each group."""
    groups = optimizer.param_groups
    return [
        *(float(group["lr"]) for group in groups),
        *(float(group["betas"][0] if "betas" in group else group["momentum"]) for group in groups),
    ]
