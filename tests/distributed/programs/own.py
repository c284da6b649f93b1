"""A training loop without `fit`, in which rank WHO fails between steps 2 and 3.

Run:  own.py HOW WHO
"""

import sys

import numpy as np

import tinygrad_cnn as tg

how, who = sys.argv[1], int(sys.argv[2])
tg.manual_seed(0)
world = tg.distributed.World(shards=4, timeout=10 if how in ("mean", "any") else 300, failures="run.failures.txt")
model = tg.nn.Linear(3, 1)
world.start(model=model)
x, y = np.ones((8, 3), np.float32), np.ones((8, 1), np.float32)
for step in range(1, 6):
    world.step(lambda x, y: tg.mse(model(x), y), (x, y))
    if step == 2 and world.rank == who:
        with open("failed", "w", encoding="utf-8") as file:
            file.write("now")
        if how == "raise":
            raise ValueError("no good")
        if how == "mean":
            world.mean([0.0] * len(world.mine))
        if how == "any":
            world.any(False)
