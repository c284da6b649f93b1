"""Files of torch.save, in both formats, are read as arrays, and nothing in them runs."""

from __future__ import annotations

import io
import pickle
import shutil
import zipfile
from collections import OrderedDict
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

import tinygrad_cnn as tg

SAVED = Path(__file__).parent / "saved"
BASE = np.arange(12.0)


@pytest.mark.parametrize("name", ["torch_zip", "torch_legacy"])
def test_both_formats_are_read(name):
    state = tg.load(SAVED / f"{name}.pth")
    model = state.pop("model")
    assert state == {"epoch": 3, "lr": [0.1, (True, None)], "name": "a state", "size": (2, 3)}
    for kind in ("float64", "float32", "float16", "int64", "int32", "int16", "int8"):
        assert model[kind].dtype == kind
        assert model[kind].tolist() == [[0, 1, 2], [3, -4, 5]]
    assert model["bfloat16"].dtype == np.float32
    assert model["bfloat16"].tolist() == [[0, 1, 2], [3, -4, 5]]
    assert (model["uint8"].tolist(), model["bool"].tolist()) == ([0, 255], [True, False])
    assert (model["uint8"].dtype, model["bool"].dtype) == (np.uint8, bool)
    assert model["part"].tolist() == BASE[3:7].tolist()
    assert model["transposed"].tolist() == BASE.reshape(3, 4).T.tolist()
    assert model["strided"].tolist() == BASE[1::3].tolist()
    assert (model["empty"].shape, model["scalar"].item(), model["parameter"].tolist()) == ((0, 3), 2.5, [1.5])
    assert np.shares_memory(model["whole"], model["part"])


def test_a_state_dict_of_pytorch_loads():
    layer = tg.nn.Linear(2, 1)
    state = tg.load(SAVED / "torch_linear.pth")
    layer.load_state_dict(state)
    assert (layer.weight.numpy() == state["weight"]).all()


RAN: list[str] = []


class Runs:
    """What would be noticed if it were unpickled."""

    def __reduce__(self):
        return RAN.append, ("it ran",)


def legacy(*pickles: object) -> bytes:
    return b"".join(part if isinstance(part, bytes) else pickle.dumps(part, protocol=2) for part in pickles)


HEAD = (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True})


