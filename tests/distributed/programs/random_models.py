"""Train small random models, one for each seed, and print a hash of everything that training has changed.

Run:  random_models.py FIRST COUNT
"""

import hashlib
import sys

import numpy as np

import tinygrad_cnn as tg
from tinygrad_cnn import nn

OPTIMIZERS = [
    lambda p: tg.optim.SGD(p, lr=0.05, momentum=0.9, nesterov=True),
    lambda p: tg.optim.Adam(p, lr=0.01, amsgrad=True),
    lambda p: tg.optim.AdamW(p, lr=0.01),
    lambda p: tg.optim.NAdam(p, lr=0.01),
    lambda p: tg.optim.RMSprop(p, lr=0.005, centered=True),
    lambda p: tg.optim.Adagrad(p, lr=0.05),
    lambda p: tg.optim.Adadelta(p, lr=0.5),
    lambda p: tg.optim.Lion(p, lr=1e-3),
]
SCHEDULES = [
    lambda o, steps: None,
    lambda o, steps: tg.optim.ExponentialLR(o, 0.8),
    lambda o, steps: tg.training.EachStep(tg.optim.OneCycleLR(o, 0.05, total_steps=steps)),
    lambda o, steps: tg.optim.ReduceLROnPlateau(o, patience=0, threshold=0.5),
]


class Clip(tg.training.Callback):
    """Clips gradients, and averages weights."""

    def __init__(self, model):
        self.ema = tg.optim.EMA([*model.parameters()], decay=0.9)

    def on_gradients(self, run):
        tg.optim.clip_grad_norm_(run.model.parameters(), max_norm=0.5)

    def on_step_end(self, run):
        self.ema.update()

    def state_dict(self):
        return self.ema.state_dict()

    def load_state_dict(self, state):
        self.ema.load_state_dict(state)


class Watch(tg.training.Callback):
    """Counts the outputs of validations, on rank 0 alone."""

    on_first_rank_only = True
    seen = 0

    def on_validation_batch(self, run, parts, output):
        self.seen += len(output)


def network(rng, dtype):
    """Convolution, sometimes with a normalization, an activation and dropout, and one linear layer or two."""
    channels = int(rng.integers(2, 6))
    norms = [
        lambda: nn.BatchNorm2d(channels, dtype=dtype),
        lambda: nn.BatchNorm2d(channels, momentum=None, dtype=dtype),
        lambda: nn.GroupNorm(1, channels, dtype=dtype),
        lambda: nn.InstanceNorm2d(channels, affine=True, track_running_stats=True, dtype=dtype),
        nn.Identity,
    ]
    layers = [
        nn.Conv2d(1, channels, 3, stride=2, dtype=dtype),
        norms[rng.integers(len(norms))](),
        [nn.ReLU, nn.Tanh, nn.GELU][rng.integers(3)](),
        [lambda: nn.Dropout(0.3), lambda: nn.Dropout2d(0.3), nn.Identity][rng.integers(3)](),
        nn.Flatten(),
    ]
    if rng.integers(2):
        layers += [nn.Linear(9 * channels, 7, dtype=dtype), nn.BatchNorm1d(7, dtype=dtype), nn.ReLU()]
        return nn.Sequential(*layers, nn.Linear(7, 10, dtype=dtype))
    return nn.Sequential(*layers, nn.Linear(9 * channels, 10, dtype=dtype))


def told(state):
    """Everything in a nested state, as text and bytes."""
    if isinstance(state, dict):
        return b"".join(repr(key).encode() + told(value) for key, value in state.items())
    if isinstance(state, list | tuple):
        return b"".join(map(told, state))
    if isinstance(state, np.ndarray):
        return repr((state.shape, state.dtype)).encode() + state.tobytes()
    return repr(state).encode()


def trained(seed, shards):
    """A hash of the state after training a random model."""
    rng = np.random.default_rng(seed)
    dtype = [np.float32, np.float64][rng.integers(2)]
    tg.manual_seed(seed)
    images, digits = tg.data.digits()
    examples, size = int(rng.integers(40, 70)), int(rng.integers(2 * shards, 3 * shards + 5))
    drop = examples % size < 2 * shards  # the last batch has enough for every shard, or is left out
    x = images[:, None].astype(dtype) / 16
    shift = tg.data.RandomCrop(8, padding=1) if rng.integers(2) else None
    loader = tg.data.DataLoader(
        tg.data.TensorDataset(x[:examples], digits[:examples]), size, shuffle=True, drop_last=drop, seed=seed,
        transform=shift, prefetch=int(rng.integers(2)),
    )  # fmt: skip
    model = network(rng, dtype)
    optimizer = OPTIMIZERS[seed % len(OPTIMIZERS)](model.parameters())
    schedule = SCHEDULES[rng.integers(len(SCHEDULES))](optimizer, 3 * len(loader))
    validate = tg.data.DataLoader(tg.data.TensorDataset(x[-33:], digits[-33:]), 10) if rng.integers(2) else None
    callbacks = [Clip(model), tg.training.EarlyStopping(2, "loss")] if rng.integers(2) else []
    watch = Watch()
    watching = [watch] if seed % 2 else []
    world = tg.distributed.World(shards, sync_batch_norm=seed % 3 == 0)
    history = tg.fit(
        model, loader, tg.cross_entropy, optimizer, epochs=3, scheduler=schedule, validate=validate,
        callbacks=[*callbacks, *watching], compile=bool(rng.integers(2)), progress=False, distributed=world,
    )  # fmt: skip
    seen = 33 * history.epochs if validate and watching and world.rank == 0 else 0
    assert watch.seen == seen, "rank 0 sees every output, the others none"
    history["seconds"] = []
    state = tg.training.snapshot(model=model, optimizer=optimizer, loader=loader, world=world)
    state |= {"history": dict(history), "callbacks": [c.state_dict() for c in callbacks]}
    return hashlib.sha256(told(state)).hexdigest()


first, count = map(int, sys.argv[1:])
world = tg.distributed.World(8)
for seed in range(first, first + count):
    line = f"{seed} {trained(seed, shards=8)}"
    with open(f"rank{world.rank}.txt", "a", encoding="utf-8") as file:
        file.write(line + "\n")
