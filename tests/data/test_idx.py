"""IDX files: what is written is read; whatever is wrong with one is named, and nothing is allocated on its word."""

from __future__ import annotations

import gzip
import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tinygrad_cnn import data

from . import files

arrays = st.sampled_from(sorted(files.IDX)).flatmap(
    lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=5))
)
packings = st.sampled_from([bytes, gzip.compress])


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("idx") / "some-file"


@given(array=arrays, pack=packings)
def test_what_is_written_is_read(path, array, pack):
    path.write_bytes(pack(files.idx(array)))
    found = data.read_idx(path)
    np.testing.assert_array_equal(found, array)
    assert found.dtype == array.dtype
    assert found.dtype.isnative
    assert found.flags.c_contiguous
    assert found.flags.writeable


@given(array=arrays, pack=packings, cut=st.integers(0, 10**6))
def test_a_truncated_file_is_named(path, array, pack, cut):
    content = pack(files.idx(array))
    path.write_bytes(content[: cut % len(content)])
    with pytest.raises(data.DataFileError, match=r"some-file: (magic number|lengths of|data|its gzip stream)"):
        data.read_idx(path)


@given(array=arrays, pack=packings, more=st.binary(min_size=1))
def test_a_longer_file_is_named(path, array, pack, more):
    path.write_bytes(pack(files.idx(array) + more))
    with pytest.raises(data.DataFileError, match=r"some-file: data of shape .*: the file goes on after it"):
        data.read_idx(path)


@given(array=arrays, pack=packings, flips=st.lists(st.integers(0, 10**6), min_size=1, max_size=8))
def test_flipped_bits_give_an_error_or_an_array_of_the_file_s_size(path, array, pack, flips):
    content = bytearray(pack(files.idx(array)))
    for flip in flips:
        content[flip // 8 % len(content)] ^= 1 << flip % 8
    path.write_bytes(content)
    found, memory = files.attempt(data.read_idx, path)
    assert memory < 1032 * len(content) + 500_000
    if isinstance(found, data.DataFileError):
        assert "some-file: " in str(found)
    else:
        assert found.nbytes <= 1032 * len(content)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "magic number: the file ends after 0 of 4 bytes"),
        (b"\0\0\x08", "magic number: the file ends after 3 of 4 bytes"),
        (b"\0\1\x08\1", "magic number is 0x00010801; an IDX file begins with 0x0000 and one of .* 0x08, 0x09"),
        (b"\0\0\x0a\1", "magic number is 0x00000a01"),
        (b"\0\0\x08\0", "number of axes is 0; it must be from 1 to 32"),
        (b"\0\0\x08\xff", "number of axes is 255"),
        (b"\0\0\x08\2\0\0\0\1\0", "lengths of 2 axes: the file ends after 5 of 8 bytes"),
        (b"\0\0\x08\1\0\0\0\5abc", r"data: it is declared as \(5,\) of uint8, 5 bytes, but the file has at most 3"),
        (b"\0\0\x08\1\0\0\0\1ab", r"data of shape \(1,\): the file goes on after it"),
        (b"\0\0\x0e\3" + b"\xff" * 12, "data: .* of float64, 6338252996.* bytes, but the file has at most 0"),
        (b"\0\0\x08\4" + b"\0" * 4 + b"\xff" * 12, r"data: it is declared as \(0, 4294967295"),
    ],
)
def test_the_error_names_file_field_and_value(path, content, message):
    path.write_bytes(content)
    with pytest.raises(data.DataFileError, match="some-file: " + message):
        data.read_idx(path)
    assert issubclass(data.DataFileError, ValueError)


def test_nothing_is_allocated_for_a_size_that_cannot_be(path):
    head = b"\0\0\x08\3" + (2000).to_bytes(4) * 3
    for content in (head, gzip.compress(head), gzip.compress(head + bytes(10_000))):
        path.write_bytes(content)
        error, memory = files.attempt(data.read_idx, path)
        assert "8000000000 bytes, but the file has at most" in str(error)
        assert memory < 500_000


def test_what_a_gzip_stream_has_beyond_its_declared_size_is_not_unpacked(path):
    path.write_bytes(gzip.compress(b"\0\0\x08\1\0\0\0\x0a" + bytes(20_000_000)))
    error, memory = files.attempt(data.read_idx, path)
    assert "the file goes on after it" in str(error)
    assert memory < 1_000_000


def test_a_digest_that_does_not_fit_is_found(path):
    content = bytearray(gzip.compress(files.idx(np.arange(9, dtype=np.uint8))))
    content[-8] ^= 1
    path.write_bytes(content)
    with pytest.raises(data.DataFileError, match="some-file: its gzip stream is damaged: CRC check failed"):
        data.read_idx(path)


def test_what_is_no_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        data.read_idx(tmp_path / "absent")
    with pytest.raises(data.DataFileError, match="it is not a regular file"):
        data.read_idx(tmp_path)
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(data.DataFileError, match="pipe: it is not a regular file"):
            data.read_idx(tmp_path / "pipe")
