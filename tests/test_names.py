"""Names and keywords of PyTorch that are called otherwise here: errors give a remedy, it exists, and none is superfluous."""

from __future__ import annotations

import inspect
import json
import pickle
import pydoc
import re
from pathlib import Path

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import nn
from tinygrad_cnn.names import TABLES, calls, keywords, remedy
from tinygrad_cnn.names.torch import FUNCTIONS

F = tg.functional
SGD = tg.optim.SGD([nn.Parameter(tg.ones(2))], lr=0.1)
PLACES = {
    "torch": tg, "torch.Tensor": tg.Tensor, "torch.nn": nn, "torch.nn.functional": F, "torch.nn.init": nn.init,
    "torch.linalg": tg.linalg, "torch.autograd": tg.autograd, "keras.layers": nn,
    "torchvision.models": tg.vision.models, "torchvision.ops": tg.vision.ops,
    "torchvision.transforms": tg.data.transforms, "torchvision.transforms.functional": tg.vision.transforms.functional,
    "torch.random": tg.random,
    "torch.optim": tg.optim, "torch.optim.lr_scheduler": tg.optim.lr_scheduler, "torch.utils.data": tg.data,
    "torch.nn.Module": nn.Linear(1, 1), "torch.optim.Optimizer": SGD, "keras.Model": nn.Linear(1, 1),
    "torch.optim.lr_scheduler.LRScheduler": tg.optim.StepLR(SGD, 1),
    "torchmetrics.Metric": tg.metrics.F1(),
    "keras.callbacks": tg.training, "keras.metrics": tg.metrics, "keras.callbacks.History": tg.training.History(),
    "autograd": tg, "mygrad": tg, "mygrad.Tensor": tg.Tensor, "numpy.ndarray": tg.Tensor, "mygrad.nnet": F,
}  # fmt: skip
ROWS = [(theirs, name) for theirs, table in TABLES.items() for name in table] + [("torch.Tensor", n) for n in FUNCTIONS]
every_row = pytest.mark.parametrize(("theirs", "name"), ROWS, ids=lambda x: x)
ELSEWHERE = {"tg.distributed", "tg.show", "tg.special"}
"""Names that may come with an extra."""


def x():
    return tg.ones(2, 3)


@every_row
def test_the_error_says_what_to_use(theirs, name):
    known = remedy(theirs, name)
    for thing in [PLACES[theirs], *([x()] if theirs.endswith(".Tensor") else [])]:
        assert not hasattr(thing, name), f"{theirs}.{name} is here: its entry is superfluous"
        with pytest.raises(AttributeError) as caught:
            getattr(thing, name)
        assert repr(name) in str(caught.value)
        assert known in str(caught.value)


@every_row
def test_what_it_names_exists(theirs, name):
    model = nn.Linear(1, 1)
    roots = {"tg": tg, "np": np, "x": x(), "nn": nn, "optim": tg.optim, "model": model}
    for root, path in re.findall(r"\b(tg|np|x|nn|optim|model)\.([a-zA-Z_][\w.]*)", remedy(theirs, name)):
        if f"{root}.{path.split('.')[0]}" in ELSEWHERE:
            continue
        found = roots[root]
        for part in path.rstrip(".").split("."):
            assert hasattr(found, part), f"{root}.{path}"
            found = getattr(found, part)


def test_every_attribute_of_an_array_is_there_or_has_an_answer():
    for name in dir(np.ndarray):
        if not name.startswith("_") and not hasattr(tg.Tensor, name):
            with pytest.raises(AttributeError, match=rf"has no attribute '{name}'(; use | \()"):
                getattr(x(), name)


def test_a_name_that_nobody_has():
    for place in (*PLACES.values(), x()):
        for name in ("nonsense", "nonsense_", "_nonsense", "__nonsense__"):
            with pytest.raises(AttributeError, match=f"has no attribute {name!r}$"):
                getattr(place, name)


