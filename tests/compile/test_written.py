"""Programs as users write them, whose state Python keeps: compiled, each gives the bits of the plain function.

A program is given what compiles a function, or leaves it as it is, and returns all that can be seen of its run. Random ones are
in `programs.py`.
"""

from __future__ import annotations

import itertools
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import nn, optim

Wrap = Callable[[Callable[..., Any]], Callable[..., Any]]

PROGRAMS: list[Callable[[Wrap], Any]] = []


def program(function: Callable[[Wrap], Any]) -> Callable[[Wrap], Any]:
    """Register a program."""
    PROGRAMS.append(function)
    return function


def values(n: int, *shape: int, dtype: Any = np.float64) -> Iterator[tg.Tensor]:
    """n Tensors of random numbers, the same in every run."""
    rng = np.random.default_rng(0)
    for _ in range(n):
        yield tg.Tensor(rng.normal(size=shape).astype(dtype))


def weight(*shape: int, dtype: Any = np.float64) -> tg.Tensor:
    """A leaf."""
    return tg.Tensor(np.random.default_rng(5).normal(size=shape).astype(dtype) * 0.5, requires_grad=True)


def slope(y: tg.Tensor, w: tg.Tensor) -> tg.Tensor:
    """The gradient of the sum of squares."""
    return tg.gradients((y * y).sum(), [w])[0]


def seen(x: Any) -> Any:
    """What can be seen, with the bits of every number."""
    if isinstance(x, tg.Tensor):
        return seen(x.detach().numpy()), x.requires_grad
    if isinstance(x, np.ndarray):
        return str(x.dtype), x.shape, x.tobytes()
    if isinstance(x, list | tuple):
        return [seen(each) for each in x]
    if isinstance(x, dict):
        return {key: seen(each) for key, each in x.items()}
    return np.float64(x).tobytes() if isinstance(x, float) else x


def network() -> nn.Sequential:
    """A small network of 8 x 8 images."""
    tg.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(64, 10)
    )


def batches(sizes: Iterator[int] | list[int]) -> Iterator[tuple[tg.Tensor, tg.Tensor]]:
    """Images and labels."""
    rng = np.random.default_rng(1)
    for n in sizes:
        images = rng.normal(size=(n, 1, 8, 8)).astype(np.float32)
        yield tg.Tensor(images), tg.Tensor(rng.integers(0, 10, n))


def trained(wrap: Wrap, sizes: list[int], after: Callable[..., None] | None = None, **options: Any) -> Any:
    """A network after a step on each batch. ``after(n, model, optimizer)`` is called between steps."""
    model = network()
    optimizer = optim.SGD(model.parameters(), lr=0.1, **options) if options else optim.Adam(model.parameters(), lr=1e-2)

    @wrap
    def step(x, y):
        loss = tg.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    losses = []
    for n, (x, y) in enumerate(batches(sizes)):
        losses.append(step(x, y).item())
        if after is not None:
            after(n, model, optimizer)
    return losses, model.state_dict(), [p.grad for p in model.parameters()]


# Training


@program
def batch_sizes_alternate(wrap):
    return trained(wrap, [8, 4, 8, 3, 2, 8] * 5)


@program
def more_batch_sizes_than_branches(wrap):
    return trained(wrap, [*range(2, 14)] * 3)


@program
def freezes_and_thaws(wrap):
    def after(n, model, optimizer):
        next(iter(model.parameters())).requires_grad_(n % 3 != 0)

    return trained(wrap, [8] * 24, after)


@program
def swaps_modules(wrap):
    def after(n, model, optimizer):
        if n in (9, 15):
            model[2] = nn.Tanh() if n == 9 else nn.ReLU()

    return trained(wrap, [8] * 24, after)


@program
def forgets_momentum(wrap):
    def after(n, model, optimizer):
        if n == 11:
            for state in optimizer.state.values():
                state.update({name: np.zeros_like(a) for name, a in state.items() if isinstance(a, np.ndarray)})

    return trained(wrap, [8] * 20, after), trained(wrap, [8] * 20, after, momentum=0.9)


