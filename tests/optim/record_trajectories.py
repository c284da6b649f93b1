"""Record what PyTorch's optimizers do, for test_trajectories.py: needs PyTorch, and is run by hand.

python tests/optim/record_trajectories.py

Writes trajectories.npz beside this file. Two parameters take twelve steps along fixed gradients, which are the same for
every case, so errors do not feed back. The second parameter has no gradient at steps 3 and 4; one element's gradient
is always 0; halfway, the learning rate is halved, as a schedule would.
"""

import json
from pathlib import Path

import numpy as np
import torch
from optimizers import ROWS

STEPS = 12


def record(name: str, options: dict, start: list[np.ndarray], gradients: list[np.ndarray], dtype: type) -> tuple:
    """The elements of both parameters after each step, and of each slot of the state at the end, by the slot's name.

    A slot that a parameter lacks counts as 0. Last, the names of the slots of each parameter.
    """
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
    names = list(dict.fromkeys(key for slots in state.values() for key in slots))
    slots = {key: flat([state[i].get(key, torch.tensor(0.0)) for i in range(2)], params) for key in names}
    return np.stack(path), slots, [list(kept) for kept in state.values()]


def flat(values: list[torch.Tensor], like: list[torch.Tensor]) -> np.ndarray:
    return np.concatenate([v.expand(p.shape).to(p.dtype).numpy().ravel() for v, p in zip(values, like, strict=True)])


def main() -> None:
    torch.set_default_dtype(torch.float64)  # the dtype of what PyTorch keeps as one number for a whole parameter
    rng = np.random.default_rng(2024)
    start = [rng.normal(size=(2, 3)), rng.normal(size=4)]
    gradients = [rng.normal(size=(STEPS, *a.shape)) * 10.0 ** rng.uniform(-2, 1, a.shape) for a in start]
    gradients[0][:, 0, 0] = 0
    data = {f"start{i}": a for i, a in enumerate(start)} | {f"gradients{i}": a for i, a in enumerate(gradients)}
    cases = [(row.name, options) for row in ROWS for options in row.recorded]
    for dtype in (np.float64, np.float32):
        runs = [record(name, options, start, gradients, dtype) for name, options in cases]
        data[f"paths/{np.dtype(dtype)}"] = np.stack([path for path, _, _ in runs])
        data[f"slots/{np.dtype(dtype)}"] = np.stack([slot for _, slots, _ in runs for slot in slots.values()])
    rows = [[*case, list(slots), kept] for case, (_, slots, kept) in zip(cases, runs, strict=True)]
    data["cases"] = np.array(json.dumps(rows))
    data["made_by"] = np.array(f"PyTorch {torch.__version__}, foreach=False")
    np.savez_compressed(Path(__file__).with_name("trajectories.npz"), **data)


if __name__ == "__main__":
    main()
