"""The loader: what an epoch is; stopping anywhere and going on gives what an uninterrupted run gives."""

from __future__ import annotations

import subprocess
import sys
import threading
import traceback
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_cnn as tg
from tinygrad_cnn.data import DataLoader, Dataset, TensorDataset
from tinygrad_cnn.data import prefetch as prefetching


def jitter(images, rng):
    return images + rng.integers(0, 1000, images.shape)


class Numbers(Dataset):
    """Examples fetched one by one."""

    def __init__(self, length: int) -> None:
        self.length = length

    def __len__(self):
        return self.length

    def __getitem__(self, index):
        return 1000 * index, index


settings = st.fixed_dictionaries(
    {
        "batch_size": st.integers(1, 7),
        "shuffle": st.booleans(),
        "drop_last": st.booleans(),
        "seed": st.integers(0, 2**70),
        "transform": st.sampled_from([None, jitter]),
    }
)
sources = st.builds(
    lambda make, length: make(length),
    st.sampled_from([Numbers, lambda n: TensorDataset(1000 * np.arange(n), np.arange(n))]),
    st.integers(0, 20),
)
prefetches = st.integers(0, 3)


def plain(batches):
    return [tuple(array.tolist() for array in batch) for batch in batches]


def test_where_there_are_no_threads_prefetch_changes_nothing(tuning):
    tuning(prefetching, THREADS=False)
    seen = set()

    def noted(x):
        seen.add(threading.get_ident())
        return x

    loaded = [
        [
            x.tolist()
            for (x,) in DataLoader(TensorDataset(np.arange(10)), 3, shuffle=True, seed=1, transform=t, prefetch=n)
        ]
        for t, n in ((None, 0), (noted, 2))
    ]
    assert loaded[0] == loaded[1]
    assert seen == {threading.get_ident()}


@given(sources, settings, prefetches)
def test_an_epoch_has_each_example_once(dataset, options, prefetch):
    loader = DataLoader(dataset, prefetch=prefetch, **options)
    for _ in range(2):
        batches = [labels.tolist() for _, labels in loader]
        assert len(batches) == len(loader)
        seen = [label for batch in batches for label in batch]
        if options["drop_last"]:
            assert all(len(batch) == options["batch_size"] for batch in batches)
            assert len(dataset) - len(seen) < options["batch_size"]
            assert len(set(seen)) == len(seen)
        else:
            assert sorted(seen) == list(range(len(dataset)))
        if not options["shuffle"]:
            assert seen == list(range(len(seen)))


@given(sources, settings, st.lists(prefetches, min_size=2, max_size=2), st.data())
def test_stopped_anywhere_it_goes_on_as_if_it_had_not_been(dataset, options, prefetch, data):
    """The model is a list: all batches of three epochs, by a loader that is left alone."""
    whole = DataLoader(dataset, **options)
    expected = [plain(whole) for _ in range(3)]
    epoch, stop = data.draw(st.integers(0, 2)), data.draw(st.integers(0, len(whole)))

    first = DataLoader(dataset, prefetch=prefetch[0], **options)
    before = [plain(first) for _ in range(epoch)]
    iterator = iter(first)
    before.append(plain(next(iterator) for _ in range(stop)))
    state = first.state_dict()
    iterator.close()
    assert (state["epoch"], state["position"]) == (epoch, stop)

    second = DataLoader(dataset, prefetch=prefetch[1], **options | {"seed": 1})
    second.load_state_dict(state)
    before[-1] += plain(second)
    before += [plain(second) for _ in range(2 - epoch)]
    assert before == expected
    assert (second.epoch, second.position) == (3, 0)


def test_examples_by_number_and_at_once_are_the_same_batches():
    both = [Numbers(10), TensorDataset(1000 * np.arange(10), np.arange(10))]
    loaders = [DataLoader(dataset, 4, shuffle=True, seed=3, transform=jitter) for dataset in both]
    assert plain(loaders[0]) == plain(loaders[1])


def test_epochs_and_seeds_have_orders_and_draws_of_their_own():
    loaders = [DataLoader(Numbers(50), 50, shuffle=True, seed=seed, transform=jitter) for seed in (0, 1)]
    batches = [next(iter(loader)) for loader in loaders for _ in range(3)]
    orders = {tuple(labels.tolist()) for _, labels in batches}
    noise = {tuple((images - 1000 * labels).tolist()) for images, labels in batches}
    assert len(orders) == len(noise) == 6


