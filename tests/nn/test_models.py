"""The models of nn.models, and summaries compared with numbers found by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import nn
from tinygrad_cnn.nn import models

MODELS = {
    "NotebookNet": (models.NotebookNet, (3, 1, 32, 32), (3, 1)),
    "LeNet5": (models.LeNet5, (3, 1, 28, 28), (3, 10)),
    "MnistCNN": (models.MnistCNN, (3, 1, 28, 28), (3, 10)),
    "ResNet": (lambda: models.ResNet(blocks=(1, 1, 1)), (3, 3, 32, 32), (3, 10)),
    "digits": (models.digits, (3, 1, 8, 8), (3, 10)),
    "MLP": (lambda: models.MLP((12, 8, 4), nn.Tanh, dropout=0.5), (3, 3, 2, 2), (3, 4)),
}
every_model = pytest.mark.parametrize("name", MODELS)


def summary(model, *inputs, **options):
    return nn.summary.summarize(model, inputs, options.get("dtype"))


@every_model
def test_every_parameter_gets_a_gradient(name):
    make, given, wanted = MODELS[name]
    tg.manual_seed(0)
    model = make()
    y = model(tg.randn(given))
    assert y.shape == wanted
    assert y.dtype == np.float32
    (y * y).sum().backward()
    assert all(p.grad is not None and np.isfinite(p.grad.numpy()).all() for p in model.parameters())
    assert all(p.grad.numpy().any() for p in model.parameters())


@every_model
def test_evaluation_repeats_and_does_not_depend_on_the_batch(name):
    make, given, _ = MODELS[name]
    model, x = make().eval(), tg.randn(given)
    np.testing.assert_array_equal(model(x).numpy(), model(x).numpy())
    np.testing.assert_allclose(model(x).numpy()[1:2], model(x[1:2]).numpy(), rtol=1e-4, atol=1e-5)


def test_lenet_and_the_mnist_cnn_have_the_sizes_of_the_literature():
    assert summary(models.LeNet5(), (1, 1, 28, 28)).parameters == 61706
    assert summary(models.LeNet5(padding=0), (1, 1, 32, 32)).parameters == 61706
    mnist = models.MnistCNN()
    assert {name: value.shape for name, value in mnist.state_dict().items()} == {
        "conv1.weight": (32, 1, 3, 3), "conv1.bias": (32,), "conv2.weight": (64, 32, 3, 3), "conv2.bias": (64,),
        "fc1.weight": (128, 9216), "fc1.bias": (128,), "fc2.weight": (10, 128), "fc2.bias": (10,),
    }  # fmt: skip


def test_the_resnet_is_one_of_6n_plus_2_layers_with_weights():
    model = models.ResNet(blocks=(2, 2, 2))
    weighted = [m for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    shortcuts = [m for m in weighted if isinstance(m, nn.Conv2d) and m.kernel_size == (1, 1)]
    assert len(weighted) - len(shortcuts) == 6 * 2 + 2


def test_a_block_without_change_passes_its_input_on():
    block = models.BasicBlock(4, 4).eval()
    nn.init.zeros_(block.bn2.weight)
    x = tg.rand(2, 4, 5, 5)
    np.testing.assert_array_equal(block(x).numpy(), x.numpy())


def test_the_weights_in_the_package_name_digits_that_they_were_not_trained_on():
    images, labels = tg.data.digits()
    unseen = np.random.default_rng(0).permutation(len(images))[1437:]  # as examples/train_digits.py divides them
    x = images[unseen, None] / np.float32(16)
    model = models.digits(pretrained=True)
    assert model.training
    assert (model.eval()(x).numpy().argmax(axis=1) == labels[unseen]).mean() > 0.985
    assert (models.digits().eval()(x).numpy().argmax(axis=1) == labels[unseen]).mean() < 0.5


def test_each_pretrained_model_has_weights_of_its_own():
    first, second = models.digits(pretrained=True), models.digits(pretrained=True)
    assert sum(p.size for p in first.parameters()) == 9930
    first[0].weight.copy_(np.zeros((16, 1, 3, 3)))
    assert second[0].weight.numpy().all()
    tg.manual_seed(0)
    drawn = models.digits().state_dict()
    tg.manual_seed(0)
    again = models.digits(pretrained=False).state_dict()
    for name, value in drawn.items():
        np.testing.assert_array_equal(again[name], value)
    with pytest.raises(TypeError, match="digits: `pretrained` is 'yes'; it must be True or False"):
        models.digits(pretrained="yes")


def test_the_weights_are_small_and_say_where_they_are_from():
    folder = Path(models.__file__).parent
    assert folder.joinpath("digits.npz").stat().st_size < 100_000
    text = folder.joinpath("digits.LICENSE.md").read_text(encoding="utf-8")
    assert "10.24432/C50P49" in text
    assert "examples/train_digits.py --classify --save" in text


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: models.MLP((3,)), "MLP: `sizes` is"),
        (lambda: models.ResNet(blocks=(1, 1)), "ResNet: `blocks` is"),
        (lambda: models.ResNet(blocks=(0,), widths=(3,)), "at least one"),
    ],
)
def test_mistakes_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


# Summaries


@pytest.mark.parametrize(
    ("layer", "shape", "parameters", "work"),
    [
        # outputs x multiplications for each: N O oH oW (C / groups) kH kW
        (lambda: nn.Conv2d(4, 6, (3, 2), stride=2, groups=2), (5, 4, 9, 9), 6 * 2 * 6 + 6, 5 * 6 * 4 * 4 * 2 * 6),
        (lambda: nn.Conv1d(4, 6, 3, bias=False), (5, 4, 9), 6 * 4 * 3, 5 * 6 * 7 * 4 * 3),
        # inputs x multiplications for each: N C H W (O / groups) kH kW
        (lambda: nn.ConvTranspose2d(4, 6, 3, stride=2, groups=2), (5, 4, 7, 7), 4 * 3 * 9 + 6, 5 * 4 * 49 * 3 * 9),
        (lambda: nn.Linear(7, 3), (5, 2, 7), 7 * 3 + 3, 5 * 2 * 7 * 3),
        (lambda: nn.BatchNorm2d(4), (5, 4, 3, 3), 8, 0),
    ],
)
def test_parameters_and_multiply_adds_follow_the_formulas(layer, shape, parameters, work):
    result = summary(layer(), shape)
    assert (result.parameters, result.trainable, result.multiply_adds) == (parameters, parameters, work)


def test_work_of_an_einsum_is_counted():
    class Outer(nn.Module):
        def forward(self, x):
            return tg.einsum("nij,njk->nik", x, x)

    assert summary(Outer(), (2, 3, 3)).multiply_adds == 2 * 3 * 3 * 3


def test_rows_are_calls_and_shared_parameters_count_once():
    layer = nn.Linear(3, 3)
    result = summary(nn.Sequential(layer, nn.ReLU(), layer), (2, 3))
    assert [(r.path, r.kind, r.output, r.parameters, r.multiply_adds) for r in result.rows] == [
        ("", "Sequential", (2, 3), 0, 0),
        ("0", "Linear", (2, 3), 12, 18),
        ("1", "ReLU", (2, 3), 0, 0),
        ("0", "Linear", (2, 3), 0, 18),
    ]
    assert result.parameters == 12


@every_model
def test_a_summary_leaves_the_model_as_it_was(name, hooks_that_ran):
    make, given, wanted = MODELS[name]
    model = make()
    next(iter(model.children())).eval()
    modes, state = [m.training for m in model.modules()], model.state_dict()
    result = summary(model, given)
    assert [m.training for m in model.modules()] == modes
    assert all(np.array_equal(value, state[key]) for key, value in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())
    assert hooks_that_ran
    hooks_that_ran.clear()
    model(tg.zeros(given))
    assert not hooks_that_ran
    assert result.rows[0].output == wanted
    assert sum(row.parameters for row in result.rows) == result.parameters == sum(p.size for p in model.parameters())


def test_a_failed_summary_leaves_the_model_as_it_was(hooks_that_ran):
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(4, 4))
    with pytest.raises(ValueError, match="`in_features` 4"):
        model.summary((1, 3))
    assert model[0].training
    assert hooks_that_ran
    hooks_that_ran.clear()
    model[0](tg.ones(1, 3))
    assert not hooks_that_ran


def test_a_summary_takes_shapes_and_examples(capsys):
    model = nn.Embedding(5, 2).requires_grad_(False)
    assert model.summary(np.zeros(3, int)).rows[0].output == (3, 2)
    assert "parameters: 10, 0 of them trainable" in capsys.readouterr().out
    assert model.summary((2, 3), dtype=int).rows[0].output == (2, 3, 2)
    assert summary(nn.MSELoss(), (3, 1), tg.zeros(3, 1)).rows[0].output == ()
    with pytest.raises(TypeError, match="summary: 3 is not a shape"):
        model.summary(3)


def test_the_table_is_printed_and_returned(capsys):
    result = nn.Sequential(nn.Linear(8, 10)).summary((1, 8))
    assert capsys.readouterr().out == str(result) + "\n"
    assert str(result).splitlines()[3].split() == ["0", "(Linear)", "1", "x", "10", "90", "80"]
