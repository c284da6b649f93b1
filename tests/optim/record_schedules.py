"""Record what PyTorch's schedules do, for test_schedules.py: needs PyTorch, run by hand.

python tests/optim/record_schedules.py

Writes schedules.npz beside this file: for every case of schedule_cases.py the learning rates and momentums of two
groups, at the start and after each step. Then those of one group for each of the drawn cycles.
"""

import warnings
from pathlib import Path

import numpy as np
import torch
from schedule_cases import CASES, LRS, STEPS, advance, build, cycles, look


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


def record_cycle(options: dict) -> list[list[float]]:
    stepping = torch.optim.SGD([torch.ones(1, requires_grad=True)], lr=LRS[0], momentum=0.9)
    schedule = torch.optim.lr_scheduler.OneCycleLR(stepping, **options)
    rows = [look(stepping)]
    for _ in range(options["total_steps"] - 1):
        stepping.step()
        schedule.step()
        rows.append(look(stepping))
    return rows


def main() -> None:
    warnings.simplefilter("ignore")  # PyTorch warns of the epoch argument inside its own SequentialLR
    rates = np.array([record(schedules, **run) for schedules, run in CASES])
    drawn = np.concatenate([record_cycle(options) for options in cycles()])
    made_by = np.array(f"PyTorch {torch.__version__}")
    np.savez_compressed(Path(__file__).with_name("schedules.npz"), rates=rates, cycles=drawn, made_by=made_by)


if __name__ == "__main__":
    main()