def archive(data: bytes, **entries: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as made:
        made.writestr("archive/data.pkl", data)
        for name, content in entries.items():
            made.writestr(f"archive/{name.replace('_', '/')}", content)
    return file.getvalue()


def tensor(arguments: bytes, function: bytes = b"torch._utils\n_rebuild_tensor_v2", length: int = 2) -> bytes:
    """A pickle of a tensor of the storage "0" of two floats, with these arguments after it, as protocol 0 writes them."""
    storage = b"(S'storage'\nctorch\nFloatStorage\nS'0'\nS'cpu'\nI%d\ntQ" % length
    return b"c" + function + b"\n(" + storage + arguments + b"tR."


GOOD = tensor(b"I0\n(I2\nt(I1\ntI00\n(d")
FLOATS = np.array([1.5, -2.0], "<f4").tobytes()


def test_a_tensor_that_is_written_by_hand_is_read(tmp_path):
    (tmp_path / "a.pth").write_bytes(archive(GOOD, data_0=FLOATS))
    assert tg.load(tmp_path / "a.pth").tolist() == [1.5, -2.0]
    (tmp_path / "b.pt").write_bytes(archive(GOOD, data_0=np.array([1.5, -2.0], ">f4").tobytes(), byteorder=b"big"))
    assert tg.load(tmp_path / "b.pt").tolist() == [1.5, -2.0]


WRONG = {
    "a function of Python": (archive(pickle.dumps(Runs())), "names builtins.getattr|names .*append|is read|are read"),
    "the same, legacy": (legacy(*HEAD, Runs()), "are read"),
    "before the head": (legacy(Runs()), "are read"),
    "os.system": (archive(b"cos\nsystem\n(S'echo'\ntR."), "it names os.system, and only tensors"),
    "an attribute of a class": (archive(b"\x80\x04\x8c\x0bcollections\x8c\x14OrderedDict.__init__\x93."), "it names"),
    "beyond its storage": (archive(tensor(b"I1\n(I2\nt(I1\ntI00\n"), data_0=FLOATS), "larger than its"),
    "a negative stride": (archive(tensor(b"I1\n(I2\nt(I-1\ntI00\n"), data_0=FLOATS), "a tensor has offset 1"),
    "more than its storage": (archive(tensor(b"I0\n(I9999999\nt(I0\ntI00\n"), data_0=FLOATS), "larger than its storage"),
    "a storage that is too short": (archive(GOOD, data_0=FLOATS[:5]), "claims 2 numbers of 4 bytes but has 5"),
    "a long storage": (archive(tensor(b"I0\n(I2\nt(I1\ntI00\n", length=10**15), data_0=FLOATS), "claims 1000000000000000"),
    "no storage": (archive(GOOD), "archive/data/0"),
    "a list for a storage": (archive(b"ctorch._utils\n_rebuild_tensor_v2\n((lI0\n(I2\nt(I1\nttR."), "no storage"),
    "another kind": (archive(b"(S'module'\nI1\ntQ."), "unpack|no storage"),
    "no pickle": (archive(b""), "EOFError"),
    "another archive": (b"PK\3\4 and nothing", "BadZipFile"),
    "another protocol": (legacy(HEAD[0], 7), "protocol is unknown"),
    "another pickle": (legacy([1, 2]), "no file of torch.save"),
    "keys that nobody refers to": (legacy(*HEAD, {"a": 1}, ["0"]), "storages are not those"),
}  # fmt: skip


@pytest.mark.whole
@pytest.mark.parametrize("name", WRONG)
def test_what_is_not_a_state_is_refused(name, tmp_path):
    content, wanted = WRONG[name]
    (tmp_path / "a.pth").write_bytes(content)
    with pytest.raises(tg.io.CheckpointError, match=f"load: .*a.pth cannot be read: .*({wanted})"):
        tg.load(tmp_path / "a.pth")
    assert not RAN


def test_a_module_is_refused_with_the_remedy():
    with pytest.raises(
        tg.io.CheckpointError, match=r"it names torch.nn.modules.linear.Linear, .*; save a state_dict\(\)"
    ):
        tg.load(SAVED / "torch_module.pth")


def test_a_pickle_cannot_change_what_it_may_call(tmp_path):
    """BUILD sets attributes of an object: here of the functions and classes that stand for PyTorch's."""
    for name in (b"torch._utils\n_rebuild_tensor_v2", b"torch\nFloatStorage", b"collections\nOrderedDict"):
        for key in (b"__call__", b"__init__", b"_call", b"name"):
            (tmp_path / "a.pth").write_bytes(archive(b"c" + name + b"\n(N(S'" + key + b"'\nI1\ndtb."))
            with suppress(tg.io.CheckpointError):
                tg.load(tmp_path / "a.pth")
    assert OrderedDict(a=1) == {"a": 1}
    (tmp_path / "a.pth").write_bytes(archive(GOOD, data_0=FLOATS))
    assert tg.load(tmp_path / "a.pth").tolist() == [1.5, -2.0]


def test_a_compressed_archive_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.pth", "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("archive/data.pkl", b"0" * 10**6)
    with pytest.raises(tg.io.CheckpointError, match="is compressed"):
        tg.load(tmp_path / "a.pth")


@pytest.mark.parametrize("name", ["torch_zip", "torch_legacy"])
def test_damage_is_no_other_exception(name, tmp_path):
    """It is a CheckpointError, or other numbers: torch.save has no checksums in the older format."""
    content = (SAVED / f"{name}.pth").read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(60):
        damaged = bytearray(content[: rng.integers(len(content))] if rng.random() < 0.3 else content)
        for place in rng.integers(max(len(damaged), 1), size=3):
            if damaged:
                damaged[place] = rng.integers(256)
        (tmp_path / "a.pth").write_bytes(damaged)
        with suppress(tg.io.CheckpointError):
            tg.load(tmp_path / "a.pth")


def test_such_files_are_not_written(tmp_path):
    with pytest.raises(
        ValueError, match=r"save: `path` is .*a.pth'; it must end in .npz or .safetensors; pickles are not"
    ):
        tg.save(tmp_path / "a.pth", {})
    shutil.copy(SAVED / "torch_linear.pth", tmp_path / "a.bin")
    with pytest.raises(
        ValueError, match=r"load: `path` is .*a.bin'; it must end in .npz, .pth, .pt, .ckpt or .safetensors"
    ):
        tg.load(tmp_path / "a.bin")
