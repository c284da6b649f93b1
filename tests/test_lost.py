"""A gradient cannot get lost: what is given a Tensor that requires one records, or raises and says what to do."""

from __future__ import annotations

import inspect
import math
import operator
import pickle
import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import tinygrad_cnn as tg
from tinygrad_cnn import nn
from tinygrad_cnn.core.remedies import original
from tinygrad_cnn.testing.cases import Draws
from tinygrad_cnn.testing.strategies import case_inputs

from .rows import CASES

few = settings(max_examples=max(1, settings.default.max_examples // 4))
NAMES_A_REMEDY = r"t\.detach\(\) or t\.numpy\(\)"


def leaf(*shape, dtype=np.float32):
    return tg.Tensor(np.arange(1, 1 + np.prod(shape), dtype=dtype).reshape(shape), requires_grad=True)


# Lists that hold Tensors


def objects(rows):
    held = np.empty(len(rows), object)
    for i, row in enumerate(rows):
        held[i] = row
    return held


def deep(t):
    return [deep(row) for row in t] if t.ndim else t


FORMS = {
    "rows": list,
    "tuple": tuple,
    "elements": deep,
    "objects": lambda t: objects(list(t)),
    "one Tensor among numbers": lambda t: [t[0], *t.numpy()[1:].tolist()],
}


def outcome(f, *args):
    """What a call gives: its value and gradients in Tensors; or the kind of its error."""
    try:
        y = f(*args)
    except REFUSALS as error:
        return type(error)
    return y


def gradients(y, xs):
    if not y.requires_grad:
        return [None] * len(xs)
    return tg.gradients(y, xs, np.cos(np.arange(y.size)).reshape(y.shape).astype(y.dtype), allow_unused=True)


def takes_a_list(case):
    return any(arg.kind == "float" and arg.shape != () for arg in case.args)


@pytest.mark.parametrize("case", list(filter(takes_a_list, CASES)), ids=lambda case: case.name)
@few
@given(data=st.data())
def test_every_function_records_a_list_as_the_tensor_that_stack_makes_of_it(case, data):
    """The case table has a row for every public function: tests/ops/test_every_op.py sees to that."""
    arrays = data.draw(case_inputs(case))
    choices = [i for i, a in enumerate(arrays) if a.dtype.kind == "f" and a.ndim and a.size]
    assume(choices)
    i = data.draw(st.sampled_from(choices))
    form = data.draw(st.sampled_from(sorted(FORMS)))
    t = tg.Tensor(arrays[i], requires_grad=True)
    others = [a if data.draw(st.booleans()) else tg.Tensor(a) for a in arrays]
    others[i] = t

    def listed(*args, **params):
        return case.function(*[turned(arg) for arg in args], **params)

    def turned(arg):
        if case.sequence and isinstance(arg, list):
            return [turned(each) for each in arg]
        return FORMS[form](arg) if isinstance(arg, tg.Tensor) and arg.requires_grad and arg.ndim else arg

    expected = outcome(case.call, *others)
    found = outcome(replace(case, function=listed).call, *others)
    if isinstance(expected, type):
        assert found is expected
        return
    assert isinstance(found, tg.Tensor)
    assert (found.shape, found.dtype, found.requires_grad) == (expected.shape, expected.dtype, expected.requires_grad)
    np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=1e-12, atol=1e-300)
    (ours,), (theirs,) = gradients(found, [t]), gradients(expected, [t])
    if theirs is None:
        assert ours is None
    elif form.startswith("one"):
        if case.via is not type(case).via:
            return  # not all that was t is in its place
        np.testing.assert_allclose(ours.numpy()[0], theirs.numpy()[0], rtol=1e-12, atol=1e-12)
        assert not ours.numpy()[1:].any()
    else:
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-12, atol=1e-12)


def lost(result):
    """Whether floating-point numbers came out, and no gradient goes back from them."""
    if isinstance(result, tg.Tensor):
        return result.dtype.kind == "f" and not result.requires_grad
    if isinstance(result, np.ndarray):
        return result.dtype.kind in "fc" and result.size > 0
    if isinstance(result, list | tuple):
        return any(map(lost, result))
    return isinstance(result, float | complex | np.floating | np.complexfloating)


