"""What is saved comes back: values to the bit, types, dtypes, keys and their order; other readers find plain files."""

from __future__ import annotations

import math
import sys
from collections import OrderedDict, namedtuple
from enum import IntEnum

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tinygrad_cnn as tg

from .states import SUFFIXES, arrays, assert_same, states, text, training_state

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


@pytest.mark.parametrize("suffix", SUFFIXES)
@in_a_folder
@given(state=states)
def test_the_same_state_makes_the_same_file_also_when_it_was_loaded(suffix, state, tmp_path):
    first = tmp_path / f"first{suffix}"
    tg.save(first, state)
    for again in (state, state, tg.load(first)):
        tg.save(tmp_path / f"again{suffix}", again)
        assert first.read_bytes() == (tmp_path / f"again{suffix}").read_bytes()


def test_numpy_reads_a_flat_dict_and_its_archive_is_read(tmp_path):
    state = {"layer.weight": np.arange(6.0).reshape(2, 3).T, "params/bias": np.array(3, np.int8)}
    tg.save(tmp_path / "ours.npz", state)
    with np.load(tmp_path / "ours.npz", allow_pickle=False) as archive:
        assert archive.files == list(state)
        for name, array in state.items():
            np.testing.assert_array_equal(archive[name], array, strict=True)
    np.savez(tmp_path / "theirs.npz", **state)
    assert_same(tg.load(tmp_path / "theirs.npz"), state)


def test_other_readers_of_safetensors_find_a_flat_dict_by_its_names(tmp_path):
    safetensors = pytest.importorskip("safetensors.numpy")
    big = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    state = {"transposed": big.T, "strided": big[:, ::2], "reversed": big[::-1], "scalar": np.array(2.5), "no": big[:0]}
    tg.save(tmp_path / "ours.safetensors", state)
    theirs = safetensors.load_file(tmp_path / "ours.safetensors")
    assert theirs.keys() == state.keys()
    for name, array in state.items():
        np.testing.assert_array_equal(theirs[name], array, strict=True)
    contiguous = {name: np.array(array, order="C") for name, array in state.items()}
    safetensors.save_file(contiguous, tmp_path / "theirs.safetensors", {"format": "pt"})
    loaded = tg.load(tmp_path / "theirs.safetensors")
    assert_same({name: loaded[name] for name in contiguous}, contiguous)


@pytest.mark.parametrize("suffix", SUFFIXES)
@in_a_folder
@given(
    names=st.lists(text | st.sampled_from(["../x", "/x", "a\\b", "C:\\x", "", ".", "__metadata__", "x\0y", "array_0"]))
)
def test_names_that_no_archive_could_hold_come_back(suffix, names, tmp_path):
    state = {name: np.array(i) for i, name in enumerate(names)}
    tg.save(tmp_path / f"names{suffix}", state)
    assert_same(tg.load(tmp_path / f"names{suffix}"), state)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_names_that_meet_do_not_mix(suffix, tmp_path):
    state = {"a": {"b": np.array(1)}, "a.b": np.array(2), 0: np.array(3), "0": np.array(4)}
    tg.save(tmp_path / f"names{suffix}", state)
    assert_same(tg.load(tmp_path / f"names{suffix}"), state)


@pytest.mark.parametrize("suffix", SUFFIXES)
@in_a_folder
@given(array=arrays)
def test_a_tensor_is_saved_as_its_values(suffix, array, tmp_path):
    tg.save(tmp_path / f"t{suffix}", {"t": tg.from_numpy(array)})
    assert_same(tg.load(tmp_path / f"t{suffix}"), {"t": array})


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_what_is_loaded_belongs_to_the_caller(suffix, tmp_path):
    tg.save(tmp_path / f"a{suffix}", {"c": np.ones((2, 3)), "f": np.ones((2, 3)).T, "zero": np.zeros(())})
    state = tg.load(tmp_path / f"a{suffix}")
    for array in state.values():
        array += 1
    assert tg.load(tmp_path / f"a{suffix}")["c"].tolist() == [[1, 1, 1], [1, 1, 1]]


