"""Running statistics of averaged weights: measured anew against sums written out, and averaged with the weights."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_cnn as tg
from tinygrad_cnn import nn
from tinygrad_cnn.optim import EMA, update_bn

from .common import assert_same

EPS = 1e-5


def network(rng, dtype=np.float64):
    model = nn.Sequential(
        nn.Linear(3, 4, dtype=dtype), nn.BatchNorm1d(4, dtype=dtype), nn.ReLU(), nn.Linear(4, 2, dtype=dtype),
        nn.BatchNorm1d(2, momentum=None, affine=False, dtype=dtype),
    )  # fmt: skip
    for p in [*model.parameters(), *model.buffers()]:
        if p.dtype.kind == "f":
            p.copy_(rng.uniform(0.5, 2, p.shape))
    return model


def state(model):
    return {name: array.copy() for name, array in model.state_dict().items()}


@given(seed=st.integers(0, 2**32 - 1), sizes=st.lists(st.integers(2, 5), min_size=1, max_size=4))
def test_the_statistics_are_plain_means_over_the_batches(seed, sizes):
    """As torch.optim.swa_utils.update_bn: each batch with its own moments, passed on as in training."""
    rng = np.random.default_rng(seed)
    model = network(rng)
    batches = [rng.normal(size=(n, 3)) for n in sizes]
    first, norm, _, second, last = model
    means, variances = ([], []), ([], [])
    for x in batches:
        h = x @ first.weight.numpy().T + first.bias.numpy()
        means[0].append(h.mean(0))
        variances[0].append(h.var(0, ddof=1))
        h = (h - h.mean(0)) / np.sqrt(h.var(0) + EPS) * norm.weight.numpy() + norm.bias.numpy()
        h = np.maximum(h, 0) @ second.weight.numpy().T + second.bias.numpy()
        means[1].append(h.mean(0))
        variances[1].append(h.var(0, ddof=1))
    parameters = [p.tolist() for p in model.parameters()]
    update_bn([(x, np.zeros(len(x))) for x in batches], model)
    for layer, mean, var in zip((norm, last), means, variances, strict=True):
        np.testing.assert_allclose(layer.running_mean.numpy(), np.mean(mean, axis=0), rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(layer.running_var.numpy(), np.mean(var, axis=0), rtol=1e-9, atol=1e-12)
        assert layer.num_batches_tracked.item() == len(sizes)
    assert [p.tolist() for p in model.parameters()] == parameters


def test_a_batch_may_be_an_array_a_list_or_a_tuple_with_a_target():
    rng = np.random.default_rng(0)
    x, found = rng.normal(size=(6, 3)), []
    model = network(rng)
    for batch in (x, tg.Tensor(x), [x], (x,), (x, None), (x, np.zeros(6))):
        update_bn(iter([batch]), model)
        found.append(state(model))
    for other in found[1:]:
        assert_same(found[0], other)


def test_a_layer_that_is_called_twice_counts_both_calls_and_empty_batches_count_for_nothing():
    layer = nn.BatchNorm1d(1, dtype=np.float64)

    class Twice(nn.Module):
        def __init__(self):
            self.norm = layer

        def forward(self, x):
            self.norm(x)
            return self.norm(x + 10)

    x = np.array([[0.0], [2.0]])
    update_bn([x[:0], x, x + 4], Twice())
    assert layer.running_mean.tolist() == [np.mean([1, 11, 5, 15])]
    assert layer.running_var.tolist() == [2]


def test_modes_momentums_and_hooks_are_as_before_and_running_instance_statistics_are_measured():
    model = nn.Sequential(
        nn.InstanceNorm1d(2, track_running_stats=True), nn.BatchNorm1d(2, momentum=0.25), nn.Dropout()
    )
    model[1].eval()
    modes = [module.training for module in model.modules()]
    x = np.arange(24.0, dtype=np.float32).reshape(3, 2, 4)
    update_bn([x], model)
    assert [module.training for module in model.modules()] == modes
    assert [module.momentum for module in model[:2]] == [0.1, 0.25]
    model.eval()(3 * x)  # no hook measures any more
    np.testing.assert_allclose(model[0].running_mean.numpy(), x.mean((0, 2)))
    np.testing.assert_allclose(model[0].running_var.numpy(), x.var(2, ddof=1).mean(0))


def test_a_model_without_statistics_is_not_called():
    def batches():
        raise AssertionError("iterated")
        yield

    update_bn(batches(), nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2, track_running_stats=False)))


@pytest.mark.parametrize(
    ("loader", "error", "message"),
    [
        ([], ValueError, "`loader` gave no batch; is it empty, or an iterator that was used before?"),
        ([{"x": np.zeros((2, 3))}], TypeError, "a batch is a dict; give the model's arguments alone"),
        ([np.zeros((2, 3)), (3, 4)], TypeError, "a batch has a int in it; its parts must be arrays"),
        (np.zeros((2, 3)), TypeError, "`loader` is a ndarray; it must give batches: put one batch in a list"),
        ((np.float32(1), np.float32(2)), TypeError, "a batch has a float32 in it"),
        (3, TypeError, "`loader` is a int; it must give batches"),
        ([np.zeros((2, 3)), np.zeros((2, 4))], ValueError, "4"),
        ([np.zeros((2, 3)), (np.zeros((2, 3)), np.zeros((2, 3)), None)], TypeError, "positional argument"),
    ],
)
def test_an_error_leaves_everything_as_it_was(loader, error, message):
    model = network(np.random.default_rng(0)).eval()
    before = state(model)
    with pytest.raises(error, match=message):
        update_bn(loader, model)
    assert_same(before, state(model))
    assert not any(module.training for module in model.modules())
    assert model[1].momentum == 0.1


def test_the_arguments_exchanged_and_no_model():
    model = network(np.random.default_rng(0))
    with pytest.raises(TypeError, match="`model` is a list; it must be a module of .*; the loader comes first"):
        update_bn(model, [])
    with pytest.raises(TypeError, match=r"`model` is a int; it must be a module of tinygrad_cnn\.nn$"):
        update_bn([], 3)


def steps(model, rng, count=5):
    model.train()
    for _ in range(count):
        model(rng.normal(size=(6, 3)) + 3)
        for p in model.parameters():
            p.copy_(p.numpy() + rng.normal(size=p.shape))
        yield state(model)


@pytest.mark.parametrize("use_buffers", [True, False])
def test_the_average_of_a_model_has_its_buffers(use_buffers):
    """As torch.optim.swa_utils.AveragedModel: averaged like the parameters, or those of the last update."""
    rng, decay = np.random.default_rng(0), 0.75
    model = network(rng)
    ema = EMA(model, decay, use_buffers=use_buffers)
    expected = state(model)
    for now in steps(model, rng):
        ema.update()
        for name, value in now.items():
            copied = value.dtype.kind != "f" or ("running" in name and not use_buffers)
            expected[name] = value if copied else decay * expected[name] + (1 - decay) * value
    raw = state(model)
    with ema:
        for name, value in state(model).items():
            np.testing.assert_allclose(value, expected[name], rtol=1e-12, atol=1e-12, err_msg=name)
    assert_same(raw, state(model))


def test_statistics_that_are_measured_in_a_block_belong_to_the_average():
    rng = np.random.default_rng(0)
    model = network(rng)
    ema = EMA(model, 0.75, use_buffers=False)
    for _ in steps(model, rng):
        ema.update()
    raw, batches = state(model), [rng.normal(size=(8, 3)) + 3 for _ in range(3)]
    with ema:
        update_bn(batches, model)
        measured = state(model)
    assert_same(raw, state(model))
    with ema:
        assert_same(measured, state(model))
    assert not np.allclose(measured["1.running_mean"], raw["1.running_mean"])


def test_an_average_of_a_model_is_saved_and_resumed():
    first, second = network(np.random.default_rng(0)), network(np.random.default_rng(1))
    a, b = EMA(first, 0.5), EMA(second, 0.25)
    for _ in steps(first, np.random.default_rng(2)):
        a.update()
    b.load_state_dict(a.state_dict())
    assert_same(a.state_dict(), b.state_dict())
    with a, b:
        assert_same(state(first), state(second))
    with pytest.raises(ValueError, match="it must be a list of 12 arrays"):
        a.load_state_dict(EMA(first.parameters()).state_dict())
