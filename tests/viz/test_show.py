"""`tg.show`: the values and gradients of a picture are those of the computation, and nothing that it looks at changes."""

from __future__ import annotations

import inspect
import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_cnn as tg
from tinygrad_cnn import nn


def named(page, name):
    """The node of this name, or else of this op, of which there must be one."""
    found = [n for n in page.data["nodes"] if n["name"] == name] or [n for n in page.data["nodes"] if n["op"] == name]
    assert len(found) == 1, f"{len(found)} nodes are called {name}"
    return found[0]


def classifier():
    tg.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten(), nn.Dropout(0.5), nn.Linear(48, 4)
    )
    x = np.random.default_rng(0).standard_normal((5, 1, 6, 6)).astype(np.float32)
    return model, x, np.array([0, 1, 2, 3, 0])


# Values and gradients


def test_a_small_expression_has_the_numbers_of_micrograd():
    a, b, c = (tg.Tensor(v, requires_grad=True) for v in (2.0, -3.0, 10.0))
    f = tg.Tensor(-2.0, requires_grad=True)
    e = a * b
    d = e + c
    loss = d * f
    page = tg.show(loss)
    expected = {  # of the talk in which micrograd is written: value, gradient
        "a": (2, 6), "b": (-3, -4), "c": (10, -2), "f": (-2, 4), "e": (-6, -2), "d": (4, -2), "loss": (-8, 1),
    }  # fmt: skip
    for name, (value, gradient) in expected.items():
        node = named(page, name)
        assert (node["value"]["values"], node["gradient"]["values"]) == (value, gradient), name
    assert [given["gradient"]["values"] for given in named(page, "loss")["inputs"]] == [-2, 4]


@given(st.lists(st.floats(-2, 2, width=32), min_size=3, max_size=3), st.data())
def test_gradients_are_those_of_backward_for_any_graph(numbers, data):
    leaves = [tg.Tensor([v, v + 1], requires_grad=True) for v in numbers]
    values = list(leaves)
    for _ in range(data.draw(st.integers(1, 8))):
        kind = data.draw(st.sampled_from(["add", "mul", "tanh", "sub"]))
        pair = tuple(values[data.draw(st.integers(0, len(values) - 1))] for _ in range(2))
        values.append(pair[0].tanh() if kind == "tanh" else getattr(tg, kind)(*pair))
        del pair  # or its elements would be named after it
    loss = (values[-1] + values[-1] * leaves[0]).sum()
    page = tg.show(loss)
    assert all(leaf.grad is None for leaf in leaves)
    loss.backward()  # the graph is still there
    for i, leaf in enumerate(leaves):
        found = [n for n in page.data["nodes"] if n["name"] == f"leaves[{i}]"]
        assert bool(found) == (leaf.grad is not None)
        if found:
            np.testing.assert_allclose(found[0]["gradient"]["values"], leaf.grad.tolist(), rtol=1e-6, atol=1e-7)
    for node in page.data["nodes"]:  # what arrives at a node adds up to its gradient
        sent = [
            given["gradient"]["values"]
            for user in page.data["nodes"]
            for given in user["inputs"]
            if given.get("node") == node["id"] and given["gradient"]
        ]
        if sent:
            np.testing.assert_allclose(np.sum(sent, axis=0), node["gradient"]["values"], rtol=1e-5, atol=1e-6)


def test_gradients_of_a_network_are_those_of_backward():
    model, x, y = classifier()
    model.eval()  # so that both draw no dropout
    page = tg.show(lambda x, y: tg.cross_entropy(model(x), y), x, y)
    tg.cross_entropy(model(tg.Tensor(x)), y).backward()
    for name, parameter in model.named_parameters():
        node = named(page, f"model.{name}")
        grad = parameter.grad.numpy()
        assert node["kind"] == "parameter"
        assert math.isclose(node["gradient"]["norm"], np.linalg.norm(grad), rel_tol=1e-5)
        assert math.isclose(node["gradient"]["mean"], grad.mean(dtype=np.float64), rel_tol=1e-3, abs_tol=1e-7)
    assert named(page, "x")["gradient"] is not None


