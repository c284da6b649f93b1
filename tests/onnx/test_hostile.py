"""Files that are damaged, or made to do harm: an error of the library, with little memory and at once."""

from __future__ import annotations

import contextlib
import random
import time
import tracemalloc

import numpy as np
import pytest

from tinygrad_cnn import nn

from . import needs

onnx = needs.onnx()

from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from tinygrad_cnn.extra.onnx import OnnxError, load  # noqa: E402

from .exports import exported, shaken  # noqa: E402
from .test_load import FLOAT, INT, constant, info, model, node, normal, power  # noqa: E402

HUGE = 1 << 60


def small_file():
    return exported(
        shaken(nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.Flatten(), nn.Linear(8, 2))),
        normal(1, 1, 4, 4),
    )


pytestmark = pytest.mark.filterwarnings("ignore:a float64 value meets")  # where a dtype is damaged


def read_or_refuse(source):
    """Read and call a file; whether it was refused with an error of the library."""
    try:
        module = load(source)
        with np.errstate(all="ignore"):
            module(
                *(
                    np.zeros([n if isinstance(n, int) else 1 for n in port.sizes or ()], port.dtype)
                    for port in module.ports
                )
            )
    except OnnxError:
        return True
    return False


@pytest.fixture
def little_memory():
    """The test may not allocate more than some megabytes at a time, and not take long."""
    tracemalloc.start()
    start = time.monotonic()
    yield
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 64e6
    assert time.monotonic() - start < 120


def test_a_truncated_file(little_memory):
    source = small_file()
    refused = [read_or_refuse(source[:n]) for n in range(0, len(source), 7)]
    assert sum(refused) > 0.9 * len(refused)


@pytest.mark.parametrize("seed", range(4))
def test_a_file_with_flipped_bits(seed, little_memory):
    source, rng = small_file(), random.Random(seed)
    for _ in range(150):
        damaged = bytearray(source)
        for _ in range(rng.choice([1, 1, 2, 8])):
            damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
        read_or_refuse(bytes(damaged))


@pytest.mark.parametrize("source", [b"", b"PK\x03\x04", b"\xff" * 100, b"onnx" * 1000, bytes(1000)])
def test_what_is_no_model(source):
    with pytest.raises(OnnxError, match="not an ONNX model"):
        load(source)


def test_a_cyclic_graph():
    nodes = [node("Add", ["x", "b"], ["a"]), node("Relu", ["a"], ["b"])]
    with pytest.raises(OnnxError, match="uses 'b', which no node before it makes: the graph is cyclic"):
        load(model(nodes, [info("x", FLOAT, [3])], [info("b")]))


def test_an_output_that_nothing_makes():
    with pytest.raises(OnnxError, match="the output 'y' is made by no node"):
        load(model([node("Relu", ["x"], ["z"])], [info("x", FLOAT, [3])], [info("y")]))


def test_names_that_repeat():
    tensors = [numpy_helper.from_array(normal(3), "w"), numpy_helper.from_array(normal(3), "w")]
    graph = helper.make_graph([node("Add", ["x", "w"], ["y"])], "twice", [info("x", FLOAT, [3])], [info("y")], tensors)
    with pytest.raises(OnnxError, match="the name 'w' stands for two values"):
        load(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)]).SerializeToString())
    with pytest.raises(OnnxError, match="the name 'x' stands for two values"):
        load(model([node("Relu", ["x"], ["x"])], [info("x", FLOAT, [3])], [info("x")]))


def test_names_that_are_no_text():
    source = model(
        [node("Relu", ["x"], ["middle"]), node("Neg", ["middle"], ["y"], name="label")],
        [info("x", FLOAT, [3])],
        [info("y")],
    )
    for name in (b"middle", b"Relu", b"label"):
        with pytest.raises(OnnxError, match="the name b'.*' is not text"):
            load(source.replace(name, b"\xff" * len(name)))


# Sizes


