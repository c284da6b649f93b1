"""Modules: registration, traversal, modes, copies, hooks, text."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import nn


class Net(nn.Module):
    """Two layers, a parameter and two buffers of its own."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter([1.0, 2.0])
        self.register_buffer("shift", tg.zeros(2))
        self.register_buffer("cache", tg.ones(1), persistent=False)
        self.first = nn.Linear(3, 2, bias=False)
        self.rest = nn.Sequential(nn.BatchNorm1d(2), nn.Dropout())

    def forward(self, x):
        return self.rest(self.first(x)) * self.scale + self.shift


class Tied(nn.Module):
    def __init__(self):
        self.encode = nn.Linear(3, 3, bias=False)
        self.decode = nn.Linear(3, 3, bias=False)
        self.decode.weight = self.encode.weight
        self.again = self.encode


def names(pairs):
    return [name for name, _ in pairs]


# Parameters


def test_a_parameter_is_a_leaf_and_ops_on_it_return_tensors():
    p = nn.Parameter(np.ones(3))
    assert isinstance(p, tg.Tensor)
    assert p.requires_grad
    assert p.is_leaf
    assert p.dtype == np.float64
    for made in (p + 1, 1 - p, p[0], p.sum(), p.detach(), p.reshape(1, 3), np.exp(p)):
        assert type(made) is tg.Tensor
    p.sum().backward()
    assert type(p.grad) is tg.Tensor
    assert not nn.Parameter([1.0], requires_grad=False).requires_grad


def test_a_parameter_does_not_share_memory_with_its_data():
    data = np.ones(3)
    p = nn.Parameter(data)
    data[:] = 0
    assert p.tolist() == [1, 1, 1]
    with pytest.raises(TypeError, match="only floating-point Tensors have gradients"):
        nn.Parameter(np.arange(3))


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda p: pickle.loads(pickle.dumps(p))])
@pytest.mark.parametrize("grad", [True, False])
def test_copies_of_a_parameter_are_parameters(copied, grad):
    p = nn.Parameter([1.0, 2.0], requires_grad=grad)
    twin = copied(p)
    assert type(twin) is nn.Parameter
    assert twin.requires_grad == grad
    p.copy_(0)
    assert twin.tolist() == [1, 2]


# Registration


def test_assigned_values_are_found_in_order():
    net = Net()
    assert names(net.named_parameters()) == ["scale", "first.weight", "rest.0.weight", "rest.0.bias"]
    assert names(net.named_buffers()) == [
        "shift", "cache", "rest.0.running_mean", "rest.0.running_var", "rest.0.num_batches_tracked"
    ]  # fmt: skip
    assert names(net.named_modules()) == ["", "first", "rest", "rest.0", "rest.1"]
    assert names(net.named_children()) == ["first", "rest"]
    assert names(net.named_parameters(prefix="net", recurse=False)) == ["net.scale"]
    assert next(iter(net.modules())) is net
    assert list(net.children()) == [net.first, net.rest]
    assert all(p is q for p, (_, q) in zip(net.parameters(), net.named_parameters(), strict=True))
    assert all(p is q for p, (_, q) in zip(net.buffers(), net.named_buffers(), strict=True))
    assert net.get_submodule("rest.1") is net.rest[1]
    assert net.get_submodule("") is net


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (tg.ones(2, requires_grad=True), "Net: `other` is a Tensor that requires a gradient.*make it an nn.Parameter"),
        ([nn.Linear(2, 2)], "Net: `other` is a list of modules, which are no part of the model.*use nn.ModuleList"),
        ((nn.ReLU(), nn.Linear(2, 2)), "Net: `other` is a tuple of modules.*use nn.ModuleList"),
        ({"a": nn.Linear(2, 2)}, "Net: `other` is a dict of modules.*use nn.ModuleDict"),
        ([nn.Parameter(tg.ones(2))], "Net: `other` is a list of parameters.*use nn.ParameterList"),
    ],
)
def test_what_looks_like_a_part_of_the_model_and_is_none_is_named_once(value, message):
    net = Net()
    net.other = value
    outer = nn.Sequential(net)
    with pytest.warns(UserWarning, match=message) as found:
        assert len(list(outer.parameters())) == 4
    assert [each.filename for each in found] == [__file__]
    assert len(list(outer.parameters())) == 4