def test_every_value_of_a_function_is_known_also_without_gradients():
    def f(x):
        return (x.detach() * 2 > 1).astype(np.float32) * x + tg.arange(3)

    x = np.array([0.25, 1.0, -1.0], np.float32)
    page = tg.show(f, x)
    assert named(page, "greater")["value"]["values"] == [False, True, False]
    assert named(page, "add")["value"]["values"] == [0.0, 2.0, 2.0]
    first = page.data["nodes"][0]
    assert (first["name"], first["kind"], first["value"]["values"]) == ("x", "input", x.tolist())
    assert named(page, "greater")["inputs"][0]["node"] != 0
    detached = next(n for n in page.data["nodes"] if n["op"] == "mul" and n["inputs"][1].get("text"))
    assert detached["inputs"][0]["node"] == 0  # through detach, which shares the array
    assert detached["inputs"][1]["text"] == "2"


def test_broadcast_inputs_receive_gradients_of_their_shape():
    page = tg.show(lambda x, b: (x + b).sum(), np.ones((4, 3)), np.zeros(3))
    assert named(page, "add")["inputs"][1]["gradient"]["values"] == [4.0, 4.0, 4.0]


def test_lists_of_tensors_are_inputs_one_by_one():
    page = tg.show(lambda a, b: (tg.concatenate([a, b]) * np.array([1.0, 2.0, 3.0])).sum(), np.ones(2), np.ones(1))
    joined = named(page, "concatenate")
    assert [g["name"] for g in joined["inputs"]] == ["arrays[0]", "arrays[1]"]
    assert [g["gradient"]["values"] for g in joined["inputs"]] == [[1.0, 2.0], [3.0]]


def test_several_results_and_no_backward():
    x = tg.Tensor([1.0, 2.0], requires_grad=True)
    page = tg.show([x * 2, x * 3])
    assert [n["output"] for n in page.data["nodes"]] == [False, True, True]
    assert all(n["gradient"] is None for n in page.data["nodes"])
    assert tg.show((x * 2).sum(), backward=False).data["order"] == []


def test_the_order_is_that_of_the_walk():
    x = tg.Tensor(3.0, requires_grad=True)
    page = tg.show((x * x).exp())
    assert page.data["order"] == [2, 1, 0]


def test_a_hook_changes_the_gradient_as_in_backward():
    x = tg.Tensor(3.0, requires_grad=True)
    y = x * 2
    y.register_hook(lambda g: g * 10)
    page = tg.show(y.exp() * 0 + y)
    assert named(page, "x")["gradient"]["values"] == 20.0


def test_what_a_function_walks_itself_is_noted():
    w = tg.Tensor(3.0, requires_grad=True)

    def step(x):
        loss = (w * x).sum()
        loss.backward()
        return loss

    page = tg.show(step, np.array([1.0, 2.0], np.float32))
    assert named(page, "w")["gradient"]["values"] == w.grad.item() == 3.0
    with pytest.raises(RuntimeError, match="runs backward itself"):
        tg.show(step, np.ones(2), backward=True)


def sums_add_up(page):
    """The gradients that users of a value send add up to its own, and each node is visited once."""
    nodes = page.data["nodes"]
    assert len(set(page.data["order"])) == len(page.data["order"])
    assert all(nodes[i]["gradient"] is not None for i in page.data["order"])
    sent = [
        (given["node"], given["gradient"]["values"]) for n in nodes for given in n["inputs"] if given.get("gradient")
    ]
    for i in {i for i, _ in sent}:
        np.testing.assert_allclose(sum(np.asarray(g) for j, g in sent if j == i), nodes[i]["gradient"]["values"])


def test_the_graph_of_a_gradient_in_a_function_is_walked_to_the_end():
    x = np.array([1.0, -2.0, 0.5])

    def penalty(x):
        (slope,) = tg.autograd.gradients((x**3).sum(), [x], create_graph=True)
        return (slope * slope).sum()

    page = tg.show(penalty, x)  # of 9 x^4
    np.testing.assert_allclose(named(page, "x")["gradient"]["values"], 36 * x**3)
    sums_add_up(page)
    assert page.data["order"][-1] == 0
    page = tg.show(tg.grad(tg.grad(lambda x: x**3)), 2.0)  # 6 x
    assert named(page, "x")["gradient"]["values"] == 6
    sums_add_up(page)


