"""Frozen models: the outputs of the model, whatever changes, within the roundings of folded weights; or an error."""

from __future__ import annotations

import copy
import gc
import pickle
import threading
import weakref
from importlib import import_module

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import nn
from tinygrad_cnn.compile.layers import LAYERS
from tinygrad_cnn.compile.rules import Rules
from tinygrad_cnn.core import tracing
from tinygrad_cnn.core.acceleration import accelerate

from ..nn.cases import CASES
from ..nn.test_layers import made

CONV = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
TURNED = {1: nn.ConvTranspose1d, 2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}
NORM = {1: nn.BatchNorm1d, 2: nn.BatchNorm2d, 3: nn.BatchNorm3d}
NO_INPUT = {"Dropout1d": (2, 3, 4), "Dropout3d": (2, 3, 4, 4, 4)}
"""The shapes of inputs for layers that have none in the table, as they draw in training."""


def drawn(model, seed=0):
    """The model in evaluation, with random weights and statistics."""
    rng = np.random.default_rng(seed)
    with tg.no_grad():
        for name, value in (*model.named_parameters(), *model.named_buffers()):
            if value.dtype.kind == "f":
                noise = rng.uniform(0.3, 1.5, value.shape) if "running_var" in name else rng.normal(size=value.shape)
                value.copy_(noise.astype(value.dtype))
    return model.eval()


def images(seed, *shape, dtype=np.float32):
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


def network():
    """Two runs of layers, with a block between them whose forward is the user's."""

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.Sequential(nn.Conv2d(6, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6), nn.ReLU())
            self.scale = 1.0

        def forward(self, x):
            return x + self.scale * self.layers(x)

    first = nn.Sequential(nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU6(), nn.Dropout(0.5))
    return nn.Sequential(first, Block(), nn.BatchNorm2d(6), nn.ReLU(), nn.Flatten(), nn.Linear(216, 5))


class Attention(nn.Module):
    """Layers that a forward calls itself, one of them twice, a convolution among them."""

    def __init__(self):
        super().__init__()
        self.patches, self.norm = nn.Conv2d(3, 8, 2, 2), nn.LayerNorm(8)
        self.inward, self.outward, self.last = nn.Linear(8, 24), nn.Linear(8, 8), nn.Linear(8, 40)
        self.scale = 1.0

    def forward(self, x):
        x = self.norm(self.patches(x).reshape((x.shape[0], 8, -1)).swapaxes(1, 2))
        q, k, v = tg.split(self.inward(x), 3, axis=-1)
        x = x + self.scale * self.outward(tg.scaled_dot_product_attention(q, k, v))
        return self.last(self.norm(x))


def plain(model, x):
    with tg.no_grad():
        return model(tg.Tensor(x)).numpy()


def assert_near(actual, expected):
    np.testing.assert_allclose(actual, expected, rtol=0, atol=2e-5 * abs(expected).max(initial=1.0))


def assert_frozen(predict, model, *shape, calls=4, dtype=np.float32):
    """New inputs give the outputs of the model, recorded, prepared and repeated."""
    for seed in range(calls):
        x = images(seed, *shape, dtype=dtype)
        assert_near(predict(x).numpy(), plain(model, x))


@pytest.mark.parametrize("case", [case for case in CASES if getattr(nn, case.name) in LAYERS], ids=str)
def test_every_layer_that_is_prepared(case):
    layer = drawn(made(case))
    model = nn.Sequential(nn.Identity(), layer).eval()
    predict = tg.compile(model, freeze=True)
    for seed in range(4):
        (x,) = case.arrays(np.random.default_rng(seed)) or [images(seed, *NO_INPUT.get(case.name, (2, 3, 4, 4)))]
        x = x.astype(np.float32)
        with tg.no_grad():
            expected, found = model(tg.Tensor(x)), predict(x)
        for a, b in zip(*(y if isinstance(y, tuple) else (y,) for y in (found, expected)), strict=True):
            assert a.dtype == b.dtype
            np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-5, atol=1e-5)


