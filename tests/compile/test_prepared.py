"""Networks large enough for prepared kernels, for threads and for work in the background leave the bits of eager, too."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import optim
from tinygrad_cnn.kernels import threads

CHANNELS = 16


@pytest.fixture(autouse=True)
def as_many_threads():
    before = tg.get_num_threads()
    yield
    tg.set_num_threads(before)


@pytest.fixture
def late(monkeypatch):
    """What is begun in the background is done as late as it may be, when it is finished."""

    def start(self):
        threads.BLAS_ALONE.__enter__()
        self._job = threads.Job(self._work, self._parts)

    monkeypatch.setattr(threads.Background, "start", start)


def stepping(size: int = 16):
    """A step of a small residual network: strides of 1 and 2, single pixels, normalization with running statistics."""
    rng = np.random.default_rng(0)

    def leaf(*shape):
        return tg.Tensor(rng.normal(0, 0.2, shape).astype(np.float32), requires_grad=True)

    shapes = [(CHANNELS, 3, 3, 3), (CHANNELS, CHANNELS, 3, 3), (24, CHANNELS, 3, 3), (24, CHANNELS, 1, 1)]
    kernels = [leaf(*shape) for shape in shapes]
    affine = [(leaf(len(k)), leaf(len(k)), tg.zeros(len(k)), tg.ones(len(k))) for k in kernels]
    last = leaf(10, 24)
    optimizer = optim.SGD([*kernels, *(p for a in affine for p in a[:2]), last], lr=0.1, momentum=0.9)

    def layer(x, i, stride=1):
        w, b, mean, var = affine[i]
        x = tg.conv2d(x, kernels[i], stride=stride, padding=kernels[i].shape[2] // 2)
        return tg.batch_norm(x, mean, var, w, b, training=True)

    def step(x, y):
        h = layer(x, 0).relu()
        h = (layer(h, 1) + h).relu()
        h = (layer(h, 2, 2) + layer(h, 3, 2)).relu()
        loss = tg.cross_entropy(tg.linear(h.mean(axis=(2, 3)), last), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    x = rng.normal(size=(16, 3, size, size)).astype(np.float32)
    y = rng.integers(0, 10, 16)
    watched = [*kernels, *(t for a in affine for t in a), last]
    return step, x, y, watched


@pytest.mark.parametrize("n", [1, 2, 3])
def test_ten_steps_for_any_number_of_threads(n):
    eager, x, y, left = stepping()
    replayed, _, _, right = stepping()
    compiled = tg.compile(replayed)
    tg.set_num_threads(1)
    expected = [eager(x * (1 - 0.01 * i), y).item() for i in range(10)]
    tg.set_num_threads(n)
    assert [compiled(x * np.float32(1 - 0.01 * i), y).item() for i in range(10)] == expected
    for a, b in zip(left, right, strict=True):
        np.testing.assert_array_equal(a, b, strict=True)
        if a.requires_grad:
            np.testing.assert_array_equal(a.grad, b.grad, strict=True)
    assert compiled.captures == 1


def test_late_results_are_right_and_their_inputs_still_there(late):
    test_ten_steps_for_any_number_of_threads(2)


def test_a_gradient_that_is_wanted_elsewhere_is_not_written_over_meanwhile(late):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(16, CHANNELS, 16, 16)).astype(np.float32)

    def running():
        shapes = (CHANNELS, CHANNELS, 3, 3), x.shape
        w, z = (
            tg.Tensor(np.random.default_rng(1).normal(size=s).astype(np.float32), requires_grad=True) for s in shapes
        )

        def run(x):
            other = z.tanh()  # older than the convolution, so that its turn in the walk is later
            w.grad = z.grad = None
            (tg.conv2d(x * 0.5, w, padding=1) + other).sin().sum().backward()

        return run, w, z

    (compiled, w, z), (eager, w_eager, z_eager) = running(), running()
    compiled = tg.compile(compiled)
    for factor in (1, 2):
        eager(tg.Tensor(x * np.float32(factor)))
        compiled(x * np.float32(factor))
        np.testing.assert_array_equal(w.grad, w_eager.grad, strict=True)
        np.testing.assert_array_equal(z.grad, z_eager.grad, strict=True)
    assert ".start()" in compiled.programs[0].source


def test_a_result_is_done_before_it_is_returned(late):
    def running():
        rng = np.random.default_rng(1)
        w = tg.Tensor(rng.normal(size=(CHANNELS, CHANNELS, 1, 1)).astype(np.float32), requires_grad=True)
        z = tg.ones(1, requires_grad=True)

        def run(x):
            other = z * 2
            w.grad = z.grad = None
            (tg.conv2d(x * 0.5, w, stride=2) + other).sin().sum().backward()
            return w.grad

        return run

    eager, compiled = running(), tg.compile(running())
    x = np.moveaxis(np.random.default_rng(0).normal(size=(64, 32, 32, CHANNELS)).astype(np.float32), -1, 1)
    for factor in (1, 2):
        np.testing.assert_array_equal(compiled(x * np.float32(factor)), eager(tg.Tensor(x * np.float32(factor))))
    assert ".start()" in compiled.programs[0].source


def test_an_image_is_not_updated_before_it_has_been_used(late):
    def stepping():
        rng = np.random.default_rng(0)
        w, x = (
            tg.Tensor(rng.normal(size=shape).astype(np.float32), requires_grad=True)
            for shape in ((CHANNELS, CHANNELS, 3, 3), (16, CHANNELS, 16, 16))
        )
        first, second = optim.SGD([x], lr=0.5), optim.SGD([w], lr=0.01)

        def step():
            first.zero_grad()
            second.zero_grad()
            loss = tg.conv2d(x, w, padding=1).sin().mean()
            loss.backward()
            first.step()
            second.step()
            return loss

        return step

    eager, compiled = stepping(), tg.compile(stepping())
    for _ in range(4):
        assert eager().item() == compiled().item()


def test_weight_gradients_are_computed_in_the_background():
    step, x, y, _ = stepping()
    source = tg.compile(step).program(x, y).source
    lines = source.splitlines()
    begun = [i for i, line in enumerate(lines) if ".start()" in line]
    done = [i for i, line in enumerate(lines) if ".finish()" in line]
    assert len(begun) == len(done) >= 2
    assert all(i + 1 < j for i, j in zip(begun, done, strict=True))  # something is done meanwhile
    assert all("update" not in line for i, j in zip(begun, done, strict=True) for line in lines[i:j])


def test_nothing_goes_on_behind_an_error():
    """What raises while something is computed in the background: the call does, all that was begun is over, and the next call
    is right."""
    fail = False

    @tg.op
    def fragile(a):
        if fail:
            raise FloatingPointError("now")
        return a * 2.0

    @tg.op
    def doubled(a, *, out=None):
        return np.multiply(a, 2.0, out=out)

    doubled.vjp(a=lambda g: fragile(g))
    rng = np.random.default_rng(0)
    x = rng.normal(size=(16, CHANNELS, 16, 16)).astype(np.float32)
    w, v = (tg.Tensor(rng.normal(size=(16, 16, 3, 3)).astype(np.float32), requires_grad=True) for _ in range(2))

    @tg.compile
    def run(x):
        w.grad = v.grad = None
        (tg.conv2d(doubled(tg.conv2d(x, w, padding=1)), v, padding=1) ** 2).sum().backward()

    tg.set_num_threads(2)
    run(x)
    assert ".start()" in run.programs[0].source
    expected = np.array(w.grad), np.array(v.grad)
    before = threads._alone
    for fail in (True, False):
        if fail:
            with pytest.raises(FloatingPointError, match="now"):
                run(x)
        else:
            run(x)
        assert threads._alone == before
    np.testing.assert_array_equal(w.grad, expected[0])
    np.testing.assert_array_equal(v.grad, expected[1])
