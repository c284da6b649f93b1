"""Record PyTorch's recurrent layers for test_recurrent.py. It needs PyTorch and is run by hand.

python tests/nn/record_recurrent.py

It writes recurrent.npz beside this file: for each case, in float64, the parameters by name, the input and the states before,
the results, and the gradients of the sum of their cubes.
"""

from pathlib import Path

import numpy as np
import torch
from recurrent_cases import CASES, flat

torch.set_default_dtype(torch.float64)


def main() -> None:
    data: dict[str, np.ndarray] = {}
    for number, (name, args, kwargs, shape, states) in enumerate(CASES):
        torch.manual_seed(number)
        layer, rng = getattr(torch.nn, name)(*args, **kwargs), np.random.default_rng(number)
        x = torch.tensor(rng.normal(size=shape), requires_grad=True)
        given = [torch.tensor(rng.normal(size=own), requires_grad=True) for own in states]
        results = flat(layer(x, *([] if not given else [tuple(given)] if len(given) > 1 else given)))
        sum((y**3).sum() for y in results).backward()
        for key, p in layer.named_parameters():
            data[f"{number}/state/{key}"], data[f"{number}/gradient/{key}"] = p.detach().numpy(), p.grad.numpy()
        for i, a in enumerate([x, *given]):
            data[f"{number}/input/{i}"], data[f"{number}/input gradient/{i}"] = a.detach().numpy(), a.grad.numpy()
        for i, y in enumerate(results):
            data[f"{number}/result/{i}"] = y.detach().numpy()
    np.savez_compressed(Path(__file__).with_name("recurrent.npz"), **data)


main()
