"""state_dict and load_state_dict: copies, all or nothing, every fault listed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_cnn as tg
from tinygrad_cnn import nn


def model():
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, 3))


def same(a, b):
    return a.keys() == b.keys() and all(np.array_equal(a[k], b[k], equal_nan=True) for k in a)


def test_a_state_round_trips():
    a, b = model(), model()
    a(tg.randn(2, 1, 4, 4))
    assert not same(a.state_dict(), b.state_dict())
    keys = b.load_state_dict(a.state_dict())
    assert keys == ([], [])
    assert (keys.missing_keys, keys.unexpected_keys) == ([], [])
    assert same(a.state_dict(), b.state_dict())
    x = tg.randn(2, 1, 4, 4)
    np.testing.assert_array_equal(a.eval()(x).numpy(), b.eval()(x).numpy())


def test_a_state_is_a_copy_of_arrays():
    net = model()
    state = net.state_dict()
    assert all(type(value) is np.ndarray and value.flags.writeable for value in state.values())
    assert state["1.num_batches_tracked"].shape == ()
    for value in state.values():
        value[...] = 5
    assert not np.any(net[0].weight.numpy() == 5)
    assert list(net.state_dict(prefix="net"))[0].startswith("net.0.")  # noqa: RUF015


def test_loading_writes_in_place():
    net = model()
    before = [(t, t.numpy()) for t in (*net.parameters(), *net.buffers())]
    state = model().state_dict()
    net.load_state_dict(state)
    after = [*net.parameters(), *net.buffers()]
    assert all(t is kept and np.shares_memory(t.numpy(), data) for t, (kept, data) in zip(after, before, strict=True))
    assert same(net.state_dict(), state)


class Foreign:
    """An array of another library, as far as NumPy can tell."""

    def __init__(self, array):
        self.array = array

    def __array__(self, dtype=None, copy=None):
        return self.array


@pytest.mark.parametrize("wrap", [tg.Tensor, Foreign, lambda a: a.T.copy().T], ids=["Tensor", "foreign", "strided"])
def test_states_of_other_kinds_of_array_load(wrap):
    a, b = model(), model()
    b.load_state_dict({name: wrap(value) for name, value in a.state_dict().items()})
    assert same(a.state_dict(), b.state_dict())


def test_a_state_may_share_memory_with_the_parameters():
    net = nn.Module()
    net.a, net.b = nn.Parameter([1.0, 2.0]), nn.Parameter([3.0, 4.0])
    net.load_state_dict({"a": net.b.numpy(), "b": net.a.numpy()})
    assert (net.a.tolist(), net.b.tolist()) == ([3, 4], [1, 2])


FAULTS = {
    "missing": (lambda state: state.pop("3.bias"), "'3.bias' is missing"),
    "unexpected": (lambda state: state.update({"4.bias": np.zeros(1)}), "'4.bias' is unexpected"),
    "misshaped": (
        lambda state: state.update({"0.weight": np.zeros((2, 3, 3), np.float32)}),
        "'0.weight' is float32 (2, 3, 3); it must be float32 (2, 1, 3, 3)",
    ),
    "broadcastable": (
        lambda state: state.update({"1.weight": np.float32(1)}),
        "'1.weight' is float32 (); it must be float32 (2,)",
    ),
    "dtype": (
        lambda state: state.update({"1.bias": np.zeros(2)}),
        "'1.bias' is float64 (2,); it must be float32 (2,): convert it with astype(np.float32), or first the module, with "
        "module.to(np.float64)",
    ),
    "not an array": (
        lambda state: state.update({"1.running_var": {"a": 1}}),
        "'1.running_var' is object (); it must be float32 (2,)",
    ),
    "ragged": (lambda state: state.update({"0.bias": [[1.0], [2.0, 3.0]]}), "'0.bias' is not an array"),
    "not finite": (
        lambda state: state["1.running_mean"].__setitem__(1, np.inf),
        "'1.running_mean' holds inf at (1,); it must be finite",
    ),
}


@given(chosen=st.sets(st.sampled_from(sorted(FAULTS)), min_size=1))
def test_every_fault_is_listed_and_nothing_is_loaded(chosen):
    net, state = model(), model().state_dict()
    before = net.state_dict()
    for name in chosen:
        FAULTS[name][0](state)
    with pytest.raises(ValueError, match=r"Sequential.load_state_dict: nothing was loaded:") as info:
        net.load_state_dict(state, finite=True)
    lines = str(info.value).splitlines()[1:]
    assert len(lines) == len(chosen)
    assert all(any(line.startswith("- " + FAULTS[name][1]) for line in lines) for name in chosen)
    assert same(net.state_dict(), before)


def test_not_finite_values_load_unless_refused():
    net, state = model(), model().state_dict()
    state["1.running_mean"][1] = np.nan
    net.load_state_dict(state)
    assert same(net.state_dict(), state)


def test_without_strict_names_may_differ_but_not_shapes():
    net, state = model(), model().state_dict()
    old = net.state_dict()["3.bias"]
    FAULTS["missing"][0](state)
    FAULTS["unexpected"][0](state)
    assert net.load_state_dict(state, strict=False) == (["3.bias"], ["4.bias"])
    np.testing.assert_array_equal(net[0].weight.numpy(), state["0.weight"])
    np.testing.assert_array_equal(net[3].bias.numpy(), old)
    FAULTS["misshaped"][0](state)
    before = net.state_dict()
    with pytest.raises(ValueError, match="'0.weight' is float32"):
        net.load_state_dict(state, strict=False)
    assert same(net.state_dict(), before)


def test_missing_and_non_persistent_tensors_are_not_in_the_state():
    net = nn.Linear(2, 3, bias=False)
    net.register_buffer("scratch", tg.zeros(1), persistent=False)
    assert list(net.state_dict()) == ["weight"]
    with pytest.raises(ValueError, match="'bias' is unexpected"):
        net.load_state_dict({**net.state_dict(), "bias": np.zeros(3, np.float32)})
    net.register_buffer("scratch", tg.zeros(1))
    assert list(net.state_dict()) == ["weight", "scratch"]
    net.register_buffer("scratch", tg.zeros(1), persistent=False)
    net.scratch = tg.ones(1)
    assert list(net.state_dict()) == ["weight"]
    assert [name for name, _ in net.named_buffers()] == ["scratch"]


def test_tensors_that_cannot_be_written_are_listed_before_anything_is_written():
    net = nn.Linear(2, 1)
    fixed = np.zeros(2, np.float32)
    fixed.flags.writeable = False
    net.register_buffer("fixed", tg.from_numpy(fixed))
    net.register_buffer("made", net.weight * 2)
    before = net.state_dict()
    with pytest.raises(ValueError, match=r"(?s)'fixed' cannot be written.*'made' cannot be written"):
        net.load_state_dict({name: value + 1 for name, value in before.items()})
    assert same(net.state_dict(), before)


def test_a_state_is_a_dict():
    with pytest.raises(
        ValueError, match="Linear.load_state_dict: nothing was loaded:\n- the state is a list; it must be a dict"
    ):
        nn.Linear(2, 3).load_state_dict([1])
