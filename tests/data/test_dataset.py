"""Datasets: examples by number are the rows of batches; splits are parts without overlap."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import tinygrad_cnn as tg
from tinygrad_cnn import data

indices = st.lists(st.integers(0, 9), min_size=1, max_size=12).map(np.array)


class Pairs(data.Dataset):
    def __len__(self):
        return 10

    def __getitem__(self, index):
        return np.full((2, 3), index, np.float32), index


def tensors():
    return data.TensorDataset(np.stack([np.full((2, 3), n, np.float32) for n in range(10)]), np.arange(10))


@pytest.mark.parametrize("make", [Pairs, tensors, lambda: data.Subset(Pairs(), range(10))])
@given(indices=indices)
def test_a_batch_is_its_examples_stacked(make, indices):
    dataset = make()
    images, labels = dataset.take(indices)
    assert (images.dtype, labels.dtype) == (np.float32, np.int64)
    assert labels.tolist() == indices.tolist()
    for image, label, index in zip(images, labels, indices.tolist(), strict=True):
        for found, expected in zip((image, label), dataset[index], strict=True):
            np.testing.assert_array_equal(found, expected)


@given(outer=indices, inner=st.lists(st.integers(0, 9), min_size=10, max_size=10))
def test_a_subset_of_a_subset(outer, inner):
    dataset = data.Subset(data.Subset(tensors(), inner), outer)
    expected = [inner[i] for i in outer]
    assert len(dataset) == len(outer)
    assert [int(dataset[i][1]) for i in range(len(dataset))] == expected
    assert dataset.take(np.arange(len(dataset)))[1].tolist() == expected


def test_arrays_are_shared_and_tensors_are_taken_as_they_are():
    array, tensor = np.zeros(3), tg.ones(3)
    dataset = data.TensorDataset(array, tensor, [1, 2, 3], [0.5, 1, 2])
    array[1] = 7
    assert np.shares_memory(dataset.arrays[1], tensor.numpy())
    fields = dataset[1]
    assert [float(field) for field in fields] == [7, 1, 2, 1]
    assert [field.dtype for field in fields] == [np.float64, np.float32, np.int64, np.float32]
    assert all(isinstance(field, np.ndarray) for field in dataset.take(np.array([0])))


def test_arrays_are_asked_for_places_as_wide_as_a_pointer():
    """NumPy's take converts only safely, so on 32 bits it refuses int64. Here int32 stands for any other width."""
    asked = []

    class Array:
        def take(self, indices, axis):
            asked.append((indices.dtype, indices.tolist(), axis))

    dataset = data.TensorDataset(np.arange(5))
    dataset.arrays = (Array(),)
    dataset.take(np.array([3, 0], np.int32))
    assert asked == [(np.dtype(np.intp), [3, 0], 0)]


def test_sequences_arrays_and_tensors_are_datasets():
    for dataset in (np.arange(5), tg.Tensor(np.arange(5)), [0, 1, 2, 3, 4], range(5), [(n,) for n in range(5)]):
        ((batch,),) = data.DataLoader(dataset, 5)
        assert batch.tolist() == [0, 1, 2, 3, 4]
        assert batch.dtype == np.int64


@pytest.mark.parametrize(
    ("arrays", "error", "message"),
    [
        ((), ValueError, "TensorDataset: there are no arrays"),
        ((np.zeros(3), np.zeros((4, 3))), ValueError, r"TensorDataset: the arrays have lengths \[3, 4\]"),
        ((np.zeros(3), 3), TypeError, "TensorDataset: an array is a single number"),
        (
            (np.array([None, 1]),),
            TypeError,
            "a field of an example is a ndarray; it must be a number, a str or an array",
        ),
    ],
)
def test_tensor_dataset_refuses(arrays, error, message):
    with pytest.raises(error, match=message):
        data.TensorDataset(*arrays)