REFUSALS = (TypeError, ValueError, IndexError, RuntimeError)

CHOICES = {"dtype", "groups", "k", "edge_order", "where", "function", "ignore_index"}
"""Parameters that choose what is computed: no number depends smoothly on them."""

WITHOUT_DERIVATIVE = {
    "multi_margin_loss": "p",  # 1 or 2
    "hinge_embedding_loss": "target",  # 1 or -1
    "cosine_embedding_loss": "target",
    "nanquantile": "weights",  # they choose an element
    "percentile": "weights",
    "unwrap": "discont",  # a jump that counts as one
}


def is_public(case):
    """Whether users call the function, and not only other functions."""
    return any(
        case.function is original(getattr(module, case.function.__name__, None))
        for module in (tg, tg.functional, tg.linalg)
    )


@pytest.mark.parametrize(
    "case", [case for case in CASES if case.params and is_public(case)], ids=lambda case: case.name
)
@pytest.mark.filterwarnings("ignore")
def test_a_tensor_or_a_list_of_tensors_for_a_parameter_is_recorded_or_refused(case):
    arrays = case.draw(Draws(np.random.default_rng(0)))
    case.call(*arrays)  # so that a refusal is one of the parameter
    t = leaf(3)
    calls = []
    for name, value in case.params.items():
        if isinstance(value, bool) or name in CHOICES or WITHOUT_DERIVATIVE.get(case.function.__name__) == name:
            continue
        for held in (t[0], t, [t[0], t[1]], (t[0], 2.0), [[t[0], 1.0], [2.0, t[1]]], objects([t[0], 1.0])):
            result = outcome(replace(case, params={**case.params, name: held}).call, *arrays)
            if not isinstance(result, type) and lost(result):
                calls.append(f"{name}={held} gave {result} without a gradient")
    assert not calls


def test_functions_without_a_row_refuse_lists_of_tensors_or_record_them():
    """And those that take some are known here."""
    rows, returned, t = {case.function for case in CASES}, set(), leaf(3)
    lists = [t[0], t[1], 2.0], [t, t, t], [[t[0], 1.0], [2.0, t[1]]], objects([t[0], t[1], 2.0])
    for module in (tg, tg.autograd, tg.nn.init):
        for name in module.__all__:
            f = getattr(module, name)
            if not inspect.isfunction(f) or original(f) in rows or name.endswith("_like"):  # which take its shape
                continue
            for held in lists:
                for args in ((held,), (held, 1), (1, held), (held, held), (3, held), (held, 2, 3)):
                    result = outcome(f, *args)
                    if not isinstance(result, type):
                        assert not lost(result), f"{name}{args}"
                        returned.add(name)
    assert returned == {"full", "geomspace", "linspace", "logspace", "ravel_pytree", "show"}


@pytest.mark.parametrize("name", ["add", "sub", "mul", "truediv", "pow", "matmul"])
def test_operators_record_lists_on_either_side(name):
    """Here the gradient in the other operand is seen; that in a list is that of a Tensor: see above."""
    a, t = np.array([1.0, 2.0, 4.0], np.float32), leaf(3)
    for f in (getattr(operator, name), lambda x, y: getattr(operator, name)(y, x)):
        for held in (list(t), [t[0], t[1], t[2]], objects(list(t))):
            expected, found = f(tg.Tensor(a), t), f(tg.Tensor(a), held)
            assert found.requires_grad
            np.testing.assert_array_equal(found.numpy(), expected.numpy())
            for ours, theirs in zip(gradients(found, [t]), gradients(expected, [t]), strict=True):
                np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-6)