@pytest.mark.parametrize(
    ("get", "use"),
    [
        (lambda: x().clip_, "use clip, which returns a new Tensor"),
        (lambda: x().acos_, "use acos, which returns a new Tensor"),
        (lambda: tg.cholesky, r"use tg\.linalg\.cholesky"),
        (lambda: tg.isreal, r"use np\.isreal"),
        (lambda: tg.Linear, r"use nn\.Linear"),
        (lambda: tg.power, r"use tg\.pow$"),
        (lambda: tg.rint, r"use tg\.round$"),
        (lambda: tg.ix_, r"use np\.ix_$"),
        (lambda: tg.linear_cross_entropy, r"there is no such loss"),
        (lambda: nn.relu, r"use tg\.relu"),
        (lambda: tg.optim.Linear, r"use nn\.Linear"),
        (lambda: tg.data.ToTensor, r"use tg\.vision\.transforms\.ToFloat"),
        (lambda: tg.random.seed, r"use tg\.manual_seed"),
        (lambda: tg.random.randn, r"use tg\.randn"),
        (lambda: nn.MSELoss().backward, r"nn\.MSELoss\(\)\(model\(x\), target\)\.backward\(\)"),
    ],
)
def test_names_that_are_elsewhere(get, use):
    with pytest.raises(AttributeError, match=use):
        get()


def test_attributes_of_pytorch_cannot_be_written():
    for tensor in (x(), nn.Parameter(x())):
        with pytest.raises(AttributeError, match=r"has no attribute 'data'; use x\.copy_\(value\)"):
            tensor.data = np.zeros((2, 3))
        with pytest.raises(AttributeError, match="has no attribute 'layout' .there is one device"):
            tensor.layout = "strided"


def test_a_subclass_of_tensor_may_have_attributes_of_these_names():
    class Image(tg.Tensor):
        def __init__(self, data):
            super().__init__(data)
            self.layout = "camera"

    image = Image([1.0])
    assert (image.layout, vars(image)) == ("camera", {"layout": "camera"})
    with pytest.raises(AttributeError, match="'Image' object has no attribute 'data'"):
        image.data  # noqa: B018


def test_functional_is_where_pytorch_has_it():
    import tinygrad_cnn.nn.functional as imported
    from tinygrad_cnn.nn import functional

    assert imported is functional is nn.functional is tg.functional
    assert pickle.loads(pickle.dumps(imported.conv2d)) is tg.conv2d


LISTED = {
    x(): "torch.Tensor", tg.Tensor: "torch.Tensor", nn.Parameter(x()): "torch.Tensor", nn.Linear(1, 1): "torch.nn.Module",
    nn.Module: "torch.nn.Module", SGD: "torch.optim.Optimizer", tg.optim.SGD: "torch.optim.Optimizer",
    tg.optim.StepLR(SGD, 1): "torch.optim.lr_scheduler.LRScheduler",
}  # fmt: skip


@pytest.mark.parametrize(("thing", "theirs"), LISTED.items(), ids=lambda x: getattr(x, "__name__", type(x).__name__))
def test_what_dir_and_help_list_exists(thing, theirs):
    listed = [name for name in dir(thing) if not name.startswith("_")]
    assert {"sum", "shape"} <= {*listed} or "state_dict" in listed
    assert [name for name in listed if not hasattr(thing, name)] == []
    text = pydoc.plain(pydoc.render_doc(thing if isinstance(thing, type) else type(thing)))
    assert not [name for name in TABLES[theirs] if re.search(rf"^ \|  {name}\b", text, re.MULTILINE)]


def test_absent_names_of_modules_are_free():
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.ModuleList([nn.Linear(1, 1)])
            self.type = "mine"
            self.weights = nn.Parameter(x())

        def fit(self):
            return "mine"

    model = Model()
    assert (model.type, model.fit(), len(model.layers)) == ("mine", "mine", 1)
    assert {"layers", "type", "weights", "fit"} <= set(dir(model))
    assert "weights" in dict(model.named_parameters())
    assert not hasattr(model, "cuda")


