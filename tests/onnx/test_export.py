"""Exports of models and functions: what is dynamic, what is refused, and that nothing is left behind."""

from __future__ import annotations

import io
import re
import sys
from collections import deque

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import nn

from . import needs

onnx = needs.onnx()
needs.runtime()

from tinygrad_cnn.extra.onnx import OnnxError, export, load  # noqa: E402

from .exports import Function, check, exported, normal, outputs, refused, shaken  # noqa: E402

MODELS = [
    (nn.models.LeNet5, (2, 1, 28, 28)),
    (nn.models.MnistCNN, (2, 1, 28, 28)),
    (nn.models.NotebookNet, (2, 1, 32, 32)),
    (nn.models.digits, (2, 1, 8, 8)),
    (lambda: nn.models.MLP((64, 32, 10), dropout=0.2), (2, 1, 8, 8)),
    (lambda: nn.models.MLP((64, 32, 10), activation=nn.GELU), (2, 64)),
    (lambda: nn.models.ResNet(blocks=(1, 1, 1)), (2, 3, 16, 16)),
    (lambda: nn.models.BasicBlock(3, 4, stride=2), (2, 3, 9, 9)),
]


@pytest.mark.parametrize(("model", "shape"), MODELS)
@pytest.mark.parametrize("trained", [False, True])
def test_a_model(model, shape, trained):
    tg.manual_seed(0)
    model = model()
    if trained:
        optimizer = tg.optim.Adam(model.parameters(), lr=1e-3)
        for step in range(3):
            optimizer.zero_grad()
            model(normal(*shape, seed=step)).square().mean().backward()
            optimizer.step()
    source = check(model, normal(*shape), tolerance=1e-5)
    names = {name for name, _ in model.named_parameters()}
    assert {name for name, _ in load(source).named_parameters()} == names


@pytest.mark.parametrize(
    "layer",
    [
        lambda: nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 4, 3)),
        lambda: nn.utils.parametrizations.spectral_norm(nn.Conv2d(3, 4, 3)),
        lambda: nn.utils.prune.l1_unstructured(nn.Conv2d(3, 4, 3), "weight", 0.5),
    ],
)
def test_a_weight_that_is_computed_is_a_constant(layer):
    check(layer(), normal(2, 3, 9, 9))