@given(st.data())
def test_values_dtypes_and_shapes_of_lists_are_those_of_stack(data):
    dtypes = st.sampled_from([np.float16, np.float32, np.float64])
    shape = data.draw(st.sampled_from([(), (2,), (2, 3)]))

    def part(depth):
        if depth:
            return [part(depth - 1) for _ in range(2)]
        kind = data.draw(st.sampled_from(["tensor", "recorded", "array", *(["number", "scalar"] * (not shape))]))
        if kind in ("number", "scalar"):
            number = data.draw(st.sampled_from([True, 2, 1.5, np.float64(2.5), np.float32(1.25)]))
            return number if kind == "number" else np.float32(number)
        values = np.arange(np.prod(shape)).reshape(shape).astype(data.draw(dtypes))
        return values if kind == "array" else tg.Tensor(values, requires_grad=kind == "recorded")

    def plain(value):
        if isinstance(value, list):
            return np.stack([plain(v) for v in value])
        return np.asarray(value.numpy() if isinstance(value, tg.Tensor) else value)

    def flat(value):
        return [v for part in value for v in flat(part)] if isinstance(value, list) else [value]

    nested = part(data.draw(st.integers(1, 2)))
    members = flat(nested)
    assume(any(isinstance(v, tg.Tensor) for v in members))
    y = tg.Tensor(nested)
    np.testing.assert_array_equal(y.numpy(), plain(nested).astype(y.dtype))
    arrays = [v.dtype for v in members if isinstance(v, tg.Tensor | np.ndarray)]
    assert y.dtype == np.result_type(*arrays)  # Python and NumPy scalars promote nothing
    assert y.requires_grad == any(isinstance(v, tg.Tensor) and v.requires_grad for v in members)
    with tg.no_grad():
        quiet = tg.mean(nested)
    assert isinstance(quiet, tg.Tensor)
    assert not quiet.requires_grad


def test_a_mean_of_losses_in_a_list():
    w = leaf(2)
    first, second = (w * w).sum(), w.sum()
    tg.mean([first, second]).backward()
    assert w.grad.tolist() == [1.5, 2.5]


def test_an_integer_and_a_float_in_a_list_are_what_numpy_makes_of_them():
    i = tg.Tensor(np.array(2))
    assert tg.Tensor([i, 1]).dtype == np.int64
    assert tg.Tensor([i, 1.5]).dtype == np.float64
    assert tg.Tensor([tg.Tensor(True), False]).dtype == np.bool_


@pytest.mark.parametrize(
    "ragged", [lambda t: [t, [t, t]], lambda t: [t, [1.0, 2.0]], lambda t: [[t], []], lambda t: [leaf(2), leaf(3)]]
)
def test_a_ragged_list_of_tensors_is_an_error(ragged):
    for f in (tg.Tensor, tg.mean, lambda a: tg.ones(2) + a):
        with pytest.raises(ValueError, match="a list that holds Tensors must be full"):
            f(ragged(leaf()))


def test_a_list_of_tensors_and_something_else_is_an_error():
    for other in ("a", None, {}):
        with pytest.raises(TypeError, match="it must hold numbers or Booleans"):
            tg.Tensor([leaf(), other])


@pytest.mark.parametrize(
    "case", [case for case in CASES if any(arg.kind == "float" for arg in case.args)], ids=lambda case: case.name
)
def test_an_operand_of_dtype_object_without_tensors_is_an_error(case):
    arrays = case.draw(Draws(np.random.default_rng(0)))
    for i, a in enumerate(arrays):
        if a.dtype.kind != "f":
            continue
        for others in (arrays, [tg.Tensor(a) for a in arrays]):
            given = list(others)
            given[i] = pickle.loads(pickle.dumps(a.astype(object)))  # whose dtype is another object
            with pytest.raises((TypeError, ValueError)):
                case.call(*given)


def test_the_error_for_dtype_object_says_so():
    for call in (lambda a: tg.add(a, 1.0), lambda a: tg.ones(2) * a, tg.mean, tg.Tensor, tg.norm):
        with pytest.raises(TypeError, match="an array of dtype object is not a valid operand"):
            call(np.array([1.0, 2.0], object))


