"""Record PyTorch's attention and transformers for test_attention.py. It needs PyTorch and is run by hand.

python tests/nn/record_attention.py

It writes attention.npz beside this file: for each case, in float64, the state by name, the inputs, the results, and the
gradients of the sum of their cubes. One input stands for query, key and value.
"""

from pathlib import Path

import numpy as np
import torch
from attention_cases import CASES, flat, masks

torch.set_default_dtype(torch.float64)


def main() -> None:
    data: dict[str, np.ndarray] = {}
    for number, (name, args, kwargs, shapes, _) in enumerate(CASES):
        torch.manual_seed(number)
        layer, rng = getattr(torch.nn, name)(*args, **kwargs), np.random.default_rng(number)
        for parameter in layer.parameters():
            torch.nn.init.normal_(parameter, std=0.5)
        inputs = [torch.tensor(rng.normal(size=shape), requires_grad=True) for shape in shapes]
        given = {k: torch.tensor(v) if isinstance(v, np.ndarray) else v for k, v in masks(number).items()}
        results = flat(layer(*inputs * (3 if name == "MultiheadAttention" and len(inputs) == 1 else 1), **given))
        sum((y**3).sum() for y in results).backward()
        for key, p in layer.named_parameters():
            data[f"{number}/state/{key}"], data[f"{number}/gradient/{key}"] = p.detach().numpy(), p.grad.numpy()
        for i, a in enumerate(inputs):
            data[f"{number}/input/{i}"], data[f"{number}/input gradient/{i}"] = a.detach().numpy(), a.grad.numpy()
        for i, y in enumerate(results):
            data[f"{number}/result/{i}"] = y.detach().numpy()
    np.savez_compressed(Path(__file__).with_name("attention.npz"), **data)


main()
