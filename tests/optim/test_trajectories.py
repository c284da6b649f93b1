"""The optimizers against PyTorch's, step by step, along gradients recorded by record_trajectories.py."""

import json
from pathlib import Path

import numpy as np
import pytest

import tinygrad_cnn as tg

from .optimizers import ROWS

with np.load(Path(__file__).with_name("trajectories.npz")) as archive:
    DATA = {key: archive[key] for key in archive.files}
CASES = json.loads(str(DATA["cases"]))
IDS = [f"{name}-{'-'.join(f'{k}={v}' for k, v in options.items()) or 'defaults'}" for name, options, *_ in CASES]
every_case = pytest.mark.parametrize("case", range(len(CASES)), ids=IDS)
both_dtypes = pytest.mark.parametrize("dtype", ["float64", "float32"])


def replay(case, dtype):
    """Both parameters' elements after each step, and the optimizer at the end."""
    name, options, *_ = CASES[case]
    params = [tg.Tensor(DATA[f"start{i}"].astype(dtype), requires_grad=True) for i in range(2)]
    optimizer = getattr(tg.optim, name)(params, **options)
    path = []
    steps = len(DATA["gradients0"])
    for step in range(steps):
        if step == steps // 2:
            optimizer.param_groups[0]["lr"] /= 2
        for i, p in enumerate(params):
            p.grad = tg.Tensor(DATA[f"gradients{i}"][step].astype(dtype))
        if step in (3, 4):
            params[1].grad = None
        optimizer.step()
        path.append(np.concatenate([p.numpy().ravel() for p in params]))
    return np.stack(path), optimizer


def units(ours, theirs, scale):
    """The largest difference, in units in the last place of `scale`."""
    assert ours.dtype == theirs.dtype
    return np.max(np.abs(ours - theirs) / np.spacing(scale.astype(ours.dtype)))


@pytest.mark.whole
@every_case
@both_dtypes
def test_every_step_is_pytorchs(case, dtype):
    ours, _ = replay(case, dtype)
    theirs = DATA[f"paths/{dtype}"][case]
    start = np.concatenate([DATA[f"start{i}"].ravel() for i in range(2)])
    largest = np.maximum.accumulate(np.abs(np.vstack([start, theirs])))[1:]
    assert units(ours, theirs, largest) <= 4


@every_case
@both_dtypes
def test_the_state_is_pytorchs_in_names_and_values(case, dtype):
    _, optimizer = replay(case, dtype)
    ours = optimizer.state_dict()["state"]
    _, _, names, kept = CASES[case]
    before = sum(len(slots) for _, _, slots, _ in CASES[:case])
    assert [sorted(state) for state in ours.values()] == [sorted(slots) for slots in kept]
    largest = np.concatenate([np.abs(DATA[f"gradients{i}"]).max(axis=0).ravel() for i in range(2)])
    for name, theirs in zip(names, DATA[f"slots/{dtype}"][before:], strict=False):
        if name == "step":
            assert [ours[i]["step"] for i in range(2)] == [12, 10] == [theirs[0], theirs[-1]]
        elif isinstance(ours[0].get(name), float):
            np.testing.assert_allclose(
                [ours[i][name] for i in range(2)], [theirs[0], theirs[-1]], rtol=2 * np.finfo(dtype).eps
            )
        else:
            # What is lost where summands cancel is relative to the summands, not to what is left of them: to gradients in
            # averages of gradients, to 1 in RMSprop's sum of normalized steps. Squares do not cancel.
            shapes = [DATA[f"start{i}"].shape for i in range(2)]
            zero = np.zeros((), dtype)
            values = np.concatenate([np.broadcast_to(ours[i].get(name, zero), shapes[i]).ravel() for i in range(2)])
            summands = (
                np.zeros(10)
                if "sq" in name
                else np.ones(10)
                if (CASES[case][0], name) == ("RMSprop", "momentum_buffer")
                else largest
            )
            assert units(values, theirs, np.maximum(np.abs(theirs), summands)) <= 8


def test_the_recorded_cases_are_those_of_the_table():
    recorded = [(name, options) for name, options, *_ in CASES]
    assert recorded == [(row.name, options) for row in ROWS for options in row.recorded]
