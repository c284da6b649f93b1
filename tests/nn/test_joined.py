"""A batch norm and a ReLU in a Sequential are computed in one op: with the values, and the hooks, of two."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import nn
from tinygrad_cnn.core.graph import Op
from tinygrad_cnn.core.tracing import Tracer, trace
from tinygrad_cnn.nn.joined import joined
from tinygrad_cnn.ops import clipped, standardize

from ..graphs import node_of


@pytest.fixture(params=["NumPy", "Numba"])
def kernels(request):
    """NumPy's kernels, or the compiled ones."""
    if request.param == "NumPy":
        yield
        return
    if find_spec("numba") is None:
        pytest.skip("not installed: pip install numba")
    from tinygrad_cnn.extra.numba import attached

    before = attached.is_attached()
    tg.use_numba()
    yield
    tg.use_numba(before)


class Apart(nn.Module):
    """Calls the modules of a Sequential, one after the other."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, x):
        for module in self.model:
            x = module(x)
        return x


def model(activation, seed=0):
    rng = np.random.default_rng(seed)
    layers = [nn.Conv2d(3, 20, 3, padding=1), nn.BatchNorm2d(20), activation()]
    layers += [nn.Conv2d(20, 16, 3), nn.BatchNorm2d(16), activation(), nn.BatchNorm2d(16)]
    made = nn.Sequential(*layers)
    with tg.no_grad():
        for p in made.parameters():
            p.copy_(rng.standard_normal(p.shape, np.float32))
    return made


def results(module, x, compiled=False, training=True):
    module.train(training)

    def step(x):
        x = tg.Tensor(x, requires_grad=True)
        y = module(x)
        (y * y).mean().backward()
        return y.detach(), x.grad

    step = tg.compile(step) if compiled else step
    found = []
    for i in range(4):
        module.zero_grad()
        y, dx = step(x + np.float32(i))
        found += [y.numpy(), dx.numpy(), *(p.grad.numpy() for p in module.parameters())]
    return [*found, *module.state_dict().values()]


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("activation", [nn.ReLU, nn.ReLU6])
def test_bits_are_those_of_two_modules(kernels, activation, compiled, training):
    x = np.random.default_rng(1).standard_normal((6, 3, 16, 16), np.float32)
    together = results(model(activation), x, compiled, training)
    apart = results(Apart(model(activation)), x, training=training)
    assert all(np.array_equal(a, b) for a, b in zip(together, apart, strict=True))


def calls(module, x):
    """The ops of norms and activations in the graph of a call, the last first."""
    found, waiting = [], [node_of(module(x))]
    while waiting:
        node = waiting.pop()
        if node is not None and isinstance(node.op, Op):
            found.append(node.op.name)
            waiting += node.parents
    return [name for name in found if name in ("clipped", "clipped_by", "normalized", "normalized_by", "relu")]


def pair(norm=nn.BatchNorm2d, activation=nn.ReLU):
    return nn.Sequential(norm(16), activation())


X = np.random.default_rng(2).standard_normal((2, 16, 8, 8), np.float32)


def test_one_op_where_a_kernel_takes_both(kernels):
    in_one = clipped.clipped.op.prepare is not None
    assert calls(pair(), tg.Tensor(X)) == (["clipped"] if in_one else ["relu", "normalized"])
    assert calls(pair().eval(), tg.Tensor(X)) == ["clipped_by"]
    assert len(list(joined(model(nn.ReLU)))) == 5


def test_two_modules_where_one_could_see_between(kernels):
    class Own(nn.ReLU):
        pass

    class Norm(nn.BatchNorm2d):
        pass

    watched = [pair() for _ in range(6)]
    seen = []
    watched[0][0].register_forward_hook(lambda module, args, output: seen.append(output))
    watched[1][1].register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    watched[2][0].register_full_backward_hook(lambda module, before, after: seen.append(after))
    watched[3][1].register_full_backward_pre_hook(lambda module, after: seen.append(after))
    watched[4][1].forward = lambda x: seen.append(x) or x.relu()
    watched[5][0].forward = lambda x: seen.append(x) or x * 2
    for module in watched:
        module(tg.Tensor(X, requires_grad=True)).sum().backward()
    assert len(seen) == len(watched)
    for other in (pair(activation=Own), pair(norm=Norm), pair(activation=nn.GELU), pair()[:1], pair()[1:]):
        assert len(list(joined(other))) == len(other)
    module = nn.Sequential(nn.BatchNorm2d(16), nn.Identity(), nn.ReLU())
    assert len(list(joined(module))) == 3


def test_a_class_whose_forward_is_replaced(monkeypatch):
    seen, forward = [], nn.ReLU.forward
    monkeypatch.setattr(nn.ReLU, "forward", lambda self, x: seen.append(x) or forward(self, x))
    pair()(tg.Tensor(X))
    assert len(seen) == 1
    monkeypatch.undo()
    call = nn.Module.__call__
    monkeypatch.setattr(nn.Module, "__call__", lambda self, *args: seen.append(self) or call(self, *args))
    pair()(tg.Tensor(X))
    assert len(seen) == 1 + 3


def test_a_tracer_sees_two_ops(kernels):
    class Names(Tracer):
        def __init__(self):
            self.found = []

        def call(self, op, inputs, params):
            self.found.append(op.name)

    names = Names()
    with trace(names):
        pair().eval()(tg.Tensor(X))
    assert "clipped_by" not in names.found
    assert "relu" in names.found


@pytest.mark.parametrize("dtype", [np.float64, np.float16])
def test_other_dtypes_and_plain_arrays(kernels, dtype):
    module = pair().to(dtype)
    assert module(X.astype(dtype)).dtype == dtype
    assert np.array_equal(module.eval()(X.astype(dtype)).numpy(), Apart(module)(tg.Tensor(X.astype(dtype))).numpy())
    empty = pair()(tg.zeros(0, 16, 4, 4))
    assert empty.shape == (0, 16, 4, 4)


def test_errors_are_those_of_the_norm(kernels):
    with pytest.raises(ValueError, match=r"BatchNorm2d: `x` has shape \(2, 16\)"):
        pair()(tg.zeros(2, 16))
    with pytest.raises(ValueError, match="batch_norm: `weight`|batch_norm: `running_mean`"):
        pair()(tg.zeros(2, 3, 4, 4))


@pytest.mark.parametrize("limits", [(0.0, 1.0), (0.0, np.inf)])
@pytest.mark.parametrize("seed", range(3))
def test_derivatives_of_second_order_are_those_of_two_ops(limits, seed):
    rng, over = np.random.default_rng(seed), standardize.Over((0, 2), 0.5)
    arrays = [rng.normal(size=shape) for shape in ((3, 4, 5), (1, 4, 1), (1, 4, 1))]
    weights = [rng.normal(size=a.shape) for a in (*arrays, arrays[0])]

    def one(*inputs):
        return clipped.clipped(*inputs, over=over, limits=limits)

    def two(*inputs):
        return tg.clip(standardize.normalized(*inputs, over=over), *limits)

    found = []
    for f in (one, two):
        inputs = [tg.Tensor(a, requires_grad=True) for a in arrays]
        first = tg.gradients((f(*inputs) * weights[-1]).sum(), inputs, create_graph=True)
        second = tg.gradients(sum((g * w).sum() for g, w in zip(first, weights, strict=False)), inputs[:2])  # none in b
        found.append([g.numpy() for g in (*first, *second)])
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-11)
