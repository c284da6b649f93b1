"""Parts of a loaded file are modules: what is put in their place is called, trained, saved and exported."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import nn

from . import needs

onnx = needs.onnx()

from tinygrad_cnn.extra.onnx import OnnxError, export, load  # noqa: E402
from tinygrad_cnn.extra.onnx.names import call_of_module  # noqa: E402

from .exports import exported, shaken  # noqa: E402
from .test_load import info, model, node, normal  # noqa: E402

X = normal(4, 1, 8, 8)


def network():
    return shaken(nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten(), nn.Linear(108, 5)))


class Residual(nn.Module):
    """A block with nodes of its own between its modules, and a module that is called twice."""

    def __init__(self):
        self.first, self.act, self.second = nn.Linear(6, 6), nn.Tanh(), nn.Linear(6, 6)

    def forward(self, x):
        return self.act(x + self.second(self.act(self.first(x))))


class Net(nn.Module):
    def __init__(self):
        self.blocks = nn.ModuleList([Residual(), Residual()])
        self.head = nn.Linear(6, 3)

    def forward(self, x):
        for block in self.blocks:
            x = block(x)
        return self.head(x)


def same(loaded, original, *inputs):
    """Both modules compute the same."""
    np.testing.assert_allclose(loaded(*inputs).numpy(), original(*inputs).numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("place", ["attribute", "index", "register"])
def test_a_new_head_is_called_trained_saved_and_exported(place, tmp_path):
    original = network().eval()
    loaded = load(exported(original, X[:1]))
    before = loaded.state_dict()
    tg.manual_seed(1)
    head = nn.Linear(108, 7)
    if place == "attribute":
        setattr(loaded, "4", head)
    elif place == "index":
        loaded[-1] = head
    else:
        loaded.register_module("4", head)
    assert loaded[-1] is head
    assert loaded.get_submodule("4") is head
    original[4] = head
    same(loaded, original, X)
    assert dict(loaded.named_parameters())["4.weight"] is head.weight
    assert set(loaded.state_dict()) == set(original.state_dict()) - {"1.num_batches_tracked"}

    loaded.requires_grad_(False)
    head.requires_grad_(True)
    optimizer = tg.optim.SGD(head.parameters(), lr=0.1)
    tg.cross_entropy(loaded(X), np.arange(4)).backward()
    optimizer.step()
    trained = loaded.state_dict()
    moved = {name for name in trained if name in before and not np.array_equal(trained[name], before[name])}
    assert moved == {"4.weight", "4.bias"}

    tg.save(tmp_path / "state.npz", trained)
    fresh = load(exported(network(), X[:1]))
    fresh[-1] = nn.Linear(108, 7)
    fresh.load_state_dict(tg.load(tmp_path / "state.npz"))
    np.testing.assert_array_equal(fresh(X).numpy(), loaded(X).numpy())
    export(loaded, X[:1], tmp_path / "new.onnx")
    again = load(tmp_path / "new.onnx")
    same(again, loaded, X)
    assert set(again.state_dict()) == set(trained)


@pytest.mark.parametrize("place", ["blocks.0", "blocks.1.first", "blocks.0.act", "head"])
def test_a_part_anywhere_in_the_tree_is_replaced(place):
    original = shaken(Net())
    x = normal(5, 6)
    loaded = load(exported(original, x[:1]))
    same(loaded, original, x)
    new = nn.Sequential(nn.Linear(6, 3 if place == "head" else 6), nn.Sigmoid())
    for whole in (loaded, original):
        above, _, name = place.rpartition(".")
        setattr(whole.get_submodule(above), name, new)
    same(loaded, original, x)
    assert set(loaded.state_dict()) == set(original.state_dict())
    same(load(exported(loaded, x[:1])), original, x)
    same(copy.deepcopy(loaded), original, x)
    same(pickle.loads(pickle.dumps(loaded)), original, x)


def test_the_tree_is_that_of_the_network():
    loaded = load(exported(Net(), normal(1, 6)))
    assert [name for name, _ in loaded.named_children()] == ["blocks", "head"]
    assert len(loaded) == 1 + 1
    block = loaded.get_submodule("blocks.1")
    assert [name for name, _ in block.named_children()] == ["first", "act", "second", "Add"]
    assert [type(part).__name__ for part in block] == ["Part"] * 5  # `act` twice


def test_a_part_runs_alone():
    original = shaken(Net())
    loaded, x = load(exported(original, normal(1, 6))), normal(5, 6)
    same(loaded.get_submodule("blocks.1"), original.blocks[1], x)
    same(loaded.head, original.head, x)


def test_hooks_of_parts_run():
    loaded = load(exported(network(), X[:1]))
    seen = []
    loaded[1].register_forward_hook(lambda module, args, output: seen.append((args[0].shape, output.shape)))
    loaded[2].register_forward_pre_hook(lambda module, args: (args[0] * 0,))
    loaded[4].register_forward_hook(lambda module, args, output: output + 1)
    y = loaded(X)
    assert seen == [((4, 3, 6, 6), (4, 3, 6, 6))]
    np.testing.assert_allclose(y.numpy(), np.broadcast_to(loaded[4].bias.numpy() + 1, (4, 5)), rtol=1e-6)
    grads = []
    loaded[4].register_full_backward_hook(lambda module, before, after: grads.append(after[0].shape))
    loaded(X).sum().backward()
    assert grads == [(4, 5)]


def test_a_compiled_step_sees_a_new_part():
    original = shaken(Net())
    loaded, x = load(exported(original, normal(1, 6))), normal(5, 6)
    compiled = tg.compile(loaded)
    for _ in range(4):
        np.testing.assert_array_equal(compiled(x).numpy(), loaded(x).numpy())
    for whole in (loaded, original):
        whole.get_submodule("blocks.1").second = nn.Identity()
        whole.head = nn.Tanh()
    for _ in range(4):
        same(compiled, original, x)


def raw(opset=18):
    """A file whose nodes and weights say nothing of modules."""
    nodes = [
        node("MatMul", ["x", "w"], ["a"], name="MatMul_0"),
        node("Add", ["a", "b"], ["c"]),
        node("Transpose", ["v"], ["vt"], perm=[1, 0], name="turn.it"),
        node("MatMul", ["c", "vt"], ["y"], name="MatMul_3"),
    ]
    return load(
        model(nodes, [info("x", shape=["n", 3])], [info("y")], {"w": normal(3, 4), "b": normal(4), "v": normal(2, 4)})
    )


def test_without_names_of_modules_each_node_is_a_part_that_takes_its_weights_along():
    loaded, x = raw(), normal(5, 3)
    before = loaded(x).numpy()
    assert [name for name, _ in loaded.named_children()] == ["MatMul_0", "Add_1", "MatMul_3"]
    old, loaded[-1] = loaded[-1], nn.Linear(4, 6)
    assert loaded(x).shape == (5, 6)
    assert list(loaded.state_dict()) == ["w", "b", "MatMul_3.weight", "MatMul_3.bias"]
    assert "v" not in {t.name for t in onnx.load_model_from_string(exported(loaded, x[:1])).graph.initializer}
    loaded[-1] = old
    assert sorted(loaded.state_dict()) == ["b", "v", "w"]
    np.testing.assert_array_equal(loaded(x).numpy(), before)


def test_weights_that_a_file_names_after_no_module_belong_to_the_module_of_their_node():
    """PyTorch exports a linear layer of three axes so, and numbers the second call of a module."""
    nodes = [
        node("MatMul", ["x", "onnx::MatMul_9"], ["a"], name="/fc/MatMul"),
        node("Add", ["fc.bias", "a"], ["b"], name="/fc/Add"),
        node("Relu", ["b"], ["c"], name="/Relu"),
        node("MatMul", ["c", "onnx::MatMul_9"], ["d"], name="/fc_1/MatMul"),
        node("Add", ["fc.bias", "d"], ["y"], name="/fc_1/Add"),
    ]
    state = {"onnx::MatMul_9": normal(3, 3), "fc.bias": normal(3)}
    loaded = load(model(nodes, [info("x", shape=["n", 3])], [info("y")], state))
    assert [name for name, _ in loaded.named_children()] == ["fc", "Relu"]
    new = loaded.fc = nn.Linear(3, 3)
    x = normal(4, 3)
    np.testing.assert_array_equal(loaded(x).numpy(), new(new(x).relu()).numpy())
    assert list(loaded.state_dict()) == ["fc.weight", "fc.bias"]


def test_a_module_that_is_called_again_and_again_is_called_as_often_when_it_is_new():
    class Recurrent(nn.Module):
        def __init__(self):
            self.cell, self.pool = nn.Linear(12, 12), nn.MaxPool1d(2)

        def forward(self, x):
            return self.pool(self.pool(self.cell(self.cell(self.cell(x)))))

    original, x = shaken(Recurrent()), normal(2, 3, 12)
    loaded = load(exported(original, x[:1]))
    same(loaded, original, x)
    loaded.cell = original.cell = nn.Sequential(nn.Linear(12, 12), nn.Tanh())
    loaded.pool = original.pool = nn.AvgPool1d(2)
    same(loaded, original, x)


def tied(named):
    """The weight of the embedding is that of the output, too, with a node between."""
    nodes = [
        node("Gather", ["embedding.weight", "x"], ["a"], name="embedding/Gather" if named else "G"),
        node("Tanh", ["a"], ["b"], name="act/Tanh" if named else "T"),
        node("Gemm", ["b", "embedding.weight"], ["y"], name="out/Gemm" if named else "M", transB=1),
    ]
    state = {"embedding.weight": normal(7, 4)}
    return load(model(nodes, [info("x", onnx.TensorProto.INT64, ["n"])], [info("y")], state))


def test_a_shared_weight_is_never_the_old_one_beside_a_new_module():
    x = np.array([1, 2, 6])
    loaded, expected = tied(named=True), np.tanh(normal(7, 4)[x]) @ normal(7, 4).T
    np.testing.assert_allclose(loaded(x).numpy(), expected, rtol=1e-5)
    loaded.embedding = new = nn.Embedding(9, 4)
    with pytest.raises(OnnxError, match="`out` needs 'embedding.weight' of a module that was replaced"):
        loaded(x)
    loaded.out = nn.Identity()
    np.testing.assert_array_equal(loaded(x).numpy(), new(x).tanh().numpy())
    loaded = tied(named=False)
    np.testing.assert_allclose(loaded(x).numpy(), expected, rtol=1e-5)
    with pytest.raises(OnnxError, match="`embedding` cannot be replaced by Embedding.*`embedding.G`, `embedding.M`"):
        loaded.embedding = new
    np.testing.assert_allclose(loaded(x).numpy(), expected, rtol=1e-5)


def interleaved():
    """Module `a` runs before and after module `b`, which depends on it."""
    nodes = [
        node("Mul", ["x", "a.scale"], ["p"], name="a/Mul"),
        node("Mul", ["p", "b.scale"], ["q"], name="b/Mul"),
        node("Add", ["q", "a.shift"], ["y"], name="a/Add"),
    ]
    state = {"a.scale": normal(3), "b.scale": normal(3, seed=1), "a.shift": normal(3, seed=2)}
    return load(model(nodes, [info("x", shape=["n", 3])], [info("y")], state))


def test_a_module_whose_nodes_cannot_be_put_together_says_so():
    loaded = interleaved()
    with pytest.raises(OnnxError, match="`a` cannot be replaced by Linear: .*; replace `a.Mul`, `a.Add`"):
        loaded.a = nn.Linear(3, 3)
    x = normal(2, 3)
    same(load(exported(loaded, x[:1])), loaded, x)
    assert [row.kind for row in loaded.summary((1, 3)).rows] == ["Mul", "Mul", "Add"]
    expected = x * normal(3) * normal(3, seed=1)
    loaded.a.Add = nn.Identity()
    np.testing.assert_allclose(loaded(x).numpy(), expected, rtol=1e-6)
    compiled = tg.compile(loaded)
    for _ in range(4):
        compiled(x)
    loaded.a.Mul = nn.Identity()
    np.testing.assert_allclose(compiled(x).numpy(), x * normal(3, seed=1), rtol=1e-6)


def test_nodes_of_a_module_are_put_together_where_they_can_be():
    nodes = [
        node("Mul", ["x", "a.scale"], ["p"]),
        node("Mul", ["x", "b.scale"], ["q"]),
        node("Add", ["p", "a.shift"], ["r"]),
        node("Sub", ["q", "b.shift"], ["s"]),
        node("Add", ["r", "s"], ["y"]),
    ]
    state = {name: normal(3, seed=i) for i, name in enumerate(["a.scale", "b.scale", "a.shift", "b.shift"])}
    loaded = load(model(nodes, [info("x", shape=["n", 3])], [info("y")], state))
    x = normal(2, 3)
    s = [state[name] for name in state]
    np.testing.assert_allclose(loaded(x).numpy(), x * s[0] + s[2] + (x * s[1] - s[3]), rtol=1e-5)
    loaded.b = nn.Identity()
    np.testing.assert_allclose(loaded(x).numpy(), x * s[0] + s[2] + x, rtol=1e-5)
    loaded.a = nn.Identity()
    np.testing.assert_allclose(loaded(x).numpy(), 2 * x, rtol=1e-6)


def test_what_cannot_be_a_part():
    loaded = load(exported(network(), X[:1]))
    with pytest.raises(TypeError, match="part -1 cannot be the class Linear; assign a module, such as"):
        loaded[-1] = nn.Linear
    with pytest.raises(IndexError, match="there is no part 5 among 5"):
        loaded[5] = nn.ReLU()
    with pytest.raises(TypeError, match="is no index of a part"):
        loaded[1:]
    loaded[3] = nn.Linear(36, 3)
    with pytest.raises(ValueError, match="its last axis must be `in_features` 36") as caught:
        loaded(X)
    assert caught.value.__notes__ == ["in `3` of a loaded ONNX graph, called with inputs of shapes (4, 3, 6, 6)"]
    delattr(loaded, "3")
    with pytest.raises(OnnxError, match="`3` is missing; assign a module"):
        loaded(X)
    loaded.register_module("3", nn.Flatten())
    same(loaded, load(exported(network(), X[:1])), X)


def test_modes_and_summary_and_repr_are_of_the_parts_that_are_there():
    loaded = load(exported(network(), X[:1])).train()
    loaded[1].eval()
    before = loaded[1].running_mean.numpy().copy()
    loaded(X)
    np.testing.assert_array_equal(loaded[1].running_mean.numpy(), before)
    loaded[-1] = nn.Sequential(nn.Linear(108, 4), nn.ReLU(), nn.Linear(4, 2))
    assert repr(loaded).startswith("GraphModule(\n  x -> output, 5 nodes\n  (4): Sequential(\n")
    rows = [(row.path, row.kind, row.parameters) for row in loaded.summary().rows]
    assert rows == [
        ("0/Conv", "Conv", 30), ("1/BatchNormalization", "BatchNormalization", 6), ("2/Relu", "Relu", 0),
        ("3/Reshape", "Reshape", 0), ("4", "Sequential", 0), ("4/0", "Linear", 436), ("4/1", "ReLU", 0),
        ("4/2", "Linear", 10),
    ]  # fmt: skip


def test_names_of_the_modules_attributes_are_no_attributes_of_parts():
    state = {name: normal(2, seed=i) for i, name in enumerate(["program", "names", "_steps", "_inputs.w", "state"])}
    nodes, last = [], "x"
    for i, name in enumerate(state):
        nodes.append(node("Add", [last, name], [f"s{i}"], name=f"{name}/forward"))
        last = f"s{i}"
    loaded = load(model(nodes, [info("x", shape=[2])], [info(last)], state))
    np.testing.assert_allclose(loaded(np.zeros(2, np.float32)).numpy(), sum(state.values()), rtol=1e-6)


@pytest.mark.parametrize(("name", "module"), [
    ("Conv_3", None), ("/Conv", ()), ("0/Conv", ("0",)), ("/a/a.1/a.1.b/Conv", ("a", "1", "b")), ("a//b/", ("a", "b")),
    ("/".join("abcdefghijklmnopqrstuvwxyz"), ()),
])  # fmt: skip
def test_the_module_in_a_nodes_name(name, module):
    assert call_of_module(name) == module


def test_inputs_with_names_that_pytorch_gives_to_inputs():
    names = ["input", "input1", "input2", "log_input", "self", "args"]
    nodes = [node("Sum", names, ["y"])]
    loaded = load(model(nodes, [info(name, shape=[2]) for name in names], [info("y")]))
    given = {name: normal(2, seed=i) for i, name in enumerate(names)}
    np.testing.assert_allclose(loaded(**given).numpy(), sum(given.values()), rtol=1e-6)
    np.testing.assert_allclose(loaded(*given.values()).numpy(), sum(given.values()), rtol=1e-6)