def test_lists_of_what_is_registered_and_results_are_not_named():
    net = Net()
    net.all = [net.first, net.rest]
    net.weights = [net.first.weight]
    net.last = net.first(tg.ones(1, 3)) if isinstance(net.first, nn.Linear) else tg.ones(2, requires_grad=True) * 2
    net.names, net.sizes = ["a"], {"a": 1}
    assert len(list(net.parameters())) == 4
    net.zero_grad()


def test_an_attribute_can_change_its_kind():
    net = Net()
    net.first = nn.ReLU()
    net.scale = nn.Linear(2, 2)
    assert names(net.named_children()) == ["first", "rest", "scale"]
    net.shift = None
    net.first = None
    assert names(net.named_children()) == ["rest", "scale"]
    assert "shift" not in names(net.named_buffers())
    net.shift = tg.ones(3)
    assert names(net.named_buffers(recurse=False)) == ["shift", "cache"]
    net.cache = nn.Parameter([1.0])
    assert "cache" in net.state_dict()


def test_a_deleted_attribute_is_gone():
    net = Net()
    del net.first, net.shift, net.scale
    assert names(net.named_parameters()) == ["rest.0.weight", "rest.0.bias"]
    assert not hasattr(net, "first")
    net.scale = "text"
    assert net.scale == "text"
    with pytest.raises(AttributeError):
        del net.first


def test_modules_need_no_call_of_the_base_constructor():
    class Bare(nn.Module):
        def __init__(self):
            self.layer = nn.Linear(2, 2)

        def forward(self, x):
            return self.layer(x)

    assert names(Bare().named_parameters()) == ["layer.weight", "layer.bias"]
    assert Bare()(tg.zeros(1, 2)).shape == (1, 2)
    assert Bare().training


@pytest.mark.parametrize(
    ("act", "error", "message"),
    [
        (lambda net: setattr(net, "first", tg.ones(2)), TypeError, "`first` is a module, which cannot be set to a Tensor"),
        (lambda net: setattr(net, "scale", tg.ones(2)), TypeError, "`scale` is a parameter, .* assign a Parameter or None"),
        (lambda net: setattr(net, "shift", np.ones(2)), TypeError, "`shift` is a buffer, which cannot be set to a ndarray"),
        (lambda net: setattr(net, "train", nn.ReLU()), ValueError, "`train` is an attribute of every module"),
        (lambda net: setattr(net, "forward", nn.ReLU()), ValueError, "`forward` is an attribute of every module"),
        (lambda net: net.register_buffer("first", tg.ones(2)), ValueError, "there is an attribute `first` already"),
        (lambda net: net.register_parameter("rest", None), ValueError, "there is an attribute `rest` already"),
        (lambda net: net.register_parameter("w", tg.ones(2)), TypeError, "`w` is a parameter"),
        (lambda net: net.register_buffer("b", [1.0]), TypeError, "`b` is a buffer"),
        (lambda net: net.add_module("m", max), TypeError, "`m` is a module"),
        (lambda net: net.add_module("a.b", nn.ReLU()), ValueError, "'a.b' cannot name a module; give a word without dots"),
        (lambda net: net.add_module("", nn.ReLU()), ValueError, "'' cannot name a module"),
        (lambda net: net.add_module(3, nn.ReLU()), ValueError, "3 cannot name a module"),
        (lambda net: net.get_submodule("rest.2"), AttributeError, "'rest.2' leads to no module: Sequential has no '2'"),
        (lambda net: net.get_submodule("scale"), AttributeError, "Net has no 'scale'"),
        (lambda net: net.absent, AttributeError, "'Net' object has no attribute 'absent'"),
        (lambda net: nn.Module()(1), TypeError, "Module: there is nothing to call; define `forward`"),
        (lambda net: net.register_forward_hook(3), TypeError, "`hook` is 3; it must be a function"),
    ],
)  # fmt: skip
def test_mistakes_are_named_and_change_nothing(act, error, message):
    net = Net()
    net.register_forward_hook(print).remove()
    before = dict(vars(net)), repr(net)
    with pytest.raises(error, match=message):
        act(net)
    assert (dict(vars(net)), repr(net)) == before


# Shared parameters


def test_shared_parameters_come_once_but_are_saved_under_each_name():
    net = Tied()
    assert names(net.named_parameters()) == ["encode.weight"]
    assert names(net.named_parameters(remove_duplicate=False)) == ["encode.weight", "decode.weight", "again.weight"]
    assert names(net.named_modules()) == ["", "encode", "decode"]
    assert names(net.named_modules(remove_duplicate=False)) == ["", "encode", "decode", "again"]
    assert list(net.state_dict()) == ["encode.weight", "decode.weight", "again.weight"]
    calls = []
    net.apply(calls.append)
    assert calls == [net.encode, net.decode, net]


