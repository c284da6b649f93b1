"""Random programs and networks on JAX beside eager ones, and which names of JAX they rest on."""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

import tinygrad_cnn as tg
from tinygrad_cnn import nn
from tinygrad_cnn.testing.strategies import arrays, expressions

from ..nn.recurrent_cases import CASES as RECURRENT
from ..nn.recurrent_cases import flat
from . import needs

jax = needs.jax()
HERE = Path(tg.__file__).parent / "extra" / "jax"


@settings(deadline=None)
@given(f=expressions(inputs=3, max_steps=10, smooth=False), data=st.data())
def test_random_programs(f, data):
    """Values used again, dead branches and kinks: gradients of two orders."""
    xs = [data.draw(arrays((2,), low=-1.0, high=1.0)) for _ in range(3)]
    y, u, grads = needs.eager(f, xs, [0, 1, 2])
    value, found = needs.on_jax(f, xs, [0, 1, 2], u)
    assert_allclose(value, y, rtol=1e-11, atol=1e-11)
    for g, h in zip(found, grads, strict=False):
        assert_allclose(g, h, rtol=1e-10, atol=1e-10)

    def slopes(xp_grad, *xs):
        return sum((g**2).sum() for g in xp_grad(*xs))

    second = tg.grad(lambda *xs: slopes(tg.grad(lambda *z: f(*z).sum() + 0 * sum(a.sum() for a in z), (0, 1, 2)), *xs))
    inner = jax.grad(lambda *z: tg.jax.function(f)(*z).sum(), (0, 1, 2))
    twice = jax.jit(jax.grad(lambda *xs: slopes(inner, *xs)))(*xs)
    assert_allclose(twice, second(*map(tg.Tensor, xs)).numpy(), rtol=1e-9, atol=1e-9)


