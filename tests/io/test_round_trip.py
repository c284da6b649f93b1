"""What is saved comes back: values to the bit, types, dtypes, keys and their order; other readers find plain files."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings

import tinygrad_cnn as tg

from .states import SUFFIXES, assert_same, states, training_state

in_a_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


@pytest.mark.parametrize("suffix", SUFFIXES)
@in_a_folder
@given(state=states)
def test_every_state_comes_back(suffix, state, tmp_path):
    path = tmp_path / f"state{suffix}"
    tg.save(path, state)
    assert_same(state, tg.load(path))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_state_of_a_training_run_comes_back(suffix, tmp_path):
    state = training_state()
    tg.save(str(tmp_path / f"run{suffix}"), state)
    assert_same(state, tg.load(str(tmp_path / f"run{suffix}")))


@in_a_folder
@given(state=states)
def test_the_same_state_makes_the_same_file(state, tmp_path):
    first, second = tmp_path / "first.npz", tmp_path / "second.npz"
    tg.save(first, state)
    tg.save(second, state)
    assert first.read_bytes() == second.read_bytes()
