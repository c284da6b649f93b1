"""Many parts of one array: their gradients are added into one array in place, with the bits that whole arrays have."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn.compile import parts, walks
from tinygrad_cnn.compile.rules import Call, Value
from tinygrad_cnn.ops import index as indexing
from tinygrad_cnn.ops.elementwise import add

from ..graphs import programs_of

VALUES = np.array([0.0, -0.0, 1.0, -1.0, 0.1, 7.0, 3.3e-3])


def drawn_index(rng, shape):
    """An index of some kind for an array of this shape."""
    n = shape[0]
    kinds = [
        lambda: int(rng.integers(-n, n)),
        lambda: slice(*sorted(rng.integers(0, n + 1, 2).tolist())),
        lambda: slice(None, None, -1),
        lambda: rng.integers(-n, n, rng.integers(0, 5)),  # numbers that may repeat
        lambda: rng.permutation(n)[: rng.integers(0, n + 1)],
        lambda: rng.random(n) > 0.5,
        lambda: (..., None, int(rng.integers(0, shape[-1]))),
        lambda: (slice(None), rng.integers(0, shape[1], 3)) if len(shape) > 1 else (),
        lambda: rng.random(shape) > 0.5,
    ]
    return kinds[rng.integers(len(kinds))]()


def drawn_program(seed):
    """A function of nothing that gives the gradient of x in a sum of weighted parts of x, or of x times -1, among sums of the
    whole; and this gradient by a loop."""
    rng = np.random.default_rng(seed)
    shape = tuple(rng.integers(1, 5, rng.integers(1, 4)).tolist())
    dtype = rng.choice([np.float32, np.float64])
    a = rng.choice(VALUES, shape).astype(dtype)
    a = np.asfortranarray(a) if rng.random() < 0.3 else a
    sign = rng.choice([1.0, -1.0])
    terms = []
    expected = np.zeros(shape)
    for _ in range(rng.integers(1, 9)):
        kind = rng.integers(5)
        i = drawn_index(rng, shape) if kind < 3 else ()
        w = rng.choice(VALUES, a[i].shape).astype(dtype) if kind < 4 else None
        terms.append((i, w))
        np.add.at(expected, i, 2 * sign * a[i].astype(np.float64) if w is None else w.astype(np.float64))

    def loss(x):
        h = x if sign == 1 else x * dtype(-1)
        total = None
        for i, w in terms:
            term = (h.T * h.T).sum() if w is None else (h[i] * w).sum()
            total = term if total is None else total + term
        return total

    def gradient(**more):
        x = tg.Tensor(a, requires_grad=True)
        return tg.gradients(loss(x), x, **more)[0].numpy()

    return gradient, sign * expected


@pytest.mark.parametrize("seed", range(400))
def test_gradients_of_parts_have_the_bits_of_sums_of_whole_arrays(seed):
    """In place, with rules that are given Tensors, under a tracer that is told of the rules, and compiled."""
    gradient, expected = drawn_program(seed)
    found = gradient()
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    others = [gradient(create_graph=True)]
    with tg.detect_anomaly():
        others.append(gradient())
    repeated = tg.compile(gradient)
    others += [repeated() for _ in range(4)]
    assert [other.tobytes() for other in others] == [found.tobytes()] * 6


@pytest.mark.parametrize("behind", [lambda x: x, lambda x: x * 2.0], ids=["leaf", "node"])
def test_n_parts_are_not_n_whole_arrays(behind, monkeypatch):
    whole = []
    add = indexing.add_at_zeros
    monkeypatch.setattr(indexing, "add_at_zeros", lambda *given, **named: whole.append(1) or add(*given, **named))
    x = tg.Tensor(np.arange(50.0), requires_grad=True)
    y = behind(x)
    sum((part * k for k, part in enumerate(y)), tg.zeros(())).backward()
    np.testing.assert_array_equal(x.grad.numpy(), np.arange(50.0) * (1 if y is x else 2))
    assert len(whole) == 1


def test_second_derivatives_of_parts():
    def f(x):
        return sum((x[i] * x[i - 1] ** 2 for i in range(6)), tg.zeros(()))

    a = np.linspace(-1.0, 2.0, 6)
    expected = np.zeros((6, 6))
    for i in range(6):
        expected[i - 1, i - 1] += 2 * a[i]
        expected[[i, i - 1], [i - 1, i]] += 2 * a[i - 1]
    np.testing.assert_allclose(tg.hessian(f)(tg.Tensor(a)).numpy(), expected, rtol=1e-12, atol=1e-12)
    tg.testing.assert_gradients(f, a, order=3)


def test_what_a_hook_kept_of_a_part_is_its_own():
    x = tg.Tensor(np.zeros(4), requires_grad=True)
    y, kept = x * 1.0, []
    y.register_hook(lambda g: kept.append(g))
    parts = [y[i] for i in range(4)]
    parts[2].register_hook(lambda g: kept.append(g))
    (sum(p * (i + 1.0) for i, p in enumerate(parts)) + (y * 10).sum()).backward()
    assert [np.asarray(k).tolist() for k in kept] == [3.0, [11.0, 12.0, 13.0, 14.0]]
    assert x.grad.tolist() == [11.0, 12.0, 13.0, 14.0]


@pytest.mark.parametrize("behind", [lambda x: x, lambda x: x * 2.0], ids=["leaf", "node"])
def test_a_program_adds_parts_in_place(behind):
    a = np.arange(12.0).reshape(4, 3)
    x = tg.Tensor(a, requires_grad=True)

    @tg.compile
    def step(weights):
        x.zero_grad()
        y = behind(x)
        of_y = [*y, y[..., 0], y[::-1, None, 1], y[2, 1:], y[:]]
        sum(((part * w).sum() for part, w in zip(of_y, weights, strict=True)), tg.zeros(())).backward()

    for k in range(4):
        step([float(k + i) for i in range(8)])
        by_row = np.arange(4.0)[:, None] + k + (k + 7)
        expected = by_row + np.array([k + 4, k + 5, 0]) + np.outer([0, 0, 1, 0], [0, k + 6, k + 6])
        np.testing.assert_array_equal(x.grad.numpy(), expected * behind(1.0))
    described = step.describe()
    assert described.count("= add_at(") == 7
    assert described.count("= add_at_zeros(") == 1


def test_a_sum_that_something_else_reads_is_not_overwritten():
    a = np.arange(4.0)
    x = tg.Tensor(a, requires_grad=True)

    @tg.compile
    def step():
        y = x * 1.0
        z = y[:]
        return tg.gradients((y[1:] * 3.0).sum() + (y[:2] * 2.0).sum() + (z * z).sum(), [x, z, y])

    for _ in range(4):
        in_x, in_z, in_y = (g.numpy() for g in step())
        np.testing.assert_array_equal(in_z, 2 * a)
        np.testing.assert_array_equal(in_y, 2 * a + [2, 5, 3, 3])
        np.testing.assert_array_equal(in_x, in_y)


@pytest.mark.parametrize("begins_with_zero", [True, False])
def test_zeros_are_added_to_a_sum_that_may_hold_minus_zero(begins_with_zero):
    def call(op, *inputs, **params):
        read = [x for x in inputs if isinstance(x, Value)]
        return Call(op.name, inputs, params, read, (Value(np.zeros(3), "call"),), op)

    g, part = Value(np.zeros(3), "root"), Value(np.zeros(1), "root")
    first = call(add.op, g, 0.0 if begins_with_zero else -0.0)
    zeros = call(indexing.add_at_zeros.op, part, index=1, shape=(3,))
    calls = [first, zeros, call(add.op, first.made[0], zeros.made[0])]
    names = [call.name for call in parts.added(calls, [])]
    assert names == (["add", "add_at"] if begins_with_zero else ["add", "add_at_zeros", "add"])


@pytest.mark.parametrize(("n", "programs"), [(40, 1), (41, 0)])
def test_a_walk_through_very_many_parts_of_an_array_at_arrays_is_plain(n, programs, monkeypatch):
    monkeypatch.setattr(walks, "MOST_PARTS", 40)
    x = tg.Tensor(np.arange(50.0), requires_grad=True)
    indices = [np.array([i]) for i in range(n)]

    @tg.compile
    def step():
        x.zero_grad()
        sum((x[i].sum() for i in indices), tg.zeros(())).backward()

    for _ in range(4):
        step()
        assert x.grad.sum().item() == n
    assert len(programs_of(step)) == programs
