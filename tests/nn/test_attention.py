"""Attention and transformers beside what PyTorch computed: see record_attention.py; and what PyTorch does not do."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import nn

from .attention_cases import CASES, flat, masks

RECORDED = np.load(Path(__file__).with_name("attention.npz"))
every_case = pytest.mark.parametrize("number", range(len(CASES)), ids=lambda i: f"{CASES[i][0]}-{i}")


def made(number, dtype=np.float64):
    """The layer with the recorded parameters, and its inputs."""
    name, args, kwargs, shapes, _ = CASES[number]
    layer = getattr(nn, name)(*args, **kwargs, dtype=dtype)
    layer.load_state_dict({key: RECORDED[f"{number}/state/{key}"].astype(dtype) for key in layer.state_dict()})
    inputs = [tg.Tensor(RECORDED[f"{number}/input/{i}"].astype(dtype), requires_grad=True) for i in range(len(shapes))]
    return layer, inputs


def results(number, layer, inputs):
    inputs = list(inputs)
    times = 3 if CASES[number][0] == "MultiheadAttention" and len(inputs) == 1 else 1
    return flat(layer(*inputs * times, **masks(number)))


@every_case
@pytest.mark.parametrize("compiled", [False, True])
def test_values_gradients_and_names_are_pytorchs(number, compiled):
    layer, inputs = made(number)
    names = [key for key in RECORDED.files if key.startswith(f"{number}/state/")]
    assert [f"{number}/state/{key}" for key, _ in layer.named_parameters()] == names

    def step(*inputs):
        ys = results(number, layer, inputs)
        return ys, tg.gradients(sum((y**3).sum() for y in ys), [*inputs, *layer.parameters()])

    run = tg.compile(step) if compiled else step
    for _ in range(4 if compiled else 1):
        ys, gradients = run(*inputs)
    for i, y in enumerate(ys):
        np.testing.assert_allclose(y.numpy(), RECORDED[f"{number}/result/{i}"], rtol=1e-10, atol=1e-12)
    wanted = [RECORDED[f"{number}/input gradient/{i}"] for i in range(len(inputs))]
    wanted += [RECORDED[key.replace("state", "gradient")] for key in names]
    for g, own in zip(gradients, wanted, strict=True):
        np.testing.assert_allclose(g.numpy(), own, rtol=1e-9, atol=1e-11)


@every_case
def test_float32_stays_float32_with_masks_of_float64(number):
    layer, inputs = made(number, np.float32)
    for i, y in enumerate(results(number, layer, inputs)):
        assert y.dtype == np.float32
        np.testing.assert_allclose(y.numpy(), RECORDED[f"{number}/result/{i}"], rtol=1e-3, atol=1e-4)


@every_case
def test_copies_and_pickles_are_equal_and_apart(number):
    layer, inputs = made(number)
    before = [y.numpy() for y in results(number, layer, inputs)]
    for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        for y, known in zip(results(number, other, inputs), before, strict=True):
            np.testing.assert_array_equal(y.numpy(), known)
        assert not {id(p) for p in other.parameters()} & {id(p) for p in layer.parameters()}


def test_the_gradients_of_each_sample():
    layer, (x,) = made(6)

    def loss(x):
        return (layer(x, is_causal=True) ** 3).sum()

    each = tg.vmap(tg.grad(loss), in_axes=1)(x.numpy())
    for i in range(2):
        np.testing.assert_allclose(each[i].numpy(), tg.grad(loss)(x.numpy()[:, i]).numpy(), rtol=1e-9)


def test_is_causal_is_the_mask_of_later_keys():
    layer, (x,) = made(1)
    causal = layer(x, x, x, is_causal=True)
    for y, known in zip(causal, layer(x, x, x, **masks(1)), strict=True):
        np.testing.assert_allclose(y.numpy(), known.numpy(), rtol=1e-12)
    mask = nn.Transformer.generate_square_subsequent_mask(3)
    assert mask.dtype == np.float32
    np.testing.assert_array_equal(mask.numpy(), masks(1)["attn_mask"])
    with_both = layer(x, x, x, attn_mask=np.zeros((3, 3), bool), is_causal=True)
    np.testing.assert_array_equal(with_both[1].numpy(), causal[1].numpy())


def test_a_query_without_a_key_has_no_weights_and_no_gradient():
    layer, (q, k, v) = made(0)
    y, weights = layer(q, k, v, key_padding_mask=np.array([[True] * 5, [False] * 5]))
    np.testing.assert_array_equal(weights[0].numpy(), np.zeros((3, 5)))
    np.testing.assert_allclose(y[:, 0].numpy(), np.tile(layer.out_proj.bias.numpy(), (3, 1)))
    (y**3).sum().backward()
    assert not k.grad[:, 0].numpy().any()
    assert k.grad[:, 1].numpy().all()


def test_dropout_draws_in_training_alone():
    x = tg.ones(2, 3, 4)
    attention = nn.MultiheadAttention(4, 2, dropout=1.0)
    assert not attention(x, x, x)[1].numpy().any()
    assert attention.eval()(x, x, x)[1].numpy().all()
    layer = nn.TransformerEncoderLayer(4, 2, 6, dropout=1.0)
    np.testing.assert_array_equal(layer(x).numpy(), layer.norm2(layer.norm1(x)).numpy())
    assert not np.allclose(layer.eval()(x).numpy(), layer.norm2(layer.norm1(x)).numpy())


def test_a_mask_has_a_gradient():
    layer, (x,) = made(1)
    added = tg.Tensor(np.random.default_rng(0).normal(size=(3, 3)), requires_grad=True)
    tg.testing.gradcheck(lambda m: layer(x.detach(), x.detach(), x.detach(), attn_mask=m)[0], added)


def test_copies_of_a_stack_start_alike_and_are_trained_apart():
    encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(4, 2, 6), 2)
    first, second = encoder.layers
    np.testing.assert_array_equal(first.linear1.weight.numpy(), second.linear1.weight.numpy())
    optimizer = tg.optim.SGD(encoder.parameters(), lr=0.1)
    (encoder(tg.ones(3, 2, 4)) * tg.arange(4)).sum().backward()
    optimizer.step()
    assert (first.linear1.weight.numpy() != second.linear1.weight.numpy()).any()


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda x: nn.MultiheadAttention(4, 3), ValueError, "`num_heads` is 3; it must divide `embed_dim` 4"),
        (lambda x: nn.MultiheadAttention(4, 2, dropout=2), ValueError, "MultiheadAttention: `dropout` is 2"),
        (lambda x: nn.MultiheadAttention(4, 2)(x, x[:2], x), ValueError, r"`key` \(2, 2, 4\) and `value` \(3, 2, 4\)"),
        (lambda x: nn.MultiheadAttention(4, 2)(x, x[:, :1], x[:, :1]), ValueError, r"must be \(L, N, 4\), \(S, N, 4\)"),
        (
            lambda x: nn.MultiheadAttention(4, 2)(x, x, x, key_padding_mask=np.zeros((3, 2), bool)),
            ValueError,
            r"`key_padding_mask` has shape \(3, 2\); it must be \(2, 3\)",
        ),
        (
            lambda x: nn.MultiheadAttention(4, 2)(x, x, x, attn_mask=np.zeros((3, 3), np.int64)),
            TypeError,
            "`attn_mask` has dtype int64; it must hold Booleans, True where a key is masked",
        ),
        (lambda x: nn.TransformerEncoderLayer(4, 2, activation="tanh"), ValueError, "`activation` is 'tanh'"),
        (lambda x: nn.TransformerEncoder(nn.Identity(), 0), ValueError, "TransformerEncoder: `num_layers` is 0"),
    ],
)
def test_bad_arguments_are_named(call, error, message):
    with pytest.raises(error, match=message):
        call(tg.ones(3, 2, 4))