def test_a_tied_weight_gets_the_gradient_of_every_use():
    net = Tied()
    x = tg.ones(1, 3)
    net.decode(net.encode(x)).sum().backward()
    w = net.encode.weight.numpy()
    expected = np.outer(w.sum(0), np.ones(3)) + np.outer(np.ones(3), w.sum(1))
    np.testing.assert_allclose(net.encode.weight.grad, expected, rtol=1e-6)
    assert net.decode.weight.grad is net.encode.weight.grad


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net))])
@pytest.mark.parametrize("make", [Net, Tied, nn.models.MnistCNN])
def test_a_deep_copy_is_equal_and_apart(copied, make):
    net = make().eval()
    twin = copied(net)
    assert repr(twin) == repr(net)
    assert not twin.training
    assert names(twin.named_parameters()) == names(net.named_parameters())
    assert all(type(p) is nn.Parameter and p.requires_grad and p.is_leaf for p in twin.parameters())
    before = net.state_dict()
    for name, value in twin.state_dict().items():
        np.testing.assert_array_equal(value, before[name])
    for p in twin.parameters():
        p.copy_(7)
    twin.added = nn.Linear(1, 1)
    assert all(np.array_equal(value, before[name]) for name, value in net.state_dict().items())


def test_a_shallow_copy_shares_the_parameters_but_registers_on_its_own():
    net = Net()
    twin = copy.copy(net)
    twin.added = nn.Linear(1, 1)
    assert twin.scale is net.scale
    assert "added" not in names(net.named_children())
    assert "added" in names(twin.named_children())


# Modes


def test_train_and_eval_reach_everything():
    net = Net()
    assert net.eval() is net
    assert [m.training for m in net.modules()] == [False] * 5
    net.rest.train()
    assert [m.training for m in net.modules()] == [False, False, True, True, True]
    assert net.train() is net
    assert all(m.training for m in net.modules())


def test_frozen_parameters_get_no_gradient_until_unfrozen():
    net = Net()
    assert net.first.requires_grad_(False) is net.first
    x = tg.randn(4, 3)
    net(x).sum().backward()
    assert net.first.weight.grad is None
    assert net.scale.grad is not None
    net.requires_grad_()
    net.zero_grad()
    assert all(p.grad is None for p in net.parameters())
    net(x).sum().backward()
    assert all(p.grad is not None for p in net.parameters())


def test_a_fully_frozen_model_records_nothing():
    net = Net().requires_grad_(False)
    assert not net(tg.randn(4, 3)).requires_grad


# Conversion


class Convertible(nn.Module):
    def __init__(self):
        self.first = nn.Linear(3, 3)
        self.second = nn.Linear(3, 3)
        self.second.weight = self.first.weight
        self.norm = nn.BatchNorm1d(3)
        self.register_buffer("mask", tg.Tensor(np.array([1, 0, 1], np.int64)), persistent=False)
        self.second.bias.requires_grad = False

    def forward(self, x):
        return self.norm(self.second(self.first(x))) * self.mask


def test_to_converts_what_is_floating_point_and_nothing_else():
    model = Convertible()
    before, names = model.state_dict(), [name for name, _ in model.named_parameters()]
    assert model.to(np.float64) is model
    after = model.state_dict()
    assert list(after) == list(before)
    for name, value in before.items():
        wanted = np.float64 if value.dtype == np.float32 else value.dtype
        np.testing.assert_array_equal(after[name], value.astype(wanted), strict=True)
    assert [name for name, _ in model.named_parameters()] == names
    assert model.second.weight is model.first.weight
    assert [p.requires_grad for p in model.parameters()] == [name != "second.bias" for name in names]
    assert all(type(p) is nn.Parameter and p.is_leaf for p in model.parameters())
    assert model.mask.dtype == np.int64
    assert model(np.ones((2, 3))).dtype == np.float64
    kept = list(map(id, model.parameters()))
    assert list(map(id, model.to("float64").parameters())) == kept


def test_to_converts_gradients_and_training_goes_on_in_the_new_dtype():
    model = Convertible()
    model(tg.randn(4, 3)).sum().backward()
    before = {name: p.grad.numpy().astype(np.float64) for name, p in model.named_parameters() if p.grad is not None}
    model.to(np.float64)
    for name, p in model.named_parameters():
        if name in before:
            np.testing.assert_array_equal(p.grad.numpy(), before[name], strict=True)
    values = model.state_dict()
    tg.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1).step()
    np.testing.assert_array_equal(
        model.first.weight.numpy(), values["first.weight"] - 0.1 * before["first.weight"], strict=True
    )