def test_two_walks_of_a_function():
    d, g = (tg.Tensor(v, requires_grad=True) for v in (2.0, 3.0))

    def step(x):
        (d * (g * x).detach()).sum().backward()
        loss = (d * (g * x)).sum()
        loss.backward()
        return loss

    page = tg.show(step, np.array([1.0, 2.0], np.float32))
    assert named(page, "d")["gradient"]["values"] == 18  # of both, as in `grad`
    assert named(page, "g")["gradient"]["values"] == 6
    ops = [page.data["nodes"][i]["op"] for i in page.data["order"]]
    assert ops == ["sum", "mul", "sum", "mul", "mul"]

    def twice(x):
        y = (x * 3).sum()
        for factor in (1.0, 10.0):
            tg.autograd.gradients(y * factor, [x], retain_graph=True)
        y.backward()
        return y

    page = tg.show(twice, np.array([1.0, 2.0]))
    assert [n["gradient"]["values"] for n in page.data["nodes"] if n["op"] == "sum"] == [1.0]  # of the last one
    assert len(set(page.data["order"])) == len(page.data["order"])


@pytest.mark.parametrize("recorded", [False, True])
def test_what_a_checkpoint_runs_again_is_no_part_of_the_graph(recorded):
    x = tg.Tensor([0.5, -1.0, 2.0], dtype=np.float64, requires_grad=True)

    def f(x):
        return tg.checkpoint(lambda x: (x * x).exp(), x).sum()

    page = tg.show(f(x)) if recorded else tg.show(f, x)
    assert [n["op"] for n in page.data["nodes"]] == [None, "checkpoint", "sum"]
    assert page.data["order"] == [2, 1, 0]
    sums_add_up(page)
    np.testing.assert_allclose(page.data["nodes"][0]["gradient"]["values"], 2 * x.numpy() * np.exp(x.numpy() ** 2))


def test_a_tensor_that_is_given_twice_is_one_input():
    x = tg.Tensor([1.0, 2.0], requires_grad=True)
    page = tg.show(lambda a, b: (a * a * b).sum(), x, x)
    assert named(page, "a")["gradient"]["values"] == [3.0, 12.0]
    sums_add_up(page)
    page = tg.show(lambda a, b: (a * a * b).sum(), x, x.detach())  # with its memory, but an input of its own
    assert named(page, "a")["gradient"]["values"] == [2.0, 8.0]
    assert named(page, "b")["gradient"]["values"] == [1.0, 4.0]
    sums_add_up(page)


def test_a_parameter_that_is_written_between_two_uses_is_shown_with_both_values():
    w = tg.Tensor([1.0, 2.0], requires_grad=True)

    def f(x):
        before = (w * x).sum()
        with tg.no_grad():
            w.copy_([10.0, 20.0])
        return [(w * x).sum(), before]

    page = tg.show(f, np.array([3.0, 4.0], np.float32))
    nodes = page.data["nodes"]
    for node in nodes:
        if node["op"] == "mul":
            a, b = (np.array(nodes[given["node"]]["value"]["values"]) for given in node["inputs"])
            assert node["value"]["values"] == (a * b).tolist()
    assert [n["value"]["values"] for n in nodes if n["name"] == "w"] == [[1.0, 2.0], [10.0, 20.0]]


def test_a_compiled_function_is_shown_as_it_is_written():
    page = tg.show(tg.compile(lambda x: (x * 2).sum()), np.ones(2))
    assert [n["op"] for n in page.data["nodes"]] == [None, "mul", "sum"]


# Names, modules, places, rules


def test_modules_are_groups_one_for_each_call():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Sequential(nn.Linear(2, 2), nn.Tanh())

        def forward(self, x):
            return self.inner(self.inner(x)) * 2

    page = tg.show(Twice(), np.ones((1, 2), np.float32))
    groups = {g["id"]: g for g in page.data["groups"]}
    assert [(g["name"], g["type"], g["parent"]) for g in groups.values()] == [
        ("", "Twice", None), ("inner", "Sequential", 0), ("0", "Linear", 1), ("1", "Tanh", 1),
        ("inner", "Sequential", 0), ("0", "Linear", 4), ("1", "Tanh", 4),
    ]  # fmt: skip
    kinds = [(n["op"], groups[n["group"]]["type"]) for n in page.data["nodes"] if n["op"]]
    assert kinds == [("linear", "Linear"), ("tanh", "Tanh"), ("linear", "Linear"), ("tanh", "Tanh"), ("mul", "Twice")]
    assert named(page, "inner.0.weight")["group"] == 0  # used by two calls: beside them


