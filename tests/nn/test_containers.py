"""Sequential, ModuleList, ModuleDict, ParameterList and ParameterDict."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_cnn as tg
from tinygrad_cnn import nn

SEQUENCES = [
    (nn.Sequential, lambda: nn.ReLU()),
    (lambda *modules: nn.ModuleList(modules), lambda: nn.ReLU()),
    (lambda *parameters: nn.ParameterList(parameters), lambda: nn.Parameter([1.0, 2.0])),
]


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


@pytest.mark.parametrize(("make", "item"), SEQUENCES, ids=["Sequential", "ModuleList", "ParameterList"])
@given(actions=actions)
def test_sequences_behave_like_lists(make, item, actions):
    model, twin = make(), []
    for action, i in actions:
        new = item()
        fits = -len(twin) <= i < len(twin)
        if action == "append":
            assert model.append(new) is model
            twin.append(new)
        elif action == "extend":
            more = [new, item()]
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
            with pytest.raises(IndexError, match="there is no (module|parameter)"):
                model[i]
    assert list(map(id, model)) == list(map(id, twin))
    assert len(model) == len(twin)
    assert [id(model[i]) for i in range(-len(twin), len(twin))] == [id(each) for each in twin * 2]
    registered = dict(model.named_parameters()) if isinstance(model, nn.ParameterList) else named(model)
    assert list(registered) == [str(i) for i in range(len(set(map(id, twin))))]
    assert all(each in model for each in twin)
    assert item() not in model


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


def test_parameters_of_lists_and_dicts_are_learned_and_saved():
    class Mixture(nn.Module):
        def __init__(self):
            self.scales = nn.ParameterList(nn.Parameter([float(n)]) for n in range(3))
            self.shifts = nn.ParameterDict({"left": nn.Parameter([1.0]), "right": nn.Parameter([2.0])})

        def forward(self, x):
            for scale in self.scales[1:]:
                x = scale * x
            return x + self.shifts["left"] - self.shifts["right"]

    model = Mixture()
    assert list(model.state_dict()) == ["scales.0", "scales.1", "scales.2", "shifts.left", "shifts.right"]
    model(tg.Tensor([3.0])).sum().backward()
    assert [None if p.grad is None else p.grad.item() for p in model.parameters()] == [None, 6, 3, 1, -1]
    twin = Mixture()
    tg.optim.SGD(model.parameters(), lr=0.5).step()
    twin.load_state_dict(model.state_dict())
    assert [p.item() for p in twin.parameters()] == [0, -2, 0.5, 0.5, 2.5]
    assert type(model.scales[1:]) is nn.ParameterList
    assert dict(model.scales[1:].named_parameters()).keys() == {"0", "1"}


def test_parameter_dict_is_a_dict():
    a, b, c = (nn.Parameter([float(n)]) for n in range(3))
    kept = nn.ParameterDict({"a": a, "b": b})
    kept["c"] = c
    assert kept.keys() == list(kept) == ["a", "b", "c"]
    assert kept.values()[2] is kept.pop("c") is c
    del kept["a"]
    kept.update([("b", c), ("d", a)])
    assert [(name, id(p)) for name, p in kept.items()] == [("b", id(c)), ("d", id(a))]
    assert len(kept) == 2
    assert "a" not in kept
    with pytest.raises(KeyError, match="absent"):
        kept["absent"]


def test_parameters_are_shown_with_dtype_and_shape():
    a, b = nn.Parameter([1.0, 2.0]), nn.Parameter(np.zeros((2, 3)))
    assert repr(nn.ParameterList([a, b])) == (
        "ParameterList(\n  (0): Parameter float32 (2,)\n  (1): Parameter float64 (2, 3)\n)"
    )
    assert repr(nn.ParameterDict({"a": a})) == "ParameterDict(\n  (a): Parameter float32 (2,)\n)"


@pytest.mark.parametrize(
    ("act", "error", "message"),
    [
        (
            lambda: nn.ParameterList([tg.ones(2)]),
            TypeError,
            "ParameterList: Tensor.* is a Tensor; it must be a Parameter",
        ),
        (
            lambda: nn.ParameterDict({"a": tg.ones(2)}),
            TypeError,
            "ParameterDict: `a` is a parameter, which cannot be set",
        ),
        (lambda: nn.ParameterDict({"pop": nn.Parameter([1.0])}), ValueError, "there is an attribute `pop` already"),
        (lambda: nn.ParameterList([nn.Parameter([1.0])])[1], IndexError, "there is no parameter 1 among 1"),
        (lambda: nn.Sequential(nn.ReLU(), tg.relu), TypeError, "Sequential: .* it must be a Module"),
        (lambda: nn.Sequential(nn.ReLU)(1), TypeError, r"Sequential: .* it must be a Module: write ReLU\(\.\.\.\)"),
        (lambda: nn.Sequential([nn.ReLU()]), TypeError, r"is a list; it must be a Module: unpack it with \*"),
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


def test_removing_from_lists_and_dicts():
    a, b, c = (nn.Linear(1, n) for n in (1, 2, 3))
    for kind in (lambda: nn.Sequential(a, b, c), lambda: nn.ModuleList([a, b, c])):
        modules = kind()
        assert modules.pop() is c
        assert modules.pop(0) is a
        assert [name for name, _ in modules.named_parameters()] == ["0.weight", "0.bias"]
        with pytest.raises(IndexError):
            modules.pop(3)
    for named in (nn.ModuleDict({"a": a, "b": b}), nn.ParameterDict({"w": nn.Parameter([1.0])})):
        named.clear()
        assert not len(named)
        assert not list(named.parameters())


def test_arguments_have_the_names_of_pytorch():
    a, b, c = layers(3)
    for kind in (nn.Sequential, nn.ModuleList):
        modules = kind()
        modules.append(module=c)
        modules.insert(index=0, module=a)
        assert list(modules) == [a, c]
    assert list(nn.ModuleList().extend(modules=[a, b])) == [a, b]
    named = nn.ModuleDict()
    named.update(modules={"a": a})
    assert named.keys() == ["a"]
    p, q = nn.Parameter([1.0]), nn.Parameter([2.0])
    listed = nn.ParameterList().append(value=q).insert(index=0, value=p).extend(values=[q])
    assert [x.item() for x in listed] == [1.0, 2.0, 2.0]
    parameters = nn.ParameterDict()
    parameters.update(parameters={"p": p})
    assert parameters.keys() == ["p"]


def test_what_is_no_list_or_dict_is_answered_and_nothing_changes():
    layers = nn.ModuleDict({"a": nn.ReLU()})
    for call, message in (
        (lambda: nn.ModuleList(nn.ReLU()), "ModuleList: ReLU.* is no list; put it in one"),
        (lambda: nn.ParameterList(3), "ParameterList: 3 is no list"),
        (lambda: nn.ModuleDict([nn.ReLU()]), "ModuleDict: .* is no dict; give a dict, by names"),
        (lambda: nn.ParameterDict(3), "ParameterDict: 3 is no dict"),
        (lambda: layers.update({"b": nn.ReLU(), "c": 3}), "`c` is a module, which cannot be set to a int"),
        (lambda: layers.update({"b": nn.ReLU(), "c.d": nn.ReLU()}), "'c.d' cannot name a module"),
    ):
        with pytest.raises((TypeError, ValueError), match=message):
            call()
    assert layers.keys() == ["a"]
