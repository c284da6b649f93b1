"""Shared by the tests of optimizers: one of each with all its slots in use, steps of descent, and exact comparison."""

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn.optim import SGD, Adadelta, Adagrad, Adam, AdamW, Lion, NAdam, RMSprop

FULL = [
    (SGD, {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
    (RMSprop, {"lr": 0.1, "momentum": 0.9, "centered": True, "eps": 0.1}),
    (Adam, {"lr": 0.1, "amsgrad": True}),
    (AdamW, {"lr": 0.1, "amsgrad": True}),
    (Adagrad, {"lr": 0.1, "lr_decay": 0.1, "initial_accumulator_value": 0.1}),
    (Adadelta, {"eps": 0.1}),
    (NAdam, {"lr": 0.1, "decoupled_weight_decay": True}),
    (Lion, {"lr": 0.1}),
]
every_optimizer = pytest.mark.parametrize(("optimizer", "options"), FULL, ids=[o.__name__ for o, _ in FULL])
every_class = pytest.mark.parametrize("optimizer", [o for o, _ in FULL])


def leaf(*shape, dtype=np.float64):
    return tg.Tensor(np.arange(1, 1 + np.prod(shape, dtype=int), dtype=dtype).reshape(shape), requires_grad=True)


def descend(stepping, params, steps=1):
    for _ in range(steps):
        stepping.zero_grad()
        sum(((p - 3) ** 2).sum() for p in params).backward()
        stepping.step()


def snapshot(stepping):
    params = [p.numpy().copy() for group in stepping.param_groups for p in group["params"]]
    return params, stepping.state_dict()


def assert_same(a, b):
    """Equal to the last bit, through dicts, lists and arrays."""
    if isinstance(a, dict):
        assert a.keys() == b.keys()
        for key in a:
            assert_same(a[key], b[key])
    elif isinstance(a, list | tuple):
        assert type(a) is type(b)
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            assert_same(x, y)
    else:
        np.testing.assert_array_equal(a, b, strict=True)
