"""States for PyTorch, with a stand-in for it."""

from __future__ import annotations

import sys
from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import nn
from tinygrad_cnn.optim import lr_scheduler as lrs


class Tensor:
    def __init__(self, array):
        assert type(array) is np.ndarray
        assert array.flags.writeable
        self.array = array


@pytest.fixture
def _torch(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(from_numpy=Tensor))


@pytest.mark.usefixtures("_torch")
def test_arrays_become_tensors_wherever_they_are():
    layer = nn.Linear(2, 3)
    found = tg.io.to_torch(layer.state_dict())
    np.testing.assert_array_equal(found["weight"].array, layer.weight.numpy())
    assert not np.shares_memory(found["weight"].array, layer.weight.numpy())
    optimizer = tg.optim.Adam(layer.parameters())
    layer(tg.ones(1, 2)).sum().backward()
    optimizer.step()
    state = tg.io.to_torch(optimizer.state_dict())
    assert {type(value) for value in state["state"][0].values()} <= {Tensor, int, float}
    assert state["param_groups"][0]["betas"] == (0.9, 0.999)
    assert state["param_groups"][0]["params"] == [0, 1]
    assert tg.io.to_torch([tg.ones(2), (np.float32(1), "a")])[1] == (1, "a")


@pytest.mark.usefixtures("_torch")
def test_schedules_get_pytorchs_entries():
    sgd = tg.optim.SGD([tg.ones(2, requires_grad=True)], lr=0.5)
    schedule = lrs.CosineAnnealingWarmRestarts(sgd, T_0=2, T_mult=2)
    for _ in range(4):
        schedule.step()
    state = tg.io.to_torch(schedule.state_dict())
    assert (state["T_cur"], state["T_i"], state["_step_count"]) == (2, 4, 5)
    schedule.step(7.5)
    state = tg.io.to_torch(schedule.state_dict())
    assert (state["T_cur"], state["T_i"]) == (1.5, 8)
    even = lrs.CosineAnnealingWarmRestarts(sgd, T_0=3)
    even.step(7.5)
    state = tg.io.to_torch(even.state_dict())
    assert (state["T_cur"], state["T_i"]) == (1.5, 3)
    assert tg.io.to_torch(lrs.MultiStepLR(sgd, [2, 5, 5]).state_dict())["milestones"] == Counter([2, 5, 5])
    assert tg.io.to_torch(lrs.ReduceLROnPlateau(sgd, min_lr=0.1).state_dict())["min_lrs"] == [0.1]
    cyclic = tg.io.to_torch(lrs.CyclicLR(sgd, 0.1, 0.5, 3, 5, cycle_momentum=False).state_dict())
    assert (cyclic["total_size"], cyclic["step_ratio"], cyclic["_scale_fn_custom"]) == (8, 3 / 8, None)
    assert (cyclic["base_lrs"], cyclic["max_lrs"], cyclic["base_momentums"]) == ([0.1], [0.5], [0.8])
    assert tg.io.to_torch(lrs.LambdaLR(sgd, lambda n: 1.0).state_dict())["lr_lambdas"] == [None]


def test_pytorch_is_named_if_it_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ModuleNotFoundError, match="to_torch: PyTorch is not installed"):
        tg.io.to_torch({})


@pytest.mark.usefixtures("_torch")
def test_what_is_no_state_is_answered():
    for wrong in (nn.Linear(1, 1), 3, None):
        with pytest.raises(TypeError, match=r"to_torch: `state` is a \w+; give what its state_dict\(\) returns"):
            tg.io.to_torch(wrong)