def test_batches_have_draws_of_their_own():
    loader = DataLoader(np.zeros((4, 9), int), transform=jitter, seed=0)
    assert len({tuple(images.ravel().tolist()) for (images,) in loader}) == 4


def test_without_a_seed_it_draws_one_from_the_library():
    orders = []
    for seed in (5, 5, 6):
        tg.manual_seed(seed)
        orders.append(plain(DataLoader(Numbers(20), 20, shuffle=True)))
    assert orders[0] == orders[1] != orders[2]


def test_a_batch_shares_no_memory_with_the_data():
    images = np.arange(12.0).reshape(4, 3)
    for (batch,) in DataLoader(TensorDataset(images), 2):
        batch += 100
    assert images.max() == 11


def test_an_iterator_after_a_break_begins_the_next_epoch():
    loader = DataLoader(Numbers(9), 2, shuffle=True, seed=0)
    other = DataLoader(Numbers(9), 2, shuffle=True, seed=0)
    next(iter(loader))
    list(other)
    assert plain(loader) == plain(other)


def test_an_iterator_that_took_nothing_is_no_epoch():
    loader = DataLoader(Numbers(9), 2, shuffle=True, seed=0)
    iter(loader)
    next(iter(loader))
    assert (loader.epoch, loader.position) == (0, 1)


@pytest.mark.parametrize("prefetch", [0, 2])
def test_two_iterators_at_once_are_two_epochs_and_the_state_follows_the_younger(prefetch):
    epochs = DataLoader(Numbers(5), 2, shuffle=True, seed=0)
    expected = [plain(epochs), plain(epochs)]
    loader = DataLoader(Numbers(5), 2, shuffle=True, seed=0, prefetch=prefetch)
    first, second = [], []
    for a, b in zip(loader, loader, strict=True):
        first += plain([a])
        second += plain([b])
        assert (loader.epoch, loader.position) == (1, len(second))
    assert [first, second] == expected


def test_loading_takes_the_state_away_from_older_iterators():
    loader = DataLoader(Numbers(9), 2)
    old = iter(loader)
    next(old)
    loader.load_state_dict(loader.state_dict())
    next(old)
    assert loader.position == 1
    assert [labels.tolist() for _, labels in loader] == [[2, 3], [4, 5], [6, 7], [8]]


# Prefetching


class Broken(Numbers):
    def __getitem__(self, index):
        if index == 5:
            raise LookupError("example five is broken")
        return super().__getitem__(index)


def threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith("prefetch")]


@pytest.mark.parametrize("prefetch", [0, 1, 4])
def test_an_exception_comes_in_its_turn_with_its_traceback(prefetch):
    loader = DataLoader(Broken(9), 2, prefetch=prefetch)
    iterator = iter(loader)
    assert [next(iterator)[1].tolist() for _ in range(2)] == [[0, 1], [2, 3]]
    with pytest.raises(LookupError, match="example five") as caught:
        next(iterator)
    frames = traceback.extract_tb(caught.value.__traceback__)
    assert (frames[-1].filename, frames[-1].name) == (__file__, "__getitem__")
    assert loader.position == 2
    assert not threads()


@pytest.mark.parametrize("error", [StopIteration, SystemExit, KeyboardInterrupt])
def test_an_exception_that_ends_loops_does_not_end_the_epoch_quietly(error):
    class Odd(Numbers):
        def __getitem__(self, index):
            raise error

    for prefetch in (0, 2):
        with pytest.raises((RuntimeError, SystemExit, KeyboardInterrupt)):
            list(DataLoader(Odd(3), prefetch=prefetch))
        assert not threads()


def test_a_break_ends_the_thread():
    for _ in DataLoader(Numbers(100), prefetch=3):
        assert threads()
        break
    assert not threads()


def test_no_more_is_fetched_than_asked_for():
    fetched = []

    class Recorded(Numbers):
        def __getitem__(self, index):
            fetched.append(index)
            return index

    iterator = iter(DataLoader(Recorded(100), prefetch=3))
    for taken in range(1, 6):
        next(iterator)
        assert len(fetched) <= taken + 3
    iterator.close()
    assert len(fetched) <= 5 + 3


