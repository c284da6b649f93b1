"""assert_regimes_agree on random programs and modules, and on functions that are wrong in one regime only."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_cnn as tg
from tinygrad_cnn import nn
from tinygrad_cnn.core.acceleration import accelerate
from tinygrad_cnn.testing import assert_regimes_agree
from tinygrad_cnn.testing.strategies import arrays, expressions
from tinygrad_cnn.transforms.batching.call import rule

from ..rows import CASES
from ..transforms.test_vmap import samples


@given(f=expressions(inputs=3, max_steps=8), data=st.data())
def test_random_programs(f, data):
    dtype = data.draw(st.sampled_from([np.float64, np.float32]))
    xs = [data.draw(arrays((2, 3), low=-1.0, high=1.0)).astype(dtype) for _ in range(3)]
    assert_regimes_agree(f, *xs)


OPS = [
    "conv2d",
    "max_pool2d",
    "batch_norm",
    "cross_entropy",
    "einsum",
    "matmul",
    "where",
    "logsumexp",
    "interpolate",
    "take",
]


@pytest.mark.parametrize("name", OPS)
def test_rows(name):
    case = next(case for case in CASES if case.function.__name__ == name and case.order and not case.sequence)
    assert_regimes_agree(case.call, *(column[0] for column in samples(case, 1)))


MODULES = {
    "linear": (nn.Sequential(nn.Linear(6, 4), nn.GELU(), nn.LayerNorm(4)), (2, 6)),
    "convolution": (
        nn.Sequential(nn.Conv2d(2, 3, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()),
        (2, 2, 4, 4),
    ),
    "normalized": (
        nn.Sequential(nn.Conv2d(1, 2, 2), nn.BatchNorm2d(2).eval(), nn.SiLU(), nn.AvgPool2d(2)),
        (1, 1, 5, 5),
    ),
}


@pytest.mark.parametrize("name", MODULES)
def test_modules(name):
    model, shape = MODULES[name]
    parameters = {k: v.detach() for k, v in model.named_parameters()}
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    assert_regimes_agree(
        lambda x, *values: nn.functional_call(model, _named(parameters, values), x), x, *parameters.values()
    )


def _named(parameters, values):
    return dict(zip(parameters, map(tg.Tensor, values), strict=True))


class TestWhatIsWrong:
    """Each function is right in all regimes but one."""

    def op(self, **options):
        @tg.op(**options)
        def double(a):
            return a * 2

        double.vjp(a=lambda g: g * 2)
        return double

    def fails(self, f, regime, *, message=""):
        with pytest.raises(AssertionError, match=f"{regime}.*{message}"):
            assert_regimes_agree(f, np.array([1.0, 2.0]))

    def test_a_right_op(self):
        assert_regimes_agree(self.op(linear=["a"]), np.array([1.0, 2.0]))

    def test_a_wrong_kernel(self):
        double = self.op()
        accelerate(double, lambda out, a: lambda: np.multiply(a, 2.001, out=out))
        self.fails(double, "without kernels")

    def test_a_wrong_forward_rule(self):
        double = self.op()
        double.jvp(a=lambda t: t * 3)
        self.fails(double, "by forward mode", message="recorded")

    def test_a_kernel_that_does_otherwise_in_given_memory(self):
        def prepare(out, a, b):
            return lambda: np.multiply(a, b if out is None else b * 1.0000001, out=out)

        try:  # a compiled backward pass gives memory to the library's ops
            accelerate(tg.mul, prepare)
            self.fails(lambda x: tg.exp(tg.exp(x)), "compiled", message="bits must be equal")
        finally:
            accelerate(tg.mul, None, in_place=True)

    def test_an_op_that_mixes_samples(self):
        @tg.op(elementwise=True)
        def centred(a):
            return a - np.mean(a)

        centred.vjp(a=lambda g: g - tg.mean(g))
        self.fails(centred, "vmapped")

    def test_other_values_on_tensors(self):
        self.fails(lambda x: x * 2 if isinstance(x, tg.Tensor) else x * 2.5, "on arrays")

    def test_a_result_that_depends_on_recording(self):
        self.fails(lambda x: tg.Tensor(x) * (2 if tg.is_grad_enabled() else 3), "under no_grad")

    def test_a_result_that_depends_on_the_layout(self):
        @tg.op
        def first(a):
            return a[:1] * (2 if a.strides[0] < 0 else 1)

        first.vjp(a=lambda g, in_shape: tg.pad(g, [(0, in_shape[0] - 1)]))
        self.fails(first, "layout 'backward'")

    def test_a_gradient_that_depends_on_the_layout(self):
        @tg.op(elementwise=True)
        def square(a):
            return np.square(a)

        square.vjp(a=lambda g, a: g * a * (2 if isinstance(a, tg.Tensor) or a.strides[0] > 0 else 3))
        self.fails(square, "gradient 0.*layout 'backward'")

    def test_a_gradient_that_is_lost_in_a_batch(self):
        double = self.op()
        rule(double)(lambda call: call.run(call.values[0].detach()))
        self.fails(lambda x: double(x) + x, "gradient 0.*vmapped")

    def test_another_number_of_results(self):
        self.fails(lambda x: [x * 2] if tg.is_grad_enabled() else [x * 2, x], "number of values is 2.*under no_grad")

    def test_another_dtype(self):
        self.fails(lambda x: x * 2 if isinstance(x, tg.Tensor) else (x * 2).astype(np.float32), "on arrays", message="")

    def test_an_error_in_one_regime_only(self):
        self.fails(lambda x: x * x.sum().item(), "vmapped raises ValueError")
        with pytest.raises(AssertionError, match="raises TypeError"):
            assert_regimes_agree(lambda x: _refused() if isinstance(x, tg.Tensor) else x, np.ones(2))

    def test_an_error_in_all(self):
        assert_regimes_agree(lambda x: tg.reshape(x, shape=(7,)), np.ones(2))


def _refused():
    raise TypeError("no Tensors")
