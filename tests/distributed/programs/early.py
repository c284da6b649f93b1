"""Steps whose gradients are sent during the backward pass, against steps whose gradients are sent after it.

Run:  early.py
"""

import hashlib
from contextlib import contextmanager
from functools import partial

import numpy as np

import tinygrad_cnn as tg
from tinygrad_cnn import nn
from tinygrad_cnn.extra.distributed import contribution

sent = []
SHARDS = 7


class Shared(nn.Module):
    """One weight used three times, one never, and one only in shards whose first value is positive."""

    def __init__(self, dtype):
        self.never, self.sometimes = [nn.Linear(6, 6, dtype=dtype) for _ in range(2)]
        self.first, self.twice, self.last = [nn.Linear(6, 6, dtype=dtype) for _ in range(3)]

    def forward(self, x):
        y = self.twice(self.twice(self.first(x).tanh()).tanh() * self.twice.bias)
        if type(self).by_value and x[0, 0].item() > 0:
            y = self.sometimes(y)
        return self.last(y)

    by_value = False


class Mixed(nn.Module):
    """Parameters of two dtypes, and a gradient that is computed inside the loss."""

    def __init__(self, dtype):
        self.wide, self.narrow = nn.Linear(6, 9, dtype=np.float64), nn.Linear(9, 6, dtype=np.float32)

    def forward(self, x):
        return self.narrow(self.wide(x.astype(np.float64)).astype(np.float32)).astype(x.dtype)


class Recomputed(nn.Module):
    """Layers under a checkpoint."""

    def __init__(self, dtype):
        self.inner = nn.Sequential(
            nn.Linear(6, 30, dtype=dtype), nn.Tanh(), nn.Dropout(0.3), nn.Linear(30, 6, dtype=dtype)
        )
        self.outer = nn.Linear(6, 6, dtype=dtype)

    def forward(self, x):
        return self.outer(tg.checkpoint(self.inner, x))


def normalized(dtype):
    """Batch norm and dropout."""
    layers = [nn.Linear(6, 20, dtype=dtype), nn.BatchNorm1d(20, dtype=dtype), nn.ReLU(), nn.Dropout(0.2)]
    return nn.Sequential(*layers, nn.Linear(20, 6, dtype=dtype))


def loss(model, x, y):
    """A squared error."""
    return tg.mse(model(x), y)


def penalized(model, x, y):
    """With a penalty on the gradient by x, and a backward pass of its own within."""
    tg.mse(model(x), y).backward()
    z = x.detach()
    z.requires_grad = True
    output = model(z)
    (g,) = tg.grad(output.sum(), [z], create_graph=True)
    return tg.mse(output, y) + (g * g).mean()


def hooked(model):
    """Halve a gradient."""
    next(model.parameters()).register_hook(lambda g: g * 0.5)
    return model


def hashes(make, dtype, function, compile, early):
    """Of the gradients of some steps."""
    tg.manual_seed(3)
    model = make(dtype)
    contribution.BUCKET = 200 if early else 1 << 22
    world = tg.distributed.World(SHARDS, timeout=300)
    world.start(model=model)
    post, stream = world.comm.post, world.stream

    @contextmanager
    def noted(*path):
        with stream(*path):
            yield
        sent.append("end")  # of a backward pass: what is sent after the last one is not early

    world.stream = noted
    world.comm.post = lambda *messages: sent.append("sent") or post(*messages)
    rng = np.random.default_rng(0)
    digest = hashlib.sha256()
    shard = partial(function, model)
    early_steps = 0
    for number in range(7):
        x, y = rng.normal(size=(2, 24 + number % 2, 6)).astype(dtype)
        sent.clear()
        value = world.step(shard, (x, y), compile=compile)
        early_steps += sent.index("sent") < len(sent) - sent[::-1].index("end") - 1 if "sent" in sent else 0
        digest.update(value.numpy().tobytes())
        for name, p in model.named_parameters():
            digest.update(name.encode() if p.grad is None else p.grad.numpy().tobytes())
    assert bool(early_steps) == early, (make, compile, early, early_steps)
    return digest.hexdigest()


def by_value(dtype):
    """Control flow that depends on values."""
    model = Shared(dtype)
    Shared.by_value = True
    return model


cases = [(make, loss) for make in (Shared, Mixed, Recomputed, normalized)]
cases += [(Shared, penalized), (lambda dtype: hooked(Shared(dtype)), loss)]
world = tg.distributed.World(SHARDS)
with open(f"rank{world.rank}.txt", "w", encoding="utf-8") as file:
    for make, function in [*cases, (by_value, loss)]:
        for dtype in (np.float32, np.float64):
            for compile in (False, True) if make is not by_value else (False,):
                ways = [hashes(make, dtype, function, compile, early) for early in (False, world.size > 1)]
                assert ways[0] == ways[1], (make, function, dtype, compile)
                file.write(f"{ways[0]}\n")
