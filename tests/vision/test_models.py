"""vision.models beside torchvision's, with its names: what record_models.py recorded, and what else a model promises."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn.vision import models

from .networks import CLASSES, MODELS, QUICK, batch, probes, values, without_chance

RECORDED = Path(__file__).parent / "recorded"
every_model = pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in MODELS]
)


@pytest.fixture
def float64():
    tg.set_default_dtype(np.float64)
    yield
    tg.set_default_dtype(np.float32)


@pytest.mark.whole
@every_model
def test_scores_and_gradients_are_torchvisions(name, float64):
    options, size = MODELS[name]
    recorded = np.load(RECORDED / f"{name}.npz")
    model = without_chance(getattr(models, name)(num_classes=CLASSES, **options))
    wanted = [(key, tuple(shape)) for key, shape in json.loads(recorded["names"].item())]
    assert [(key, value.shape) for key, value in model.state_dict().items()] == wanted
    model.load_state_dict({key: values(key, shape) for key, shape in wanted})
    x, weight = batch(size)
    with tg.no_grad():
        scores = model.eval()(x).numpy()
    np.testing.assert_allclose(scores, recorded["eval"], rtol=1e-9, atol=1e-11)
    y = model.train()(x)
    # normalization of three numbers multiplies rounding: one unit in the last place of x moves a score of resnet50 by 3e-10
    np.testing.assert_allclose(y.numpy(), recorded["train"], rtol=0, atol=1e-9 * np.abs(recorded["train"]).max())
    (y * weight.reshape(*weight.shape, *(1,) * (scores.ndim - 2))).sum().backward()
    largest = recorded["largest"]
    for (key, p), found, most in zip(model.named_parameters(), recorded["gradients"], largest, strict=True):
        gradient = p.grad.numpy()
        tolerance = 1e-6 * most + 1e-12 * largest.max()  # normalization of three numbers multiplies rounding
        np.testing.assert_allclose(gradient.ravel()[probes(key, p.size)], found, rtol=0, atol=tolerance, err_msg=key)
        np.testing.assert_allclose(np.abs(gradient).max(), most, rtol=0, atol=tolerance, err_msg=key)


@pytest.mark.parametrize("build", [models.resnet18, pytest.param(models.resnet50, marks=pytest.mark.slow)])
def test_the_children_of_a_resnet_in_their_order_are_the_network(build):
    """As in PyTorch, Sequential(*list(model.children())[:-1]) gives the features: no relu is left out."""
    model = build(num_classes=2).eval()
    *body, last = model.children()
    x = np.random.default_rng(0).standard_normal((1, 3, 32, 32)).astype(np.float32)
    features = tg.nn.Sequential(*body)(x)
    np.testing.assert_array_equal(last(features.reshape(1, -1)).numpy(), model(x).numpy())
    assert {"relu", "layer1.0.relu"} <= {
        name for name, module in model.named_modules() if isinstance(module, tg.nn.ReLU)
    }


def test_stochastic_depth_skips_whole_images():
    layer = models.StochasticDepth(0.25)
    x = tg.ones(4000, 2, 3, requires_grad=True)
    y = layer(x, rng=0)
    kept = y.numpy()[:, :1, :1]
    assert (y.numpy() == kept).all()
    assert set(np.unique(kept)) == {0, np.float32(4 / 3)}
    assert abs((kept == 0).mean() - 0.25) < 0.03
    y.sum().backward()
    assert (x.grad.numpy() == y.numpy()).all()
    assert layer.eval()(x) is x


def test_weights_are_a_file_or_a_state(tmp_path):
    options = {"num_classes": 3, "width": 2, "levels": 1}
    model = models.unet(**options)
    tg.save(tmp_path / "unet.npz", model.state_dict())
    x = np.random.default_rng(0).normal(size=(1, 3, 4, 4)).astype(np.float32)
    for weights in (tmp_path / "unet.npz", str(tmp_path / "unet.npz"), model.state_dict()):
        assert (models.unet(weights=weights, **options)(x).numpy() == model(x).numpy()).all()
    with pytest.raises(ValueError, match=r"unet: `weights` is 'DEFAULT'; it must be the path of a .pth"):
        models.unet(weights="DEFAULT")
    with pytest.raises(TypeError, match="unet: `weights` is a int"):
        models.unet(weights=3)
    with pytest.raises(
        ValueError, match=r"nothing was loaded:\n- 'head.bias' is float32 \(3,\); it must be float32 \(4,\)"
    ):
        models.unet(weights=model.state_dict(), num_classes=4, width=2, levels=1)


def test_densenet_takes_names_of_older_files():
    model = models.DenseNet(4, (1, 2), 8, 2, num_classes=3)
    state = model.state_dict()
    old = {key.replace("norm1.", "norm.1.").replace("conv2.", "conv.2."): value for key, value in state.items()}
    assert old.keys() != state.keys()
    options = {"growth_rate": 4, "block_config": (1, 2), "num_init_features": 8, "bn_size": 2, "num_classes": 3}
    loaded = models.densenet121(weights=old, **options)
    assert all((value == state[key]).all() for key, value in loaded.state_dict().items())


@pytest.mark.parametrize(
    ("make", "wanted"),
    [
        (lambda: models.ResNet(models.resnet.BasicBlock, (1, 1, 1)), "ResNet: `layers` is"),
        (lambda: models.vit_tiny(image_size=33), "VisionTransformer: `image_size` is 33 and `patch_size` 16"),
        (lambda: models.unet(levels=0), "UNet: `levels` is 0"),
        (lambda: models.unet(width=1, levels=2)(tg.zeros(1, 3, 6, 8)), "multiples of 4"),
        (lambda: models.VisionTransformer(8, 4, 1, 1, 4, 4)(tg.zeros(1, 3, 8, 12)), r"it must be \(N, 3, 8, 8\)"),
    ],
)
def test_what_does_not_fit_is_an_error(make, wanted):
    with pytest.raises(ValueError, match=wanted):
        make()


def test_features_of_a_resnet_are_those_of_its_stages():
    model = models.ResNet(models.resnet.BasicBlock, (1, 1, 1, 1), num_classes=2)
    assert [f.shape[1:] for f in model.features(tg.zeros(1, 3, 64, 64))] == [
        (64, 16, 16), (128, 8, 8), (256, 4, 4), (512, 2, 2)
    ]  # fmt: skip