def _pairs():
    for n in (1, 2, 3):
        sizes = (5, 4, 3)[:n]
        yield f"convolution {n}-d", CONV[n](4, 6, 2, padding=1, groups=2), NORM[n](6), (2, 4, *sizes)
        yield f"transposed {n}-d", TURNED[n](4, 6, 2, stride=2), NORM[n](6), (2, 4, *sizes)
        yield (
            f"transposed {n}-d, groups",
            TURNED[n](4, 6, 2, groups=2, bias=False),
            NORM[n](6, affine=False),
            (2, 4, *sizes),
        )
    yield "linear", nn.Linear(4, 6), nn.BatchNorm1d(6), (3, 4)
    yield "linear of three axes", nn.Linear(4, 3, bias=False), nn.BatchNorm1d(3), (2, 3, 4)
    yield (
        "padding of another mode",
        nn.Conv2d(4, 6, 3, padding=1, padding_mode="reflect"),
        nn.BatchNorm2d(6),
        (2, 4, 5, 5),
    )
    yield "no statistics", nn.Conv2d(4, 6, 3), nn.BatchNorm2d(6, track_running_stats=False), (2, 4, 5, 5)


@pytest.mark.parametrize("pair", [*_pairs()], ids=lambda pair: pair[0])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_norm_behind_a_layer(pair, dtype):
    """Within roundings of sum |w x| |scale| + |mean scale| + |shift|, beside float64."""
    _, layer, norm, shape = copy.deepcopy(pair)
    model = drawn(nn.Sequential(layer, norm)).to(dtype)
    exact = copy.deepcopy(model).to(np.float64)
    bound = copy.deepcopy(exact)
    if norm.running_mean is not None:
        scale = exact[1].weight if exact[1].weight is not None else tg.ones(exact[1].num_features, dtype=np.float64)
        for values, sign in ((bound[0].weight, 1), (bound[0].bias, 1), (bound[1].running_mean, -1), (bound[1].bias, 1)):
            if values is not None:
                values.copy_(sign * np.abs(values.numpy()))
        if bound[1].weight is not None:
            bound[1].weight.copy_(np.abs(scale.numpy()))
    predict = tg.compile(model, freeze=True)
    for seed in range(4):
        x = images(seed, *shape, dtype=dtype)
        error = abs(predict(x).numpy().astype(np.float64) - plain(exact, x.astype(np.float64)))
        size = plain(bound, abs(x).astype(np.float64)) if norm.running_mean is not None else 20.0
        assert (error <= 16 * np.finfo(dtype).eps * size).all()


LEAF_CHANGES = {
    "copy_": lambda model: model.inward.weight.copy_(images(9, 24, 8)),
    "assignment to a part": tg.no_grad()(lambda model: model.norm.weight.__setitem__(2, 3.0)),
    "load_state_dict": lambda model: model.load_state_dict(drawn(Attention(), 7).state_dict()),
    "another parameter": lambda model: setattr(model.last, "weight", nn.Parameter(images(9, 40, 8))),
    "another layer": lambda model: setattr(model, "outward", drawn(nn.Linear(8, 8), 5)),
    "exchanged layers": lambda model: vars(model).update(outward=drawn(nn.Linear(8, 8), 3), norm=nn.Identity().eval()),
    "eps": lambda model: setattr(model.norm, "eps", 2.0),
    "no bias": lambda model: setattr(model.patches, "bias", None),
    "the user's attribute": lambda model: setattr(model, "scale", 3.0),
    "a hook": lambda model: model.inward.register_forward_hook(lambda module, args, y: 2 * y),
    "a hook before": lambda model: model.patches.register_forward_pre_hook(lambda module, args: (args[0] + 1,)),
    "forward of an object": lambda model: setattr(model.outward, "forward", lambda x: 2 * x),
    "a computed weight": lambda model: nn.utils.parametrize.register_parametrization(model.last, "weight", nn.ReLU()),
    "training mode": lambda model: model.norm.train() and setattr(model.norm, "eps", 2.0),
}


