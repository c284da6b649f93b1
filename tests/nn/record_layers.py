"""Record PyTorch's layers for test_layers.py. It needs PyTorch and is run by hand.

python tests/nn/record_layers.py

It writes layers.npz beside this file. For each case of cases.py, that has the ``repr`` and the names, shapes and dtypes of
the state; and in float64: inputs, a state, the output and gradients in training mode, the state after that, and the output
in evaluation mode.
"""

import json
from pathlib import Path

import numpy as np
import torch
from cases import CASES, Case, values


def record(number: int, case: Case, data: dict[str, np.ndarray]) -> dict:
    rng = np.random.default_rng(number)
    torch.set_default_dtype(torch.float32)
    options = {k: torch.tensor(v) if isinstance(v, list) else v for k, v in case.kwargs.items()}
    layer = getattr(torch.nn, case.name)(*case.args, **options)
    row = {
        "title": str(case),
        "repr": repr(layer),
        "state": [[k, list(v.shape), str(v.dtype).removeprefix("torch.")] for k, v in layer.state_dict().items()],
        "parameters": [k for k, _ in layer.named_parameters()],
    }
    if not case.inputs:
        return row
    layer = layer.double()
    for key, tensor in layer.state_dict().items():
        if tensor.is_floating_point():
            tensor.copy_(torch.from_numpy(values("positive", tuple(tensor.shape), rng)))
        data[f"{number}/state/{key}"] = tensor.numpy().copy()
    arrays = case.arrays(rng)
    tensors = [torch.tensor(a) for a in arrays]
    tensors[0].requires_grad_(tensors[0].is_floating_point())
    y = layer(*(t.clone() for t in tensors))
    g = rng.normal(size=tuple(y.shape))
    y.backward(torch.tensor(g))
    gradients = {k: p.grad for k, p in layer.named_parameters()} | {"": tensors[0].grad}
    for i, a in enumerate(arrays):
        data[f"{number}/input/{i}"] = a
    data[f"{number}/g"] = np.asarray(g)
    data[f"{number}/train"] = y.detach().numpy()
    data |= {f"{number}/gradient/{k}": grad.numpy() for k, grad in gradients.items() if grad is not None}
    data |= {f"{number}/after/{k}": v.numpy().copy() for k, v in layer.state_dict().items()}
    data[f"{number}/eval"] = layer.eval()(*(t.clone() for t in tensors)).detach().numpy()
    return row


def main() -> None:
    data: dict[str, np.ndarray] = {}
    rows = [record(number, case, data) for number, case in enumerate(CASES)]
    data["rows"] = np.array(json.dumps(rows))
    data["made_by"] = np.array(f"PyTorch {torch.__version__}")
    flat = {key: value for key, value in data.items() if value.dtype != float}
    floats = {key: value for key, value in data.items() if value.dtype == float}
    places = [[key, list(value.shape)] for key, value in floats.items()]
    flat |= {"places": np.array(json.dumps(places)), "floats": np.concatenate([v.ravel() for v in floats.values()])}
    np.savez_compressed(Path(__file__).with_name("layers.npz"), **flat)


if __name__ == "__main__":
    main()
