"""Many Worlds, one after another, with the first used between.

Run:  many.py
"""

import tinygrad_cnn as tg

COUNT = 1500
first = tg.distributed.World(6)
total = 0.0
for number in range(COUNT):
    last = tg.distributed.World(6, timeout=300)
    for world in (first, last) if number % 300 == 0 else ():
        total += float(world.mean([float(number * s) for s in world.mine]))
with open(f"rank{first.rank}.txt", "w", encoding="utf-8") as file:
    file.write(str(total))
