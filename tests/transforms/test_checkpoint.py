"""checkpoint(f, ...) is f(...) in value, gradients of any order and random draws, but keeps nothing in between."""

from __future__ import annotations

import tracemalloc
import weakref

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_cnn as tg
from tinygrad_cnn import nn
from tinygrad_cnn.testing import assert_gradients

from ..graphs import array_of, node_of


def leaf(*values):
    return tg.Tensor(np.array(values), requires_grad=True)


def plain(f, *args, **kwargs):
    return f(*args, **kwargs)


def plain_function(f):
    return f


def segments(draw, depth):
    """A random composition of steps with a parameter each, some of them checkpoints of compositions."""
    kind = draw(st.sampled_from(["mul", "add", "exp", "square", "nest", "nest"] if depth else ["mul", "add", "square"]))
    if kind == "nest":
        inner = [segments(draw, depth - 1) for _ in range(draw(st.integers(1, 3)))]

        def nest(x, w, run):
            def body(x):
                for step in inner:
                    x = step(x, w, run)
                return x

            return run(body, x)

        return nest
    return {
        "mul": lambda x, w, run: x * w,
        "add": lambda x, w, run: w + x * 0.5,
        "exp": lambda x, w, run: (x * 0.1).exp(),
        "square": lambda x, w, run: x * x * 0.3,
    }[kind]