def test_a_class_beside_module_has_its_names():
    class Keras:
        def fit(self):
            return "mine"

        @property
        def layers(self):
            return self.nothing

    class Model(nn.Module, Keras):
        pass

    assert Model().fit() == "mine"
    with pytest.raises(AttributeError, match="^'Model' object has no attribute 'nothing'$"):
        Model().layers  # noqa: B018


def test_a_missing_method_of_a_model_is_explained():
    class Model(nn.Module):
        pass

    model = Model()
    with pytest.raises(AttributeError, match=r"^'Model' object has no attribute 'cuda' \(there is one device"):
        model.cuda()


def parameters():
    return [nn.Parameter(tg.ones(2))]


def sgd():
    return tg.optim.SGD(parameters(), lr=0.1)


WRONG = [
    (lambda: x().max(dim=1), "use axis=1; it returns the largest values"),
    (lambda: tg.sort(x(), dim=0), "use axis=0; it returns values only"),
    (lambda: x().var(dim=0), "use axis=0; the sum is divided by n; .* correction=1"),
    (lambda: tg.split(x(), 2, dim=0), "use axis=0; it takes the positions at which parts begin, or their number"),
    (lambda: x().sum(dim=()), r"'dim'; name the axes, in axis=: for PyTorch \(\) is all axes or none"),
    (lambda: x().softmax(dim=None), "'dim'; name the axes, in axis=: .* None a guess"),
    (lambda: x().sum(dim=[]), "'dim'; name the axes"),
    (lambda: F.relu(x(), inplace=True), "every result is a new Tensor"),
    (lambda: F.elu(x(), inplace=False), "every result is a new Tensor"),
    (lambda: F.dropout(x(), inplace=True), "every result is a new Tensor"),
    (lambda: F.conv2d(tg.ones(1, 1, 3, 3), tg.ones(1, 1, 3, 3), bias=tg.ones(1)), r"use b=\.\.\."),
    (lambda: F.cross_entropy(x(), [0, 1], size_average=True), "use reduction="),
    (lambda: F.interpolate(tg.ones(1, 1, 2, 2), 4, antialias=True), "leave it out"),
    (lambda: nn.Conv2d(1, 2, 3, device="cuda"), r"Conv2d\(\) got .*'device'; leave it out"),
    (lambda: nn.MSELoss(size_average=True), "use reduction="),
    (lambda: nn.Softmax(axis=1), "use dim=1"),
    (lambda: tg.optim.Adam(parameters(), fused=True), "leave it out"),
    (lambda: tg.data.DataLoader(x(), num_workers=2), "use prefetch=2"),
    (lambda: tg.metrics.F1(num_classes=3), "leave it out: the scores have one for each class"),
    (lambda: tg.metrics.Accuracy(task="binary"), r"tg\.metrics\.BinaryAccuracy"),
    (lambda: tg.where(x() > 0), r"missing 2 .*; tg\.nonzero\(x\) has the positions"),
    (lambda: tg.data.DataLoader(x(), collate_fn=len), r"use collate=\.\.\."),
    (lambda: tg.load("x.npz", map_location="cpu"), "one device"),
    (lambda: tg.save({"x": x()}, "x.npz"), r"tg\.save\(path, state\)"),
    (lambda: tg.zeros(3, device="cuda"), "one device"),
    (lambda: tg.zeros(size=(2, 3)), "give the sizes by position"),
    (lambda: tg.zeros((2, 3), np.float64), r"the shape is \(\(2, 3\), .*dtype= and requires_grad= are given by name"),
    (lambda: tg.ones(2, 3.0), r"ones: the shape is \(2, 3\.0\); it must be whole numbers"),
    (lambda: tg.zeros(2, dtype="torch.float32"), "`dtype` is 'torch.float32'; it must be a dtype of NumPy"),
    (lambda: x().astype("torch.float32"), "astype: `dtype` is 'torch.float32'"),
    (lambda: tg.set_default_dtype("torch.float64"), "set_default_dtype: `dtype` is 'torch.float64'"),
    (lambda: tg.full(2, 3, 1.0), r"the shape is one tuple: full\(\(2, 3\), 1\.0\)"),
    (lambda: tg.arange(start=0, end=5), "use stop="),
    (lambda: tg.arange(1, 2, 3, 4), "there are 4 numbers; give stop, or start, stop and step"),
    (lambda: tg.linspace(0, 1, 5, requires_grad=True), r"tg\.Tensor\(result, requires_grad=True\)"),
    (lambda: tg.randn(2, 3, generator=np.random.default_rng(0)), r"use rng=\.\.\."),
    (lambda: tg.Tensor([1.0], device="cuda"), r"Tensor\(\) got .*one device"),
    (lambda: tg.Tensor([1.0], True), r"takes `data` by position; give the others by name: requires_grad=, dtype="),
    (lambda: tg.Tensor(2, 3), r"for a shape, use tg\.zeros\(2, 3\)"),
    (lambda: nn.Parameter(x(), True), "give the others by name: requires_grad="),
    (lambda: nn.Linear(2, 3).to(device="cuda"), "one device"),
    (lambda: nn.Linear(2, 3, dtype="torch.float32"), "it must be a dtype of NumPy"),
    (lambda: nn.Linear(2, 3).load_state_dict({}, assign=True), "loading copies the values"),
    (lambda: tg.softmax(x(), dtype=np.float64), r"x\.astype\(dtype\)"),
    (lambda: x().backward(inputs=[x()]), r"tg\.gradients"),
    (lambda: tg.max(x(), other=x()), r"tg\.maximum"),
    (lambda: tg.linalg.matrix_norm(x(), dim=(0, 1)), "the last two axes: use swapaxes or moveaxis"),
    (lambda: tg.vmap(tg.sum, in_dims=0), "use in_axes=0"),
    (lambda: tg.data.random_split(range(4), [2, 2], generator=0), "use rng=0"),
    (lambda: tg.optim.Adam([x()], learning_rate=0.1), "use lr=0.1"),
    (lambda: nn.Conv2d(1, 2, 3, strides=2), "use stride=2"),
    (lambda: nn.Linear(1, 2, activation="relu"), r"such as nn\.ReLU\(\)"),
    (lambda: tg.fit(None, None, None, None, epochs=1, validation_data=(1, 2)), r"use validate=\(1, 2\)"),
    (lambda: tg.fit(None, None, None, None, epochs=1, verbose=False), "use progress=False"),
    (lambda: tg.fit(None, None, None, None, epochs=1, validation_split=0.2), r"tg\.data\.stratified_split"),
    (lambda: tg.evaluate(None, None, None, verbose=0), "nothing is printed"),
    (lambda: tg.training.EarlyStopping(monitor="loss"), "use metric='loss'"),
    (lambda: tg.grad(tg.sum, argnum=1), r"^grad\(\) got .*use argnums=1"),
    (lambda: tg.hessian(tg.sum, argnum=1), r"^hessian\(\) got .*use argnums=1"),
    (lambda: tg.add(x(), x(), alpha=2), "multiply the second array by it"),
    (lambda: tg.div(x(), 2, rounding_mode="floor"), r"tg\.floor_divide\(x, y\) for 'floor'"),
    (lambda: nn.TransformerEncoder(None, 1, enable_nested_tensor=False), "leave it out"),
    (lambda: tg.vision.models.resnet18(pretrained=True), "as weights="),
    (lambda: tg.optim.StepLR(sgd(), 2).step(3), "a schedule counts its steps"),
    (lambda: tg.optim.StepLR(sgd(), 2).step(epoch=3), "a schedule counts its steps"),
]


