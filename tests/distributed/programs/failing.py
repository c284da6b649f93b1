"""A training in which rank WHO fails after step AT. With HOW "killed" it writes each step to a file, and the test kills it.

Run:  failing.py HOW WHO AT
"""

import os
import signal
import sys
import time

import tinygrad_cnn as tg
from tinygrad_cnn import nn
from tinygrad_cnn.extra.distributed import monitor

how, who, at = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
timeout = 10.0 if how in ("stop", "hang") else 300.0  # others end without waiting for an answer

steps = os.open("step", os.O_CREAT | os.O_WRONLY) if how == "killed" else -1


class Fail(tg.training.Callback):
    """Fails after a step."""

    def on_step_end(self, run):
        if how == "killed" and run.rank == who:
            os.pwrite(steps, f"{run.step:2}".encode(), 0)
            time.sleep(0.005)
        if run.step == at and run.rank == who:
            with open("failed", "w", encoding="utf-8") as file:
                file.write("now")
            if how == "raise":
                raise ValueError("no good")
            if how == "exit":
                sys.exit(0)
            if how in ("kill", "unseen"):
                os.kill(os.getpid(), signal.SIGKILL)
            if how == "stop":
                os.kill(os.getpid(), signal.SIGSTOP)
            if how == "hang":
                time.sleep(1000)
            if how == "interrupt":
                os.kill(os.getpid(), signal.SIGINT)
            if how == "wish":
                run.stop("enough")
            if how == "change":
                run.model[1].bias.copy_(run.model[1].bias.detach() + 1)


class Absent:
    """The monitor cannot be reached."""

    def __init__(self, *arguments):
        raise OSError


tg.manual_seed(0)
if how == "unseen" and os.environ["PMI_RANK"] == str(who):
    monitor.Connection = Absent
world = tg.distributed.World(shards=8, timeout=timeout)
images, digits = tg.data.digits()
model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10), nn.Dropout(0.1))
optimizer = tg.optim.Adam(model.parameters())
data = tg.data.TensorDataset(images[:640].astype("f") / 16, digits[:640])
loader = tg.data.DataLoader(data, 64, shuffle=True, seed=0)
resume = "run.npz" if os.path.exists("run.npz") else None
history = tg.fit(
    model, loader, tg.cross_entropy, optimizer, epochs=6, callbacks=[Fail(), tg.training.Checkpoint("run.npz")],
    distributed=world, progress=False, compile=False, resume=resume,
)  # fmt: skip
history["seconds"] = []
with open(f"rank{world.rank}.txt", "w", encoding="utf-8") as file:
    file.write(f"{history} {[p.numpy().tobytes() for p in model.parameters()]}")
