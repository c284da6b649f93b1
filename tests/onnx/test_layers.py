"""Every layer is exported: it gives the same in onnxruntime, and after `load`."""

from __future__ import annotations

import io
import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import tinygrad_cnn as tg
from tinygrad_cnn import nn

from ..nn.cases import CASES
from . import needs

needs.runtime()

from .exports import check, shaken  # noqa: E402

DROPOUTS = [getattr(nn, name)(0.3) for name in nn.__all__ if "Dropout" in name]
LAYERS = [case for case in CASES if case.inputs]
NOT_LAYERS = {
    "Module", "Parameter", "Sequential", "ModuleList", "ModuleDict", "ParameterList", "ParameterDict",
    "init", "models", "utils", "functional_call", "MaxUnpool2d",
}  # fmt: skip
ATTENTION = {
    "MultiheadAttention", "TransformerEncoderLayer", "TransformerEncoder", "TransformerDecoderLayer", "TransformerDecoder",
    "Transformer",
}  # fmt: skip
RECURRENT = {"RNN", "RNNCell", "GRU", "GRUCell", "LSTM", "LSTMCell"}


class Call(nn.Module):
    """A module that calls a function, and has another as a part."""

    def __init__(self, function, part):
        self.function, self.part = function, part

    def forward(self, *inputs):
        return self.function(*inputs)


def arrays(case):
    found = case.arrays(np.random.default_rng(0))
    return [np.asarray(x, np.float32 if x.dtype.kind == "f" else np.int64) for x in found]


def is_alone(case):
    """Whether the example has no axis of batches, or halves it."""
    alone = case.name in ("Conv2d", "ConvTranspose2d") and len(case.inputs[0][1]) == 3
    return alone or (case.name, case.args) == ("GLU", (0,))


@pytest.mark.parametrize("case", LAYERS, ids=str)
def test_a_layer(case):
    layer = shaken(getattr(nn, case.name)(*case.args, **case.kwargs))
    if is_alone(case):
        check(layer, *arrays(case), batches=[1], dynamic_axes={})
    else:
        check(layer, *arrays(case))


@pytest.mark.parametrize("opset", [13, 17, 20, 23])
@pytest.mark.parametrize("case", [c for c in LAYERS if not c.name.endswith("Loss")], ids=str)
def test_a_layer_in_another_opset(case, opset):
    layer = shaken(getattr(nn, case.name)(*case.args, **case.kwargs))
    more = {"dynamic_axes": {}, "batches": [1]} if is_alone(case) else {}
    check(layer, *arrays(case), opset=opset, **more)


def test_no_layer_is_left_out():
    exported = {case.name for case in LAYERS} | {type(layer).__name__ for layer in DROPOUTS}
    assert set(nn.__all__) - exported - NOT_LAYERS - RECURRENT - ATTENTION - {"CTCLoss"} == set()


@pytest.mark.parametrize("name", sorted(RECURRENT))
def test_a_recurrent_layer_is_refused(name):
    x = np.ones((3, 2, 4), np.float32)
    with pytest.raises(tg.onnx.OnnxError, match="cannot express.*\n- `recurrence`"):
        tg.onnx.export(getattr(nn, name)(4, 3), (x[0] if name.endswith("Cell") else x,), io.BytesIO())


def test_attention_and_a_transformer():
    x, y = normal(2, 5, 8), normal(2, 3, 8, seed=1)
    mask = np.array([False, False, True, False, True])
    attention = nn.MultiheadAttention(8, 2, add_bias_kv=True, add_zero_attn=True, batch_first=True)
    check(shaken(Call(lambda y, x: attention(y, x, x, attn_mask=np.tile(mask, (3, 1))), attention)), y, x)
    transformer = nn.Transformer(8, 2, 1, 2, 16, norm_first=True, batch_first=True)
    check(shaken(Call(lambda x, y: transformer(x, y, tgt_is_causal=True), transformer)), x, y)