@pytest.mark.parametrize(
    ("indices", "error", "message"),
    [
        ([0, 10], IndexError, "`indices` holds 10 at 1; it must be from 0 to 9"),
        ([-1], IndexError, "`indices` holds -1 at 0"),
        ([0.5], TypeError, r"`indices` is float64 \(1,\); it must be a row of integers"),
        ([[1]], TypeError, r"`indices` is int64 \(1, 1\)"),
        ([True], TypeError, "`indices` is bool"),
    ],
)
def test_subset_refuses(indices, error, message):
    with pytest.raises(error, match="Subset: " + message):
        data.Subset(tensors(), indices)


class Named(data.Dataset):
    def __len__(self):
        return 10

    def __getitem__(self, index):
        return {"image": np.full((2, 3), index, np.float32), "label": index}


@given(indices=indices)
def test_a_batch_of_dicts_is_a_dict_of_batches(indices):
    batch, expected = Named().take(indices), Pairs().take(indices)
    assert list(batch) == ["image", "label"]
    for found, wanted in zip(batch.values(), expected, strict=True):
        np.testing.assert_array_equal(found, wanted, strict=True)


# Concatenation


@pytest.mark.parametrize("make", [Pairs, tensors, lambda: data.Subset(tensors(), range(10))])
@given(indices=st.lists(st.integers(0, 23), min_size=1, max_size=12))
def test_concatenated_datasets_follow_one_another(make, indices):
    dataset = data.ConcatDataset([make(), data.Subset(make(), []), data.Subset(make(), [7, 7, 2, 9]), make()])
    whole = [*range(10), 7, 7, 2, 9, *range(10)]
    assert [int(dataset[i][1]) for i in range(len(dataset))] == whole
    assert [int(dataset[i - 24][1]) for i in range(24)] == whole
    images, labels = dataset.take(np.array(indices))
    assert labels.tolist() == [whole[i] for i in indices]
    np.testing.assert_array_equal(images, data.collate([dataset[i] for i in indices])[0], strict=True)


def test_a_sum_of_datasets_is_their_concatenation():
    more = [Named()[3]]
    both = Named() + more
    assert isinstance(both, data.ConcatDataset)
    assert both.take(np.array([10, 2, 10]))["label"].tolist() == [3, 2, 3]


def test_concatenation_promotes_as_stacking_does():
    dataset = data.ConcatDataset([np.array([1, 2], np.uint8), np.array([0.5], np.float32)])
    np.testing.assert_array_equal(dataset.take(np.array([2, 0]))[0], np.array([0.5, 1], np.float32), strict=True)


@pytest.mark.parametrize(
    ("parts", "error", "message"),
    [
        ([], ValueError, "ConcatDataset: there are no datasets; give at least one"),
        ([np.zeros(2), 3], TypeError, "`dataset` is a int; it must be a Dataset"),
        ([np.zeros((2, 3)), np.zeros((2, 4))], ValueError, r"field 0 has shape \(3,\) in one example and \(4,\) in"),
        (
            [Pairs(), Named()],
            ValueError,
            r"the fields of the examples have no names and \['image', 'label'\]; all must",
        ),
        ([Pairs(), np.zeros(2)], ValueError, r"the examples have \[1, 2\] fields"),
    ],
)
def test_datasets_that_cannot_be_concatenated_are_refused(parts, error, message):
    with pytest.raises(error, match=message):
        data.ConcatDataset(parts).take(
            np.arange(12) % 12 if len(parts) > 1 and isinstance(parts[0], Pairs) else np.arange(4)
        )


def test_a_concatenation_ends():
    for index in (20, -21):
        with pytest.raises(IndexError, match=f"ConcatDataset: there is no example {index} among 20"):
            data.ConcatDataset([Pairs(), Pairs()])[index]


def test_reprs_say_how_many_examples_there_are():
    assert repr(Pairs()) == "Pairs(10 examples)"
    assert repr(tensors()) == "TensorDataset(10 examples of float32 (2, 3), int64 ())"
    subset = data.Subset(Pairs(), [1, 2])
    assert repr(subset) == "Subset(2 of Pairs(10 examples))"
    more = [1, 2, 3]
    assert repr(subset + more) == "ConcatDataset([Subset(2 of Pairs(10 examples)), list of 3 examples])"