def test_a_list_of_tensors_in_a_compiled_function_is_traced():
    @tg.compile
    def f(x, y):
        return tg.mean([x.sum(), [y.sum(), 2.0][0], 1.0])

    for k in range(4):  # the fourth is a replay
        x, y = tg.Tensor([1.0 * k, 2.0]), tg.Tensor([3.0, 4.0 + k])
        assert f(x, y).item() == pytest.approx((x.numpy().sum() + y.numpy().sum() + 1) / 3)


# NumPy asks


def t0():
    return leaf()[()]


ASKS = {
    "np.array(t)": lambda t, a: np.array(t),
    "np.asarray(t)": lambda t, a: np.asarray(t),
    "np.array([t, t])": lambda t, a: np.array([t, t]),
    "np.array(t, float)": lambda t, a: np.array(t, np.float64),
    "np.c_[t, t]": lambda t, a: np.c_[t, t],
    "np.r_[t, t]": lambda t, a: np.r_[t, t],
    "a.dot(t)": lambda t, a: a.dot(t),
    "a[...] = t": lambda t, a: a.__setitem__(..., t),
    "a[:] = [t, t, t]": lambda t, a: a.__setitem__(slice(None), [t[0], t[1], t[2]]),
    "masked * t": lambda t, a: np.ma.array(a) * t,
    "t in a masked array": lambda t, a: np.ma.array(t),
    "np.ma.exp(t)": lambda t, a: np.ma.exp(t),
    "np.ma.add(a, t)": lambda t, a: np.ma.add(a, t),
    "np.add(a, [t])": lambda t, a: np.add(a, [t[0], t[1], t[2]]),
    "np.full": lambda t, a: np.full(3, t),
    "np.float32(t)": lambda t, a: np.float32(t[0]),
    "np.testing": lambda t, a: np.testing.assert_allclose([t, t], 1.0),
}


@pytest.mark.parametrize("name", ASKS)
def test_numpy_that_asks_for_the_values_of_a_recorded_tensor_raises(name):
    for t in (leaf(3), leaf(3) * 2):
        with pytest.raises(RuntimeError, match=NAMES_A_REMEDY):
            ASKS[name](t, np.zeros(3, np.float32))


def test_storing_a_tensor_in_one_place_of_an_array_warns():
    a, n, t = np.zeros(3), np.zeros(3, int), t0()
    for array in (a, n):
        for store in (
            "array[0] = t",
            "array[2] += t",
            "array.flat[1] = t",
        ):
            with pytest.raises(
                (UserWarning, RuntimeError, ValueError)
            ) as raised:  # NumPy may put a ValueError before it
                exec(store, {"array": array, "t": t})
            chain = f"{raised.value} {raised.value.__cause__}"
            assert "t.item() if only the value" in chain or "t.detach() or t.numpy()" in chain or "flat" in store
    assert not a.any()
    assert not n.any()
    with tg.no_grad():
        a[0] = t
    a[1] = t.detach()
    a[2] = t.item()
    assert a.tolist() == [1, 1, 1]


ASKS_FOR_A_NUMBER = {
    **{
        f"{name} from": lambda a, t, name=name: getattr(np, name)(a, initial=t)
        for name in ("sum", "prod", "max", "min", "nansum", "nanmax")
    },
    "sum of an array": lambda a, t: a.sum(initial=t),
    "max of an array": lambda a, t: a.max(initial=t),
    "interp left": lambda a, t: np.interp(a, a, a, left=t),
    "interp right": lambda a, t: np.interp(a, a, a, right=t),
    "our interp": lambda a, t: tg.interp(a, a, a, period=t),
    "cov": lambda a, t: tg.cov(np.stack([a, a]), ddof=t),
    "logspace": lambda a, t: np.logspace(0, 1, 3, base=t),
    "our logspace": lambda a, t: tg.logspace(0, 1, 3, base=t),
}


@pytest.mark.parametrize("name", ASKS_FOR_A_NUMBER)
def test_options_that_are_numbers_warn(name):
    """NumPy and ops ask for a Python number, as ``float(t)`` does."""
    a, option = np.arange(1, 4, dtype=np.float32), ASKS_FOR_A_NUMBER[name]
    for t in (t0(), t0() * 2):
        with pytest.raises(
            (UserWarning, TypeError, ValueError)
        ) as raised:  # NumPy may put a ValueError of its own before it
            option(a, t)
        assert re.search("t.item\\(\\)|ddof", f"{raised.value} {raised.value.__cause__}")
    with tg.no_grad():
        expected = option(a, t)
    np.testing.assert_allclose(option(a, t.item()), expected, rtol=1e-6)


