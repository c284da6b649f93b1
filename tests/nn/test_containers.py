"""Sequential, ModuleList and ModuleDict."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_cnn as tg
from tinygrad_cnn import nn

SEQUENCES = [nn.Sequential, lambda *modules: nn.ModuleList(modules)]


def layers(n):
    return [nn.Linear(3, 3) for _ in range(n)]


def named(module):
    return dict(module.named_children())


def test_sequential_composes():
    a, b = layers(2)
    x = tg.randn(2, 3)
    np.testing.assert_array_equal(nn.Sequential(a, nn.ReLU(), b)(x).numpy(), b(a(x).relu()).numpy())
    assert nn.Sequential()(x) is x


def test_sequential_takes_names():
    a, b = layers(2)
    model = nn.Sequential({"enter": a, "leave": b})
    assert named(model) == {"enter": a, "leave": b}
    assert model[1] is b
    assert model.enter is a
    assert list(model.state_dict()) == ["enter.weight", "enter.bias", "leave.weight", "leave.bias"]


actions = st.lists(
    st.tuples(st.sampled_from(["append", "extend", "insert", "set", "delete", "cut"]), st.integers(-3, 3)), max_size=8
)


@pytest.mark.parametrize("make", SEQUENCES, ids=["Sequential", "ModuleList"])
@given(actions=actions)
def test_sequences_behave_like_lists(make, actions):
    model, twin = make(), []
    for action, i in actions:
        new = nn.ReLU()
        fits = -len(twin) <= i < len(twin)
        if action == "append":
            assert model.append(new) is model
            twin.append(new)
        elif action == "extend":
            more = [new, nn.Tanh()]
            model += more
            twin += more
        elif action == "insert":
            model.insert(i, new)
            twin.insert(i, new)
        elif action == "set" and fits:
            model[i] = new
            twin[i] = new
        elif action == "delete" and fits:
            del model[i]
            del twin[i]
        elif action == "cut":
            del model[i:]
            del twin[i:]
        elif not fits:
            with pytest.raises(IndexError, match="there is no module"):
                model[i]
    assert list(model) == twin
    assert len(model) == len(twin)
    assert [model[i] for i in range(-len(twin), len(twin))] == twin * 2
    assert list(named(model)) == [str(i) for i in range(len(set(map(id, twin))))]
    assert all(module in model for module in twin)
    assert nn.ReLU() not in model


def test_a_slice_shares_its_modules_and_a_sequential_one_keeps_their_names():
    a, b, c = layers(3)
    part = nn.Sequential(a, b, c)[1:]
    assert type(part) is nn.Sequential
    assert named(part) == {"1": b, "2": c}
    part.append(a)
    assert list(part) == [b, c, a]
    part = nn.ModuleList([a, b, c])[::2]
    assert type(part) is nn.ModuleList
    assert named(part) == {"0": a, "1": c}
    assert type(nn.models.MLP((3, 3))[:1]) is nn.Sequential


def test_module_list_registers_but_does_not_call():
    model = nn.ModuleList(layers(2))
    assert len(list(model.parameters())) == 4
    with pytest.raises(TypeError, match="ModuleList: there is nothing to call"):
        model(tg.zeros(1, 3))


def test_module_list_writes_equal_neighbours_on_one_line():
    model = nn.ModuleList([nn.ReLU(), nn.ReLU(), nn.Tanh(), nn.ReLU(), nn.Sequential(nn.Tanh())])
    assert repr(model) == (
        "ModuleList(\n  (0-1): 2 x ReLU()\n  (2): Tanh()\n  (3): ReLU()\n  (4): Sequential(\n    (0): Tanh()\n  )\n)"
    )


def test_module_dict_is_a_dict():
    a, b, c = layers(3)
    model = nn.ModuleDict({"a": a, "3x3": b})
    model["c"] = c
    assert model.keys() == ["a", "3x3", "c"]
    assert model.values() == [a, b, c]
    assert model.items() == [("a", a), ("3x3", b), ("c", c)]
    assert list(model) == ["a", "3x3", "c"]
    assert "c" in model
    assert "d" not in model
    assert len(model) == 3
    assert model.pop("a") is a
    del model["c"]
    model.update([("3x3", c), ("d", a)])
    assert named(model) == {"3x3": c, "d": a}
    assert next(iter(model.state_dict())) == "3x3.weight"
    with pytest.raises(KeyError, match="absent"):
        model["absent"]


@pytest.mark.parametrize(
    ("act", "error", "message"),
    [
        (lambda: nn.Sequential(nn.ReLU(), tg.relu), TypeError, "Sequential: .* it must be a Module"),
        (lambda: nn.Sequential(nn.ReLU)(1), TypeError, "Sequential: .* it must be a Module"),
        (lambda: nn.Sequential({"a": 3}), TypeError, "3 is a int; it must be a Module"),
        (lambda: nn.ModuleList([3]), TypeError, "ModuleList: 3 is a int"),
        (lambda: nn.ModuleDict({"a": 3}), TypeError, "`a` is a module"),
        (lambda: nn.ModuleDict({"keys": nn.ReLU()}), ValueError, "there is an attribute `keys` already"),
        (lambda: nn.ModuleDict({"a.b": nn.ReLU()}), ValueError, "give a word without dots"),
        (lambda: nn.Sequential(nn.ReLU())[1], IndexError, "there is no module 1 among 1"),
    ],
)
def test_mistakes_are_named(act, error, message):
    with pytest.raises(error, match=message):
        act()


def test_a_failed_change_leaves_the_sequence_as_it_was():
    model = nn.Sequential(*layers(2))
    before = list(model)
    for act in (lambda: model.extend([nn.ReLU(), 3]), lambda: model.insert(0, 3), lambda: model.append(None)):
        with pytest.raises(TypeError):
            act()
    with pytest.raises(IndexError):
        del model[5]
    assert list(model) == before
