"""Record what PyTorch's optimizers do, for test_trajectories.py: needs PyTorch, run by hand.

python tests/optim/record_trajectories.py

Writes trajectories.npz beside this file. Two parameters take twelve steps along fixed gradients, which are the same for
every case, so errors do not feed back. The second parameter has no gradient at steps 3 and 4; one element's gradient
is always 0; halfway, the learning rate is halved, as a schedule would.
"""

import json
from pathlib import Path

import numpy as np
import torch

STEPS = 12
SGD = [
    {},
    {"lr": 0.1},
    {"lr": 0.1, "weight_decay": 0.3},
    {"lr": 0.1, "maximize": True},
    {"lr": 0.1, "momentum": 0.9},
    {"lr": 0.1, "momentum": 0.9, "dampening": 0.4},
    {"lr": 0.1, "momentum": 0.9, "dampening": -0.4, "weight_decay": 0.3},
    {"lr": 0.1, "momentum": 0.9, "nesterov": True},
    {"lr": 0.1, "momentum": 0.6, "nesterov": True, "weight_decay": 0.3, "maximize": True},
]
RMSPROP = [
    {},
    {"lr": 0.05, "alpha": 0.9},
    {"lr": 0.05, "alpha": 0.0},
    {"lr": 0.05, "eps": 0.1},
    {"lr": 0.05, "weight_decay": 0.3},
    {"lr": 0.05, "maximize": True},
    {"lr": 0.05, "momentum": 0.9},
    {"lr": 0.05, "eps": 1e-3, "centered": True},
    {"lr": 0.05, "alpha": 0.7, "eps": 1e-2, "centered": True, "momentum": 0.6, "maximize": True},
]
ADAM = [
    {},
    {"lr": 0.05},
    {"lr": 0.05, "betas": [0.5, 0.6]},
    {"lr": 0.05, "betas": [0.0, 0.0]},
    {"lr": 0.05, "eps": 0.1},
    {"lr": 0.05, "weight_decay": 0.3},
    {"lr": 0.05, "weight_decay": 0.3, "decoupled_weight_decay": True},
    {"lr": 0.05, "maximize": True},
    {"lr": 0.05, "betas": [0.5, 0.6], "amsgrad": True},
    {"lr": 0.05, "betas": [0.7, 0.4], "eps": 1e-2, "amsgrad": True, "weight_decay": 0.3, "maximize": True},
]
ADAMW = [
    {},
    {"lr": 0.05, "weight_decay": 0.3},
    {"lr": 0.05, "betas": [0.7, 0.4], "eps": 1e-2, "amsgrad": True, "weight_decay": 0.3, "maximize": True},
]
ADAGRAD = [
    {},
    {"lr": 0.1},
    {"lr": 0.1, "lr_decay": 0.2},
    {"lr": 0.1, "initial_accumulator_value": 0.5},
    {"lr": 0.1, "weight_decay": 0.3},
    {"lr": 0.1, "lr_decay": 0.2, "initial_accumulator_value": 0.5, "eps": 0.1, "weight_decay": 0.3, "maximize": True},
]
ADADELTA = [
    {},
    {"lr": 0.5, "rho": 0.6},
    {"lr": 0.5, "rho": 0.0},
    {"lr": 0.5, "rho": 1.0},
    {"lr": 0.5, "eps": 1e-2},
    {"lr": 0.5, "rho": 0.6, "eps": 1e-2, "weight_decay": 0.3, "maximize": True},
]
NADAM = [
    {},
    {"lr": 0.05},
    {"lr": 0.05, "betas": [0.5, 0.6]},
    {"lr": 0.05, "betas": [0.0, 0.0]},
    {"lr": 0.05, "momentum_decay": 0.5},
    {"lr": 0.05, "momentum_decay": 0.0, "eps": 0.1},
    {"lr": 0.05, "weight_decay": 0.3},
    {"lr": 0.05, "weight_decay": 0.3, "decoupled_weight_decay": True},
    {"lr": 0.05, "betas": [0.7, 0.4], "weight_decay": 0.3, "decoupled_weight_decay": True, "maximize": True},
]
TABLES = {"SGD": SGD, "RMSprop": RMSPROP, "Adam": ADAM}
TABLES |= {"AdamW": ADAMW, "Adagrad": ADAGRAD, "Adadelta": ADADELTA, "NAdam": NADAM}


def record(name: str, options: dict, start: list[np.ndarray], gradients: list[np.ndarray], dtype: type) -> tuple:
    """The elements of both parameters after each step, and of each slot of the state at the end, by the slot's name."""
    params = [torch.tensor(a.astype(dtype), requires_grad=True) for a in start]
    options = {key: tuple(value) if isinstance(value, list) else value for key, value in options.items()}
    optimizer = getattr(torch.optim, name)(params, **options, foreach=False)
    path = []
    for step in range(STEPS):
        if step == STEPS // 2:
            optimizer.param_groups[0]["lr"] /= 2
        for p, g in zip(params, gradients, strict=True):
            p.grad = torch.tensor(g[step].astype(dtype))
        if step in (3, 4):
            params[1].grad = None
        optimizer.step()
        path.append(flat([p.detach() for p in params], params))
    state = optimizer.state_dict()["state"]
    assert state.keys() in (set(), {0, 1})
    slots = {key: flat([state[0][key], state[1][key]], params) for key in state.get(0, ())}
    return np.stack(path), slots


def flat(values: list[torch.Tensor], like: list[torch.Tensor]) -> np.ndarray:
    return np.concatenate([v.expand(p.shape).to(p.dtype).numpy().ravel() for v, p in zip(values, like, strict=True)])


def main() -> None:
    torch.set_default_dtype(torch.float64)  # the dtype of what PyTorch keeps as one number for a whole parameter
    rng = np.random.default_rng(2024)
    start = [rng.normal(size=(2, 3)), rng.normal(size=4)]
    gradients = [rng.normal(size=(STEPS, *a.shape)) * 10.0 ** rng.uniform(-2, 1, a.shape) for a in start]
    gradients[0][:, 0, 0] = 0
    data = {f"start{i}": a for i, a in enumerate(start)} | {f"gradients{i}": a for i, a in enumerate(gradients)}
    cases = [(name, options) for name, table in TABLES.items() for options in table]
    for dtype in (np.float64, np.float32):
        runs = [record(name, options, start, gradients, dtype) for name, options in cases]
        data[f"paths/{np.dtype(dtype)}"] = np.stack([path for path, _ in runs])
        data[f"slots/{np.dtype(dtype)}"] = np.stack([slot for _, slots in runs for slot in slots.values()])
    rows = [[name, options, list(slots)] for (name, options), (_, slots) in zip(cases, runs, strict=True)]
    data["cases"] = np.array(json.dumps(rows))
    data["made_by"] = np.array(f"PyTorch {torch.__version__}, foreach=False")
    np.savez_compressed(Path(__file__).with_name("trajectories.npz"), **data)


if __name__ == "__main__":
    main()
