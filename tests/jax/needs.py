"""What the tests of this folder need, and compare."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn.testing.cases import Case

REASON = "not installed: pip install 'tinygrad_cnn[jax]'"


def jax() -> Any:
    """The package jax, with 64 bits; without it, or optax, the tests of the module are skipped."""
    found = pytest.importorskip("jax", reason=f"jax is {REASON}")
    pytest.importorskip("optax", reason=f"optax is {REASON}")
    found.config.update("jax_enable_x64", True)
    return found


def weights(y: Any, seed: int = 1) -> Any:
    """An incoming gradient for a result."""
    rng = np.random.default_rng(seed)
    u = rng.standard_normal(y.shape)
    return (u + 1j * rng.standard_normal(y.shape) if y.dtype.kind == "c" else u).astype(y.dtype)


def eager(f: Any, arrays: Any, moving: Any, seed: int = 1) -> tuple[Any, Any, list[Any]]:
    """The library's value of f, an incoming gradient, and the gradients of the inputs that move; [] without one."""
    xs = [tg.Tensor(a) for a in arrays]
    for i in moving:
        xs[i].requires_grad = True
    y = f(*xs)
    if not (moving and y.requires_grad):
        return y.numpy(), None, []
    u = weights(y, seed)
    found = tg.gradients(y, [xs[i] for i in moving], u, allow_unused=True)
    return y.numpy(), u, [np.zeros(xs[i].shape) if g is None else g.numpy() for i, g in zip(moving, found, strict=True)]


def on_jax(f: Any, arrays: Any, moving: Any, u: Any) -> tuple[Any, Any]:
    """The same of ``tg.jax.function(f)``, in one compiled function."""
    compiler = jax()
    function = tg.jax.function(f)

    def both(*given: Any) -> Any:
        def of(*parts: Any) -> Any:
            xs = list(given)
            for i, part in zip(moving, parts, strict=True):
                xs[i] = part
            return function(*xs, key=compiler.random.key(0))

        if u is None:
            return function(*given, key=compiler.random.key(0)), ()
        y, pull = compiler.vjp(of, *[given[i] for i in moving])
        return y, pull(u)

    y, found = compiler.jit(both)(*arrays)
    return np.asarray(y), [np.asarray(g) for g in found]


def floats(case: Case, arrays: Any) -> list[int]:
    """The inputs of a row that gradients are taken for."""
    return [i for i, a in enumerate(arrays) if a.dtype.kind == "f"] if case.order else []