@pytest.mark.parametrize(
    "derivative",
    [tg.grad, tg.value_and_grad, tg.jacobian, tg.jacfwd, tg.hessian, lambda f: lambda x: tg.jvp(f, (x,), (1.0,)),
     lambda f: lambda x: tg.vjp(f, x)],
)  # fmt: skip
def test_a_python_float_in_a_function_that_is_differentiated_raises(derivative):
    for f in (lambda x: x * math.sin(x), lambda x: x * float(2 * x)):
        with pytest.raises(RuntimeError, match=r"a Tensor becomes a Python float.* tg\.sin .* x\.item\(\)"):
            derivative(f)(2.0)
    outside = leaf()
    derivative(lambda x: x * x.item() * float(outside.detach()))(2.0)
    with pytest.raises(ZeroDivisionError):
        derivative(lambda x: 1 / 0)(2.0)
    with pytest.warns(UserWarning, match=r"float: .* t\.item\(\)"):
        assert float(outside) == 1  # the functions above have ended


def test_a_constant_in_a_function_that_is_differentiated_is_a_python_float_under_no_grad():
    def f(x):
        with tg.no_grad():
            scale = float(x)
        return x * scale

    assert tg.grad(f)(3.0).item() == 3.0


def test_values_that_are_asked_for_by_name_stay_allowed():
    t = t0() * 2
    assert t.item() == t.tolist() == 2.0
    assert float(t.detach()) == int(t.detach()) == 2
    assert f"{t:.1f}" == "2.0"
    assert "2." in repr(t)
    assert np.array2string(t) == "2."
    view = t.numpy()
    assert not view.flags.writeable
    assert np.allclose(t, 2.0)
    assert np.array_equal(t, 2.0)
    assert np.array_equal(leaf(2), [t0(), t0() * 2])
    with tg.no_grad():
        assert np.array(t) == float(t) == int(t) == complex(t) == 2
    assert np.array(t.detach()) == 2


@pytest.mark.parametrize("t", [t0(), t0() * 2])
@pytest.mark.parametrize("function", [float, int, complex, math.sin, math.floor, lambda t: math.pow(2, t)])
def test_a_python_number_of_a_tensor_that_requires_a_gradient_warns(function, t):
    with pytest.warns(UserWarning, match=r"gradient is lost; use ops.* t\.item\(\)") as caught:
        function(t)
    assert [each.filename for each in caught] == [__file__]