@pytest.mark.parametrize(("call", "answer"), WRONG)
def test_wrong_keywords(call, answer):
    with pytest.raises(TypeError, match=answer):
        call()


@pytest.mark.parametrize(
    "call", [lambda: x().sum(nonsense=0), lambda: nn.Conv2d(1, 2, 3, nonsense=1), lambda: F.elu(x(), y=1)]
)
def test_other_keywords_are_python_s(call):
    with pytest.raises(TypeError, match="got an unexpected keyword argument '(nonsense|y)'$"):
        call()


def test_what_a_function_answers_is_not_in_its_signature():
    assert str(inspect.signature(tg.relu)) == "(a)"
    assert list(inspect.signature(tg.sum).parameters) == ["a", "axis", "keepdims", "dtype", "initial", "where"]
    assert list(inspect.signature(F.dropout).parameters) == ["x", "p", "training", "rng"]


def test_functions_of_one_or_two_operands_are_not_wrapped():
    assert calls.foreign("exp", ["a"]) == calls.foreign("mul", ["a", "b"]) == []
    assert calls.foreign("relu", ["a"]) == ["inplace", "input"]
    assert calls.foreign("sum", ["a", "axis", "keepdims"]) == ["dim", "keepdim", "input", "out"]
    assert calls.foreign("sum", ["self", "axis", "keepdims"]) == ["dim", "keepdim"]
    assert tg.exp is tg.exp.op.function
    assert tg.Tensor.relu is tg.relu.op.function is tg.relu.__wrapped__


