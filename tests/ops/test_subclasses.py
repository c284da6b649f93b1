"""Operands of subclasses of ndarray: they count as plain arrays, and masked arrays are refused."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn.testing.cases import Case, Draws

from ..rows import CASES

pytestmark = pytest.mark.filterwarnings("ignore:the matrix subclass")


class Other(np.ndarray):
    """An array whose operators mean something else."""

    def __mul__(self, other):
        return np.zeros(self.shape)

    __rmul__ = __add__ = __radd__ = __matmul__ = __sub__ = __pow__ = __mul__


def disguised(a):
    """`a` in a class of its own: np.matrix, whose product is that of matrices, where it can be."""
    return a.view(np.matrix) if a.ndim == 2 else a.view(np.recarray) if a.ndim == 1 else a.view(Other)


SEVERAL = [case for case in CASES if len(case.args) > 1 and case.order and case.via is Case.via]


@pytest.mark.part(40)
@pytest.mark.parametrize("case", SEVERAL, ids=lambda case: case.function.__name__)
def test_every_op_takes_them_as_plain_arrays(case):
    arrays = list(case.draw(Draws(np.random.default_rng(0))))
    if not all(isinstance(a, np.ndarray) and a.dtype.kind == "f" for a in arrays):
        pytest.skip("other operands than arrays")
    for i in range(len(arrays)):
        found = []
        for as_given in (lambda a: a, disguised, lambda a: a.view(Other)):
            x = tg.Tensor(arrays[i], requires_grad=True)
            y = case.call(*[x if j == i else as_given(a) for j, a in enumerate(arrays)])
            if not isinstance(y, tg.Tensor) or not y.requires_grad:
                return
            (g,) = tg.gradients(y, x, np.cos(np.arange(y.size)).reshape(y.shape).astype(y.dtype), allow_unused=True)
            found.append((y, y if g is None else g))
            assert {type(t.numpy()) for t in found[-1]} == {np.ndarray}
        for y, g in found[1:]:
            np.testing.assert_array_equal(y.numpy(), found[0][0].numpy())
            np.testing.assert_array_equal(g.numpy(), found[0][1].numpy())


X = np.array([[1.0, 2.0], [3.0, 4.0]])


def test_what_a_sparse_matrix_becomes_is_multiplied_element_by_element():
    x = tg.Tensor(X, requires_grad=True)
    (tg.relu(x) * np.matrix(X)).sum().backward()
    assert x.grad.tolist() == X.tolist()


@tg.op
def hidden(a):
    return np.ma.array(a, mask=a > 2)


def with_rule(rule):
    """The gradient in X by an op's rule."""

    @tg.op
    def twice(a):
        return a * 2

    twice.vjp(a=rule)
    x = tg.Tensor(X, requires_grad=True)
    twice(x).sum().backward()
    return x.grad


def with_hook(hook):
    x = tg.Tensor(X, requires_grad=True)
    x.register_hook(hook)
    (x * 1).sum().backward()


class Gives(tg.nn.Module):
    """A module whose output is given."""

    def __init__(self, output):
        super().__init__()
        self.output = output

    def forward(self, x):
        return self.output


@pytest.mark.parametrize(
    "call",
    [
        lambda x, m: x * m,
        lambda x, m: tg.where(m > 1, x, m),
        lambda x, m: tg.stack([x, m]),
        lambda x, m: tg.exp(m),
        lambda x, m: tg.Tensor(m),
        lambda x, m: tg.from_numpy(m),
        lambda x, m: x[m > 1],
        lambda x, m: tg.mse(x, m),
        lambda x, m: x.copy_(m),
        lambda x, m: tg.grad(lambda y: (y * y).sum())(m),
        lambda x, m: tg.cross_entropy(x, m[0].astype(int)),
        lambda x, m: tg.compile(lambda y: y)(m),
        lambda x, m: Gives(m)(x),
        lambda x, m: hidden(x),
        lambda x, m: with_rule(lambda g: np.ma.array(g, mask=g > 0)),
        lambda x, m: with_hook(lambda g: m),
        lambda x, m: tg.data.TensorDataset(m),
        lambda x, m: tg.data.collate([(m, 1)]),
        lambda x, m: [*tg.data.DataLoader([0, 1], batch_size=2, collate=lambda items: (m,))],
    ],
)
def test_a_masked_array_is_refused(call):
    with pytest.raises(TypeError, match=r"masked array.*a\.filled\(0\)"):
        call(tg.Tensor(X), np.ma.array(X, mask=[[True, False], [False, False]]))


def test_a_masked_array_is_no_state():
    with pytest.raises(ValueError, match=r"'bias' is not an array: a masked array, whose mask would be lost"):
        tg.nn.Linear(2, 2).load_state_dict(
            {"weight": np.ones((2, 2), "f4"), "bias": np.ma.array([1.0, 2.0], "f4", mask=1)}
        )


@pytest.mark.parametrize("kind", [np.matrix, np.recarray, np.memmap])
def test_a_gradient_of_a_subclass_counts_as_a_plain_array(kind):
    assert with_rule(lambda g: (2 * g).view(kind)).tolist() == np.full(X.shape, 2).tolist()
