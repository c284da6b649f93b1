"""Graphs notice what the library writes into memory that they have saved, through whichever array it is written."""

from __future__ import annotations

import gc
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_cnn as tg

N = 8

# Each way gives a function (start, stop) -> array: two arrays of its making are two owners of the same memory.


def numpy_views(tmp_path):
    base = np.ones(N)
    return lambda start, stop: tg.from_numpy(base[start:stop])


class Foreign:
    """Memory of another library."""

    def __init__(self, array):
        self.array = array
        self.__dlpack_device__ = array.__dlpack_device__

    def __dlpack__(self, **options):
        return self.array.__dlpack__(**options)


def dlpack(tmp_path):
    base = np.ones(N)
    return lambda start, stop: tg.from_dlpack(Foreign(base[start:stop]))


def buffers(tmp_path):
    memory = bytearray(np.ones(N).tobytes())
    return lambda start, stop: tg.from_numpy(np.frombuffer(memory, np.float64, stop - start, 8 * start))


def maps(tmp_path):
    np.ones(N).tofile(tmp_path / "memory")
    return lambda start, stop: tg.from_numpy(
        np.memmap(tmp_path / "memory", np.float64, "r+", offset=8 * start, shape=(stop - start,))
    )


def view_of_a_map_and_map(tmp_path):
    """A view of a map has the offset of the map, not its own: only the map itself tells which part of the file it is."""
    map_of = maps(tmp_path)
    whole = np.memmap(tmp_path / "memory", np.float64, "r+")
    ways = iter([lambda start, stop: tg.from_numpy(np.asarray(whole[start:stop])), map_of])
    return lambda start, stop: next(ways)(start, stop)


def owner_and_stranger(tmp_path):
    base = np.ones(N)
    owners = iter([base, np.frombuffer(base)])
    return lambda start, stop: tg.from_numpy(next(owners)[start:stop])


def stranger_and_owner(tmp_path):
    base = np.ones(N)
    owners = iter([np.frombuffer(base), base])
    return lambda start, stop: tg.from_numpy(next(owners)[start:stop])


WAYS = [numpy_views, buffers, maps, view_of_a_map_and_map, owner_and_stranger, stranger_and_owner]
if np.from_dlpack(np.ones(1)).flags.writeable:  # not before NumPy 2.1, and not in Debian's 2.2.4
    WAYS.append(dlpack)


def by_copy(t):
    t.copy_(2.0)


def by_operator(t):
    t.requires_grad = True
    with tg.no_grad():
        t += 1


def by_optimizer(t):
    t.requires_grad = True
    t.sum().backward()
    tg.optim.SGD([t], lr=0.5).step()


windows = st.tuples(st.integers(0, N), st.integers(0, N)).map(sorted).filter(lambda w: w[0] < w[1])


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
@given(read=windows, written=windows, write=st.sampled_from([by_copy, by_operator, by_optimizer]), gone=st.booleans())
def test_a_write_through_another_owner_of_the_memory_is_noticed(way, tmp_path_factory, read, written, write, gone):
    shared = way(tmp_path_factory.mktemp("clock"))
    x, other = shared(*read), shared(*written)
    w = tg.Tensor(np.ones(x.shape), requires_grad=True)
    y = (w * x).sum()
    write(other)
    later = (w * x).sum()
    if gone:
        del other
        gc.collect()
    overlap = max(read[0], written[0]) < min(read[1], written[1])
    if overlap:
        assert x.numpy().max() > 1 or x.numpy().min() < 1, "the memory is not shared"
        with pytest.raises(RuntimeError, match="overwritten in place"):
            y.backward()
    elif way in (dlpack, buffers, maps):
        y.backward()
        assert w.grad.tolist() == [1.0] * x.size
        w.zero_grad()
    later.backward()
    assert w.grad.tolist() == x.tolist()


def test_a_private_map_of_a_file_is_memory_of_its_own(tmp_path):
    np.ones(N).tofile(tmp_path / "memory")
    mapped = [tg.from_numpy(np.memmap(tmp_path / "memory", np.float64, mode)) for mode in ("r+", "c")]
    w = tg.ones(N, dtype=np.float64, requires_grad=True)
    y = (w * mapped[0]).sum()
    mapped[1].copy_(2.0)
    y.backward()
    assert w.grad.tolist() == [1.0] * N


def test_two_names_of_one_file_are_one_file(tmp_path):
    np.ones(N).tofile(tmp_path / "memory")
    (tmp_path / "link").symlink_to(tmp_path / "memory")
    x, other = (tg.from_numpy(np.memmap(tmp_path / name, np.float64, "r+")) for name in ("memory", "link"))
    w = tg.ones(N, dtype=np.float64, requires_grad=True)
    y = (w * x).sum()
    other.copy_(2.0)
    with pytest.raises(RuntimeError, match="overwritten in place"):
        y.backward()


def kept_by(write):
    """Bytes that are still allocated behind a call."""
    tracemalloc.start()
    try:
        write()
        return tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()


def test_what_is_known_of_memory_goes_with_the_array_that_owns_it():

    def write():
        arrays = [np.zeros(size) for size in range(1, 1000)]  # at once: else they follow each other at one address
        for array in arrays:
            tg.from_numpy(array).copy_(1.0)

    assert kept_by(write) < 100 * 1000  # bytes, and one entry takes more than 200


def test_an_address_that_is_used_again_is_written_anew():
    """Memory of the same buffer that is mapped again and again is one entry."""
    memory = bytearray(np.ones(N).tobytes())

    def write():
        for _ in range(1000):
            tg.from_numpy(np.frombuffer(memory)).copy_(2.0)

    assert kept_by(write) < 100 * 1000