FUNCTIONS_HERE = [getattr(tg, name) for name in tg.__all__ if inspect.isfunction(getattr(tg, name, None))]


@pytest.mark.parametrize("keyword", keywords.RENAMED)
def test_a_renamed_keyword_has_a_function(keyword):
    classes = [tg.data.DataLoader, nn.Softmax, tg.save, tg.onnx.export, tg.linspace]
    ours = set(keywords.RENAMED[keyword].split())
    all_names = [set(inspect.signature(f).parameters) for f in (*FUNCTIONS_HERE, *classes)]
    assert any(keyword not in names and names & ours for names in all_names), f"nothing has {ours}: a superfluous entry"


@pytest.mark.parametrize("function", [*keywords.OF_FUNCTION, *keywords.TAKEN])
def test_no_function_has_the_keyword_that_it_answers(function):
    f = getattr(tg, function, None)
    if f is not None:  # some come with other versions of PyTorch
        names = set(inspect.signature(f).parameters)
        sizes = {p.name for p in inspect.signature(f).parameters.values() if p.kind is p.VAR_POSITIONAL}
        assert not (names - sizes) & {*keywords.OF_FUNCTION.get(function, ()), *keywords.TAKEN.get(function, ())}
        assert {use for use in keywords.OF_FUNCTION.get(function, {}).values() if use[0] != "("} <= names


def test_files_of_torch_save():
    for call in (lambda: tg.save("x.pt", {}), lambda: tg.load("x.bin")):
        with pytest.raises(
            ValueError, match=r"must end in \.npz.* or \.safetensors; pickles are not written, and read only from"
        ):
            call()
    with pytest.raises(ValueError, match=r"\.safetensors$"):
        tg.save("x.txt", {})


def test_zero_grad_sets_to_none():
    layer = nn.Linear(2, 2)
    optimizer = tg.optim.SGD(layer.parameters(), lr=0.1)
    for thing in (layer, optimizer):
        layer(tg.ones(1, 2)).sum().backward()
        with pytest.raises(ValueError, match="`set_to_none` is False"):
            thing.zero_grad(set_to_none=False)
        assert layer.weight.grad is not None
        thing.zero_grad(set_to_none=True)
        assert layer.weight.grad is None


def test_the_guide_does_not_call_missing_what_is_there():
    text = Path(__file__).parents[1].joinpath("docs", "from-pytorch.md").read_text(encoding="utf-8")
    missing = text.split("## Missing")[1].split("## ")[0]
    names = [name for row in re.findall(r"^\| (.*?) \|", missing, re.M) for name in re.findall(r"`(\w+)`", row)]
    assert names
    there = [name for name in names if any(hasattr(place, name) for place in (tg, tg.nn, tg.optim))]
    assert not there


