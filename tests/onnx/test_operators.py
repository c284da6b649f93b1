"""Each operator, judged by the single-node cases of the package onnx."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn.extra.onnx import OnnxError, load

from . import needs

onnx = needs.onnx()

from . import judge  # noqa: E402
from .exports import exported, outputs  # noqa: E402

BY_OPERATOR = defaultdict(list)
for _operator, _case in judge.cases():
    BY_OPERATOR[_operator].append(_case)

REFUSED = {
    "test_resize_downsample_scales_cubic_align_corners",
    "test_resize_downsample_scales_linear_align_corners",
    "test_scan_sum",
}
"""Corners aligned for a fraction of an element, where runtimes do otherwise, and Scan of opset 8, which has batches."""


FAULTY = onnx.defs.onnx_opset_version() < 26


@pytest.mark.skipif(
    FAULTY, reason="the cases of this package onnx have faults that newer ones have not: pip install -U onnx"
)
@pytest.mark.parametrize("operator", sorted(BY_OPERATOR))
def test_the_cases_of_an_operator(operator: str):
    for case in BY_OPERATOR[operator]:
        verdict = judge.judge(operator, case)
        assert verdict.refused == (case.name in REFUSED), verdict
        assert verdict.refused or not verdict.fault, verdict


@pytest.mark.skipif(FAULTY, reason="see above")
def test_what_is_read_is_exported_again():
    """Each case with inputs of fixed sizes, unless there is an error: an input decides about shapes, or ONNX lacks the op."""
    right = 0
    for operator, cases in BY_OPERATOR.items():
        for case in cases if operator != "Scan" else ():
            inputs = [judge.array(x) for x in case.data_sets[0][0]]
            try:
                with np.errstate(all="ignore"):
                    source = exported(load(case.model.SerializeToString()), *inputs, dynamic_axes={}, opset=23)
            except OnnxError:
                continue
            with np.errstate(all="ignore"):
                found = outputs(load(source)(*inputs))
            for made, wanted in zip(found, map(judge.array, case.data_sets[0][1]), strict=True):
                assert (made.dtype, made.shape) == (wanted.dtype, wanted.shape), case.name
                rtol = judge.HALF if wanted.dtype == np.float16 else 1e-3
                np.testing.assert_allclose(made, wanted, rtol=rtol, atol=1e-5, err_msg=case.name)
            right += 1
    assert right > 700


def test_there_are_as_many_cases_and_operators_as_we_say():
    assert sum(map(len, BY_OPERATOR.values())) >= 745
    assert len(BY_OPERATOR) >= 82


def node(operator, inputs, attributes=None, opset=18, outputs=1):
    """The bytes of a model of one node, with inputs of these arrays."""
    from onnx import TensorProto, helper

    names = [f"x{i}" if x is not None else "" for i, x in enumerate(inputs)]
    ports = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(x.dtype), x.shape)
        for name, x in zip(names, inputs, strict=True)
        if x is not None
    ]
    kinds = [TensorProto.FLOAT] + [TensorProto.INT64 if operator == "TopK" else TensorProto.FLOAT] * (outputs - 1)
    results = [helper.make_tensor_value_info(f"y{i}", kind, None) for i, kind in enumerate(kinds)]
    made = helper.make_node(operator, names, [f"y{i}" for i in range(outputs)], **(attributes or {}))
    graph = helper.make_graph([made], "one", ports, results)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8).SerializeToString()


def normal(*shape):
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


BOTH_WAYS = {"hidden_size": 3, "direction": "bidirectional"}

# What the cases, which are all of the newest opset, leave out, against onnxruntime.
OLD = [
    ("Softmax", [normal(2, 3, 4)], {}, 11),
    ("Softmax", [normal(2, 3, 4)], {"axis": 2}, 12),
    ("LogSoftmax", [normal(2, 3, 4)], {"axis": 0}, 9),
    ("ReduceMean", [normal(2, 3, 4)], {"axes": [0, 2]}, 11),
    ("ReduceSum", [normal(2, 3, 4)], {"axes": [1], "keepdims": 0}, 12),
    ("ReduceMax", [normal(2, 3, 4)], {}, 13),
    ("Squeeze", [normal(2, 1, 4)], {"axes": [1]}, 11),
    ("Unsqueeze", [normal(2, 4)], {"axes": [0, 3]}, 11),
    ("Clip", [normal(3, 4)], {"min": -0.5, "max": 0.5}, 9),
    ("Pad", [normal(2, 3)], {"pads": [1, 0, 0, 2], "value": 2.0}, 10),
    ("Pad", [normal(2, 3)], {"pads": [1, 1, 0, 2], "mode": "reflect"}, 10),
    ("Slice", [normal(4, 5)], {"axes": [1], "starts": [1], "ends": [-1]}, 9),
    ("Split", [normal(4, 6)], {"axis": 1, "split": [2, 4]}, 11),
    ("Dropout", [normal(3, 4)], {"ratio": 0.4}, 10),
    ("TopK", [normal(3, 6), np.array([2])], {"axis": 1}, 10),
    ("Upsample", [normal(1, 2, 3, 3), np.array([1, 1, 2, 2], np.float32)], {"mode": "nearest"}, 9),
    ("Upsample", [normal(1, 2, 3, 3), np.array([1, 1, 2, 2], np.float32)], {"mode": "linear"}, 9),
    ("Resize", [normal(1, 2, 3, 3), np.array([1, 1, 2, 2], np.float32)], {"mode": "nearest"}, 10),
    ("GlobalLpPool", [normal(2, 3, 4)], {"p": 2}, 11),
    ("BatchNormalization", [normal(2, 3, 4), *(abs(normal(3)) + i for i in range(4))], {}, 9),
    ("Gemm", [normal(2, 3), normal(4, 3), normal(2, 4)], {"transB": 1, "alpha": 0.5, "beta": 2.0}, 11),
    ("AveragePool", [normal(1, 2, 7)], {"kernel_shape": [3], "strides": [2], "pads": [1, 1], "ceil_mode": 1}, 13),
    ("MaxPool", [normal(1, 2, 7)], {"kernel_shape": [3], "strides": [2], "ceil_mode": 1}, 11),
    ("ConvTranspose", [normal(1, 2, 4), normal(2, 3, 3)], {"strides": [2], "output_shape": [8]}, 11),
    ("ConvTranspose", [normal(1, 2, 4), normal(2, 3, 3)], {"strides": [3], "auto_pad": "SAME_LOWER"}, 11),
    ("Conv", [normal(1, 2, 6), normal(3, 2, 3)], {"strides": [2], "auto_pad": "SAME_LOWER"}, 11),
    ("LSTM", [normal(3, 2, 4), normal(1, 12, 4), normal(1, 12, 3), normal(1, 24)], {"hidden_size": 3}, 14),
    ("GRU", [normal(3, 2, 4), normal(2, 9, 4), normal(2, 9, 3), normal(2, 18)], BOTH_WAYS, 14),
]  # fmt: skip


@pytest.mark.parametrize(
    ("operator", "inputs", "attributes", "opset"), OLD, ids=lambda x: str(x) if isinstance(x, str | int) else ""
)
def test_an_operator_of_an_older_opset(operator, inputs, attributes, opset):
    outputs = 2 if operator in ("Split", "TopK") else 1
    source = node(operator, inputs, attributes, opset, outputs)
    found = load(source)(*inputs)
    found = found if isinstance(found, tuple) else (found,)
    for ours, theirs in zip(found, needs.run(source, *inputs), strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs, rtol=1e-5, atol=1e-6)
        assert ours.numpy().dtype == theirs.dtype


def test_a_sequence_that_ends_early_keeps_its_last_state():
    """Of an LSTM with lengths, against onnxruntime."""
    inputs = [normal(4, 2, 3), normal(1, 8, 3), normal(1, 8, 2), normal(1, 16), np.array([2, 4], np.int32)]
    source = node("LSTM", inputs, {"hidden_size": 2}, 14, outputs=3)
    for ours, theirs in zip(load(source)(*inputs), needs.run(source, *inputs), strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs, rtol=1e-5, atol=1e-6)


def test_gradients_of_second_order_flow_through_a_file():
    source = node("Tanh", [normal(3)])
    model = load(source)
    x = tg.Tensor(normal(3), requires_grad=True)
    (first,) = tg.gradients(model(x).sum(), [x], create_graph=True)
    (second,) = tg.gradients(first.sum(), [x])
    y = np.tanh(normal(3))
    np.testing.assert_allclose(second.numpy(), -2 * y * (1 - y * y), rtol=1e-5)
