"""``x[i] = v``: x gets the value of ``index_set``; what shares its old memory is out of date, and an error."""

from __future__ import annotations

import gc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_cnn as tg
from tinygrad_cnn import nn
from tinygrad_cnn.core import tracing
from tinygrad_cnn.ops import replaced

from .assignments import draw, index_set, loss, run

RNG = np.random.default_rng(3)
A, B = RNG.uniform(0.5, 1.5, 3), RNG.uniform(0.5, 1.5, (2, 3))
START = [A, B, np.zeros(3), np.arange(6.0).reshape(2, 3), np.array(0.5)]


def start(a, b):
    """The first variables of a program: copies of its arguments, and three constants."""
    return [a * 1.0, b * 1.0, *(tg.Tensor(value) for value in START[2:])]


@st.composite
def programs(draw_, steps=9):
    return draw(lambda options: options[draw_(st.integers(0, len(options) - 1))], START, steps)


@pytest.fixture(autouse=True)
def nothing_stays():
    yield
    gc.collect()
    assert replaced.left == {}
    tg.zeros(1) + 1  # the next op stops looking
    assert tracing.watchers == []


@given(programs())
def test_values_are_those_of_numpy_and_what_shares_memory_is_an_error(drawn):
    program, stale = drawn
    with tg.no_grad():
        expected = run(program, start(tg.Tensor(A), tg.Tensor(B)), index_set)
        found = run(program, start(tg.Tensor(A), tg.Tensor(B)))
    for x, y, is_stale in zip(found, expected, stale, strict=True):
        if is_stale:
            for use in (lambda x=x: x * 1.0, x.numpy, lambda x=x: x.copy_(0.0), lambda x=x: tg.stack([x])):
                with pytest.raises(RuntimeError, match="shares memory with a Tensor x that got a new value"):
                    use()
        else:
            np.testing.assert_array_equal(x.numpy(), y.numpy())


@given(programs())
def test_gradients_are_those_of_index_set(drawn):
    def slopes(put):
        a, b = tg.Tensor(A, requires_grad=True), tg.Tensor(B, requires_grad=True)
        total = loss(*drawn, start(a, b), put) + a.sum() + b.sum()
        total.backward()
        return total, a.grad, b.grad

    for x, y in zip(slopes(None), slopes(index_set), strict=True):
        np.testing.assert_allclose(x.numpy(), y.numpy(), rtol=1e-12, atol=1e-12)


MODES = {
    "grad": lambda f: tg.grad(f, (0, 1))(A, B),
    "jvp": lambda f: tg.jvp(f, (A, B), (B[0], B[::-1].copy())),
    "hvp": lambda f: tg.hvp(f, (A, B), (B[0], B[::-1].copy())),
    "vmap": lambda f: tg.vmap(f)(np.stack([A, 2 * A]), np.stack([B, B / 2])),
    "vmap of grad": lambda f: tg.vmap(tg.grad(f, (0, 1)))(np.stack([A, 2 * A]), np.stack([B, B / 2])),
    "compiled": lambda f: [tg.compile(tg.value_and_grad(f, (0, 1)))(tg.Tensor(A * k), tg.Tensor(B)) for k in (1, 2)],
    "anomaly": lambda f: within(tg.detect_anomaly(), lambda: tg.grad(f, (0, 1))(A, B)),
}


