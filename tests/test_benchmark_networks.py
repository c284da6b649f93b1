"""The networks of the benchmarks: what a step of them is, beside PyTorch's and JAX's layers."""

from __future__ import annotations

import pytest

from .benchmarks import measure
from .benchmarks.rows import BY_NAME, NETWORKS, SIDES


@pytest.mark.parametrize("peer", ["pytorch", "pytorch-last", "jax"])
@pytest.mark.parametrize("name", [name for name, *_ in NETWORKS])
@pytest.mark.slow
def test_libraries_train_the_same_networks(name, peer):
    if not SIDES[peer].installed:
        pytest.skip(f"not installed: {SIDES[peer].package}")
    kind, images = min(next(targets for other, _, targets in NETWORKS if other == name), key=lambda step: step[1])
    measure.agree(BY_NAME[f"net-{name}-{kind}-{images}"], ["eager", peer])