@program
def swaps_optimizers(wrap):
    model, calls = network(), itertools.count()
    holder = {"optimizer": optim.SGD(model.parameters(), lr=0.1)}

    @wrap
    def step(x, y):
        if next(calls) == 11:
            holder["optimizer"] = optim.Adam(model.parameters(), lr=1e-2)
        loss = tg.cross_entropy(model(x), y)
        holder["optimizer"].zero_grad()
        loss.backward()
        holder["optimizer"].step()
        return loss

    return [step(x, y).item() for x, y in batches([8] * 22)], model.state_dict()


@program
def accumulates(wrap):
    model, calls = network(), itertools.count()
    optimizer = optim.SGD(model.parameters(), lr=0.1)

    @wrap
    def step(x, y):
        loss = tg.cross_entropy(model(x), y) / 4
        loss.backward()
        if next(calls) % 4 == 3:
            optimizer.step()
            optimizer.zero_grad()
        return loss

    return [step(x, y).item() for x, y in batches([4] * 26)], model.state_dict(), [p.grad for p in model.parameters()]


@program
def scales_the_loss(wrap):
    model, scale = network(), [1024.0]
    optimizer = optim.AdamW(model.parameters(), lr=1e-2)

    @wrap
    def step(x, y):
        loss = tg.cross_entropy(model(x), y)
        optimizer.zero_grad()
        (loss * scale[0]).backward()
        for p in model.parameters():
            p.grad = p.grad / scale[0]
        scale[0] *= 0.5 if loss.item() > 2.2 else 2.0
        if all(np.isfinite(p.grad.numpy()).all() for p in model.parameters()):
            optimizer.step()
        return loss

    return [step(x, y).item() for x, y in batches([8] * 22)], model.state_dict(), scale


@program
def raises_in_the_middle(wrap):
    model, calls = network(), itertools.count()
    optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)

    @wrap
    def step(x, y):
        n, h = next(calls), model[0](x)
        if n % 4 == 1:
            raise KeyError(n)
        loss = tg.cross_entropy(model[5](model[4](model[3](h.relu()))), y)
        optimizer.zero_grad()
        loss.backward()
        if n % 4 == 2:
            raise KeyError(n)
        optimizer.step()
        return loss

    log: list[Any] = []
    for x, y in batches([4] * 28):
        try:
            log.append(step(x, y).item())
        except KeyError as error:
            log.append(str(error))
    return log, model.state_dict()


def _closure(p: tg.Tensor, optimizer: optim.Optimizer) -> Callable[[], tg.Tensor]:
    a = np.random.default_rng(0).normal(size=(5, 5))

    def closure():
        optimizer.zero_grad()
        loss = ((tg.tanh(tg.Tensor(a) @ p) - 1) ** 2).sum() + (p**4).sum()
        loss.backward()
        return loss

    return closure


@program
def closures_of_lbfgs(wrap):
    p = weight(5)
    optimizer = optim.LBFGS([p], lr=0.5, max_iter=4)
    closure = wrap(_closure(p, optimizer))
    return [optimizer.step(closure).item() for _ in range(10)], p


@program
def closures_inside(wrap):
    p = weight(5)
    optimizer = optim.LBFGS([p], lr=0.5, max_iter=4)
    step = wrap(lambda: optimizer.step(_closure(p, optimizer)))
    return [step().item() for _ in range(14)], p


@program
def penalizes_gradients(wrap):
    tg.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))
    optimizer = optim.Adam(model.parameters(), lr=1e-2)

    @wrap
    def step(x):
        x = x.detach().requires_grad_()
        (g,) = tg.gradients(model(x).sum(), [x], create_graph=True)
        loss = ((g**2).sum() - 1) ** 2
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    return [step(x).item() for x in values(20, 5, 4, dtype=np.float32)], model.state_dict()


