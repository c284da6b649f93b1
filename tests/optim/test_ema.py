"""The moving average of weights against its sum written out; exchanging, saving, and what is refused."""

import copy
import pickle
import re
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_cnn as tg
from tinygrad_cnn.kernels import update
from tinygrad_cnn.ops import updates
from tinygrad_cnn.optim import EMA

from .common import assert_same, leaf
from .test_updates import LAYOUTS


def averaged(values, decay, warmup):
    """Each value times what later updates leave of it."""
    steps = np.arange(1, len(values))
    decays = np.minimum(decay, steps / (steps + 9)) if warmup else np.full(len(steps), decay)
    weights = [np.prod(decays[n:]) * (1 if n == 0 else 1 - decays[n - 1]) for n in range(len(values))]
    return sum(w * v for w, v in zip(weights, values, strict=True))


@given(
    decay=st.floats(0, 1), warmup=st.booleans(), steps=st.integers(0, 9), seed=st.integers(0, 2**32 - 1),
    layout=st.sampled_from([np.array, *LAYOUTS]), dtype=st.sampled_from([np.float32, np.float64]),
)  # fmt: skip
def test_the_average_is_the_weighted_sum(decay, warmup, steps, seed, layout, dtype):
    rng = np.random.default_rng(seed)
    values = [[rng.normal(size=shape).astype(dtype) for shape in [(2, 3), (), (0,)]] for _ in range(steps + 1)]
    params = [tg.from_numpy(layout(v), requires_grad=True) for v in values[0]]
    ema = EMA(params, decay, warmup=warmup)
    for new in values[1:]:
        for p, v in zip(params, new, strict=True):
            p.copy_(v)
        ema.update()
    with ema as entered:
        assert entered is ema
        for p, *history in zip(params, *values, strict=True):
            assert p.dtype == dtype
            expected = averaged(history, decay, warmup)
            np.testing.assert_allclose(p.numpy(), expected, rtol=0, atol=40 * np.finfo(dtype).eps)
    for p, v in zip(params, values[-1], strict=True):
        np.testing.assert_array_equal(p.numpy(), v)


def test_weights_that_stay_have_themselves_as_average_to_the_last_bit():
    p = tg.Tensor(np.random.default_rng(0).normal(size=1000).astype(np.float32))
    ema = EMA([p], 0.9)
    for _ in range(20):
        ema.update()
    np.testing.assert_array_equal(ema.state_dict()["averages"][0], p.numpy())


@pytest.mark.parametrize("layout", LAYOUTS)
def test_pieces_do_not_matter(layout, tuning):
    start, later = np.random.default_rng(0).normal(size=(2, 3, 7))
    results = []
    for piece in (5, 32768):
        tuning(updates, PIECE=piece)
        tuning(update, LONG=piece)
        p = tg.from_numpy(layout(start))
        ema = EMA([p], 0.75)
        p.copy_(later)
        ema.update()
        results.append(ema.state_dict())
    assert_same(*results)


def test_an_update_allocates_no_array_like_the_weights(one_thread):
    p = tg.zeros((512, 512))
    ema = EMA([p])
    ema.update()
    tracemalloc.start()
    try:
        ema.update()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 200_000  # the weights are 1 MiB


def test_swapping_is_in_place_and_its_own_inverse_and_seen_by_graphs():
    array = np.array([1.0, 2.0])
    p = tg.from_numpy(array, requires_grad=True)
    ema = EMA([p], 0.5)
    p.copy_([3.0, 6.0])
    ema.update()
    stale = (p * p).sum()
    ema.swap()
    np.testing.assert_array_equal(array, [2, 4])
    with pytest.raises(RuntimeError, match="overwritten in place"):
        stale.backward()
    saved = ema.state_dict()
    np.testing.assert_array_equal(saved["averages"][0], [2, 4])
    for use in (ema.update, ema.__enter__, lambda: ema.load_state_dict(saved)):
        with pytest.raises(RuntimeError, match="while the averages are in use as weights; swap\\(\\) back first"):
            use()
    ema.swap()
    np.testing.assert_array_equal(array, [3, 6])
    assert_same(saved, ema.state_dict())


def test_an_exception_inside_brings_the_weights_back():
    p = leaf(2)
    ema = EMA([p], 0.5)
    p.copy_([5.0, 5.0])
    ema.update()
    with pytest.raises(KeyError), ema:
        raise KeyError("validation")
    assert p.tolist() == [5, 5]
    with ema:
        ema.swap()
        assert p.tolist() == [5, 5]
    assert p.tolist() == [5, 5]