@pytest.mark.parametrize("dims", [[HUGE], [1 << 31, 1 << 31], [-1], [-1, -3], [2, 2]])
def test_a_tensor_that_is_said_to_be_larger_than_it_is(dims, little_memory):
    tensor = TensorProto(name="w", data_type=FLOAT, dims=dims, raw_data=bytes(12))
    graph = helper.make_graph([node("Add", ["x", "w"], ["y"])], "g", [info("x", FLOAT, [3])], [info("y")], [tensor])
    with pytest.raises(OnnxError, match="tensor 'w'"):
        load(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)]).SerializeToString())
    tensor = TensorProto(name="w", data_type=FLOAT, dims=dims, float_data=[1.0, 2.0, 3.0])
    graph.initializer[0].CopyFrom(tensor)
    with pytest.raises(OnnxError, match="tensor 'w'"):
        load(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)]).SerializeToString())


def one(name):
    return constant(name, 1.0, np.float32)


@pytest.mark.parametrize("nodes", [
    [constant("s", [HUGE]), node("ConstantOfShape", ["s"], ["y"])],
    [constant("s", [1 << 31, 1 << 31]), node("Expand", ["x", "s"], ["y"])],
    [constant("s", [HUGE]), node("Tile", ["x", "s"], ["y"])],
    [constant("a", 0), constant("b", HUGE), constant("c", 1), node("Range", ["a", "b", "c"], ["y"])],
    [constant("s", [HUGE, HUGE]), node("Pad", ["x", "s"], ["y"])],
    [constant("d", HUGE), constant("v", [0.0, 1.0], np.float32), constant("i", [0]), node("OneHot", ["i", "d", "v"], ["y"])],
    [constant("s", [HUGE]), node("Resize", ["x", "", "", "s"], ["y"])],
    [constant("s", [1e18], np.float32), node("Resize", ["x", "", "s"], ["y"])],
    [constant("s", [HUGE]), node("CenterCropPad", ["x", "s"], ["y"])],
    [constant("s", [-5]), node("ConstantOfShape", ["s"], ["y"])],
    [constant("s", [1, 1, 3]), node("Reshape", ["x", "s"], ["a"]),
     node("MaxPool", ["a"], ["y"], kernel_shape=[3], pads=[HUGE, 0])],
    [constant("s", [1, 1, 3]), node("Reshape", ["x", "s"], ["a"]), node("AveragePool", ["a"], ["y"], kernel_shape=[HUGE])],
    [constant("s", [1, 1, 3]), node("Reshape", ["x", "s"], ["a"]), node("Conv", ["a", "a"], ["y"], pads=[HUGE, HUGE])],
    [constant("s", [1, 1, 3]), node("Reshape", ["x", "s"], ["a"]), node("ConvTranspose", ["a", "a"], ["y"], strides=[HUGE])],
    [constant("s", [1, 3, 1]), constant("i", [HUGE, HUGE]), constant("b", [1, 1]), node("Reshape", ["x", "s"], ["a"]),
     node("Col2Im", ["a", "i", "b"], ["y"])],
])  # fmt: skip
def test_sizes_that_no_memory_holds(nodes, little_memory):
    source = model(nodes, [info("x", FLOAT, [3])], [info("y", FLOAT, None)])
    module = load(source)
    with pytest.raises(OnnxError, match=r"node '.*'"):
        module(normal(3))


def test_constants_that_grow_are_not_computed_when_a_file_is_read(little_memory):
    """Each node doubles what it is given, forty times."""
    nodes = [constant("c0", np.ones(1000), np.float32)]
    nodes += [node("Concat", [f"c{i}", f"c{i}"], [f"c{i + 1}"], axis=0) for i in range(40)]
    load(model([*nodes, node("Add", ["x", "c40"], ["y"])], [info("x", FLOAT, [1])], [info("y")]))
    nodes = [constant("c0", np.ones((1, 3000)), np.float32), constant("d0", np.ones((3000, 1)), np.float32)]
    load(
        model(
            [*nodes, node("Add", ["c0", "d0"], ["z"]), node("Add", ["x", "z"], ["y"])],
            [info("x", FLOAT, [1])],
            [info("y")],
        )
    )


# Many, deep and endless