# Collate


def test_python_numbers_get_the_dtypes_that_tensors_of_them_would():
    batch = data.collate([(1, 0.5, True, np.float64(1), np.uint8(3)), (2, 1.5, False, np.float64(2), np.uint8(4))])
    assert [field.dtype for field in batch] == [np.int64, np.float32, np.bool, np.float64, np.uint8]


@pytest.mark.parametrize(
    ("items", "error", "message"),
    [
        ([], ValueError, "the examples have no fields"),
        ([(1, 2), (1,)], ValueError, r"the examples have \[1, 2\] fields; all must have the same number"),
        ([np.zeros(2), np.zeros(3)], ValueError, r"field 0 has shape \(2,\) in one example and \(3,\) in another"),
        ([(1, {"a": 1})], TypeError, "a field of an example is a dict"),
        (
            [{"a": 1}, {"b": 1}],
            ValueError,
            r"the fields of the examples have \['a'\] and \['b'\]; all must have the same",
        ),
        ([{"a": 1}, (1,)], ValueError, r"the fields of the examples have \['a'\] and no names"),
        ([1, {"a": 1}], ValueError, r"the fields of the examples have no names and \['a'\]"),
        ([{"a": [1, 2]}, {"a": 1}], ValueError, r"field 'a' has shape \(2,\) in one example and \(\) in another"),
    ],
)
def test_collate_refuses(items, error, message):
    with pytest.raises(error, match=message):
        data.collate(items)


# Splits

lengths = st.lists(st.integers(0, 10), min_size=1, max_size=4)
shares = st.lists(st.integers(1, 10), min_size=1, max_size=4).map(lambda parts: [part / sum(parts) for part in parts])
seeds = st.integers(0, 2**32)


@given(lengths=lengths, seed=seeds)
def test_the_parts_have_their_lengths_and_each_example_once(lengths, seed):
    dataset = np.arange(sum(lengths))
    parts = data.random_split(dataset, lengths, rng=seed)
    assert [len(part) for part in parts] == lengths
    assert sorted(int(part[i][0]) for part in parts for i in range(len(part))) == dataset.tolist()
    again = data.random_split(dataset, lengths, rng=np.random.default_rng(seed))
    assert all((a.indices == b.indices).all() for a, b in zip(parts, again, strict=True))


@example(total=11, shares=[0.25] * 4)
@given(total=st.integers(0, 50), shares=shares)
def test_fractions_are_rounded_down_and_the_rest_given_from_the_first(total, shares):
    """As in PyTorch."""
    floors = [int(total * share) for share in shares]
    rest = total - sum(floors)
    sizes = [len(part) for part in data.random_split(range(total), shares, rng=0)]
    assert sum(sizes) == total
    assert sizes == [floor + (at < rest) for at, floor in enumerate(floors)]


@given(counts=st.lists(st.integers(0, 15), min_size=1, max_size=4), shares=shares, seed=seeds)
def test_a_stratified_part_has_each_class_in_proportion(counts, shares, seed):
    labels = np.repeat(np.arange(len(counts)) * 7, counts)
    parts = data.stratified_split(labels, shares, labels, rng=seed)
    assert sorted(i for part in parts for i in part.indices.tolist()) == list(range(len(labels)))
    for part in parts:
        for at, count in enumerate(counts):
            found = int((labels[part.indices] == 7 * at).sum())
            assert abs(found - count * len(part) / max(1, len(labels))) < 2


def test_a_stratified_split_of_classes_that_divide_is_exact_and_drawn():
    labels = np.repeat(np.arange(10), 500)
    train, test = data.stratified_split(labels, [4000, 1000], labels, rng=1)
    assert np.bincount(labels[train.indices]).tolist() == [400] * 10
    assert np.bincount(labels[test.indices]).tolist() == [100] * 10
    other = data.stratified_split(labels, [4000, 1000], labels, rng=2)[1]
    assert len(set(test.indices.tolist()) & set(other.indices.tolist())) < 500
    assert (np.diff(labels[test.indices]) < 0).any()  # not sorted