def test_help_says_what_the_letters_of_a_rule_mean():
    assert tg.relu.__doc__.endswith("Here g is the gradient with respect to y, and a' with respect to a.\n    ")
    assert "y, and a', b' with respect to a, b." in tg.mul.__doc__
    assert "y, and a' with respect to a." in tg.leaky_relu.__doc__
    assert "Here g is the gradient with respect to y." in tg.vstack.__doc__
    assert "Here g" not in tg.equal.__doc__


def test_transpose_of_two_axes():
    square = tg.ones(2, 2)
    for axes in ((0, 1), (0, -1), (-2, 1)):
        with pytest.warns(UserWarning, match=rf"changes nothing.*swapaxes\({axes[0]}, {axes[1]}\)") as caught:
            square.transpose(*axes)
        assert caught[0].filename == __file__
    with pytest.raises(ValueError, match=r"there are 3 axes; .*swapaxes\(0, 1\)"):
        tg.ones(1, 2, 3).transpose(0, 1)
    with pytest.raises(TypeError, match=r"use swapaxes\(x, dim0, dim1\)"):
        tg.transpose(x(), 0, 1)
    assert x().transpose(1, 0).shape == x().transpose(-1, 0).shape == x().transpose().shape == (3, 2)
    assert x().transpose((0, 1)).shape == (2, 3)


INPUTS = {
    nn.Linear(3, 2): {"input": (4, 3)}, nn.ReLU(): {"input": (2,)}, nn.Sequential(nn.ReLU()): {"input": (2,)},
    nn.Conv2d(1, 2, 3): {"input": (1, 1, 4, 4)}, nn.BatchNorm1d(3): {"input": (4, 3)},
    nn.MSELoss(): {"input": (2,), "target": (2,)},
    nn.BCEWithLogitsLoss(): {"input": (2,), "target": (2,)}, nn.PoissonNLLLoss(): {"log_input": (2,), "target": (2,)},
    nn.CosineEmbeddingLoss(): {"input1": (2, 3), "input2": (2, 3), "target": (2,)},
    nn.TripletMarginLoss(): {"anchor": (2, 3), "positive": (2, 3), "negative": (2, 3)},
    nn.GaussianNLLLoss(): {"input": (2,), "target": (2,), "var": (2,)}, nn.CosineSimilarity(): {"x1": (2, 3), "x2": (2, 3)},
}  # fmt: skip


@pytest.mark.parametrize("module", INPUTS, ids=lambda m: type(m).__name__)
def test_modules_take_inputs_by_pytorchs_names(module):
    rng = np.random.default_rng(0)
    given = {name: rng.uniform(0.1, 0.9, shape).astype(np.float32) for name, shape in INPUTS[module].items()}
    if "input1" in given:
        given["target"] = np.array([1, -1])
    np.testing.assert_array_equal(module(**given).numpy(), module(*given.values()).numpy())
    value = next(iter(given.values()))
    with pytest.raises(TypeError, match="multiple values|unexpected keyword|missing"):
        module(value, **given)
    with pytest.raises(TypeError):
        module(**given, nonsense=1)


def test_a_module_of_the_user_has_its_own_names():
    class Own(nn.Module):
        def forward(self, x, input1=2):
            return x * input1

    assert Own()(x=tg.ones(1), input1=3).tolist() == [3.0]
    with pytest.raises(TypeError, match="'input'"):
        Own()(input=tg.ones(1))
    with pytest.raises(TypeError):
        nn.ReLU()(x=tg.ones(1), input=tg.ones(1))