@program
def updates_a_leaf_by_hand(wrap):
    tg.manual_seed(3)
    w = weight(6, 6, dtype=np.float32)

    @wrap
    def step(x):
        h = tg.dropout(tg.relu(x @ w), 0.4)
        loss = (h * h).mean()
        w.grad = None
        loss.backward()
        w.copy_((w - w.grad * 0.1).detach())
        return loss

    return [step(x).item() for x in values(24, 4, 6, dtype=np.float32)], w


# What is kept


@program
def keeps_activations_and_views(wrap):
    model, kept = network(), []

    @wrap
    def step(x):
        h = model[0](x)
        a = h.relu()
        kept.append((h.detach(), a[:, :2], a.detach().numpy()[0]))
        del kept[:-3]
        return (kept[-1][1] ** 2).sum()

    return [(step(x).item(), seen(kept)) for x, _ in batches([16] * 20)]


@program
def keeps_graphs_and_walks_them_later(wrap):
    w = weight(3, 3)
    f = wrap(lambda x: (tg.tanh(x @ w) ** 2).sum())
    kept = [f(x) for x in values(16, 2, 3)]
    return [tg.gradients(loss, [w])[0] for loss in kept]


@program
def keeps_running_sums(wrap):
    def f(x):
        row = tg.cumsum(x, axis=0)
        return tg.argwhere(x > 0), tg.argsort(x.reshape(-1)), row, row + 1, tg.argmax(x, axis=1)

    f, kept, found = wrap(f), [], []
    for x in values(20, 4, 5):
        kept.append(f(x))
        found.append(seen(kept[-3:]))
    return found


@program
def names_results_weakly(wrap):
    w, names = weight(3, 3), []

    @wrap
    def f(x):
        h = tg.cumsum(x @ w, axis=0)
        names.append(weakref.ref(h))
        return (h * h).sum()

    found = []
    for x in values(16, 2, 3):
        loss = f(x)
        found.append(tg.gradients(loss, [w])[0].tolist())
        del loss
    return found, [name() is None for name in names]


@program
def is_the_body_of_generators(wrap):
    w = weight(3, 3)

    @wrap
    def f(x):
        for _ in range(4):
            x = tg.tanh(x @ w)
            yield x

    found, waiting = [], []
    for n, x in enumerate(values(12, 2, 3)):
        waiting.append(f(x))
        if n % 3 == 2:
            found += [seen(each) for each in zip(*waiting, strict=True)]
            waiting.clear()
    return found


@program
def goes_on_with_a_generator(wrap):
    w = weight(3, 3)

    def states():
        h = tg.ones(2, 3, dtype=np.float64)
        while True:
            h = tg.tanh(h @ w) * 1.1
            yield h

    going = states()

    @wrap
    def f(x):
        loss = (next(going) * x).sum()
        return tg.gradients(loss, [w], retain_graph=True)[0], loss

    return [seen(f(x)) for x in values(14, 2, 3)]


# Values decide


@program
def ends_early(wrap):
    w = weight(3, 3)

    @wrap
    def f(x):
        for n in range(6):
            x = tg.tanh(x @ w)
            if x.sum().item() > 0.3 * n:
                break
        return slope(x, w), n

    return [seen(f(x)) for x in values(40, 2, 3)]


@program
def sizes_depend_on_values(wrap):
    w = weight(9, 3)

    @wrap
    def f(labels):
        h = tg.one_hot(labels).astype(np.float64)
        return slope(h @ w[: h.shape[1]], w), h

    rng = np.random.default_rng(0)
    return [seen(f(tg.Tensor(rng.integers(0, rng.integers(2, 9), 6)))) for _ in range(30)]


@program
def labels_are_wrong_now_and_then(wrap):
    w = weight(5, 4, dtype=np.float32)
    f = wrap(lambda x, labels: tg.gradients(tg.cross_entropy(x @ w, labels), [w])[0])
    rng, found = np.random.default_rng(0), []
    for n, x in enumerate(values(24, 6, 5, dtype=np.float32)):
        labels = rng.integers(0, 4, 6)
        labels[2] = 9 if n % 4 == 3 else labels[2]
        try:
            found.append(seen(f(x, tg.Tensor(labels))))
        except (IndexError, ValueError) as error:
            found.append(str(error))
    return found


