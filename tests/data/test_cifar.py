"""CIFAR's binary files."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_cnn import data

from . import files


def examples(count: int, *classes: int, seed: int = 0):
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (count, 3, 32, 32), np.uint8)
    return images, *(rng.integers(0, n, count) for n in classes)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("cifar") / "some.bin"


@given(count=st.integers(1, 4), seed=st.integers(0, 99))
def test_what_is_written_is_read(path, count, seed):
    images, coarse, fine = examples(count, 10, 100, seed=seed)
    path.write_bytes(files.cifar(images, coarse))
    readings = [(data.read_cifar10(path), coarse)]
    path.write_bytes(files.cifar(images, coarse, fine))
    readings += [(data.read_cifar100(path), fine), (data.read_cifar100(path, labels="coarse"), coarse)]
    for (found, labels), expected in readings:
        np.testing.assert_array_equal(found, images)
        np.testing.assert_array_equal(labels, expected)
        assert (found.dtype, labels.dtype) == (np.uint8, np.int64)
        assert found.flags.c_contiguous


@given(count=st.integers(1, 3), cut=st.integers(1, 3 * 3073))
def test_a_part_of_a_record_is_refused(path, count, cut):
    whole = files.cifar(*examples(count, 10))
    path.write_bytes(whole[:-cut])
    length = max(0, len(whole) - cut)
    if length and length % 3073 == 0:
        assert len(data.read_cifar10(path)[0]) == length // 3073
    else:
        message = f"some.bin: size is {length} bytes; it must be a multiple of 3073"
        with pytest.raises(data.DataFileError, match=message):
            data.read_cifar10(path)


def test_labels_out_of_range_are_named(path):
    images, fine = examples(3, 10)
    path.write_bytes(files.cifar(images, [0, 10, 11]))
    with pytest.raises(data.DataFileError, match=r"some.bin: labels: label 1 is 10; it must be from 0 to 9"):
        data.read_cifar10(path)
    path.write_bytes(files.cifar(images, [0, 19, 20], fine))
    with pytest.raises(data.DataFileError, match="coarse labels: label 2 is 20; it must be from 0 to 19"):
        data.read_cifar100(path)
    path.write_bytes(files.cifar(images, fine, [100, 0, 0]))
    with pytest.raises(data.DataFileError, match="fine labels: label 0 is 100; it must be from 0 to 99"):
        data.read_cifar100(path, labels="coarse")


def test_files_for_the_other_collection_are_refused(path):
    path.write_bytes(files.cifar(*examples(2, 10)))
    with pytest.raises(data.DataFileError, match="must be a multiple of 3074"):
        data.read_cifar100(path)
    with pytest.raises(ValueError, match="`labels` is 'both'; it must be 'fine' or 'coarse'"):
        data.read_cifar100(path, labels="both")


@pytest.mark.parametrize("inner", [".", "cifar-10-batches-bin"])
def test_cifar10_is_its_batches_in_order(tmp_path, inner):
    folder = tmp_path / inner
    folder.mkdir(exist_ok=True)
    batches = [examples(2, 10, seed=seed) for seed in range(6)]
    names = [*(f"data_batch_{n}.bin" for n in range(1, 6)), "test_batch.bin"]
    for name, batch in zip(names, batches, strict=True):
        (folder / name).write_bytes(files.cifar(*batch))
    (images, labels), (test_images, test_labels) = data.cifar10(tmp_path)
    np.testing.assert_array_equal(images, np.concatenate([batch[0] for batch in batches[:5]]))
    np.testing.assert_array_equal(labels, np.concatenate([batch[1] for batch in batches[:5]]))
    np.testing.assert_array_equal(test_images, batches[5][0])
    np.testing.assert_array_equal(test_labels, batches[5][1])


@pytest.mark.parametrize("inner", [".", "cifar-100-binary"])
def test_cifar100_is_its_two_files(tmp_path, inner):
    folder = tmp_path / inner
    folder.mkdir(exist_ok=True)
    train, test = examples(3, 20, 100), examples(2, 20, 100, seed=1)
    (folder / "train.bin").write_bytes(files.cifar(*train))
    (folder / "test.bin").write_bytes(files.cifar(*test))
    for labels, at in (("coarse", 1), ("fine", 2)):
        for found, expected in zip(data.cifar100(tmp_path, labels), (train, test), strict=True):
            np.testing.assert_array_equal(found[0], expected[0])
            np.testing.assert_array_equal(found[1], expected[at])


def test_absent_files_are_named_and_how_to_get_them(tmp_path):
    (tmp_path / "test_batch.bin").touch()
    with pytest.raises(
        FileNotFoundError, match=r"has no data_batch_1.bin, .*5.bin; get the binary version, cifar-10-b"
    ):
        data.cifar10(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"has no train.bin, test.bin; get .* cifar-100-binary.tar.gz"):
        data.cifar100(tmp_path)


def test_there_are_ten_names():
    assert len(set(data.CIFAR10_CLASSES)) == 10