class TestGradients:
    @given(st.data())
    def test_nested_compositions_to_third_order(self, data):
        steps = [segments(data.draw, 2) for _ in range(data.draw(st.integers(1, 4)))]
        x0, w0 = np.array([0.7, -0.4]), np.array([0.9, 1.1])
        found = []
        for run in (plain, tg.checkpoint):
            x, w = tg.Tensor(x0, requires_grad=True), tg.Tensor(w0, requires_grad=True)
            y = x * 1.0
            for step in steps:
                y = run(lambda y, step=step, run=run, w=w: step(y, w, run), y)
            found.append([y])
            for _ in range(3):
                first = tg.gradients((y * y).sum(), [x, w], create_graph=True, allow_unused=True)
                found[-1] += [tg.zeros_like(x) if g is None else g for g in first]
                y = sum((g.sum() for g in first if g is not None), x.sum() * 1.0)
        for a, b in zip(*found, strict=True):
            scale = 1 + np.abs(b.numpy()).max()  # terms are added up in another order, and may cancel
            np.testing.assert_allclose(a.numpy() / scale, b.numpy() / scale, rtol=0, atol=1e-13)

    def test_against_finite_differences(self):
        def f(x, w):
            return tg.checkpoint(lambda x: tg.checkpoint(lambda t: (t @ w).exp(), x * 0.3) * w.sum(), x)

        rng = np.random.default_rng(0)
        assert_gradients(f, rng.normal(size=(2, 3)), rng.normal(size=(3, 2)), order=3)

    @pytest.mark.parametrize("create_graph", [False, True])
    def test_closed_over_leaves_and_intermediates_get_their_gradients_once(self, create_graph):
        def gradients(run):
            x, w = leaf(1.0, 2.0), leaf(0.5, 0.25)
            middle = w * w  # leads to w as well
            y = run(lambda x: x * middle * w, x) * middle
            y.sum().backward(create_graph=create_graph)
            return [x.grad, w.grad]

        for a, b in zip(gradients(tg.checkpoint), gradients(plain), strict=True):
            np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-14)

    def test_only_what_is_asked_for(self):
        x, w = leaf(2.0), leaf(3.0)
        y = tg.checkpoint(lambda x: x * x * w, x)
        assert tg.gradients(y, w, retain_graph=True)[0].item() == 4.0
        assert tg.gradients(y, x, retain_graph=True)[0].item() == 12.0
        (gw,) = tg.gradients(y, w, create_graph=True)
        assert tg.gradients(gw, x)[0].item() == 4.0
        assert x.grad is None
        assert w.grad is None

    def test_an_argument_that_is_closed_over_too(self):
        x = leaf(3.0)
        y = tg.checkpoint(lambda a, b: a * x * b, x, x)
        (g,) = tg.gradients(y, x, create_graph=True)
        assert g.item() == 27.0
        assert tg.gradients(g, x)[0].item() == 18.0

    @pytest.mark.parametrize("create_graph", [False, True])
    def test_arguments_without_a_gradient(self, create_graph):
        x, rows, scale = leaf(1.0, 2.0, 3.0), tg.Tensor(np.array([0, 0, 2])), tg.Tensor(np.array(10.0))
        y = tg.checkpoint(lambda x, rows, scale, data: (x * x)[rows] * scale * data, x, rows, scale, np.arange(3.0))
        (g,) = tg.gradients(y.sum(), x, create_graph=create_graph)
        np.testing.assert_array_equal(g.numpy(), [20.0, 0.0, 120.0])

    def test_no_argument_at_all(self):
        w = leaf(3.0)
        tg.checkpoint(lambda: w * w).backward()
        assert w.grad.item() == 6.0

    def test_results_in_containers_and_of_two_dtypes(self):
        x, w = leaf(1.0, 2.0), tg.Tensor([3.0, 4.0], requires_grad=True)

        def f(batch, *, scale):
            x, note = batch["x"], batch["note"]
            return {"a": x * scale, "b": (w * 2.0, x.sum()), "n": 3, "note": note, "index": x.astype(int), "w": w}

        y = tg.checkpoint(f, {"x": x, "note": "kept"}, scale=10.0)
        assert y["n"] == 3
        assert y["note"] == "kept"
        assert y["index"].tolist() == [1, 2]
        assert [y["a"].dtype, y["b"][0].dtype, y["b"][1].dtype] == [np.float64, np.float32, np.float64]
        np.testing.assert_array_equal(y["a"].numpy(), [10.0, 20.0])
        assert y["b"][1].shape == ()
        loss = (y["a"] * np.array([1.0, 2.0])).sum() + (y["b"][0] * 3.0).sum() + y["b"][1] * 100.0 + y["w"].sum()
        loss.backward()
        np.testing.assert_array_equal(x.grad.numpy(), [110.0, 120.0])
        np.testing.assert_array_equal(w.grad.numpy(), [7.0, 7.0])
        assert w.grad.dtype == np.float32

    def test_an_output_may_be_an_argument_or_come_twice_or_not_be_used(self):
        x = leaf(3.0)
        same, square, again, unused = tg.checkpoint(lambda x: (x, *[x * x] * 2, x.exp()), x)
        (same + 10.0 * square + 100.0 * again).backward()
        assert x.grad.item() == 1 + 110 * 6
        assert unused.requires_grad

    def test_backward_twice_and_no_more(self):
        x = leaf(3.0)
        y = tg.checkpoint(lambda x: x * x, x).sum()
        y.backward(retain_graph=True)
        y.backward()
        assert x.grad.item() == 12.0
        with pytest.raises(RuntimeError, match="freed by an earlier backward"):
            y.backward()

    def test_hooks_inside_are_called(self):
        seen, x = [], leaf(2.0)

        def f(x):
            y = x * x
            y.register_hook(lambda g: (seen.append(g.item()), g * 2.0)[1])
            return y * 3.0

        tg.checkpoint(f, x).backward()
        assert seen == [3.0]
        assert x.grad.item() == 24.0


class TestRandomness:
    def test_draws_are_repeated_and_the_state_is_put_back(self):
        x = leaf(*[1.0] * 8)

        def noisy(x):
            return x * tg.rand(8, dtype=np.float64)

        tg.manual_seed(3)
        y = tg.checkpoint(lambda x: noisy(noisy(x)), x)
        between = tg.rand(3)
        y.sum().backward()
        after = tg.rand(3)
        np.testing.assert_array_equal(x.grad.numpy(), y.numpy())
        tg.manual_seed(3)
        np.testing.assert_array_equal(noisy(noisy(x)).numpy(), y.numpy())
        np.testing.assert_array_equal(tg.rand(3).numpy(), between.numpy())
        np.testing.assert_array_equal(tg.rand(3).numpy(), after.numpy())

    def test_a_generator_among_the_arguments_is_repeated_too(self):
        x = leaf(*[1.0] * 8)
        rng = np.random.default_rng(0)
        y = tg.checkpoint(lambda x, rng: x * tg.rand(8, rng=rng, dtype=np.float64), x, rng=rng)
        state = rng.bit_generator.state
        y.sum().backward()
        np.testing.assert_array_equal(x.grad.numpy(), y.numpy())
        assert rng.bit_generator.state == state

    def test_an_error_in_the_second_run_puts_the_state_back(self):
        x, calls = leaf(1.0), []

        def f(x):
            calls.append(1)
            tg.rand(5)
            if len(calls) > 1:
                raise KeyError("second")
            return x * 2.0

        y = tg.checkpoint(f, x)
        generator = tg.ops.random.generator()
        state = generator.bit_generator.state
        with pytest.raises(KeyError, match="second"):
            y.backward()
        assert generator.bit_generator.state == state


