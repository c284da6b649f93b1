"""Files that are damaged or made to do harm: an error with file and reason, without running, hanging or allocating much."""

from __future__ import annotations

import io
import json
import os
import pickle
import tracemalloc
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tinygrad_cnn as tg
from tinygrad_cnn.io import CheckpointError

from .states import SUFFIXES, assert_same, training_state

in_a_folder = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    max_examples=min(100, 5 * settings.default.max_examples),
)

FLAT = {"weight": np.arange(6, dtype=np.float32).reshape(2, 3), "bias": np.ones(3, np.float32)}


def refused(path: Path, reason: str = "cannot be read") -> None:
    """`path` is refused by the library's own error, which names it, and in memory that its size bounds."""
    tracemalloc.start()
    try:
        with pytest.raises(CheckpointError, match=reason) as caught:
            tg.load(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert str(path) in str(caught.value)
    assert peak < 30 * path.stat().st_size + 1_000_000


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """The bytes of a file with a nested state, and of one with a flat dict, by suffix."""
    folder, files = tmp_path_factory.mktemp("saved"), {}
    for suffix in (".npz", ".safetensors"):
        try:
            for kind, state in [("nested", training_state()), ("flat", FLAT)]:
                tg.save(folder / f"{kind}{suffix}", state)
                files[kind, suffix] = state, (folder / f"{kind}{suffix}").read_bytes()
        except ImportError:
            continue
    return files


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("kind", ["nested", "flat"])
@in_a_folder
@given(data=st.data())
def test_a_flipped_bit_is_noticed_or_changes_nothing(kind, suffix, data, saved, tmp_path):
    state, content = saved[kind, suffix]
    bit = data.draw(st.integers(0, 8 * len(content) - 1))
    damaged = bytearray(content)
    damaged[bit // 8] ^= 1 << bit % 8
    path = tmp_path / f"damaged{suffix}"
    path.write_bytes(damaged)
    try:
        loaded = tg.load(path)
    except CheckpointError:
        refused(path)
    else:
        assert_same(_sorted(loaded), _sorted(state))


def test_every_flipped_bit_of_an_archive_s_directory_is_noticed_or_changes_nothing(saved, tmp_path):
    """It has no checksum, so each bit is tried."""
    state, content = saved["flat", ".npz"]
    path = tmp_path / "damaged.npz"
    for bit in range(8 * content.index(b"PK\x01\x02"), 8 * len(content)):
        damaged = bytearray(content)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        try:
            loaded = tg.load(path)
        except CheckpointError:
            continue
        assert_same(loaded, state)


def test_zeros_at_the_end_of_an_archive_are_noticed_or_change_nothing(saved, tmp_path):
    """As a crash may leave a file whose last bytes were never written."""
    state, content = saved["flat", ".npz"]
    path = tmp_path / "damaged.npz"
    for kept in range(content.index(b"PK\x01\x02"), len(content)):
        path.write_bytes(content[:kept].ljust(len(content), b"\0"))
        for read, error in ((tg.load, CheckpointError), (tg.data.read_npz, tg.data.DataFileError)):
            try:
                loaded = read(path)
            except error:
                continue
            assert_same(loaded, state)


def test_an_empty_archive_is_one(tmp_path):
    path = tmp_path / "empty.npz"
    for archive_comment in (b"", b"nothing in it"):
        with zipfile.ZipFile(path, "w") as empty:
            empty.comment = archive_comment
        assert tg.load(path) == tg.data.read_npz(path) == {}


def _sorted(state: dict[Any, Any]) -> dict[Any, Any]:
    return dict(sorted(state.items()))


@pytest.mark.parametrize("suffix", SUFFIXES)
@in_a_folder
@given(data=st.data())
def test_a_truncated_file_is_refused(suffix, data, saved, tmp_path):
    _, content = saved["nested", suffix]
    path = tmp_path / f"short{suffix}"
    path.write_bytes(content[: data.draw(st.integers(0, len(content) - 1))])
    refused(path)


@pytest.mark.parametrize("suffix", SUFFIXES)
@in_a_folder
@given(data=st.data())
def test_many_changed_bytes_are_refused_or_load(suffix, data, saved, tmp_path):
    """Headers are where parsers fail, so half of the changes go to the first and last bytes."""
    _, content = saved["flat", suffix]
    damaged = bytearray(content)
    places = st.integers(0, len(content) - 1) | st.integers(0, 200) | st.integers(len(content) - 200, len(content) - 1)
    for place, byte in data.draw(st.lists(st.tuples(places, st.integers(0, 255)), min_size=1, max_size=8)):
        damaged[place] = byte
    path = tmp_path / f"damaged{suffix}"
    path.write_bytes(damaged)
    try:
        tg.load(path)
    except CheckpointError:
        refused(path)


@pytest.mark.parametrize("suffix", SUFFIXES)
@in_a_folder
@given(content=st.binary(max_size=300))
def test_noise_is_refused(suffix, content, tmp_path):
    path = tmp_path / f"noise{suffix}"
    path.write_bytes(content)
    refused(path)


# Archives


def npy(
    descr: str = "<f4", shape: str = "(2,)", data: bytes = bytes(8), header: str | None = None, version: int = 1
) -> bytes:
    text = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n" if header is None else header
    width = 2 if version == 1 else 4
    return b"\x93NUMPY" + bytes([version, 0]) + len(text).to_bytes(width, "little") + text.encode() + data


def archive(path: Path, *entries: tuple[str, bytes], compression: int = zipfile.ZIP_STORED) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of duplicate names
        with zipfile.ZipFile(path, "w", compression) as file:
            for name, content in entries:
                file.writestr(name, content)
    return path


class Evil:
    def __reduce__(self):
        return os.mkdir, ("executed",)


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        (npy(shape="(2305843009213693951,)"), r"claims to be float32 \(2305843009213693951,\) but has 8 bytes"),
        (npy(shape="(" + "65536, " * 8 + ")"), "but has 8 bytes"),
        (npy(shape="(0, 4611686018427387904, 4)", data=b""), "ValueError|too big|dimension"),
        (npy(shape="(-2,)"), "which is not of an array"),
        (npy(shape="(2, -1, -1)"), "which is not of an array"),
        (npy(shape="(3,)"), "but has 8 bytes"),
        (npy(shape="(1,)"), "but has 8 bytes"),
        (npy(shape=f"({'1, ' * 70})", data=bytes(4)), "dimension"),
        (npy(shape="(" + "9" * 5000 + ",)"), "digits"),
        (npy(descr="|O", data=pickle.dumps(Evil())), "dtype '|O' is not one of numbers"),
        (npy(descr="|S0", shape="(1099511627776,)", data=b""), "is not one of numbers"),
        (npy(descr="|V8", shape="(1,)"), "is not one of numbers"),
        (npy(descr="<f3"), "f3"),
        (npy(header="__import__('os').mkdir('executed')"), "which is not of an array"),
        (npy(header="{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2,), }"), "which is not of an array"),
        (npy(header="(" * 5000), "which is not of an array"),
        (npy(header="x" * 20_000), "which is not of an array"),
        (npy(version=2)[:8] + b"\xff\xff\xff\xff", "which is not of an array"),
        (npy(version=3), "does not begin like an array"),
        (pickle.dumps(Evil()), "does not begin like an array"),
        (b"", "does not begin like an array"),
    ],
)  # fmt: skip
def test_an_entry_that_is_no_array_of_numbers(entry, reason, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    refused(archive(tmp_path / "a.npz", ("a.npy", entry)), reason)
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize(
    "name", ["../a.npy", "/a.npy", "b/../../a.npy", "a\\b.npy", "C:/a.npy", "a//b.npy", "./a.npy", "a"]
)
def test_an_entry_with_a_name_that_leads_elsewhere(name, tmp_path):
    refused(
        archive(tmp_path / "a.npz", (name, npy())), "entry .* (has a name that is not a plain name|is not an array)"
    )


def test_two_entries_of_one_name(tmp_path):
    refused(archive(tmp_path / "a.npz", ("a.npy", npy()), ("a.npy", npy())), "two entries have the same name")


def test_a_compressed_archive_is_refused_whatever_it_would_unfold_to(tmp_path):
    bomb = npy(shape="(2500000,)", data=bytes(10_000_000))
    path = archive(tmp_path / "a.npz", ("a.npy", bomb), compression=zipfile.ZIP_DEFLATED)
    del bomb
    refused(
        path, r"entry 'a.npy' is compressed; only uncompressed archives are read.*save\(path, dict\(np.load\(path\)\)\)"
    )
    np.savez_compressed(path, **FLAT)
    tg.save(path, dict(np.load(path)))  # the remedy
    assert_same(tg.load(path), FLAT)


def test_entries_that_overlap_are_refused(tmp_path):
    """A thousand names for one entry: a small file that claims to hold a thousand times its size."""
    path = archive(tmp_path / "a.npz", ("0000.npy", npy(shape="(25000,)", data=bytes(100_000))))
    content = path.read_bytes()
    start = content.index(b"PK\x01\x02")
    entry, end = content[start : content.index(b"PK\x05\x06")], bytearray(content[content.index(b"PK\x05\x06") :])
    directory = b"".join(entry.replace(b"0000.npy", b"%04d.npy" % i) for i in range(1000))
    end[8:12] = (1000).to_bytes(2, "little") * 2
    end[12:16] = len(directory).to_bytes(4, "little")
    path.write_bytes(content[:start] + directory + end)
    refused(path, "the entries claim more than the .* bytes of the file|Overlapped")


def test_an_archive_inside_of_other_bytes_is_refused(tmp_path):
    """The tail of a truncated file may hold a whole archive, as the bytes of an array."""
    path = archive(tmp_path / "a.npz", ("a.npy", npy()))
    path.write_bytes(b"before" + path.read_bytes())
    refused(path, "does not begin where the file begins")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[" * 100_000, "RecursionError"),
        ('{"tuple":[' * 200 + "1" + "]}" * 200, "nests more than 100 deep"),
        ("{}", "not enough values"),
        ('{"array":"b"}', "names array 'b', which is missing"),
        ('[{"array":"a"},{"array":"a"}]', "missing or named twice"),
        ("[]", "array 'a' has no place"),
        ('[{"array":"a"},{"scalar":["|O8","00"]}]', "not one of numbers"),
        ('[{"array":"a"},{"scalar":["<f8","00"]}]', "1 bytes"),
        ('[{"array":"a"},{"dict":[[1,1],[true,1]]}]', "repeats a key"),
        ('[{"array":"a"},{"dict":[[[1],1]]}]', "nests|unhashable"),
        ('[{"array":"a"},{"int":"zz"}]', "zz"),
        ('[{"array":"a"},' + "9" * 5000 + "]", "digits"),
        ('[{"array":"a"},{"bytes":"?"}]', "base64"),
        ('[{"array":"a"},{"call":["os.mkdir"]}]', "unknown kind 'call'"),
        ("nonsense", "JSON"),
    ],
)  # fmt: skip
def test_a_structure_that_is_not_ours(text, reason, tmp_path):
    refused(archive(tmp_path / "a.npz", ("structure.json", text.encode()), ("a.npy", npy())), reason)