def test_a_parameter_lies_in_the_group_that_uses_it():
    model, x, _ = classifier()
    page = tg.show(model, x)
    types = {g["id"]: g["type"] for g in page.data["groups"]}
    assert types[named(page, "0.weight")["group"]] == "Conv2d"
    assert [n["group"] for n in page.data["nodes"] if n["kind"] == "input"] == [None]


def test_ops_know_where_they_were_called():
    def f(x):
        y = x * 2
        return y.sum()

    page = tg.show(f, np.ones(2))
    line = inspect.getsourcelines(f)[1]
    spots = {n["op"]: n["place"] for n in page.data["nodes"] if n["op"]}
    assert {op: place[1] for op, place in spots.items()} == {"mul": line + 1, "sum": line + 2}
    assert all(place[0].endswith("test_show.py") for place in spots.values())


def test_the_place_in_a_recorded_graph_is_known_under_anomaly_detection():
    x = tg.Tensor(1.0, requires_grad=True)
    with tg.detect_anomaly():
        line = inspect.currentframe().f_lineno + 1
        y = x * 2
        page = tg.show(y)
    assert named(page, "y")["place"][1] == line
    page = tg.show(x * 2)
    assert named(page, "mul")["place"] is None
    assert any("not known" in note for note in page.data["notes"])


@tg.op(elementwise=True)
def cube(a):
    """y = a^3.   a' = 3 g a^2."""
    return a * a * a


def _slope(g, a):
    return 3 * g * a * a


cube.vjp(a=lambda g, a: _slope(g, a))


def test_the_text_of_rules():
    page = tg.show(lambda x: (cube(x) * x.relu()).sum(), np.array([2.0]))
    ops = page.data["ops"]
    assert [r["text"] for r in ops["mul"]["rules"]] == ["lambda g, b: g * b", "lambda g, a: g * a"]
    assert ops["mul"]["definition"] == "np.multiply(a, b)"
    assert ops["mul"]["formula"].startswith(
        "y = a b.   a' = g b,  b' = g a.\n\nHere g is the gradient with respect to y"
    )
    assert ops["relu"]["rules"][0] == {"inputs": ["a"], "names": ["g", "y"], "text": "lambda g, y: where(y > 0, g, 0)"}
    assert ops["cube"]["rules"][0]["text"] == (
        "lambda g, a: _slope(g, a)\n\ndef _slope(g, a):\n    return 3 * g * a * a"
    )
    assert ops["cube"]["definition"].endswith("return a * a * a")


@pytest.mark.slow
def test_the_text_of_every_rule_of_the_library_is_found():
    from tinygrad_cnn.core.registry import registry
    from tinygrad_cnn.extra.show.rules import UNKNOWN, op_text

    for name, op in registry.items():
        module, _, function = name.rpartition(".")
        if name.startswith("tinygrad_cnn.") and hasattr(sys.modules.get(module), function):  # not one of a docstring's
            text = op_text(op)
            for rule in text["rules"]:
                assert UNKNOWN not in rule["text"], name
                parameters = rule["text"].split(":")[0]
                assert all(each in parameters or "def " in rule["text"] for each in rule["names"]), (name, rule)


def test_a_lambda_is_told_from_those_around_it_and_in_it():
    @tg.op
    def twice(a, b):
        return a * 2 + b * 2

    twice.vjp(a=lambda g: (lambda g: g * 2)(g), b=(lambda g: lambda g: g * 2)(0))
    rules = tg.show(lambda x: twice(x, x), np.array(1.0)).data["ops"]["twice"]["rules"]
    assert [rule["text"] for rule in rules] == ["lambda g: (lambda g: g * 2)(g)", "lambda g: g * 2"]


