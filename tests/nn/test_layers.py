"""Every layer of the table beside PyTorch's, as record_layers.py recorded it, and what holds for all layers."""

from __future__ import annotations

import inspect
import json
import math
from pathlib import Path

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import nn
from tinygrad_cnn.nn.layer import Layer

from .attention_cases import CASES as ATTENTION
from .cases import CASES, Case
from .recurrent_cases import CASES as RECURRENT


def unpacked():
    with np.load(Path(__file__).with_name("layers.npz")) as archive:
        data = {key: archive[key] for key in archive.files}
    floats, start = data.pop("floats"), 0
    for key, shape in json.loads(str(data.pop("places"))):
        size = math.prod(shape)
        data[key] = floats[start : start + size].reshape(shape)
        start += size
    return json.loads(str(data.pop("rows"))), data


ROWS, DATA = unpacked()
every_case = pytest.mark.parametrize("case", CASES, ids=str)
with_inputs = pytest.mark.parametrize("case", [case for case in CASES if case.inputs], ids=str)
LAYERS = [
    value
    for name in nn.__all__
    if isinstance(value := getattr(nn, name), type) and value.__module__ != "tinygrad_cnn.nn.containers"
]


def made(case: Case, **more):
    """The layer, with lists as float32 arrays."""
    kwargs = {k: np.array(v, np.float32) if isinstance(v, list) else v for k, v in case.kwargs.items()}
    return getattr(nn, case.name)(*case.args, **kwargs, **more)


def recorded(case: Case, *path):
    """What was recorded of PyTorch: an array, or a dict of those below the path."""
    key = "/".join([str(CASES.index(case)), *path])
    return DATA[key] if key in DATA else {k[len(key) + 1 :]: v for k, v in DATA.items() if k.startswith(f"{key}/")}


def arrays(case: Case, dtype=np.float64):
    """The recorded inputs, with floating-point ones in `dtype`."""
    given = [value for _, value in sorted(recorded(case, "input").items())]
    return [a.astype(dtype) if a.dtype.kind == "f" else a for a in given]


def inputs(case: Case, dtype=np.float64):
    """The recorded inputs; the first requires a gradient if it can."""
    first, *rest = arrays(case, dtype)
    return [tg.Tensor(first, requires_grad=first.dtype.kind == "f"), *rest]


@pytest.fixture
def double():
    tg.set_default_dtype(np.float64)
    yield
    tg.set_default_dtype(np.float32)


def close(ours, theirs, rtol=1e-10):
    ours = ours.numpy() if isinstance(ours, tg.Tensor) else ours
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours, theirs, rtol=rtol, atol=1e-12)


def test_the_record_is_of_this_table():
    assert [row["title"] for row in ROWS] == list(map(str, CASES))


def test_every_layer_is_in_the_table():
    apart = {
        "MaxUnpool2d",
        "CTCLoss",
    }  # one takes two outputs of a pool, the other lengths; they have tests of their own
    apart |= {"Module", "Parameter", "TransformerEncoder", "TransformerDecoder"}
    apart |= {name for name, *_ in [*RECURRENT, *ATTENTION]}
    assert {layer.__name__ for layer in LAYERS} - apart == {case.name for case in CASES}


@every_case
def test_state_has_the_names_shapes_and_dtypes_of_pytorch(case):
    layer, row = made(case), ROWS[CASES.index(case)]
    assert [[k, list(v.shape), str(v.dtype)] for k, v in layer.state_dict().items()] == row["state"]
    assert [name for name, _ in layer.named_parameters()] == row["parameters"]


@pytest.mark.parametrize("case", [case for case in CASES if case.name != "AvgPool1d"], ids=str)
def test_repr_is_that_of_pytorch(case):  # of the average pools, PyTorch shows the sizes of AvgPool1d as tuples
    assert repr(made(case)) == ROWS[CASES.index(case)]["repr"]


