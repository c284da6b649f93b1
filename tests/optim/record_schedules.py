"""Record what PyTorch's schedules do, for test_schedules.py: needs PyTorch, run by hand.

python tests/optim/record_schedules.py

Writes schedules.npz beside this file: for every case of schedule_cases.py the learning rates and momentums of two
groups, at the start and after each step.
"""

import warnings
from pathlib import Path

import numpy as np
import torch
from schedule_cases import CASES, LRS, STEPS, advance, build, look


def record(schedules: list, optimizer: str = "SGD", **run) -> list[list[float]]:
    momentum = {"momentum": 0.9} if optimizer == "SGD" else {}
    groups = [{"params": [torch.ones(1, requires_grad=True)], "lr": lr} for lr in LRS]
    stepping = getattr(torch.optim, optimizer)(groups, **momentum)
    built = [build(torch.optim.lr_scheduler, stepping, *schedule) for schedule in schedules]
    rows = [look(stepping)]
    for step in range(STEPS):
        stepping.step()
        advance(built, stepping, step, **run)
        rows.append(look(stepping))
    return rows


def main() -> None:
    warnings.simplefilter("ignore")  # PyTorch warns of the epoch argument inside its own SequentialLR
    rates = np.array([record(schedules, **run) for schedules, run in CASES])
    made_by = np.array(f"PyTorch {torch.__version__}")
    np.savez_compressed(Path(__file__).with_name("schedules.npz"), rates=rates, made_by=made_by)


if __name__ == "__main__":
    main()
