"""Initialization: the distributions that the formulas promise, and PyTorch's defaults for layers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_cnn as tg
from tinygrad_cnn import nn
from tinygrad_cnn.nn import init

SHAPE = (40, 20, 5, 5)  # 20,000 draws: means and deviations are known to a few per cent
FAN_IN, FAN_OUT = 20 * 25, 40 * 25


def drawn(function, *args, shape=SHAPE, **kwargs):
    tensor = tg.zeros(shape, requires_grad=True)
    assert function(tensor, *args, **kwargs, rng=0) is tensor
    assert tensor.requires_grad
    return tensor.numpy().astype(np.float64)


def is_uniform(values, bound):
    """Within the bound, nearly filling it, with the moments of the uniform distribution."""
    n = values.size
    assert np.abs(values).max() <= bound * (1 + 1e-6)
    assert np.abs(values).max() > bound * (1 - 20 / n)
    assert abs(values.mean()) < 6 * bound / math.sqrt(3 * n)
    assert values.std() == pytest.approx(bound / math.sqrt(3), rel=6 / math.sqrt(n))


def is_normal(values, std):
    n = values.size
    assert abs(values.mean()) < 6 * std / math.sqrt(n)
    assert values.std() == pytest.approx(std, rel=6 / math.sqrt(n))
    assert np.mean(np.abs(values) < std) == pytest.approx(0.6827, abs=3 / math.sqrt(n))


@pytest.mark.parametrize(
    ("function", "options", "bound"),
    [
        (init.xavier_uniform_, {}, math.sqrt(6 / (FAN_IN + FAN_OUT))),
        (init.xavier_uniform_, {"gain": 3.0}, 3 * math.sqrt(6 / (FAN_IN + FAN_OUT))),
        (init.kaiming_uniform_, {}, math.sqrt(6 / FAN_IN)),
        (init.kaiming_uniform_, {"a": math.sqrt(5)}, 1 / math.sqrt(FAN_IN)),
        (init.kaiming_uniform_, {"mode": "fan_out", "nonlinearity": "relu"}, math.sqrt(6 / FAN_OUT)),
        (init.uniform_, {"a": -0.5, "b": 0.5}, 0.5),
    ],
)
def test_uniform_distributions(function, options, bound):
    is_uniform(drawn(function, **options), bound)


@pytest.mark.parametrize(
    ("function", "options", "std"),
    [
        (init.xavier_normal_, {"gain": 2.0}, 2 * math.sqrt(2 / (FAN_IN + FAN_OUT))),
        (init.kaiming_normal_, {}, math.sqrt(2 / FAN_IN)),
        (init.kaiming_normal_, {"a": 1.0, "mode": "fan_out"}, 1 / math.sqrt(FAN_OUT)),
        (init.normal_, {"std": 0.3}, 0.3),
    ],
)
def test_normal_distributions(function, options, std):
    is_normal(drawn(function, **options), std)


def test_mean_and_range():
    is_normal(drawn(init.normal_, 5.0, 0.1) - 5, 0.1)
    is_uniform(drawn(init.uniform_) - 0.5, 0.5)


@given(mean=st.floats(-1, 1), std=st.floats(1, 2), a=st.floats(-2, -0.5), width=st.floats(1, 4))
def test_truncated_normal_stays_inside_and_has_the_truncated_mean(mean, std, a, width):
    b = a + width
    values = drawn(init.trunc_normal_, mean, std, a, b, shape=(5000,))
    assert np.float32(a) <= values.min()
    assert values.max() <= np.float32(b)

    def density(x):
        return math.exp(-(((x - mean) / std) ** 2) / 2) / (std * math.sqrt(2 * math.pi))

    mass = (math.erf((b - mean) / (std * math.sqrt(2))) - math.erf((a - mean) / (std * math.sqrt(2)))) / 2
    assert values.mean() == pytest.approx(
        mean + std**2 * (density(a) - density(b)) / mass, abs=6 * std / math.sqrt(5000)
    )


@pytest.mark.parametrize("shape", [(3, 5), (5, 3), (4, 4), (2, 3, 2, 2), (1, 1)])
def test_orthogonal_rows_or_columns(shape):
    matrix = drawn(init.orthogonal_, 2.0, shape=shape).reshape(shape[0], -1)
    smaller = matrix @ matrix.T if matrix.shape[0] <= matrix.shape[1] else matrix.T @ matrix
    np.testing.assert_allclose(smaller, 4 * np.eye(len(smaller)), atol=1e-5)


def test_orthogonal_prefers_no_sign():
    ends = [init.orthogonal_(tg.zeros(1, 1), rng=seed).item() for seed in range(40)]
    assert 5 < sum(value > 0 for value in ends) < 35


def test_constants():
    assert set(init.constant_(tg.zeros(3), 0.5).tolist()) == {0.5}
    assert set(init.ones_(tg.zeros(3)).tolist()) == {1}
    assert set(init.zeros_(tg.ones(3)).tolist()) == {0}
    np.testing.assert_array_equal(init.eye_(tg.ones(2, 3)), np.eye(2, 3))


@pytest.mark.parametrize(("channels", "groups"), [(4, 1), (4, 2), (2, 1), (6, 1)])
def test_dirac_filters_pass_channels_on(channels, groups):
    conv = nn.Conv2d(4, channels, 3, padding=1, groups=groups, bias=False)
    init.dirac_(conv.weight, groups)
    x = tg.randn(2, 4, 5, 5)
    kept = min(channels, 4)
    np.testing.assert_array_equal(conv(x).numpy()[:, :kept], x.numpy()[:, :kept])
    assert not conv(x).numpy()[:, kept:].any()


def test_draws_repeat_with_a_seed_and_come_from_the_library_without():
    a, b = (init.normal_(tg.zeros(4), rng=3).tolist() for _ in range(2))
    assert a == b
    tg.manual_seed(3)
    c = nn.Linear(3, 4).weight.tolist()
    tg.manual_seed(3)
    assert nn.Linear(3, 4).weight.tolist() == c
    assert nn.Linear(3, 4).weight.tolist() != c


@pytest.mark.parametrize(
    ("layer", "fan"),
    [
        (lambda: nn.Linear(400, 300), 400),
        (lambda: nn.Conv2d(40, 80, 5, groups=2), 20 * 25),
        (lambda: nn.Bilinear(40, 50, 60), 40),
        (lambda: nn.Conv1d(80, 80, 7), 80 * 7),
        (lambda: nn.ConvTranspose2d(40, 80, 5, groups=2), 40 * 25),  # of the outputs, as in PyTorch
    ],
)
def test_layers_start_as_in_pytorch(layer, fan):
    tg.manual_seed(0)
    made = layer()
    is_uniform(made.weight.numpy(), 1 / math.sqrt(fan))
    assert np.abs(made.bias.numpy()).max() <= 1 / math.sqrt(fan)
    assert np.unique(made.bias.numpy()).size == made.bias.size
    before = made.state_dict()
    made.reset_parameters()
    assert not np.array_equal(made.weight, before["weight"])


def test_an_embedding_is_drawn_from_the_standard_normal_distribution():
    tg.manual_seed(0)
    is_normal(nn.Embedding(200, 50).weight.numpy(), 1)


def test_normalization_starts_as_the_identity():
    layer = nn.BatchNorm2d(3)
    for t in (*layer.parameters(), *layer.buffers()):
        t.copy_(5)
    layer.reset_parameters()
    assert [v.tolist() for v in layer.state_dict().values()] == [[1] * 3, [0] * 3, [0] * 3, [1] * 3, 0]


@pytest.mark.parametrize(
    ("name", "param", "gain"),
    [
        ("linear", None, 1),
        ("conv2d", None, 1),
        ("sigmoid", None, 1),
        ("tanh", None, 5 / 3),
        ("relu", None, math.sqrt(2)),
        ("leaky_relu", None, math.sqrt(2 / (1 + 0.01**2))),
        ("leaky_relu", 1, 1),
        ("selu", None, 3 / 4),
    ],
)
def test_gains(name, param, gain):
    assert init.calculate_gain(name, param) == pytest.approx(gain, rel=1e-15)


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (
            lambda: init.xavier_uniform_(tg.zeros(3)),
            r"xavier_uniform_: the Tensor has shape \(3,\); it must have two axes",
        ),
        (lambda: init.orthogonal_(tg.zeros(3)), "orthogonal_: the Tensor"),
        (lambda: init.kaiming_normal_(tg.zeros(3, 3), mode="fan"), "kaiming_normal_: `mode` is 'fan'"),
        (lambda: init.kaiming_normal_(tg.zeros(3, 3), nonlinearity="swish"), "`nonlinearity` is 'swish'"),
        (lambda: init.trunc_normal_(tg.zeros(3), a=5, b=6), "`a` 5 and `b` 6; widen them"),
        (lambda: init.eye_(tg.zeros(3)), "eye_: the Tensor has shape"),
        (lambda: init.dirac_(tg.zeros(3, 3)), "dirac_: the Tensor has shape"),
        (lambda: init.dirac_(tg.zeros(3, 3, 3), groups=2), "`groups` is 2; it must divide the 3 filters"),
    ],
)
def test_mistakes_are_named(act, message):
    with pytest.raises(ValueError, match=message):
        act()


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (
            lambda w: init.uniform_(w.numpy()),
            r"uniform_: `tensor` is of ndarray; it must be a Tensor, which is written in place",
        ),
        (lambda w: init.zeros_(None), "zeros_: `tensor` is of NoneType; it must be a Tensor"),
        (
            lambda w: init.normal_(),
            "normal_: missing a required argument: 'tensor'; its parameters are tensor, mean, std, rng",
        ),
        (
            lambda w: init.uniform_(tg.zeros(3, dtype=int)),
            r"uniform_: `tensor` is int\d+; numbers are drawn for floating-point",
        ),
        (lambda w: init.normal_(w, "x"), "normal_: `mean` is 'x'; it must be a finite number"),
        (lambda w: init.xavier_normal_(w, gain=None), "xavier_normal_: `gain` is None; it must be a finite number"),
        (
            lambda w: init.kaiming_normal_(w, nonlinearity=None),
            "calculate_gain: `nonlinearity` is None; it must be the name",
        ),
        (
            lambda w: init.calculate_gain("leaky_relu", "x"),
            "calculate_gain: `param` is 'x'; it must be a finite number",
        ),
        (lambda w: init.dirac_(w, groups=1.5), "dirac_: `groups` is 1.5; it must be a whole number of at least 1"),
    ],
)
def test_arguments_of_another_kind_are_named(act, message):
    w = tg.ones(2, 3, 3)
    with pytest.raises(TypeError, match=message):
        act(w)
    assert w.numpy().all()


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda w: init.normal_(w, std=-1.0), r"normal_: `std` is -1\.0; it must be a finite number of at least 0"),
        (lambda w: init.trunc_normal_(w, std=0.0), r"trunc_normal_: `std` is 0\.0; it must be a finite number above 0"),
        (lambda w: init.uniform_(w, 0.0, math.inf), "uniform_: `b` is inf; it must be a finite number"),
        (lambda w: init.uniform_(w, 1.0, 0.0), r"uniform_: `a` is 1\.0 and `b` is 0\.0"),
        (lambda w: init.dirac_(w, groups=0), "dirac_: `groups` is 0; it must be a whole number of at least 1"),
    ],
)
def test_numbers_out_of_range_are_named(act, message):
    w = tg.ones(2, 3, 3)
    with pytest.raises(ValueError, match=message):
        act(w)
    assert w.numpy().all()


@pytest.mark.parametrize(
    "function", [init.xavier_uniform_, init.xavier_normal_, init.kaiming_uniform_, init.kaiming_normal_]
)
@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0, 0)])
def test_a_weight_without_elements_stays_so(function, shape):
    assert function(tg.zeros(shape)).shape == shape