@pytest.mark.filterwarnings("ignore:a float64 value meets")
@pytest.mark.whole
@pytest.mark.parametrize("change", LEAF_CHANGES)
def test_layers_that_a_forward_calls(change):
    model = drawn(Attention())
    predict = tg.compile(model, freeze=True)
    assert_frozen(predict, model, 2, 3, 8, 8)
    assert predict.describe().count("linear(") == 3
    x = images(1, 2, 3, 8, 8)
    before = predict(x).numpy()
    LEAF_CHANGES[change](model)
    assert_frozen(predict, model, 2, 3, 8, 8)
    assert_frozen(predict, model, 3, 3, 4, 8)
    assert_frozen(predict, model, 2, 3, 8, 8, dtype=np.float64)
    assert abs(predict(x).numpy() - before).max() > 1e-3


@pytest.mark.parametrize("make", [network, Attention])
def test_a_call_while_layers_are_prepared_anew(make, monkeypatch):
    """As by a signal handler: it has the new weights, and later calls, too."""
    model = drawn(make())
    predict = tg.compile(model, freeze=True)
    assert_frozen(predict, model, 2, 3, 8, 8)
    model.load_state_dict(drawn(make(), 7).state_dict())
    inner, x = [], images(0, 2, 3, 8, 8)

    def between(real):
        def prepare(layers):
            if not inner and type(layers) is not nn.Conv2d:
                inner.append(None)
                inner.extend(predict(x).numpy() for _ in range(3))
            return real(layers)

        return prepare

    room = import_module("tinygrad_cnn.compile.frozen")
    monkeypatch.setattr(room, "folded", between(room.folded))
    monkeypatch.setattr(room, "transposed", between(room.transposed))
    assert_near(predict(x).numpy(), plain(model, x))
    assert len(inner) == 4
    for y in inner[1:]:
        assert_near(y, plain(model, x))
    assert_frozen(predict, model, 2, 3, 8, 8)


def test_a_layer_that_a_forward_makes_is_freed():
    made = []

    class Maker(nn.Module):
        def forward(self, x):
            layer = drawn(nn.Linear(4, 3))
            made.append(weakref.ref(layer))
            return layer(x)

    model = Maker().eval()
    predict = tg.compile(model, freeze=True)
    for seed in range(3):
        x = images(seed, 2, 4)
        assert_near(predict(x).numpy(), plain(model, x))
    assert not any(layer() for layer in made)


@pytest.mark.filterwarnings("ignore:a float64 value meets")
def test_what_is_not_folded():
    """Inputs without a batch, and in another dtype; norms in another dtype, and of which the weights would be infinite."""
    layers = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)
    predict = tg.compile(drawn(nn.Sequential(*layers)), freeze=True)
    x = images(0, 2, 3, 6, 6, dtype=np.float64)
    for _ in range(3):
        with pytest.raises(ValueError, match=r"BatchNorm2d: `x` has shape"):
            predict(x[0].astype(np.float32))
        np.testing.assert_allclose(predict(x).numpy(), plain(nn.Sequential(*layers), x), rtol=1e-11, atol=1e-12)
    mixed = drawn(nn.Sequential(layers[0], nn.BatchNorm2d(4, dtype=np.float64)))
    for dtype in (np.float32, np.float64):
        y = tg.compile(mixed, freeze=True)(x.astype(dtype))
        assert y.dtype == mixed(tg.Tensor(x.astype(dtype))).dtype
        np.testing.assert_allclose(y.numpy(), plain(mixed, x.astype(dtype)), rtol=1e-6)
    with tg.no_grad():  # a scaled filter is infinite in float32, and the outputs are not
        layers[0].weight.copy_(1e10 * layers[0].weight)
        layers[1].weight.copy_(1e30)
        layers[0].bias.copy_(0.0)
        layers[1].running_mean.copy_(0.0)
    few = (1e-20 * x).astype(np.float32)
    expected = plain(nn.Sequential(*layers), few)
    assert np.isfinite(expected).all()
    np.testing.assert_allclose(predict(few).numpy(), expected, rtol=1e-5)


