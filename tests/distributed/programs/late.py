"""A rank that is so late that the other asks where it is, answers, and comes.

Run:  late.py
"""

import time

import tinygrad_cnn as tg

world = tg.distributed.World(2, timeout=10)
if world.rank == 1:
    control, asked = world.comm.control, []
    control.at = "at step 1"
    send, control.send = control.send, lambda *message: asked.append(message) or send(*message)
    while not asked:
        control.receive()
        time.sleep(0.01)
    assert asked == [(0, "here", "at step 1")]
    control.send = send
assert world.any(world.rank == 1)
