"""The table of optimizers, from which every test of optimizers is parametrized.

A new optimizer needs its file, its name in ``tinygrad_cnn/optim/__init__.py``, and a row in ROWS. Those in APART have tests of
their own: Muon takes matrices only, and L-BFGS needs a closure.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st

from tinygrad_cnn import optim

# The update rules: an element x after steps along its gradients, with one Python float at a time.


def sgd(x, gradients, lr, momentum, dampening, nesterov, weight_decay, maximize):
    b = None
    for g in gradients:
        d = (-g if maximize else g) + weight_decay * x
        if momentum:
            b = d if b is None else momentum * b + (1 - dampening) * d
            d = d + momentum * b if nesterov else b
        x = x - lr * d
    return x


def rmsprop(x, gradients, lr, alpha, eps, weight_decay, momentum, centered, maximize):
    v = m = b = 0.0
    for g in gradients:
        d = (-g if maximize else g) + weight_decay * x
        v = alpha * v + (1 - alpha) * d * d
        m = alpha * m + (1 - alpha) * d
        s = d / (math.sqrt(max(v - m * m, 0.0) if centered else v) + eps)
        b = momentum * b + s
        x = x - lr * b
    return x


def adam(x, gradients, lr, betas, eps, weight_decay, amsgrad, maximize, decoupled_weight_decay):
    if decoupled_weight_decay:
        return adamw(x, gradients, lr, betas, eps, weight_decay, amsgrad, maximize)
    m = v = w = 0.0
    for n, g in enumerate(gradients, 1):
        d = (-g if maximize else g) + weight_decay * x
        m = betas[0] * m + (1 - betas[0]) * d
        v = betas[1] * v + (1 - betas[1]) * d * d
        w = max(w, v) if amsgrad else v
        x = x - lr * (m / (1 - betas[0] ** n)) / (math.sqrt(w / (1 - betas[1] ** n)) + eps)
    return x


def adamw(x, gradients, lr, betas, eps, weight_decay, amsgrad, maximize):
    m = v = w = 0.0
    for n, g in enumerate(gradients, 1):
        d = -g if maximize else g
        m = betas[0] * m + (1 - betas[0]) * d
        v = betas[1] * v + (1 - betas[1]) * d * d
        w = max(w, v) if amsgrad else v
        x = x - lr * weight_decay * x
        x = x - lr * (m / (1 - betas[0] ** n)) / (math.sqrt(w / (1 - betas[1] ** n)) + eps)
    return x


def adagrad(x, gradients, lr, lr_decay, weight_decay, initial_accumulator_value, eps, maximize):
    s = initial_accumulator_value
    for n, g in enumerate(gradients, 1):
        d = (-g if maximize else g) + weight_decay * x
        s = s + d * d
        x = x - lr / (1 + (n - 1) * lr_decay) * d / (math.sqrt(s) + eps)
    return x


def adadelta(x, gradients, lr, rho, eps, weight_decay, maximize):
    v = a = 0.0
    for g in gradients:
        d = (-g if maximize else g) + weight_decay * x
        v = rho * v + (1 - rho) * d * d
        s = math.sqrt(a + eps) / math.sqrt(v + eps) * d
        a = rho * a + (1 - rho) * s * s
        x = x - lr * s
    return x


def nadam(x, gradients, lr, betas, eps, weight_decay, momentum_decay, decoupled_weight_decay, maximize):
    m = v = 0.0
    mu = [betas[0] * (1 - 0.5 * 0.96 ** (n * momentum_decay)) for n in range(1, len(gradients) + 2)]
    for n, g in enumerate(gradients, 1):
        d = -g if maximize else g
        if decoupled_weight_decay:
            x = x - lr * weight_decay * x
        else:
            d = d + weight_decay * x
        m = betas[0] * m + (1 - betas[0]) * d
        v = betas[1] * v + (1 - betas[1]) * d * d
        s = (1 - mu[n - 1]) / (1 - math.prod(mu[:n])) * d + mu[n] / (1 - math.prod(mu[: n + 1])) * m
        x = x - lr * s / (math.sqrt(v / (1 - betas[1] ** n)) + eps)
    return x


def lion(x, gradients, lr, betas, weight_decay, maximize):
    m = 0.0
    for g in gradients:
        d = -g if maximize else g
        c = betas[0] * m + (1 - betas[0]) * d
        x = x - lr * (np.sign(c) + weight_decay * x)
        m = betas[1] * m + (1 - betas[1]) * d
    return x


def adamax(x, gradients, lr, betas, eps, weight_decay, maximize):
    m = u = 0.0
    for n, g in enumerate(gradients, 1):
        d = (-g if maximize else g) + weight_decay * x
        m = betas[0] * m + (1 - betas[0]) * d
        u = max(betas[1] * u, abs(d) + eps)
        x = x - lr / (1 - betas[0] ** n) * m / u
    return x


def radam(x, gradients, lr, betas, eps, weight_decay, decoupled_weight_decay, maximize):
    m = v = 0.0
    top = 2 / (1 - betas[1]) - 1
    for n, g in enumerate(gradients, 1):
        d = -g if maximize else g
        if decoupled_weight_decay:
            x = x - lr * weight_decay * x
        else:
            d = d + weight_decay * x
        m = betas[0] * m + (1 - betas[0]) * d
        v = betas[1] * v + (1 - betas[1]) * d * d
        s = m / (1 - betas[0] ** n)
        rho = top - 2 * n * betas[1] ** n / (1 - betas[1] ** n)
        if rho > 5:
            r = math.sqrt((rho - 4) * (rho - 2) * top / ((top - 4) * (top - 2) * rho))
            s = s * r * math.sqrt(1 - betas[1] ** n) / (math.sqrt(v) + eps)
        x = x - lr * s
    return x


def rprop(x, gradients, lr, etas, step_sizes, maximize):
    before, size = 0.0, lr
    for g in gradients:
        d = -g if maximize else g
        agreement = np.sign(d) * np.sign(before)
        size = min(max(size * {1: etas[1], -1: etas[0], 0: 1}[agreement], step_sizes[0]), step_sizes[1])
        before = 0.0 if agreement < 0 else d
        x = x - size * np.sign(before)
    return x


def asgd(x, gradients, lr, lambd, alpha, t0, weight_decay, maximize):
    eta = lr
    for n, g in enumerate(gradients, 1):
        d = (-g if maximize else g) + weight_decay * x
        x = x - eta * (lambd * x + d)
        eta = lr * (1 + lambd * lr * n) ** -alpha
    return x


def adafactor(x, gradients, lr, beta2_decay, eps, d, weight_decay, maximize):
    """Of a whole vector."""
    v = np.zeros_like(x)
    least = np.finfo(float).eps if eps[0] is None else eps[0]
    for n, g in enumerate(gradients, 1):
        new = n**beta2_decay
        v = (1 - new) * v + new * g**2
        s = (-g if maximize else g) / np.maximum(np.sqrt(v), least)
        s = s / max(1, np.linalg.norm(s) / math.sqrt(x.size) / d)
        size = max(eps[1], np.linalg.norm(x) / math.sqrt(x.size))
        x = (1 - lr * weight_decay) * x - size * min(lr, 1 / math.sqrt(n)) * s
    return x


# Kinds of options.


@dataclass(frozen=True)
class Kind:
    """What an option may be: the rule as messages say it, values that break it with the error, and values to test with."""

    rule: str
    bad: list[tuple[Any, type[Exception]]]
    good: st.SearchStrategy


NUMBER = "it must be a finite number of at least 0"
NO_NUMBERS = [
    (-1e-9, ValueError), (math.nan, ValueError), (math.inf, ValueError), (10**400, ValueError), ("1", TypeError),
    ("", TypeError), (None, TypeError), (True, TypeError), (1j, TypeError), ([0.1], TypeError),
]  # fmt: skip
shares = st.floats(0, 0.99)

RATE = Kind(NUMBER, NO_NUMBERS, st.floats(0, 2))
DECAY = Kind(NUMBER, NO_NUMBERS, st.just(0.0) | st.floats(0, 0.5))
MOMENTUM = Kind(NUMBER, NO_NUMBERS, st.just(0.0) | st.floats(0.01, 0.99))
MOMENTUM_DECAY = Kind(NUMBER, NO_NUMBERS, st.just(4e-3) | st.floats(0, 100))
EPS = Kind(NUMBER, NO_NUMBERS, st.floats(1e-2, 1))  # a centered variance near 0 magnifies rounding by 1 / eps
FIRST = Kind(NUMBER, NO_NUMBERS, st.just(0.0) | st.floats(1e-2, 1))
DAMPENING = Kind("it must be a finite number", [(-math.inf, ValueError), ("1", TypeError)], st.floats(-1, 1))
FRACTION = Kind("it must be a number in [0, 1)", [(1.0, ValueError), (-0.1, ValueError), ("", TypeError)], shares)
SHARE = Kind("it must be a number in [0, 1]", [(1.1, ValueError), (math.nan, ValueError)], shares)
FLAG = Kind("it must be True or False", [(v, TypeError) for v in (0, 1, 0.0, None, "yes")], st.booleans())
PAIR = Kind("it must be a pair of numbers in [0, 1)", [
    (0.9, TypeError), ((0.9,), ValueError), ((0.9, 1.0), ValueError), ((1.0, 0.9), ValueError), ((-0.1, 0.9), ValueError),
    ((0.9, "x"), TypeError),
], st.tuples(shares, shares))  # fmt: skip

FINITE = Kind("it must be a finite number", [(math.inf, ValueError), ("1", TypeError)], st.floats(0, 0.5))
ETAS = Kind("it must be a pair of finite numbers", [(0.5, TypeError), ((0.5, math.inf), ValueError)],
            st.tuples(st.floats(0.1, 0.9), st.floats(1.1, 2)))  # fmt: skip
LIMITS = Kind("it must be a pair of finite numbers above 0", [((0, 1), ValueError), ((1e-6, "x"), TypeError)],
              st.tuples(st.floats(1e-6, 0.1), st.floats(0.2, 5)))  # fmt: skip
POWER = Kind("it must be a finite number of at most 0", [(0.1, ValueError), (-math.inf, ValueError)], st.floats(-2, 0))
TWO_EPS = Kind("it must be a pair of numbers of at least 0, the first of which may be None", [
    (1e-3, TypeError), ((None,), ValueError), ((None, None), TypeError), ((-1.0, 1e-3), ValueError),
], st.tuples(st.none() | st.floats(1e-3, 1), st.floats(0, 1)))  # fmt: skip
FROM_ONE = Kind("it must be a finite number of at least 1", [(0.9, ValueError), ("1", TypeError)], st.floats(1, 3))

# Slots of the state: arrays like the parameter, and one number for all of it.
ARRAY, COUNT, FLOAT = np.ndarray, int, float


@dataclass(frozen=True)
class Row:
    """An optimizer and what tests need to know about it.

    Attributes:
        optimizer: the class.
        reference: the update rule, see above.
        options: the kind of every option of the constructor.
        defaults: their defaults, from PyTorch or else from the paper; also of options that the constructor does not take.
        slots: every slot of the state, and what is in it.
        full: options that need every slot.
        variants: options for each branch of the rule.
        switches: options that need one more slot when they are set later, and its name.
        valid: changes options that are valid one by one where they conflict.
        conflicts: changes of `full` to options that conflict, and the message, with {} for the group.
        descents: options with which the optimizer finds a minimum.
        annealed: whether a schedule must make its steps smaller on the way: steps in units of the gradient do not shrink.
        recorded: options of the trajectories that record_trajectories.py records from PyTorch.
        elementwise: whether an element's steps depend on its own gradients only. If not, `reference` takes a vector.
        follows_lr: whether each step is in proportion to lr.
    """

    optimizer: type[optim.Optimizer]
    reference: Callable[..., float]
    options: dict[str, Kind]
    defaults: dict[str, Any]
    slots: dict[str, type]
    full: dict[str, Any]
    variants: list[dict[str, Any]]
    descents: list[dict[str, Any]]
    switches: list[tuple[dict[str, Any], str]] = field(default_factory=list)
    valid: Callable[[dict[str, Any]], dict[str, Any]] = lambda options: options
    conflicts: list[tuple[dict[str, Any], str]] = field(default_factory=list)
    annealed: bool = True
    recorded: list[dict[str, Any]] = field(default_factory=list)
    elementwise: bool = True
    follows_lr: bool = True

    @property
    def name(self) -> str:
        return self.optimizer.__name__

    @property
    def arrays(self) -> list[str]:
        """The slots that hold arrays."""
        return [name for name, kind in self.slots.items() if kind is ARRAY]


MOMENTS = {"step": COUNT, "exp_avg": ARRAY, "exp_avg_sq": ARRAY}

ROWS = [
    Row(
        optim.SGD, sgd,
        {
            "lr": RATE, "momentum": MOMENTUM, "dampening": DAMPENING, "weight_decay": DECAY, "nesterov": FLAG,
            "maximize": FLAG,
        },
        {"lr": 1e-3, "momentum": 0, "dampening": 0, "weight_decay": 0, "nesterov": False, "maximize": False},
        {"momentum_buffer": ARRAY},
        full={"lr": 0.1, "momentum": 0.9, "nesterov": True},
        variants=[
            {"lr": 0.1},
            {"lr": 0.1, "maximize": True},
            {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1},
            {"lr": 0.1, "momentum": 0.9, "dampening": 0.5},
        ],
        switches=[({"momentum": 0.5, "dampening": 0.5}, "momentum_buffer")],
        valid=lambda o: o | {"dampening": 0.0, "nesterov": o["momentum"] > 0} if o["nesterov"] else o,
        conflicts=[
            ({"dampening": 0.5}, "`nesterov`{} is True with momentum=0.9 and dampening=0.5; it needs momentum > 0"),
            ({"momentum": 0.0}, "`nesterov`{} is True with momentum=0.0 and dampening=0.0; it needs momentum > 0"),
        ],
        descents=[
            {"lr": 1e-3},
            {"lr": 1e-3, "momentum": 0.9},
            {"lr": 1e-3, "momentum": 0.9, "dampening": 0.5},
            {"lr": 1e-3, "momentum": 0.9, "nesterov": True},
        ],
        annealed=False,
        recorded=[
            {},
            {"lr": 0.1},
            {"lr": 0.1, "weight_decay": 0.3},
            {"lr": 0.1, "maximize": True},
            {"lr": 0.1, "momentum": 0.9},
            {"lr": 0.1, "momentum": 0.9, "dampening": 0.4},
            {"lr": 0.1, "momentum": 0.9, "dampening": -0.4, "weight_decay": 0.3},
            {"lr": 0.1, "momentum": 0.9, "nesterov": True},
            {"lr": 0.1, "momentum": 0.6, "nesterov": True, "weight_decay": 0.3, "maximize": True},
        ],
    ),
    Row(
        optim.RMSprop, rmsprop,
        {
            "lr": RATE, "alpha": FRACTION, "eps": EPS, "weight_decay": DECAY, "momentum": MOMENTUM, "centered": FLAG,
            "maximize": FLAG,
        },
        {
            "lr": 1e-2, "alpha": 0.99, "eps": 1e-8, "weight_decay": 0, "momentum": 0, "centered": False,
            "maximize": False,
        },
        {"step": COUNT, "square_avg": ARRAY, "momentum_buffer": ARRAY, "grad_avg": ARRAY},
        full={"lr": 0.1, "momentum": 0.9, "centered": True, "eps": 0.1},
        variants=[
            {"lr": 0.1},
            {"lr": 0.1, "eps": 0.1, "momentum": 0.9, "centered": True, "weight_decay": 0.1, "maximize": True},
        ],
        switches=[({"momentum": 0.5}, "momentum_buffer"), ({"centered": True}, "grad_avg")],
        descents=[{"lr": 0.02}, {"lr": 0.02, "momentum": 0.5}, {"lr": 0.02, "centered": True, "eps": 1e-3}],
        recorded=[
            {},
            {"lr": 0.05, "alpha": 0.9},
            {"lr": 0.05, "alpha": 0.0},
            {"lr": 0.05, "eps": 0.1},
            {"lr": 0.05, "weight_decay": 0.3},
            {"lr": 0.05, "maximize": True},
            {"lr": 0.05, "momentum": 0.9},
            {"lr": 0.05, "eps": 1e-3, "centered": True},
            {"lr": 0.05, "alpha": 0.7, "eps": 1e-2, "centered": True, "momentum": 0.6, "maximize": True},
        ],
    ),
    Row(
        optim.Adam, adam,
        {
            "lr": RATE, "betas": PAIR, "eps": EPS, "weight_decay": DECAY, "amsgrad": FLAG, "maximize": FLAG,
            "decoupled_weight_decay": FLAG,
        },
        {
            "lr": 1e-3, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0, "amsgrad": False, "maximize": False,
            "decoupled_weight_decay": False,
        },
        {**MOMENTS, "max_exp_avg_sq": ARRAY},
        full={"lr": 0.1, "amsgrad": True},
        variants=[
            {"lr": 0.1},
            {"lr": 0.1, "amsgrad": True, "weight_decay": 0.1, "maximize": True},
            {"lr": 0.1, "weight_decay": 0.1, "decoupled_weight_decay": True},
        ],
        switches=[({"amsgrad": True}, "max_exp_avg_sq")],
        descents=[{"lr": 0.05}, {"lr": 0.2, "amsgrad": True}],
        recorded=[
            {},
            {"lr": 0.05},
            {"lr": 0.05, "betas": [0.5, 0.6]},
            {"lr": 0.05, "betas": [0.0, 0.0]},
            {"lr": 0.05, "eps": 0.1},
            {"lr": 0.05, "weight_decay": 0.3},
            {"lr": 0.05, "weight_decay": 0.3, "decoupled_weight_decay": True},
            {"lr": 0.05, "maximize": True},
            {"lr": 0.05, "betas": [0.5, 0.6], "amsgrad": True},
            {"lr": 0.05, "betas": [0.7, 0.4], "eps": 1e-2, "amsgrad": True, "weight_decay": 0.3, "maximize": True},
        ],
    ),
    Row(
        optim.AdamW, adamw,
        {"lr": RATE, "betas": PAIR, "eps": EPS, "weight_decay": DECAY, "amsgrad": FLAG, "maximize": FLAG},
        {
            "lr": 1e-3, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 1e-2, "amsgrad": False, "maximize": False,
            "decoupled_weight_decay": True,
        },
        {**MOMENTS, "max_exp_avg_sq": ARRAY},
        full={"lr": 0.1, "amsgrad": True},
        variants=[{"lr": 0.1, "weight_decay": 0.1}],
        switches=[({"amsgrad": True}, "max_exp_avg_sq")],
        descents=[{"lr": 0.05, "weight_decay": 1e-4}],
        recorded=[
            {},
            {"lr": 0.05, "weight_decay": 0.3},
            {"lr": 0.05, "betas": [0.7, 0.4], "eps": 1e-2, "amsgrad": True, "weight_decay": 0.3, "maximize": True},
        ],
    ),
    Row(
        optim.Adagrad, adagrad,
        {
            "lr": RATE, "lr_decay": DECAY, "weight_decay": DECAY, "initial_accumulator_value": FIRST, "eps": EPS,
            "maximize": FLAG,
        },
        {
            "lr": 1e-2, "lr_decay": 0, "weight_decay": 0, "initial_accumulator_value": 0, "eps": 1e-10,
            "maximize": False,
        },
        {"step": COUNT, "sum": ARRAY},
        full={"lr": 0.1, "lr_decay": 0.1, "initial_accumulator_value": 0.1},
        variants=[
            {"lr": 0.1},
            {"lr": 0.1, "lr_decay": 0.1, "initial_accumulator_value": 0.1, "weight_decay": 0.1, "maximize": True},
        ],
        descents=[{"lr": 0.5}],
        recorded=[
            {},
            {"lr": 0.1},
            {"lr": 0.1, "lr_decay": 0.2},
            {"lr": 0.1, "initial_accumulator_value": 0.5},
            {"lr": 0.1, "weight_decay": 0.3},
            {
                "lr": 0.1, "lr_decay": 0.2, "initial_accumulator_value": 0.5, "eps": 0.1, "weight_decay": 0.3,
                "maximize": True,
            },
        ],
    ),
    Row(
        optim.Adadelta, adadelta,
        {"lr": RATE, "rho": SHARE, "eps": EPS, "weight_decay": DECAY, "maximize": FLAG},
        {"lr": 1.0, "rho": 0.9, "eps": 1e-6, "weight_decay": 0, "maximize": False},
        {"step": COUNT, "square_avg": ARRAY, "acc_delta": ARRAY},
        full={"eps": 0.1},
        variants=[{"lr": 1.0, "eps": 0.1}, {"lr": 1.0, "eps": 0.1, "weight_decay": 0.1, "maximize": True}],
        descents=[{"lr": 1.0}],
        recorded=[
            {},
            {"lr": 0.5, "rho": 0.6},
            {"lr": 0.5, "rho": 0.0},
            {"lr": 0.5, "rho": 1.0},
            {"lr": 0.5, "eps": 1e-2},
            {"lr": 0.5, "rho": 0.6, "eps": 1e-2, "weight_decay": 0.3, "maximize": True},
        ],
    ),
    Row(
        optim.NAdam, nadam,
        {
            "lr": RATE, "betas": PAIR, "eps": EPS, "weight_decay": DECAY, "momentum_decay": MOMENTUM_DECAY,
            "decoupled_weight_decay": FLAG, "maximize": FLAG,
        },
        {
            "lr": 2e-3, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0, "momentum_decay": 4e-3,
            "decoupled_weight_decay": False, "maximize": False,
        },
        {**MOMENTS, "mu_product": FLOAT},
        full={"lr": 0.1, "decoupled_weight_decay": True},
        variants=[
            {"lr": 0.1},
            {"lr": 0.1, "weight_decay": 0.1, "maximize": True},
            {"lr": 0.1, "weight_decay": 0.1, "decoupled_weight_decay": True},
        ],
        descents=[{"lr": 0.05}],
        recorded=[
            {},
            {"lr": 0.05},
            {"lr": 0.05, "betas": [0.5, 0.6]},
            {"lr": 0.05, "betas": [0.0, 0.0]},
            {"lr": 0.05, "momentum_decay": 0.5},
            {"lr": 0.05, "momentum_decay": 0.0, "eps": 0.1},
            {"lr": 0.05, "weight_decay": 0.3},
            {"lr": 0.05, "weight_decay": 0.3, "decoupled_weight_decay": True},
            {"lr": 0.05, "betas": [0.7, 0.4], "weight_decay": 0.3, "decoupled_weight_decay": True, "maximize": True},
        ],
    ),
    Row(
        optim.Lion, lion,
        {"lr": RATE, "betas": PAIR, "weight_decay": DECAY, "maximize": FLAG},
        {"lr": 1e-4, "betas": (0.9, 0.99), "weight_decay": 0, "maximize": False},
        {"exp_avg": ARRAY},
        full={"lr": 0.1},
        variants=[{"lr": 0.1}, {"lr": 0.1, "weight_decay": 0.1, "maximize": True}],
        descents=[{"lr": 0.02}],
    ),
    Row(
        optim.Adamax, adamax,
        {"lr": RATE, "betas": PAIR, "eps": EPS, "weight_decay": DECAY, "maximize": FLAG},
        {"lr": 2e-3, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0, "maximize": False},
        {"step": COUNT, "exp_avg": ARRAY, "exp_inf": ARRAY},
        full={"lr": 0.1},
        variants=[{"lr": 0.1}, {"lr": 0.1, "weight_decay": 0.1, "maximize": True}],
        descents=[{"lr": 0.05}],
        recorded=[
            {},
            {"lr": 0.05, "betas": [0.5, 0.6]},
            {"lr": 0.05, "betas": [0.0, 0.0]},
            {"lr": 0.05, "eps": 0.1, "weight_decay": 0.3, "maximize": True},
        ],
    ),
    Row(
        optim.RAdam, radam,
        {
            "lr": RATE, "betas": PAIR, "eps": EPS, "weight_decay": DECAY, "decoupled_weight_decay": FLAG,
            "maximize": FLAG,
        },
        {
            "lr": 1e-3, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0, "decoupled_weight_decay": False,
            "maximize": False,
        },
        MOMENTS,
        full={"lr": 0.1},
        variants=[
            {"lr": 0.1},
            {"lr": 0.1, "weight_decay": 0.1, "maximize": True},
            {"lr": 0.1, "weight_decay": 0.1, "decoupled_weight_decay": True},
        ],
        descents=[{"lr": 0.006, "betas": (0.95, 0.99)}],
        recorded=[
            {},
            {"lr": 0.05},
            {"lr": 0.05, "betas": [0.5, 0.6]},
            {"lr": 0.05, "betas": [0.7, 0.9], "eps": 1e-2},
            {"lr": 0.05, "weight_decay": 0.3},
            {"lr": 0.05, "weight_decay": 0.3, "decoupled_weight_decay": True, "maximize": True},
        ],
    ),
    Row(
        optim.Rprop, rprop,
        {"lr": RATE, "etas": ETAS, "step_sizes": LIMITS, "maximize": FLAG},
        {"lr": 1e-2, "etas": (0.5, 1.2), "step_sizes": (1e-6, 50), "maximize": False},
        {"step": COUNT, "prev": ARRAY, "step_size": ARRAY},
        full={"lr": 0.1},
        variants=[{"lr": 0.1}, {"lr": 0.1, "etas": (0.3, 1.5), "step_sizes": (0.05, 0.2), "maximize": True}],
        conflicts=[
            ({"etas": (0.5, 0.9)}, "`etas`{} is (0.5, 0.9); it must be a factor in (0, 1) and one above 1"),
            ({"step_sizes": (2.0, 1.0)}, "`step_sizes`{} is (2.0, 1.0); the first must not be above the second"),
        ],
        descents=[{"lr": 0.1}],
        annealed=False,
        recorded=[
            {},
            {"lr": 0.1},
            {"lr": 0.1, "etas": [0.3, 1.5]},
            {"lr": 0.1, "step_sizes": [0.05, 0.13], "maximize": True},
        ],
        follows_lr=False,
    ),
    Row(
        optim.ASGD, asgd,
        {
            "lr": RATE, "lambd": FINITE, "alpha": FINITE, "t0": FINITE, "weight_decay": DECAY, "maximize": FLAG,
        },
        {"lr": 1e-2, "lambd": 1e-4, "alpha": 0.75, "t0": 1e6, "weight_decay": 0, "maximize": False},
        {"step": COUNT, "eta": FLOAT, "mu": FLOAT, "ax": ARRAY},
        full={"lr": 0.1, "t0": 1, "lambd": 0.1},
        variants=[{"lr": 0.1}, {"lr": 0.1, "lambd": 0.1, "t0": 0, "weight_decay": 0.1, "maximize": True}],
        descents=[{"lr": 1e-3}],
        annealed=False,
        recorded=[
            {},
            {"lr": 0.1, "lambd": 0.2},
            {"lr": 0.1, "lambd": 0.2, "alpha": 0.5, "t0": 4},
            {"lr": 0.1, "t0": 0, "weight_decay": 0.3, "maximize": True},
        ],
    ),
    Row(
        optim.Adafactor, adafactor,
        {"lr": RATE, "beta2_decay": POWER, "eps": TWO_EPS, "d": FROM_ONE, "weight_decay": DECAY, "maximize": FLAG},
        {
            "lr": 1e-2, "beta2_decay": -0.8, "eps": (None, 1e-3), "d": 1.0, "weight_decay": 0.0, "maximize": False,
        },
        {"step": COUNT, "variance": ARRAY},
        full={"lr": 0.1},
        variants=[{"lr": 0.1}, {"lr": 0.1, "eps": (1e-3, 0.1), "d": 2.0, "weight_decay": 0.1, "maximize": True}],
        descents=[{"lr": 0.02}],
        recorded=[
            {},
            {"lr": 0.1, "beta2_decay": -0.5},
            {"lr": 0.1, "d": 2.0, "weight_decay": 0.3},
            {"lr": 0.1, "eps": [1e-2, 2.0], "maximize": True},
        ],
        elementwise=False,
    ),
]  # fmt: skip
APART = {optim.Muon, optim.LBFGS}

NUMBERS = {name for row in ROWS for name, kind in row.slots.items() if kind is not ARRAY}
VARIANTS = {f"{row.name}-{'-'.join(options)}": (row.optimizer, options) for row in ROWS for options in row.variants}


def other_options(optimizer: type[optim.Optimizer]) -> dict[str, Any]:
    """Options that change the steps, beside a row's `full`."""
    return {"weight_decay": 0.1} if "weight_decay" in optimizer.options else {"maximize": True}


every_row = pytest.mark.parametrize("row", ROWS, ids=[row.name for row in ROWS])
every_optimizer = pytest.mark.parametrize(
    ("optimizer", "options"), [(row.optimizer, row.full) for row in ROWS], ids=[row.name for row in ROWS]
)
every_class = pytest.mark.parametrize("optimizer", [row.optimizer for row in ROWS])
every_elementwise_variant = pytest.mark.parametrize(
    ("optimizer", "options"), [(row.optimizer, options) for row in ROWS if row.elementwise for options in row.variants]
)
every_variant = pytest.mark.parametrize(("optimizer", "options"), VARIANTS.values(), ids=VARIANTS)
