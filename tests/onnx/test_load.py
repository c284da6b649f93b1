"""Files as modules: names, state, training, control flow, folding and errors."""

from __future__ import annotations

import copy
import io
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import nn

from . import needs

onnx = needs.onnx()

from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from tinygrad_cnn.extra.onnx import GraphModule, OnnxError, export, load  # noqa: E402
from tinygrad_cnn.extra.onnx.names import paths  # noqa: E402

from .exports import exported, shaken  # noqa: E402

FLOAT, INT, BOOL = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def info(name, kind=FLOAT, shape=None):
    return helper.make_tensor_value_info(name, kind, shape)


def constant(name, value, dtype=np.int64):
    return helper.make_node(
        "Constant", [], [name], name=f"make {name}", value=numpy_helper.from_array(np.array(value, dtype))
    )


def model(nodes, inputs, outputs, initializers=(), opset=18, **more):
    """The bytes of a model, with initializers as a dict of arrays."""
    tensors = [numpy_helper.from_array(value, name) for name, value in dict(initializers).items()]
    graph = helper.make_graph(nodes, "test", inputs, outputs, tensors)
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8, **more
    ).SerializeToString()


node = helper.make_node


# Names and state


@pytest.mark.parametrize("names", [
    ["conv.weight", "conv.bias", "weight"],
    ["train", "forward", "_kinds", "state_dict", "train_"],
    ["a", "a.b", "a.b.c", "a_"],
    ["", ".", "..", "a.", ".a", "a..b", "_"],
    ["onnx::Conv_12", "x/y:0", "with space", "Größe"],
    [".".join("abc" * 20), "long" * 500],
])  # fmt: skip
def test_names_become_paths_of_their_own(names):
    found = paths(names)
    assert list(found) == names
    assert len(set(found.values())) == len(names)
    values = {name: np.full(2, i, np.float32) for i, name in enumerate(names)}
    chain, last = [], "x"
    for i, name in enumerate(names):
        chain.append(node("Add", [last, name], [f"sum {i}"]))
        last = f"sum {i}"
    if "" in names:
        return
    module = load(model(chain, [info("x", FLOAT, [2])], [info(last)], values))
    assert set(module.state_dict()) == set(found.values())
    assert {module.names[path]: path for path in module.names} == found
    for name, path in found.items():
        np.testing.assert_array_equal(module.state_dict()[path], values[name])
    again = onnx.load_model_from_string(exported(module, np.zeros(2, np.float32), dynamic_axes={}))
    assert {t.name for t in again.graph.initializer} == set(names)


def test_what_is_a_parameter_and_what_a_buffer():
    state = {
        "filters": normal(4, 3, 3, 3), "scale": normal(4), "shift": normal(4), "mean": normal(4), "var": abs(normal(4)),
        "slope": np.array([0.2], np.float32), "factor": np.array(2.0, np.float32), "unused": normal(3),
        "table": np.array([0, 2]), "shape": np.array([0, -1]),
    }  # fmt: skip
    nodes = [
        node("Conv", ["x", "filters"], ["a"]),
        node("BatchNormalization", ["a", "scale", "shift", "mean", "var"], ["b"]),
        node("PRelu", ["b", "slope"], ["p"]),
        node("Mul", ["p", "factor"], ["c"]),
        node("Gather", ["c", "table"], ["d"], axis=1),
        node("Reshape", ["d", "shape"], ["y"]),
    ]
    module = load(model(nodes, [info("x", FLOAT, ["n", 3, 5, 5])], [info("y")], state))
    assert [n for n, _ in module.named_parameters()] == ["filters", "scale", "shift", "slope"]
    assert [n for n, _ in module.named_buffers()] == ["mean", "var", "factor", "table"]
    assert not module.training
    assert module(normal(2, 3, 5, 5)).shape == (2, 18)


def test_constants_that_are_weights_are_parameters():
    nodes = [
        helper.make_node("Constant", [], ["w"], value=numpy_helper.from_array(normal(3, 2))),
        constant("half", 0.5, np.float32),
        node("MatMul", ["x", "w"], ["a"]),
        node("Mul", ["a", "half"], ["y"]),
    ]
    module = load(model(nodes, [info("x", FLOAT, [4, 3])], [info("y")]))
    assert [n for n, _ in module.named_parameters()] == ["w"]
    assert [n for n, _ in module.named_buffers()] == []
    np.testing.assert_allclose(module(normal(4, 3)).numpy(), normal(4, 3) @ normal(3, 2) / 2, rtol=1e-6)