@pytest.mark.whole
@with_inputs
@pytest.mark.usefixtures("double")
def test_outputs_gradients_and_running_statistics_are_those_of_pytorch(case):
    layer, given = getattr(nn, case.name)(*case.args, **case.kwargs), inputs(case)
    layer.load_state_dict(recorded(case, "state"))
    y = layer(*given)
    close(y, recorded(case, "train"))
    y.backward(recorded(case, "g"))
    gradients = {name: p.grad for name, p in layer.named_parameters()}
    if given[0].requires_grad:
        gradients[""] = given[0].grad
    theirs = recorded(case, "gradient")
    assert gradients.keys() == theirs.keys()
    for name, gradient in gradients.items():
        # PyTorch multiplies Hardsigmoid's gradient by a float32 sixth.
        close(gradient, theirs[name], rtol=1e-7 if case.name == "Hardsigmoid" else 1e-10)
    after = layer.state_dict()
    for name, value in recorded(case, "after").items():
        close(after[name], value)
    close(layer.eval()(*given), recorded(case, "eval"))
    assert all(np.array_equal(after[name], value) for name, value in layer.state_dict().items())


@with_inputs
def test_float32_stays_float32(case):
    layer, given = made(case), inputs(case, np.float32)
    y = layer(*given)
    assert y.dtype == np.float32
    y.sum().backward()
    assert all(p.grad.dtype == np.float32 for p in layer.parameters())
    assert layer.eval()(*given).dtype == np.float32


@every_case
def test_dtype_is_an_argument_of_layers_with_parameters(case):
    if "dtype" in inspect.signature(getattr(nn, case.name)).parameters:
        layer = made(case, dtype=np.float64)
        assert {t.dtype for t in (*layer.parameters(), *layer.buffers())} <= {np.dtype("float64"), np.dtype("int64")}
    else:
        assert not list(made(case).parameters())


@with_inputs
def test_arrays_give_tensors(case):
    assert isinstance(made(case)(*arrays(case, np.float32)), tg.Tensor)


