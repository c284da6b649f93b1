"""PyTorch's keywords where our function takes the argument by position: `input` works, others give an error that names ours."""

from __future__ import annotations

import contextlib
import gc
import inspect
import pickle
import re
import weakref
from dataclasses import replace

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn.names import calls
from tinygrad_cnn.names.keywords import NOTES
from tinygrad_cnn.testing.cases import Case, Draws

from .rows import CASES
from .test_names import HOLDERS, RECORDED, asked

F = tg.functional
SPACES = (tg, tg.functional, tg.linalg)
PUBLIC = {inspect.unwrap(f): f for space in SPACES for f in vars(space).values() if inspect.isfunction(f)}


def public(case):
    """The row with the function that users call, or None."""
    function = PUBLIC.get(inspect.unwrap(case.function))
    return None if function is None or case.via is not Case.via else replace(case, function=function)


ROWS = [*filter(None, map(public, CASES))]


def by_name(case):
    """The arguments of a row by the names of the function's parameters."""
    arrays = case.draw(Draws(np.random.default_rng(0)))
    first = [list(arrays)] if case.sequence else arrays
    return inspect.signature(case.function).bind(*first, **case.params)


def names_of(case):
    return [*inspect.signature(case.function).parameters]


def answers_input(case):
    names = names_of(case)
    return "input" in calls.foreign(case.function.__name__, names) and not {"varargs", "condlist", "condition"} & {
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
        with pytest.raises(TypeError, match=rf"missing \d+ required .*'{left_out}'"):
            case.function(**{name: value for name, value in given.items() if name != left_out})


@pytest.mark.parametrize(("label", "name"), [(label, name) for label in HOLDERS for name in RECORDED[label]])
def test_every_keyword_of_pytorchs_alone(label, name):
    thing, needed, names = asked(label, name)
    if not needed:
        return
    for keyword in set(names) - inspect.signature(thing).parameters.keys():
        try:
            thing(**{keyword: 1})
        except (TypeError, ValueError, AttributeError) as error:
            text = str(error)
        else:
            text = f"{name}({keyword}=1) is accepted"
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
        (lambda: tg.max(input=w(), dim=0), "'dim'; use axis=0"),
        (lambda: tg.concatenate(tensors=[w()]), "'tensors'; use arrays="),
        (lambda: tg.sum(w(), 0, dim=0), "'dim'; `axis` is given already"),
        (lambda: w().sum(axis=None, dim=0), "'dim'; `axis` is given already"),
        (lambda: tg.sum(w(), input=w()), "'input'; `a` is given already"),
        (lambda: w().swapaxes(dim0=0, dim1=1), "'dim0'; use axis1=0"),
        (lambda: tg.sum(dim=0), "missing 1 required positional argument: 'a'"),
        (lambda: w().flip(0, 1), "flip.. takes `m` and `axis` by position; several axes are one tuple"),
        (lambda: w().sum(dim=0, nonsense=1), r"^sum\(\) got an unexpected keyword argument 'nonsense'$"),
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


THEIRS = {"axis": "dim", "keepdims": "keepdim"}


def understood(case):
    """Whether the row names axes, and the function with `dim` does what PyTorch's does."""
    axes = case.params.get("axis", 0)
    return not THEIRS.keys().isdisjoint(case.params) and case.function.__name__ not in NOTES and axes not in (None, ())


AXES = [*filter(understood, ROWS)]


@pytest.mark.parametrize("case", AXES, ids=lambda case: case.name)
def test_dim_and_keepdim_are_axis_and_keepdims(case):
    arrays = case.draw(Draws(np.random.default_rng(0)))
    theirs = replace(case, params={THEIRS.get(name, name): value for name, value in case.params.items()})
    np.testing.assert_allclose(theirs.call(*arrays), case.expected(*arrays), rtol=1e-12, atol=1e-13)


def test_the_rows_name_the_axes_of_most_functions():
    assert {"sum", "mean", "softmax", "argmax", "cumsum", "squeeze", "concatenate", "stack", "glu", "normalize"} <= {
        case.function.__name__ for case in AXES
    }


WORDS = {
    "function": lambda x: tg.sum(x * x, dim=1, keepdim=True), "method": lambda x: (x * x).sum(dim=1, keepdim=True),
    "input": lambda x: tg.sum(input=x * x, dim=1, keepdim=True), "axes": lambda x: (x * x).sum(dim=(1,), keepdim=True),
    "list": lambda x: tg.sum([x * x, x * x], dim=(0, 2), keepdim=True)[0] / 2,
}  # fmt: skip


@pytest.mark.parametrize("f", WORDS.values(), ids=WORDS)
def test_calls_in_pytorchs_words_are_differentiated_compiled_and_mapped(f):
    a = np.arange(6.0).reshape(2, 3)
    value, gradient = (a * a).sum(axis=1, keepdims=True), np.repeat([[2.0], [5.0]], 3, axis=1) * 2 * a

    def step(x):
        y = f(x)
        (g,) = tg.gradients(y, [x], np.array([[2.0], [5.0]]))
        return y, g

    for call in (step, compiled := tg.compile(step), compiled, compiled, compiled):
        y, g = call(tg.Tensor(a, requires_grad=True))
        np.testing.assert_array_equal(y.numpy(), value)
        np.testing.assert_array_equal(g.numpy(), gradient)
    batch = np.stack([a, 2 * a])
    np.testing.assert_array_equal(tg.vmap(f)(batch).numpy(), np.stack([value, 4 * value]))
    np.testing.assert_array_equal(tg.vmap(tg.grad(lambda x: f(x).sum()))(batch).numpy(), 2 * batch)


def test_methods_take_pytorchs_words():
    a = np.array([[3.0, 1.0, 2.0], [0.5, 4.0, -1.0]])
    x = tg.Tensor(a)
    exp = np.exp(a)
    for found, expected in (
        (x.softmax(dim=-1), exp / exp.sum(axis=1, keepdims=True)), (x.mean(dim=0), a.mean(axis=0)),
        (x.var(dim=0, correction=1), a.var(axis=0, ddof=1)), (x.argmax(dim=1), a.argmax(axis=1)),
        (x.std(dim=(0, 1), correction=0, keepdim=True), a.std(keepdims=True)), (x.cumsum(dim=0), a.cumsum(axis=0)),
        (x.max(keepdim=True), a.max(keepdims=True)),
        (x.mean(dim=None), a.mean()), (tg.amax(x, dim=1, keepdim=True), a.max(axis=1, keepdims=True)),
        (x.topk(2, dim=0)[0], np.sort(a, axis=0)[::-1]),
    ):  # fmt: skip
        np.testing.assert_allclose(found.numpy(), expected, rtol=1e-15)


def test_an_error_in_the_body_stays_as_it_is():
    def hook(module, args):
        raise TypeError("raised by a hook of mine")

    layer = tg.nn.ReLU()
    with layer.register_forward_pre_hook(hook), pytest.raises(TypeError, match="^raised by a hook of mine$"):
        layer(w())
    with pytest.raises(TypeError, match=r"^sum: .*`axis` is 'x'|^sum: .*'x'") as caught:
        w().sum("x")
    assert caught.value.__cause__ is None or "x" in str(caught.value.__cause__)


def test_a_failed_call_leaves_no_garbage():
    """Else the arguments would live until the garbage collector runs."""
    gc.collect()
    gc.disable()
    try:
        for call in (lambda x: x.sum(dim=0), lambda x: tg.concatenate(tensors=[x]), lambda x: x.sum(nonsense=0)):
            x = w()
            alive = weakref.ref(x)
            with contextlib.suppress(TypeError):
                call(x)
            del x
            assert alive() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("f", [tg.sum, F.conv2d, tg.linalg.vector_norm, tg.median, tg.zeros, tg.exp, tg.fit, tg.grad])
def test_wrapped_functions_are_pickled_and_documented(f):
    assert pickle.loads(pickle.dumps(f)) is f
    plain = inspect.unwrap(f)
    assert (f.__name__, f.__doc__ and f.__doc__[:20]) == (plain.__name__, plain.__doc__ and plain.__doc__[:20])
    assert str(inspect.signature(f)) == str(inspect.signature(getattr(f, "__wrapped__", f)))