@pytest.mark.parametrize(
    "layer", [nn.GroupNorm(2, 4), nn.GroupNorm(2, 4, affine=False), nn.BatchNorm2d(4, affine=False)]
)
def test_a_normalization_has_the_parameters_that_it_had(layer):
    module = load(exported(layer, normal(2, 4, 3, 3)))
    assert [p for p, _ in module.named_parameters()] == [p for p, _ in layer.named_parameters()]


def test_a_module_trains_compiles_saves_and_exports_again(tmp_path):
    tg.manual_seed(0)
    original = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.1), nn.Flatten(), nn.Linear(144, 3)
    )
    x, y = normal(16, 1, 8, 8), np.arange(16) % 3
    module = load(exported(original, x[:1]))
    original.eval()
    np.testing.assert_allclose(module(x).numpy(), original(x).numpy(), rtol=1e-5, atol=1e-6)
    optimizer = tg.optim.Adam(module.parameters(), lr=1e-2)
    module.train()
    before = module.state_dict()

    @tg.compile
    def step(x, y):
        optimizer.zero_grad()
        loss = tg.cross_entropy(module(x), y)
        loss.backward()
        optimizer.step()
        return loss

    losses = [step(x, y).item() for _ in range(20)]
    assert losses[-1] < losses[0] / 3
    after = module.state_dict()
    assert all(not np.array_equal(before[name], after[name]) for name in after), "running statistics move too"
    tg.save(tmp_path / "state.npz", after)
    fresh = load(exported(original, x[:1]))
    fresh.load_state_dict(tg.load(tmp_path / "state.npz"))
    module.eval()
    np.testing.assert_array_equal(fresh(x).numpy(), module(x).numpy())
    export(module, x[:1], tmp_path / "again.onnx")
    np.testing.assert_allclose(load(tmp_path / "again.onnx")(x).numpy(), module(x).numpy(), rtol=1e-5, atol=1e-6)


def test_batch_normalization_trains_as_the_layer_does():
    layer = shaken(nn.BatchNorm2d(3))
    module = load(exported(layer, normal(2, 3, 4, 4)))
    layer.train()
    module.train()
    for _ in range(2):
        np.testing.assert_allclose(
            module(normal(2, 3, 4, 4)).numpy(), layer(normal(2, 3, 4, 4)).numpy(), rtol=1e-5, atol=1e-6
        )
        for name in ("running_mean", "running_var"):
            np.testing.assert_allclose(module.state_dict()[name], layer.state_dict()[name], rtol=1e-5)


def test_dropout_of_a_file_drops_in_training():
    module = load(model([node("Dropout", ["x"], ["y"])], [info("x", FLOAT, [1000])], [info("y")]))
    x = np.ones(1000, np.float32)
    assert set(module(x).tolist()) == {1.0}
    assert set(module.train()(x).tolist()) == {0.0, 2.0}


def test_a_copy_is_a_module_of_its_own():
    module = load(exported(shaken(nn.Linear(3, 2)), normal(1, 3)))
    twin = copy.deepcopy(module)
    twin.weight.copy_(np.zeros((2, 3), np.float32))
    np.testing.assert_allclose(twin(normal(1, 3)).numpy(), module.bias.numpy()[None], rtol=1e-6)
    assert not np.allclose(module(normal(1, 3)).numpy(), twin(normal(1, 3)).numpy())


def test_a_module_is_pickled():
    original = nn.Sequential(
        nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.Flatten(), nn.Linear(8, 2), nn.Softmax()
    )
    module = load(exported(shaken(original), normal(1, 1, 4, 4)))
    twin = pickle.loads(pickle.dumps(module))
    np.testing.assert_array_equal(twin(normal(3, 1, 4, 4)).numpy(), module(normal(3, 1, 4, 4)).numpy())
    assert (twin.names, twin.training, twin.input_names) == (module.names, False, ["x"])