def test_two_ops_of_one_name_keep_their_rules_apart():
    @tg.op(elementwise=True)
    def mul(a, b):
        return a * b + 1

    mul.vjp(a=lambda g, b: g * b + 0, b=lambda g, a: g * a)
    page = tg.show(lambda x: mul(x, x) * x, np.array(2.0))
    texts = [page.data["ops"][n["op"]]["rules"][0]["text"] for n in page.data["nodes"] if n["op"]]
    assert texts == ["lambda g, b: g * b + 0", "lambda g, b: g * b"]


def test_a_rule_without_source_says_so():
    scope = {"tg": tg}
    exec("@tg.op\ndef made(a):\n    return a * 1\nmade.vjp(a=lambda g: g)", scope)
    page = tg.show(scope["made"], np.ones(2))
    assert page.data["ops"]["made"]["rules"][0]["text"] == "(the source is not available)"


# Nothing changes


def test_a_model_in_training_is_left_as_it_was():
    model, x, _ = classifier()
    before, random = model.state_dict(), tg.get_rng_state()
    page = tg.show(model, x)
    after = model.state_dict()
    assert all(np.array_equal(before[k], after[k]) for k in before)
    assert str(tg.get_rng_state()) == str(random)
    assert model.training
    assert any(n["op"] == "keep_mask" for n in page.data["nodes"])  # in the mode in which it was
    assert all(p.grad is None for p in model.parameters())


def test_a_model_that_fails_is_left_as_it_was():
    model, x, _ = classifier()
    before, random = model.state_dict(), tg.get_rng_state()
    with pytest.raises(ValueError, match="Linear"):
        tg.show(model, x[..., :5])
    assert all(np.array_equal(before[k], v) for k, v in model.state_dict().items())
    assert str(tg.get_rng_state()) == str(random)


def test_the_arguments_keep_their_gradients():
    x = tg.Tensor([1.0], requires_grad=True)
    (x * 5).sum().backward()
    tg.show(lambda x: (x * 2).sum(), x)
    assert x.grad.tolist() == [5.0]


def test_other_graphs_are_not_touched():
    w = tg.Tensor([2.0], requires_grad=True)
    h = w * 3
    page = tg.show(lambda x: (h * x).sum(), np.array([4.0], np.float32))
    assert named(page, "h")["gradient"]["values"] == [4.0]
    assert named(page, "h")["kind"] == "before"
    h.sum().backward()
    assert w.grad.tolist() == [3.0]


def test_values_that_nothing_kept_are_computed_again_and_marked():
    a = tg.Tensor([1.0, 2.0], requires_grad=True)
    page = tg.show((a * 3 + a).exp().sum())  # exp needs its own output, and add nothing
    node = named(page, "mul")
    assert node["value"]["values"] == [3.0, 6.0]
    assert node["recomputed"]
    assert not named(page, "exp")["recomputed"]


# States that are odd


def test_a_graph_of_one_node():
    x = tg.Tensor(3.0, requires_grad=True)
    page = tg.show(x)
    assert [(n["name"], n["gradient"]["values"]) for n in page.data["nodes"]] == [("x", 1.0)]


def test_no_graph():
    with pytest.raises(RuntimeError, match="has no graph.*requires_grad=True.*show\\(function"):
        tg.show(tg.Tensor(3.0))
    with pytest.raises(RuntimeError, match="called no op"):
        tg.show(lambda: 3)
    with pytest.raises(TypeError, match="`thing` is 3; give a Tensor"):
        tg.show(3)
    with pytest.raises(TypeError, match="the list holds 1"):
        tg.show([1])
    with pytest.raises(TypeError, match="arguments belong to a module or a function"):
        tg.show(tg.ones(1, requires_grad=True), 3)
    model = nn.Linear(3, 2)
    with pytest.raises(TypeError, match="`title` is 3; it must be a string"):
        tg.show(model, title=3)
    with pytest.raises(TypeError, match="`backward` is 'no'; it must be True, False or None"):
        tg.show(model, (2, 3), backward="no")
    with pytest.raises(ValueError, match=r"the shape \(-1, 3\) has a negative length"):
        tg.show(model, (-1, 3))