def test_the_thread_runs_in_the_caller_s_context():
    def divide(images):
        return images / 0

    loader = DataLoader(np.ones(3), prefetch=1, transform=divide)
    with np.errstate(divide="raise"), pytest.raises(FloatingPointError):
        list(loader)
    with np.errstate(divide="ignore"):
        assert len(list(loader)) == 3


def test_an_iterator_that_its_own_thread_closes_does_not_hang():
    """As the garbage collector may, which runs in any thread."""
    closed = threading.Event()

    class Closing(Numbers):
        def __getitem__(self, index):
            if index == 1:
                ready.wait()
                iterator.close()
                closed.set()
            return index

    ready = threading.Event()
    iterator = iter(DataLoader(Closing(9), prefetch=2))
    next(iterator)
    ready.set()
    assert closed.wait(timeout=30)


def test_an_iterator_that_is_kept_does_not_keep_the_interpreter():
    script = (
        "import numpy as np, tinygrad_cnn as tg\n"
        "iterator = iter(tg.data.DataLoader(np.arange(100), prefetch=2))\n"
        "print(next(iterator)[0].tolist())"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", script], cwd=root, capture_output=True, encoding="utf-8", timeout=60)
    assert (done.stdout, done.stderr, done.returncode) == ("[0]\n", "", 0)


# Arguments and states


def test_collate_gets_the_examples_of_a_batch():
    def pairs(items):
        assert isinstance(items, list)
        return (np.array([first + second for first, second in items]),)

    loader = DataLoader(Numbers(3), 2, collate=pairs, transform=np.negative)
    assert plain(loader) == [([0, -1001],), ([-2002],)]


def test_collate_must_give_a_tuple():
    with pytest.raises(TypeError, match="`collate` gave a list; a batch is a tuple"):
        list(DataLoader(Numbers(3), collate=list))


def named(index):
    return {"image": np.full((1, 2, 2), index), "label": index}


@pytest.mark.parametrize("prefetch", [0, 2])
def test_batches_of_dicts_are_dicts_whose_first_field_is_transformed(prefetch):
    options = {"batch_size": 3, "shuffle": True, "seed": 5, "transform": jitter, "prefetch": prefetch}
    found = [*DataLoader([named(i) for i in range(8)], **options)]
    expected = [*DataLoader([tuple(named(i).values()) for i in range(8)], **options)]
    for batch, (images, labels) in zip(found, expected, strict=True):
        assert list(batch) == ["image", "label"]
        np.testing.assert_array_equal(batch["image"], images)
        np.testing.assert_array_equal(batch["label"], labels)


def test_shards_of_dicts_are_dicts():
    loader = DataLoader([named(i) for i in range(5)], 5)
    ((sizes, parts),) = loader.shards(2, [1])
    assert (sizes, list(parts)) == ([2, 3], [1])
    assert parts[1]["label"].tolist() == [2, 3, 4]
    assert parts[1]["image"][:, 0, 0, 0].tolist() == [2, 3, 4]


def test_a_transform_of_the_batch_comes_after_that_of_the_images_and_draws_on():
    def shuffled(images, labels, rng):
        order = rng.permutation(len(images))
        return images[order], labels[order], order

    def negative(batch):
        return {name: -array for name, array in batch.items()}

    options = {"batch_size": 4, "seed": 2, "transform": jitter}
    for plain_batch, (images, labels, order) in zip(
        DataLoader(Numbers(8), **options), DataLoader(Numbers(8), batch_transform=shuffled, **options), strict=True
    ):
        np.testing.assert_array_equal(images, plain_batch[0][order])
        np.testing.assert_array_equal(labels, plain_batch[1][order])
    (batch,) = DataLoader([named(3)], batch_transform=negative)
    assert batch["label"].tolist() == [-3]
    with pytest.raises(
        TypeError, match="`batch_transform` gave a list; a batch is a tuple of arrays, or a dict of them"
    ):
        list(DataLoader(Numbers(3), batch_transform=lambda *batch: list(batch)))


def test_the_repr_has_the_dataset_and_what_is_not_as_usual():
    loader = DataLoader(TensorDataset(np.zeros((9, 2))), 4, seed=3)
    data = "TensorDataset(9 examples of float64 (2,))"
    assert repr(loader) == f"DataLoader({data}, batch_size=4, shuffle=False, drop_last=False, seed=3)"
    loader = DataLoader(range(9), seed=3, sampler=[1, 2], transform=tg.data.ToFloat(16), prefetch=2)
    options = "batch_size=1, shuffle=False, drop_last=False, seed=3, sampler=2 given examples"
    assert repr(loader) == f"DataLoader(range of 9 examples, {options}, transform=ToFloat(16), prefetch=2)"


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"batch_size": 0}, ValueError, "`batch_size` is 0; it must be a whole number of at least 1"),
        ({"batch_size": 2.0}, TypeError, r"`batch_size` is 2\.0"),
        ({"batch_size": True}, TypeError, "`batch_size` is True"),
        ({"prefetch": -1}, ValueError, "`prefetch` is -1; it must be a whole number of at least 0"),
        ({"seed": -1}, ValueError, "`seed` is -1"),
        ({"seed": 0.5}, TypeError, r"`seed` is 0\.5"),
        ({"shuffle": 1}, TypeError, "`shuffle` is 1; it must be True or False"),
        ({"drop_last": None}, TypeError, "`drop_last` is None; it must be True or False"),
    ],
)
def test_arguments_that_are_refused(options, error, message):
    with pytest.raises(error, match="DataLoader: " + message):
        DataLoader(Numbers(3), **options)


