"""Schedules as plain data, and how to run them: for test_schedules.py, and for record_schedules.py with PyTorch."""

STEPS = 24
LRS = [0.5, 0.08]


def inverse(n):
    return 1 / (1 + n)


def square(n):
    return (1 + n) ** 2 / 100


FUNCTIONS = {"inverse": inverse, "square": square}  # cases have their names, as they are data

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


def build(library, optimizer, name, options):
    """The schedule, of the module `library`, that a case stands for."""
    options = dict(options)
    if "schedulers" in options:
        options["schedulers"] = [build(library, optimizer, *part) for part in options["schedulers"]]
    if "lr_lambda" in options:
        named = options["lr_lambda"]
        options["lr_lambda"] = [FUNCTIONS[f] for f in named] if isinstance(named, list) else FUNCTIONS[named]
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
