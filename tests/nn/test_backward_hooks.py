"""Backward hooks of modules: what they are given, what they replace, and how they get on with transforms."""

from __future__ import annotations

import copy

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import nn


class Both(nn.Module):
    """x y and the sum of x + y."""

    def forward(self, x, power, y):
        return x * y, (x + y).sum() * power


def leaves(dtype=np.float64, other=np.float64):
    values = np.array([1.0, 2.0], dtype), np.array([[3.0], [4.0]], other)
    return [tg.Tensor(v, requires_grad=True) for v in values]


def listed(gradients):
    return [None if g is None else g.tolist() for g in gradients]


def test_a_hook_is_given_the_gradients_of_the_call_alone():
    model, seen = Both(), []
    handle = model.register_full_backward_hook(lambda *given: seen.append(given))
    x, y = leaves()
    product, total = model(x, 2, y)
    (5 * product.sum() + 3 * total + 100 * (x.sum() + y.sum())).backward()
    ((module, before, after),) = seen
    assert module is model
    assert listed(before) == [[5 * 7 + 12.0] * 2, None, [[15 + 12.0]] * 2]
    assert listed(after) == [[[5.0, 5.0]] * 2, 3.0]
    assert (x.grad.tolist(), y.grad.tolist()) == ([147.0] * 2, [[127.0]] * 2)
    assert all(not g.requires_grad for g in (before[0], before[2], *after))
    handle.remove()
    model(x, 2, y)[1].backward()
    assert len(seen) == 1


def test_hooks_replace_gradients_one_after_the_other():
    model = Both()
    model.register_full_backward_hook(lambda module, before, after: (before[0] * 10, None, before[2].numpy() * 0))
    model.register_full_backward_hook(lambda module, before, after: [before[0] + after[1], None, before[2] + 1])
    model.register_full_backward_pre_hook(lambda module, after: (after[0] * 0, after[1] * 2))
    model.register_full_backward_pre_hook(lambda module, after: (after[0], after[1] + 1))
    x, y = leaves()
    product, total = model(x, 1, y)
    (product.sum() + total).backward()
    assert x.grad.tolist() == [10 * 6 + 3.0] * 2  # y broadcasts over x
    assert y.grad.tolist() == [[1.0]] * 2


def test_one_argument_and_one_output_need_no_tuple():
    layer, seen = nn.ReLU(), []
    layer.register_full_backward_hook(lambda module, before, after: seen.append((before, after)))
    layer.register_full_backward_hook(lambda module, before, after: before[0] * 3)
    x = tg.Tensor([-1.0, 2.0], requires_grad=True)
    (layer(x) * 7).sum().backward()
    assert [listed(g) for g in seen[0]] == [[[0.0, 7.0]], [[7.0, 7.0]]]
    assert x.grad.tolist() == [0.0, 21.0]


def test_each_gradient_has_the_dtype_of_its_value():
    model, seen = Both(), []
    model.register_full_backward_hook(lambda module, before, after: seen.append((before, after)))
    x, y = leaves(np.float32)
    product, total = model(x, 1, y)
    (product.sum() + total).backward()
    ((before, _, later), after) = seen[0]
    assert [g.dtype for g in (before, later, *after)] == [np.float32, *[np.float64] * 3]
    assert (x.grad.dtype, y.grad.dtype) == (np.float32, np.float64)


def test_without_a_recorded_argument_it_is_called_when_the_outputs_are_complete():
    layer, seen = nn.Linear(2, 1), []
    layer.register_full_backward_hook(lambda module, before, after: seen.append((before, listed(after))))
    layer(np.ones((3, 2), np.float32)).sum().backward()
    assert seen == [((None,), [[[1.0]] * 3])]
    layer.requires_grad_(False)
    layer(tg.ones(3, 2))
    with tg.no_grad():
        layer(tg.ones(3, 2, requires_grad=True))
    assert len(seen) == 1


def test_calls_of_one_module_are_hooked_one_by_one():
    layer, seen = nn.Tanh(), []
    layer.register_full_backward_hook(lambda module, before, after: seen.append((before[0].item(), after[0].item())))
    x = tg.Tensor(0.5, requires_grad=True)
    y = layer(x)
    z = layer(y)
    z.backward(retain_graph=True)
    slopes = [1 - np.tanh(0.5) ** 2, 1 - np.tanh(np.tanh(0.5)) ** 2]
    np.testing.assert_allclose(seen, [(slopes[1], 1), (slopes[0] * slopes[1], slopes[1])], rtol=1e-6)
    z.backward()
    assert seen[2:] == seen[:2]


