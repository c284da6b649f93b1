"""A training in which the last rank is given something else.

Run:  disagree.py WHAT
"""

import os
import sys

import numpy as np

import tinygrad_cnn as tg
from tinygrad_cnn import nn

what = sys.argv[1]
rank = int(os.environ["PMI_RANK"])
odd = rank == int(os.environ["PMI_SIZE"]) - 1
if odd and what == "version":
    tg.__version__ = "9.9"
tg.manual_seed(7 if odd and what == "random" else 0)
if odd and what == "dtype":
    tg.set_default_dtype(np.float64)
model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10, bias=not (odd and what == "model")))
tg.manual_seed(7 if odd and what == "random" else 0)
optimizer = tg.optim.Adam(model.parameters())
images, digits = tg.data.digits()
length = 90 if odd and what == "length" else 100
data = tg.data.TensorDataset(images[:length].astype(np.float32), digits[:length])
loader = tg.data.DataLoader(data, 10, seed=5 if odd and what == "loader" else 0)
shards, seed = 5 if odd and what == "shards" else 4, 9 if odd and what == "seed" else 3
world = tg.distributed.World(shards, seed=seed, timeout=300)


class Order:
    """Batches in an order of this rank's own, the last `less` left out."""

    def __init__(self, seed, less):
        self.batches = np.random.default_rng(seed).permutation(100).reshape(10, 10)[: 10 - less]

    def __iter__(self):
        return ((data.arrays[0][batch], data.arrays[1][batch]) for batch in self.batches)


if what == "batches":
    loader = Order(seed=rank, less=0)
validate = Order(seed=rank * (what == "validation"), less=int(odd and what == "shorter"))
metrics = ["f1"] if odd and what == "metrics" else ["accuracy"]
tg.fit(
    model, loader, tg.cross_entropy, optimizer, epochs=1, progress=False, compile=False, distributed=world, metrics=metrics,
    class_weight={1: 3.0 if odd and what == "weights" else 2.0}, validate=validate,
)  # fmt: skip
