"""Record what PyTorch's optimizers do with complex parameters, for test_complex.py: needs PyTorch, and is run by hand.

python tests/optim/record_complex.py

Writes complex.npz beside this file. Two parameters take five steps along fixed gradients, df/dx + i df/dy as PyTorch's are.
L-BFGS minimizes a function of both. Gradients are clipped by their norms.
"""

import json
from pathlib import Path

import numpy as np
import torch
from optimizers import ROWS

STEPS = 5
LBFGS = [{"lr": 0.1}, {"line_search_fn": "strong_wolfe"}]
NORMS = [0.5, 1.0, 2.0, 3.0, float("inf")]


def main() -> None:
    torch.set_default_dtype(torch.float64)  # the dtype of what PyTorch keeps as one number for a whole parameter
    rng = np.random.default_rng(2026)

    def draw(*shape: int) -> np.ndarray:
        return rng.normal(size=shape) + 1j * rng.normal(size=shape)

    start = [draw(2, 3), draw(4)]
    gradients = [draw(STEPS, *a.shape) * 10.0 ** rng.uniform(-2, 1, a.shape) for a in start]
    data = {f"start{i}": a for i, a in enumerate(start)} | {f"gradients{i}": a for i, a in enumerate(gradients)}
    cases, refused = [], {}
    for row in ROWS:
        for options in row.recorded:
            given = {k: tuple(v) if isinstance(v, list) else v for k, v in options.items()}
            params = [torch.tensor(a, requires_grad=True) for a in start]
            path = []
            try:
                optimizer = getattr(torch.optim, row.name)(params, **given, foreach=False)
                for step in range(STEPS):
                    for p, g in zip(params, gradients, strict=True):
                        p.grad = torch.tensor(g[step])
                    optimizer.step()
                    path.append(np.concatenate([p.detach().numpy().ravel() for p in params]))
            except (RuntimeError, ValueError) as error:
                refused[row.name] = str(error)
                continue
            slots = optimizer.state_dict()["state"].get(0, {})
            arrays = {k: v.numpy() for k, v in slots.items() if torch.is_tensor(v) and v.shape == params[0].shape}
            data[f"path{len(cases)}"] = np.stack(path)
            data |= {f"slot{len(cases)}/{k}": v for k, v in arrays.items()}
            cases.append([row.name, options, list(arrays)])
    for i, options in enumerate(LBFGS):
        params = [torch.tensor(a, requires_grad=True) for a in start]
        optimizer = torch.optim.LBFGS(params, max_iter=6, **options)

        def closure(optimizer: torch.optim.Optimizer = optimizer, params: list[torch.Tensor] = params) -> torch.Tensor:
            optimizer.zero_grad()
            a, b = params
            y = ((a * a - 1j).abs() ** 2).sum() + ((b - (1 + 2j)) * (1 + a.sum())).abs().square().sum()
            y.backward()
            return y

        for _ in range(3):
            optimizer.step(closure)
        data[f"lbfgs{i}"] = np.concatenate([p.detach().numpy().ravel() for p in params])
    for i, order in enumerate(NORMS):
        params = [torch.tensor(a, requires_grad=True) for a in start]
        for p, g in zip(params, gradients, strict=True):
            p.grad = torch.tensor(g[0])
        data[f"norm{i}"] = torch.nn.utils.clip_grad_norm_(params, 1.5, norm_type=order).numpy()
        data[f"clipped{i}"] = np.concatenate([p.grad.numpy().ravel() for p in params])
    data["cases"], data["refused"] = np.array(json.dumps(cases)), np.array(json.dumps(refused))
    data["made_by"] = np.array(f"PyTorch {torch.__version__}, foreach=False")
    np.savez_compressed(Path(__file__).with_name("complex.npz"), **data)


if __name__ == "__main__":
    main()
