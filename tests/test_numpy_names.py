"""Every function of numpy, numpy.linalg and numpy.fft is recorded on Tensors, computed unrecorded, or refused with a reason."""

from __future__ import annotations

import re
import warnings

import numpy as np
import pytest
from extensions import numpy_names as names

import tinygrad_cnn as tg

ROWS = {row.name: row for row in names.rows()}


def of_kind(kind):
    return pytest.mark.parametrize("name", [row.name for row in ROWS.values() if row.kind == kind])


def t(values):
    return tg.Tensor(np.array(values, np.float64), requires_grad=True)


def vector():
    return t([0.2, 0.5, 0.3, 0.75])


def matrix():
    return t([[3.0, 0.5, 0.25], [0.25, 2.0, 0.75], [0.5, 0.25, 1.0]])


COUNT = np.array([2, 1, 0])

CALLS = {  # where neither of `usual` is a call of the function
    "arccosh": lambda f: f(t([1.5, 2.5])),
    "acosh": lambda f: f(t([1.5, 2.5])),
    "broadcast_to": lambda f: f(vector(), (2, 4)),
    "astype": lambda f: f(vector(), np.float32),
    "choose": lambda f: f(COUNT, [matrix()[0], matrix()[1], 1.0]),
    "compress": lambda f: f([True, False, True], vector()),
    "cross": lambda f: f(matrix(), matrix()),
    "delete": lambda f: f(vector(), 1),
    "dsplit": lambda f: f(t(np.ones((2, 2, 2))), 2),
    "einsum": lambda f: f("i,i->", vector(), vector()),
    "expand_dims": lambda f: f(vector(), 0),
    "extract": lambda f: f(np.array([True, False, True, True]), vector()),
    "full_like": lambda f: f(vector(), t(2.0)),
    "insert": lambda f: f(vector(), 1, t(2.0)),
    "interp": lambda f: f(vector(), np.array([0.0, 0.4, 1.0]), np.array([1.0, 2.0, 0.0])),
    "ldexp": lambda f: f(vector(), 2),
    "matvec": lambda f: f(matrix(), matrix()[0]),
    "moveaxis": lambda f: f(matrix(), 0, 1),
    "pad": lambda f: f(vector(), 1),
    "partition": lambda f: f(vector(), 2),
    "percentile": lambda f: f(vector(), 30),
    "nanpercentile": lambda f: f(vector(), 30),
    "nanquantile": lambda f: f(vector(), 0.3),
    "quantile": lambda f: f(vector(), 0.3),
    "polyfit": lambda f: f(vector(), vector(), 2),
    "polyint": lambda f: f(vector()),
    "polyder": lambda f: f(vector()),
    "repeat": lambda f: f(vector(), 2),
    "reshape": lambda f: f(vector(), (2, 2)),
    "resize": lambda f: f(vector(), 3),
    "roll": lambda f: f(vector(), 1),
    "rollaxis": lambda f: f(matrix(), 1),
    "select": lambda f: f([matrix().numpy() > 1], [matrix()]),
    "swapaxes": lambda f: f(matrix(), 0, 1),
    "take": lambda f: f(vector(), [0, 2]),
    "take_along_axis": lambda f: f(vector(), COUNT, 0),
    "tile": lambda f: f(vector(), 2),
    "vecmat": lambda f: f(matrix()[0], matrix()),
    "where": lambda f: f(COUNT > 0, matrix(), 0.0),
    "linalg.matrix_power": lambda f: f(matrix(), 2),
    "linalg.slogdet": lambda f: f(matrix()).logabsdet,
    "linalg.lstsq": lambda f: f(matrix()[:, :2], vector()[:3]),
    "linalg.tensorinv": lambda f: f(matrix(), 1),
    "linalg.cross": lambda f: f(matrix(), matrix()),
    "argpartition": lambda f: f(vector(), 2),
    "can_cast": lambda f: f(vector().dtype, np.float64),
    "digitize": lambda f: f(vector(), [0.25, 0.5]),
    "einsum_path": lambda f: f("i,i->", vector(), vector()),
    "ix_": lambda f: f(tg.from_numpy(COUNT)),
    "packbits": lambda f: f(tg.from_numpy(COUNT > 0)),
    "ravel_multi_index": lambda f: f(tg.from_numpy(COUNT[:2]), (3, 3)),
    "searchsorted": lambda f: f([0.25, 0.5], vector()),
    "unpackbits": lambda f: f(tg.from_numpy(COUNT.astype(np.uint8))),
    "unravel_index": lambda f: f(tg.from_numpy(COUNT), (3, 3)),
}
for _name in ("array_split", "hsplit", "split", "vsplit"):
    CALLS[_name] = lambda f: f(t(np.ones((4, 4))), 2)