class TestState:
    """What the function changes in the library's way is changed in the first run only."""

    @pytest.mark.parametrize("momentum", [0.1, None])
    @pytest.mark.parametrize("nested", [False, True])
    def test_running_statistics_move_once_a_step_to_the_same_bits_eager_and_compiled(self, nested, momentum):
        def trained(run, wrap):
            tg.manual_seed(0)
            body = nn.Sequential(
                nn.Linear(4, 6), nn.BatchNorm1d(6, momentum=momentum), nn.ReLU(), nn.Dropout(0.4), nn.Linear(6, 1),
                nn.BatchNorm1d(1),
            )  # fmt: skip
            optimizer = tg.optim.SGD(body.parameters(), lr=0.1, momentum=0.9)

            def step(x):
                optimizer.zero_grad()
                y = run(lambda x: run(body, x), x) if nested else run(body, x)
                loss = (y * x[:, :1]).mean()
                loss.backward()
                optimizer.step()
                return loss

            step = wrap(step)
            losses = [step(x).item() for x in np.random.default_rng(0).normal(size=(5, 8, 4)).astype(np.float32)]
            return losses, {**body.state_dict(), "draw": tg.rand(3)}

        losses, state = trained(plain, plain_function)
        assert state["1.num_batches_tracked"] == 5
        for run, wrap in [(tg.checkpoint, plain_function), (plain, tg.compile), (tg.checkpoint, tg.compile)]:
            other_losses, other = trained(run, wrap)
            assert other_losses == losses
            for name, value in state.items():
                np.testing.assert_array_equal(np.asarray(other[name]), np.asarray(value), err_msg=name)

    @pytest.mark.parametrize("create_graph", [False, True])
    def test_every_further_backward_leaves_it_alone_too(self, create_graph):
        count, mean, var, x = tg.Tensor([0.0]), np.zeros(3), np.ones(3), tg.randn(4, 3, dtype=np.float64)
        x.requires_grad = True

        def f(x):
            count.copy_(count + 1)
            return tg.batch_norm(x, mean, var, training=True).sum() * 2.0

        y = tg.checkpoint(f, x)
        after = mean.copy(), var.copy()
        for _ in range(2):
            y.backward(retain_graph=True, create_graph=create_graph)
        assert count.item() == 1
        np.testing.assert_array_equal((mean, var), after)
        count.copy_(count + 1)  # and afterwards all is as ever
        assert count.item() == 2

    def test_a_seed_that_is_set_inside_is_set_again(self):
        def f(x):
            tg.manual_seed(7)
            return x * tg.rand(8, dtype=np.float64)

        x = leaf(*[1.0] * 8)
        y = tg.checkpoint(f, x)
        after = tg.get_rng_state()
        y.sum().backward()
        np.testing.assert_array_equal(x.grad.numpy(), y.detach().numpy())
        assert tg.get_rng_state() == after