@pytest.mark.parametrize("travel", [lambda e: e, copy.deepcopy, lambda e: pickle.loads(pickle.dumps(e))])
def test_a_resumed_average_goes_on_to_the_same_bits(travel):
    rng = np.random.default_rng(0)
    p, q = leaf(3, dtype=np.float32), leaf(3, dtype=np.float32)
    first, second = EMA([p], 0.7, warmup=True), EMA([q])
    for _ in range(4):
        p.copy_(rng.normal(size=3))
        first.update()
    second.load_state_dict(travel(first).state_dict())
    for _ in range(4):
        new = rng.normal(size=3)
        p.copy_(new)
        q.copy_(new)
        first.update()
        second.update()
    assert_same(first.state_dict(), second.state_dict())
    saved = first.state_dict()
    saved["averages"][0][:] = 0
    assert_same(first.state_dict(), second.state_dict())
    first.load_state_dict(saved)
    saved["averages"][0][:] = 1
    np.testing.assert_array_equal(first.state_dict()["averages"][0], 0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"decay": 1.5}, "`decay` is 1.5; it must be a number in [0, 1]"),
        ({"warmup": 0}, "`warmup` is 0; it must be True or False"),
        ({"updates": -1}, "`updates` is -1; it must be a whole number of at least 0"),
        ({"updates": None}, "`updates` is None; it must be a whole number of at least 0"),
        ({"colour": 1}, "`colour` is unexpected"),
        ({"averages": []}, "`averages` is []; it must be a list of 2 arrays"),
        ({"averages": None}, "`averages` is None; it must be a list of 2 arrays"),
        (
            {"averages": [np.ones(2), np.ones(2)]},
            "`averages` is [array([1., 1.]), array([1., 1.])]; average 1 is float64 (2,); the parameter is float64 (3,)",
        ),
        (
            {"averages": [[1.0, 2.0], np.ones(3)]},
            "`averages` is [[1.0, 2.0], array([1., 1., 1.])]; average 0 is a list; it must be an array",
        ),
    ],
)
def test_a_state_that_does_not_fit_is_refused_whole(change, message):
    p, q = leaf(2), leaf(3)
    ema = EMA([p, q])
    saved = ema.state_dict() | change
    p.copy_([7.0, 7.0])
    ema.update()
    before = ema.state_dict()
    with pytest.raises(ValueError, match=re.escape(f"EMA.load_state_dict: nothing was loaded:\n- {message}")):
        ema.load_state_dict(saved)
    with pytest.raises(
        ValueError, match="`decay` is missing(.|\n)*`warmup` is missing(.|\n)*`updates`(.|\n)*`averages`"
    ):
        ema.load_state_dict({})
    with pytest.raises(ValueError, match="the state is a list; it must be a dict"):
        ema.load_state_dict([])
    assert_same(before, ema.state_dict())


TWICE = leaf(2)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (([leaf(2)], -0.1), ValueError, "`decay` is -0.1; it must be a number in [0, 1]"),
        (([leaf(2)], "1"), TypeError, "`decay` is '1'; it must be a number in [0, 1]"),
        (([],), ValueError, "`parameters` is empty; give at least one Tensor"),
        ((leaf(2),), TypeError, "`parameters` is one Tensor; put it in a list"),
        (([leaf(2), 3],), TypeError, "parameter 1 is a int; it must be a Tensor"),
        (
            ([tg.Tensor(np.arange(3, dtype=np.int64))],),
            TypeError,
            "parameter 0 is int64; only floating-point and complex Tensors have an average",
        ),
        (([leaf(2) * 2],), ValueError, "parameter 0 is not a leaf but the result of an op; average what it came from"),
        (([TWICE, TWICE],), ValueError, "parameter 1 was given before; list it once"),
    ],
)
def test_bad_arguments_are_named(arguments, error, message):
    with pytest.raises(error) as caught:
        EMA(*arguments)
    assert str(caught.value) == f"EMA: {message}"
    with pytest.raises(TypeError, match="EMA: `warmup` is 1; it must be True or False"):
        EMA([leaf(2)], warmup=1)


@pytest.mark.parametrize("second", [slice(0, 4), slice(2, 6), slice(None, None, -1)])
def test_parameters_that_share_memory_come_back(second):
    array = np.arange(6.0)
    ema = EMA([tg.from_numpy(array[:4]), tg.from_numpy(array[second])], 0.5)
    array += 10
    ema.update()
    before = array.copy()
    with ema:
        assert not np.array_equal(array, before)
    np.testing.assert_array_equal(array, before)


def test_a_read_only_parameter_stops_the_exchange_before_it_begins():
    array = np.ones(2)
    array.flags.writeable = False
    p = leaf(2)
    ema = EMA([p, tg.from_numpy(array)], 0.5)
    p.copy_([5.0, 5.0])
    with pytest.raises(ValueError, match="EMA: parameter 1 is read-only and cannot be exchanged; copy it"):
        ema.swap()
    assert p.tolist() == [5, 5]


def test_repr_shows_the_options():
    assert repr(EMA([leaf(2)], 0.5)) == "EMA(1 tensors: decay=0.5, warmup=False, updates=0)"
