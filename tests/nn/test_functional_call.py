"""A module as a function of its parameters: gradients, batches of parameters, compiled, and what is refused."""

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import nn


@pytest.fixture
def model():
    tg.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.BatchNorm1d(4).eval(), nn.Linear(4, 2))


X = tg.Tensor(np.linspace(-1, 1, 15).reshape(5, 3).astype(np.float32))


def parameters(model, scale=1.0):
    return {name: p.detach() * scale for name, p in model.named_parameters()}


def test_it_is_the_module_with_these_parameters(model):
    state = {k: v.copy() for k, v in model.state_dict().items()}
    doubled = parameters(model, 2.0)
    found = nn.functional_call(model, doubled, (X,))
    np.testing.assert_array_equal(nn.functional_call(model, {}, X).detach(), model(X).detach())
    assert all(np.array_equal(v, state[k]) for k, v in model.state_dict().items())
    model.load_state_dict({**state, **{k: v.numpy() for k, v in doubled.items()}})
    np.testing.assert_array_equal(found.detach(), model(X).detach())


def test_gradients_are_those_of_backward(model):
    model(X).sum().backward()
    found = tg.grad(lambda p: nn.functional_call(model, p, X).sum())(parameters(model))
    for name, p in model.named_parameters():
        np.testing.assert_allclose(found[name], p.grad, rtol=1e-6)


def test_a_batch_of_parameters(model):
    many = {k: tg.stack([v, v * 2, v * 3]) for k, v in parameters(model).items()}
    found = tg.vmap(lambda p: nn.functional_call(model, p, X))(many)
    for i in range(3):
        one = nn.functional_call(model, {k: v[i] for k, v in many.items()}, X)
        np.testing.assert_allclose(found[i].detach(), one.detach(), rtol=1e-5, atol=1e-6)


def test_compiled(model):
    step = tg.compile(lambda p, x: tg.grad(lambda p: nn.functional_call(model, p, x).sum())(p))
    for scale in (1.0, 2.0, 3.0):
        p = parameters(model, scale)
        expected = tg.grad(lambda p: nn.functional_call(model, p, X).sum())(p)
        for name, g in step(p, X).items():
            np.testing.assert_array_equal(g, expected[name])


def test_shared_parameters_and_buffers():
    layer = nn.Linear(2, 2, bias=False)
    twice, x = nn.Sequential(layer, layer), tg.ones(1, 2)
    assert nn.functional_call(twice, {"0.weight": tg.ones(2, 2)}, x).tolist() == [[4, 4]]
    norm = nn.BatchNorm1d(2, affine=False).eval()
    found = nn.functional_call(
        norm, {"running_mean": tg.ones(2), "running_var": tg.full((2,), 4.0)}, tg.full((1, 2), 3.0)
    )
    np.testing.assert_allclose(found, [[1, 1]], rtol=1e-5)


def test_what_is_refused_changes_nothing(model):
    before = dict(model.named_parameters())
    with pytest.raises(KeyError, match="no parameter or buffer 'weight'; it has 0.weight, 0.bias"):
        nn.functional_call(model, {"0.weight": tg.ones(4, 3), "weight": tg.ones(1)}, X)
    with pytest.raises(TypeError, match=r"`parameters\['0.weight'\]` is a ndarray"):
        nn.functional_call(model, {"0.weight": np.ones((4, 3))}, X)
    with pytest.raises(ValueError, match=r"has shape \(3, 4\); it must have that of the module's, \(4, 3\)"):
        nn.functional_call(model, {"0.weight": tg.ones(3, 4)}, X)
    with pytest.raises(ValueError, match="`x`"):
        nn.functional_call(model, {"0.weight": tg.ones(4, 3)}, tg.ones(5, 7))
    assert all(p is before[name] for name, p in model.named_parameters())


def test_what_is_no_module_or_dict_is_answered():
    model = nn.Linear(2, 1)
    with pytest.raises(TypeError, match="functional_call: `module` is <class .*; it must be a Module"):
        nn.functional_call(nn.Linear, {}, tg.ones(1, 2))
    with pytest.raises(
        TypeError, match=r"`parameters` is a generator; it must be a dict .*dict\(module.named_parameters"
    ):
        nn.functional_call(model, model.parameters(), tg.ones(1, 2))
