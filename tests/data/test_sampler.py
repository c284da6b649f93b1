"""Samplers: what an epoch has, and that it depends on the seed and the number of the epoch only."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_cnn as tg
from tinygrad_cnn.data import ClassSampler, DataLoader, Sampler, SubsetRandomSampler, WeightedRandomSampler

SAMPLERS = [
    WeightedRandomSampler(np.arange(20), 13),
    WeightedRandomSampler(np.arange(20), 13, replacement=False),
    SubsetRandomSampler(np.arange(3, 18)),
    ClassSampler(np.arange(20) % 3),
    ClassSampler(np.arange(20) % 3, per_class=4),
]
every_sampler = pytest.mark.parametrize("sampler", SAMPLERS, ids=repr)
seeds = st.integers(0, 2**32)


def epochs(sampler, count=2, batch_size=5, **options):
    loader = DataLoader(np.arange(20), batch_size, sampler=sampler, **{"seed": 0} | options)
    return [[batch.tolist() for (batch,) in loader] for _ in range(count)]


@every_sampler
def test_an_epoch_has_its_length_and_an_order_of_its_own(sampler):
    first, second = epochs(sampler)
    assert sum(map(len, first)) == sum(map(len, second)) == len(sampler)
    assert first != second
    assert len(DataLoader(np.arange(20), 5, sampler=sampler)) == -(-len(sampler) // 5)
    assert [first, second] == epochs(sampler) != epochs(sampler, seed=1)
    whole = [batch for batch in first if len(batch) == 5]
    assert epochs(sampler, 1, drop_last=True) == [whole]


@every_sampler
def test_a_loader_with_a_sampler_is_resumed_in_the_middle(sampler):
    expected = epochs(sampler)
    loader = DataLoader(np.arange(20), 5, sampler=sampler, seed=0)
    list(loader)
    iterator = iter(loader)
    assert next(iterator)[0].tolist() == expected[1][0]
    resumed = DataLoader(np.arange(20), 5, sampler=sampler, prefetch=2)
    resumed.load_state_dict(loader.state_dict())
    assert [batch.tolist() for (batch,) in resumed] == expected[1][1:]
    other = DataLoader(np.arange(20), 5, sampler=[1, 2], seed=0)
    with pytest.raises(ValueError, match=f"`length` is {len(sampler)}; it must be the loader's 2"):
        other.load_state_dict(loader.state_dict())


@every_sampler
def test_by_itself_it_draws_from_the_library(sampler):
    drawn = []
    for seed in (3, 3, 4):
        tg.manual_seed(seed)
        drawn.append(list(sampler))
    assert drawn[0] == drawn[1] != drawn[2]
    assert all(type(i) is int for i in drawn[0])


@given(weights=st.lists(st.integers(0, 5), min_size=1, max_size=20).filter(any), seed=seeds)
def test_weights_of_zero_are_never_drawn_and_without_replacement_none_twice(weights, seed):
    usable = {i for i, weight in enumerate(weights) if weight}
    rng = np.random.default_rng(seed)
    assert set(WeightedRandomSampler(weights, 30).draw(rng).tolist()) <= usable
    drawn = WeightedRandomSampler(weights, len(usable), replacement=False).draw(rng).tolist()
    assert sorted(drawn) == sorted(usable)


def test_frequencies_are_in_proportion_to_weights():
    weights = np.array([1.0, 0.0, 3.0, 6.0])
    for scale in (1.0, 1e-300, 1e307):
        drawn = WeightedRandomSampler(weights * scale, 20_000).draw(np.random.default_rng(0))
        expected = 2000 * weights
        error = 4 * np.sqrt(expected * (1 - weights / 10)) + 1e-9
        assert (abs(np.bincount(drawn, minlength=4) - expected) < error).all()


@given(indices=st.lists(st.integers(0, 19), max_size=20), seed=seeds)
def test_a_subset_in_random_order(indices, seed):
    assert sorted(SubsetRandomSampler(indices).draw(np.random.default_rng(seed)).tolist()) == sorted(indices)


@given(labels=st.lists(st.integers(-1, 3), min_size=1, max_size=20), count=st.integers(1, 12), seed=seeds)
def test_each_class_occurs_as_often_and_its_examples_too(labels, count, seed):
    labels = np.array(labels)
    for per_class in (count, None):
        sampler = ClassSampler(labels, per_class)
        drawn = sampler.draw(np.random.default_rng(seed))
        wanted = per_class or np.unique(labels, return_counts=True)[1].max()
        assert len(drawn) == len(sampler)
        for label in np.unique(labels):
            times = np.bincount(drawn, minlength=len(labels))[labels == label]
            assert times.sum() == wanted
            assert times.max() - times.min() <= 1


def test_classes_are_mixed_and_every_example_of_a_large_class_can_occur():
    sampler = ClassSampler(np.repeat([0, 1], [30, 3]), per_class=3)
    rng = np.random.default_rng(0)
    draws = [sampler.draw(rng) for _ in range(200)]
    assert {int(i) for drawn in draws for i in drawn} == set(range(33))
    assert any((drawn[:3] < 30).all() for drawn in draws) != all((drawn[:3] < 30).all() for drawn in draws)


def test_a_row_of_numbers_is_the_order_of_each_epoch():
    for order in ([4, 4, 0], np.array([4, 4, 0]), (4, 4, 0)):
        assert epochs(order, 2, 2) == [[[4, 4], [0]]] * 2


class Wrong(Sampler):
    def __init__(self, indices, length):
        self.indices, self.length = indices, length

    def __len__(self):
        return self.length

    def draw(self, rng):
        return self.indices


@pytest.mark.parametrize(
    ("sampler", "error", "message"),
    [
        (Wrong([0, 1], 3), ValueError, "DataLoader: `sampler` drew 2 examples; its length is 3"),
        (Wrong([0.5], 1), TypeError, "DataLoader: `sampler` is float64 (1,); it must be a row of integers"),
        (Wrong([3, -1], 2), IndexError, "DataLoader: `sampler` gives example -1; it must be from 0 to 19"),
        ([3, 20], IndexError, "DataLoader: `sampler` gives example 20; it must be from 0 to 19"),
    ],
)
def test_an_order_that_does_not_fit_is_refused_at_the_start_of_the_epoch(sampler, error, message):
    loader = DataLoader(np.arange(20), sampler=sampler)
    with pytest.raises(error, match=re.escape(message)):
        next(iter(loader))


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: DataLoader(range(3), shuffle=True, sampler=[0]), ValueError, "`shuffle` is True and there is a `sampler`"),
        (lambda: DataLoader(range(3), sampler="ab"), TypeError, "DataLoader: `sampler` is <U2 (); it must be a row of"),
        (lambda: WeightedRandomSampler([1, 2], 0), ValueError, "`num_samples` is 0; it must be a whole number of at"),
        (lambda: WeightedRandomSampler([1, 2], 2, 1), TypeError, "`replacement` is 1; it must be True or False"),
        (lambda: WeightedRandomSampler([[1]], 2), ValueError, "`weights` has shape (1, 1); it must be a row of numbers"),
        (lambda: WeightedRandomSampler(["a"], 2), TypeError, "`weights` is ['a']; it must be a row of numbers"),
        (lambda: WeightedRandomSampler([1, -2], 2), ValueError, "`weights` holds -2.0 at 1; each must be a finite number"),
        (lambda: WeightedRandomSampler([1, np.nan], 2), ValueError, "`weights` holds nan at 1"),
        (lambda: WeightedRandomSampler([0, 0], 2), ValueError, "0 of the `weights` are above 0; an epoch needs at least 1"),
        (lambda: WeightedRandomSampler([0, 1], 2, False), ValueError, "1 of the `weights` are above 0; an epoch needs at"),
        (lambda: SubsetRandomSampler([0.5]), TypeError, "SubsetRandomSampler: `indices` is float64 (1,)"),
        (lambda: ClassSampler([]), ValueError, "ClassSampler: `labels` has shape (0,); it must be a row of one for each"),
        (lambda: ClassSampler([[1]]), ValueError, "ClassSampler: `labels` has shape (1, 1)"),
        (lambda: ClassSampler([1, 2], 0), ValueError, "`per_class` is 0; it must be a whole number of at least 1"),
    ],
)  # fmt: skip
def test_arguments_that_are_refused(make, error, message):
    with pytest.raises(error, match=re.escape(message)):
        make()


def test_reprs_say_what_is_drawn():
    assert [repr(sampler) for sampler in SAMPLERS] == [
        "WeightedRandomSampler(13 of 20 examples, replacement=True)",
        "WeightedRandomSampler(13 of 20 examples, replacement=False)",
        "SubsetRandomSampler(15 examples)",
        "ClassSampler(7 examples of each of 3 classes)",
        "ClassSampler(4 examples of each of 3 classes)",
    ]
