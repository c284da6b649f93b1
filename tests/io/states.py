"""States to save, drawn and by hand, and what it means that one came back."""

from __future__ import annotations

import importlib.util
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import tinygrad_cnn as tg
from tests.optim.optimizers import ROWS

SUFFIXES = [
    ".npz",
    pytest.param(
        ".safetensors",
        marks=pytest.mark.skipif(not importlib.util.find_spec("safetensors"), reason="the extra is not installed"),
    ),
]

dtypes = st.sampled_from(list(map(np.dtype, ["?", "i1", "i4", "i8", "u1", "u2", "u8", "f2", "f4", "f8", "c8"])))
shapes = hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3)


def _laid_out(array: np.ndarray, how: str) -> np.ndarray:
    """The same values, in another order of memory."""
    if how == "transposed":
        return np.asarray(array.T, order="C").T
    if how == "strided" and array.ndim:
        return np.repeat(array, 2, axis=-1)[..., ::2]
    if how == "reversed" and array.ndim:
        return np.ascontiguousarray(array[::-1])[::-1]
    return array


arrays = st.builds(
    _laid_out,
    hnp.arrays(dtypes, shapes),
    st.sampled_from(["C", "transposed", "strided", "reversed"]),
)
scalars = dtypes.flatmap(lambda dtype: hnp.arrays(dtype, ())).map(lambda array: array[()])
characters = st.integers(0, 0x10FFFF).filter(lambda code: not 0xD800 <= code < 0xE000).map(chr)
text = st.lists(characters, max_size=8).map(
    "".join
)  # st.text() first makes a table of all characters, which takes a second
keys = (
    text | st.integers(-5, 5) | st.integers(2**63, 2**70) | st.sampled_from([None, 0.5, math.inf, b"\x00", np.int8(3)])
)
plain = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(2**300), 2**300)
    | st.floats()
    | text
    | st.binary(max_size=4)
)
states = st.recursive(
    plain | scalars | arrays,
    lambda inner: (
        st.lists(inner, max_size=3) | st.lists(inner, max_size=3).map(tuple) | st.dictionaries(keys, inner, max_size=4)
    ),
    max_leaves=12,
)


def assert_same(a: Any, b: Any) -> None:
    """`a` and `b` have the same types, down to keys and dtypes, and the same bits."""
    assert type(a) is type(b)
    if isinstance(a, dict):
        assert list(a) == list(b)  # in order
        for (key, left), (other, right) in zip(a.items(), b.items(), strict=True):
            assert_same(key, other)
            assert_same(left, right)
    elif isinstance(a, list | tuple):
        assert len(a) == len(b)
        for left, right in zip(a, b, strict=True):
            assert_same(left, right)
    elif isinstance(a, np.ndarray | np.generic):
        assert (a.dtype, a.shape) == (b.dtype, b.shape)
        assert a.tobytes() == b.tobytes()
    elif isinstance(a, float) and math.isnan(a):
        assert math.isnan(b)
    else:
        assert a == b
        assert math.copysign(1, a) == math.copysign(1, b) if isinstance(a, float) else True


def training_state() -> dict[str, Any]:
    """What a training run has to save: weights, the states of everything in optim, and of random generators."""
    weights = {
        name: tg.randn(*shape, requires_grad=True) for name, shape in [("w", (3, 2)), ("b", (3,)), ("scale", ())]
    }
    optimizers = {row.name: row.optimizer(list(weights.values()), lr=0.1) for row in ROWS}
    average = tg.optim.EMA(list(weights.values()), decay=0.9)
    cycle = tg.optim.OneCycleLR(optimizers["Adam"], max_lr=1.0, total_steps=5)
    plateau = tg.optim.ReduceLROnPlateau(optimizers["SGD"])
    for _ in range(2):
        sum((w * w).sum() for w in weights.values()).backward()
        for optimizer in optimizers.values():
            optimizer.step()
        average.update()
        cycle.step()
        plateau.step(1.0)
    bits = [np.random.PCG64, np.random.MT19937, np.random.Philox, np.random.SFC64, np.random.PCG64DXSM]
    return {
        "model": {name: w.numpy().copy() for name, w in weights.items()},
        "optimizers": {name: optimizer.state_dict() for name, optimizer in optimizers.items()},
        "average": average.state_dict(),
        "schedules": [cycle.state_dict(), plateau.state_dict()],
        "generators": {kind.__name__: kind(0).state for kind in bits},
        "epoch": 3,
    }