def test_norms_are_folded_and_a_run_is_one_list():
    model = drawn(network())
    predict = tg.compile(model, freeze=True)
    assert not predict.summary
    assert_frozen(predict, model, 2, 3, 8, 8)
    text = predict.describe()
    assert text.count("convolve(") == 2
    assert predict.summary in text
    folded = text.split("layers: ")[1:3]
    assert not any("norm" in part for part in folded if "convolve(" in part)


def _written(model):
    model[0][0].weight.copy_(images(9, 6, 3, 3, 3))


def _loaded(model):
    model.load_state_dict(drawn(network(), 7).state_dict())


def _trained(model):
    optimizer = tg.optim.SGD(model.parameters(), lr=0.1)
    model(tg.Tensor(images(5, 2, 3, 8, 8))).sum().backward()
    optimizer.step()


def _replaced(model):
    model[1].layers[0].weight = nn.Parameter(images(9, 6, 6, 3, 3))


def _assigned(model):
    with tg.no_grad():
        model[5].weight[2] = 3.0


def _trained_norm(model):
    model.train()
    model(tg.Tensor(images(5, 2, 3, 8, 8)))
    model.eval()


def _hook(model):
    model[1].layers[1].register_forward_hook(lambda module, args, y: 2 * y)


def _pre_hook(model):
    model[0][1].register_forward_pre_hook(lambda module, args: (args[0] + 1,))


def _forward(model):
    model[4].forward = lambda x: 2 * x.reshape((x.shape[0], -1))


def _parametrized(model):
    nn.utils.parametrize.register_parametrization(model[5], "weight", nn.ReLU())


CHANGES = {
    "copy_": _written,
    "load_state_dict": _loaded,
    "optimizer": _trained,
    "another parameter": _replaced,
    "assignment to a part": _assigned,
    "running statistics": _trained_norm,
    "a buffer": lambda model: setattr(model[2], "running_mean", tg.Tensor(images(3, 6))),
    "eps": lambda model: setattr(model[0][1], "eps", 2.0),
    "stride": lambda model: setattr(model[0][0], "padding", (0, 0)) or setattr(model[0][0], "dilation", (1, 1)),
    "another layer": lambda model: setattr(model[0], "2", nn.Sigmoid().eval()),
    "a layer more": lambda model: model.append(nn.Tanh().eval()),
    "a layer less": lambda model: model[0].__delitem__(1),
    "the user's attribute": lambda model: setattr(model[1], "scale", 3.0),
    "a hook": _hook,
    "a hook before": _pre_hook,
    "a hook of the last layer": lambda model: model[0][3].register_forward_hook(lambda module, args, y: 2 * y),
    "forward of an object": _forward,
    "a computed weight": _parametrized,
    "no bias": lambda model: setattr(model[0][0], "bias", None),
    "memory shared with NumPy": lambda model: setattr(model[2], "weight", nn.Parameter(images(4, 6))),
}


@pytest.mark.whole
@pytest.mark.parametrize("change", CHANGES)
def test_what_changes_is_seen(change):
    model = drawn(network())
    predict = tg.compile(model, freeze=True)
    assert_frozen(predict, model, 2, 3, 8, 8)
    x = images(1, 2, 3, 8, 8)
    before = predict(x).numpy()
    CHANGES[change](model)
    assert_frozen(predict, model, 2, 3, 8, 8)
    if change != "stride":
        assert abs(predict(x).numpy() - before).max() > 1e-3


