"""Single nodes compared with onnxruntime, where the node cases of the package onnx do not reach."""

from __future__ import annotations

import numpy as np
import pytest

from . import needs

onnx = needs.onnx()

from onnx import helper, numpy_helper  # noqa: E402

from tinygrad_cnn.extra.onnx import OnnxError, load  # noqa: E402

from .exports import outputs  # noqa: E402

FAR = 2**63 - 1


def normal(*shape):
    return np.random.default_rng(sum(shape)).normal(size=shape).astype(np.float32)


def ints(*numbers):
    return np.array(numbers, np.int64)


def floats(*numbers):
    return np.array(numbers, np.float32)


def model(operator, opset, inputs, results=1, **attributes):
    """The bytes of a model of one node, whose first input is the model's, and the others are constants."""
    x, *rest = inputs
    names = ["x", *("" if a is None else f"c{i}" for i, a in enumerate(rest))]
    kept = [numpy_helper.from_array(a, f"c{i}") for i, a in enumerate(rest) if a is not None]
    made = helper.make_node(operator, names, [f"y{i}" for i in range(results)], name="node", **attributes)
    port = helper.make_tensor_value_info("x", helper.np_dtype_to_tensor_dtype(x.dtype), [None] * x.ndim)
    ends = [onnx.ValueInfoProto(name=f"y{i}") for i in range(results)]
    graph = helper.make_graph([made], "test", [port], ends, kept)
    whole = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    return onnx.shape_inference.infer_shapes(whole).SerializeToString()


@pytest.mark.parametrize(("operator", "opset", "inputs", "attributes"), [
    *(("Slice", 13, [normal(n, 2), ints(start), ints(end), ints(0), ints(step)], {})
      for n in (1, 4) for start in (-9, -3, 0, 2, 9) for end in (-FAR - 1, -9, -2, 1, 9, 2**31 - 1, FAR)
      for step in (-2, -1, 2)),
    *(("Resize", 13, [normal(1, 1, 3, 3), None, floats(1, 1, 5 / 3, 1 / 3)], {"mode": mode}) for mode in ("nearest", "linear")),
    ("Upsample", 9, [normal(1, 1, 3, 4), floats(1, 1, 5 / 3, 2)], {"mode": "linear"}),
    ("ConvTranspose", 11, [normal(1, 2, 5, 4), normal(2, 1, 3, 2)], {"strides": [3, 3], "output_shape": [16, 13]}),
    ("ConvTranspose", 11, [normal(1, 2, 5), normal(2, 1, 3)],
     {"strides": [3], "output_shape": [17], "auto_pad": "SAME_LOWER"}),
    *(("GridSample", 16, [normal(1, 2, 4, 5), normal(1, 9, 9, 2)],
       {"mode": "bicubic", "padding_mode": padding, "align_corners": corners})
      for padding in ("zeros", "border", "reflection") for corners in (0, 1)),
])  # fmt: skip
def test_a_node_as_in_onnxruntime(operator, opset, inputs, attributes):
    source = model(operator, opset, inputs, **attributes)
    (wanted,), (found,) = needs.run(source, inputs[0]), outputs(load(source)(inputs[0]))
    assert (found.dtype, found.shape) == (wanted.dtype, wanted.shape)
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("operator", "opset", "inputs", "attributes", "words"), [
    ("Split", 13, [normal(5, 2)], {"results": 2}, "axis 0 of .5, 2. cannot be split into 2 equal parts"),
    ("Resize", 13, [normal(1, 1, 5, 4), None, floats(1, 1, 1.5, 1)],
     {"mode": "linear", "coordinate_transformation_mode": "align_corners"}, "scale 1.5 of 5 elements, .* give `sizes`"),
    ("ConvTranspose", 11, [normal(1, 1, 4), normal(1, 1, 2)], {"strides": [3], "auto_pad": "SAME_UPPER"},
     "`auto_pad` is 'SAME_UPPER', but the window is shorter than its stride"),
    ("MaxPool", 19, [normal(1, 1, 5)], {"kernel_shape": [2], "auto_pad": "SAME_LOWER", "dilations": [2]},
     "`auto_pad` is 'SAME_LOWER' with the dilations .2,.; give `pads`"),
    ("AveragePool", 19, [normal(1, 1, 6)], {"kernel_shape": [1], "auto_pad": "SAME_UPPER", "strides": [3]},
     "`auto_pad` is 'SAME_UPPER', but windows of 1 elements leave out 2; give `pads`"),
    ("Squeeze", 13, [normal(2, 1), ints()], {}, "`axes` is empty"),
])  # fmt: skip
def test_a_node_that_programs_understand_differently_is_refused(operator, opset, inputs, attributes, words):
    with pytest.raises(OnnxError, match=f"node 'node' .{operator}.: .*{words}"):
        load(model(operator, opset, inputs, **attributes))(inputs[0])