@pytest.mark.usefixtures("no_collector")
class TestMemory:
    @pytest.mark.parametrize("create_graph", [False, True])
    def test_intermediates_die_after_the_first_run_and_everything_in_the_end(self, create_graph):
        x, w = leaf(1.0, 2.0), leaf(3.0, 4.0)
        seen = []

        def f(x):
            a = (x * w).exp()
            b = a * a
            seen.extend(weakref.ref(thing) for thing in (array_of(a), array_of(b), node_of(a), node_of(b)))
            return b * 1.0, a + 1.0

        y, z = tg.checkpoint(f, x)
        assert not any(thing() is not None for thing in seen)
        loss = (y + z).sum()
        loss.backward(create_graph=create_graph)
        assert len(seen) == 8
        assert any(thing() is not None for thing in seen) is create_graph
        things = [*seen, weakref.ref(node_of(y)), weakref.ref(x), weakref.ref(w), weakref.ref(x.grad)]
        y = z = loss = x = w = f = None
        assert not any(thing() is not None for thing in things)

    @pytest.mark.parametrize("count", [1, 2])
    def test_the_result_is_not_kept_either(self, count):
        outputs = tg.checkpoint(lambda x: [x * x for _ in range(count)], leaf(1.0, 2.0))
        arrays = [weakref.ref(array_of(y)) for y in outputs]
        loss = tg.concatenate([y + 1.0 for y in outputs]).sum()
        del outputs
        assert not any(array() is not None for array in arrays)
        loss.backward()

    def test_a_chain_of_segments_keeps_their_inputs_only(self):
        size, steps, segments = 10_000, 20, 5

        def segment(x):
            for _ in range(steps):
                x = x * x * 0.5
            return x

        def held(run):
            x = tg.Tensor(np.ones(size), requires_grad=True)
            tracemalloc.start()
            y = x
            for _ in range(segments):
                y = run(segment, y)
            now, _ = tracemalloc.get_traced_memory()
            tracemalloc.reset_peak()
            y.sum().backward()
            _, peak = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            return now, peak

        array = 8 * size
        kept, peak = held(tg.checkpoint)
        all_kept, all_peak = held(plain)
        assert kept < (segments + 1) * array
        assert all_kept > (segments * steps) * array
        assert peak < (segments + 2 * steps + 8) * array
        assert all_peak > all_kept

    def test_the_second_run_is_freed_as_it_is_walked_through(self):
        alive, saved = [], []

        @tg.op
        def probe(a):
            return a * 1.0

        probe.vjp(a=lambda g, y: (alive.append(sum(ref() is not None for ref in saved)), g)[1])

        def f(x):
            for _ in range(5):
                x = probe(x)
                saved.append(weakref.ref(array_of(x)))
            return x * 1.0

        y = tg.checkpoint(f, leaf(1.0))
        saved.clear()
        y.backward()
        assert alive == [5, 4, 3, 2, 1]

    def test_under_no_grad_it_is_a_call(self):
        w = leaf(2.0)
        calls = []
        with tg.no_grad():
            y = tg.checkpoint(lambda x, k: (calls.append(tg.is_grad_enabled()), x * w * k)[1], leaf(3.0), k=2.0)
        assert y.item() == 12.0
        assert not y.requires_grad
        assert calls == [False]

    def test_constants_make_no_node(self):
        y = tg.checkpoint(lambda x: x * 2.0, tg.Tensor(3.0))
        assert y.item() == 6.0
        assert not y.requires_grad
        assert tg.checkpoint(lambda: 5) == 5


class TestErrors:
    def test_a_leaf_written_between_the_passes_is_noticed(self):
        x, w, c = leaf(2.0), leaf(3.0), tg.Tensor(np.array([1.0]))
        for victim in (w, x, c):
            y = tg.checkpoint(lambda x, c: x * w * c, x, c)
            victim.copy_(victim.numpy() * 2.0)
            with pytest.raises(RuntimeError, match="overwritten in place"):
                y.backward()

    def test_another_shape_the_second_time(self):
        x, calls = leaf(1.0, 2.0), []

        def f(x):
            calls.append(1)
            return x[: len(calls)]

        with pytest.raises(
            RuntimeError, match=r"checkpoint: run again, f returned float64 \(2,\) instead of float64 \(1,\)"
        ):
            tg.checkpoint(f, x).backward()

    @pytest.mark.parametrize("create_graph", [False, True])
    def test_another_parameter_the_second_time(self, create_graph):
        layer = {"w": leaf(2.0)}
        y = tg.checkpoint(lambda x: x * layer["w"], leaf(1.0))
        layer["w"] = leaf(2.0)
        with pytest.raises(RuntimeError, match="checkpoint: run again, f used other Tensors"):
            y.backward(create_graph=create_graph)

    def test_f_is_a_function(self):
        with pytest.raises(TypeError, match="checkpoint: `f` is 3"):
            tg.checkpoint(3)
