"""Random programs with Python state, each built twice from one seed: one runs eagerly, one compiled.

A program is a function `step(x)` made of random statements: ops, reads of values, branches, counters, caches, draws,
backward passes, updates, values that are kept for later calls. `compare` runs both copies on the same inputs and compares
everything that can be seen.
"""

from __future__ import annotations

import functools
import random
import threading
from collections.abc import Callable
from typing import Any

import numpy as np

import tinygrad_cnn as tg
from tinygrad_cnn import nn, optim

from ..graphs import write

SHAPE = (4, 6)


class World:
    """What a program can see and change besides its argument."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.rng = np.random.default_rng(seed + 1)
        self.random = random.Random(seed)
        self.w = [tg.Tensor(rng.normal(size=s) * 0.3, requires_grad=True) for s in ((6, 6), (6,), (4, 6), (6, 6))]
        self.bias = tg.Tensor(rng.normal(size=6))
        self.mask = (rng.random(SHAPE) > 0.5).astype(float)
        self.conv = nn.Conv2d(1, 3, 3, padding=1, dtype=np.float64) if _takes_dtype() else nn.Conv2d(1, 3, 3, padding=1)
        self.norm = nn.BatchNorm1d(6)
        for p in [*self.conv.parameters(), *self.norm.parameters()]:
            write(p, rng.normal(size=p.shape) * 0.4)
        self.optimizer = optim.Adam(self.w, lr=0.01) if seed % 2 else optim.SGD(self.w, lr=0.05, momentum=0.9)
        self.count = 0
        self.kept: list[Any] = []
        self.log: list[Any] = []
        self.scale = 1.0
        self.cache: dict[Any, Any] = {}
        self.buffer = np.zeros(SHAPE)
        self.generator: Any = None


def _takes_dtype() -> bool:
    return False


Statement = Callable[[World, Any], Any]
"""Takes the current value, a Tensor of SHAPE, and returns the next."""


def s(function: Statement) -> Statement:
    """Register a statement."""
    STATEMENTS.append(function)
    return function


STATEMENTS: list[Statement] = []


@s
def product(m, v):
    return tg.matmul(v, m.w[0])


@s
def shifted(m, v):
    return v + m.w[1]


@s
def weighted(m, v):
    return v * m.w[2]


@s
def tanh(m, v):
    return tg.tanh(v)


@s
def relu(m, v):
    return v.relu()


@s
def gelu(m, v):
    return tg.gelu(v)


@s
def there_and_back(m, v):
    return v.reshape(6, 4).T.reshape(4, 6)


@s
def softmax(m, v):
    return tg.softmax(v, axis=1) * 2


@s
def halves(m, v):
    return tg.concatenate([v[:2], v[2:]], axis=0)


@s
def normalized(m, v):
    return tg.layer_norm(v, (6,))


@s
def centred(m, v):
    return v - v.mean(axis=0)


@s
def detached(m, v):
    return v + v.detach() * 0.5


@s
def outside(m, v):
    return v + m.bias


@s
def twice(m, v):
    return v + v


@s
def reused(m, v):
    a = tg.exp(-v * v)
    return a + a * v


@s
def counted(m, v):
    m.count += 1
    return v * (1 + m.count % 3)


@s
def by_value(m, v):
    return v * 2 if float(v.sum().item()) > 0 else v - 0.25


@s
def by_parity(m, v):
    return tg.sin(v) if m.count % 2 else tg.cos(v)


@s
def sometimes(m, v):
    m.count += 1
    return v.tanh() if m.count % 5 == 0 else v


@s
def loops(m, v):
    for _ in range(m.count % 4):
        v = v * 0.9 + 0.1
    return v


@s
def drawn(m, v):
    return v * (m.rng.random(SHAPE) > 0.3)


@s
def drawn_tensor(m, v):
    return v + tg.randn(*SHAPE, rng=m.rng, dtype=np.float64) * 0.1


@s
def drawn_number(m, v):
    return v * m.random.uniform(0.5, 1.5)


@s
def dropped(m, v):
    return tg.dropout(v, 0.3, rng=m.rng)


@s
def schedule(m, v):
    m.scale *= 0.97
    return v * m.scale


@s
def axis_changes(m, v):
    return v + v.sum(axis=m.count % 2, keepdims=True) * 0.01


@s
def index_changes(m, v):
    return v + v[m.count % 4] * 0.1


@s
def gathered(m, v):
    return v[np.argsort(v.numpy()[:, 0] if not v.requires_grad else v.detach().numpy()[:, 0])]


@s
def mask_changes(m, v):
    m.mask[m.count % 4] *= -1
    return v * m.mask


@s
def buffer_written(m, v):
    np.copyto(m.buffer, v.detach().numpy())
    out = v + m.buffer
    m.buffer[...] = 7.0
    return out


@s
def cached(m, v):
    key = m.count % 3
    if key not in m.cache:
        m.cache[key] = tg.Tensor(m.rng.normal(size=6))
    return v + m.cache[key]


@s
def lru(m, v):
    scale = m.cache.setdefault("lru", functools.lru_cache(lambda k: 0.5 + k + m.scale))
    return v * scale(m.count % 2)


@s
def fresh_leaf(m, v):
    leaf = tg.Tensor(np.full(6, 0.1 * (m.count + 1)), requires_grad=True)
    out = v * leaf
    g = tg.gradients(out.sum(), [leaf], retain_graph=True)[0]
    m.log.append(g.numpy().copy())
    return out


@s
def logs(m, v):
    m.log.append(v.detach().numpy().copy())
    return v


@s
def logs_number(m, v):
    m.log.append(v.max().item())
    return v


@s
def keeps_tensor(m, v):
    m.kept.append(v)
    del m.kept[:-3]
    return v


@s
def keeps_view(m, v):
    m.kept.append(v.detach().numpy()[1:3])
    del m.kept[:-3]
    return v


@s
def keeps_graph(m, v):
    m.kept.append((v * v).sum())
    del m.kept[:-2]
    return v


@s
def uses_kept(m, v):
    old = next((k for k in m.kept if isinstance(k, tg.Tensor) and k.shape == SHAPE), None)
    return v if old is None else v + old.detach() * 0.1


@s
def backward_of_kept(m, v):
    for k in m.kept[:1]:
        if isinstance(k, tg.Tensor) and k.ndim == 0 and k.requires_grad:
            g = tg.gradients(k, [m.w[0]], allow_unused=True, retain_graph=True)[0]
            m.log.append(None if g is None else g.numpy().copy())
    return v


@s
def keeps_gradient(m, v):
    m.kept.append(m.w[0].grad)
    del m.kept[:-3]
    return v


@s
def raises_inside(m, v):
    m.count += 1
    try:
        u = v * 3
        if m.count % 3 == 0:
            raise KeyError("by design")
        return u
    except KeyError:
        return v


@s
def wrong_op(m, v):
    try:
        return v + tg.ones(5)
    except ValueError:
        return v - 1


@s
def freezes(m, v):
    m.count += 1
    m.w[3].requires_grad = m.count % 3 != 0
    return tg.matmul(v, m.w[3])


@s
def inner_gradient(m, v):
    g = tg.gradients((v * v).sum(), [m.w[2]], allow_unused=True, retain_graph=True)[0]
    if g is not None:
        m.log.append(g.numpy().copy())
    return v


@s
def second_gradient(m, v):
    g = tg.gradients((v**3).sum(), [v], create_graph=True)[0] if v.requires_grad else v
    return v + g * 0.01


@s
def inner_grad_function(m, v):
    return v + tg.grad(lambda a: (tg.sin(a) * m.scale).sum())(v.detach()) * 0.1


@s
def inner_vmap(m, v):
    return v + tg.vmap(lambda row: row * row.sum())(v) * 0.01


@s
def inner_jvp(m, v):
    out, t = tg.jvp(lambda a: tg.tanh(a) * m.scale, (v.detach(),), (tg.ones(*SHAPE, dtype=np.float64),))
    return v + out * 0.1 + t * 0.01


@s
def checkpointed(m, v):
    return tg.checkpoint(lambda a: tg.tanh(a * m.w[2]), v)


@s
def no_grad_part(m, v):
    with tg.no_grad():
        a = v * 2
        b = a.exp().sum()
    return v + a * 0.1 + b * 0.001


@s
def convolved(m, v):
    y = m.conv(v.reshape(1, 1, 4, 6).astype(np.float32)).astype(np.float64)
    return v + y.sum(axis=(0, 1)) * 0.1


@s
def batch_norm(m, v):
    return m.norm(v.astype(np.float32)).astype(np.float64)


@s
def copy_to_buffer(m, v):
    m.bias.copy_(m.bias * 0.9 + v.detach().mean(axis=0) * 0.1)
    return v


@s
def written_in_place(m, v):
    """A value of an op, written through an alias."""
    with tg.no_grad():
        a, b = v.detach() * 0.5, tg.sigmoid(v.detach()).sum(axis=0)
        m.kept.append(b)
        del m.kept[:-3]
        a.copy_(a * 2 + m.bias)
        b.detach().copy_(b + 1)
        c = a + b
    return v + c * 0.1


@s
def leaf_of_a_value(m, v):
    """A value of an op that an optimizer updates."""
    value = v.detach().mean(axis=0) * 0.3
    leaf = value.detach().requires_grad_()
    optimizer = optim.SGD([leaf], lr=0.1)
    ((leaf - 1) ** 2).sum().backward()
    optimizer.step()
    return v + leaf.detach() * 0.1 + value


@s
def hooked(m, v):
    if v.requires_grad and m.count % 2:
        v = v * 1.0
        v.register_hook(lambda g: m.log.append(g.numpy().copy()))
    return v


@s
def other_thread(m, v):
    out: list[Any] = []
    thread = threading.Thread(target=lambda: out.append((tg.Tensor(m.mask) * 2).sum().item()))
    thread.start()
    thread.join()
    return v + out[0] * 0.01


@s
def generator_across(m, v):
    def numbers():
        total = tg.Tensor(np.zeros(6))
        while True:
            total = total + 1.0
            yield total

    if m.generator is None:
        m.generator = numbers()
    return v + next(m.generator) * 0.01


@s
def shape_changes(m, v):
    rows = 1 + m.count % 3
    return v + (v[:rows] * 2).sum(axis=0) * 0.1


@s
def selected(m, v):
    at = v.detach().numpy() > 0
    return v + v[at].sum() * 0.01


@s
def argument_changed_in_place(m, v):
    u = v * 1.0
    m.mask += 0.125
    return u * m.mask


@s
def dtype_changes(m, v):
    return v + v.astype(np.float32 if m.count % 2 else np.float64).astype(np.float64) * 0.5


@s
def number_types(m, v):
    return v * (2 if m.count % 2 else 2.0) + (-0.0 if m.count % 3 else 0.0)


@s
def steps_now(m, v):
    loss = (v * v).mean()
    if loss.requires_grad:
        m.optimizer.zero_grad()
        loss.backward(retain_graph=True)
        m.log.append(loss.item())
    return v


@s
def clip(m, v):
    if any(p.grad is not None for p in m.w):
        m.log.append(optim.clip_grad_norm_([p for p in m.w if p.grad is not None], 0.5).item())
    return v


@s
def lr_changes(m, v):
    m.optimizer.param_groups[0]["lr"] *= 0.95
    return v


def build(seed: int) -> tuple[World, Callable[[Any], Any], list[str]]:
    """A world and a program on it."""
    choose = random.Random(seed)
    chosen = choose.choices(STATEMENTS, k=choose.randint(2, 9))
    ending = choose.choice(["train", "train", "train", "accumulate", "infer", "graph", "gradients", "closure", "twice"])
    kind = choose.choice(["value", "tensor", "several", "nothing"])
    m = World(seed)

    def forward(x: Any) -> Any:
        v = x
        for statement in chosen:
            v = statement(m, v)
        return v

    def step(x: Any) -> Any:
        if ending == "infer":
            with tg.no_grad():
                return forward(x)
        if ending == "closure":

            def closure():
                m.optimizer.zero_grad()
                loss = (forward(x) ** 2).mean() + m.w[1].sum() * 0.1
                loss.backward()
                return loss

            return m.optimizer.step(closure)
        out = forward(x)
        loss = (out * out).mean() + (m.w[1] * m.w[1]).sum() * 0.1
        if ending == "graph":
            return loss
        if ending == "gradients":
            return tg.gradients(loss, [m.w[1], m.w[0]], allow_unused=True)
        if ending == "train":
            m.optimizer.zero_grad()
        loss.backward(retain_graph=ending == "twice")
        if ending == "twice":
            (loss * 0.5).backward()
        if ending != "accumulate" or m.count % 2:
            m.optimizer.step()
        return {"value": loss.item(), "tensor": loss, "several": (loss, out.detach(), [out]), "nothing": None}[kind]

    return m, step, [f.__name__ for f in chosen] + [ending, kind]


def seen(value: Any) -> Any:
    """What can be seen of a value, as arrays."""
    if isinstance(value, tg.Tensor):
        return value.detach().numpy().copy()
    if isinstance(value, list | tuple):
        return [seen(v) for v in value]
    return value


def differ(a: Any, b: Any) -> bool:
    """Whether two seen values differ in a bit."""
    if isinstance(a, list) and isinstance(b, list):
        return len(a) != len(b) or any(differ(x, y) for x, y in zip(a, b, strict=True))
    if a is None or b is None:
        return a is not b
    a, b = np.asarray(a), np.asarray(b)
    return a.dtype != b.dtype or a.shape != b.shape or a.tobytes() != b.tobytes()


def compare(seed: int, calls: int = 20) -> str | None:
    """Run both copies of a program; what differs first, in words, or None."""
    (m, step, names), (m2, step2, _) = build(seed), build(seed)
    compiled = tg.compile(step2)
    inputs = np.random.default_rng(seed + 7)
    choose = random.Random(seed + 3)
    held: list[Any] = []
    held2: list[Any] = []
    for call in range(calls):
        x = inputs.normal(size=SHAPE)
        found: list[Any] = []
        for f, keep in ((step, held), (compiled, held2)):
            try:
                result = f(tg.from_numpy(x.copy()))
                keep.append((result, seen(result)))
                found.append(seen(result))
                del result
            except Exception as error:
                found.append(repr(error))
        if isinstance(found[0], str) or isinstance(found[1], str):
            if found[0] != found[1]:
                return f"seed {seed} {names} call {call}: {found}"
            return None
        if differ(*found):
            return f"seed {seed} {names} call {call}: results differ"
        if choose.random() < 0.5:
            held.clear()
            held2.clear()
        for result, values in held2:
            if differ(seen(result), values):
                return f"seed {seed} {names} call {call}: a result that was kept has changed"
        for what, a, b in (
            ("parameters", m.w, m2.w),
            ("gradients", [p.grad for p in m.w], [p.grad for p in m2.w]),
            ("log", m.log, m2.log),
            ("kept values", m.kept, m2.kept),
            ("bias", m.bias, m2.bias),
            ("running statistics", [*m.norm.state_dict().values()], [*m2.norm.state_dict().values()]),
            ("count", m.count, m2.count),
            ("draws", *(str(w.rng.bit_generator.state) == str(m.rng.bit_generator.state) for w in (m, m2))),
        ):
            if differ(seen(a), seen(b)):
                return f"seed {seed} {names} call {call}: {what} differ"
    return None