@with_inputs
def test_a_list_of_tensors_is_recorded(case):
    layer = made(case)
    xs = [tg.Tensor(a, requires_grad=True) if a.dtype.kind == "f" else a for a in arrays(case, np.float32)]
    if case.name == "Identity":
        rows = list(xs[0])
        assert layer(rows) is rows
        return
    y = layer(*(list(x) if isinstance(x, tg.Tensor) else x for x in xs))
    expected = layer(*xs)
    assert y.requires_grad == expected.requires_grad
    np.testing.assert_array_equal(y.numpy(), expected.numpy())
    for x in xs:
        if isinstance(x, tg.Tensor):
            (g,), (theirs,) = (tg.gradients(f.sum(), x, retain_graph=True, allow_unused=True) for f in (y, expected))
            assert (g is None) == (theirs is None)
            if g is not None:
                np.testing.assert_allclose(g.numpy(), theirs.numpy(), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("cls", LAYERS, ids=lambda cls: cls.__name__)
def test_every_layer_is_documented(cls):
    assert inspect.getdoc(cls)
    assert cls.__doc__, "a docstring of its own, not its base's"
    assert not hasattr(cls, "forward") or cls is nn.Module or cls.forward.__doc__
    assert not {"args", "kwargs"} & set(inspect.signature(cls).parameters) or cls is nn.Identity


# The base


class Scaled(
    Layer, function=lambda a, weight, factor=1.0, axis=0, offset=0.0: (a * weight).sum(axis) * factor + offset
):
    """Its function has a parameter of each sort: an input, a learned one, two arguments, and one that the layer lacks."""

    weight: nn.Parameter

    def __init__(self, factor, dim):
        self.factor, self.dim, self.weight = factor, dim, nn.Parameter([2.0, 3.0])


def test_a_layer_passes_its_attributes_to_the_function_that_it_names():
    layer = Scaled(10, dim=1)
    assert str(inspect.signature(layer.forward)) == "(x)"
    assert layer(tg.ones(3, 2)).tolist() == [50, 50, 50]
    layer.factor = 1
    assert layer(x=tg.ones(3, 2)).tolist() == [5, 5, 5]
    assert repr(layer) == "Scaled(factor=1, dim=1)"


def test_a_forward_that_a_class_defines_is_kept():
    class Own(nn.ELU):
        def forward(self, x):
            return x * 2

    class Renamed(Own, function=tg.relu, shown="alpha is {alpha}"):
        pass

    assert Renamed()(tg.ones(1)).tolist() == [2]
    assert repr(Renamed(3)) == "Renamed(alpha is 3)"


# What the table does not test


def test_unpool_puts_back_what_the_pool_took():
    x = tg.Tensor(np.random.default_rng(0).permutation(32).reshape(1, 2, 4, 4), dtype=np.float32)
    y, indices = nn.MaxPool2d(2, return_indices=True)(x)
    back = nn.MaxUnpool2d(2)(y, indices)
    np.testing.assert_array_equal(back, np.where(np.isin(x.numpy(), y.numpy()), x.numpy(), 0))
    assert nn.MaxUnpool2d(2)(y, indices, output_size=(5, 5)).shape == (1, 2, 5, 5)


@pytest.mark.parametrize("size", [7, 8])
def test_a_transposed_convolution_goes_back_to_the_size_that_is_asked_for(size):
    down = nn.Conv2d(2, 3, 3, stride=2, padding=1)
    up = nn.ConvTranspose2d(3, 2, 3, stride=2, padding=1)
    y = down(tg.zeros(1, 2, size, size))
    assert y.shape == (1, 3, 4, 4)
    assert up(y, output_size=size).shape == (1, 2, size, size)


def test_an_output_size_out_of_reach_is_refused():
    up = nn.ConvTranspose1d(1, 1, 3, stride=2, padding=1)
    with pytest.raises(ValueError, match=r"`output_size` is 9; it must lie between \(7,\) and \(8,\)"):
        up(tg.zeros(1, 1, 4), output_size=9)


@pytest.mark.parametrize("layer", [nn.Dropout(0.4), nn.Dropout2d(0.4)])
def test_dropout_draws_in_training_only(layer):
    x = tg.ones(50, 40, 2, 2)
    tg.manual_seed(0)
    y = layer(x).numpy()
    assert set(np.unique(y)) == {np.float32(0), np.float32(1 / 0.6)}
    whole = (y == y[:, :, :1, :1]).all()
    assert whole == isinstance(layer, nn.Dropout2d)
    assert layer.eval()(x) is x
    assert not np.array_equal(layer.train()(x), y)


def test_an_embedding_keeps_its_padding_row():
    layer = nn.Embedding(5, 3, padding_idx=-2)
    assert not layer.weight.numpy()[3].any()
    layer(np.arange(5)).sum().backward()
    assert layer.weight.grad.numpy()[3].tolist() == [0, 0, 0]
    assert (layer.weight.grad.numpy()[[0, 1, 2, 4]] == 1).all()
    table = np.arange(6.0).reshape(3, 2)
    frozen = nn.Embedding.from_pretrained(table)
    assert frozen.weight.numpy().tolist() == table.tolist()
    assert [p.requires_grad for p in frozen.parameters()] == [False]


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: nn.Linear(0, 3), ValueError, "Linear: `in_features` is 0; it must be at least 1"),
        (lambda: nn.Linear(2.0, 3), TypeError, "Linear: `in_features` is 2.0; it must be an integer"),
        (lambda: nn.Linear(2, 3)(tg.zeros(3, 4)), ValueError, r"Linear: `x` has shape \(3, 4\); .* `in_features` 2"),
        (lambda: nn.Conv2d(3, 4, 3, groups=2), ValueError, "`groups` is 2; it must divide both `in_channels` 3"),
        (lambda: nn.Conv2d(3, 4, 3, padding_mode="zero"), ValueError, "`padding_mode` is 'zero'; it must be one of 'zeros'"),
        (lambda: nn.Conv2d(3, 4, (3, 3, 3)), ValueError, "Conv2d: `kernel_size`"),
        (lambda: nn.Conv2d(3, 4, 3, padding="some"), ValueError, "Conv2d: `padding` is 'some'"),
        (lambda: nn.Conv2d(3, 4, 3, padding="same", stride=2), ValueError, "needs stride 1"),
        (lambda: nn.Conv2d(3, 4, 3)(tg.zeros(1, 4, 5, 5)), ValueError, "`x` has 4 channels but `w` expects 3"),
        (lambda: nn.ConvTranspose2d(3, 4, 3, padding_mode="reflect"), ValueError, "only has 'zeros'"),
        (lambda: nn.ConvTranspose2d(3, 4, 3, padding="same"), TypeError, "`padding` is 'same'"),
        (lambda: nn.BatchNorm2d(3)(tg.zeros(2, 3)), ValueError, r"BatchNorm2d: `x` has shape \(2, 3\); it must be"),
        (lambda: nn.BatchNorm1d(3)(tg.zeros(2, 3, 4, 4)), ValueError, r"\(N, C\) or \(N, C, L\)"),
        (lambda: nn.GroupNorm(2, 3), ValueError, "`num_groups` is 2; it must divide `num_channels` 3"),
        (lambda: nn.GroupNorm(2, 4)(tg.zeros(2, 6, 3)), ValueError, "`num_channels` 4"),
        (lambda: nn.LayerNorm(())(tg.zeros(2, 6)), ValueError, "normalized_shape"),
        (lambda: nn.Dropout(1.5), ValueError, "Dropout: `p` is 1.5; it must be a probability"),
        (lambda: nn.Embedding(3, 2, padding_idx=3), ValueError, "`padding_idx` is 3; it must be a row, from -3 to 2"),
        (lambda: nn.Embedding.from_pretrained(np.zeros(3)), ValueError, r"`embeddings` has shape \(3,\)"),
        (lambda: nn.Unflatten(1, (2, 2))(tg.zeros(2, 5)), ValueError, "Unflatten: `x` has 5 elements along axis 1"),
        (lambda: nn.Unflatten(2, (2, 2))(tg.zeros(2, 5)), ValueError, "which has no axis `dim` 2"),
        (lambda: nn.Upsample(), ValueError, "give exactly one"),
        (lambda: nn.GELU("erf"), ValueError, "`approximate` is 'erf'"),
        (lambda: nn.Hardtanh(1, 0), ValueError, "`min_val` 1 is above `max_val` 0"),
        (lambda: nn.MSELoss("average"), ValueError, "MSELoss: `reduction` is 'average'"),
        (lambda: nn.MSELoss(tg.zeros(2)), ValueError, r"MSELoss: `reduction` is Tensor.* called: nn\.MSELoss\(\)\("),
        (lambda: nn.BCELoss(tg.zeros(2), np.zeros(2)), ValueError, r"`reduction` is array.* nn\.BCELoss\(\)\(output, target\)"),
        (lambda: nn.L1Loss(tg.zeros(2), tg.zeros(2)), TypeError, r"called: nn\.L1Loss\(\)\(output, target\)"),
        (lambda: nn.CrossEntropyLoss(tg.zeros(2, 3), np.zeros(2, int)), TypeError, r"`ignore_index` is array.*nn\.Cross"),
        (lambda: nn.NLLLoss(tg.zeros(2, 3), tg.zeros(2)), TypeError, r"`ignore_index` is Tensor.* called: nn\.NLLLoss\(\)\("),
        (lambda: nn.NLLLoss(ignore_index=0.5), ValueError, "`ignore_index` is 0.5; it must be an integer"),
        (lambda: nn.CrossEntropyLoss(label_smoothing=2), ValueError, "`label_smoothing` is 2; it must be from 0 to 1"),
        (lambda: nn.Sigmoid(3), TypeError, "Sigmoid"),
    ],
)  # fmt: skip
def test_bad_arguments_are_named(make, error, message):
    with pytest.raises(error, match=message):
        make()
