"""PyTorch's keywords where our function takes the argument by position: `input` works, others give an error that names ours."""

from __future__ import annotations

import inspect
import re

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn.names import keywords
from tinygrad_cnn.testing.cases import Case, Draws

from .rows import CASES
from .test_names import HOLDERS, RECORDED, asked

F = tg.functional
ROWS = [c for c in CASES if c.via is Case.via and inspect.isfunction(c.function) and c.function.__name__.isidentifier()]


def by_name(case):
    """The arguments of a row by the names of the function's parameters."""
    arrays = case.draw(Draws(np.random.default_rng(0)))
    first = [list(arrays)] if case.sequence else arrays
    return inspect.signature(case.function).bind(*first, **case.params)


def names_of(case):
    return [*inspect.signature(case.function).parameters]


def answers_input(case):
    names = names_of(case)
    return "input" in keywords.foreign(case.function.__name__, names) and not {"varargs", "condlist", "condition"} & {
        *names
    }


@pytest.mark.parametrize("case", [*filter(answers_input, ROWS)], ids=lambda case: case.name)
def test_input_is_the_first_argument(case):
    bound = by_name(case)
    expected = case.function(*bound.args, **bound.kwargs)
    given = dict(bound.arguments)
    first = given.pop(names_of(case)[0])
    np.testing.assert_array_equal(case.function(input=first, **given), expected)
    if not case.sequence:
        np.testing.assert_array_equal(case.function(input=tg.Tensor(first), **given).numpy(), expected)
    with pytest.raises(TypeError, match=f"'input'; `{names_of(case)[0]}` is given already"):
        case.function(first, input=first, **given)


def test_most_functions_of_three_parameters_take_input():
    taking = {case.function.__name__ for case in ROWS if answers_input(case)}
    assert {"relu", "conv2d", "linear", "cross_entropy", "sum", "max_pool2d", "batch_norm", "embedding"} <= taking
    assert len(taking) > 100


@pytest.mark.parametrize("case", ROWS, ids=lambda case: case.name)
def test_an_argument_that_is_left_out_is_named(case):
    given = by_name(case).arguments
    parameters = inspect.signature(case.function).parameters
    for left_out, p in parameters.items():
        if p.default is not p.empty or p.kind is not p.POSITIONAL_OR_KEYWORD or "varargs" in given:
            continue
        with pytest.raises(TypeError, match=rf"`{left_out}` is missing|missing \d+ required .*'{left_out}'"):
            case.function(**{name: value for name, value in given.items() if name != left_out})


@pytest.mark.parametrize(("label", "name"), [(label, name) for label in HOLDERS for name in RECORDED[label]])
def test_every_keyword_of_pytorchs_alone(label, name):
    thing, needed, names = asked(label, name)
    if not needed:
        return
    for keyword in names:
        try:
            thing(**{keyword: 1})
        except (TypeError, ValueError, AttributeError) as error:
            text = str(error)
        else:
            text = "" if keyword == "input" else f"{name}({keyword}=1) is accepted"
        assert not re.search(r"missing \d|accepted", text), text


def w():
    return tg.ones(1, 1, 3, 3)


@pytest.mark.parametrize(
    ("call", "answer"),
    [
        (lambda: F.conv2d(input=w(), weight=w(), bias=tg.ones(1)), "'weight'; use w="),
        (lambda: F.conv2d(w(), weight=w()), "'weight'; use w="),
        (lambda: F.linear(input=w(), weight=w()), "'weight'; use w="),
        (lambda: F.cosine_embedding_loss(input1=w(), input2=w(), target=w()), "'input1'; use x1="),
        (lambda: F.interpolate(input=w(), scale_factor=2, antialias=True), "'antialias'; leave it out"),
        (lambda: tg.sum(input=w(), dim=0), "'dim'; use axis=0"),
        (lambda: tg.concatenate(tensors=[w()]), "'tensors'; use arrays="),
        (lambda: tg.topk(input=w(), k=1, dim=0), "'dim'; use axis=0"),
        (lambda: w().swapaxes(dim0=0, dim1=1), "'dim0'; use axis1=0"),
        (lambda: w().expand_dims(dim=1), "'dim'; use axis=1"),
        (lambda: w().expand_dims(), "expand_dims: the argument `axis` is missing"),
        (lambda: F.relu(input=None), "relu: the argument `a` is missing"),
        (
            lambda: w().flip(0, 1),
            "`axis` is given already, or .* too many: it takes m, axis, and several axes as one tuple",
        ),
        (
            lambda: F.softplus(w(), 1, 20, 5),
            "`a` is given already, or there is an argument too many: it takes a, beta, threshold$",
        ),
        (lambda: F.max_pool2d(w()), "max_pool2d: the argument `kernel_size` is missing"),
    ],
)
def test_errors(call, answer):
    with pytest.raises(TypeError, match=answer):
        call()


@pytest.mark.parametrize(
    ("call", "answer"),
    [
        (lambda: tg.max(w(), w()), "max: `axis` is Tensor.*maximum and minimum compare two arrays"),
        (lambda: w().std(False), "`axis` is False.*correction= by name"),
        (lambda: w().sum(1.0), "sum: `axis` is 1.0; it must be an integer"),
        (lambda: tg.median(w(), "0"), "`axis` is '0'; it must be an integer"),
        (lambda: tg.logspace(0, 1, 5, 2), "`endpoint` is 2; it must be True or False; give base="),
        (lambda: tg.nan_to_num(w(), 1.0), "`copy` is 1.0.*give nan= by name"),
        (lambda: tg.nan_to_num(w(), False), "`copy` is False"),
    ],
)
def test_positions_that_only_pytorch_has(call, answer):
    with pytest.raises((TypeError, ValueError), match=re.compile(answer, re.DOTALL)):
        call()


@pytest.mark.parametrize("axis", [1, np.int64(1), np.array(1), (1,), [1], tg.Tensor(np.array(1))], ids=repr)
def test_every_kind_of_integer_is_an_axis(axis):
    np.testing.assert_array_equal(tg.ones(2, 3).sum(axis).numpy(), [3, 3])


def test_sizes_of_parts_instead_of_positions():
    x = tg.ones(6, 2)
    for sizes in ([2, 2, 2], (3, 3), [4, 2]):
        with pytest.warns(UserWarning, match=r"split: .* are positions, .* np\.cumsum\(sizes\)\[:-1\]") as caught:
            parts = tg.split(x, sizes)
        assert caught[0].filename == __file__
        assert [len(part) for part in parts] == [len(part) for part in np.split(np.ones((6, 2)), sizes)]
    for positions in ([2, 4], [1, 5], [2, 2], [6], [0, 6], []):
        assert len(tg.split(x, positions)) == len(positions) + 1