def test_a_graph_that_was_freed():
    x = tg.Tensor(3.0, requires_grad=True)
    y = x * 2
    z = y * 3
    z.backward()
    with pytest.raises(
        RuntimeError, match="freed by an earlier backward; call show before backward.*retain_graph=True"
    ):
        tg.show(z)
    page = tg.show(z * x)
    assert named(page, "z")["kind"] == "freed"
    assert any("freed" in note for note in page.data["notes"])
    with pytest.raises(RuntimeError, match=r"gradients cannot be computed.*freed.*Run the forward pass again"):
        tg.show(z * x, backward=True)


def test_values_that_were_overwritten_are_not_shown():
    w = tg.Tensor([2.0], requires_grad=True)
    loss = (w * w).sum()
    with tg.no_grad():
        w += 1
    page = tg.show(loss)
    assert any("overwritten" in note for note in page.data["notes"])
    product = named(page, "mul")
    assert product["value"] is None
    assert product["gradient"] is None


def test_a_network_with_nan():
    with np.errstate(all="ignore"):
        page = tg.show(lambda x: (x.log() * x).sum(), np.array([-1.0, 0.0, 1.0], np.float32))
    log = named(page, "log")
    assert (log["value"]["nan"], log["value"]["inf"]) == (1, 1)
    assert math.isnan(named(page, "sum")["value"]["values"])
    assert named(page, "sum")["value"]["nan"] == 1


def test_backward_that_is_asked_for_and_cannot_be():
    with pytest.raises(ValueError, match=r"result has shape \(2,\); return a single number"):
        tg.show(lambda x: x * 2, np.ones(2), backward=True)
    with pytest.raises(ValueError, match="no result requires a gradient"):
        tg.show(lambda x: x.detach().sum(), np.ones(2), backward=True)


def test_a_function_that_raises_halfway_leaves_the_page_so_far():
    def f(x):
        x.exp()
        raise LookupError("no more")

    with pytest.raises(LookupError, match="no more") as caught:
        tg.show(f, np.ones(2))
    assert [n["op"] for n in caught.value.page.data["nodes"]] == [None, "exp"]
    assert any("the attribute `page`" in note for note in caught.value.__notes__)
    assert caught.value.page.data["notes"] == ["After these ops LookupError was raised: no more"]


def test_in_a_compiled_function():
    @tg.compile
    def f(x):
        pages.append(tg.show(x * 2))
        return x

    pages = []
    for _ in range(4):
        f(tg.ones(2, requires_grad=True))
    assert [page.data["nodes"][-1]["op"] for page in pages] == ["mul"] * 4


def test_a_model_without_an_input():
    model, _, _ = classifier()
    page = tg.show(model)
    assert [n["name"] for n in page.data["nodes"] if n["kind"] == "parameter"] == [
        n for n, _ in model.named_parameters()
    ]
    assert named(page, "1.running_mean")["kind"] == "buffer"
    assert [g["type"] for g in page.data["groups"]][:3] == ["Sequential", "Conv2d", "BatchNorm2d"]
    assert any("was not called" in note for note in page.data["notes"])
    with pytest.raises(RuntimeError, match="ReLU has no parameters; give it an input"):
        tg.show(nn.ReLU())


def test_a_shape_stands_for_random_numbers():
    model, _, _ = classifier()
    random = tg.get_rng_state()
    nodes = tg.show(model, (2, 1, 6, 6)).data["nodes"]
    assert nodes[0]["shape"] == [2, 1, 6, 6]
    assert nodes[0]["value"]["std"] > 0.5
    assert str(tg.get_rng_state()) == str(random)


def test_values_that_lead_nowhere_are_left_out_and_the_page_says_why():
    def f(x):
        x.exp().log()
        return x * 2

    page = tg.show(f, np.ones(2))
    line = inspect.getsourcelines(f)[1] + 1
    assert [n["op"] for n in page.data["nodes"]] == [None, "mul"]
    assert page.data["notes"] == [
        f"2 values were left out, because no result depends on them: 1 of exp in line {line}, 1 of log in line {line}."
    ]

    class Tracks(nn.Module):
        def __init__(self):
            for name in ("count", "mean"):
                self.register_buffer(name, tg.zeros(3))

        def forward(self, x):
            self.count.copy_(self.count + 1)
            self.mean.copy_(self.mean * 0.9)
            tg.layer_norm(x, (3,))
            return x * 2

    assert tg.show(Tracks(), np.ones((2, 3), np.float32)).data["notes"] == [
        "6 values were left out, because no result depends on them: 2 buffers, 2 in Tracks, 2 in layer_norm."
    ]
    assert tg.show(nn.BatchNorm1d(3), np.ones((2, 3), np.float32)).data["notes"] == []


