"""Shared by the tests of optimizers: leaves, steps of descent, and exact comparison."""

import numpy as np

import tinygrad_cnn as tg


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