def test_many_nodes():
    """In a time that grows as their number does: the square of it would take minutes."""
    count = 30_000
    nodes = [node("Neg", [f"v{i}" if i else "x"], [f"v{i + 1}"]) for i in range(count)]
    module = load(model(nodes, [info("x", FLOAT, [1])], [info(f"v{count}")]))
    assert module(np.ones(1, np.float32)).tolist() == [1.0]


def test_a_node_of_many_inputs():
    source = model([node("Sum", ["x"] * 100_000, ["y"])], [info("x", FLOAT, [1])], [info("y")])
    assert load(source)(np.ones(1, np.float32)).tolist() == [1e5]


def nested(depth):
    """Branches in branches."""
    graph = helper.make_graph([node("Neg", ["x"], ["o0"])], "g", [], [info("o0", FLOAT, None)])
    for i in range(depth):
        inner = node(
            "If",
            ["c"],
            [f"o{i + 1}"],
            then_branch=graph,
            else_branch=helper.make_graph([node("Neg", ["x"], [f"e{i}"])], "e", [], [info(f"e{i}", FLOAT, None)]),
        )
        graph = helper.make_graph([inner], "g", [], [info(f"o{i + 1}", FLOAT, None)])
    return model(list(graph.node), [info("x", FLOAT, [1]), info("c", TensorProto.BOOL, [])], list(graph.output))


def test_graphs_within_graphs():
    assert load(nested(5))(np.ones(1, np.float32), np.array(True)).tolist() == [-1.0]
    with pytest.raises(OnnxError, match="more than 16 graphs lie within each other"):
        load(nested(20))


def test_a_loop_without_end(monkeypatch):
    monkeypatch.setattr("tinygrad_cnn.extra.onnx.program.MOST_ITERATIONS", 50)
    with pytest.raises(OnnxError, match="a loop has more than 50 iterations"):
        load(power(HUGE))(np.ones(3, np.float32))


@pytest.mark.parametrize(("operator", "inputs", "attributes", "words"), [
    ("If", ["c"], {"then_branch": 3, "else_branch": 3}, "must have the type GRAPH"),
    ("Loop", ["", "c"], {"body": [1, 2]}, "must have the type GRAPH"),
    ("Scan", ["x"], {"body": 1, "num_scan_inputs": [HUGE]}, "must have the type"),
    ("Transpose", ["x"], {"perm": 1.5}, "must have the type INTS"),
])  # fmt: skip
def test_attributes_of_another_type(operator, inputs, attributes, words):
    made = model(
        [node(operator, inputs, ["y"], **attributes)], [info("x", FLOAT, [3]), info("c", FLOAT, [])], [info("y")]
    )
    with pytest.raises(OnnxError, match=rf"node '.*' \({operator}\): .*{words}"):
        load(made)


def test_an_order_of_axes_that_is_cut_to_32_bits():
    made = model([node("Transpose", ["x"], ["y"], perm=[HUGE, 1])], [info("x", FLOAT, [2, 3])], [info("y")])
    with pytest.raises(OnnxError, match="`perm` is .* for 2 axes"):
        load(made)(normal(2, 3))


def test_parts_without_number(little_memory):
    made = model(
        [node("Split", ["x"], ["y", "z"], axis=0, num_outputs=HUGE)], [info("x", FLOAT, [3])], [info("y"), info("z")]
    )
    assert [y.tolist() for y in load(made)(np.arange(3, dtype=np.float32))] == [[0], [1]]


@pytest.mark.parametrize("count", [40, 70])
def test_more_axes_than_numpy_broadcasts(count):
    made = model([node("Expand", ["x", "s"], ["y"])], [info("x", FLOAT, [1]), info("s", INT, [count])], [info("y")])
    shapes = []
    with contextlib.suppress(OnnxError):  # NumPy has another limit here than elsewhere
        shapes.append(load(made)(np.ones(1, np.float32), np.ones(count, np.int64)).shape)
    assert shapes in ([], [(1,) * count])
    assert not shapes or count < 65