def usual(f):
    """Calls that most functions accept."""
    ints = tg.from_numpy(COUNT)
    yield from (lambda: f(vector()), lambda: f(matrix()), lambda: f(vector(), vector()), lambda: f(matrix(), matrix()))
    yield from (lambda: f([vector(), vector()]), lambda: f([matrix(), matrix()]), lambda: f(t(0.5), t(2.0)))
    yield from (lambda: f(ints), lambda: f(ints, ints), lambda: f(matrix(), vector()[:3]), lambda: f(matrix(), ints, 0))


def called(row):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if row.name in CALLS:
            return CALLS[row.name](row.function)
        errors = []
        for call in usual(row.function):
            try:
                return call()
            except (TypeError, ValueError, RuntimeError) as error:
                errors.append(str(error))
    raise AssertionError(f"no call of np.{row.name} is known: {errors}")


def leaves(result):
    if isinstance(result, tuple | list):
        return [leaf for part in result for leaf in leaves(part)]
    return [result]


def is_floating(value):
    return getattr(getattr(value, "dtype", None), "kind", "") in ("f", "c") or isinstance(value, float)


@pytest.mark.whole
@of_kind("recorded")
def test_a_recorded_function_keeps_every_gradient(name):
    found = [leaf for leaf in leaves(called(ROWS[name])) if is_floating(leaf)]
    assert found
    assert all(isinstance(leaf, tg.Tensor) and leaf.requires_grad for leaf in found)
    sum(np.real(leaf.sum()) for leaf in found).backward()


@of_kind("plain")
def test_a_plain_answer_carries_nothing_that_had_a_gradient(name):
    found = leaves(called(ROWS[name]))
    assert not any(isinstance(leaf, tg.Tensor) and leaf.requires_grad for leaf in found)
    assert ROWS[name].function in names.CONSTANT or not any(map(is_floating, found))


@of_kind("refused")
def test_a_refusal_says_why_and_what_to_do(name):
    row = ROWS[name]
    if name.startswith("save"):
        calls = [lambda: row.function("nowhere", vector())]
    elif name.startswith("busday") or name in ("is_busday", "datetime_as_string"):
        calls = [lambda: row.function(vector(), vector()), lambda: row.function(vector())]
    else:
        calls = [
            lambda: row.function(vector()), lambda: row.function(vector(), vector()),
            lambda: row.function(vector(), 1, 2.0), lambda: row.function(np.sum, 0, vector()),
            lambda: row.function(vector(), 1, 2.0, 0), lambda: row.function(vector(), [vector() > 1], [1.0]),
            lambda: row.function(np.sum, vector(), 0),
        ]  # fmt: skip
    messages = []
    for call in calls:
        try:
            call()
        except Exception as error:  # some do not accept these arguments
            messages.append(str(error))
    pattern = rf"np.*: no op records it on Tensors; call .* on t.numpy\(\).*\({re.escape(row.why)}\)"
    assert any(re.match(pattern, message) for message in messages), messages


@of_kind("aside")
def test_a_function_that_sees_no_tensor_loses_no_gradient(name, capsys):
    function = ROWS[name].function
    if name in ("fromiter", "fromfunction", "show_config", "show_runtime", "test", "tri", "set_printoptions"):
        return  # it takes Python's numbers or functions, or does not look at what it is given
    for argument in (vector(), t(2.0), [t(1.0), t(2.0)]):
        try:
            result = function(argument)
        except Exception:
            continue
        assert not any(isinstance(leaf, np.ndarray) and is_floating(leaf) for leaf in leaves(result))


def test_where_and_out_are_refused_by_new_functions_too():
    for function in (np.fmod, np.sinc, np.median, np.diff, np.nansum, np.linalg.svdvals):
        with pytest.raises(TypeError):
            function(vector(), out=np.zeros(4))


def test_there_are_names_of_every_kind():
    kinds = [row.kind for row in ROWS.values()]
    assert kinds.count("recorded") > 200
    assert {"plain", "refused", "aside"} <= set(kinds)