@pytest.mark.parametrize("layer", DROPOUTS, ids=repr)
def test_dropout_does_nothing_in_a_file(layer):
    spatial = int(next((c for c in type(layer).__name__ if c.isdigit()), "1"))
    check(layer, normal(2, 3, *(4,) * spatial))


# Random arguments


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


sizes = st.integers(1, 3)


@given(st.data())
def test_a_convolution_with_random_arguments(data):
    ndim, groups = data.draw(st.sampled_from([1, 2, 3])), data.draw(sizes)
    c, o = groups * data.draw(sizes), groups * data.draw(sizes)
    kernel = data.draw(st.tuples(*[sizes] * ndim))
    same = data.draw(st.booleans())
    mode = data.draw(st.sampled_from(["zeros", "reflect", "replicate", "circular"]))
    layer = shaken(
        getattr(nn, f"Conv{ndim}d")(
            c, o, kernel, stride=1 if same else data.draw(sizes), dilation=data.draw(st.integers(1, 2)), groups=groups,
            padding="same" if same else data.draw(st.integers(0, 2)), bias=data.draw(st.booleans()), padding_mode=mode,
        )
    )  # fmt: skip
    check(layer, normal(2, c, *data.draw(st.tuples(*[st.integers(5, 8)] * ndim))), tolerance=3e-5)


@given(st.data())
def test_a_transposed_convolution_with_random_arguments(data):
    ndim, groups, stride = data.draw(st.sampled_from([1, 2])), data.draw(sizes), data.draw(sizes)
    c, o = groups * data.draw(sizes), groups * data.draw(sizes)
    dilation = data.draw(st.integers(1, 2))
    layer = shaken(
        getattr(nn, f"ConvTranspose{ndim}d")(
            c, o, data.draw(sizes), stride=stride, padding=data.draw(st.integers(0, 1)), groups=groups, dilation=dilation,
            output_padding=data.draw(st.integers(0, max(stride, dilation) - 1)), bias=data.draw(st.booleans()),
        )
    )  # fmt: skip
    check(layer, normal(2, c, *data.draw(st.tuples(*[st.integers(3, 5)] * ndim))), tolerance=3e-5)