def test_functions_that_call_each_other():
    twice = helper.make_function(
        "own", "F", ["a"], ["b"], [node("F", ["a"], ["b"], domain="own")], [helper.make_opsetid("own", 1)]
    )
    graph = helper.make_graph(
        [node("F", ["x"], ["y"], domain="own")], "g", [info("x", FLOAT, [3])], [info("y", FLOAT, [3])]
    )
    made = helper.make_model(
        graph, functions=[twice], opset_imports=[helper.make_opsetid("", 18), helper.make_opsetid("own", 1)]
    )
    with pytest.raises(OnnxError, match="own::F calls itself"):
        load(made.SerializeToString())


def test_functions_that_double_forty_times():
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("own", 1)]
    functions = [helper.make_function("own", "F0", ["a"], ["b"], [node("Neg", ["a"], ["b"])], opsets)]
    for i in range(40):
        twice = [node(f"F{i}", ["a"], ["c"], domain="own"), node(f"F{i}", ["c"], ["b"], domain="own")]
        functions.append(helper.make_function("own", f"F{i + 1}", ["a"], ["b"], twice, opsets))
    graph = helper.make_graph(
        [node("F40", ["x"], ["y"], domain="own")], "g", [info("x", FLOAT, [3])], [info("y", FLOAT, [3])]
    )
    with pytest.raises(OnnxError, match="the model has more than 1000000 nodes"):
        load(helper.make_model(graph, functions=functions, opset_imports=opsets).SerializeToString())


def test_more_outputs_than_an_operator_makes():
    source = model([node("Relu", ["x"], ["y", "z"])], [info("x", FLOAT, [3])], [info("y"), info("z")])
    with pytest.raises(OnnxError, match="it makes 1 outputs, but 2 are named"):
        load(source)(normal(3))


# Data beside the file


def with_data(path, location, offset=0, length=12):
    tensor = TensorProto(name="w", data_type=FLOAT, dims=[3], data_location=TensorProto.EXTERNAL)
    for key, value in {"location": location, "offset": offset, "length": length}.items():
        if value is not None:
            tensor.external_data.add(key=key, value=str(value))
    graph = helper.make_graph([node("Add", ["x", "w"], ["y"])], "g", [info("x", FLOAT, [3])], [info("y")], [tensor])
    path.write_bytes(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8).SerializeToString()
    )
    return path


def test_data_in_the_folder_are_read(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "data.bin").write_bytes(bytes(4) + normal(3).tobytes())
    for length in (12, None):
        module = load(with_data(tmp_path / "model.onnx", "sub/data.bin", 4, length))
        np.testing.assert_array_equal(module.w.numpy(), normal(3))


@pytest.mark.parametrize(
    "location", ["../secret", "{parent}/secret", "sub/../../secret", "link", "", ".", "/etc/passwd", "a\0b"]
)
def test_data_outside_of_the_folder_are_refused(tmp_path, location):
    home = tmp_path / "home"
    (home / "sub").mkdir(parents=True)
    (tmp_path / "secret").write_bytes(bytes(12))
    (home / "link").symlink_to(tmp_path / "secret")
    path = with_data(home / "model.onnx", location.format(parent=tmp_path))
    with pytest.raises(OnnxError, match="not in the folder of the model; refused"):
        load(path)


@pytest.mark.parametrize(("offset", "length"), [(0, HUGE), (-4, 12), (4, 12), (HUGE, 12), (0, 8), ("x", 12), (0, "")])
def test_data_that_are_not_there(tmp_path, offset, length, little_memory):
    (tmp_path / "data.bin").write_bytes(bytes(12))
    with pytest.raises(OnnxError, match="tensor 'w'"):
        load(with_data(tmp_path / "model.onnx", "data.bin", offset, length))
    with pytest.raises(OnnxError, match="tensor 'w'"):
        load(with_data(tmp_path / "model.onnx", "absent.bin"))


def test_data_beside_bytes(tmp_path):
    path = with_data(tmp_path / "model.onnx", "data.bin")
    with pytest.raises(OnnxError, match="load the model by its path"):
        load(path.read_bytes())


def test_types_of_inputs_that_are_not_read():
    sequence = helper.make_tensor_sequence_value_info("x", FLOAT, None)
    with pytest.raises(OnnxError, match="the value 'x' is not a tensor, but a sequence"):
        load(model([node("Identity", ["x"], ["y"])], [sequence], [info("y")]))
    assert INT