@program
def options_change(wrap):
    w, shares, calls = weight(5, 4, dtype=np.float32), np.array([1, 2, 0.5, 3], np.float32), itertools.count()

    @wrap
    def f(x, labels):
        n = next(calls)
        loss = tg.cross_entropy(
            x @ w, labels, weight=shares if n % 3 else None, ignore_index=-100 if n % 5 else 1,
            label_smoothing=0.0 if n % 7 else 0.1,
        )  # fmt: skip
        w.grad = None
        loss.backward()
        return loss, w.grad

    rng = np.random.default_rng(0)
    return [seen(f(x, tg.Tensor(rng.integers(0, 4, 6)))) for x in values(40, 6, 5, dtype=np.float32)]


@program
def dtypes_change(wrap):
    w, calls = weight(3, 3), itertools.count()

    @wrap
    def f(x):
        dtype = (np.float32, np.float64, np.float16)[next(calls) % 3]
        h = x.astype(dtype) @ w.astype(dtype)
        return slope(h, w), h

    return [seen(f(x)) for x in values(24, 2, 3)]


# Memory is written


@program
def writes_a_value(wrap):
    @wrap
    def f(x):
        h = tg.cumsum(x, axis=0).detach()
        total = h.sum()
        with tg.no_grad():
            h.copy_(h * 2)
        return h + total, tg.cumsum(h, axis=1)

    kept, found = [], []
    for x in values(20, 3, 3):
        kept.append(f(x))
        found.append(seen(kept[-2:]))
    return found


@program
def data_is_written_between_calls(wrap):
    memory, w = np.zeros((4, 3)), weight(3, 3)
    x, shared = tg.Tensor(memory), tg.from_numpy(memory)
    f = wrap(lambda: slope(tg.cumsum(x @ w, axis=0) + shared @ w, w))
    found = []
    for new in values(16, 4, 3):
        x.copy_(new)
        memory[...] = new.numpy() * 2
        found.append(seen(f()))
    return found


@program
def assigns_now_and_then(wrap):
    w, calls = weight(3, 3), itertools.count()

    @wrap
    def f(x):
        h = x @ w
        if next(calls) % 3 == 2:
            h[0] = h[1] * 2
        return slope(h, w), h

    return [seen(f(x)) for x in values(20, 2, 3)]


@program
def results_are_assigned_to(wrap):
    w, kept, found = weight(3, 3), [], []
    f = wrap(lambda x: tg.tanh(x @ w))
    for n, x in enumerate(values(20, 2, 3)):
        y = f(x)
        kept.append(y)
        if n % 2:
            y[0] = 1.5
        found += [seen(kept[-3:]), seen(tg.gradients((y * y).sum(), [w], retain_graph=True)[0])]
    return found


@program
def the_argument_is_assigned_to(wrap):
    w, x = weight(3, 3), tg.ones(2, 3, dtype=np.float64)
    f, found = wrap(lambda x: slope(tg.tanh(x @ w), w)), []
    for n in range(20):
        x[n % 2] = float(n)
        found.append(seen(f(x)))
    return found


@program
def assigns_to_a_buffer(wrap):
    w, buffer, calls = weight(3, 3), tg.zeros(4, 3, dtype=np.float64), itertools.count()

    @wrap
    def f(x):
        buffer[next(calls) % 4] = x[0].detach()
        return slope(buffer @ w * x[0], w)

    return [seen(f(x)) for x in values(20, 2, 3)], buffer


# Other code runs


@program
def an_op_of_the_user_logs(wrap):
    calls: list[str] = []

    @tg.op
    def cube(a):
        calls.append("definition")
        return a * a * a

    def rule(g, a):
        calls.append("rule")
        return 3 * g * a * a

    cube.vjp(a=rule)
    w = weight(3)

    @wrap
    def f(x):
        w.grad = None
        loss = cube(w * x).sum()
        loss.backward()
        return loss, w.grad

    return [seen(f(x)) for x in values(20, 3)], calls