# What each of these gives a number for is no value of the Tensor, or asked for as a Python number, as float(t) is.
EXPLICIT = {
    # each input has a result of its own, and a condition has no derivative
    "atleast_1d", "atleast_2d", "atleast_3d", "broadcast_arrays", "meshgrid", "compress", "extract",

    "float64", "double", "complex64", "complex128", "csingle", "cdouble",  # Python's float and complex with another name
    "fromiter",  # takes Python numbers one by one
    "zeros_like", "ones_like", "empty_like", "full_like", "default_fill_value", "minimum_fill_value", "maximum_fill_value",
    "common_fill_value", "slogdet", "get_state", "set_state",
    "seed", "set_bit_generator", "get_bit_generator",
    "savetxt", "save", "savez", "savez_compressed", "load", "loadtxt", "fromfile", "genfromtxt", "memmap", "test",
    "info", "set_printoptions", "printoptions", "seterr", "seterrcall", "setbufsize", "errstate", "show_config",
    "show_runtime", "array_repr", "array_str", "array2string", "from_dlpack", "frombuffer", "fromstring", "ndarray", "recarray",
    "tri",
}  # fmt: skip
ENTRANCES = [
    lambda f, t, a: f(t),
    lambda f, t, a: f(t[0]),
    lambda f, t, a: f(leaf(3, 3) + np.eye(3, dtype=np.float32)),
    lambda f, t, a: f([t[0], t[1]]),
    lambda f, t, a: f([t, t]),
    lambda f, t, a: f(t, t),
    lambda f, t, a: f(t, a.copy()),
    lambda f, t, a: f(t[0], 2.0),
]
SECOND = [
    lambda f, t, a: f(a > 0, t, a),
    lambda f, t, a: f(2.0, t[0]),
    lambda f, t, a: f(a, t),
    lambda f, t, a: f(a, [t[0], t[1], t[2]]),
]
DTYPE_OR_OPTION_COMES_SECOND = {
    "getdata", "array", "asarray", "asanyarray", "asarray_chkfinite", "ascontiguousarray", "asfortranarray", "asmatrix", "bmat",
    "matrix", "require", "real_if_close", "angle", "split", "array_split", "identity", "empty", "ones", "zeros",
    "nan_to_num", "unique", "masked_array", "MaskedArray", "filled", "masked_invalid", "copy", "vander", "astype",
}  # fmt: skip
NUMPY = {
    f"{module.__name__}.{name}": getattr(module, name)
    for module in (np, np.linalg, np.fft, np.ma, np.random)
    for name in dir(module)
    if not name.startswith("_") and name not in EXPLICIT and callable(getattr(module, name))
    and not (isinstance(getattr(module, name), type) and issubclass(getattr(module, name), BaseException))
}  # fmt: skip


@pytest.mark.parametrize("name", NUMPY)
@pytest.mark.filterwarnings("ignore", "error:.*becomes a Python number")
def test_every_function_of_numpy_records_or_raises(name):
    f, t, a = NUMPY[name], leaf(3) * 2, np.ones(3, np.float32)
    second = [] if name.rpartition(".")[2] in DTYPE_OR_OPTION_COMES_SECOND else SECOND
    for enter in (*ENTRANCES, *second):
        try:
            result = enter(f, t, a)
        except Exception:  # whichever: nothing is lost
            continue
        assert not lost(result), f"{name} gave {result!r}"
    assert a.tolist() == [1, 1, 1], "an array was written to"


# These take a Python number, as float(t) gives it, or no operand.
NO_OPERAND = {"fill", "__setitem__", "__array__", "astype", "view", "getfield", "__deepcopy__", "byteswap", "setfield"}
METHODS = [n for n in dir(np.ndarray) if callable(getattr(np.ndarray, n, None)) and n not in NO_OPERAND]


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.filterwarnings("ignore", "error:.*becomes a Python number")
def test_every_method_of_an_array_records_or_raises(name):
    t = leaf(3) * 2
    for args in ((t,), (t[0],), ([t[0], t[1], t[2]],), ([0, 1, 2], t), (0, t[0])):
        a = np.zeros(3, np.float32)
        try:
            result = getattr(a, name)(*args)
        except Exception:
            result = None
        if len(args) == 1 or name in {"put", "itemset", "__setitem__"}:
            assert not lost(result), f"{name}{args} gave {result!r}"
            assert not a.any()


# In place

IN_PLACE = {
    "+=": operator.iadd, "-=": operator.isub, "*=": operator.imul, "/=": operator.itruediv, "**=": operator.ipow,
    "@=": operator.imatmul, "&=": operator.iand, "|=": operator.ior, "^=": operator.ixor, "//=": operator.ifloordiv,
    "%=": operator.imod, "<<=": operator.ilshift, ">>=": operator.irshift,
}  # fmt: skip
ARITHMETIC = ["+=", "-=", "*=", "/=", "**=", "@="]
FUNCTIONAL = {"+=": "add", "-=": "sub", "*=": "mul", "/=": "truediv", "**=": "pow", "@=": "matmul"}