def test_a_file_within_a_model_keeps_its_names():
    inner = load(exported(shaken(nn.Linear(3, 2)), normal(1, 3)))
    whole = nn.Sequential(inner, nn.ReLU())
    graph = onnx.load_model_from_string(exported(whole, normal(1, 3))).graph
    assert {t.name for t in graph.initializer} == {"0.weight", "0.bias"}
    assert [n.name for n in graph.node] == ["0/Gemm", "1/Relu"]


# Inputs


def two_inputs():
    return load(
        model([node("Sub", ["a", "b"], ["y"])], [info("a", FLOAT, ["n", 3]), info("b", FLOAT, ["n", 3])], [info("y")])
    )


def test_inputs_in_order_or_by_name():
    module, a, b = two_inputs(), normal(2, 3), normal(2, 3, seed=1)
    for found in (module(a, b), module(b=b, a=a), module(a, b=b)):
        np.testing.assert_array_equal(found.numpy(), a - b)


@pytest.mark.parametrize(("args", "named", "words"), [
    ((normal(2, 3),), {}, "1 inputs and"),
    ((normal(2, 3),), {"c": normal(2, 3)}, "'b' is missing"),
    ((normal(2, 3),), {"a": normal(2, 3)}, "a, b"),
    ((normal(2, 3), normal(2, 4)), {}, r"'b' has shape \(2, 4\); it must be \(n, 3\)"),
    ((normal(2, 3), normal(3)), {}, r"'b' has shape \(3,\)"),
    ((normal(2, 3), np.zeros((2, 3), np.int64)), {}, "'b' is int64; it must be float32"),
])  # fmt: skip
def test_inputs_that_do_not_fit(args, named, words):
    with pytest.raises(OnnxError, match=words):
        two_inputs()(*args, **named)


def test_an_error_in_a_node_names_it():
    source = model(
        [node("MatMul", ["a", "b"], ["y"], name="the product")], [info("a", FLOAT), info("b", FLOAT)], [info("y")]
    )
    with pytest.raises(OnnxError, match=r"node 'the product' \(MatMul\): matmul: .* must agree"):
        load(source)(normal(2, 3), normal(2, 3))


# Folding and control flow


def test_chains_of_constants_are_folded():
    nodes = [
        constant("shape", [2, 3, 4]),
        constant("zero", 0),
        constant("one", [1]),
        node("Gather", ["shape", "zero"], ["first"]),
        node("Unsqueeze", ["first", "axis"], ["row"]),
        constant("axis", [0]),
        node("Cast", ["row"], ["cast"], to=INT),
        node("Slice", ["shape", "one", "end"], ["rest"]),
        constant("end", [3]),
        node("Concat", ["cast", "rest"], ["whole"], axis=0),
        node("Reshape", ["x", "whole"], ["y"]),
    ]
    nodes = sorted(nodes, key=lambda n: n.op_type != "Constant")
    module = load(model(nodes, [info("x", FLOAT, [24])], [info("y")]))
    assert [step.operator for step in module.program.steps] == ["Reshape"]
    assert module.state_dict() == {}
    assert module(np.zeros(24, np.float32)).shape == (2, 3, 4)


def test_shapes_of_inputs_do_not_stop_a_capture():
    nodes = [
        node("Shape", ["x"], ["shape"]),
        node("Gather", ["shape", "zero"], ["n"]),
        node("Concat", ["n", "minus"], ["target"], axis=0),
        node("Reshape", ["x", "target"], ["y"]),
    ]
    state = {"zero": np.array([0]), "minus": np.array([-1])}
    module = load(model(nodes, [info("x", FLOAT, ["n", 3, 4])], [info("y")], state))
    compiled = tg.compile(module)
    for n in (2, 2, 5):
        assert compiled(normal(n, 3, 4)).shape == (n, 12)
    assert module.state_dict() == {}


def branches():
    then = helper.make_graph([node("Neg", ["x"], ["t"])], "then", [], [info("t", FLOAT, None)])
    other = helper.make_graph([node("Unknown", ["x"], ["e"])], "else", [], [info("e", FLOAT, None)])
    return then, other