def test_replaced_gradients_are_differentiated_and_forward_mode_sees_an_identity():
    layer = nn.Identity()
    layer.register_full_backward_hook(lambda module, before, after: (before[0] * 3,))
    x = np.array([2.0, 3.0])

    def cubes(x):
        return (layer(x) ** 3).sum()

    np.testing.assert_allclose(tg.grad(cubes)(x).numpy(), 9 * x**2)
    np.testing.assert_allclose(tg.grad(lambda x: tg.grad(cubes)(x).sum())(x).numpy(), 3 * 18 * x)
    np.testing.assert_allclose(tg.jvp(cubes, (x,), (np.ones(2),))[1].numpy(), (3 * x**2).sum())


def test_only_looking_changes_no_bit():
    def run(hooked):
        tg.manual_seed(0)
        model = nn.Sequential(nn.Linear(5, 7), nn.BatchNorm1d(7), nn.ReLU(), nn.Linear(7, 3))
        seen = []
        for module in list(model.modules()) if hooked else ():
            module.register_full_backward_hook(lambda *given: seen.append(given))
            module.register_full_backward_pre_hook(lambda *given: None)
        optimizer = tg.optim.Adam(model.parameters())
        x, y = np.random.default_rng(0).normal(size=(9, 5)).astype(np.float32), np.arange(9) % 3
        for _ in range(3):
            optimizer.zero_grad()
            tg.cross_entropy(model(x), y).backward()
            optimizer.step()
        assert len(seen) == 15 * hooked
        return model.state_dict()

    plain, hooked = run(False), run(True)
    for name, value in plain.items():
        np.testing.assert_array_equal(hooked[name], value)


def test_a_gradient_that_a_hook_keeps_stays_as_it_is():
    layer, kept = nn.Identity(), []
    layer.register_full_backward_hook(lambda module, before, after: kept.extend([*before, *after]))
    x = tg.Tensor([1.0, 2.0], requires_grad=True)
    y = layer(x)
    (y * 2 + y * 3 + x * 10).sum().backward()
    assert [g.tolist() for g in kept] == [[5.0, 5.0]] * 2
    assert x.grad.tolist() == [15.0, 15.0]
    x.copy_([0.0, 0.0])
    assert kept[0].tolist() == [5.0, 5.0]


def test_compiled_functions_call_them_in_every_call():
    found = []
    for compiled in (False, True):
        tg.manual_seed(0)
        model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1))
        optimizer = tg.optim.SGD(model.parameters(), lr=0.1)

        def step(x, model=model, optimizer=optimizer):
            optimizer.zero_grad()
            (model(x) ** 2).mean().backward()
            optimizer.step()

        run = tg.compile(step) if compiled else step
        rng = np.random.default_rng(0)
        for i in range(9):
            if i == 3:
                model[1].register_full_backward_hook(lambda module, before, after: (before[0] * 2,))
            run(tg.Tensor(rng.normal(size=(5, 3)).astype(np.float32)))
        found.append(model.state_dict())
    for name, value in found[0].items():
        np.testing.assert_array_equal(found[1][name], value)


def test_a_copy_has_the_hooks_and_none_in_common():
    layer = nn.Identity()
    layer.register_full_backward_hook(lambda module, before, after: (before[0] * 2,))
    twin = copy.copy(layer)
    twin.register_full_backward_hook(lambda module, before, after: (before[0] * 5,))
    slopes = []
    for each in (layer, twin):
        x = tg.Tensor(1.0, requires_grad=True)
        each(x).backward()
        slopes.append(x.grad.item())
    assert slopes == [2, 10]


@pytest.mark.parametrize(
    ("answer", "error", "message"),
    [
        (
            lambda before: before[:1],
            ValueError,
            "register_full_backward_hook: the hook returned 1 gradients; it must return 3",
        ),
        (lambda before: (before[0], before[0], before[2]), ValueError, "returned a gradient for a value that has none"),
        (
            lambda before: (before[0][:1], None, before[2]),
            ValueError,
            r"returned float64 \(1,\) for the gradient float64",
        ),
        (lambda before: (None, None, before[2]), TypeError, "the hook returned None; it must return None or a Tensor"),
    ],
)
def test_an_answer_that_does_not_fit_is_refused(answer, error, message):
    model = Both()
    model.register_full_backward_hook(lambda module, before, after: answer(before))
    x, y = leaves()
    with pytest.raises(error, match=message):
        model(x, 1, y)[1].backward()


def test_what_else_is_refused():
    layer = nn.Identity()
    for register in ("register_full_backward_hook", "register_full_backward_pre_hook", "register_forward_pre_hook"):
        with pytest.raises(TypeError, match=f"{register}: `hook` is 3; it must be a function"):
            getattr(layer, register)(3)
    layer.register_full_backward_hook(print)
    with pytest.raises(
        TypeError, match="Identity returned a list; with a backward hook, it must return a Tensor or a tuple"
    ):
        layer([tg.ones(2)])
    layer = nn.Identity()
    layer.register_full_backward_pre_hook(lambda module, after: ())
    x = tg.ones(2, requires_grad=True)
    with pytest.raises(
        ValueError, match="register_full_backward_pre_hook: the hook returned 0 gradients; it must return 1"
    ):
        layer(x).sum().backward()
