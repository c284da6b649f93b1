"""Normalizations: running statistics, what normalization means, extremes, and bad arguments."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_cnn as tg
import tinygrad_cnn.functional as F
from tinygrad_cnn import nn

RNG = np.random.default_rng(0)
IMAGES = RNG.normal(3, 2, (4, 6, 3, 2))
AXES = {F.batch_norm: (0, 2, 3), F.instance_norm: (2, 3)}


def stats(dtype=np.float64):
    return np.full(6, 0.5, dtype), np.full(6, 2.0, dtype)


def normalized(f, x, mean=None, var=None, **how):
    """batch_norm or instance_norm by the statistics of x."""
    return f(x, mean, var, **({"training": True} if f is F.batch_norm else {}), **how)


@pytest.mark.parametrize("f", AXES)
@pytest.mark.parametrize("kind", [tg.Tensor, np.array])
def test_running_statistics_move_in_place_towards_the_unbiased_ones(f, kind):
    mean, var = (kind(s) for s in stats())
    x = tg.Tensor(IMAGES, requires_grad=True)
    y = normalized(f, x, mean, var, momentum=0.25)
    of_mean = IMAGES.mean(AXES[f]).reshape(-1, 6).mean(0)
    of_var = IMAGES.var(AXES[f], ddof=1).reshape(-1, 6).mean(0)
    np.testing.assert_allclose(mean, 0.75 * 0.5 + 0.25 * of_mean, rtol=1e-12)
    np.testing.assert_allclose(var, 0.75 * 2.0 + 0.25 * of_var, rtol=1e-12)
    if kind is tg.Tensor:
        assert not mean.requires_grad
        assert mean.is_leaf
    y.backward(np.ones(y.shape))


def test_the_update_is_not_recorded_even_into_statistics_that_require_a_gradient():
    mean, var = (tg.Tensor(s, requires_grad=True) for s in stats())
    F.batch_norm(tg.Tensor(IMAGES, requires_grad=True), mean, var, training=True).sum().backward()
    assert mean.is_leaf
    assert mean.grad is None
    assert var.grad is None


EMPTY = [
    (F.batch_norm, (0, 6, 3, 2)),
    (F.batch_norm, (4, 6, 0)),
    (F.instance_norm, (0, 6, 3)),
    (F.instance_norm, (4, 6, 0, 2)),
]


@pytest.mark.parametrize("kind", [tg.Tensor, np.array])
@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize(("f", "shape"), EMPTY)
def test_a_batch_without_elements_leaves_the_running_statistics_alone(f, shape, compiled, kind):
    mean, var = (kind(s) for s in stats())

    def step(x):
        return normalized(f, x, mean, var, weight=tg.ones(6), bias=tg.ones(6))

    for x in (np.zeros(shape), tg.Tensor(np.zeros(shape))):
        run = tg.compile(step) if compiled else step
        for _ in range(2):
            assert run(x).shape == shape
    np.testing.assert_array_equal((np.asarray(mean), np.asarray(var)), stats())
    x = tg.Tensor(np.zeros(shape), requires_grad=True)
    step(x).sum().backward()
    assert x.grad.shape == shape


@pytest.mark.parametrize("shape", [(0, 6, 3), (4, 6, 0), (0, 6, 0)])
def test_every_normalization_of_nothing_is_nothing_without_a_warning(shape):
    x = tg.Tensor(np.zeros(shape), requires_grad=True)
    for f in (F.instance_norm, F.normalize, lambda x: F.group_norm(x, 2), lambda x: F.layer_norm(x, x.shape[1:]),
              lambda x: F.rms_norm(x, x.shape[2:]), lambda x: F.local_response_norm(x, 3)):  # fmt: skip
        y = f(x)
        assert y.shape == shape
        (g,) = tg.gradients(y, x, np.ones(shape))
        assert g.shape == shape


@pytest.mark.parametrize("momentum", [0.1, None])
@pytest.mark.parametrize("compiled", [False, True])
def test_an_empty_batch_does_not_count(momentum, compiled):
    batches = [IMAGES, IMAGES[:0], IMAGES * 2, IMAGES[:0]]
    layers = [nn.BatchNorm2d(6, momentum=momentum, dtype=np.float64) for _ in range(2)]
    with_empty = tg.compile(lambda x: layers[0](x)) if compiled else layers[0]
    for x in batches:
        with_empty(x)
    for x in batches[::2]:
        layers[1](x)
    for name, value in layers[1].state_dict().items():
        np.testing.assert_array_equal(layers[0].state_dict()[name], value, err_msg=name)
    assert layers[0].num_batches_tracked.item() == 2


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("f", AXES)
def test_running_statistics_that_are_arrays_are_followed_by_a_compiled_run(f, training):
    how = {"training": training} if f is F.batch_norm else {"use_input_stats": training}
    held, mirror = stats(np.float32), stats(np.float32)
    weight, bias = np.ones(6, np.float32), np.zeros(6, np.float32)
    step = tg.compile(lambda x: f(x, *held, weight, bias, **how))
    for turn in range(4):
        x = tg.Tensor(IMAGES * (turn + 1), dtype=np.float32)
        y, expected = step(x), f(x, *mirror, weight, bias, **how)
        np.testing.assert_array_equal(y.numpy(), expected.numpy())
        np.testing.assert_array_equal(held, mirror)
        for a in (*held, *mirror):  # the user goes on with them
            a += 0.5


@pytest.mark.parametrize("f", [F.batch_norm, lambda *a: F.instance_norm(*a, use_input_stats=False)])
def test_outside_training_the_running_statistics_are_used_and_left_alone(f):
    mean, var = stats()
    y = f(IMAGES, mean, var)
    np.testing.assert_allclose(y, (IMAGES - 0.5) / np.sqrt(2 + 1e-5), rtol=1e-12)
    np.testing.assert_array_equal((mean, var), stats())


@pytest.mark.parametrize(
    ("f", "axes"),
    [
        (lambda x: normalized(F.batch_norm, x, eps=1e-300), (0, 2, 3)),
        (lambda x: normalized(F.instance_norm, x, eps=0), (2, 3)),
        (lambda x: F.group_norm(x, 1, eps=0), (1, 2, 3)),
        (lambda x: F.layer_norm(x, (3, 2), eps=0), (2, 3)),
    ],
)
@given(scale=st.floats(0.1, 10), shift=st.floats(-10, 10))
def test_mean_0_and_variance_1_whatever_the_scale_and_shift(f, axes, scale, shift):
    y = f(IMAGES * scale + shift)
    np.testing.assert_allclose(y.mean(axes), 0, atol=1e-11)
    np.testing.assert_allclose(y.var(axes), 1, rtol=1e-9)
    np.testing.assert_allclose(y, f(IMAGES), rtol=1e-7, atol=1e-9)


def test_the_groups_of_group_norm_go_from_layer_norm_to_instance_norm():
    np.testing.assert_allclose(F.group_norm(IMAGES, 1), F.layer_norm(IMAGES, (6, 3, 2)), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(F.group_norm(IMAGES, 6), F.instance_norm(IMAGES), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "f",
    [
        lambda x: normalized(F.batch_norm, x), lambda x: normalized(F.instance_norm, x), lambda x: F.group_norm(x, 2),
        lambda x: F.layer_norm(x, (3, 2)), lambda x: F.rms_norm(x, 2), lambda x: F.local_response_norm(x, 3), F.normalize,
    ],
)  # fmt: skip
@pytest.mark.parametrize("value", [0.0, 0.1, 1e4])
def test_constant_images_give_finite_values_and_gradients_without_a_warning(f, dtype, value):
    x = tg.Tensor(np.full((2, 4, 3, 2), value, dtype), requires_grad=True)
    y = f(x)
    (g,) = tg.gradients(y, x, np.ones_like(x.numpy()), create_graph=True)
    (h,) = tg.gradients((g * g).sum(), x, allow_unused=True)
    for a in (y, g, h):
        assert a is None or (a.dtype == dtype and np.isfinite(a.numpy()).all())


def test_a_large_mean_does_not_swamp_the_deviations():
    noise = RNG.integers(-8, 9, IMAGES.shape).astype(np.float32)
    y = normalized(F.batch_norm, noise + np.float32(1e4))  # whose squares are too large to show the variance of 25
    np.testing.assert_allclose(y, normalized(F.batch_norm, noise.astype(np.float64)), rtol=1e-4, atol=1e-3)


def test_normalize_gives_unit_vectors_and_leaves_zero_vectors():
    x = np.array([[3.0, 4.0], [0.0, 0.0]])
    np.testing.assert_allclose(F.normalize(x), [[0.6, 0.8], [0, 0]])


def test_channels_last_images_stay_so():
    x = np.ascontiguousarray(IMAGES.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    y = normalized(F.batch_norm, x, weight=np.ones(6), bias=np.ones(6))
    assert y.transpose(0, 2, 3, 1).flags.c_contiguous


BAD = [
    (lambda: F.batch_norm(np.ones(3), None, None, training=True), r"batch_norm: `x` has shape \(3,\)"),
    (lambda: F.batch_norm(IMAGES, None, None), "batch_norm: `running_mean` is None"),
    (lambda: F.batch_norm(IMAGES, stats()[0], None), "batch_norm: `running_var` is None"),
    (lambda: F.batch_norm(IMAGES, *stats(), np.ones(5)), r"`weight` has shape \(5,\); it must be \(6,\)"),
    (lambda: F.batch_norm(IMAGES, np.ones(5), stats()[1]), r"`running_mean` has shape \(5,\)"),
    (lambda: F.batch_norm(np.ones((1, 3)), None, None, training=True), "batch_norm: .* a single value for each mean"),
    (lambda: F.instance_norm(np.ones((2, 3))), r"instance_norm: `x` has shape \(2, 3\)"),
    (lambda: F.instance_norm(np.ones((2, 3, 1))), "instance_norm: .* a single value for each mean"),
    (lambda: F.instance_norm(IMAGES, use_input_stats=False), "instance_norm: `running_mean` is None"),
    (lambda: F.group_norm(IMAGES, 4), "group_norm: `num_groups` is 4; it must divide the 6 channels"),
    (lambda: F.group_norm(IMAGES, 0), "group_norm: `num_groups` is 0"),
    (lambda: F.layer_norm(IMAGES, 3), r"layer_norm: `x` has shape .* end with `normalized_shape` \(3,\)"),
    (lambda: F.layer_norm(IMAGES, ()), "layer_norm: .* `normalized_shape`"),
    (lambda: F.layer_norm(np.ones(2), (3, 2)), "layer_norm: .* `normalized_shape`"),
    (lambda: F.layer_norm(IMAGES, 2, np.ones(3)), r"layer_norm: `weight` has shape \(3,\)"),
    (lambda: F.rms_norm(IMAGES, 2, np.ones(1)), r"rms_norm: `weight` has shape \(1,\)"),
    (lambda: F.local_response_norm(IMAGES, 0), "local_response_norm: `size` is 0"),
    (lambda: normalized(F.batch_norm, IMAGES, eps=0), "batch_norm: `eps` is 0; it must be above 0"),
    (lambda: normalized(F.batch_norm, IMAGES, eps=-1e-5), "batch_norm: `eps` is -1e-05; it must be above 0"),
    (lambda: normalized(F.batch_norm, IMAGES, eps=np.nan), "batch_norm: `eps` is nan; it must be above 0"),
    (lambda: nn.BatchNorm2d(6, eps=0)(IMAGES), "batch_norm: `eps` is 0; it must be above 0"),
    (lambda: F.batch_norm(IMAGES, *stats(), eps=-1.0), "batch_norm: `eps` is -1.0; it must not be negative"),
    (lambda: F.instance_norm(IMAGES, eps=-1), "instance_norm: `eps` is -1; it must not be negative"),
    (lambda: F.group_norm(IMAGES, 2, eps=-1), "group_norm: `eps` is -1; it must not be negative"),
    (lambda: F.layer_norm(IMAGES, 2, eps=-1), "layer_norm: `eps` is -1; it must not be negative"),
    (lambda: F.rms_norm(IMAGES, 2, eps=-1), "rms_norm: `eps` is -1; it must not be negative"),
    (lambda: F.normalize(IMAGES, eps=-1), "normalize: `eps` is -1; it must not be negative"),
    (
        lambda: normalized(F.batch_norm, IMAGES, *stats(), momentum=np.nan),
        "batch_norm: `momentum` is nan; it must be a number",
    ),
    (lambda: F.local_response_norm(IMAGES, 2, beta=np.nan), "local_response_norm: `beta` is nan; it must be a number"),
    (lambda: F.local_response_norm(np.ones((2, 3)), 2), r"local_response_norm: `x` has shape \(2, 3\)"),
]


@pytest.mark.parametrize(("call", "message"), BAD, ids=[message[:40] for _, message in BAD])
def test_bad_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("value", [1j, True, "1", np.ones(2)])
@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("batch_norm: `eps`", lambda v: normalized(F.batch_norm, IMAGES, eps=v)),
        ("batch_norm: `eps`", lambda v: F.batch_norm(IMAGES, *stats(), eps=v)),
        ("batch_norm: `momentum`", lambda v: normalized(F.batch_norm, IMAGES, *stats(), momentum=v)),
        ("instance_norm: `eps`", lambda v: F.instance_norm(IMAGES, eps=v)),
        ("group_norm: `eps`", lambda v: F.group_norm(IMAGES, 2, eps=v)),
        ("layer_norm: `eps`", lambda v: F.layer_norm(IMAGES, 2, eps=v)),
        ("rms_norm: `eps`", lambda v: F.rms_norm(IMAGES, 2, eps=v)),
        ("local_response_norm: `alpha`", lambda v: F.local_response_norm(IMAGES, 2, alpha=v)),
        ("normalize: `eps`", lambda v: F.normalize(IMAGES, eps=v)),
    ],
)  # fmt: skip
def test_options_are_real_numbers(name, call, value):
    with pytest.raises(TypeError, match=f"{name} is .*; it must be a number"):
        call(value)


def test_running_statistics_are_written_so_a_list_is_refused():
    with pytest.raises(TypeError, match="batch_norm: `running_mean` is a list; it must be a Tensor or an array"):
        F.batch_norm(IMAGES, [0.0] * 6, [1.0] * 6, training=True)