def test_a_constant_condition_leaves_one_branch():
    then, other = branches()
    nodes = [constant("c", True, np.bool_), node("If", ["c"], ["y"], then_branch=then, else_branch=other)]
    module = load(model(nodes, [info("x", FLOAT, [3])], [info("y")]))
    assert [step.operator for step in module.program.steps] == ["Neg"]
    np.testing.assert_array_equal(module(normal(3)).numpy(), -normal(3))


def test_a_condition_of_an_input_chooses_in_each_call():
    then = helper.make_graph([node("Neg", ["x"], ["out"])], "then", [], [info("out", FLOAT, None)])
    other = helper.make_graph(
        [node("Mul", ["x", "w"], ["out"])],
        "else",
        [],
        [info("out", FLOAT, None)],
        [numpy_helper.from_array(normal(3, seed=2), "w")],
    )
    module = load(
        model(
            [node("If", ["c"], ["y"], then_branch=then, else_branch=other)],
            [info("c", BOOL, []), info("x", FLOAT, [3])],
            [info("y")],
        )
    )
    np.testing.assert_array_equal(module(np.array(True), normal(3)).numpy(), -normal(3))
    x = tg.Tensor(normal(3), requires_grad=True)
    module(np.array(False), x).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), normal(3, seed=2))
    np.testing.assert_array_equal(module.w.grad.numpy(), normal(3))


def power(count):
    """A loop that multiplies by x; its scan output is the product of each iteration."""
    body = helper.make_graph(
        [node("Mul", ["acc", "x"], ["next"]), node("Identity", ["on"], ["still"]), node("Identity", ["next"], ["note"])],
        "body", [info("i", INT, []), info("on", BOOL, []), info("acc", FLOAT, None)],
        [info("still", BOOL, []), info("next", FLOAT, None), info("note", FLOAT, None)],
    )  # fmt: skip
    nodes = [constant("n", count), node("Loop", ["n", "", "x"], ["y", "notes"], body=body)]
    return model(nodes, [info("x", FLOAT, [3])], [info("y"), info("notes")])


def test_a_loop():
    module = load(power(2))
    x = tg.Tensor(normal(3), requires_grad=True)
    y, notes = module(x)
    np.testing.assert_allclose(y.numpy(), normal(3) ** 3, rtol=1e-6)
    np.testing.assert_allclose(notes.numpy(), [normal(3) ** 2, normal(3) ** 3], rtol=1e-6)
    y.sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), 3 * normal(3) ** 2, rtol=1e-6)
    again = load(exported(module, normal(3), dynamic_axes={}))  # unrolled
    np.testing.assert_allclose(again(normal(3))[0].numpy(), y.numpy(), rtol=1e-6)


def test_a_loop_that_does_not_turn_makes_what_the_file_states():
    source = onnx.load_from_string(power(0))
    with pytest.raises(
        OnnxError, match=r"node .*Loop.: the loop has no iteration, and the file does not state the shapes"
    ):
        load(source.SerializeToString())(normal(3))
    source.graph.node[1].attribute[0].g.output[2].CopyFrom(info("note", TensorProto.FLOAT16, [3, 2]))
    y, notes = load(source.SerializeToString())(normal(3))
    np.testing.assert_array_equal(y.numpy(), normal(3))
    assert (notes.dtype, notes.shape) == (np.float16, (0, 3, 2))


def test_a_function_under_the_name_of_an_operator_is_refused():
    function = helper.make_function(
        "", "Relu", ["a"], ["b"], [node("Neg", ["a"], ["b"])], [helper.make_opsetid("", 18)]
    )
    source = model([node("Relu", ["x"], ["y"])], [info("x", FLOAT, [3])], [info("y")], functions=[function])
    with pytest.raises(OnnxError, match="the model has a function 'Relu' with the name of an ONNX operator"):
        load(source)


def test_functions_in_a_file_are_put_in_their_place():
    twice = helper.make_function(
        "own", "Twice", ["a"], ["b"], [node("Add", ["a", "a"], ["b"])], [helper.make_opsetid("", 18)]
    )
    graph = helper.make_graph(
        [node("Twice", ["x"], ["y"], domain="own")], "test", [info("x", FLOAT, [3])], [info("y", FLOAT, [3])]
    )
    made = helper.make_model(
        graph,
        functions=[twice],
        opset_imports=[helper.make_opsetid("", 18), helper.make_opsetid("own", 1)],
        ir_version=8,
    )
    np.testing.assert_array_equal(load(made.SerializeToString())(normal(3)).numpy(), normal(3) * 2)