@given(st.data())
def test_a_pool_with_random_arguments(data):
    ndim, kind = data.draw(st.sampled_from([1, 2, 3])), data.draw(st.sampled_from(["Max", "Avg"]))
    kernel = data.draw(st.tuples(*[sizes] * ndim))
    more = {
        "stride": data.draw(sizes),
        "ceil_mode": data.draw(st.booleans()),
        "padding": tuple(data.draw(st.integers(0, k // 2)) for k in kernel),
    }
    if kind == "Avg":
        more["count_include_pad"] = data.draw(st.booleans())
    else:
        more |= {"dilation": data.draw(st.integers(1, 2)), "return_indices": data.draw(st.booleans())}
    layer = getattr(nn, f"{kind}Pool{ndim}d")(kernel, **more)
    x = normal(2, 3, *data.draw(st.tuples(*[st.integers(5, 9)] * ndim)))
    try:
        layer(x)
    except ValueError:
        assume(False)
    check(layer, x)


@given(st.data())
def test_an_adaptive_pool_with_random_arguments(data):
    ndim, kind = data.draw(st.sampled_from([1, 2, 3])), data.draw(st.sampled_from(["Max", "Avg"]))
    grid = data.draw(st.tuples(*[st.integers(1, 4)] * ndim))
    more = {"return_indices": data.draw(st.booleans())} if kind == "Max" else {}
    check(
        getattr(nn, f"Adaptive{kind}Pool{ndim}d")(grid, **more),
        normal(2, 3, *data.draw(st.tuples(*[st.integers(3, 7)] * ndim))),
    )


@given(st.data())
def test_upsampling_with_random_arguments(data):
    ndim = data.draw(st.sampled_from([1, 2, 3]))
    mode = data.draw(st.sampled_from(["nearest", ["linear", "bilinear", "trilinear"][ndim - 1]]))
    more = {} if mode == "nearest" else {"align_corners": data.draw(st.booleans())}
    if data.draw(st.booleans()):
        more["size"] = data.draw(st.tuples(*[st.integers(1, 9)] * ndim))
    else:
        more["scale_factor"] = data.draw(st.sampled_from([0.5, 0.7, 1.0, 1.5, 2.0, 3.0]))
    check(nn.Upsample(mode=mode, **more), normal(2, 3, *data.draw(st.tuples(*[st.integers(2, 6)] * ndim))))


@given(st.data())
def test_a_normalization_with_random_arguments(data):
    shape = (2, 4, *data.draw(st.lists(st.integers(2, 4), min_size=1, max_size=3)))
    eps = data.draw(st.sampled_from([1e-5, 1e-3, 0.1]))
    kind = data.draw(st.sampled_from(["batch", "group", "instance", "layer", "rms", "response"]))
    count = len(shape) - 2
    layer = {
        "batch": lambda: getattr(nn, f"BatchNorm{count}d")(4, eps=eps, affine=data.draw(st.booleans())),
        "group": lambda: nn.GroupNorm(data.draw(st.sampled_from([1, 2, 4])), 4, eps=eps),
        "instance": lambda: getattr(nn, f"InstanceNorm{count}d")(4, eps=eps, affine=data.draw(st.booleans())),
        "layer": lambda: nn.LayerNorm(shape[data.draw(st.integers(1, len(shape) - 1)) :], eps=eps),
        "rms": lambda: nn.RMSNorm(shape[data.draw(st.integers(1, len(shape) - 1)) :], eps=eps),
        "response": lambda: nn.LocalResponseNorm(data.draw(st.integers(1, 5)), alpha=0.1, k=1.5),
    }[kind]()
    check(shaken(layer), normal(*shape), opset=data.draw(st.sampled_from([16, 18, 23])), tolerance=3e-5)


def test_a_pool_is_undone():
    class Twice(nn.Module):
        def __init__(self):
            self.pool, self.undo = nn.MaxPool2d(2, return_indices=True), nn.MaxUnpool2d(2)

        def forward(self, x):
            y, places = self.pool(x)
            return self.undo(y, places)

    check(Twice(), normal(2, 3, 4, 6))


def test_overlapping_windows_that_found_the_same_element_are_undone():
    class Twice(nn.Module):
        def forward(self, x):
            y, places = tg.max_pool2d(x, 3, stride=1, return_indices=True)
            return tg.max_unpool2d(y * y, places, 3, stride=1)

    check(Twice(), normal(2, 3, 5, 5))


def test_names_and_nodes_of_a_file():
    """One node for each layer that ONNX has, with the names of the state."""
    import onnx

    model = nn.Sequential(
        nn.Conv2d(3, 4, 3),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.LayerNorm(36),
        nn.PReLU(36),
        nn.Linear(36, 2),
    )
    source = check(shaken(model), normal(2, 3, 8, 8), tolerance=1e-4)
    graph = onnx.load_model_from_string(source).graph
    nodes = [node for node in graph.node if node.op_type != "Constant"]
    assert [node.op_type for node in nodes] == [
        "Conv", "BatchNormalization", "Relu", "AveragePool", "Reshape", "LayerNormalization", "PRelu", "Gemm"
    ]  # fmt: skip
    assert set(model.state_dict()) - {"1.num_batches_tracked"} == {tensor.name for tensor in graph.initializer}
    assert [node.name for node in nodes][:3] == ["0/Conv", "1/BatchNormalization", "2/Relu"]
    assert [d.dim_param or d.dim_value for d in graph.input[0].type.tensor_type.shape.dim] == ["batch", 3, 8, 8]
    assert [d.dim_param or d.dim_value for d in graph.output[0].type.tensor_type.shape.dim] == ["batch", 2]
    assert math.prod(next(t for t in graph.initializer if t.name == "6.weight").dims) == 36