def network(rng):
    """A random network for images (n, 2, 8, 8), and scores (n, 3)."""
    layers, channels, size = [], 2, 8
    for _ in range(rng.integers(1, 4)):
        out, groups = int(rng.choice([2, 4, 6])), int(rng.choice([1, 2]))
        kernel = int(rng.choice([1, 3]))
        layers.append(nn.Conv2d(channels, out, kernel, padding=kernel // 2, groups=groups, bias=bool(rng.integers(2))))
        channels = out
        norms = [nn.BatchNorm2d(out), nn.GroupNorm(2, out), nn.InstanceNorm2d(out, affine=True), nn.Identity()]
        acts = [nn.ReLU(), nn.GELU(), nn.SiLU(), nn.LeakyReLU(), nn.Hardswish(), nn.PReLU(), nn.Softplus(), nn.ELU()]
        layers += [norms[rng.integers(len(norms))], acts[rng.integers(len(acts))]]
        if size > 2 and rng.random() < 0.7:
            pools = [nn.MaxPool2d(2), nn.AvgPool2d(3, 2, 1), nn.MaxPool2d(3, 2, 1), nn.AdaptiveAvgPool2d(size // 2)]
            layers.append(pools[rng.integers(len(pools))])
            size //= 2
    layers += [nn.Flatten(), nn.Linear(channels * size * size, 5), nn.LayerNorm(5), nn.Linear(5, 3)]
    return nn.Sequential(*layers)


LOSSES = {
    "cross_entropy": lambda y, t: tg.cross_entropy(y, t, label_smoothing=0.1),
    "nll_loss": lambda y, t: tg.nll_loss(tg.log_softmax(y, axis=1), t, weight=tg.Tensor(np.array([1.0, 0.5, 2.0]))),
    "mse": lambda y, t: tg.mse(y, tg.one_hot(t, num_classes=3).astype(np.float64)),
    "huber": lambda y, t: tg.huber_loss(y, tg.one_hot(t, num_classes=3).astype(np.float64), delta=0.5),
    "hinge": lambda y, t: tg.multi_margin_loss(y, t),
}


@pytest.mark.parametrize("seed", range(24))
@pytest.mark.part(3)
def test_random_networks_and_losses(seed):
    rng = np.random.default_rng(seed)
    tg.manual_seed(seed)
    model, loss = network(rng), LOSSES[[*LOSSES][seed % len(LOSSES)]]
    model.to(np.float64)
    x, t = rng.standard_normal((4, 2, 8, 8)), rng.integers(0, 3, 4)
    params, buffers = tg.jax.state(model)
    apply, measure = tg.jax.apply(model), tg.jax.function(loss)

    def objective(params, x):
        y, after = apply(params, buffers, x, training=True)
        return measure(y, t), after

    (value, after), (found, dx) = jax.jit(jax.value_and_grad(objective, argnums=(0, 1), has_aux=True))(params, x)
    model.train()
    given_x = tg.Tensor(x, requires_grad=True)
    here = loss(model(given_x), t)
    here.backward()
    assert_allclose(value, here.item(), rtol=1e-9)
    assert_allclose(dx, given_x.grad.numpy(), rtol=1e-9, atol=1e-11)
    for name, p in model.named_parameters():
        assert_allclose(found[name], p.grad.numpy(), rtol=1e-9, atol=1e-11, err_msg=name)
    for name, b in model.named_buffers():
        assert_allclose(after[name], b.numpy(), rtol=1e-9, err_msg=name)


@pytest.mark.parametrize("case", RECURRENT, ids=lambda case: f"{case[0]}{case[1]}")
@pytest.mark.part(2)
def test_recurrent_layers(case):
    name, sizes, how, shape, states = case
    tg.manual_seed(0)
    layer = getattr(nn, name)(*sizes, **how)
    layer.to(np.float64)
    rng = np.random.default_rng(0)
    x, before = rng.standard_normal(shape), [rng.standard_normal(s) for s in states]
    params, buffers = tg.jax.state(layer)
    apply = tg.jax.apply(layer)

    def inputs(wrap):
        own = tuple(map(wrap, before))
        return [wrap(x), *([] if not own else [own[0] if len(own) == 1 else own])]

    def total(ys):
        return sum((y * y).sum() for y in flat(ys))

    value, found = jax.jit(jax.value_and_grad(lambda p: total(apply(p, buffers, *inputs(np.asarray))[0])))(params)
    here = total(layer(*inputs(tg.Tensor)))
    here.backward()
    assert_allclose(value, here.item(), rtol=1e-9)
    for n, p in layer.named_parameters():
        assert_allclose(found[n], p.grad.numpy(), rtol=1e-9, atol=1e-11, err_msg=n)


def test_a_recurrent_layer_has_second_derivatives():
    tg.manual_seed(0)
    layer = nn.LSTM(2, 3)
    layer.to(np.float64)
    x = np.random.default_rng(0).standard_normal((3, 1, 2))

    def penalty(x):
        return (tg.grad(lambda z: (layer(z)[0] ** 2).sum())(x) ** 2).sum()

    for p in layer.parameters():
        p.requires_grad = False
    expected = tg.grad(penalty)(tg.Tensor(x)).numpy()
    inner = jax.grad(tg.jax.function(lambda z: (layer(z)[0] ** 2).sum()))
    assert_allclose(jax.jit(jax.grad(lambda x: (inner(x) ** 2).sum()))(x), expected, rtol=1e-9, atol=1e-12)
    assert_allclose(jax.jit(jax.grad(tg.jax.function(penalty)))(x), expected, rtol=1e-9, atol=1e-12)


def test_public_names_of_jax_alone():
    """No module and no attribute of JAX or optax that begins with an underscore."""
    for path in sorted(HERE.glob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                modules = [name.name for name in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level:
                modules = [f"{node.module}.{name.name}" for name in node.names]
            elif isinstance(node, ast.Attribute):
                modules = [ast.unparse(node)]
            else:
                continue
            for module in modules:
                first, *rest = module.split(".")
                if first in ("jax", "jnp", "lax", "optax", "special"):
                    assert not any(part.startswith("_") for part in rest), (path.name, module)