# Errors


def test_all_unknown_operators_are_listed_with_their_nodes():
    nodes = [
        node("Relu", ["x"], ["a"]),
        node("StringSplit", ["a"], ["b", "b2"], name="first"),
        node("Scaler", ["b"], ["c"], name="second", domain="ai.onnx.ml"),
        node("StringSplit", ["c"], ["y", "y2"], name="third"),
    ]
    with pytest.raises(OnnxError) as error:
        load(model(nodes, [info("x", FLOAT, [3])], [info("y")]))
    assert str(error.value).splitlines()[1:] == ["- StringSplit: 'first', 'third'", "- ai.onnx.ml::Scaler: 'second'"]


@pytest.mark.parametrize(("nodes", "words"), [
    ([node("Relu", ["z"], ["y"])], "'#0' .Relu. uses 'z', which no node before it makes"),
    ([node("Relu", ["x"], ["y"], alpha=1.0)], "the attribute 'alpha' is not one of none"),
    ([node("Conv", ["x"], ["y"])], "it has 1 inputs; it takes x, w, b"),
    ([node("Elu", ["x", "x"], ["y"])], "it has 2 inputs"),
    ([node("Concat", [], ["y"])], "an input is missing"),
    ([node("Cast", ["x"], ["y"])], "the attribute 'to' is missing"),
    ([node("Cast", ["x"], ["y"], to=TensorProto.BFLOAT16)], "the type BFLOAT16 .16. is not one"),
    ([node("Relu", ["x"], ["y"]), node("Neg", ["x"], ["y"])], "the name 'y' stands for two values"),
])  # fmt: skip
def test_nodes_that_are_wrong(nodes, words):
    source = model(nodes, [info("x", FLOAT, [3])], [info("y")])
    with pytest.raises(OnnxError, match=words):
        load(source)


@pytest.mark.parametrize("opset", [6, 29])
def test_an_opset_that_is_not_read(opset):
    with pytest.raises(OnnxError, match=f"opset {opset}; from 7 to 28 are read"):
        load(model([node("Relu", ["x"], ["y"])], [info("x", FLOAT, [3])], [info("y")], opset=opset))


def test_a_source_of_another_kind():
    with pytest.raises(TypeError, match="it must be a path, or the bytes of a file"):
        load(3)
    with pytest.raises(FileNotFoundError):
        load("nowhere.onnx")


def test_without_the_package_a_call_names_the_extra():
    code = (
        "import sys; sys.modules['onnx'] = None\n"
        "import io, tinygrad_cnn as tg\n"
        "for call in (lambda: tg.onnx.load(b''), lambda: tg.onnx.export(tg.nn.Identity(), tg.zeros(1), io.BytesIO())):\n"
        "    try: call()\n"
        "    except ImportError as error: assert \"pip install 'tinygrad_cnn[onnx]'\" in str(error), error\n"
        "    else: raise SystemExit('no error')\n"
        "assert not tg.onnx.GraphModule is None\n"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, cwd=Path(tg.__file__).parents[1])


def test_the_package_is_loaded_when_it_is_first_used():
    code = (
        "import sys, tinygrad_cnn as tg\n"
        "assert 'tinygrad_cnn.extra.onnx' not in sys.modules\n"
        "assert tg.onnx.load and 'onnx' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(tg.__file__).parents[1])


def test_the_module_shows_what_it_is():
    module = load(exported(nn.Linear(3, 2), normal(1, 3), input_names=["image"], output_names=["scores"]))
    assert repr(module) == "GraphModule(image -> scores, 1 nodes)"
    twice = nn.Sequential(load(exported(nn.Sequential(nn.Linear(3, 2), nn.ReLU()), normal(1, 3))), nn.ReLU())
    assert "(0): GraphModule(x -> output, 2 nodes)\n" in repr(twice)
    assert isinstance(module, GraphModule)
    file = io.BytesIO()
    export(module, normal(1, 3), file)
    graph = onnx.load_model_from_string(file.getvalue()).graph
    assert ([i.name for i in graph.input], [o.name for o in graph.output]) == (["image"], ["scores"])