def test_an_array_of_objects_is_never_unpickled(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.savez(tmp_path / "a.npz", a=np.array([Evil()], object))
    refused(tmp_path / "a.npz", "dtype '|O' is not one of numbers")
    buffer = io.BytesIO()
    np.save(buffer, np.array([Evil()], object))
    (tmp_path / "b.npz").write_bytes(buffer.getvalue())
    refused(tmp_path / "b.npz", "BadZipFile")
    (tmp_path / "c.npz").write_bytes(pickle.dumps(Evil()))
    refused(tmp_path / "c.npz", "BadZipFile")
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("byte", [2, 255])
def test_a_boolean_that_is_neither_0_nor_1(byte, tmp_path):
    """NumPy would take it for True in one place and for that number in another."""
    flags = npy(descr="|b1", shape="(3,)", data=bytes([0, 1, byte]))
    refused(archive(tmp_path / "a.npz", ("mask.npy", flags)), f"'mask.npy' holds the byte {byte} as a Boolean; it must")
    text = json.dumps([{"array": "a"}, {"dict": [["on", {"scalar": ["|b1", f"{byte:02x}"]}]]}])
    path = archive(tmp_path / "a.npz", ("structure.json", text.encode()), ("a.npy", npy()))
    refused(path, rf"`state\[1\]\['on'\]`: it holds the byte {byte} as a Boolean")
    pytest.importorskip("safetensors")
    header = json.dumps({"mask": {"dtype": "BOOL", "shape": [1, 3], "data_offsets": [0, 3]}}).encode()
    path = tmp_path / "a.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes([0, 1, byte]))
    refused(path, f"'mask' holds the byte {byte} as a Boolean; it must be 0 or 1")


# safetensors


@pytest.mark.parametrize(
    ("header", "data"),
    [
        ({"a": {"dtype": "F32", "shape": [2**60], "data_offsets": [0, 2**62]}}, 8),
        ({"a": {"dtype": "F32", "shape": [2**60, 4], "data_offsets": [0, 0]}}, 0),
        ({"a": {"dtype": "F32", "shape": [0, 2**62, 4], "data_offsets": [0, 0]}}, 0),
        ({"a": {"dtype": "F32", "shape": [-2], "data_offsets": [0, 8]}}, 8),
        ({"a": {"dtype": "F32", "shape": [3], "data_offsets": [0, 8]}}, 8),
        ({"a": {"dtype": "F32", "shape": [2], "data_offsets": [8, 0]}}, 8),
        ({f"{i}": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]} for i in range(1000)}, 8),
        ({"a": {"dtype": "BF16", "shape": [4], "data_offsets": [0, 8]}}, 8),
        ({"a": {"dtype": "F8_E4M3", "shape": [8], "data_offsets": [0, 8]}}, 8),
        ({"a": {"dtype": "O", "shape": [1], "data_offsets": [0, 8]}}, 8),
        ({"__metadata__": {"tinygrad_cnn.structure": "{}"}}, 0),
        ({"__metadata__": {"tinygrad_cnn.sha256": "0"}}, 0),
        ({"__metadata__": {"tinygrad_cnn.structure": "[]", "tinygrad_cnn.sha256": "0"}}, 0),
        ([[]], 0),
    ],
)  # fmt: skip
def test_a_safetensors_header_that_lies(header, data, tmp_path):
    pytest.importorskip("safetensors")
    text, path = json.dumps(header).encode(), tmp_path / "a.safetensors"
    path.write_bytes(len(text).to_bytes(8, "little") + text + bytes(data))
    refused(path)
    path.write_bytes((2**62).to_bytes(8, "little") + text)
    refused(path)


# Files


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_what_is_no_file(suffix, tmp_path):
    with pytest.raises(FileNotFoundError):
        tg.load(tmp_path / f"absent{suffix}")
    (tmp_path / f"folder{suffix}").mkdir()
    refused(tmp_path / f"folder{suffix}", "is not a regular file")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes with a name are POSIX's")
def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.npz")
    refused(tmp_path / "pipe.npz", "is not a regular file")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_loading_takes_memory_for_the_arrays_once(suffix, tmp_path):
    path = tmp_path / f"big{suffix}"
    tg.save(path, {"a": np.ones((1000, 1000)), "b": [np.ones((500, 1000)).T]})
    tracemalloc.start()
    tg.load(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < path.stat().st_size + 5_000_000
