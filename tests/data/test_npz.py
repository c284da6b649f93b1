""".npz archives: read as NumPy reads them, but never on trust."""

from __future__ import annotations

import io
import pickle
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tinygrad_cnn import data

from . import files

dtypes = st.one_of(
    hnp.boolean_dtypes(),
    hnp.integer_dtypes(),
    hnp.unsigned_integer_dtypes(),
    hnp.floating_dtypes(sizes=(16, 32, 64)),
    hnp.complex_number_dtypes(sizes=(64, 128)),
)
arrays = hnp.arrays(dtypes, hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4))
contents = st.dictionaries(st.text("abc_", min_size=1, max_size=5), arrays, max_size=4)
savings = st.sampled_from([np.savez, np.savez_compressed])


def written(save, content) -> bytes:
    stream = io.BytesIO()
    save(stream, **content)
    return stream.getvalue()


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("npz") / "some.npz"


@given(content=contents, save=savings, fortran=st.booleans())
def test_what_numpy_saves_is_read(path, content, save, fortran):
    content = {name: np.asarray(array, order="F" if fortran else "C") for name, array in content.items()}
    path.write_bytes(written(save, content))
    found = data.read_npz(path)
    assert list(found) == list(content)
    for name, array in found.items():
        np.testing.assert_array_equal(array, content[name])
        assert array.dtype == content[name].dtype.newbyteorder("=")
        assert array.dtype.isnative
        assert array.flags.writeable


@given(content=contents, save=savings, cut=st.integers(0, 10**6))
def test_a_truncated_file_is_named(path, content, save, cut):
    whole = written(save, content)
    path.write_bytes(whole[: cut % len(whole)])
    with pytest.raises(data.DataFileError, match=r"some\.npz: "):
        data.read_npz(path)


@given(content=contents, save=savings, flips=st.lists(st.integers(0, 10**6), min_size=1, max_size=4))
@pytest.mark.filterwarnings("ignore:Reading `.npy`")
def test_flipped_bits_give_an_error_or_arrays_of_numbers(path, content, save, flips):
    changed = bytearray(written(save, content))
    for flip in flips:
        changed[flip // 8 % len(changed)] ^= 1 << flip % 8
    path.write_bytes(changed)
    found, memory = files.attempt(data.read_npz, path)
    assert memory < 1032 * len(changed) + 500_000
    if isinstance(found, data.DataFileError):
        assert "some.npz: " in str(found)
    else:
        assert all(array.dtype.kind in "biufc" for array in found.values())


def entry(header: str, content: bytes = b"", version: bytes = b"\1\0") -> bytes:
    return b"\x93NUMPY" + version + len(header).to_bytes(2, "little") + header.encode("latin-1") + content


def archive(*entries: tuple[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as file:
        for name, content in entries:
            file.writestr(name, content)
    return stream.getvalue()


ROW = "{'descr': '<f8', 'fortran_order': False, 'shape': (2,), }\n"


class Bomb:
    def __reduce__(self):
        return pytest.fail, ("a pickle was loaded",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "it is not a whole .npz archive: File is not a zip file"),
        (archive(("notes.txt", b"hello")), "entry 'notes.txt': it is not an array; the name of an array ends in .npy"),
        (archive(("a.npy", b"hello")), "it is not a whole .npz archive: EOF: reading magic string"),
        (
            archive(("a.npy", entry(ROW, bytes(15)))),
            r"'a.npy': it is declared as \(2,\) of float64, 16 bytes, but .* 15",
        ),
        (archive(("a.npy", entry(ROW, bytes(17)))), "'a.npy': the file goes on after it"),
        (archive(("a.npy", entry(ROW, bytes(16), b"\2\0"))), r"'a.npy': its version is \(2, 0\)"),
        (archive(("a.npy", entry(ROW.replace("2", "-2")))), r"'a.npy': its shape is \(-2,\)"),
        (archive(("a.npy", entry(ROW.replace("2,", "2**9,")))), "it is not a whole .npz archive: "),
        (archive(("a.npy", entry(ROW.replace("<f8", "|b1"), b"\1\2"))), "'a.npy': it holds a Boolean that is neither"),
        (archive(("a.npy", entry(ROW.replace("<f8", "<U2"), bytes(16)))), "'a.npy': its dtype is <U2"),
        (archive(("a.npy", entry(ROW.replace("<f8", "|O"), pickle.dumps(Bomb())))), "'a.npy': its dtype is object"),
        (archive(("a.npy", entry(ROW, bytes(16))), method=zipfile.ZIP_BZIP2), "'a.npy': its compression is method 12"),
    ],
)
def test_the_error_names_file_entry_and_value(path, content, message):
    path.write_bytes(content)
    with pytest.raises(data.DataFileError, match=r"some\.npz: .*" + message):
        data.read_npz(path)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_entries_of_one_name_are_refused(path):
    path.write_bytes(archive(("a.npy", entry(ROW, bytes(16))), ("a.npy", entry(ROW, bytes(16)))))
    with pytest.raises(data.DataFileError, match="entry 'a.npy': there are two of this name"):
        data.read_npz(path)


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("shape", ["2000, 2000, 2000", f"0, {10**30}"])
def test_nothing_is_allocated_for_a_size_that_cannot_be(path, method, shape):
    path.write_bytes(archive(("a.npy", entry(ROW.replace("2,", shape + ","), bytes(10_000))), method=method))
    error, memory = files.attempt(data.read_npz, path)
    assert isinstance(error, data.DataFileError)
    assert memory < 500_000


def test_entries_that_share_their_bytes_are_refused(path):
    """Each by itself is no larger than the file allows; together they are many times larger."""
    one = archive(("0.npy", entry(ROW.replace("2,", "1000,"), bytes(8000))))
    directory = one.index(b"PK\1\2")
    end = one.index(b"PK\5\6")
    entries = [one[directory:end].replace(b"0.npy", b"%d.npy" % n) for n in range(5)]
    tail = bytearray(one[end:])
    tail[8:12] = (5).to_bytes(2, "little") * 2
    tail[12:16] = len(b"".join(entries)).to_bytes(4, "little")
    path.write_bytes(one[:directory] + b"".join(entries) + tail)
    with pytest.raises(data.DataFileError, match="its entries have .* bytes together; the file has"):
        data.read_npz(path)


def test_what_is_no_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        data.read_npz(tmp_path / "absent.npz")
    with pytest.raises(data.DataFileError, match="it is not a regular file"):
        data.read_npz(tmp_path)