def test_subclasses_come_back_as_what_they_are_based_on(tmp_path):
    class Colour(IntEnum):
        RED = 3

    Point = namedtuple("Point", "x y")
    tg.save(tmp_path / "s.npz", [OrderedDict(b=1, a=2), Point(1, 2), Colour.RED, np.str_("s"), {Colour.RED: 1}])
    assert_same(tg.load(tmp_path / "s.npz"), [{"b": 1, "a": 2}, (1, 2), 3, "s", {3: 1}])


def test_complex_and_long_numbers_are_for_npz(tmp_path):
    state = {
        "z": np.ones(2, np.complex128),
        "l": np.ones(2, np.longdouble),
        "s": np.complex128(1j),
        "b": np.ones(2, ">f4"),
    }
    tg.save(tmp_path / "z.npz", state)
    assert_same(tg.load(tmp_path / "z.npz"), state)
    pytest.importorskip("safetensors")
    with pytest.raises(TypeError, match=r"array 'z' is complex128, which the format does not have.*save as .npz"):
        tg.save(tmp_path / "z.safetensors", state)
    assert not (tmp_path / "z.safetensors").exists()
    tg.save(tmp_path / "z.safetensors", {"b": state["b"]})
    assert_same(tg.load(tmp_path / "z.safetensors"), {"b": np.ones(2, np.float32)})  # the format has one byte order


SELF: list = []
SELF.append(SELF)


@pytest.mark.parametrize(
    ("state", "error", "message"),
    [
        ({"a": [1, {2}]}, TypeError, r"save: `state\['a'\]\[1\]` is a set; a state is made of dicts, lists and tuples"),
        ({"a": tg.nn.ReLU()}, TypeError, r"`state\['a'\]` is a ReLU; .* and None: save its state_dict\(\)"),
        ({"a": 1j}, TypeError, r"`state\['a'\]` is a complex"),
        ({(1, 2): 1}, TypeError, r"`state` has the key \(1, 2\), a tuple; keys are str"),
        ([np.array([None])], TypeError, r"`state\[0\]` is a ndarray of object; it must be a plain array of numbers"),
        ([np.array(["a"])], TypeError, r"`state\[0\]` is a ndarray of <U1"),
        ([np.ma.masked_array([1, 2], [True, False])], TypeError, r"`state\[0\]` is a MaskedArray of int64"),
        ([np.zeros(2, "f4,i4")], TypeError, r"must be a plain array"),
        (SELF, ValueError, r"`state` contains itself, or nests over 100 deep, at `state\[0\]\[0\]"),
        ({"a": "\ud800"}, ValueError, r"`state\['a'\]` is '\\ud800', which is not Unicode text; save it as bytes"),
    ],
)
def test_what_cannot_be_saved_is_named_and_leaves_no_file(state, error, message, tmp_path):
    with pytest.raises(error, match=message):
        tg.save(tmp_path / "a.npz", state)
    assert not list(tmp_path.iterdir())


def test_deep_nesting_up_to_the_limit_comes_back(tmp_path):
    state: object = math.pi
    for i in range(99):
        state = {"k": state} if i % 2 else (state, [])
    tg.save(tmp_path / "deep.npz", state)
    assert_same(tg.load(tmp_path / "deep.npz"), state)


@pytest.mark.parametrize("call", [lambda path: tg.save(path, {}), tg.load], ids=["save", "load"])
def test_the_name_sets_the_format(call, tmp_path):
    for name in ("model.bin", "model", ".npz"):
        with pytest.raises(ValueError, match=r"`path` is .*; it must end in .npz.* or .safetensors"):
            call(tmp_path / name)
    tg.save(tmp_path / "A.NPZ", {"a": 1})
    assert tg.load(tmp_path / "A.NPZ") == {"a": 1}


def test_without_the_package_the_error_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "safetensors", None)
    monkeypatch.setitem(sys.modules, "safetensors.numpy", None)
    for call in (lambda path: tg.save(path, {}), tg.load):
        with pytest.raises(ImportError, match=r"pip install 'tinygrad_cnn\[safetensors\]', or use .npz"):
            call(tmp_path / "a.safetensors")
    assert not list(tmp_path.iterdir())


def test_what_is_no_path_is_answered():
    for call in (lambda: tg.save(3, {}), lambda: tg.load(None), lambda: tg.training.History().to_csv(3)):
        with pytest.raises(TypeError, match="`path` is (3|None); it must be a path"):
            call()