@pytest.mark.parametrize("dataset", [3, {1: 2}, "images", iter([1])])
def test_what_is_no_dataset_is_refused(dataset):
    with pytest.raises(TypeError, match="`dataset` is a .*; it must be a Dataset, an array or a sequence"):
        DataLoader(dataset)


def middle():
    loader = DataLoader(Numbers(9), 2, seed=4)
    next(iter(loader))
    return loader


@pytest.mark.parametrize(
    ("change", "faults"),
    [
        ({"seed": None}, ["`seed` is missing", "`extra` is unexpected"]),
        ({"epoch": -1}, ["`epoch` is -1", "`extra`"]),
        ({"position": 1.5}, ["`position` is 1.5", "`extra`"]),
        ({"position": 6}, ["`extra`"]),
        ({"batch_size": 3, "length": 4}, ["`extra`"]),
    ],
)
def test_a_state_with_faults_changes_nothing_and_lists_them(change, faults):
    state = {k: v for k, v in {**middle().state_dict(), **change, "extra": 1}.items() if v is not None}
    loader = middle()
    before = loader.state_dict()
    with pytest.raises(ValueError, match="nothing was loaded") as caught:
        loader.load_state_dict(state)
    assert all(fault in str(caught.value) for fault in faults)
    assert loader.state_dict() == before


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"batch_size": 3}, "`batch_size` is 3; it must be the loader's 2, as the state is in the middle"),
        ({"length": 4}, "`length` is 4; it must be the loader's 9"),
        ({"shuffle": True}, "`shuffle` is True; it must be the loader's False"),
        ({"position": 6}, "`position` is 6; an epoch has 5 batches"),
    ],
)
def test_the_middle_of_an_epoch_is_one_of_this_loader(change, fault):
    loader = middle()
    with pytest.raises(ValueError, match=fault):
        loader.load_state_dict(loader.state_dict() | change)
    assert loader.position == 1


def test_between_epochs_other_settings_may_follow():
    state = DataLoader(Numbers(9), 2, seed=4).state_dict() | {"epoch": 3}
    loader = DataLoader(Numbers(8), 4, shuffle=True)
    loader.load_state_dict(state)
    assert (loader.seed, loader.epoch, len(list(loader))) == (4, 3, 2)


def test_a_state_is_plain_values():
    for value in middle().state_dict().values():
        assert type(value) in (int, bool)


@given(settings, st.integers(1, 20), st.integers(1, 5), st.integers(0, 2))
def test_shards_are_the_parts_of_the_batches(given, examples, count, prefetch):
    """Side by side they have the examples of the whole batch, in order, with sizes that differ by one at most."""
    given = {**given, "seed": 3, "prefetch": prefetch}
    whole = [*DataLoader(Numbers(examples), **given)]
    apart = [[*DataLoader(Numbers(examples), **given).shards(count, [s])] for s in range(count)]
    together = [*DataLoader(Numbers(examples), **given).shards(count, range(count))]
    assert all(len(several) == len(whole) for several in (*apart, together))
    for number, (_, labels) in enumerate(whole):
        sizes, parts = together[number]
        assert sum(sizes) == len(labels)
        assert max(sizes) - min(sizes) <= 1
        assert [*parts] == [s for s in range(count) if sizes[s]]
        np.testing.assert_array_equal(np.concatenate([part[1] for part in parts.values()]), labels)
        for s in range(count):
            assert apart[s][number].sizes == sizes
            for part in apart[s][number].parts.values():
                np.testing.assert_array_equal(part[1], parts[s][1])


