"""nn.utils: PyTorch's recorded values and names, and parametrized layers in all that takes a layer."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import nn
from tinygrad_cnn.nn import utils
from tinygrad_cnn.nn.utils import parametrizations, parametrize, prune
from tinygrad_cnn.nn.utils.parametrize import register_parametrization, remove_parametrizations

from .utils_cases import FUSED, NORMS, PRUNED, X, drawn, global_pruned, layer_of, made

RECORDED = np.load(Path(__file__).with_name("utils.npz"))


def loaded(layer, seed=0):
    """A layer in float64 with the drawn state of the recording."""
    layer.to(np.float64)
    layer.load_state_dict({
        name: drawn(value.shape, seed + i) for i, (name, value) in enumerate(layer.state_dict().items())
    })  # fmt: skip
    return layer


def recorded(name):
    return {str(key): RECORDED[f"{name} {key}"] for key in RECORDED[f"{name} keys"]}


def assert_state(layer, name):
    state, expected = layer.state_dict(), recorded(name)
    assert list(state) == list(expected)
    for key, value in expected.items():
        np.testing.assert_allclose(state[key], value, rtol=1e-12, atol=1e-14, err_msg=key)
    np.testing.assert_allclose(layer.weight.numpy(), RECORDED[f"{name} weight"], rtol=1e-12, atol=1e-14)


def normed(name):
    kind, norm, options, shape = NORMS[name]
    layer = getattr(parametrizations, norm)(loaded(layer_of(nn, kind)), **options)
    if norm == "spectral_norm":
        for i, buffer in enumerate(layer.parametrizations.weight[0].buffers()):
            value = drawn(buffer.shape, 50 + i)
            buffer.copy_(value / np.linalg.norm(value))
    return layer, shape


@pytest.mark.parametrize("compile", [False, True])
@pytest.mark.parametrize("name", NORMS)
def test_norms_are_trained_as_in_pytorch(name, compile):
    layer, shape = normed(name)
    optimizer = tg.optim.SGD(layer.parameters(), lr=0.01)

    def step(x):
        y = layer(x)
        optimizer.zero_grad()
        loss = (y * y).sum()
        loss.backward()
        optimizer.step()
        return loss

    step = tg.compile(step) if compile else step
    for i in range(3):
        step(tg.Tensor(drawn(shape, 90 + i)))
    layer.eval()
    assert_state(layer, name)
    np.testing.assert_allclose(layer(drawn(shape, 99)).numpy(), RECORDED[f"{name} y"], rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("name", NORMS)
def test_norms_load_the_state_of_pytorch(name):
    kind, norm, options, shape = NORMS[name]
    layer = getattr(parametrizations, norm)(layer_of(nn, kind), **options).to(np.float64).eval()
    layer.load_state_dict(recorded(name))
    np.testing.assert_allclose(layer(drawn(shape, 99)).numpy(), RECORDED[f"{name} y"], rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("orthogonal_map", ["matrix_exp", "cayley", "householder"])
@pytest.mark.parametrize("shape", [(4, 4), (5, 3), (2, 3, 5)])
def test_orthogonal_weights_stay_so_and_start_where_they_were(orthogonal_map, shape):
    class Holder(nn.Module):
        def __init__(self, weight):
            self.weight = nn.Parameter(weight)

    tall = drawn(shape, 0) if shape[-2] >= shape[-1] else drawn(shape, 0).swapaxes(-1, -2)
    q, r = np.linalg.qr(tall)
    q *= np.sign(np.diagonal(r, axis1=-2, axis2=-1))[..., None, :]
    wanted = q if shape[-2] >= shape[-1] else q.swapaxes(-1, -2)
    layer = parametrizations.orthogonal(Holder(drawn(shape, 0)), orthogonal_map=orthogonal_map)
    np.testing.assert_allclose(layer.weight.numpy(), wanted, atol=1e-14)  # Gram-Schmidt of the weight
    layer.weight = tg.Tensor(-wanted)
    np.testing.assert_allclose(layer.weight.numpy(), -wanted, atol=1e-14)
    optimizer = tg.optim.SGD(layer.parameters(), lr=0.5)
    for _ in range(3):
        optimizer.zero_grad()
        (layer.weight * drawn(shape, 1)).sum().backward()
        optimizer.step()
    w = layer.weight.numpy()
    assert abs(w + wanted).max() > 0.1
    w = w if shape[-2] >= shape[-1] else w.swapaxes(-1, -2)
    np.testing.assert_allclose(
        w.swapaxes(-1, -2) @ w, np.broadcast_to(np.eye(w.shape[-1]), q[..., : w.shape[-1], :].shape), atol=1e-13
    )


def test_unitary_weights_and_what_cannot_be_orthogonal():
    layer = parametrizations.orthogonal(nn.Linear(3, 4, bias=False, dtype=np.complex128))
    w = layer.weight.numpy()
    np.testing.assert_allclose(w.conj().T @ w, np.eye(3), atol=1e-14)
    for wrong, options, message in (
        (nn.Linear(3, 4), {"name": "bias"}, r"'bias' has shape \(4,\); it must be a matrix"),
        (nn.Linear(3, 4), {"orthogonal_map": "qr"}, "`orthogonal_map` is 'qr'"),
        (nn.Linear(3, 4, dtype=np.complex64), {"orthogonal_map": "householder"}, "'householder' is for real weights"),
    ):
        with pytest.raises(ValueError, match=message):
            parametrizations.orthogonal(wrong, **options)
    free = parametrizations.orthogonal(nn.Linear(3, 3), orthogonal_map="cayley", use_trivialization=False)
    with pytest.raises(NotImplementedError, match="a value cannot be assigned with 'cayley'"):
        free.weight = tg.Tensor(np.eye(3, dtype=np.float32))


@pytest.mark.parametrize("name", PRUNED)
def test_pruning_is_pytorchs(name):
    kind, calls = PRUNED[name]
    layer = loaded(layer_of(nn, kind))
    made(prune, layer, calls, np.asarray)
    assert_state(layer, name)
    assert prune.is_pruned(nn.Sequential(layer)) == (name != "removed")
    fresh = layer_of(nn, kind).to(np.float64)
    if name != "removed":
        prune.identity(fresh, "weight")
    fresh.load_state_dict(recorded(name))
    np.testing.assert_array_equal(fresh.weight.numpy(), RECORDED[f"{name} weight"])


def test_global_pruning_is_pytorchs():
    layers = [loaded(layer_of(nn, kind), 10 * i) for i, kind in enumerate(("linear", "conv"))]
    for i, masks in enumerate(global_pruned(prune, layers)):
        for j, mask in enumerate(masks):
            np.testing.assert_array_equal(mask.numpy(), RECORDED[f"global {i} {j}"])


@pytest.mark.parametrize("name", FUSED)
def test_fused_layers_are_pytorchs(name):
    kind, size, shape = FUSED[name]
    layer = loaded(layer_of(nn, kind)).eval()
    norm = (nn.BatchNorm1d if kind == "linear" else nn.BatchNorm2d)(size).to(np.float64).eval()
    state = enumerate(norm.state_dict().items())
    norm.load_state_dict({
        key: abs(drawn(value.shape, 20 + i)) if value.ndim else value for i, (key, value) in state
    })  # fmt: skip
    fused = (
        utils.fuse_linear_bn_eval(layer, norm)
        if kind == "linear"
        else utils.fuse_conv_bn_eval(layer, norm, kind == "transpose")
    )
    for key, value in fused.state_dict().items():
        np.testing.assert_allclose(value, RECORDED[f"{name} {key}"], rtol=1e-12)
    x = drawn(shape, 99)
    np.testing.assert_allclose(fused(x).numpy(), RECORDED[f"{name} y"], rtol=1e-10)
    np.testing.assert_allclose(norm(layer(x)).numpy(), RECORDED[f"{name} y"], rtol=1e-10)
    assert type(fused) is type(layer)
    assert not np.array_equal(fused.weight.numpy(), layer.weight.numpy())


class Symmetric(nn.Module):
    def forward(self, x):
        return tg.triu(x) + tg.triu(x, 1).T

    def right_inverse(self, x):
        return tg.triu(x)


class Doubled(nn.Module):
    def forward(self, x):
        return 2 * x

    def right_inverse(self, x):
        return x / 2


class RankOne(nn.Module):
    def forward(self, a, b):
        return a.reshape(-1, 1) * b

    def right_inverse(self, w):
        u, s, v = tg.linalg.svd(w, full_matrices=False)
        return u[:, 0] * tg.sqrt(s[0]), v[0] * tg.sqrt(s[0])


def test_parametrizations_follow_each_other_and_are_assigned():
    layer = loaded(nn.Linear(3, 3))
    original = layer.weight
    before = original.numpy().copy()
    parametrize.register_parametrization(layer, "weight", Symmetric())
    assert layer.parametrizations.weight.original is original  # an optimizer may have it
    np.testing.assert_array_equal(original.numpy(), np.triu(before))
    parametrize.register_parametrization(layer, "weight", Doubled())
    symmetric = np.triu(before) + np.triu(before, 1).T
    np.testing.assert_allclose(layer.weight.numpy(), 2 * symmetric, rtol=1e-15)
    layer.weight = tg.Tensor(6 * symmetric)
    np.testing.assert_allclose(layer.weight.numpy(), 6 * symmetric, rtol=1e-15)
    np.testing.assert_allclose(original.numpy(), 3 * np.triu(symmetric), rtol=1e-15)
    x = drawn((2, 3), 1)
    layer(x).sum().backward()
    g = np.broadcast_to(x.sum(axis=0), (3, 3))
    np.testing.assert_allclose(original.grad.numpy(), 2 * (np.triu(g) + np.triu(g.T, 1)), rtol=1e-12)
    assert parametrize.remove_parametrizations(layer, "weight") is layer
    assert layer.weight is original
    np.testing.assert_allclose(layer.weight.numpy(), 6 * symmetric, rtol=1e-15)
    assert not parametrize.is_parametrized(layer)
    assert [name for name, _ in layer.named_modules()] == [""]


def test_several_originals():
    layer = parametrize.register_parametrization(loaded(nn.Linear(3, 4)), "weight", RankOne())
    assert [name for name, _ in layer.named_parameters()] == [
        "bias", "parametrizations.weight.original0", "parametrizations.weight.original1",
    ]  # fmt: skip
    assert np.linalg.matrix_rank(layer.weight.numpy()) == 1
    layer.weight = tg.Tensor(np.outer([1.0, 2, 3, 4], [1.0, 0, 1]))
    np.testing.assert_allclose(layer.weight.numpy(), np.outer([1.0, 2, 3, 4], [1.0, 0, 1]), atol=1e-14)
    with pytest.raises(ValueError, match="function of 2 Tensors"):
        parametrize.remove_parametrizations(layer, "weight", leave_parametrized=False)
    value = layer.weight.numpy()
    parametrize.remove_parametrizations(layer, "weight")
    assert isinstance(layer.weight, nn.Parameter)
    np.testing.assert_array_equal(layer.weight.numpy(), value)


def test_a_buffer_and_a_value_of_another_shape():
    norm = nn.BatchNorm1d(3)
    parametrize.register_parametrization(norm, "running_mean", Doubled())
    assert list(norm.state_dict())[-1] == "parametrizations.running_mean.original"
    assert not [name for name, _ in norm.named_parameters() if "running" in name]
    parametrize.remove_parametrizations(norm, "running_mean", leave_parametrized=False)
    assert "running_mean" in dict(norm.named_buffers())

    class Flat(nn.Module):
        def forward(self, x):
            return x.reshape(-1)

    layer = nn.Linear(2, 3)
    with pytest.raises(ValueError, match=r"its value is float32 of shape \(6,\); it must be float32 of shape \(3, 2\)"):
        parametrize.register_parametrization(layer, "weight", Flat())
    assert isinstance(vars(layer)["weight"], nn.Parameter)
    parametrize.register_parametrization(layer, "weight", Flat(), unsafe=True)
    assert layer.weight.shape == (6,)


def test_cached_values_are_computed_once_and_never_old():
    calls = []

    class Counted(nn.Module):
        def forward(self, x):
            calls.append(1)
            return x + 1

    layer = parametrize.register_parametrization(loaded(nn.Linear(2, 2)), "weight", Counted(), unsafe=True)
    original = layer.parametrizations.weight.original
    with parametrize.cached(), parametrize.cached():
        first = layer.weight
        assert layer.weight is first
        assert len(calls) == 1
        original.copy_(np.zeros((2, 2)))
        np.testing.assert_array_equal(layer.weight.numpy(), 1)
        with tg.no_grad():
            assert not layer.weight.requires_grad
        assert layer.weight.requires_grad
        own = {"parametrizations.weight.original": tg.Tensor(np.ones((2, 2)))}
        np.testing.assert_array_equal(nn.functional_call(layer, own, np.eye(2)).numpy() - layer.bias.numpy(), 2)
    assert layer.weight is not layer.weight


LAYERS = {
    "weight_norm": lambda: parametrizations.weight_norm(nn.Linear(4, 3)),
    "spectral_norm": lambda: parametrizations.spectral_norm(nn.Linear(4, 3)),
    "symmetric": lambda: parametrize.register_parametrization(nn.Linear(4, 4), "weight", Symmetric()),
    "pruned": lambda: prune.l1_unstructured(nn.Linear(4, 3), "weight", 0.5),
    "pruned bias": lambda: prune.l1_unstructured(nn.Linear(4, 3), "bias", 1),
}


@pytest.mark.parametrize("name", LAYERS)
def test_copies_pickles_and_saved_states(name, tmp_path):
    layer = LAYERS[name]()
    x = drawn((5, 4), 0).astype(np.float32)
    layer.eval()
    y = layer(x).numpy()
    for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        np.testing.assert_array_equal(other(x).numpy(), y)
        assert repr(other) == repr(layer)
        next(iter(other.parameters())).copy_(next(iter(other.parameters())).numpy() + 1)
        assert not np.array_equal(other(x).numpy(), y)
        np.testing.assert_array_equal(layer(x).numpy(), y)
    tg.save(tmp_path / "state.npz", layer.state_dict())
    fresh = LAYERS[name]().eval()
    fresh.load_state_dict(tg.load(tmp_path / "state.npz"))
    np.testing.assert_array_equal(fresh(x).numpy(), y)


@pytest.mark.parametrize("compile", [False, True])
@pytest.mark.parametrize("name", LAYERS)
def test_fit_and_what_else_takes_a_model(name, compile):
    tg.manual_seed(0)
    first = LAYERS[name]()
    model = nn.Sequential(first, nn.ReLU(), nn.Linear(first.out_features, 2))
    x, y = drawn((40, 4), 1).astype(np.float32), (drawn((40,), 2) > 0).astype(int)
    optimizer = tg.optim.Adam(model.parameters(), lr=0.05)
    history = tg.fit(
        model, (x, y), tg.cross_entropy, optimizer, epochs=8, batch_size=10, compile=compile, progress=False
    )
    assert history["loss"][-1] < history["loss"][0]
    if "pruned" in name:
        mask = getattr(first, "bias_mask" if "bias" in name else "weight_mask").numpy()
        value = (first.bias if "bias" in name else first.weight).numpy()
        np.testing.assert_array_equal(value == 0, mask == 0)
    if name == "symmetric":
        np.testing.assert_array_equal(first.weight.numpy(), first.weight.numpy().T)
    parameters = {key: p.detach() for key, p in model.named_parameters()}
    model.eval()
    found = tg.grad(lambda p: nn.functional_call(model, p, x).sum())(parameters)
    model.zero_grad()
    model(x).sum().backward()
    for key, p in model.named_parameters():
        np.testing.assert_allclose(found[key].numpy(), p.grad.numpy(), rtol=1e-5, atol=1e-6)


def test_a_shallow_copy_is_changed_alone():
    layer = LAYERS["pruned"]()
    other = copy.copy(layer)
    prune.remove(other, "weight")
    assert prune.is_pruned(layer)
    assert not prune.is_pruned(other)
    np.testing.assert_array_equal(layer.weight.numpy() == 0, layer.weight_mask.numpy() == 0)


def test_the_graph_of_one_call_is_not_changed_by_the_next():
    layer = parametrizations.spectral_norm(loaded(nn.Linear(4, 3)))
    x = drawn((5, 4), 0)
    other = copy.deepcopy(layer)
    first, _ = layer(x).sum(), layer(x)
    first.backward()
    other(x).sum().backward()
    ours, theirs = (each.parametrizations.weight.original.grad.numpy() for each in (layer, other))
    np.testing.assert_array_equal(ours, theirs)


def test_a_vector_of_one_axis_has_norm_1():
    layer = parametrizations.spectral_norm(loaded(nn.Linear(4, 3)), "bias")
    assert np.linalg.norm(layer.bias.numpy()) == pytest.approx(1, rel=1e-14)


def test_parameters_as_a_vector():
    model = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    vector = utils.parameters_to_vector(model.parameters())
    np.testing.assert_array_equal(vector.numpy(), np.concatenate([p.numpy().ravel() for p in model.parameters()]))
    (vector * np.arange(12)).sum().backward()
    np.testing.assert_array_equal(model[0].bias.grad.numpy(), [6, 7])
    utils.vector_to_parameters(tg.Tensor(np.arange(12.0)), model.parameters())
    assert model[1].weight.tolist() == [8, 9]
    assert model[1].weight.dtype == np.float32
    with pytest.raises(ValueError, match=r"`vec` has shape \(11,\); the parameters need \(12,\)"):
        utils.vector_to_parameters(tg.zeros(11), model.parameters())
    assert model[1].weight.tolist() == [8, 9]
    with pytest.raises(ValueError, match="there is no parameter"):
        utils.parameters_to_vector([])


def test_random_pruning_draws_the_librarys_numbers():
    for call, count in (
        (lambda layer: prune.random_unstructured(layer, "weight", 0.25), 5),
        (lambda layer: prune.random_structured(layer, "weight", 2, dim=1), 8),
    ):
        masks = []
        for seed in (0, 0, 1):
            tg.manual_seed(seed)
            masks.append(call(nn.Linear(5, 4)).weight_mask.numpy())
            assert (masks[-1] == 0).sum() == count
        assert np.array_equal(masks[0], masks[1])
        assert not np.array_equal(masks[0], masks[2])
    assert (masks[0].sum(axis=0) == 0).sum() == 2


def test_a_method_of_the_user():
    class Largest(prune.BasePruningMethod):
        def compute_mask(self, t, default_mask):
            mask = default_mask.copy()
            mask[np.unravel_index(np.abs(t).argmax(), t.shape)] = 0
            return mask

    layer = loaded(nn.Linear(5, 4))
    largest = np.sort(np.abs(layer.weight.numpy()).ravel())[-2:]
    Largest.apply(layer, "weight")
    Largest.apply(layer, "weight")
    np.testing.assert_array_equal(np.sort(abs(layer.weight_orig.numpy()[layer.weight_mask.numpy() == 0])), largest)


def pruned():
    return prune.l1_unstructured(nn.Linear(3, 2), "weight", 0.5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: register_parametrization(nn.Linear(2, 2), "wight", Doubled()), "'wight'; it has weight, bias"),
        (lambda: register_parametrization(nn.Linear(2, 2, bias=False), "bias", Doubled()), "no parameter or buffer 'bias'"),
        (lambda: register_parametrization(nn.Linear(2, 2), "weight", abs), "`parametrization` is <built-in"),
        (lambda: register_parametrization(pruned(), "weight", Doubled()), "no parameter or buffer 'weight'"),
        (lambda: remove_parametrizations(nn.Linear(2, 2), "weight"), "'weight' of the Linear is not parametrized"),
        (lambda: parametrizations.weight_norm(nn.Linear(2, 2), dim=2), "weight_norm: `dim` is 2"),
        (lambda: parametrizations.weight_norm(nn.ReLU()), "the ReLU has no parameter or buffer 'weight'"),
        (lambda: parametrizations.spectral_norm(nn.Linear(2, 2), n_power_iterations=0), "`n_power_iterations` is 0"),
        (lambda: setattr(pruned(), "weight", nn.Parameter([1.0])), "`weight` is pruned and cannot be set"),
        (lambda: prune.l1_unstructured(nn.ReLU(), "weight", 1), "a ReLU has no parameter 'weight' of its own; it has none"),
        (lambda: prune.l1_unstructured(nn.Linear(2, 2), "weight", 5), "`amount` is 5; there are 4 left"),
        (lambda: prune.l1_unstructured(nn.Linear(2, 2), "weight", 1.5), "`amount` is 1.5"),
        (lambda: prune.l1_unstructured(nn.Linear(2, 2), "weight", -1), "`amount` is -1"),
        (lambda: prune.ln_structured(nn.Linear(2, 2), "bias", 1, 2, 0), "needs at least two axes"),
        (lambda: prune.ln_structured(nn.Linear(2, 2), "weight", 1, 2, 2), "`dim` is 2"),
        (lambda: prune.custom_from_mask(nn.Linear(2, 2), "weight", np.ones(2)), r"`mask` has shape \(2,\)"),
        (lambda: prune.custom_from_mask(nn.Linear(2, 2), "weight", np.full((2, 2), 0.5)), "zeros and ones only"),
        (lambda: prune.l1_unstructured(nn.Linear(2, 2), "weight", 1, np.ones(3)), r"`importance_scores` has shape \(3,\)"),
        (lambda: prune.remove(nn.Linear(2, 2), "weight"), "is not pruned"),
        (lambda: prune.global_unstructured([(nn.Linear(2, 2), "weight")], prune.LnStructured, amount=1, n=2),
         "it must be 'unstructured'"),
        (lambda: prune.global_unstructured([nn.Linear(2, 2)], prune.L1Unstructured, amount=1), "give pairs such as"),
        (lambda: utils.fuse_conv_bn_eval(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)), "call eval"),
        (lambda: utils.fuse_conv_bn_eval(nn.Conv2d(1, 2, 3).eval(), nn.BatchNorm2d(3).eval()),
         "2 outputs and the normalization 3"),
        (lambda: utils.fuse_conv_bn_eval(nn.Conv2d(1, 2, 3).eval(), nn.BatchNorm2d(2, track_running_stats=False).eval()),
         "no running statistics"),
        (lambda: utils.fuse_linear_bn_eval(pruned().eval(), nn.BatchNorm1d(2).eval()), "weight is parametrized or pruned"),
    ],
)  # fmt: skip
def test_what_is_wrong(call, message):
    with pytest.raises((TypeError, ValueError, AttributeError), match=message):
        call()


def test_nothing_is_half_changed_after_an_error():
    class Broken(nn.Module):
        def forward(self, x):
            raise RuntimeError("broken")

        def right_inverse(self, x):
            return x * 0

    layer = nn.Linear(3, 2)
    before, keys = layer.state_dict(), list(vars(layer))
    for call in (
        lambda: register_parametrization(layer, "weight", Broken()),
        lambda: prune.custom_from_mask(layer, "weight", np.ones(3)),
        lambda: prune.l1_unstructured(layer, "weight", 100),
    ):
        with pytest.raises((RuntimeError, ValueError)):
            call()
        assert list(vars(layer)) == keys
        for name, value in layer.state_dict().items():
            np.testing.assert_array_equal(value, before[name])


def test_shapes_of_inputs_are_those_that_were_recorded():
    assert {kind: shape for kind, _, _, shape in NORMS.values()}.items() <= X.items()