@pytest.mark.parametrize("sign", ARITHMETIC)
@given(data=st.data())
def test_in_place_operators_write_a_leaf_under_no_grad_as_the_functional_one_computes(sign, data):
    dtype = data.draw(st.sampled_from([np.float32, np.float64]))
    p = leaf(2, 2, dtype=dtype)
    number = data.draw(st.sampled_from([2, 0.5, True, np.float64(1.5)]))
    matrix = np.full((2, 2), 0.5, dtype)
    row = matrix[0]
    others = [matrix, tg.Tensor(matrix), p, row.tolist() if sign != "@=" else matrix.tolist()]
    other = data.draw(st.sampled_from(others if sign == "@=" else [number, row, *others]))
    with tg.no_grad():
        expected = getattr(operator, FUNCTIONAL[sign])(p, other).numpy().astype(dtype)
        memory, same = p.numpy(), p
        p = IN_PLACE[sign](p, other)
    assert p is same
    assert p.requires_grad
    assert p.is_leaf
    assert np.shares_memory(memory, p.numpy())
    np.testing.assert_array_equal(p.numpy(), expected)


@pytest.mark.parametrize("sign", IN_PLACE)
def test_in_place_operators_on_a_leaf_raise_while_calls_are_recorded(sign):
    p = leaf(2, 2)
    values = p.numpy().copy()
    remedy = "no_grad.*optimizer" if sign in ARITHMETIC else "."
    with pytest.raises((RuntimeError, TypeError), match=remedy):
        IN_PLACE[sign](p, p.detach())
    assert p.numpy().tolist() == values.tolist()


@pytest.mark.parametrize("sign", ["&=", "|=", "^="])
def test_an_operator_that_gives_no_floats_does_not_write_a_leaf(sign):
    p = leaf(2)
    with tg.no_grad(), pytest.raises(TypeError):
        IN_PLACE[sign](p, p.detach())
    assert p.tolist() == [1, 2]


@pytest.mark.parametrize("sign", ARITHMETIC)
def test_in_place_operators_on_other_tensors_give_a_new_one(sign):
    w = leaf(2, 2)
    for x in (w * 1, w.detach()):
        before, y = x.numpy().copy(), IN_PLACE[sign](x, w)
        assert y is not x
        assert y.requires_grad
        assert x.numpy().tolist() == before.tolist()


def test_functions_that_are_differentiated_or_recomputed_may_rebind_their_arguments():
    def f(x):
        x += 1
        x *= x
        return x.sum()

    values = np.array([1.0, 2.0], np.float32)
    assert tg.grad(f)(values).tolist() == [4, 6]
    assert tg.grad(f)(tg.Tensor(values, requires_grad=True)).tolist() == [4, 6]
    assert values.tolist() == [1, 2]
    w = leaf(2)
    tg.checkpoint(f, w * 1).backward()
    assert w.grad.tolist() == [4, 6]
    assert w.tolist() == [1, 2]


def test_the_loop_of_the_tutorial_trains():
    x = np.linspace(-1, 1, 20, dtype=np.float32)
    a, b = tg.Tensor(0.0, requires_grad=True), tg.Tensor(0.0, requires_grad=True)
    for _ in range(100):
        loss = tg.mse(a * x + b, 3 * x + 1)
        loss.backward()
        with tg.no_grad():
            a -= 0.5 * a.grad
            b -= 0.5 * b.grad
        a.zero_grad()
        b.zero_grad()
    assert a.item() == pytest.approx(3, abs=1e-3)
    assert b.item() == pytest.approx(1, abs=1e-3)


def test_a_graph_that_saved_a_leaf_refuses_after_an_operator_in_place():
    p = leaf(2)
    y = (p * p).sum()
    with tg.no_grad():
        p -= 0.1
    with pytest.raises(RuntimeError, match="overwritten in place"):
        y.backward()


def test_an_operator_in_place_does_not_change_the_shape_of_a_leaf():
    p = leaf(2)
    with tg.no_grad(), pytest.raises(ValueError, match=r"`\+=` has a result of shape \(3, 2\).*leaf of shape \(2,\)"):
        p += np.ones((3, 2), np.float32)


def test_an_operator_in_place_does_not_change_the_dtype_of_a_leaf():
    p = leaf(2)
    with tg.no_grad(), pytest.raises(TypeError, match=r"`\*=` has a result of complex64, which cannot be written"):
        p *= 1j