@pytest.mark.parametrize("kind", [tg.optim.SGD, tg.optim.Adam, tg.optim.LBFGS])
def test_an_optimizer_from_before_says_so(kind):
    model = nn.Linear(3, 1)
    optimizer = kind(model.parameters(), lr=0.1)

    def closure():
        optimizer.zero_grad()
        loss = model(np.ones((2, 3), model.weight.dtype)).sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    model.to(np.float64)
    with pytest.raises(
        ValueError, match=r"parameter 0 of group 0 has become read-only; if its module was converted with"
    ):
        optimizer.step(closure)


def test_a_compiled_function_notices_the_conversion():
    model = nn.Linear(3, 2)
    run = tg.compile(lambda x: model(x))
    x = tg.ones(2, 3)
    with tg.no_grad():
        for _ in range(3):
            run(x)
        model.to(np.float16)
        model.weight.copy_(np.ones((2, 3)))
        for _ in range(3):
            np.testing.assert_array_equal(run(x).numpy(), model(x).numpy(), strict=True)


@pytest.mark.parametrize("dtype", [np.int64, "cuda", None, 3], ids=str)
def test_what_is_no_floating_dtype_is_refused(dtype):
    model = nn.Linear(2, 2)
    with pytest.raises(
        TypeError, match=r"Linear\.to: `dtype` is .*; it must be a floating-point dtype such as np\.float64"
    ):
        model.to(dtype)
    assert model.weight.dtype == np.float32


# Hooks


def test_hooks_see_and_replace_inputs_and_outputs():
    layer, seen = nn.Identity(), []
    before = layer.register_forward_pre_hook(lambda module, args: (args[0] + 1,))
    after = layer.register_forward_hook(lambda module, args, y: seen.append((module, args, y)))
    assert layer(1) == 2
    assert seen == [(layer, (2,), 2)]
    after.remove()
    after.remove()
    with layer.register_forward_hook(lambda module, args, y: y * 10):
        assert layer(1) == 20
    before.remove()
    with layer.register_forward_pre_hook(lambda module, args: 5):
        assert layer(1) == 5
    assert layer(1) == 1
    assert len(seen) == 1


def test_hooks_run_in_the_order_of_registration_and_may_remove_themselves():
    layer, order = nn.Identity(), []
    handles = [layer.register_forward_hook(lambda *_, i=i: (order.append(i), handles[i].remove())[0]) for i in range(3)]
    layer(0)
    layer(0)
    assert order == [0, 1, 2]


def test_keyword_arguments_reach_forward():
    class Power(nn.Module):
        def forward(self, x, *, exponent):
            return x**exponent

    assert Power()(3, exponent=2) == 9


# Text


def test_repr_is_a_tree():
    net = Net()
    net.nothing = nn.ReLU()
    net.nothing = None
    assert repr(net) == (
        "Net(\n"
        "  (first): Linear(in_features=3, out_features=2, bias=False)\n"
        "  (rest): Sequential(\n"
        "    (0): BatchNorm1d(2, eps=1e-05, momentum=0.1, affine=True, bias=True, track_running_stats=True)\n"
        "    (1): Dropout(p=0.5, inplace=False)\n"
        "  )\n"
        "  (nothing): None\n"
        ")"
    )


def test_extra_repr_stands_before_the_children():
    class Wide(nn.Module):
        def __init__(self, width):
            self.width = width
            self.layer = nn.Tanh()

        def extra_repr(self):
            return f"width={self.width}"

    assert repr(Wide(3)) == "Wide(\n  width=3\n  (layer): Tanh()\n)"
    wide = Wide(3)
    del wide.layer
    assert repr(wide) == "Wide(width=3)"


def test_flags_are_true_or_false():
    model = nn.Linear(2, 2)
    for call in (
        lambda: model.train("no"),
        lambda: model.train(None),
        lambda: model.requires_grad_("no"),
        lambda: model.weight.requires_grad_(0),
        lambda: setattr(model.weight, "requires_grad", "False"),
        lambda: tg.Tensor([1.0], requires_grad="no"),
        lambda: tg.zeros(2, requires_grad="no"),
        lambda: nn.Parameter([1.0], requires_grad="no"),
    ):
        with pytest.raises(TypeError, match="it must be True or False"):
            call()
    assert model.training
    assert model.weight.requires_grad