RECORDED = json.loads(Path(__file__).with_name("torch_keywords.json").read_text(encoding="utf-8"))
HOLDERS = {
    "functional": tg, "linalg": tg.linalg, "Tensor": tg.ones(2, 3), "nn": nn, "optim": tg.optim,
    "lr_scheduler": tg.optim.lr_scheduler, "data": tg.data, "Module": nn.Linear(2, 3),
}  # fmt: skip
UNCHECKED = set(
    """
    add alpha, sub alpha, div rounding_mode, reshape shape, transpose dim0, transpose dim1, broadcast_to shape,
    broadcast_to size, matmul tensor2, copy_ src, numpy force, Hardtanh max_value, Hardtanh min_value,
    LRScheduler last_epoch, adaptive_max_pool1d inputs, modules remove_duplicate, named_modules memo, set_default_dtype d,
    set_rng_state new_state, solve left, lstsq driver, diagonal dim1, diagonal dim2, matrix_norm dim, max indices,
    min indices, max values, min values,
    enable_grad orig_func, no_grad orig_func, vmap randomness, compile disable, compile isolate_recompiles, compile mode,
    compile name, compile options, compile recompile_limit, compile shapes_spec
""".replace("\n   ", "")
    .strip()
    .split(", ")
)
"""Functions, each with a keyword of PyTorch's for which its error has no remedy."""


def asked(label, name):
    """A function or class, its required arguments, and the keywords that PyTorch's has and that are tried on it."""
    thing = getattr(HOLDERS[label], name)
    parameters = list(inspect.signature(thing).parameters.values())
    needed = [None for p in parameters if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD]
    plain = {"input", "other", "out"} if len(parameters) <= 2 else set()  # these functions are not wrapped
    understood = {*keywords.DONE} - ({"dim"} if name in keywords.NOTES else set())  # see test_keywords.py
    if label == "Tensor":
        understood.add("inplace")  # PyTorch's methods do not have it
    names = RECORDED[label][name].split()
    return (
        thing,
        needed,
        [
            k
            for k in names
            if k not in plain | understood and f"{name} {k}" not in UNCHECKED and (name, k) != calls.SORTED
        ],
    )


@pytest.mark.parametrize(("label", "name"), [(label, name) for label in HOLDERS for name in RECORDED[label]])
def test_every_keyword_of_pytorchs_works_or_is_explained(label, name):
    thing, needed, names = asked(label, name)
    for keyword in names:
        with pytest.raises((TypeError, ValueError, AttributeError)) as caught:
            thing(*needed, **{keyword: 1})
        text = str(caught.value)
        assert "; " in text or ": " in text, f"{name}({keyword}=1): {text}"


@pytest.mark.parametrize(
    ("theirs", "name", "values", "expected"),
    [
        ("torch", "hann_window", {"n": 4}, [0, 0.5, 1, 0.5]),  # PyTorch's windows are periodic by default
        ("torch", "hamming_window", {"n": 4}, [0.08, 0.54, 1, 0.54]),
        ("torch", "bartlett_window", {"n": 4}, [0, 0.5, 1, 0.5]),
        ("torch", "blackman_window", {"n": 4}, [0, 0.34, 1, 0.34]),
        ("torch", "kaiser_window", {"n": 2}, [1 / np.i0(12), 1]),
        ("torch", "std_mean", {"x": np.array([1.0, 3.0])}, [2**0.5, 2]),  # divided by n - 1
        ("torch", "var_mean", {"x": np.array([1.0, 3.0])}, [2, 2]),
        ("torch", "pdist", {"x": np.array([[0.0, 0.0], [3.0, 4.0], [0.0, 8.0]])}, [5, 8, 5]),
        (
            "torch",
            "embedding_bag",
            {"indices": np.array([[0, 1]]), "weight": np.array([[1.0], [3.0]])},
            [[2]],
        ),  # the mean
    ],
)
def test_a_remedy_computes_what_pytorch_does_by_default(theirs, name, values, expected):
    found = eval(remedy(theirs, name), {"np": np, "tg": tg, **values})
    np.testing.assert_allclose(np.asarray(found), expected, atol=1e-12)