def test_a_layer_in_training_mode_and_classes_that_are_changed(monkeypatch):
    model = drawn(network())
    predict = tg.compile(model, freeze=True)
    assert_frozen(predict, model, 2, 3, 8, 8)
    model[0][1].train()  # the moments of the batch
    x = images(1, 2, 3, 8, 8)
    mean = model[0][1].running_mean.numpy().copy()
    assert_near(predict(x).numpy(), plain(model, x))
    assert abs(model[0][1].running_mean.numpy() - mean).max() > 0
    model.eval()
    assert_frozen(predict, model, 2, 3, 8, 8)
    with monkeypatch.context() as patch:
        call = nn.ReLU6.__call__
        patch.setattr(nn.ReLU6, "__call__", lambda self, x: 2 * call(self, x))
        assert_frozen(predict, model, 2, 3, 8, 8)
    monkeypatch.setattr(nn.Flatten, "forward", lambda self, x: -x.reshape((x.shape[0], -1)))
    assert_near(tg.compile(model, freeze=True)(x).numpy(), plain(model, x))
    assert_frozen(predict, model, 2, 3, 8, 8)
    assert_near(predict(x).numpy(), plain(model, x))


def test_attributes_and_memory_that_change_places():
    model = drawn(nn.Sequential(nn.Conv2d(3, 3, 3), nn.BatchNorm2d(3), nn.ReLU()))
    predict = tg.compile(model, freeze=True)
    assert_frozen(predict, model, 2, 3, 5, 5)
    norm = model[1]
    norm.weight, norm.bias = norm.bias, norm.weight
    assert_frozen(predict, model, 2, 3, 5, 5)
    attributes = vars(norm)  # the same values in the same order, under other names
    swapped = {"weight": "bias", "bias": "weight"}
    items = [(swapped.get(name, name), value) for name, value in attributes.items()]
    attributes.clear()
    attributes.update(items)
    assert_frozen(predict, model, 2, 3, 5, 5)
    norm.running_mean[0] = 5.0  # in other memory
    assert_frozen(predict, model, 2, 3, 5, 5)


def test_kernels_that_are_attached_later_and_sizes_that_do_not_fit():
    model = drawn(nn.Sequential(nn.Linear(4, 3), nn.SiLU()))
    predict = tg.compile(model, freeze=True)
    assert_frozen(predict, model, 2, 4)
    with pytest.raises(ValueError, match=r"Linear: `x` has shape \(2, 5\); its last axis must be `in_features` 4"):
        predict(images(0, 2, 5))
    op = tg.silu.op
    before = op.prepare

    def prepare(out, a):
        y = np.empty_like(a) if out is None else out
        return lambda: np.multiply(a, 0, y)

    accelerate(tg.silu, prepare, along=op.along)
    try:
        assert not predict(images(0, 2, 4)).numpy().any()
    finally:
        accelerate(tg.silu, before, along=op.along)
    assert_frozen(predict, model, 2, 4)


def test_a_hook_that_is_removed():
    model = drawn(network())
    predict = tg.compile(model, freeze=True)
    assert_frozen(predict, model, 2, 3, 8, 8)
    handle = model[0][1].register_forward_hook(lambda module, args, y: y + 1)
    assert_frozen(predict, model, 2, 3, 8, 8)
    handle.remove()
    assert_frozen(predict, model, 2, 3, 8, 8)


def test_shared_layers_and_weights():
    conv, norm, other = nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3), nn.BatchNorm2d(3)
    tied = nn.Conv2d(3, 3, 3, padding=1)
    tied.weight = conv.weight
    inner = nn.Sequential(conv, norm, nn.ReLU())
    model = drawn(nn.Sequential(inner, conv, other, tied, norm, inner))
    predict = tg.compile(model, freeze=True)
    assert_frozen(predict, model, 2, 3, 5, 5)
    conv.weight.copy_(images(8, 3, 3, 3, 3))
    assert_frozen(predict, model, 2, 3, 5, 5)


