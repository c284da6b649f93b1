"""Record torchvision's models for test_models.py, and compare ours with them. It needs torchvision and is run by hand.

python tests/vision/record_models.py [names]

For each model of networks.py, with a state that depends on the names alone, in float64: names and shapes of the state, the
scores in evaluation mode, and in training mode the scores and a few numbers of each gradient, in a file of the folder recorded.
Ours is compared with all numbers.
With names, those models alone are recorded.
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch
import torchvision.models
from networks import CLASSES, MODELS, batch, probes, values, without_chance
from torch import nn

import tinygrad_cnn as tg


class UNet(nn.Module):
    """The network of the paper, with normalization and padding, in PyTorch."""

    def __init__(self, num_classes: int, width: int, levels: int) -> None:
        super().__init__()
        widths = [width * 2**i for i in range(levels + 1)]

        def conv(a: int, b: int) -> nn.Sequential:
            return nn.Sequential(nn.Conv2d(a, b, 3, padding=1, bias=False), nn.BatchNorm2d(b), nn.ReLU())

        def pair(a: int, b: int) -> nn.Sequential:
            return nn.Sequential(conv(a, b), conv(b, b))

        self.down = nn.Sequential(*[pair(a, b) for a, b in zip([3, *widths[:-1]], widths, strict=True)])
        back = [(widths[i + 1], widths[i]) for i in reversed(range(levels))]
        self.upsample = nn.Sequential(*[nn.ConvTranspose2d(a, b, 2, stride=2) for a, b in back])
        self.up = nn.Sequential(*[pair(2 * b, b) for a, b in back])
        self.head = nn.Conv2d(width, num_classes, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.down[0](x)
        kept = []
        for level in self.down[1:]:
            kept.append(x)
            x = level(nn.functional.max_pool2d(x, 2))
        for upsample, level in zip(self.upsample, self.up, strict=True):
            x = level(torch.cat([kept.pop(), upsample(x)], dim=1))
        return self.head(x)


def theirs(name: str, options: dict) -> nn.Module:
    if name == "unet":
        return UNet(CLASSES, **options)
    if name == "vit_tiny":
        return torchvision.models.VisionTransformer(options["image_size"], 16, 12, 3, 192, 768, num_classes=CLASSES)
    return getattr(torchvision.models, name)(num_classes=CLASSES, **options)


def record(name: str, data: dict[str, np.ndarray]) -> float:
    options, size = MODELS[name]
    x, weight = batch(size)
    model = without_chance(theirs(name, options).double())
    state = {key: values(key, tuple(value.shape)) for key, value in model.state_dict().items()}
    model.load_state_dict({key: torch.from_numpy(value) for key, value in state.items()})
    ours = without_chance(getattr(tg.vision.models, name)(num_classes=CLASSES, **options))
    ours.load_state_dict(model.state_dict())
    assert list(ours.state_dict()) == list(state), "the names have another order"
    data["names"] = np.array(json.dumps([[key, list(value.shape)] for key, value in state.items()]))

    def far(ours: np.ndarray, theirs: np.ndarray, scale: float) -> float:
        return float(np.abs(ours - theirs).max() / scale)

    model.eval(), ours.eval()
    with torch.no_grad(), tg.no_grad():
        scores = model(torch.from_numpy(x)).numpy()
        worst = far(ours(x).numpy(), scores, np.abs(scores).max())
    model.train(), ours.train()
    weight = weight.reshape(*weight.shape, *(1,) * (scores.ndim - 2))
    y, z = model(torch.from_numpy(x)), ours(x)
    (y * torch.from_numpy(weight)).sum().backward()
    (z * weight).sum().backward()
    data["eval"], data["train"] = scores, y.detach().numpy()
    gradients = {key: p.grad.numpy() for key, p in model.named_parameters()}
    largest = max(np.abs(g).max() for g in gradients.values())
    for g, p in zip(gradients.values(), ours.parameters(), strict=True):
        worst = max(worst, far(p.grad.numpy(), g, np.abs(g).max() + 1e-6 * largest))
    for key, value in ours.state_dict().items():
        worst = max(worst, far(value, model.state_dict()[key].numpy(), 1 + np.abs(value).max()))
    data["gradients"] = np.array([g.ravel()[probes(key, g.size)] for key, g in gradients.items()])
    data["largest"] = np.array([np.abs(g).max() for g in gradients.values()])
    return worst


def main(names: list[str]) -> None:
    tg.set_default_dtype(np.float64)
    folder = Path(__file__).parent / "recorded"
    folder.mkdir(exist_ok=True)
    for name in names or MODELS:
        data = {"made_by": np.array(f"torchvision {torchvision.__version__}, PyTorch {torch.__version__}")}
        print(f"{name}: largest relative difference {record(name, data):.1e}", flush=True)
        np.savez_compressed(folder / f"{name}.npz", **data)


if __name__ == "__main__":
    main(sys.argv[1:])