def test_every_example_may_fall_into_the_stratified_test_set():
    labels = np.repeat([0, 1], 3)
    drawn = [data.stratified_split(labels, [4, 2], labels, rng=seed)[1].indices.tolist() for seed in range(100)]
    assert {i for indices in drawn for i in indices} == set(range(6))


@pytest.mark.parametrize(
    ("lengths", "message"),
    [
        ([3, 4], "`lengths` add up to 7; the dataset has 10 examples"),
        ([0.5, 0.4], r"`lengths` add up to 0\.9; fractions must add up to 1"),
        ([11, -1], r"`lengths` is \[11, -1\]; no part can have a negative length"),
        ([float("nan"), 1.0], r"`lengths` is \[nan, 1\.0\]; no part can have a negative length"),
        ([], r"`lengths` is \[\]; it must be a list of numbers"),
        (10, "`lengths` is 10; it must be a list of numbers"),
    ],
)
def test_splits_refuse(lengths, message):
    with pytest.raises(ValueError, match="random_split: " + message):
        data.random_split(range(10), lengths)
    with pytest.raises(ValueError, match="stratified_split: " + message):
        data.stratified_split(range(10), lengths, range(10))


def test_stratified_split_wants_a_label_for_each_example():
    with pytest.raises(ValueError, match=r"`labels` has shape \(9,\); it must be \(10,\)"):
        data.stratified_split(range(10), [5, 5], range(9))


def test_arrays_in_the_place_of_a_dataset_are_answered():
    x, y = np.zeros((6, 2)), np.zeros(6)
    for call, message in (
        (lambda: tg.data.DataLoader((x, y)), r"`dataset` is a tuple of arrays; .* give TensorDataset\(x, y\)"),
        (lambda: tg.data.random_split((x, y), [1, 1]), "`dataset` is a tuple of arrays"),
        (lambda: tg.data.TensorDataset([x, y]), r"give them one by one: TensorDataset\(x, y\)"),
        (lambda: tg.data.ConcatDataset(tg.data.TensorDataset(x, y)), "`datasets` is a TensorDataset; give a list"),
        (lambda: tg.data.ConcatDataset(3), "`datasets` is a int; give a list"),
        (lambda: tg.data.DataLoader(x, collate=3), "DataLoader: `collate` is 3; it must be a function"),
        (
            lambda: tg.data.DataLoader(x, transform=tg.data.ToFloat),
            "`transform` is .*; it must be a function or an object",
        ),
        (lambda: tg.data.random_split(x, [3, 3], seed=0), "use rng=0"),
    ):
        with pytest.raises(TypeError, match=message):
            call()
    assert len(tg.data.DataLoader(x, transform=np.float32)) == 6


@given(st.integers(2, 6), st.integers(6, 40), st.booleans(), st.integers(0, 99))
def test_folds_hold_out_each_example_once(k, n, stratified, seed):
    labels = np.random.default_rng(seed).integers(0, 3, n)
    folds = data.k_fold(np.arange(n), k, labels if stratified else None, rng=seed)
    assert len(folds) == k
    assert sorted(i for _, part in folds for i in part.indices) == list(range(n))
    for rest, part in folds:
        assert n // k <= len(part) <= -(-n // k)
        assert sorted([*rest.indices, *part.indices]) == list(range(n))
        if stratified:
            for label in range(3):
                share = (labels[part.indices] == label).sum()
                assert abs(share - (labels == label).sum() * len(part) / n) < 2
    again = data.k_fold(np.arange(n), k, labels if stratified else None, rng=seed)
    assert [list(part.indices) for _, part in folds] == [list(part.indices) for _, part in again]


@pytest.mark.parametrize(("k", "error"), [(1, ValueError), (7, ValueError), (2.5, TypeError), ("5", TypeError)])
def test_a_number_of_folds_that_is_none_is_named(k, error):
    with pytest.raises(error, match=f"k_fold: `k` is {k!r}; "):
        data.k_fold(np.arange(6), k)
