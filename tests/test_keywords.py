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
    name = case.function.__name__
    ours = keywords._ours(name, "input", names)
    return "input" in keywords.foreign(name, names) and ours == names[0] and "varargs" not in names


@pytest.mark.parametrize("case", [*filter(answers_input, ROWS)], ids=lambda case: case.name)
def test_input_is_the_first_argument(case):
    bound = by_name(case)
    expected = case.function(*bound.args, **bound.kwargs)
    given = dict(bound.arguments)
    first = given.pop(names_of(case)[0])
    np.testing.assert_array_equal(case.function(input=first, **given), expected)
    if not case.sequence:
        np.testing.assert_array_equal(case.function(input=tg.Tensor(first), **given).numpy(), expected)
    with pytest.raises(TypeError, match="'input'; use "):
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
        with pytest.raises(TypeError, match=rf"`{left_out}` is missing$|missing \d+ required .*'{left_out}'"):
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
        (lambda: F.max_pool2d(w()), "max_pool2d: the argument `kernel_size` is missing"),
    ],
)
def test_errors(call, answer):
    with pytest.raises(TypeError, match=answer):
        call()