def labels(page):
    return [n["label"] for n in page.data["nodes"] if n["label"] not in ("", n["op"])]


def test_ops_are_called_as_the_program_calls_them():
    def f(x):
        x = tg.max_pool2d(tg.conv2d(x, tg.ones((2, 1, 3, 3))), 2)
        x = tg.pad(nn.Flatten()(x), ((0, 0), (1, 1))).std(axis=1, keepdims=True)
        return np.exp(x) @ x.T

    page = tg.show(f, np.random.default_rng(0).normal(size=(2, 1, 6, 6)))
    assert [x for x in labels(page) if x != "ones"] == ["conv2d", "max_pool2d", "flatten", "pad", "std", "T"]
    assert named(page, "convolve")["label"] == "conv2d"
    x = tg.Tensor(np.ones((1, 1, 4)), requires_grad=True)
    recorded = tg.show(tg.conv1d(x, np.ones((1, 1, 2))).sum())  # where the calls are not known
    assert named(recorded, "convolve")["label"] == "conv1d"


def test_the_ops_of_one_call_are_a_group():
    def f(x, y):
        return tg.cross_entropy(x, y, reduction="sum") + tg.cross_entropy(x * 2, y, reduction="sum")

    page = tg.show(f, np.zeros((3, 4)), np.array([0, 1, 2]))
    groups = {g["id"]: (g["name"], g["type"], g["parent"]) for g in page.data["groups"]}
    assert list(groups.values()) == [("cross_entropy", "function", None)] * 2
    kinds = [(n["op"], n["group"]) for n in page.data["nodes"] if n["op"]]
    first, second = groups
    assert kinds == [
        ("softmax_nll", first), ("sum", first), ("mul", None), ("softmax_nll", second), ("sum", second),
        ("add", None),
    ]  # fmt: skip


def test_what_backward_calls_belongs_to_no_function():
    def penalty(x):
        (slope,) = tg.autograd.gradients((x**3).sum(), [x], create_graph=True)
        return (slope * slope).sum()

    page = tg.show(penalty, np.ones(3))
    assert page.data["groups"] == []


@pytest.mark.parametrize(("array", "label"), [
    (np.full((2, 2), 0.25), "filled with 0.25"), (np.zeros((2, 2)), "zeros"), (np.ones((2, 2)), "ones"),
    (np.eye(2), "eye"), (np.array([[0.0, 1.0], [5.0, 2.0]]), "array"), (np.array([3, 4]), "arange"),
    (np.array([7, 4]), "integers"), (np.array([True, False]), "mask"), (np.array([0.5]), "0.5"), (np.array([7]), "7"),
])  # fmt: skip
def test_constants_are_called_by_what_they_hold(array, label):
    held = {0: (array.copy(),)}  # without a name
    page = tg.show(lambda x: tg.where(x > 0, x, 0) * held[0][0], np.ones((2, 2)))
    assert [n["label"] for n in page.data["nodes"] if n["kind"] == "constant"] == [label]


def test_many_nodes_without_modules_are_divided():
    y = tg.Tensor(1.0, requires_grad=True)
    for _ in range(300):
        y = y * 1.01
    page = tg.show(y)
    sizes = {g["id"]: 0 for g in page.data["groups"]}
    for node in page.data["nodes"]:
        sizes[node["group"]] += 1
    assert len(sizes) > 1
    assert max(sizes.values()) <= 100
    assert math.isclose(page.data["nodes"][0]["gradient"]["values"], 1.01**300, rel_tol=1e-4)


@pytest.mark.slow
def test_the_package_does_not_load_it_by_itself():
    unloaded = "assert not [m for m in sys.modules if 'extra.show' in m]"
    script = f"import sys, tinygrad_cnn as tg; {unloaded}; assert callable(tg.show)"
    subprocess.run([sys.executable, "-c", script], check=True)
