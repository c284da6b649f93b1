"""Several devices, simulated on one CPU in processes of their own; and what is lowered for GPUs and TPUs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import nn

from . import needs

jax = needs.jax()
from jax import export  # noqa: E402 - it needs jax

ROOT = Path(__file__).parents[2]


class Residual(nn.Module):
    """A block like a ResNet's."""

    def __init__(self, channels):
        self.body = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels), nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels),
        )  # fmt: skip

    def forward(self, x):
        return (x + self.body(x)).relu()


class UNet(nn.Module):
    """Down, up, and across."""

    def __init__(self):
        self.down = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.ReLU())
        self.deep = nn.Sequential(nn.MaxPool2d(2), nn.Conv2d(4, 8, 3, padding=1), nn.GroupNorm(2, 8), nn.SiLU())
        self.up = nn.ConvTranspose2d(8, 4, 2, stride=2)
        self.out = nn.Linear(8, 3)

    def forward(self, x):
        across = self.down(x)
        joined = tg.concatenate([across, self.up(self.deep(across))], axis=1)
        return self.out(joined.mean(axis=(2, 3)))


class ViT(nn.Module):
    """Patches, attention, and a perceptron."""

    def __init__(self):
        self.patches = nn.Conv2d(1, 8, 4, stride=4)
        self.first, self.second = nn.LayerNorm(8), nn.LayerNorm(8)
        self.qkv, self.project = nn.Linear(8, 24), nn.Linear(8, 8)
        self.mlp = nn.Sequential(nn.Linear(8, 16), nn.GELU(), nn.Linear(16, 8))
        self.out = nn.Linear(8, 3)

    def forward(self, x):
        x = self.patches(x).flatten(2).swapaxes(1, 2)
        q, k, v = tg.split(self.qkv(self.first(x)), 3, axis=-1)
        x = x + self.project(tg.scaled_dot_product_attention(q, k, v))
        x = x + self.mlp(self.second(x))
        return self.out(x.mean(axis=1))


def resnet():
    stem = (nn.Conv2d(1, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.ReLU())
    return nn.Sequential(*stem, Residual(4), nn.MaxPool2d(2), Residual(4), nn.Flatten(), nn.Linear(64, 3))


NETS = {"ResNet": resnet, "U-Net": UNet, "ViT": ViT}


def trained(name: str, engine: object, batch: int = 16) -> dict[str, np.ndarray]:
    """The state of a network after 50 steps."""
    tg.manual_seed(0)
    model = NETS[name]()
    model.to(np.float64)
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((10 * batch - 4, 1, 8, 8)), rng.integers(0, 3, 10 * batch - 4)
    optimizer = tg.optim.Adam(model.parameters(), lr=0.003)
    how = {"epochs": 5, "batch_size": batch, "shuffle": False, "progress": False, "engine": engine}
    tg.fit(model, (x, y), tg.cross_entropy, optimizer, **how)
    return model.state_dict()


def compare(name: str, devices: int) -> None:
    """AssertionError unless the devices' training is the one here. Run in a process that has as many."""
    assert len(jax.devices()) == devices
    here, there = trained(name, None), trained(name, tg.jax.Devices())
    for key, value in here.items():
        np.testing.assert_allclose(there[key], value, rtol=1e-6, atol=1e-8, err_msg=key)


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("devices", [1, 2, 8])
@pytest.mark.part(2)
def test_fifty_steps_on_several_devices(name, devices):
    program = f"from tests.jax.test_simulated import compare; compare({name!r}, {devices})"
    flags = f"--xla_force_host_platform_device_count={devices}"
    environment = {**os.environ, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu", "OPENBLAS_NUM_THREADS": "1"}
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, env=environment, timeout=600
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr


@pytest.mark.whole
@pytest.mark.parametrize("name", NETS)
def test_a_step_is_lowered_for_gpus_and_tpus(name):
    """Its gradients, in StableHLO: convolutions are convolutions, and nothing calls back into Python."""
    model = NETS[name]()
    params, buffers = tg.jax.state(model)
    apply, loss = tg.jax.apply(model), tg.jax.function(tg.cross_entropy)

    def objective(params, x, target):
        scores, after = apply(params, buffers, x, training=True)
        return loss(scores, target), after

    step = jax.jit(jax.value_and_grad(objective, has_aux=True))
    example = (params, np.zeros((4, 1, 8, 8), np.float32), np.zeros(4, np.int32))
    for platform in ("cuda", "tpu"):
        exported = export.export(step, platforms=[platform])(*example)
        text = exported.mlir_module()
        assert exported.platforms == (platform,)
        assert "stablehlo.convolution" in text
        assert "callback" not in text