def test_a_shard_draws_for_itself():
    """From seed, epoch, batch and shard, whoever asks; one shard draws as the whole batch does."""

    def loader():
        return DataLoader(np.zeros(12, np.int64), 6, seed=1, transform=jitter)

    together = [parts for _, parts in loader().shards(3, range(3))]
    for s in range(3):
        alone = [parts[s][0].tolist() for _, parts in loader().shards(3, [s])]
        assert alone == [parts[s][0].tolist() for parts in together]
    drawn = [tuple(parts[s][0].tolist()) for parts in together for s in range(3)]
    assert len(set(drawn)) == 6
    whole = [batch[0].tolist() for batch in loader()]
    assert [parts[0][0].tolist() for _, parts in loader().shards(1, [0])] == whole


def test_shards_move_the_state():
    loader = DataLoader(Numbers(9), 2, shuffle=True, seed=4)
    iterator = loader.shards(2, [1])
    next(iterator), next(iterator)
    assert loader.state_dict()["position"] == 2
    resumed = DataLoader(Numbers(9), 2, shuffle=True, seed=0)
    resumed.load_state_dict(loader.state_dict())
    rest = [[part[1].tolist() for part in parts.values()] for _, parts in resumed.shards(2, [1])]
    assert rest == [[part[1].tolist() for part in parts.values()] for _, parts in iterator]
    assert len(rest) == 3
    with pytest.raises(ValueError, match="`count` is 0"):
        loader.shards(0, [0])


# Tensors


def test_batches_are_tensors_that_share_the_memory_of_what_was_made(monkeypatch):
    made = []

    def keep(x):
        made.append(x)
        return x

    loader = DataLoader(TensorDataset(np.arange(4.0), np.arange(4)), batch_size=4, transform=keep)
    x, y = next(iter(loader))
    assert (type(x), type(y)) == (tg.Tensor, tg.Tensor)
    assert np.shares_memory(x.numpy(), made[0])
    assert not x.requires_grad
    assert x.size == len(np.unique(x)) == 4


def test_arrays_are_given_to_those_who_ask_and_shards_have_them():
    loader = DataLoader(np.arange(4), batch_size=4, tensors=False)
    ((batch,),) = loader
    assert type(batch) is np.ndarray
    batch[0] = 9
    loader.tensors = True
    ((_, parts),) = loader.shards(1, [0])
    assert type(parts[0][0]) is np.ndarray
    with pytest.raises(TypeError, match="DataLoader: `tensors` is 1; it must be True or False"):
        DataLoader(np.arange(4), tensors=1)


class Pair(NamedTuple):
    image: np.ndarray
    name: np.ndarray


def test_a_batch_keeps_its_form_and_what_no_tensor_holds():
    items = [{"x": 1.5, "name": "one", "flag": True}, {"x": 2.5, "name": "two", "flag": False}]
    (batch,) = DataLoader(items, batch_size=2)
    assert {name: type(part) for name, part in batch.items()} == {"x": tg.Tensor, "name": np.ndarray, "flag": tg.Tensor}
    (pair,) = DataLoader(
        np.arange(2), batch_size=2, collate=lambda items: Pair(np.stack([x for (x,) in items]), np.array(["a", "b"]))
    )
    assert (type(pair), type(pair.image), type(pair.name)) == (Pair, tg.Tensor, np.ndarray)


def test_an_iterator_over_tensors_can_be_closed():
    loader = DataLoader(np.arange(4), prefetch=1)
    batches = iter(loader)
    next(batches)
    batches.close()
    assert list(batches) == []


def test_habits_of_pytorch_on_a_batch_get_their_hints():
    ((x,),) = DataLoader(np.ones((2, 3)), batch_size=2)
    for call, hint in [
        (lambda: x.size(0), "not callable"),
        (lambda: x.cuda(), "CPU|processor"),
    ]:
        with pytest.raises((TypeError, AttributeError), match=hint):
            call()