@pytest.mark.filterwarnings("ignore:a float64 value meets")
def test_inputs_of_other_forms():
    model = drawn(network())
    predict = tg.compile(model, freeze=True, cache_size=2)
    for n in (2, 0, 1, 3, 2):
        assert_frozen(predict, model, n, 3, 8, 8, calls=3)
    x = images(1, 2, 3, 16, 8)
    last = np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)
    for same in (
        x[:, :, ::2],
        x[:, :, ::-2],
        last[:, :, ::2],
        x[:, :, ::2].astype(np.float64),
        x[:, :, ::2].astype(">f4"),
    ):
        for _ in range(3):
            y = predict(same)
            assert y.dtype == model(tg.Tensor(same)).dtype
            assert_near(y.numpy(), plain(model, same))
    integers = np.arange(2 * 3 * 64).reshape(2, 3, 8, 8) % 5
    assert_near(predict(integers).numpy(), plain(model, integers))
    for wrong in (images(0, 2, 4, 8, 8), images(0, 3, 8, 8)):
        with pytest.raises(ValueError, match="shape|channels"):
            predict(wrong)
    assert_frozen(predict, model, 2, 3, 8, 8)


def test_outputs_belong_to_the_caller():
    model = drawn(nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten()))
    for n in (1, 300):  # copied from the program's memory, or made in new
        predict = tg.compile(model, freeze=True)
        given = [tg.Tensor(images(seed, n, 1, 9, 9)) for seed in range(6)]
        kept = [x.numpy().copy() for x in given]
        found = [predict(x) for x in given]
        copies = [y.numpy().copy() for y in found]
        for x, y, before, after in zip(given, found, kept, copies, strict=True):
            np.testing.assert_array_equal(x.numpy(), before)
            np.testing.assert_array_equal(y.numpy(), after)
            assert_near(after, plain(model, before))
            y.copy_(0.0)
    x = tg.Tensor(images(0, 2, 3))
    same = tg.compile(nn.Sequential(nn.Identity(), nn.Dropout(0.5)).eval(), freeze=True)
    assert all(same(x) is x for _ in range(4))


def test_the_same_bits_in_every_call():
    model = drawn(network())
    x = tg.Tensor(images(0, 2, 3, 8, 8))
    predict = tg.compile(model, freeze=True)
    first = predict(x).numpy()
    for _ in range(4):
        np.testing.assert_array_equal(predict(x).numpy(), first)


def test_the_same_bits_in_a_call_while_a_backward_pass_is_recorded():
    model = drawn(nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU()))
    frozen = tg.compile(model, freeze=True)
    x = tg.Tensor(np.random.default_rng(0).normal(size=(2, 3, 6, 6)).astype(np.float32))
    outputs = [frozen(x) for _ in range(4)]
    with tracing.trace(Rules(None, [None], [])):  # as for a signal handler
        outputs.append(frozen(x))
    with tg.no_grad():
        assert not np.array_equal(model(x).numpy(), outputs[0].numpy())  # the norm is folded
    assert len({y.numpy().tobytes() for y in outputs}) == 1


def test_gradients_are_refused_or_right():
    model = drawn(network())
    predict = tg.compile(model, freeze=True)
    x = tg.Tensor(images(0, 2, 3, 8, 8), requires_grad=True)
    for call in (
        lambda: predict(x),
        lambda: predict(x=x),
        lambda: predict(2 * x),
        lambda: tg.grad(lambda x: predict(x).sum())(x.detach()),
        lambda: tg.jvp(predict, (x.detach(),), (x.detach(),)),
    ):
        with pytest.raises(RuntimeError, match="requires a gradient"):
            call()
    with tg.no_grad():
        assert not predict(x).requires_grad
    assert not predict(x.detach()).requires_grad

    class Saliency(nn.Module):
        def __init__(self):
            super().__init__()
            self.model = model

        def forward(self, x):
            with tg.enable_grad():
                leaf = tg.Tensor(x, requires_grad=True)
                return tg.gradients(self.model(leaf).sum(), [leaf])[0]

    saliency = Saliency().eval()
    frozen = tg.compile(saliency, freeze=True)
    for seed in range(4):
        x = tg.Tensor(images(seed, 2, 3, 8, 8))
        np.testing.assert_array_equal(frozen(x).numpy(), saliency(x).numpy())