def test_a_compiled_step_repeats_operators_in_place():
    def step(p, x):
        loss = ((p * x) ** 2).sum()
        loss.backward()
        with tg.no_grad():
            p -= 0.1 * p.grad
        p.zero_grad()
        return loss

    eager, compiled = leaf(2), leaf(2)
    program = tg.compile(lambda x: step(compiled, x))
    for k in range(4):
        x = np.array([0.5, 0.25 * k], np.float32)
        assert program(x).item() == step(eager, x).item()
        assert compiled.tolist() == eager.tolist()


def test_an_array_is_not_written_in_place_by_a_tensor():
    for sign in ARITHMETIC:
        a = np.ones((2, 2), np.float32)
        with pytest.raises((TypeError, RuntimeError)):
            IN_PLACE[sign](a, leaf(2, 2))
        assert a.tolist() == [[1, 1], [1, 1]]


# Constructors


def test_a_leaf_made_from_a_recorded_tensor_warns():
    w = leaf(2)
    for data in (w * 2, w, [w[0], w[1]], [w, w], objects([w, w])):
        with pytest.warns(UserWarning, match=r"give data.detach\(\)") as caught:
            made = tg.Tensor(data, requires_grad=True)
        assert caught[0].filename == __file__
        assert made.is_leaf
        with pytest.warns(UserWarning, match="Parameter") as caught:
            nn.Parameter(data)
        assert caught[0].filename == __file__
    with pytest.warns(UserWarning, match="data"):
        tg.full(2, w[0], requires_grad=True)
    assert tg.Tensor((w * 2).detach(), requires_grad=True).is_leaf


def test_a_tensor_of_a_recorded_one_is_recorded():
    w = leaf(2)
    for made in (tg.Tensor(w), tg.Tensor(w * 1, dtype=np.float64), tg.Tensor([w, w]), tg.full((3, 2), w), tg.full(2, w[0]),
                 tg.full_like(w, w[0]), tg.full(2, [w[0], w[1]])):  # fmt: skip
        assert made.requires_grad
        assert not np.shares_memory(made.numpy(), w.numpy())
        assert tg.gradients(made.sum(), w)[0].numpy().any()
    assert not nn.Parameter(w, requires_grad=False).requires_grad
    assert not tg.Tensor(w, dtype=np.int64).requires_grad


def test_requires_grad_is_given_by_keyword_only():
    for call in (lambda: tg.Tensor(2, 3), lambda: nn.Parameter(2, False), lambda: tg.from_numpy(np.ones(2), True),
                 lambda: tg.full(2, 1.0, np.float32, True), lambda: tg.zeros_like(tg.ones(2), None, True),
                 lambda: tg.from_dlpack(np.ones(2), True)):  # fmt: skip
        with pytest.raises(TypeError, match="positional argument|by position"):
            call()


# Modules


def test_modules_called_with_arrays_return_tensors():
    a = np.ones((2, 3), np.float32)

    class Parts(nn.Module):
        def forward(self, x):
            assert isinstance(x, np.ndarray)
            return x * 2, [x], {"x": x}, x.sum(), "text"

    doubled, listed, named, total, text = Parts()(a)
    assert isinstance(doubled, tg.Tensor)
    assert isinstance(total, tg.Tensor)
    assert listed[0] is a
    assert named["x"] is a
    assert text == "text"
    for layer in (nn.ReLU(), nn.Flatten(), nn.Identity(), nn.Dropout().eval(), nn.Sequential(nn.Tanh(), nn.ReLU())):
        y = layer(a)
        assert isinstance(y, tg.Tensor)
        assert y.dtype == np.float32


def test_layers_record_lists():
    w = leaf(2, 3)
    for layer in (
        nn.Linear(3, 2),
        nn.ReLU(),
        nn.Flatten(),
        nn.LayerNorm(3),
        nn.BatchNorm1d(3),
        nn.Unflatten(1, (3, 1)),
    ):
        assert tg.gradients(layer(list(w)).sum(), w)[0].shape == (2, 3)