@program
def transforms_inside(wrap):
    w = weight(3, 3)

    @wrap
    def f(x):
        g = tg.grad(lambda a: (tg.tanh(a @ w) ** 2).sum())(x)
        rows = tg.vmap(lambda row: (row * row).sum())(x)
        _, t = tg.jvp(lambda a: tg.sin(a @ w), (x,), (x,))
        return tg.gradients((g * g).sum() + rows.sum() + t.sum(), [w])[0]

    return [seen(f(x)) for x in values(16, 2, 3)]


@program
def one_inside_another(wrap):
    w = weight(3, 3)
    inner = wrap(lambda x: tg.tanh(x @ w))
    outer = wrap(lambda x: tg.gradients((inner(x) * inner(x * 2)).sum(), [w])[0])
    return [(seen(outer(x)), seen(inner(x)) if n % 4 == 1 else None) for n, x in enumerate(values(20, 2, 3))]


@program
def several_threads_call(wrap):
    w = weight(6, 6)

    @wrap
    def f(x):
        h = x
        for _ in range(5):
            h = tg.tanh(h @ w) + x
        return slope(h, w)

    given = list(values(60, 4, 6))
    found: list[Any] = [None] * len(given)

    def work(k: int) -> None:
        for i in range(k, len(given), 4):
            found[i] = seen(f(given[i]))

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


@program
def a_thread_computes_inside(wrap):
    w = weight(6, 6)

    @wrap
    def f(x):
        h, found = tg.tanh(x @ w), []
        thread = threading.Thread(target=lambda: found.append((tg.exp(h.detach()) * 2).sum().item()))
        thread.start()
        y = tg.sin(h) * 2
        thread.join()
        return tg.gradients((y * found[0]).sum(), [w])[0]

    return [seen(f(x)) for x in values(16, 4, 6)]


@pytest.mark.slow
@pytest.mark.parametrize("run", PROGRAMS, ids=lambda f: f.__name__)
def test_a_compiled_program_leaves_what_the_plain_one_does(run):
    if run is a_thread_computes_inside and sys.platform == "emscripten":
        pytest.skip("a browser's Python cannot start threads")
    assert seen(run(tg.compile)) == seen(run(lambda function: function))


def added(a):
    a += 1
    return a


def assigned_view(a):
    a[1:][0] = 5


@pytest.mark.parametrize(
    "write", [lambda a: a.__setitem__(0, 7), lambda a: a.__setitem__(..., a * 2), assigned_view, added]
)
@pytest.mark.parametrize("given", ["array", "list", "keyword"])
def test_an_array_that_the_function_was_given_is_not_written(write, given):
    """NumPy would change the array of the caller; a Tensor in its place would not."""
    a = np.arange(3.0)
    step = {"array": write, "list": lambda s: write(s[0]), "keyword": lambda *, x: write(x)}[given]
    call = {"array": lambda f: f(a), "list": lambda f: f([a]), "keyword": lambda f: f(x=a)}[given]
    for compiled in [tg.compile(step)] * 4:
        with pytest.raises(RuntimeError, match=r"stands for an array that a compiled function was given.*return it"):
            call(compiled)
    np.testing.assert_array_equal(a, np.arange(3.0))
    x = tg.from_numpy(a)
    write(x)  # outside, it is a Tensor as any other


def test_what_an_array_was_computed_to_may_be_written():
    @tg.compile
    def f(a, t):
        b, c = a * 2, a.copy()
        b[0], c[1] = 9, 8
        b += 1
        t[0] = 4  # a Tensor, given by the caller
        inner(a)
        with pytest.raises(RuntimeError, match="stands for"):
            a[0] = 1
        return b + c

    @tg.compile
    def inner(a):
        with pytest.raises(RuntimeError, match="stands for"):
            a[0] = 1

    for _ in range(4):
        t = tg.zeros(3)
        assert f(np.ones(3), t).tolist() == [11, 11, 4]
        assert t.tolist() == [4, 0, 0]
