"""Record what PyTorch's nn.utils compute, for test_utils.py: needs PyTorch, run by hand.

python -m tests.nn.record_utils
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from .utils_cases import FUSED, NORMS, PRUNED, drawn, global_pruned, layer_of, made

FILE = Path(__file__).with_name("utils.npz")


def main() -> None:
    """Write the file."""
    import torch
    from torch import nn
    from torch.nn.utils import parametrizations, prune

    torch.set_default_dtype(torch.float64)
    found: dict[str, Any] = {"made_by": np.array(torch.__version__)}

    def loaded(layer: Any, seed: int) -> Any:
        state = {
            name: torch.tensor(drawn(value.shape, seed + i))
            for i, (name, value) in enumerate(layer.state_dict().items())
        }
        layer.load_state_dict(state)
        return layer

    for name, (kind, norm, options, shape) in NORMS.items():
        layer = loaded(layer_of(nn, kind), 0)
        layer = getattr(parametrizations, norm)(layer, **options)
        if norm == "spectral_norm":
            for i, buffer in enumerate(layer.parametrizations.weight[0].buffers()):
                value = drawn(buffer.shape, 50 + i)
                buffer.copy_(torch.tensor(value / np.linalg.norm(value)))
        optimizer = torch.optim.SGD(layer.parameters(), lr=0.01)
        for step in range(3):
            y = layer(torch.tensor(drawn(shape, 90 + step)))
            optimizer.zero_grad()
            (y * y).sum().backward()
            optimizer.step()
        layer.eval()
        found[f"{name} y"] = layer(torch.tensor(drawn(shape, 99))).detach().numpy()
        found |= {f"{name} {key}": value.numpy() for key, value in layer.state_dict().items()}
        found[f"{name} keys"] = np.array([*layer.state_dict()])
        found[f"{name} weight"] = layer.weight.detach().numpy()

    for name, (kind, calls) in PRUNED.items():
        layer = loaded(layer_of(nn, kind), 0)
        made(prune, layer, calls, torch.tensor)
        found |= {f"{name} {key}": value.numpy() for key, value in layer.state_dict().items()}
        found[f"{name} keys"] = np.array([*layer.state_dict()])
        found[f"{name} weight"] = layer.weight.detach().numpy()

    layers = [loaded(layer_of(nn, kind), 10 * i) for i, kind in enumerate(("linear", "conv"))]
    found |= {
        f"global {i} {j}": mask.numpy()
        for i, masks in enumerate(global_pruned(prune, layers))
        for j, mask in enumerate(masks)
    }

    for name, (kind, size, shape) in FUSED.items():
        layer, norm = loaded(layer_of(nn, kind), 0), getattr(nn, f"BatchNorm{1 if kind == 'linear' else 2}d")(size)
        norm.load_state_dict({
            key: torch.tensor(abs(drawn(value.shape, 20 + i)) if value.ndim else 0) for i, (key, value) in
            enumerate(norm.state_dict().items())
        })  # fmt: skip
        layer.eval(), norm.eval()
        if kind == "linear":
            fused = nn.utils.fuse_linear_bn_eval(layer, norm)
        else:
            fused = nn.utils.fuse_conv_bn_eval(layer, norm, "transpose" in kind)
        found |= {f"{name} {key}": value.numpy() for key, value in fused.state_dict().items()}
        found[f"{name} y"] = norm(layer(torch.tensor(drawn(shape, 99)))).detach().numpy()
    np.savez_compressed(FILE, **found)
    print(f"{len(found)} arrays of PyTorch {torch.__version__}")


if __name__ == "__main__":
    main()