few = settings(max_examples=max(2, settings.default.max_examples // 4))


def within(context, f):
    with context:
        return f()


@pytest.mark.parametrize("mode", MODES)
@few
@given(programs())
def test_transforms_of_programs(mode, drawn):
    found, expected = (MODES[mode](lambda a, b, put=put: loss(*drawn, start(a, b), put)) for put in (None, index_set))
    np.testing.assert_allclose(tg.ravel_pytree(found)[0], tg.ravel_pytree(expected)[0], rtol=1e-10, atol=1e-10)


def test_a_loop_records():
    w, y = tg.Tensor([1.0, 2.0], requires_grad=True), tg.zeros(3)
    for i in range(1, 3):
        y[i] = y[i - 1] + w[i - 1] ** 2
    y[1] += 1
    y[2:] *= w[0]
    y.sum().backward()
    assert (y.tolist(), w.grad.tolist()) == ([0, 2, 5], [9, 4])  # w0^2 + 1 + (w0^2 + w1^2) w0
    assert replaced.left == {}


def test_a_mask_an_axis_in_front_and_lists():
    x, t = tg.zeros(2, 3), tg.Tensor(2.0, requires_grad=True)
    x[x.numpy() == 0] = 1
    x[0] = np.ones((1, 1, 3), np.float32) * 4
    x[1, :2] = [t, 2 * t]
    x[tg.Tensor(np.array([False, True])), 2] = t * t
    x.sum().backward()
    assert (x.tolist(), t.grad.item()) == ([[4, 4, 4], [2, 4, 4]], 7)


def test_what_a_graph_saved_stays():
    w = tg.Tensor([1.0, 2.0], requires_grad=True)
    x = tg.Tensor([3.0, 4.0])
    y = x * w
    x[0] = 100.0
    (y * y).sum().backward()
    assert w.grad.tolist() == [18, 64]
    g = tg.grad(lambda w: doubly(w))(w.detach())
    (h,) = tg.gradients(doubly(w), w, create_graph=True)
    assert h.tolist() == g.tolist() == [3, 16]
    slope = tg.grad(lambda w: tg.jvp(doubly, (w,), (tg.ones(2),))[1])  # forward mode, recorded
    assert slope(w.detach()).tolist() == [6, 14]


def doubly(w):
    y = w * w
    z = y * w
    y[0] = 7.0
    return (z + y).sum()


@pytest.mark.parametrize(
    "view",
    [
        lambda x: x[1:],
        lambda x: x.reshape(3, 1),
        lambda x: x.detach(),
        lambda x: x.T,
        lambda x: tg.broadcast_to(x, (2, 3)),
    ],
)
def test_a_view_from_before_is_an_error_and_its_base_too(view):
    for assigned in (0, 1):
        x = tg.Tensor([1.0, 2.0, 3.0])
        pair = (x, view(x))
        pair[assigned][...] = 5.0
        assert (pair[assigned].numpy() == 5).all()
        with pytest.raises(RuntimeError, match=r"tinygrad_cnn\.index_set"):
            pair[1 - assigned] + 1
        assert (view(pair[assigned]).numpy() == 5).all()
        del pair, x
        assert replaced.left == {}


USES = {
    "item": lambda v: v[0].item(), "float": lambda v: float(v[0]), "numpy": lambda v: v.numpy(), "list": lambda v: v.tolist(),
    "repr": repr, "array": np.asarray, "NumPy": np.sin, "stack": lambda v: tg.stack([v, v]), "operator": lambda v: 2 * v,
    "inside a list": lambda v: tg.sum([v, v]), "detach": lambda v: v.detach() + 1, "copy": lambda v: tg.Tensor(v),
    "copy_": lambda v: v.copy_(0), "copy_ from it": lambda v: tg.zeros(2).copy_(v), "assign": lambda v: v.__setitem__(0, 1.0),
    "assign it": lambda v: tg.zeros(2).__setitem__(slice(None), v), "iterate": list, "contains": lambda v: 1.0 in v,
    "index": lambda v: tg.zeros(3)[v.astype(int)], "vmap": lambda v: tg.vmap(lambda s: s + 1)(v),
    "grad": lambda v: tg.grad(lambda t: (t * t).sum())(v), "full": lambda v: tg.full((2,), v),
    "DLPack": np.from_dlpack, "where": lambda v: tg.where(np.array([True, False]), v, 0.0),
    "compiled": lambda v: tg.compile(lambda t: t * 2)(v),
    "no_grad": lambda v: within(tg.no_grad(), lambda: v + 1),
}  # fmt: skip


@pytest.mark.parametrize("use", USES)
def test_no_use_of_what_is_out_of_date(use):
    x = tg.Tensor([1.0, 2.0, 3.0])
    v = x[1:]
    x[0] = 5.0
    with pytest.raises(RuntimeError, match="shares memory with a Tensor x that got a new value"):
        USES[use](v)


def test_backward_from_what_is_out_of_date():
    w = tg.Tensor([1.0, 2.0], requires_grad=True)
    x = w * 2
    v = x[:1]
    x[0] = 5.0
    for call in (v.backward, lambda: tg.gradients(v, w)):
        with pytest.raises(RuntimeError, match="shares memory"):
            call()


def test_part_of_the_memory_and_what_is_made_after():
    x = tg.arange(6.0)
    left, right = x[:3], x[3:]
    left[0] = 9.0
    assert right.tolist() == [3, 4, 5]
    assert (left[:2] * 2).tolist() == [18, 2]
    with pytest.raises(RuntimeError, match="shares memory"):
        x.sum()


def test_leaves_that_require_a_gradient():
    w = tg.Tensor([1.0, 2.0], requires_grad=True)
    y = (w * w).sum()
    with pytest.raises(RuntimeError, match="leaf that requires a gradient"):
        w[0] = 3.0
    array = w.numpy()
    with tg.no_grad():
        w[0] = 3.0
        w[1] += 1
    assert (w.tolist(), array.tolist(), w.is_leaf, w.requires_grad) == ([3, 3], [3, 3], True, True)
    with pytest.raises(RuntimeError, match="overwritten in place"):
        y.backward()


def test_under_no_grad_a_graph_is_not_lost():
    w = tg.Tensor([1.0, 2.0], requires_grad=True)
    y = w * 2
    with tg.no_grad(), pytest.raises(RuntimeError, match="would lose the graph of x, which is the result of `mul`"):
        y[0] = 1.0
    assert y.tolist() == [2, 4]
    with tg.no_grad():
        z = w * 2
        z[0] = w[1]
    assert (z.tolist(), z.requires_grad) == ([2, 4], False)


@pytest.mark.parametrize("part", [lambda x: x, lambda x: x[1:], lambda x: x.reshape(-1)])
def test_arguments_of_transforms_are_not_assigned_to(part):
    def f(x):
        part(x)[0] = 1.0
        return (x * x).sum()

    x = np.ones((2, 2))
    for call in (
        lambda: tg.grad(f)(x), lambda: tg.hessian(f)(x), lambda: tg.jvp(f, (x,), (x,)), lambda: tg.vmap(f)(x[None]),
        lambda: tg.vmap(f, in_axes=(0,))(x[None]), lambda: tg.vmap(lambda s, y: f(y), in_axes=(0, None))(x, tg.Tensor(x)),
    ):  # fmt: skip
        with pytest.raises(RuntimeError, match=r"assign to a copy, x = x.copy\(\)"):
            call()
    assert (x == 1).all()


def test_vmap_does_not_assign_outside():
    outside = tg.zeros(2)

    def f(s):
        outside[0] = s
        return s

    with pytest.raises(ValueError, match="assigns to a Tensor from outside"):
        tg.vmap(f)(np.arange(3.0, dtype=np.float32))
    assert outside.tolist() == [0, 0]
    view = outside.detach()

    def returns(s):
        outside[0] = s
        return outside

    with pytest.raises(ValueError, match="assigns to a Tensor from outside"):
        tg.vmap(returns)(np.arange(3.0, dtype=np.float32))
    assert (outside + 1).tolist() == (view + 1).tolist() == [1, 1]


def test_vmap_of_a_constant_and_of_an_index_that_differs():
    def f(s, i):
        y = tg.zeros(3, dtype=np.float64)
        before = y + s
        y[i] = s
        return before + y

    found = tg.vmap(f)(np.array([1.0, 2.0]), np.array([0, 2]))
    assert found.tolist() == [[2, 1, 1], [2, 2, 4]]


def test_checkpoint_refuses():
    def f(x):
        y = x * 2
        y[0] = 1.0
        return y

    with pytest.raises(RuntimeError, match="a function under checkpoint runs twice"):
        tg.checkpoint(f, tg.Tensor([1.0, 2.0], requires_grad=True))


def test_compiled_functions_run_as_written():
    table = tg.zeros(4)

    @tg.compile
    def step(x, assigns):
        y = (x * 2).relu()
        part = y[1:]
        if assigns:
            y[0] = x[1]
            table[1] = float(x[0])
            with pytest.raises(RuntimeError, match="shares memory"):
                part + 1
        return y * y

    held = []
    for k in range(8):
        x = tg.Tensor(np.array([1.0, 2.0, 3.0]) + k)
        expected = x.numpy() * 2
        if k >= 5:
            expected[0] = x.numpy()[1]
        y = step(x, k >= 5)
        np.testing.assert_array_equal(y.numpy(), expected**2)
        held.append((y, expected**2))
    assert table.tolist() == [0, 8, 0, 0]
    for y, values in held:
        np.testing.assert_array_equal(y.numpy(), values)


def test_a_compiled_function_that_assigns_gives_its_memory_back():
    def f(x):
        y = tg.zeros(3, dtype=x.dtype)
        y[0] = x[0]
        y[1:] = x[1:] * x[0]
        y[0] *= y[2]
        return (y * y).sum()

    slopes = tg.compile(tg.value_and_grad(f))
    for k in range(4):
        x = tg.Tensor(np.array([1.0, 2.0, 3.0]) + k)
        np.testing.assert_allclose(slopes(x)[1], tg.grad(f)(x))
        assert replaced.left == {}


def test_results_of_compiled_functions():
    step = tg.compile(lambda x: (x * 2).exp())
    for k in range(6):
        x = tg.Tensor(np.linspace(0, 1, 3) + k)
        y = step(x)
        np.testing.assert_array_equal(y.numpy(), np.exp(x.numpy() * 2))
        view = y[1:]
        y[0] = 7.0
        assert y[0].item() == 7
        with pytest.raises(RuntimeError, match="shares memory"):
            view.sum()
        del view
    del y
    step(x)
    assert replaced.left == {}


def test_a_compiled_function_sees_what_is_out_of_date():
    step = tg.compile(lambda x: x * 2)
    x = tg.Tensor([1.0, 2.0])
    for _ in range(4):
        step(x)
    v = x.detach()
    v[0] = 3.0
    with pytest.raises(RuntimeError, match="shares memory"):
        step(x)
    del x
    assert step(v).tolist() == [6, 4]


def test_optimizers_and_modules_follow():
    w = tg.Tensor([1.0, 2.0], requires_grad=True)
    optimizer = tg.optim.SGD([w], lr=0.5)
    for _ in range(3):
        w.grad = tg.ones(2)
        optimizer.step()
    w.requires_grad = False
    w[0] = 10.0
    w.requires_grad = True
    w.grad = tg.ones(2)
    optimizer.step()
    assert w.tolist() == [9.5, 0.0]

    norm = nn.BatchNorm1d(2)
    norm.running_mean[0] = 4.0
    assert norm.state_dict()["running_mean"].tolist() == [4, 0]
    norm.eval()
    assert norm(tg.Tensor([[4.0, 0.0]])).numpy() == pytest.approx(np.zeros((1, 2)))


def test_shown_as_it_is():
    def f(w):
        y = w * 2
        z = y.sum()
        y[0] = w[1]
        plain = tg.ones(2) * 3
        plain[1] = 5.0
        return z + (y * plain).sum()

    nodes = tg.show(f, tg.Tensor([1.0, 2.0], requires_grad=True)).data["nodes"]
    (product,) = [
        node for node in nodes if node["op"] == "mul" and node["requires_grad"] and not node["inputs"][1].get("text")
    ]
    assert [nodes[given["node"]]["op"] for given in product["inputs"]] == ["assign", "assign"]


def test_wrong_assignments_change_nothing():
    x = tg.zeros(2, 3)
    for key, value, error, message in [
        (5, 1.0, IndexError, r"out of bounds .*shape \(2, 3\)"),
        (0, np.ones(2, np.float32), ValueError, "does not broadcast to the selection's shape"),
        ((0, slice(0)), np.ones((2, 0)), ValueError, "does not broadcast to the selection's shape"),
        ((0, 0), np.ones(1, np.complex128), TypeError, "cannot hold"),
        ("a", 1.0, IndexError, "only integers"),
    ]:
        with pytest.raises(error, match=message):
            x[key] = value
    with pytest.raises(TypeError, match="cannot hold values of float"):
        tg.arange(3)[0] = np.array([1.5])
    with pytest.raises(OverflowError):
        tg.Tensor(np.zeros(2, np.uint8))[0] = 256
    assert x.tolist() == [[0] * 3] * 2


@pytest.mark.parametrize("dtype", [np.int64, np.uint8, bool])
def test_a_fraction_is_not_cut_off(dtype):
    x = tg.Tensor(np.ones(2, dtype))
    with pytest.raises(TypeError, match="cannot hold values of float64"):
        x[0] = 1.5
    assert x.tolist() == [1, 1]


def test_python_numbers_take_the_dtype():
    for dtype in (np.uint8, np.int16, np.float16, np.bool_):
        x = tg.Tensor(np.zeros(2, dtype))
        x[0] = True
        if dtype != np.bool_:
            x[1] = 7
        assert (x.dtype, x.tolist()) == (dtype, [1, 0 if dtype == np.bool_ else 7])


def test_arrays_have_not_changed_and_make_new_tensors():
    data = np.arange(12.0).reshape(6, 2)
    loader = tg.data.DataLoader(list(range(4)), batch_size=2, collate=lambda items: (data,))
    step = tg.compile(assigning)
    for _ in range(3):
        for (x,) in loader:
            np.testing.assert_array_equal(x.numpy(), data)
            x[:, 0] = -1.0
        for _ in range(3):
            assert step(tg.Tensor(data)).numpy().sum() == data[:, 1].sum()
            with pytest.raises(RuntimeError, match="stands for an array that a compiled function was given"):
                step(data)
    assert data[0].tolist() == [0, 1]


def assigning(x):
    x[:, 0] = 0.0
    return x * 1.0


def test_a_checkpoint_runs_again_on_what_it_was_given():
    w = tg.Tensor([1.0, 2.0], requires_grad=True)
    x = w * 2
    y = tg.checkpoint(lambda x: x * x, x)
    x[0] = 5.0
    y.sum().backward()
    assert w.grad.tolist() == [8, 16]


def test_memory_of_a_file_is_refused(tmp_path):
    array = np.memmap(tmp_path / "file", np.float32, "w+", shape=(4,))
    x = tg.from_numpy(np.frombuffer(bytearray(16), np.float32))
    with pytest.raises(RuntimeError, match="shares the memory of another library or of a file"):
        x[0] = 1.0
    assert x.tolist() == [0] * 4
    del array


def test_nothing_is_looked_at_where_nobody_assigns(monkeypatch):
    monkeypatch.setattr(replaced, "check", None)
    w = tg.Tensor([1.0, 2.0], requires_grad=True)
    y = tg.zeros(2)
    y[0] = w[0]
    (y * w).sum().backward()
    assert w.grad.tolist() == [2, 0]