def test_vmap():
    model = drawn(network())
    predict = tg.compile(model, freeze=True)
    assert_frozen(predict, model, 2, 3, 8, 8)
    x = images(5, 3, 2, 3, 8, 8)
    for y, each in zip(tg.vmap(predict)(x).numpy(), x, strict=True):
        assert_near(y, plain(model, each))
    assert_frozen(predict, model, 2, 3, 8, 8)


def test_errors():
    model = network()
    with pytest.raises(ValueError, match=r"Sequential is in training mode.*eval\(\)"):
        tg.compile(model, freeze=True)
    with pytest.raises(TypeError, match=r"`freeze` is 1; it must be True or False"):
        tg.compile(model, freeze=1)
    with pytest.raises(TypeError, match=r"`function` is a function; with freeze=True it must be an nn.Module"):
        tg.compile(lambda x: x, freeze=True)
    predict = tg.compile(freeze=True)(drawn(model))
    x = images(0, 2, 3, 8, 8)
    predict(x)
    model.train()
    with pytest.raises(RuntimeError, match=r"training mode; call its eval\(\) first"):
        predict(x)
    model.eval()
    assert_frozen(predict, model, 2, 3, 8, 8)


def test_complex_numbers():
    layers = nn.Sequential(nn.Linear(3, 4, dtype=np.complex128), nn.Linear(4, 2, dtype=np.complex128)).eval()
    z = images(0, 5, 3) + 1j * images(1, 5, 3)
    predict = tg.compile(layers, freeze=True)
    for _ in range(4):
        np.testing.assert_allclose(predict(z).numpy(), plain(layers, z), rtol=1e-12)


def test_copies():
    model = drawn(nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU()))
    predict = tg.compile(model, freeze=True)
    assert_frozen(predict, model, 2, 1, 5, 5)
    for copied in (copy.deepcopy(predict), pickle.loads(pickle.dumps(predict))):
        assert_frozen(copied, model, 2, 1, 5, 5)
        next(copied.parameters()).copy_(0.0)  # the copy's own
        assert_frozen(predict, model, 2, 1, 5, 5)
        x = images(0, 2, 1, 5, 5)
        assert abs(copied(x).numpy() - predict(x).numpy()).max() > 1e-3
    predict.clear()
    assert not predict.summary
    assert_frozen(predict, model, 2, 1, 5, 5)


@pytest.mark.parametrize(
    ("make", "hook"),
    [
        (network, lambda model: model[1].register_forward_hook),
        (Attention, lambda model: model.outward.register_forward_pre_hook),
    ],
    ids=["runs of layers", "single layers"],
)
def test_threads_and_calls_in_between(make, hook):
    """Other threads, and a hook, that call the model meanwhile: all calls give the same bits."""
    model = drawn(make())
    predict = tg.compile(model, freeze=True)
    given = [images(seed, 2, 3, 8, 8) for seed in range(4)]
    expected = [predict(x).numpy() for x in given]
    wrong = []

    def run(x, y):
        wrong.extend(i for i in range(30) if not np.array_equal(predict(x).numpy(), y))

    threads = [threading.Thread(target=run, args=pair) for pair in zip(given, expected, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    inner = []
    hook(model)(lambda *_: None if inner else inner.append(1) or inner.append(predict(given[1]).numpy()))
    np.testing.assert_array_equal(predict(given[0]).numpy(), expected[0])
    np.testing.assert_array_equal(inner[1], expected[1])


def test_a_frozen_model_is_freed_without_the_garbage_collector():
    model = drawn(network())
    predict = tg.compile(model, freeze=True)
    assert_frozen(predict, model, 2, 3, 8, 8)
    freed = [weakref.ref(each) for each in (predict, model, model[0], model[0][0])]
    gc.disable()
    try:
        del predict, model
        assert [each() for each in freed] == [None] * 4
    finally:
        gc.enable()