@pytest.mark.parametrize("function", [
    lambda x: x.sum(axis=0, keepdims=True) / len(x) + x,
    lambda x: x.mean(axis=0) * x,
    lambda x: tg.zeros(len(x), 3) + x.sum(axis=1, keepdims=True),
    lambda x: x.reshape(len(x), -1, 2).sum(axis=2),
    lambda x: x.reshape(-1),
    lambda x: x.reshape(2, -1, 4),
    lambda x: tg.broadcast_to(x[:, None], (len(x), 3, 4)),
    lambda x: x[:-1] * 2,
    lambda x: x[1:, ::2],
    lambda x: x[:, ::-1] + x[::-1],
    lambda x: x[:, [0, 2, 2]],
    lambda x: x[..., 1, None],
    lambda x: x[: len(x) // 1],
    lambda x: x[:6] * 2,
    lambda x: x[-1:],
    lambda x: x[len(x) - 1] + x[0] + x[-1],
    lambda x: x[..., None, 0],
    lambda x: x[:, 1:][:, [0, 1]],
    lambda x: tg.concatenate([x, x * 2], axis=0),
    lambda x: tg.stack([x, -x]),
    lambda x: x.T @ x,
    lambda x: tg.einsum("ni,nj->ij", x, x),
    lambda x: tg.where(x > 0, x, 0.5 * x),
    lambda x: tg.clip(x, -0.5, None) + tg.clip(x, None, 0.5),
    lambda x: tg.sort(x, axis=1),
    lambda x: tg.topk(x, 2, axis=1),
    lambda x: tg.cumsum(x, axis=1),
    lambda x: tg.argmax(x, axis=1),
    lambda x: tg.logsumexp(x, axis=1) + tg.norm(x, axis=1) + tg.var(x, axis=1, correction=1) + tg.std(x, axis=1),
    lambda x: tg.hypot(x, 2.0) + tg.arctan2(x, x[:, ::-1]) + tg.logaddexp(x, 1.0) + tg.expm1(x) + tg.log1p(tg.abs(x)),
    lambda x: tg.exp2(x) + tg.log2(tg.abs(x)) + tg.log10(tg.abs(x)) + tg.lerp(x, 2.0, 0.3) + tg.square(x),
    lambda x: (x > 0) & ~(x > 1) | (x != x),
    lambda x: tg.isfinite(x),
    lambda x: tg.any(x > 1, axis=1),
    lambda x: tg.flip(x, axis=1) + tg.roll(x, 1, axis=1),
    lambda x: tg.tile(x, (1, 2)),
    lambda x: tg.repeat(x, 2, axis=1),
    lambda x: tg.index_set(tg.zeros(2, 3), (0, slice(1, None)), 5.0) + x[0, 0],
    lambda x: tg.round(x, decimals=1),
    lambda x: x.astype(np.int32) + 1,
    lambda x: x.astype(np.float64) * 2,
    lambda x: tg.maximum(x, 0.1) - tg.minimum(x, tg.Tensor(normal(4))),
    lambda x: {"first": x + 1, "second": (x + 1) * 2},
    lambda x: (x, x + 1, x + 1),
    lambda x: (x + 1, tg.ones(len(x), 2), tg.ones(2)),
    lambda x: tg.sqrt(tg.ones(len(x), 1) * 4) * x,
    lambda x: tg.scatter_add(tg.zeros(x.shape), 1, np.zeros(x.shape, np.int64), x),
    lambda x: tg.scatter_reduce(x, 1, np.zeros(x.shape, np.int64), x * 2, "amax"),
    lambda x: tg.scatter_reduce(x, 1, np.zeros(x.shape, np.int64), x * 2, "amin", include_self=False),
    lambda x: tg.scatter_reduce(x, 1, np.zeros(x.shape, np.int64) - 1, x * 2, "mean"),
    lambda x: tg.scaled_dot_product_attention(x[:, None], tg.Tensor(normal(3, 4)), tg.Tensor(normal(3, 2)), is_causal=True),
    lambda x: tg.rrelu(x) + tg.bilinear(x, x, tg.Tensor(normal(4, 4, 4))),
    lambda x: tg.pad(x, ((0, 0), (-1, 2)), "reflect"),
    lambda x: tg.multilabel_soft_margin_loss(x, tg.Tensor(normal(4)) > 0, reduction="none"),
    lambda x: tg.index_add(x, 1, np.array([0, 0]), x[:, :2]),
    lambda x: tg.take(x, [2, 0], axis=1) + tg.embedding([0, 2], x.T).sum(),
    lambda x: x[:, range(1, 3)] + x[:, deque([0, 2])] + x[:, (3, 1)] + x[:, np.array([0, 2], ">i8")],
    lambda x: tg.take(x, np.array([2, 0], ">i8"), axis=1) + tg.take(x, [5, -7], axis=1, mode="wrap"),
    lambda x: tg.sum(x, axis=1, where=np.array([True, False, True, True]), initial=2.0),
    lambda x: tg.tril(x.T @ x),
    lambda x: tg.softmax(x, axis=1) + tg.softmin(x) + tg.log_softmax(x, axis=0),
    lambda x: tg.lp_pool1d(tg.abs(x)[:, None], 2, 2),
    lambda x: x ** 2 + 2.0 ** x + tg.abs(x) ** x,
    lambda x: tg.roll(x, (1, 2, 1), axis=(-1, 1, 1)),
    lambda x: (x[-3::-1], x[-2::-2], x[-2:-4:-1], x[:-3:-1], x[1::-1], x[-3:-1:-1], x[2:-3:-1]),
    lambda x: x * len(x) + x / x.size,
    lambda x: x * 5 // (x[:, :1] + 0.1) + x * 5 % (x[:, :1] + 0.1) + tg.fmod(x * 5, x[:, :1] + 0.1),
    lambda x: ((x * 9).astype(np.int32) // -2, (x * 9).astype(np.int64) % -4),
    lambda x: tg.trunc(x * 3) + tg.cbrt(x) + tg.fabs(x) + tg.where(tg.isinf(x * np.inf), 1.0, x),
    lambda x: tg.fmax(tg.where(x > 0, x, np.nan), x * 2) + tg.fmin(x * 2, tg.where(x > 0, x, np.nan)),
])  # fmt: skip
def test_a_function_of_batches(function):
    """Of any size, though the file was made with an example of two rows."""
    check(Function(function), normal(2, 4), batches=[1, 2, 5, 8])


def test_a_number_made_of_sizes_is_exported_again():
    """In a file that was read it is an array."""
    module = load(exported(Function(lambda x: x * len(x) + x / x.size), normal(2, 4)))
    x = normal(5, 4)
    np.testing.assert_allclose(needs.run(exported(module, normal(2, 4)), x)[0], x * 5 + x / 20, rtol=1e-6)


@pytest.mark.parametrize("mode", ["nearest", "bilinear", "bicubic"])
def test_images_of_any_size_are_resized_in_a_file_that_was_read(mode):
    model, axes = nn.Upsample(scale_factor=2, mode=mode), {"x": [2, 3]}
    module = load(exported(model, normal(1, 2, 4, 5), dynamic_axes=axes))
    x = normal(1, 2, 3, 7)
    found = needs.run(exported(module, normal(1, 2, 4, 5), dynamic_axes=axes), x)[0]
    np.testing.assert_allclose(found, model(x).numpy(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("rows", [1, 2, 3])
def test_a_slice_backwards_of_fewer_rows_than_the_example_has(rows):
    functions = [lambda x: x[-2::-1], lambda x: x[-3::-2], lambda x: x[-2:-4:-1], lambda x: x[1::-1]]
    model, x = Function(lambda x: tuple(f(x) for f in functions)), normal(rows, 4)
    source = exported(model, normal(4, 4))
    for found in (needs.run(source, x), outputs(load(source)(x))):
        for function, y in zip(functions, found, strict=True):
            np.testing.assert_array_equal(y, function(x))


def test_two_inputs_may_have_different_dynamic_axes():
    model = Function(lambda x, y: (x[:, None] * y[None]).sum(axis=2))
    axes = {"a": {0: "rows"}, "b": {0: "columns"}}
    source = exported(model, normal(2, 4), normal(3, 4), input_names=["a", "b"], output_names=["c"], dynamic_axes=axes)
    x, y = normal(5, 4), normal(7, 4)
    for found in (needs.run(source, x, y), outputs(load(source)(x, y))):
        np.testing.assert_allclose(found[0], x @ y.T, rtol=1e-5, atol=1e-5)
    shape = onnx.load_model_from_string(source).graph.output[0].type.tensor_type.shape
    assert [d.dim_param for d in shape.dim] == ["rows", "columns"]


def test_images_of_any_size():
    model = shaken(
        nn.Sequential(
            nn.Conv2d(3, 4, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Upsample(scale_factor=2),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
        )
    )
    source = exported(model, normal(2, 3, 8, 8), dynamic_axes={"x": [0, 2, 3]})
    x = normal(1, 3, 6, 10)
    for found in (needs.run(source, x), outputs(load(source)(x))):
        np.testing.assert_allclose(found[0], model(x).numpy(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("mode", ["zeros", "reflect", "replicate", "circular"])
def test_images_of_any_size_with_a_border(mode):
    model = shaken(nn.Conv2d(2, 3, 3, padding=(2, 1), padding_mode=mode))
    source = exported(model, normal(2, 2, 6, 7), dynamic_axes={"x": [0, 2, 3]}, opset=19)
    for x in (normal(2, 2, 6, 7), normal(1, 2, 9, 5)):
        for found in (needs.run(source, x), outputs(load(source)(x))):
            np.testing.assert_allclose(found[0], model(x).numpy(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("function", [
    lambda x: x[np.arange(len(x))[::-1].copy()],
    lambda x: x[:, np.arange(len(x)) % 2],
    lambda x: tg.take(x, np.arange(len(x))[::-1].copy(), axis=0),
    lambda x: tg.pad(x, ((1, 2), (0, 0)), "symmetric"),
    lambda x: tg.roll(x, 3, axis=0) + tg.roll(x, 9, axis=0),
])  # fmt: skip
def test_an_index_that_changes_with_a_size_is_refused(function):
    words = refused(Function(function), normal(3, 4))
    assert "changes with the size of a dynamic axis" in words or "turns an axis whose size is dynamic" in words


@pytest.mark.parametrize("mode", ["nearest-exact", "area", "bicubic"])
@pytest.mark.parametrize("size", [(7, 3), (4, 9)])
def test_the_modes_of_interpolation(mode, size):
    source = check(nn.Upsample(size, mode=mode), normal(2, 3, 4, 5))
    found = [node.op_type for node in onnx.load_model_from_string(source).graph.node]
    assert mode == "area" or found.count("Resize") == sum(n != m for n, m in zip(size, (4, 5), strict=True))


@pytest.mark.parametrize("mode", ["bilinear", "nearest", "bicubic"])
@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
def test_a_grid_is_sampled(mode, padding):
    grid = np.random.default_rng(0).uniform(-1.4, 1.4, (2, 3, 3, 2)).astype(np.float32)
    model = Function(lambda x, grid: tg.grid_sample(x, grid, mode, padding, align_corners=True))
    source = exported(model, normal(2, 2, 4, 5), grid, dynamic_axes={}, input_names=["x", "grid"])
    x = normal(2, 2, 4, 5)
    for found in (needs.run(source, x, grid), outputs(load(source)(x, grid))):
        np.testing.assert_allclose(found[0], tg.grid_sample(x, grid, mode, padding, True), rtol=1e-4, atol=1e-5)


def test_windows_that_are_rounded_up_are_not_taken_for_others():
    """Of an even size, both modes give the same windows."""
    example, x, axes = normal(1, 2, 8, 8), normal(1, 2, 7, 7), {"x": [2, 3]}
    model = nn.MaxPool2d(2)
    np.testing.assert_array_equal(needs.run(exported(model, example, dynamic_axes=axes), x)[0], model(x).numpy())
    with pytest.raises(OnnxError, match="has windows that change with the size of a dynamic axis"):
        exported(nn.MaxPool2d(2, ceil_mode=True), example, dynamic_axes=axes)


def test_a_size_that_depends_on_another_in_a_way_that_cannot_be_written_is_refused():
    model = Function(lambda x: tg.broadcast_to(x[:, :1], (len(x), x.shape[1] // 2)))
    with pytest.raises(OnnxError, match=r"op `broadcast_to` .* depends on a dynamic axis .* dynamic_axes=\{\}"):
        exported(model, normal(2, 4), dynamic_axes={"x": [1]}, input_names=["x"])


def test_without_dynamic_axes_sizes_are_fixed():
    source = check(Function(lambda x: x.reshape(2, 4)), normal(4, 2), batches=[1], dynamic_axes={})
    assert [d.dim_value for d in onnx.load_model_from_string(source).graph.input[0].type.tensor_type.shape.dim] == [
        4,
        2,
    ]


# What is refused


def test_an_op_that_onnx_does_not_have_is_named_with_module_and_line():
    class Odd(nn.Module):
        def forward(self, x):
            return tg.linalg.inv(x) + tg.cumprod(x, axis=0)  # the line

    line = Odd.forward.__code__.co_firstlineno + 1
    text = refused(nn.Sequential(nn.Identity(), Odd()), normal(3, 3), dynamic_axes={})
    assert text.startswith("export: ONNX cannot express these ops:\n")
    for name in ("inv", "cumprod"):
        assert re.search(rf"`{name}` in 1, line .*test_export\.py:{line}$", text, re.MULTILINE)


def test_no_file_is_left_where_an_op_is_refused(tmp_path):
    with pytest.raises(OnnxError):
        export(Function(tg.linalg.inv), (normal(3, 3),), tmp_path / "model.onnx", dynamic_axes={})
    assert list(tmp_path.iterdir()) == []


def test_a_value_that_python_reads_is_refused():
    assert "reads the value of a Tensor in Python" in refused(
        Function(lambda x: x * 2 if x.sum() > 0 else x), normal(2, 3)
    )
    assert "reads the value" in refused(Function(lambda x: x + np.asarray(x * 2)), normal(2, 3))


def test_random_numbers_and_changes_of_state_are_refused():
    assert "draws random numbers" in refused(Function(lambda x: tg.dropout(x)), normal(2, 3))
    model = nn.BatchNorm1d(3)
    assert "changes its state" in refused(
        Function(lambda x: tg.batch_norm(x, model.running_mean, model.running_var, training=True)), normal(2, 3)
    )


def test_a_boolean_mask_is_refused():
    assert "Boolean mask" in refused(Function(lambda x: x[x > 0]), normal(2, 3), dynamic_axes={})


def test_a_model_that_does_other_things_for_other_sizes_is_refused():
    assert "calls other ops" in refused(Function(lambda x: x * 2 if len(x) == 2 else x + 1 + 1), normal(2, 3))
    assert "changes with the size" in refused(Function(lambda x: x * tg.arange(len(x))[:, None]), normal(2, 3))
    assert "changes with the size" in refused(Function(lambda x: (x + 1, tg.arange(len(x)))), normal(2, 3))
    assert "an output is given an array" in refused(Function(lambda x: tg.arange(len(x))), normal(2, 3))
    assert "cannot be called with the dynamic axes 'batch' of size 4" in refused(
        Function(lambda x: x + tg.ones(2, 3)), normal(2, 3)
    )


@pytest.mark.parametrize(("options", "words"), [
    ({"opset": 12}, "`opset` is 12; it must be from 13 to 23"),
    ({"input_names": ["a", "b"]}, "`input_names` is"),
    ({"output_names": ["y", "y"]}, "`output_names` is"),
    ({"dynamic_axes": {"z": [0]}}, "`dynamic_axes` names 'z'; the inputs are x"),
    ({"dynamic_axes": {"x": [2]}}, "`dynamic_axes` has axis 2 of 'x'"),
    ({"dynamic_axes": {"x": [True]}}, "`dynamic_axes` has axis True of 'x'"),
    ({"dynamic_axes": {"x": ["0"]}}, "`dynamic_axes` has axis '0' of 'x'"),
    ({"dynamic_axes": {"x": 0}}, "`dynamic_axes` has 0 for 'x'; it must be a list of axes, or a dict"),
    ({"dynamic_axes": {"x": {0: ""}}}, "`dynamic_axes` names axis 0 of 'x' ''; a name must be a text"),
    ({"dynamic_axes": {0: [0]}}, "`dynamic_axes` names 0; the inputs are x"),
    ({"dynamic_axes": [0]}, "`dynamic_axes` is [0]; it must be a dict such as {'x': [0]}"),
    ({"input_names": [3]}, "`input_names` is [3]; it must be 1 different names"),
    ({"input_names": ["weight"]}, "the name 'weight' stands for two values"),
])  # fmt: skip
def test_arguments_that_do_not_fit(options, words):
    assert words in refused(nn.Linear(3, 2), normal(2, 3), **options)


def test_axes_of_outputs_may_be_named_too():
    """As in PyTorch's function."""
    axes = {"x": [-2], "scores": {0: "batch"}}
    source = check(nn.Linear(3, 2), normal(2, 3), output_names=["scores"], dynamic_axes=axes)
    shape = onnx.load_model_from_string(source).graph.input[0].type.tensor_type.shape
    assert shape.dim[0].dim_param == "batch"


def test_an_example_in_the_byte_order_of_another_machine():
    model, x = nn.Linear(3, 2), normal(2, 3)
    assert exported(model, x.astype(">f4")) == exported(model, x)


def test_results_and_examples_that_no_file_has():
    assert "returns no Tensor" in refused(Function(lambda x: ()), normal(2, 3))
    assert "an array of" in refused(Function(lambda x: x * 2), np.ones(2, complex))
    assert np.longdouble(0).itemsize == 8 or "an array of" in refused(
        Function(lambda x: x * 2), np.ones(2, np.longdouble)
    )
    with pytest.raises(TypeError, match="`path` is a NoneType; it must be a path, or a file"):
        export(nn.Linear(3, 2), normal(2, 3), None)


def test_something_else_than_a_module_is_refused():
    with pytest.raises(TypeError, match="`model` is a function"):
        export(lambda x: x, (normal(2),), io.BytesIO())


@pytest.mark.parametrize("dtype", [np.int8, np.int32, np.bool_])
def test_whole_numbers_for_an_operator_of_floating_point_numbers(dtype):
    x = np.arange(6).reshape(2, 3).astype(dtype)
    functions = [
        lambda x: tg.sqrt(x) + tg.exp(x) + tg.tanh(x),
        lambda x: tg.softmax(x, axis=1) + tg.log_softmax(x, axis=1) + tg.logsumexp(x, axis=1, keepdims=True),
        lambda x: tg.cross_entropy(x, np.zeros(len(x), int), reduction="none"),
        lambda x: tg.hypot(x, x) + tg.cbrt(x) + tg.exp2(x),
    ]
    for function in functions:
        check(Function(function), x, tolerance=2e-3)  # in float16


@pytest.mark.parametrize(("function", "words"), [
    (lambda x: tg.round(x), "`round` in 1, line .* needs the operator Round, which ONNX does not define for int32"),
    (lambda x: x | 1, "`bitwise_or` in 1, line .* needs the operator BitwiseOr, of opset 18; raise `opset`"),
    (lambda x: tg.softmax(x.sum(), axis=0), "`softmax` in 1, line .* the checker of the package onnx refuses: .* rank"),
    (lambda x: tg.argsort(x.sum(), axis=0), "`argsort` in 1, line .* cannot be written: "),
])  # fmt: skip
def test_what_an_operator_does_not_take_is_named_with_module_and_line(function, words):
    text = refused(nn.Sequential(nn.Identity(), Function(function)), np.ones((2, 3), np.int32), opset=17)
    assert re.search(words, text, re.DOTALL)


# What stays as it was


def test_modes_hooks_and_state_stay_as_they_were(hooks_that_ran):
    model = nn.Sequential(nn.BatchNorm1d(3), nn.Dropout(), nn.Linear(3, 2))
    model[1].eval()
    modes, state = [m.training for m in model.modules()], model.state_dict()
    exported(model, normal(4, 3))
    assert [m.training for m in model.modules()] == modes
    assert all(np.array_equal(value, state[name]) for name, value in model.state_dict().items())
    hooks_that_ran.clear()
    model(normal(4, 3))
    assert not hooks_that_ran
    with pytest.raises(OnnxError):
        exported(nn.Sequential(model, Function(tg.linalg.inv)), normal(2, 3), dynamic_axes={})
    assert [m.training for m in model.modules()] == modes


def test_a_file_takes_the_place_of_an_old_one(tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(b"old")
    export(nn.Linear(3, 2), normal(1, 3), path)
    assert load(path).input_names == ["x"]
    assert [p.name for p in tmp_path.iterdir()] == ["model.onnx"]


def test_a_shared_parameter_is_written_once():
    class Tied(nn.Module):
        def __init__(self):
            self.first = nn.Linear(4, 4)
            self.second = nn.Linear(4, 4)
            self.second.weight = self.first.weight

        def forward(self, x):
            return self.second(self.first(x))

    graph = onnx.load_model_from_string(check(Tied(), normal(2, 4))).graph
    assert sorted(t.name for t in graph.initializer) == ["first.bias", "first.weight", "second.bias"]


def test_the_work_of_an_export_grows_as_its_nodes():
    """Many nodes of one module have one name, to which a number is appended."""

    def lines(count):
        executed = 0

        def line(frame, event, argument):
            nonlocal executed
            executed += 1
            return line

        def follow(frame, event, argument):
            return line if frame.f_code.co_filename.endswith("write.py") else None

        def chain(x):
            for _ in range(count):
                x = x.tanh()
            return x

        before = sys.gettrace()
        sys.settrace(follow)
        try:
            exported(Function(chain), normal(1, 2), dynamic_axes={})
        finally:
            sys.settrace(before)
        return executed

    few, more, most = lines(20), lines(60), lines(100)
    assert most - more <= 1.05 * (more - few)


def test_the_calls_of_a_module_have_names_of_their_own():
    act = nn.Sequential(nn.Tanh(), nn.Sigmoid())
    graph = onnx.load_model_from_string(exported(nn.Sequential(act, nn.ReLU(), act), normal(1, 2))).graph
    assert [n.name for n in graph.node] == ["0.0/Tanh", "0.1/Sigmoid", "1/Relu", "0#2.0/Tanh", "0#2.1/Sigmoid"]
