"""PyTorch's names that work: they compute what PyTorch computes, nothing lists them, and gradients go through them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import nn
from tinygrad_cnn.names import SYNONYMS

from .record_synonyms import FILE, plain
from .synonyms import ALL, ARRAYS, METHODS

F = nn.functional
RECORDED = json.loads(FILE.read_text(encoding="utf-8"))
PLACES = {"torch": tg, "torch.nn.functional": F, "torch.Tensor": tg.Tensor, "torch.nn.Module": nn.Linear(1, 1)}
PLACES["torchvision.transforms"] = tg.vision.transforms
NAMES = [(theirs, name) for theirs, table in SYNONYMS.items() for name in table]


def tensors(requires_grad=False):
    found = {name: tg.Tensor(array) for name, array in ARRAYS.items()}
    for tensor in found.values():
        tensor.requires_grad = requires_grad and tensor.dtype.kind == "f"
    return found


@pytest.mark.whole
def test_every_expression_is_recorded():
    assert list(RECORDED) == ALL


@pytest.mark.parametrize("expression", ALL)
def test_it_computes_what_pytorch_does(expression):
    kind, *expected = RECORDED[expression]
    found = plain(eval(expression, {"T": tg, "F": F, **tensors()}))
    assert found[0] == kind
    if kind == "value":
        assert found[1:] == expected
        return
    dtype, shape, values = expected
    assert [found[1], found[2]] == [dtype, shape]
    tolerance = 2e-6 if dtype == "float32" else 0
    np.testing.assert_allclose(np.array(found[3]), np.array(values), rtol=tolerance, atol=tolerance)


@pytest.mark.whole
def test_every_name_is_in_an_expression():
    text = "\n".join(ALL)
    for theirs, name in NAMES:
        if theirs not in ("torch.nn.Module", "torchvision.transforms"):
            called = {"torch": rf"\bT\.{name}\b", "torch.nn.functional": rf"\bF\.{name}\("}.get(theirs, rf"\.{name}\b")
            assert re.search(called, METHODS if theirs == "torch.Tensor" else text), f"{theirs}.{name} is not tested"


@pytest.mark.parametrize(("theirs", "name"), NAMES)
def test_it_works_and_is_not_listed(theirs, name):
    place = PLACES[theirs]
    assert hasattr(place, name)
    assert name not in dir(place)
    assert name not in getattr(place, "__all__", ())


RECORDS = [
    "T.cat([x, y], 1)", "T.chunk(x, 2, dim=1)[0]", "T.narrow(x, 1, 1, 2)", "T.addmm(s, x, y.T, beta=2, alpha=0.5)",
    "T.divide(x, y)", "T.clamp(x, min=0)", "T.frac(x)", "T.index_select(x, 1, i)", "T.clone(x)", "x.view(3, 2)", "x.double()",
    "v.expand(2, -1)", "x.to('cpu', T.float64)", "c.permute(2, 0, 1).contiguous()", "c.select(1, 2)", "F.pad(x, (1, 2))",
    "F.mse_loss(x, y, weight=y * y)",
]  # fmt: skip


@pytest.mark.parametrize("expression", RECORDS)
def test_gradients_go_through(expression):
    given = tensors(requires_grad=True)
    result = eval(expression, {"T": tg, "F": F, **given})
    result.sum().backward()
    assert any(tensor.grad is not None and np.any(tensor.grad.numpy() != 0) for tensor in given.values())


def test_interpolations_are_strings():
    transforms = tg.vision.transforms
    mode = transforms.InterpolationMode.BICUBIC
    assert transforms.Resize(4, interpolation=mode).interpolation == "bicubic"
    assert transforms.v2.InterpolationMode.NEAREST_EXACT == "nearest-exact"


def test_a_tensor_of_pytorchs_is_a_copy_without_a_graph():
    x = tg.ones(2, requires_grad=True)
    assert not tg.tensor(x * 2).requires_grad
    assert tg.tensor([1.0, 2.0], requires_grad=True).is_leaf
    array = np.zeros(2)
    shared, copied = tg.as_tensor(array), tg.tensor(array)
    array[0] = 1
    assert (shared.tolist(), copied.tolist()) == ([1.0, 0.0], [0.0, 0.0])
    assert tg.as_tensor(x) is x


def test_draws_follow_the_seed():
    def drawn():
        tg.manual_seed(3)
        return [tg.randint(0, 100, (5,)).tolist(), tg.randperm(9).tolist(), tg.bernoulli(tg.full((8,), 0.5)).tolist()]

    assert drawn() == drawn()
    assert sorted(drawn()[1]) == list(range(9))
    assert 0 <= min(drawn()[0]) <= max(drawn()[0]) < 100
    assert {*drawn()[2]} <= {0.0, 1.0}


def test_modules():
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    assert model.to("cpu") is model.cpu() is model.to(device="cpu") is model
    assert model.double()[0].weight.dtype == model.get_parameter("0.weight").dtype == np.float64
    assert model.float()[0].weight.dtype == np.float32
    assert model.half().get_buffer("1.running_mean").dtype == np.float16
    assert (
        model.to("cpu", np.float64)[0].weight.dtype
        == model.to(tg.ones(1, dtype=np.float64))[0].weight.dtype
        == np.float64
    )
    assert model.type(np.float32)[0].bias.dtype == np.float32
    assert nn.Linear(2, 3, device="cpu").weight.shape == (3, 2)
    with pytest.raises(AttributeError, match=r"get_parameter: there is no '0\.w'; there are 0\.weight, "):
        model.get_parameter("0.w")


WRONG = [
    (lambda x: x.to("cuda"), TypeError, "`device` is 'cuda'; there is one device, 'cpu'"),
    (lambda x: nn.Linear(1, 1).to(device="cuda"), TypeError, "`device` is 'cuda'; there is one device"),
    (lambda x: nn.Linear(1, 1).to("cuda"), TypeError, "'cuda'; it must be a floating-point dtype"),
    (lambda x: tg.tensor([1], device="cuda"), TypeError, "tensor: `device` is 'cuda'"),
    (lambda x: tg.zeros(1, device="cuda"), TypeError, "there is one device"),
    (lambda x: tg.device("cuda"), ValueError, "there is one device, 'cpu'"),
    (lambda x: x.view(np.int32), TypeError, "read the same bytes as another dtype"),
    (lambda x: x.expand(-1, 2, 3), ValueError, "-1 keeps an axis"),
    (lambda x: x.expand(4, 3), ValueError, "broadcast"),
    (lambda x: tg.mm(x, x[0]), ValueError, r"mm: the operands have shapes \(2, 3\) and \(3,\)"),
    (lambda x: tg.bmm(tg.ones(2, 1, 1), tg.ones(3, 1, 1)), ValueError, "stacks have 2 and 3 matrices"),
    (lambda x: tg.t(tg.ones(1, 2, 3)), ValueError, "must be a vector or a matrix"),
    (lambda x: x.indices, AttributeError, "argmax, argmin and argsort have the positions"),
    (lambda x: tg.jit.script, AttributeError, "use tg.compile"),
    (lambda x: x.unfold(1, 4, 1), ValueError, "`size` is 4 and `step` 1, and the axis 1 has size 3"),
    (lambda x: tg.complex(x, x.double()), TypeError, "float32 and float64; they must be of one"),
    (lambda x: tg.view_as_real(x), TypeError, "must be complex"),
    (lambda x: tg.view_as_complex(x), ValueError, "must have two elements"),
    (lambda x: x.clamp(), ValueError, "give one of them at least"),
    (lambda x: x.narrow(1, 2, 2), IndexError, "the axis 1 has size 3"),
    (lambda x: tg.chunk(x, 0), ValueError, "must be at least 1"),
    (lambda x: x.index_select(0, [[0]]), ValueError, "it must be a vector"),
    (lambda x: x.div(x, rounding_mode="up"), ValueError, "must be None, 'trunc' or 'floor'"),
    (lambda x: tg.bernoulli(x * 2), ValueError, "probabilities are between 0 and 1"),
    (lambda x: tg.randint(0, 3, 4), TypeError, "`size` is 4; it must be a tuple"),
    (lambda x: x.type(), TypeError, "give a dtype"),
    (lambda x: F.pad(x, (1,)), ValueError, "two for each of up to 2 axes"),
    (lambda x: F.pad(x, ((0, 0), (1, 1))), TypeError, "must be a sequence of whole numbers"),
    (lambda x: F.pad(x, (1, 1), mode="symmetric"), ValueError, "`mode` is 'symmetric'"),
    (lambda x: x.cuda(), AttributeError, "there is one device"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "kind", "text"), WRONG)
def test_what_is_no_synonym_says_so(call, kind, text):
    with pytest.raises(kind, match=text):
        call(tg.ones(2, 3))


def test_names_with_another_meaning_keep_their_errors():
    x = tg.ones(3, 2)
    for call in (
        lambda: x.size(0),
        lambda: x.max(dim=1),
        lambda: tg.split(x, 2, dim=0),
        lambda: x.gather,
        lambda: x.scatter,
    ):
        with pytest.raises((TypeError, AttributeError)):
            call()


def test_without_names_they_are_gone():
    root = Path(__file__).parents[1]
    program = (
        "import sys; sys.modules['tinygrad_cnn.names'] = None\n"
        "import tinygrad_cnn as tg\n"
        "print([hasattr(tg, 'cat'), hasattr(tg.ones(1), 'view'), hasattr(tg.nn.Linear(1, 1), 'double')])"
    )
    out = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[False, False, False]"
